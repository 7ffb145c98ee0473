"""The checkpoints of a run beside each other, in one table with what each has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from utils.evaluation.results import Result
from utils.evaluation.variants import VARIANTS, Kind
from utils.metrics.table import METRICS, Metric
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED

FIRST = ("best_model_combined.pt", "best_model_alignment.pt")
NAIVE = "best naive guess"


@dataclass(frozen=True)
class SideBySide:
    """Evaluations of the same split and tasks.

    Attributes:
        evaluations: the best combined checkpoint's, the best alignment checkpoint's, then the others'.
        task: of which the figures are.
        others: the names of the columns after those of the checkpoints.
        rows: a metric each, with the figures of the checkpoints' trained networks, then of `others`.
        same_weights: the names of evaluations whose networks are one and the same.
    """

    evaluations: Sequence[Mapping[str, Any]]
    task: str
    others: Sequence[str]
    rows: Sequence[tuple[Metric, Sequence[Result | None]]]
    same_weights: Sequence[Sequence[str]]


def side_by_side(
    evaluations: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric] = METRICS
) -> list[SideBySide]:
    """One table for every split and set of tasks that several evaluations share.

    Args:
        evaluations: what `read_evaluation` gives of each.
        metrics: the table of metrics; those that know the end, which show no learning, are left out, and so are those
            that only tell another one in another way.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for each in evaluations:
        key = (each["data_set"], each["split"], *(task["name"] for task in each["tasks"]))
        groups.setdefault(key, []).append(each)
    return [_table(group, metrics) for group in groups.values() if len(group) > 1]


def place_of(evaluation: Mapping[str, Any]) -> tuple[bool, int, str]:
    """Where an evaluation stands in a report: those of the test split first, and of them the best combined and the
    best alignment checkpoint."""
    checkpoint = evaluation["checkpoint"]
    place = FIRST.index(checkpoint) if checkpoint in FIRST else len(FIRST)
    return evaluation["split"] != "test", place, evaluation["name"]


def _table(group: Sequence[Mapping[str, Any]], metrics: Mapping[str, Metric]) -> SideBySide:
    group = sorted(group, key=place_of)
    figures = [{(r.metric, r.variant): r for r in each["results"] if r.task == each["task"]} for each in group]
    shown = dict.fromkeys(metric for of_one in figures for metric, variant in of_one if variant == TRAINED)
    rows = []
    for name in shown:
        metric = metrics[name]
        if metric.needs.knows_the_end or metric.beside:
            continue
        # What isn't trained is the same for every checkpoint: the first that has it is taken.
        common = {key: result for of_one in reversed(figures) for key, result in of_one.items() if key[0] == name}
        rows.append((metric, [
            *(of_one.get((name, TRAINED)) for of_one in figures),
            best_naive_guess(metric, list(common.values())),
            *(common.get((name, source)) for source in (RAW, UNTRAINED)),
        ]))  # fmt: skip
    by_weights: dict[str, list[str]] = {}
    for each in group:
        if each["weights"]:
            by_weights.setdefault(each["weights"], []).append(each["name"])
    same = [names for names in by_weights.values() if len(names) > 1]
    return SideBySide(group, group[0]["task"], (NAIVE, RAW, UNTRAINED), rows, same)


def best_naive_guess(metric: Metric, results: Sequence[Result]) -> Result | None:
    """The best of those that see no features; None where there is none."""
    naive = [
        r for r in results if r.mean is not None and r.variant in VARIANTS and VARIANTS[r.variant].kind is Kind.NAIVE
    ]
    return (min if metric.better == "lower" else max)(naive, key=lambda r: r.mean, default=None)
