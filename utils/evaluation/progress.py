"""Progress errors of a task: of the networks, by every read-out, and of the naive estimators."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import product

import numpy as np
from tqdm import tqdm

from utils.data.frame_segments import action_frames
from utils.evaluation.baselines import (
    TaskStatistics,
    offline_action_progress,
    offline_video_progress,
    online_action_progress,
    online_video_progress,
)
from utils.evaluation.measured import Measured
from utils.evaluation.notes import KNOWS_THE_END, Note, NoteKind
from utils.evaluation.variants import row_name
from utils.evaluation.worker_threads import map_in_threads
from utils.metrics.table import METRICS, Metric, Needs, metrics_that_need
from utils.prediction.embedding import RAW, TRAINED, EmbeddedVideo
from utils.prediction.progress.model import FEATURES, ProgressModel
from utils.prediction.readouts import READOUTS_OF_TRAINING_VIDEOS, Readout, make_training_readout, run_readout
from utils.registry import AUTO

# Predicted online progress of one video: by what it needs and by estimator, (T,) in [0, 1].
Curves = dict[Needs, Mapping[str, np.ndarray]]


def measure_progress(
    task: str,
    statistics: TaskStatistics,
    test: Sequence[EmbeddedVideo],
    frames_ahead: float | None = 0,
    readouts: Mapping[str, Mapping[str, Readout]] | None = None,
    metrics: Mapping[str, Metric] = METRICS,
    kept: Collection[str] = (),
    chosen: ProgressModel | None = None,
) -> tuple[list[Measured], list[Curves]]:
    """The metrics of progress over the video and inside each action, online and offline, of every estimator.

    The rows of networks and raw features read their progress from the path; `readouts` of one, by its name and
    theirs, add a row each, and so does the `chosen` read-out. Inside actions there are the path and what belongs to the
    chosen read-out, offline the path alone.

    Returns:
        What was measured, and the predicted online progress of each video by the estimators that `kept` names; none
        if it names none.
    """
    readouts = readouts or {}
    estimates = {
        Needs.VIDEO_ONLINE: online_video_estimates(task, test, statistics, readouts, chosen),
        Needs.ACTION_ONLINE: online_action_estimates(test, statistics, chosen),
        Needs.VIDEO_OFFLINE: map(offline_video_progress, test),
        Needs.ACTION_OFFLINE: map(offline_action_progress, test),
    }
    of_networks = {row_name(n, r) for n in test[0].embeddings if n != RAW for r in ("", *readouts.get(n, {}))}
    if frames_ahead is None:
        said = "it is not known whether an embedding sees later frames"
    else:
        seen = f"{frames_ahead} frames" if math.isfinite(frames_ahead) else "all frames"
        said = f"not causal: an embedding sees {seen} ahead"
    not_causal = Note(NoteKind.NOT_CAUSAL, said)
    measured, curves = [], [Curves() for _ in test if kept]
    for needs, of_videos in estimates.items():
        wanted = metrics_that_need(needs, metrics)
        figures: dict[tuple[str, str], list[float]] = {}
        frames = []
        for number, (video, estimate) in enumerate(zip(test, of_videos, strict=True)):
            if kept and not needs.knows_the_end:
                curves[number][needs] = {name: estimate[name] for name in kept if name in estimate}
            inside = action_frames(video.time_dict)
            truth = video.action_progress if needs.is_inside_actions else video.progress
            # A video without any action has no true progress at either level.
            counted = inside if needs.is_inside_actions or not inside.any() else None
            frames.append(len(truth) if counted is None else np.count_nonzero(counted))
            for metric, (variant, progress) in product(wanted, estimate.items()):
                figures.setdefault((metric.name, variant), []).append(metric.measure(progress, truth, counted))
        for (metric, variant), values in figures.items():
            notes: tuple[Note, ...] = ()
            if needs.knows_the_end:
                notes = (KNOWS_THE_END,)
            elif frames_ahead != 0 and variant in of_networks:
                notes = (not_causal,)
            weights = np.array(frames, dtype=np.float64) if metrics[metric].of_frames else None
            measured.append(Measured(metrics[metric], variant, np.array(values), notes, weights=weights))
    return measured, curves


def online_video_estimates(
    task: str,
    test: Sequence[EmbeddedVideo],
    statistics: TaskStatistics,
    readouts: Mapping[str, Mapping[str, Readout]],
    chosen: ProgressModel | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """`online_video_progress` of each video, each network followed by its other read-outs: by name, (T,).

    The chosen read-out comes first, where the embedding that it reads is there.
    """
    jobs = [
        (readout, video.embeddings[network].numpy())
        for video in test
        for network in video.embeddings
        for readout in readouts.get(network, {}).values()
    ]
    progress = {"desc": f"reading out {task}", "unit": "video", "disable": None, "delay": 3, "leave": False}
    with closing(map_in_threads(run_readout, *([job[k] for job in jobs] for k in (0, 1)))) as found:
        for video in tqdm(test, **progress):
            path_and_naive = online_video_progress(video, statistics)
            estimates = {}
            read = None if chosen is None else video.embeddings.get(RAW if chosen.input == FEATURES else TRAINED)
            if chosen is not None and read is not None:
                estimates[AUTO] = chosen.predict(read).progress
            for network in video.embeddings:
                estimates[network] = path_and_naive[network]
                for readout in readouts.get(network, {}):
                    estimates[row_name(network, readout)] = next(found)
            yield estimates | path_and_naive


def online_action_estimates(
    test: Sequence[EmbeddedVideo], statistics: TaskStatistics, chosen: ProgressModel | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """`online_action_progress` of each video, and before it what a progress model says of actions that it is told."""
    for video in test:
        read = None if chosen is None else video.embeddings.get(RAW if chosen.input == FEATURES else TRAINED)
        told = None if read is None else chosen.inside_told_actions(read.numpy(), video.time_dict)
        yield ({} if told is None else {AUTO: told}) | online_action_progress(video, statistics)


def training_readouts(train: Sequence[EmbeddedVideo]) -> dict[str, dict[str, Readout]]:
    """The read-outs that compare a network's embedding, or raw features, with those of its training videos, by network
    and name."""
    progress = [video.progress for video in train]
    networks = list(train[0].embeddings) if train else []
    embeddings = {network: [video.embeddings[network].numpy() for video in train] for network in networks}

    def make(network: str, name: str) -> Readout:
        readout = make_training_readout(name, embeddings[network], progress)
        run_readout(readout, embeddings[network][0][:1])  # prepares what all videos need, before threads share it
        return readout

    names = list(product(networks, READOUTS_OF_TRAINING_VIDEOS))
    readouts: dict[str, dict[str, Readout]] = {network: {} for network in networks}
    made = map_in_threads(make, [network for network, _ in names], [name for _, name in names])
    for (network, name), readout in zip(names, made, strict=True):
        readouts[network][name] = readout
    return readouts
