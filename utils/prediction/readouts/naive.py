"""Progress by counting frames: guesses that look at nothing, against which every read-out is judged.

"Is there progress in activity progress prediction?" (de Boer et al., 2023) found that no published network beat them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class CountReadout:
    """Progress that depends on the number of the frame alone.

    Attributes:
        curve: (n,) progress at each number; past its end the last value.
    """

    curve: np.ndarray

    def start(self) -> _CountState:
        return _CountState(self.curve)


class _CountState:
    """How many frames have been."""

    def __init__(self, curve: np.ndarray):
        self._curve, self._received = curve, 0

    def update(self, embedding: Tensor | np.ndarray) -> np.ndarray:
        numbers = self._received + np.arange(len(embedding))
        self._received += len(embedding)
        return self._curve[np.minimum(numbers, len(self._curve) - 1)].astype(np.float64)


def mean_of_running(curves: Sequence[np.ndarray]) -> np.ndarray:
    """Mean at each index over the curves that are still running there, (longest,) float64."""
    total, running = np.zeros(max(map(len, curves))), np.zeros(max(map(len, curves)))
    for curve in curves:
        total[: len(curve)] += curve
        running[: len(curve)] += 1
    return total / running


def fit_index(progress: Sequence[np.ndarray]) -> CountReadout:
    """Mean true progress of the training recordings at the same frame; 1 past the longest.

    Args:
        progress: (T_i,) true progress of each, at least one.
    """
    return CountReadout(np.append(mean_of_running(progress), 1.0))


def fit_clock(progress: Sequence[np.ndarray]) -> CountReadout:
    """Time over the mean length of the training recordings, at most 1."""
    mean_length = float(np.mean([len(curve) for curve in progress]))
    return CountReadout(np.minimum(1.0, np.arange(int(mean_length) + 2) / mean_length))
