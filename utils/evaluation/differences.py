"""Paired differences of the trained network from what it competes with: naive guesses, its input, its own beginning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.evaluation.measured import Measured
from utils.evaluation.variants import VARIANTS, Kind
from utils.metrics.intervals import Interval, interval_over_tasks, mean_interval
from utils.metrics.table import Metric
from utils.registry import AUTO

BEATS, NOT_SHOWN, WORSE = "beats", "not shown to beat", "worse than"
COMPETITORS = (Kind.NAIVE, Kind.RAW, Kind.UNTRAINED)
DIFFERENCE_COLUMNS = (
    "metric", "variant", "task", "kind", "against", "mean", "low", "high", "number_of_videos", "verdict",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """How far a variant's figure lies from another's on the same videos.

    Attributes:
        against: the other variant.
        kind: what it is; see `Kind`.
        mean: this one's figure minus the other's.
        low, high: 95 % interval of the difference, paired by video or pair of videos; None if there is none.
        number_of_videos: how many have both figures.
        verdict: BEATS or WORSE if the interval excludes 0, else NOT_SHOWN.
        interval: what the interval over tasks is made from.
    """

    against: str
    kind: Kind
    mean: float
    low: float | None
    high: float | None
    number_of_videos: int
    verdict: str
    interval: Interval | None = field(default=None, repr=False, compare=False)

    def as_description(self) -> dict[str, Any]:
        """Plain values for `metrics.json`; `read_difference` reads them."""
        return {
            "against": self.against, "kind": self.kind.value, "mean": self.mean, "low": self.low, "high": self.high,
            "number_of_videos": self.number_of_videos, "verdict": self.verdict,
        }  # fmt: skip


def read_difference(description: dict[str, Any]) -> Difference:
    """From what `as_description` gave.

    Raises:
        KeyError, TypeError, ValueError: it isn't that.
    """
    return Difference(**{**description, "kind": Kind(description["kind"])})


def differences_of(measured: Sequence[Measured]) -> dict[tuple[str, str], tuple[Difference, ...]]:
    """By metric and trained variant, its differences from every naive guess, and from raw features and untrained
    networks by the same read-out.

    Args:
        measured: all that was found on a task.
    """
    found: dict[tuple[str, str], tuple[Difference, ...]] = {}
    for own in measured:
        variant = VARIANTS.get(own.variant)
        if variant is None or variant.kind is not Kind.TRAINED or not own.values.ndim:
            continue
        differences = []
        for other in measured:
            rival = VARIANTS.get(other.variant)
            if other.metric.name != own.metric.name or rival is None or rival.kind not in COMPETITORS:
                continue
            # What was chosen may read anything: it is compared with the path, the plainest read-out.
            compared = "" if variant.readout == AUTO else variant.readout
            if rival.kind is not Kind.NAIVE and rival.readout != compared:
                continue
            gap = own.minus(other)
            values = np.where(np.eye(len(gap.values), dtype=bool), np.nan, gap.values) if gap.values.ndim == 2 else (
                gap.values
            )
            exists = ~np.isnan(values)
            number = int((exists if exists.ndim == 1 else exists.any(axis=0) | exists.any(axis=1)).sum())
            if number:
                differences.append(_difference(own.metric, other.variant, rival.kind, gap.interval(), number))
        found[own.metric.name, own.variant] = tuple(differences)
    return found


def differences_over_tasks(metric: Metric, tasks: Sequence[Sequence[Difference]]) -> tuple[Difference, ...]:
    """The means of the tasks' differences from every variant that all tasks have, each task counting the same.

    Args:
        metric: what was measured.
        tasks: the differences of each task that has a figure.
    """
    groups: dict[str, list[Difference]] = {}
    for differences in tasks:
        for difference in differences:
            groups.setdefault(difference.against, []).append(difference)
    return tuple(
        _difference(
            metric, against, group[0].kind, over_tasks([d.interval for d in group])[0],
            sum(d.number_of_videos for d in group),
        )
        for against, group in groups.items()
        if len(group) == len(tasks) and all(d.interval is not None for d in group)
    )  # fmt: skip


def over_tasks(intervals: Sequence[Interval]) -> tuple[Interval, bool]:
    """The mean of the tasks' means, and whether its interval is over tasks: it is over the recordings of the same
    tasks if each task has two, else over tasks if there are enough."""
    interval = interval_over_tasks(intervals)
    if interval.exists:
        return interval, False
    by_task = mean_interval(np.array([each.mean for each in intervals]))
    return (by_task, True) if by_task.exists else (interval, False)


def best_naive(metric: Metric, differences: Iterable[Difference]) -> Difference | None:
    """That from the best naive guess. Since all differences are from one figure, it is the least favourable one."""
    naive = [d for d in differences if d.kind is Kind.NAIVE]
    return (max if metric.better == "lower" else min)(naive, key=lambda d: d.mean, default=None)


def chief_differences(metric: Metric, differences: Sequence[Difference]) -> list[Difference]:
    """Those that a reader is told: from the best naive guess, from raw features, from untrained networks."""
    best = best_naive(metric, differences)
    return [*([best] if best else []), *(d for kind in COMPETITORS[1:] for d in differences if d.kind is kind)]


def _difference(metric: Metric, against: str, kind: Kind, interval: Interval, number: int) -> Difference:
    interval = metric.clipped(interval, is_difference=True)
    verdict = NOT_SHOWN
    if interval.exists and not interval.low <= 0 <= interval.high:
        verdict = BEATS if (interval.high < 0) == (metric.better == "lower") else WORSE
    low, high = (interval.low, interval.high) if interval.exists else (None, None)
    return Difference(against, kind, interval.mean, low, high, number, verdict, interval)
