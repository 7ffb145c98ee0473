"""All figures of one task, from its embedded videos."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from utils.data.frame_segments import FrameSegments, action_frames, label_numbers
from utils.data.segments import has_labels
from utils.evaluation.alignment import measure_alignment
from utils.evaluation.baselines import task_statistics
from utils.evaluation.differences import differences_of
from utils.evaluation.measured import Measured, mean_of_seeds
from utils.evaluation.notes import ASSUMED_PROGRESS, Note, NoteKind
from utils.evaluation.progress import Curves, measure_progress, training_readouts
from utils.evaluation.results import Result, summarise
from utils.evaluation.step_discovery import Discovery, discover_steps, equal_parts
from utils.evaluation.variants import CHANCE, CLOCK, EQUAL_PARTS, MOST_FREQUENT, RANDOM_CLUSTERS
from utils.evaluation.worker_threads import map_in_threads
from utils.metrics import majority_class
from utils.metrics.retrieval import nearest_of_others, shares_of_others
from utils.metrics.table import METRICS, Metric, Needs, metrics_that_need, metrics_without_labels
from utils.prediction.embedding import RAW, TRAINED, EmbeddedVideo
from utils.prediction.progress.model import ProgressModel

RAW_ARE_MAPS = Note(NoteKind.RAW_ARE_MAPS, "no row for the raw features: they are maps, not vectors")
# Of a video; they are spread evenly, and those next to each other have nearly the same neighbours.
MOST_FRAMES_RETRIEVED = 256
NO_ACTION_IN_TRAINING = "no training video has an action"


def evaluate_task(
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    classify: bool = True,
    frames_ahead: float | None = 0,
    seed: int = 0,
    metrics: Mapping[str, Metric] = METRICS,
    published: bool = False,
    discovery: Discovery | None = None,
) -> list[Result]:
    """All figures of one task; see `evaluate_task_with_curves`."""
    return evaluate_task_with_curves(
        task, train, test, classify, frames_ahead, seed, metrics, published=published, discovery=discovery
    )[0]


def evaluate_task_with_curves(
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    classify: bool = True,
    frames_ahead: float | None = 0,
    seed: int = 0,
    metrics: Mapping[str, Metric] = METRICS,
    kept: Collection[str] = (),
    published: bool = False,
    chosen: ProgressModel | None = None,
    discovery: Discovery | None = None,
) -> tuple[list[Result], list[Curves]]:
    """All figures of one task, and predicted online progress of its test videos.

    Args:
        task: its name.
        train: training videos: they set the normalisers and fit the classifier and the regression.
        test: videos to judge, at least one.
        classify: whether to measure what needs the labels of frames, PC: it takes longest.
        frames_ahead: how many later frames of the recording an embedding depends on, None if nobody knows; said
            beside the online figures.
        seed: of the random neighbours.
        metrics: what to measure.
        kept: by which estimators to return the predicted online progress of each video.
        published: whether to measure what is as published programs define it, too: it takes long.
        chosen: how the checkpoint's progress is read, as cross-validation chose; None if nothing was fitted.
        discovery: how key steps are found without labels; None: they aren't.

    Where a video has no labels, only the metrics that need none are measured, and progress is that of its frames.

    Returns:
        The figures, those of the trained network with their paired differences from the others; the untrained
        networks are one row, their mean. And the predicted progress.

    Raises:
        ValueError: there is no training or no test video.
    """
    if not test:
        raise ValueError(f"task {task!r} has no video to evaluate")
    unlabelled = not all(has_labels(video.time_dict) for video in (*train, *test))
    if unlabelled:
        metrics, discovery = metrics_without_labels(metrics), None
    statistics, readouts = task_statistics(train), training_readouts(train)
    measured, curves = measure_progress(task, statistics, test, frames_ahead, readouts, metrics, kept, chosen)
    measured += measure_alignment(task, train, test, seed, metrics)
    measured += measure_progression(train, test, metrics)
    if classify:
        measured += measure_classification(train, test, metrics)
    measured += measure_retrieval(test, metrics)
    if published:
        measured += measure_as_published(train, test, metrics)
    if discovery is not None:
        measured += measure_key_steps(train, test, discovery, seed, metrics)
    if unlabelled:
        measured = [
            replace(found, notes=(*found.notes, ASSUMED_PROGRESS)) if found.metric.needs.is_progress else found
            for found in measured
        ]
    if RAW in test[0].paths and RAW not in test[0].embeddings:
        measured = [
            replace(found, notes=(*found.notes, RAW_ARE_MAPS))
            if found.variant == TRAINED and not found.metric.needs.is_progress else found
            for found in measured
        ]  # fmt: skip
    measured = mean_of_seeds(measured)
    handles, differences = [video.handle for video in test], differences_of(measured)
    results = [
        summarise(found, task, handles, differences.get((found.metric.name, found.variant), ())) for found in measured
    ]
    return results, curves


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
    """The metrics of labelled frames, of every embedding and of the most frequent action of the same videos."""
    train, train_labels, test_labels = labelled(train, test)

    def classify(metric: Metric, variant: str) -> np.ndarray:
        if not train:
            return np.full(len(test), np.nan)
        if variant == MOST_FREQUENT:
            return majority_class(train_labels, test_labels, metric.share_of_labels)
        fitted, judged = ([v.embeddings[variant].numpy() for v in videos] for videos in (train, test))
        return metric.measure(fitted, train_labels, judged, test_labels)

    fits = list(product(metrics_that_need(Needs.LABELS, metrics), [*test[0].embeddings, MOST_FREQUENT]))
    values = map_in_threads(classify, *([fit[k] for fit in fits] for k in (0, 1)))
    missing = "" if train else NO_ACTION_IN_TRAINING
    return [Measured(*fit, found, missing=missing) for fit, found in zip(fits, values, strict=True)]


def labelled(
    train: Sequence[EmbeddedVideo], test: Sequence[EmbeddedVideo]
) -> tuple[list[EmbeddedVideo], list[np.ndarray], list[np.ndarray]]:
    """The training videos with an action, and the labels of their frames and of the test videos', (T_i,) int each."""
    numbering: dict[str, int] = {}
    train_labels, test_labels = (
        [label_numbers(v.time_dict["step"], numbering)[FrameSegments(v.time_dict).segment] for v in videos]
        for videos in (train, test)
    )
    usable = [i for i, labels in enumerate(train_labels) if (labels >= 0).any()]
    return [train[i] for i in usable], [train_labels[i] for i in usable], test_labels


