"""All figures of one task, from its embedded videos."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations

import numpy as np
import torch
from tqdm import tqdm

from utils.baselines import (
    TaskStatistics,
    offline_action_progress,
    offline_video_progress,
    online_action_progress,
    online_video_progress,
    task_statistics,
)
from utils.embedding import TRAINED, EmbeddedVideo
from utils.evaluation_results import KNOWS_THE_END, Result, summarise, task_counts
from utils.metrics import (
    ValidAlignment,
    enclosed_area_error,
    kendalls_tau,
    kendalls_tau_in_the_wild,
    majority_class,
    nearest_neighbours,
    phase_classification,
    phase_progression,
    progress_error,
    valid_alignment,
)
from utils.metrics.phase_classification import FRACTIONS
from utils.metrics.segments import action_frames, frame_segments, label_numbers
from utils.readouts import READOUTS_OF_TRAINING_VIDEOS, Readout, make_training_readout, run_readout


def evaluate_task(
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    classify: bool = True,
    frames_ahead: float = 0,
    seed: int = 0,
) -> list[Result]:
    """All figures of one task.

    Args:
        task: its name.
        train: training videos: they set the normalisers and fit the classifier and the regression.
        test: videos to judge, at least one.
        classify: whether to fit the classifier, which takes longer than all the rest.
        frames_ahead: how many later frames an embedding depends on; said beside the online figures.
        seed: of the bootstrap.

    Raises:
        ValueError: there is no training or no test video.
    """
    if not test:
        raise ValueError(f"task {task!r} has no video to evaluate")
    counts = task_counts(task, len(test), seed)
    results = [
        *progress_results(task, task_statistics(train), test, counts, frames_ahead, trained_readouts(train)),
        *alignment_results(task, train, test, counts, seed),
        *progression_results(task, train, test, counts),
    ]
    if classify:
        results += classification_results(task, train, test, counts)
    return results


def progress_results(
    task: str,
    statistics: TaskStatistics,
    test: Sequence[EmbeddedVideo],
    counts: np.ndarray,
    frames_ahead: float = 0,
    readouts: Mapping[str, Readout] | None = None,
) -> list[Result]:
    """OPE over the video and inside each action, online and offline, of every estimator.

    The networks' own rows read their progress from the path; `readouts` add a row each of the trained one's.
    """
    readouts = readouts or {}
    estimators: dict[str, Callable[[EmbeddedVideo], dict[str, np.ndarray]]] = {
        "OPE_video_online": lambda video: online_video_estimates(video, statistics, readouts),
        "OPE_action_online": lambda video: online_action_progress(video, statistics),
        "OPE_video_offline": offline_video_progress,
        "OPE_action_offline": offline_action_progress,
    }
    results = []
    for metric, estimate in estimators.items():
        errors: dict[str, list[float]] = {}
        for video in test:
            inside = action_frames(video.time_dict)
            at_action_level = "action" in metric
            truth = video.action_progress if at_action_level else video.progress
            # A video without any action has no true progress at either level.
            counted = inside if at_action_level or not inside.any() else None
            for variant, progress in estimate(video).items():
                errors.setdefault(variant, []).append(progress_error(progress, truth, counted))
        handles = [video.handle for video in test]
        for variant, values in errors.items():
            note = KNOWS_THE_END if metric.endswith("offline") else ""
            embedded = variant in test[0].embeddings or variant in readouts
            if metric.endswith("online") and frames_ahead and embedded:
                seen = f"{frames_ahead} frames" if math.isfinite(frames_ahead) else "all frames"
                note = f"not causal: an embedding sees {seen} ahead"
            results.append(
                summarise(
                    metric, variant, task, handles, np.array(values), counts, "no action in the video", note
                )
            )
    return results


def online_video_estimates(
    video: EmbeddedVideo, statistics: TaskStatistics, readouts: Mapping[str, Readout]
) -> dict[str, np.ndarray]:
    """`online_video_progress` with the trained network's other read-outs after its path: by name, (T,)."""
    progress = online_video_progress(video, statistics)
    if not readouts:
        return progress
    others = {name: run_readout(readout, video.embeddings[TRAINED]) for name, readout in readouts.items()}
    return {TRAINED: progress[TRAINED], **others, **progress}


def trained_readouts(train: Sequence[EmbeddedVideo]) -> dict[str, Readout]:
    """The read-outs that compare the trained network's embedding with its training videos, by name."""
    if not train or TRAINED not in train[0].embeddings:
        return {}
    embeddings, progress = [v.embeddings[TRAINED] for v in train], [v.progress for v in train]
    return {name: make_training_readout(name, embeddings, progress) for name in READOUTS_OF_TRAINING_VIDEOS}


