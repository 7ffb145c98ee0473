"""Progress errors of a task: of the networks, by every read-out, and of the naive estimators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
from utils.evaluation.results import KNOWS_THE_END, Result, summarise
from utils.evaluation.worker_threads import map_in_threads
from utils.metrics import progress_error
from utils.prediction.embedding import TRAINED, EmbeddedVideo
from utils.prediction.readouts import READOUTS_OF_TRAINING_VIDEOS, Readout, make_training_readout, run_readout


def progress_results(
    task: str,
    statistics: TaskStatistics,
    test: Sequence[EmbeddedVideo],
    counts: np.ndarray,
    frames_ahead: float = 0,
    readouts: Mapping[str, Mapping[str, Readout]] | None = None,
) -> list[Result]:
    """OPE over the video and inside each action, online and offline, of every estimator.

    The networks' own rows read their progress from the path; `readouts` of a network, by its name and theirs,
    add a row each.
    """
    readouts = readouts or {}
    estimates = {
        "OPE_video_online": online_video_estimates(task, test, statistics, readouts),
        "OPE_action_online": (online_action_progress(video, statistics) for video in test),
        "OPE_video_offline": map(offline_video_progress, test),
        "OPE_action_offline": map(offline_action_progress, test),
    }
    of_networks = {*test[0].embeddings}.union(*(readout_rows(*entry) for entry in readouts.items()))
    results = []
    for metric, of_videos in estimates.items():
        errors: dict[str, list[float]] = {}
        for video, estimate in zip(test, of_videos, strict=True):
            inside = action_frames(video.time_dict)
            at_action_level = "action" in metric
            truth = video.action_progress if at_action_level else video.progress
            # A video without any action has no true progress at either level.
            counted = inside if at_action_level or not inside.any() else None
            for variant, progress in estimate.items():
                errors.setdefault(variant, []).append(progress_error(progress, truth, counted))
        handles = [video.handle for video in test]
        for variant, values in errors.items():
            note = KNOWS_THE_END if metric.endswith("offline") else ""
            if metric.endswith("online") and frames_ahead and variant in of_networks:
                seen = f"{frames_ahead} frames" if math.isfinite(frames_ahead) else "all frames"
                note = f"not causal: an embedding sees {seen} ahead"
            results.append(
                summarise(
                    metric, variant, task, handles, np.array(values), counts, "no action in the video", note
                )
            )
    return results


def online_video_estimates(
    task: str,
    test: Sequence[EmbeddedVideo],
    statistics: TaskStatistics,
    readouts: Mapping[str, Mapping[str, Readout]],
) -> Iterator[dict[str, np.ndarray]]:
    """`online_video_progress` of each video, each network followed by its other read-outs: by name, (T,)."""
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
            for network in video.embeddings:
                estimates[network] = path_and_naive[network]
                for row in readout_rows(network, readouts.get(network, {})):
                    estimates[row] = next(found)
            yield estimates | path_and_naive


def readout_rows(network: str, readouts: Mapping[str, Readout]) -> list[str]:
    """The rows of a network's read-outs: those of the trained one carry their own name alone."""
    return [name if network == TRAINED else f"{name}, {network}" for name in readouts]


def training_readouts(train: Sequence[EmbeddedVideo]) -> dict[str, dict[str, Readout]]:
    """The read-outs that compare a network's embedding with its training videos, by network and name."""
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