def measure_retrieval(test: Sequence[EmbeddedVideo], metrics: Mapping[str, Metric] = METRICS) -> list[Measured]:
    """The metrics of the nearest frames of other test videos, of every embedding, of time (the clock), by chance."""
    of_retrieval = metrics_that_need(Needs.RETRIEVAL, metrics)
    if not of_retrieval:
        return []
    _, _, labels = labelled([], test)

    def nearest(variant: str) -> list[np.ndarray]:
        if variant == CHANCE:
            return shares_of_others(labels)
        if variant == CLOCK:
            frames = [np.arange(len(own), dtype=np.float32)[:, None] for own in labels]
        else:
            frames = [video.embeddings[variant].numpy() for video in test]
        return nearest_of_others(frames, labels, most_asked=MOST_FRAMES_RETRIEVED)

    variants = [*test[0].embeddings, CLOCK, CHANCE]
    return [
        Measured(metric, variant, np.array([metric.measure(same) for same in found]))
        for variant, found in zip(variants, map_in_threads(nearest, variants), strict=True)
        for metric in of_retrieval
    ]


def measure_as_published(
    train: Sequence[EmbeddedVideo], test: Sequence[EmbeddedVideo], metrics: Mapping[str, Metric] = METRICS
) -> list[Measured]:
    """The metrics that give one number for all test videos, of every embedding."""
    train, train_labels, test_labels = labelled(train, test)

    def measure(metric: Metric, variant: str) -> np.ndarray:
        if not train:
            return np.array(np.nan)
        fitted, judged = ([v.embeddings[variant].numpy() for v in videos] for videos in (train, test))
        return np.array(metric.measure(fitted, train_labels, judged, test_labels))

    fits = list(product(metrics_that_need(Needs.PUBLISHED, metrics), test[0].embeddings))
    values = map_in_threads(measure, *([fit[k] for fit in fits] for k in (0, 1)))
    missing = "" if train else NO_ACTION_IN_TRAINING
    return [Measured(*fit, found, missing=missing) for fit, found in zip(fits, values, strict=True)]


def measure_key_steps(
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    discovery: Discovery,
    seed: int = 0,
    metrics: Mapping[str, Metric] = METRICS,
) -> list[Measured]:
    """The metrics of key steps found without labels, of every embedding, of equal parts and of random clusters.

    The clusters of the task are found in the training videos.
    """
    _, _, labels = labelled([], test)
    number = discovery.number

    def found(variant: str) -> dict[Needs, list[np.ndarray]]:
        if variant == EQUAL_PARTS:
            same = [equal_parts(len(own), number) for own in labels]
        elif variant == RANDOM_CLUSTERS:
            generator = np.random.default_rng(seed)
            same = [generator.integers(number, size=len(own)) for own in labels]
        else:
            fitted, judged = ([v.embeddings[variant].numpy() for v in videos] for videos in (train, test))
            alone = [discover_steps([video], [video], discovery, seed)[0] for video in judged]
            return {Needs.KEY_STEPS: discover_steps(fitted, judged, discovery, seed), Needs.VIDEO_KEY_STEPS: alone}
        return dict.fromkeys((Needs.KEY_STEPS, Needs.VIDEO_KEY_STEPS), same)

    variants = [*test[0].embeddings, EQUAL_PARTS, RANDOM_CLUSTERS]
    return [
        Measured(metric, variant, np.array(metric.measure(clusters, labels)))
        for variant, by_needs in zip(variants, map_in_threads(found, variants), strict=True)
        for needs, clusters in by_needs.items()
        for metric in metrics_that_need(needs, metrics)
    ]
