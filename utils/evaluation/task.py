"""All figures of one task, from its embedded videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from utils.data.frame_segments import FrameSegments, action_frames, label_numbers
from utils.evaluation.alignment import measure_alignment
from utils.evaluation.baselines import task_statistics
from utils.evaluation.progress import Curves, measure_progress, training_readouts
from utils.evaluation.results import CLOCK, Measured, Result, summarise, task_counts
from utils.evaluation.worker_threads import map_in_threads
from utils.metrics import majority_class
from utils.metrics.table import METRICS, Metric, Needs, metrics_that_need
from utils.prediction.embedding import EmbeddedVideo

MOST_FREQUENT = "most frequent action"
NO_ACTION_IN_TRAINING = "no training video has an action"


def evaluate_task(
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    classify: bool = True,
    frames_ahead: float = 0,
    seed: int = 0,
    metrics: Mapping[str, Metric] = METRICS,
) -> list[Result]:
    """All figures of one task; see `evaluate_task_with_curves`."""
    return evaluate_task_with_curves(task, train, test, classify, frames_ahead, seed, metrics)[0]


def evaluate_task_with_curves(
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    classify: bool = True,
    frames_ahead: float = 0,
    seed: int = 0,
    metrics: Mapping[str, Metric] = METRICS,
    kept: int = 0,
) -> tuple[list[Result], list[Curves]]:
    """All figures of one task, and predicted progress of its first test videos.

    Args:
        task: its name.
        train: training videos: they set the normalisers and fit the classifier and the regression.
        test: videos to judge, at least one.
        classify: whether to measure what needs the labels of frames, PC: it takes longest.
        frames_ahead: how many later frames an embedding depends on; said beside the online figures.
        seed: of the bootstrap.
        metrics: what to measure.
        kept: how many videos' predicted progress to return.

    Raises:
        ValueError: there is no training or no test video.
    """
    if not test:
        raise ValueError(f"task {task!r} has no video to evaluate")
    statistics, readouts = task_statistics(train), training_readouts(train)
    measured, curves = measure_progress(task, statistics, test, frames_ahead, readouts, metrics, kept)
    measured += measure_alignment(task, train, test, seed, metrics)
    measured += measure_progression(train, test, metrics)
    if classify:
        measured += measure_classification(train, test, metrics)
    handles, counts = [video.handle for video in test], task_counts(task, len(test), seed)
    return [summarise(found, task, handles, counts) for found in measured], curves


def measure_progression(
    train: Sequence[EmbeddedVideo], test: Sequence[EmbeddedVideo], metrics: Mapping[str, Metric] = METRICS
) -> list[Measured]:
    """The metrics of a regression of progress, of every embedding and on time alone, the clock."""
    usable = [video for video in train if action_frames(video.time_dict).any()]
    fits = list(product(metrics_that_need(Needs.REGRESSION, metrics), [*test[0].embeddings, CLOCK]))

    def frames(video: EmbeddedVideo, variant: str) -> np.ndarray:
        if variant == CLOCK:
            return np.arange(len(video.progress), dtype=np.float64)[:, None]
        return video.embeddings[variant].numpy()

    def regress(metric: Metric, variant: str) -> np.ndarray:
        if not usable:
            return np.full(len(test), np.nan)
        fitted, judged = (
            ([frames(video, variant) for video in videos], [video.progress for video in videos])
            for videos in (usable, test)
        )
        return metric.measure(*fitted, *judged)

    values = map_in_threads(regress, *([fit[k] for fit in fits] for k in (0, 1)))
    missing = "" if usable else NO_ACTION_IN_TRAINING
    return [Measured(*fit, found, missing=missing) for fit, found in zip(fits, values, strict=True)]


def measure_classification(
    train: Sequence[EmbeddedVideo], test: Sequence[EmbeddedVideo], metrics: Mapping[str, Metric] = METRICS
) -> list[Measured]:
    """The metrics of labelled frames, of every embedding and of the most frequent action."""
    numbering: dict[str, int] = {}
    train_labels, test_labels = (
        [label_numbers(v.time_dict["step"], numbering)[FrameSegments(v.time_dict).segment] for v in videos]
        for videos in (train, test)
    )
    usable = [i for i, labels in enumerate(train_labels) if (labels >= 0).any()]
    train, train_labels = [train[i] for i in usable], [train_labels[i] for i in usable]
    majority = majority_class(train_labels, test_labels) if train else np.full(len(test), np.nan)

    def classify(metric: Metric, variant: str) -> np.ndarray:
        if not train or variant == MOST_FREQUENT:
            return majority
        fitted, judged = ([v.embeddings[variant].numpy() for v in videos] for videos in (train, test))
        return metric.measure(fitted, train_labels, judged, test_labels)

    fits = list(product(metrics_that_need(Needs.LABELS, metrics), [*test[0].embeddings, MOST_FREQUENT]))
    values = map_in_threads(classify, *([fit[k] for fit in fits] for k in (0, 1)))
    missing = "" if train else NO_ACTION_IN_TRAINING
    return [Measured(*fit, found, missing=missing) for fit, found in zip(fits, values, strict=True)]
