"""Distributions of progress over a grid from 0 to 1, from which a read-out answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GRID = np.linspace(0.0, 1.0, 101)


def on_grid(progress: np.ndarray) -> np.ndarray:
    """A point mass at each progress, divided between its two neighbours of the grid: (n, 101) float32."""
    place = np.clip(progress, 0, 1) * (len(GRID) - 1)
    below = np.minimum(place.astype(np.int64), len(GRID) - 2)
    share = (place - below).astype(np.float32)
    mass = np.zeros((len(progress), len(GRID)), dtype=np.float32)
    rows = np.arange(len(progress))
    mass[rows, below] = 1 - share
    mass[rows, below + 1] = share
    return mass


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
    rows = np.arange(len(mass))
    found = np.empty((len(mass), len(shares)))
    step = GRID[1]
    for number, share in enumerate(shares):
        at = np.minimum((below < share).sum(axis=1), len(GRID) - 1)
        upper = below[rows, at]
        lower = np.where(at > 0, below[rows, at - 1], 0.0)
        inside = np.divide(share - lower, upper - lower, out=np.full(len(mass), 0.5), where=upper > lower)
        found[:, number] = GRID[at] + (np.clip(inside, 0, 1) - 0.5) * step
    return np.clip(found, 0.0, 1.0)
