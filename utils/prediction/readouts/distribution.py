"""Distributions of progress over a grid from 0 to 1, from which a read-out answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GRID = np.linspace(0.0, 1.0, 101)


class PointMasses:
    """A point mass at each of several values of progress, divided between its two neighbours of the grid.

    Args:
        progress: (n,) in [0, 1].
    """

    def __init__(self, progress: np.ndarray):
        place = np.clip(progress, 0, 1) * (len(GRID) - 1)
        self._below = np.minimum(place.astype(np.int64), len(GRID) - 2)
        self._share_above = place - self._below

    def sums(self, rows: np.ndarray, number: int) -> np.ndarray:
        """The sums of the masses that belong to the same row, (number, 101) float64.

        Args:
            rows: (n,) int64, the row of each.
            number: of rows.
        """
        cells = rows * len(GRID) + self._below
        size = number * len(GRID)
        summed = np.bincount(cells, 1 - self._share_above, size) + np.bincount(cells + 1, self._share_above, size)
        return summed.reshape(number, len(GRID))


def on_grid(progress: np.ndarray) -> np.ndarray:
    """The point mass of each progress over the grid: (n,) to (n, 101) float64."""
    return PointMasses(progress).sums(np.arange(len(progress)), len(progress))


def quantiles(mass: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles of distributions over the grid, linear between its points.

    Args:
        mass: (n, 101) at least 0, each row of positive sum.
        shares: in [0, 1].

    Returns:
        (n, len(shares)) float64 in [0, 1]. A point of the grid stands for the half steps on both of its sides.
    """
    below = np.cumsum(mass, axis=1, dtype=np.float64)
    below /= below[:, -1:]
    wanted = np.asarray(shares, dtype=np.float64)
    at = np.minimum((below[:, None] < wanted[:, None]).sum(axis=2), len(GRID) - 1)
    rows = np.arange(len(mass))[:, None]
    upper, lower = below[rows, at], np.where(at > 0, below[rows, at - 1], 0.0)
    inside = np.divide(wanted - lower, upper - lower, out=np.full(at.shape, 0.5), where=upper > lower)
    found = GRID[at] + (np.minimum(np.maximum(inside, 0), 1) - 0.5) * GRID[1]
    return np.minimum(np.maximum(found, 0.0), 1.0)
