"""All figures of one task, from its embedded videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from utils.data.frame_segments import FrameSegments, action_frames, label_numbers
from utils.evaluation.alignment import alignment_results
from utils.evaluation.baselines import task_statistics
from utils.evaluation.progress import progress_results, training_readouts
from utils.evaluation.results import Result, summarise, task_counts
from utils.evaluation.worker_threads import map_in_threads
from utils.metrics import majority_class, phase_classification, phase_progression
from utils.metrics.phase_classification import FRACTIONS
from utils.prediction.embedding import EmbeddedVideo


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
        classify: whether to fit the classifier of PC.
        frames_ahead: how many later frames an embedding depends on; said beside the online figures.
        seed: of the bootstrap.

    Raises:
        ValueError: there is no training or no test video.
    """
    if not test:
        raise ValueError(f"task {task!r} has no video to evaluate")
    counts = task_counts(task, len(test), seed)
    results = [
        *progress_results(task, task_statistics(train), test, counts, frames_ahead, training_readouts(train)),
        *alignment_results(task, train, test, counts, seed),
        *progression_results(task, train, test, counts),
    ]
    if classify:
        results += classification_results(task, train, test, counts)
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
    def regress(frames: Callable[[EmbeddedVideo], np.ndarray]) -> np.ndarray:
        if not usable:
            return np.full(len(test), np.nan)
        train_frames, test_frames = ([frames(v) for v in videos] for videos in (usable, test))
        return phase_progression(
            train_frames, [v.progress for v in usable], test_frames, [v.progress for v in test]
        )

    missing = "no action in the video" if usable else "no training video has an action"
    return [
        summarise("PHP", variant, task, handles, values, counts, missing)
        for variant, values in zip(inputs, map_in_threads(regress, inputs.values()), strict=True)
    ]


def classification_results(
    task: str, train: Sequence[EmbeddedVideo], test: Sequence[EmbeddedVideo], counts: np.ndarray
) -> list[Result]:
    """PC with each share of labelled training videos, of every network and of the most frequent action."""
    numbering: dict[str, int] = {}
    train_labels, test_labels = (
        [label_numbers(v.time_dict["step"], numbering)[FrameSegments(v.time_dict).segment] for v in videos]
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
        values = dict(zip(fits, map_in_threads(classify, *zip(*fits, strict=True)), strict=True))
    results = []
    for fraction in FRACTIONS:
        by_variant = {network: values[fraction, network] for network in networks}
        by_variant["most frequent action"] = majority
        results += [
            summarise(f"PC_{round(100 * fraction)}", variant, task, handles, accuracy, counts, missing)
            for variant, accuracy in by_variant.items()
        ]
    return results
