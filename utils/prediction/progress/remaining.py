"""How long a recording will still take, from its progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.prediction.readouts.distribution import GRID


@dataclass(frozen=True)
class RemainingTime:
    """Mean remaining time by predicted progress.

    Attributes:
        frames: (101,) frames that remained, on average, when progress was predicted to be 0, .01, ... 1; never rising.
    """

    frames: np.ndarray

    def read(self, progress: np.ndarray) -> np.ndarray:
        """Frames that remain, (n,) float64."""
        return np.interp(progress, GRID, self.frames)


def fit_remaining(progress: Sequence[np.ndarray]) -> RemainingTime:
    """From predictions of recordings that the read-out was not fitted to; every recording counts the same.

    Args:
        progress: (T_i,) predictions. What remains after frame t of T is T - 1 - t frames.

    The mean over the frames predicted near a point of the grid, made monotone by pooling (Barlow et al. 1972).
    """
    total, weight = np.zeros(len(GRID)), np.zeros(len(GRID))
    for curve in progress:
        remaining = len(curve) - 1 - np.arange(len(curve))
        place = np.rint(np.clip(curve, 0, 1) * (len(GRID) - 1)).astype(np.int64)
        total += np.bincount(place, remaining / len(curve), len(GRID))
        weight += np.bincount(place, minlength=len(GRID)) / len(curve)
    known = np.flatnonzero(weight)
    blocks: list[list[float]] = []  # mean, weight, points
    for point in known:
        blocks.append([total[point] / weight[point], weight[point], 1])
        while len(blocks) > 1 and blocks[-1][0] > blocks[-2][0]:
            mean, heavy, points = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + mean * heavy) / (before[1] + heavy)
            before[1] += heavy
            before[2] += points
    values = np.concatenate([np.full(int(points), mean) for mean, _, points in blocks])
    return RemainingTime(np.interp(GRID, GRID[known], values))
