"""Paired differences between evaluations: the same videos under two checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from utils.checkpoints.fingerprint import Fingerprint, evaluated_segments
from utils.command import format_table
from utils.errors import DataError
from utils.evaluation.measured import Measured
from utils.evaluation.notes import Note, NoteKind
from utils.evaluation.results import ALL_TASKS, Result, mean_over_tasks, summarise
from utils.evaluation.tables import format_figure
from utils.metrics.table import METRICS, Metric

# Settings that decide which recordings are evaluated, and the truth of each of their frames.
TRUTH_SETTINGS = ("SKIP_RATE", "BACKGROUND_LABELS", "ANNOTATION_SCALING", "TRAIN_SPLIT", "VALIDATION_FRACTION")


def paired_differences(
    first: Sequence[Result], second: Sequence[Result], variant: str, metrics: Mapping[str, Metric] = METRICS
) -> list[Result]:
    """Second minus first for every metric, video by video or pair by pair, with intervals over videos.

    Args:
        first, second: figures of two evaluations.
        variant: which variant to compare.
        metrics: the table of metrics.

    Returns:
        Differences per task, then of the mean of tasks. Videos that only one evaluation has are left out.

    Raises:
        DataError: the two have no metric of a common video.
    """
    base = {(r.metric, r.task): r for r in first if r.variant == variant and r.task != ALL_TASKS}
    differences = []
    for other in second:
        own = base.get((other.metric, other.task))
        if own is None or other.variant != variant:
            continue
        handles, values = _differences_of_videos(own, other)
        if not len(values) or np.isnan(values).all():
            continue
        weights = np.array([own.weights[handle] for handle in handles]) if own.weights else None
        alone = len(set(own.values) ^ set(other.values))
        text = f"{alone} videos are in one evaluation only"
        notes = (Note(NoteKind.IN_ONE_EVALUATION, text),) if alone else ()
        measured = Measured(metrics[other.metric], variant, values, notes, "no figure", weights)
        differences.append(summarise(measured, other.task, handles, is_difference=True))
    if not differences:
        raise DataError("the evaluations to compare have no metric of a common video")
    return [*differences, *mean_over_tasks(differences, metrics, are_differences=True)]


def _differences_of_videos(own: Result, other: Result) -> tuple[list[str], np.ndarray]:
    """The handles of the n videos that both have, and the differences: (n,), or (n, n) of a metric of pairs."""
    if own.pairs and other.pairs:
        handles = [handle for handle in own.pairs if handle in other.pairs]
        matrices = (
            np.array([[result.pairs[a].get(b, np.nan) for b in handles] for a in handles]) for result in (own, other)
        )
        own_values, other_values = matrices
        return handles, other_values - own_values
    handles = [handle for handle in own.values if handle in other.values]
    return handles, np.array([other.values[handle] - own.values[handle] for handle in handles])


def refuse_other_truths(fingerprints: Mapping[str, Fingerprint], split: str) -> None:
    """Refuses to pair figures of different truths.

    Args:
        fingerprints: of at least two evaluations, by the name to show.
        split: what they evaluate.

    Raises:
        DataError: a task that two of them have is another split, annotation, length or sampling of its recordings;
            names the evaluations, the tasks, and the settings that differ.
    """
    part = evaluated_segments(split)
    (base_name, base), *others = fingerprints.items()
    problems = []
    for name, other in others:
        own, theirs = base.data[part], other.data[part]
        tasks = [task for task in own if task in theirs and own[task] != theirs[task]]
        if tasks:
            differing = [key for key in TRUTH_SETTINGS if base.settings.get(key) != other.settings.get(key)]
            reason = (
                "; ".join(f"{key} is {base.settings.get(key)!r} and {other.settings.get(key)!r}" for key in differing)
                or f"their annotation, their lengths or the choice of the {split} recordings differ"
            )
            problems.append(
                f"{base_name} and {name} can't be paired: the {split} recordings of {', '.join(map(repr, tasks))} have "
                f"different truths ({reason})"
            )
    if problems:
        raise DataError(problems)


def comparison_table(
    evaluations: Mapping[str, Sequence[Result]], variant: str, metrics: Mapping[str, Metric] = METRICS
) -> str:
    """Mean of tasks of every evaluation, and the paired difference of each from the first.

    Args:
        evaluations: at least two, by the name to show.
        variant: which variant to compare.
        metrics: the table of metrics.
    """
    names = list(evaluations)
    base, *others = evaluations.values()
    shown = [base, *others, *(paired_differences(base, other, variant, metrics) for other in others)]
    columns = [{r.metric: r for r in results if (r.variant, r.task) == (variant, ALL_TASKS)} for results in shown]
    letters = [chr(ord("A") + i) for i in range(len(names))]
    header = ["metric (better)", *letters, *(f"{letter} - A" for letter in letters[1:])]
    rows = [
        [f"{metric} ({metrics[metric].better})", *(format_figure(column.get(metric)) for column in columns)]
        for metric in columns[0]
    ]
    said = [f"{letter}: {name}" for letter, name in zip(letters, names, strict=True)]
    said.append(f"{variant}, {ALL_TASKS}, 95 % intervals; differences are paired by video")
    return "\n".join([*said, "", format_table(header, rows)])