def alignment_results(
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    counts: np.ndarray,
    seed: int = 0,
) -> list[Result]:
    """EAE, KT and KTW over ordered pairs of different test videos, of every network and of naive alignments.

    The naive ones are the frame of the same index (the clock) and a random frame: where actions repeat, much
    is valid by chance. A lone test video is paired with the training videos, in both directions, and its
    figures say so.
    """
    lone = len(test) == 1
    videos = [*test, *train] if lone else list(test)
    pairs = [(0, j) for j in range(1, len(videos))] if lone else list(combinations(range(len(videos)), 2))
    generator = torch.Generator().manual_seed(seed)
    metrics: dict[str, Callable[[np.ndarray, ValidAlignment], float]] = {
        "EAE": enclosed_area_error,
        "EAE_monotonic": partial(enclosed_area_error, monotonic=True),
        "KT": lambda neighbours, _: kendalls_tau(neighbours),
        "KTW": kendalls_tau_in_the_wild,
    }
    variants = [*test[0].embeddings, "clock", "random neighbours"]
    shape = (len(videos), len(videos))
    figures = {(metric, variant): np.full(shape, np.nan) for metric in metrics for variant in variants}
    for i, j in tqdm(pairs, desc=f"aligning {task}", unit="pair", disable=None, delay=3, leave=False):
        first, second = videos[i], videos[j]
        found = {
            name: nearest_neighbours(first.embeddings[name], second.embeddings[name])
            for name in first.embeddings
        }
        lengths = len(first.progress), len(second.progress)
        for way, pair in enumerate(((i, j), (j, i))):
            truth = valid_alignment(*(videos[k].time_dict for k in pair))
            length, other = lengths[way], lengths[1 - way]
            neighbours = {name: indices[way].numpy() for name, indices in found.items()}
            neighbours["clock"] = np.minimum(np.arange(length), other - 1)
            neighbours["random neighbours"] = torch.randint(other, (length,), generator=generator).numpy()
            for variant, indices in neighbours.items():
                for metric, measure in metrics.items():
                    figures[metric, variant][pair] = measure(indices, truth)

    results, handles = [], [v.handle for v in test]
    for (metric, variant), values in figures.items():
        missing = "only one frame" if metric == "KT" else "shares no action with another video"
        note = ""
        if lone:
            note = f"lone test video, paired with {len(train)} training videos"
            both_directions = np.concatenate([values[0, 1:], values[1:, 0]])
            exists = ~np.isnan(both_directions)
            values = np.array([both_directions[exists].mean() if exists.any() else math.nan])
        results.append(summarise(metric, variant, task, handles, values, counts, missing, note))
    return results


def progression_results(
    task: str, train: Sequence[EmbeddedVideo], test: Sequence[EmbeddedVideo], counts: np.ndarray
) -> list[Result]:
    """PHP of every network, and of a regression on time alone, the clock."""
    usable = [v for v in train if action_frames(v.time_dict).any()]
    handles = [v.handle for v in test]
    inputs: dict[str, Callable[[EmbeddedVideo], np.ndarray]] = {
        **{name: lambda v, name=name: v.embeddings[name].numpy() for name in test[0].embeddings},
        "clock": lambda v: np.arange(len(v.progress), dtype=np.float64)[:, None],
    }
    results = []
    for variant, frames in inputs.items():
        values = np.full(len(test), np.nan)
        if usable:
            train_frames, test_frames = ([frames(v) for v in videos] for videos in (usable, test))
            values = phase_progression(
                train_frames, [v.progress for v in usable], test_frames, [v.progress for v in test]
            )
        missing = "no action in the video" if usable else "no training video has an action"
        results.append(summarise("PHP", variant, task, handles, values, counts, missing))
    return results


def classification_results(
    task: str, train: Sequence[EmbeddedVideo], test: Sequence[EmbeddedVideo], counts: np.ndarray
) -> list[Result]:
    """PC with each share of labelled training videos, of every network and of the most frequent action."""
    numbering: dict[str, int] = {}
    train_labels, test_labels = (
        [label_numbers(v.time_dict["step"], numbering)[frame_segments(v.time_dict)] for v in videos]
        for videos in (train, test)
    )
    handles, networks = [v.handle for v in test], list(test[0].embeddings)
    usable = [i for i, labels in enumerate(train_labels) if (labels >= 0).any()]
    train, train_labels = [train[i] for i in usable], [train_labels[i] for i in usable]

    def classify(fraction: float, network: str) -> np.ndarray:
        train_frames, test_frames = (
            [v.embeddings[network].numpy() for v in videos] for videos in (train, test)
        )
        return phase_classification(train_frames, train_labels, test_frames, test_labels, fraction)

    fits = [(fraction, network) for fraction in FRACTIONS for network in networks]
    missing = "no action in the video" if train else "no training video has an action"
    values = dict.fromkeys(fits, np.full(len(test), np.nan))
    majority = values[fits[0]]
    if train:
        majority = majority_class(train_labels, test_labels)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # the solver leaves Python's global lock
            values = dict(zip(fits, pool.map(classify, *zip(*fits, strict=True)), strict=True))
    results = []
    for fraction in FRACTIONS:
        by_variant = {network: values[fraction, network] for network in networks}
        by_variant["most frequent action"] = majority
        results += [
            summarise(f"PC_{round(100 * fraction)}", variant, task, handles, accuracy, counts, missing)
            for variant, accuracy in by_variant.items()
        ]
    return results
