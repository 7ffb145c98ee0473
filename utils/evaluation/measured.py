"""What a metric found on one task, recording by recording, and the mean and interval of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.evaluation.notes import Note, NoteKind
from utils.evaluation.variants import ROW_OF_SEED
from utils.metrics.intervals import Interval, mean_interval, mean_interval_of_runs, pair_mean_interval
from utils.metrics.table import Metric


@dataclass(frozen=True)
class Measured:
    """What a metric found of one variant on one task, before anything is averaged.

    Attributes:
        metric: the metric.
        variant: what was measured.
        values: (n,) a figure per test video, or (n, n) per ordered pair of them; NaN where there is none. Or () one
            figure for all videos at once.
        notes: what a reader must know.
        missing: why a video has no figure, if not for the metric's own reason.
        weights: (n,) how many frames of each video count, where the mean is over frames; None for a mean over videos.
        runs: (k, n) or (k, n, n), the figures of k networks whose mean `values` are; None for those of one.
    """

    metric: Metric
    variant: str
    values: np.ndarray
    notes: tuple[Note, ...] = ()
    missing: str = ""
    weights: np.ndarray | None = None
    runs: np.ndarray | None = None

    def interval(self) -> Interval:
        """Mean over videos, pairs or frames, with its interval; that over runs holds for other runs too.

        A mean over frames is a ratio of two sums over videos, sum w v / sum w. To first order it varies as the mean
        of m + w (v - m) / mean w does, with m the ratio, which is how its error is estimated (Cochran, "Sampling
        Techniques", 3rd edition, section 6.3).
        """
        if not self.values.ndim:
            return mean_interval(self.values[None])
        values = self.values if self.runs is None else self.runs
        if self.weights is not None:
            exists = ~np.isnan(values)
            weights = np.where(exists, self.weights, 0.0)
            total = weights.sum(axis=-1, keepdims=True)
            mean = (weights * np.where(exists, values, 0.0)).sum(axis=-1, keepdims=True) / np.maximum(total, 1)
            number = exists.sum(axis=-1, keepdims=True)
            values = np.where(exists, mean + weights * (values - mean) * number / np.maximum(total, 1), np.nan)
        if self.runs is not None:
            return mean_interval_of_runs(values)
        return pair_mean_interval(values) if values.ndim == 2 else mean_interval(values)

    def of_runs(self) -> tuple[float, ...]:
        """The mean of each run; empty if there is one alone, or no figure."""
        if self.runs is None or np.isnan(self.values).all():
            return ()
        return tuple(replace(self, values=run, runs=None).interval().mean for run in self.runs)

    def minus(self, other: Measured) -> Measured:
        """The difference from another variant of the same metric and videos, paired by video or pair."""
        runs = None if other.runs is None else self.values - other.runs
        return replace(self, values=self.values - other.values, runs=runs)


def mean_of_seeds(measured: Sequence[Measured]) -> list[Measured]:
    """The same, with the untrained networks of several seeds made one: figures of a video that one of them lacks
    are left out of all."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    for found in measured:
        row = ROW_OF_SEED.get(found.variant, found.variant)
        groups.setdefault((found.metric.name, row), []).append(found)
    merged = []
    for (_, row), group in groups.items():
        if len(group) == 1:
            merged.append(replace(group[0], variant=row))
            continue
        runs = np.stack([found.values for found in group])
        values = runs.mean(axis=0)
        runs = np.where(np.isnan(values), np.nan, runs)
        found = replace(group[0], variant=row, values=values, runs=runs)
        if each := found.of_runs():
            found = replace(found, notes=(*found.notes, over_seeds(each)))
        merged.append(found)
    return merged


def over_seeds(runs: Sequence[float]) -> Note:
    """What is said of a figure that is a mean over networks of several seeds, given that of each."""
    text = f"mean of {len(runs)} networks of different seeds, from {min(runs):.3f} to {max(runs):.3f}"
    return Note(NoteKind.OVER_SEEDS, text)
