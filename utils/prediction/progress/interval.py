"""Intervals of progress with a stated coverage, from errors on recordings that a read-out was not fitted to.

Split conformal prediction with quantile scores (Romano, Patterson, Candes, "Conformalized quantile regression", 2019):
what is wanted of each frame is by how much its truth lies outside the interval; the interval is widened by the quantile
of these misses. Frames of one recording are not independent, so that the coverage is one of frames of many recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COVERAGE = 0.8
BOUNDS = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
KNOTS = np.linspace(0.0, 1.0, 11)
NEAR = 0.1  # of progress, errors of frames predicted so near count for a knot


@dataclass(frozen=True)
class Interval:
    """What is added to a prediction.

    Attributes:
        lower, upper: (11,) what is added to the lower and the upper bound where the prediction is 0, .1, ... 1.
        coverage: the share of frames of new recordings whose truth the interval holds.
    """

    lower: np.ndarray
    upper: np.ndarray
    coverage: float = COVERAGE

    def bounds(self, progress: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The interval around predictions.

        Args:
            progress, lower, upper: (n,) predictions, and the bounds that the read-out itself gives.
        """
        low = np.clip(lower + np.interp(progress, KNOTS, self.lower), 0, 1)
        high = np.clip(upper + np.interp(progress, KNOTS, self.upper), 0, 1)
        return np.minimum(low, progress), np.maximum(high, progress)


def fit_interval(
    progress: Sequence[np.ndarray],
    lower: Sequence[np.ndarray],
    upper: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
) -> Interval:
    """The interval of a read-out from predictions of recordings that it was not fitted to.

    Args:
        progress, lower, upper: (T_i,) predictions and the read-out's own bounds of each recording; a read-out without
            bounds gives its prediction for all three.
        truth: (T_i,) true progress.
    """
    predicted = np.concatenate(progress)
    low, high, true = (np.concatenate(values) for values in (lower, upper, truth))
    # Every recording counts the same, however long it is.
    weight = np.concatenate([np.full(len(curve), 1 / len(curve)) for curve in truth])
    below, above = np.empty(len(KNOTS)), np.empty(len(KNOTS))
    for number, knot in enumerate(KNOTS):
        near = np.exp(-0.5 * np.square((predicted - knot) / NEAR)) * weight
        # Few frames near a knot would give a bound by chance: all frames count a little.
        near += 0.02 * weight * near.sum() / weight.sum() + 1e-12 * weight
        below[number] = _quantile(true - low, near, BOUNDS[0])
        above[number] = _quantile(true - high, near, BOUNDS[1])
    return Interval(below, above)


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, share * total[-1]).clip(0, len(values) - 1)])
