"""Groups of runs compared, such as two losses with several seeds each: mean, spread, paired difference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.checkpoints.fingerprint import Fingerprint
from utils.errors import DataError
from utils.evaluation.checkpoint import METRICS_VERSION, EvaluationRequest
from utils.evaluation.notes import NoteKind
from utils.evaluation.results import ALL_TASKS, METRICS_FILE, Result, read_results
from utils.metrics.intervals import Interval, difference_of_runs
from utils.metrics.table import METRICS, Metric, Needs

WITHOUT_PAIRS = "paired by the mean over the pairs that a recording begins"
# What a reader of the table must know; the rest is said of each evaluation, or of its missing interval.
KINDS = (NoteKind.KNOWS_THE_END, NoteKind.NOT_CAUSAL, NoteKind.LONE_TEST_VIDEO, NoteKind.WITHOUT_TASKS)


@dataclass(frozen=True)
class GroupFigure:
    """A metric of one group.

    Attributes:
        metric: its name.
        group: the group's.
        runs: how many it has.
        mean: over the runs of each one's figure, its mean over tasks; None if a run has none.
        deviation: standard deviation of these over the runs (n - 1); None for a single run.
        difference: the group minus the first one, on the recordings that all runs of both have; None for the first
            group, or if there is no such recording.
        recordings: how many those are.
        notes: what a reader must know.
    """

    metric: str
    group: str
    runs: int
    mean: float | None
    deviation: float | None
    difference: Interval | None
    recordings: int
    notes: tuple[str, ...] = ()


def compare_groups(
    groups: Mapping[str, Sequence[Sequence[Result]]], variant: str, metrics: Mapping[str, Metric] = METRICS
) -> list[GroupFigure]:
    """The figures of every group and its difference from the first, by metric, then by group.

    Args:
        groups: by name, the figures of each run of the group; at least two groups.
        variant: which variant to compare.
        metrics: the table of metrics.

    Raises:
        DataError: no group has a metric of a recording in common with the first.
    """
    chosen = {
        name: [{(r.metric, r.task): r for r in run if r.variant == variant} for run in runs]
        for name, runs in groups.items()
    }
    base, *_ = chosen.values()
    figures = []
    for metric in dict.fromkeys(metric for runs in chosen.values() for run in runs for metric, _ in run):
        for name, runs in chosen.items():
            difference, recordings, notes = None, 0, []
            if runs is not base:
                difference, recordings, notes = _difference(base, runs, metrics[metric])
            totals = [run.get((metric, ALL_TASKS)) for run in runs]
            values = [total.mean for total in totals if total is not None and total.mean is not None]
            said = [note.text for total in totals if total is not None for note in total.notes if note.kind in KINDS]
            if len(values) < len(runs):
                notes.append(f"{len(runs) - len(values)} of {len(runs)} runs of {name} have no figure")
            whole = len(values) == len(runs)
            figures.append(
                GroupFigure(
                    metric, name, len(runs), float(np.mean(values)) if whole else None,
                    float(np.std(values, ddof=1)) if whole and len(values) > 1 else None,
                    difference, recordings, tuple(dict.fromkeys([*said, *notes])),
                )
            )  # fmt: skip
    if all(figure.difference is None for figure in figures):
        raise DataError("the groups to compare have no metric of a common recording")
    return figures


def _difference(
    base: Sequence[Mapping[tuple[str, str], Result]], other: Sequence[Mapping[tuple[str, str], Result]], metric: Metric
) -> tuple[Interval | None, int, list[str]]:
    """Of two groups: the difference, on how many recordings, and what is to be said of it."""
    runs = [*base, *other]
    tasks = [task for name, task in runs[0] if name == metric.name and task != ALL_TASKS]
    first, second, recordings, alone, notes = [], [], 0, 0, []
    for task in tasks:
        results = [run[metric.name, task] for run in runs if (metric.name, task) in run]
        if len(results) < len(runs):
            notes.append(f"the difference is without {task}, which some runs lack")
            continue
        values = _common_figures(results)
        number = len({handle for result in results for handle in result.values})
        if values is None:
            alone += number
            if not number:
                notes.append("one figure for all recordings at once, so that no difference is paired")
            continue
        if metric.needs is Needs.PAIRS and values.ndim == 2:
            notes.append(WITHOUT_PAIRS)
        alone += number - values.shape[1]
        recordings += values.shape[1]
        first.append(values[: len(base)])
        second.append(values[len(base) :])
    if alone:
        notes.append(f"the difference is without {alone} recordings that some runs lack")
    if not first:
        return None, 0, notes
    return metric.clipped(difference_of_runs(first, second), is_difference=True), recordings, notes


def _common_figures(results: Sequence[Result]) -> np.ndarray | None:
    """Figures (k, n) or, of pairs, (k, n, n) of the recordings that all runs have; NaN where one lacks a pair."""
    of_pairs = [result.pairs for result in results]
    if all(of_pairs):
        handles = [handle for handle in of_pairs[0] if all(handle in pairs for pairs in of_pairs)]
        values = np.array([[[pairs[a].get(b, np.nan) for b in handles] for a in handles] for pairs in of_pairs])
        if len(handles):
            values[:, np.isnan(values).any(axis=0)] = np.nan
            exists = ~np.isnan(values[0])
            having = exists.any(axis=0) | exists.any(axis=1)
            values = values[:, having][:, :, having]
    else:
        handles = [handle for handle in results[0].values if all(handle in result.values for result in results)]
        values = np.array([[result.values[handle] for handle in handles] for result in results])
        if results[0].weights and handles:
            # A mean over frames, as the mean over recordings of what `Measured.interval` takes it for.
            weights = np.array([results[0].weights[handle] for handle in handles])
            means = np.average(values, axis=1, weights=weights)[:, None]
            values = means + (values - means) * weights / weights.mean()
    return values if values.size else None


class StoredEvaluation(NamedTuple):
    """The figures of an evaluation, and what they were made from."""

    results: list[Result]
    fingerprint: Fingerprint


def read_evaluation_folder(folder: Path, request: EvaluationRequest) -> StoredEvaluation:
    """The figures of an evaluation that lies in a folder, of a checkpoint or of embeddings.

    Args:
        folder: with a `metrics.json`.
        request: what the others are evaluated on.

    Raises:
        DataError: it can't be read, or is of another split, other tasks or another version of the metrics.
    """
    path = folder / METRICS_FILE
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        asked, results = description["request"], read_results(description)
        found, fingerprint = (asked["split"], tuple(asked["tasks"])), Fingerprint.read(description.get("fingerprint"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} can't be read: {error!r}") from error
    if found != (request.split, request.tasks):
        said, expected = (f"split {split}, tasks {list(tasks) or 'all'}" for split, tasks in (
            found, (request.split, request.tasks)
        ))  # fmt: skip
        raise DataError(f"{path} is of {said}; expected {expected}")
    if fingerprint.metrics.get("version") != METRICS_VERSION:
        raise DataError(f"{path} is of another version of the metrics; evaluate again")
    return StoredEvaluation([r for r in results if request.wants(METRICS[r.metric])], fingerprint)
