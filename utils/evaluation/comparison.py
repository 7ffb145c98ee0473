"""Paired differences between evaluations: the same videos under two checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from utils.errors import DataError
from utils.evaluation.results import (
    ALL_TASKS,
    Result,
    mean_over_tasks,
    summarise,
    task_counts,
)
from utils.evaluation.tables import format_figure, format_table


def paired_differences(first: Sequence[Result], second: Sequence[Result], variant: str) -> list[Result]:
    """Second minus first for every metric, video by video, with bootstrap intervals over videos.

    A pairwise metric enters by its mean over the pairs that a video begins.

    Args:
        first, second: figures of two evaluations.
        variant: which variant to compare.

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
        handles = [handle for handle in own.values if handle in other.values]
        if not handles:
            continue
        values = np.array([other.values[handle] - own.values[handle] for handle in handles])
        alone = len(set(own.values) ^ set(other.values))
        note = f"{alone} videos are in one evaluation only" if alone else ""
        differences.append(
            summarise(
                other.metric,
                variant,
                other.task,
                handles,
                values,
                task_counts(other.task, len(handles)),
                "no figure",
                note,
            )
        )
    if not differences:
        raise DataError("the evaluations to compare have no metric of a common video")
    return [*differences, *mean_over_tasks(differences)]


def comparison_table(evaluations: Mapping[str, Sequence[Result]], variant: str) -> str:
    """Mean of tasks of every evaluation, and the paired difference of each from the first.

    Args:
        evaluations: at least two, by the name to show.
        variant: which variant to compare.
    """
    names = list(evaluations)
    means = {
        name: {r.metric: r for r in results if r.variant == variant and r.task == ALL_TASKS}
        for name, results in evaluations.items()
    }
    differences = {
        name: {
            r.metric: r
            for r in paired_differences(evaluations[names[0]], evaluations[name], variant)
            if r.task == ALL_TASKS
        }
        for name in names[1:]
    }
    letters = [chr(ord("A") + i) for i in range(len(names))]
    header = ["metric (better)", *letters, *(f"{letter} - A" for letter in letters[1:])]
    rows = []
    for metric in means[names[0]]:
        better = "lower" if metric.startswith(("OPE", "EAE")) else "higher"
        rows.append(
            [
                f"{metric} ({better})",
                *(format_figure(means[name].get(metric)) for name in names),
                *(format_figure(differences[name].get(metric)) for name in names[1:]),
            ]
        )
    return "\n".join(
        [
            *(f"{letter}: {name}" for letter, name in zip(letters, names, strict=True)),
            f"{variant}, {ALL_TASKS}, 95 % bootstrap intervals; differences are paired by video",
            "",
            format_table(header, rows),
        ]
    )
