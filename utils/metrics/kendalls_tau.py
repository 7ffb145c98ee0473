"""Kendall's tau (KT): whether nearest neighbours keep the order of time."""

from __future__ import annotations

import math

import numpy as np

from utils.metrics.ordered_counts import count_smaller_before


def kendalls_tau(neighbours: np.ndarray) -> float | np.ndarray:
    """Kendall's tau-b of the frames of U and their nearest neighbours in V (TCC, CVPR 2019, section 4.1).

        tau-b = (concordant - discordant) / sqrt(P (P - ties in neighbours)),  P = N (N - 1) / 2

    where time has no ties. Meant for videos that show the same actions in the same order; see
    `kendalls_tau_in_the_wild` for the others.

    Args:
        neighbours: (N,) int >= 0, nearest neighbour in V of every frame of U; or (B, N), several of them.

    Returns:
        1 for the same order, -1 for the reverse, 0 if all neighbours are one frame; NaN for fewer than two
        frames. For several, (B,) float64.
    """
    several = np.atleast_2d(neighbours)
    number, count = several.shape
    if count < 2:
        return np.full(number, math.nan) if np.ndim(neighbours) == 2 else math.nan
    bound = int(several.max()) + 1
    row = np.arange(number)[:, None]
    occurrences = np.bincount((row * bound + several).ravel(), minlength=number * bound).reshape(number, bound)
    pairs, ties = count * (count - 1) // 2, (occurrences * (occurrences - 1) // 2).sum(axis=1)
    before = np.broadcast_to(np.arange(count), several.shape)
    (concordant,) = count_smaller_before(several, before, several[None], bound)
    discordant = pairs - ties - concordant
    # Where all neighbours are one frame tau-b is 0 / 0; a collapsed embedding tells nothing about order.
    collapsed = ties == pairs
    tau = (concordant - discordant) / np.sqrt(float(pairs) * np.where(collapsed, 1, pairs - ties))
    return tau if np.ndim(neighbours) == 2 else float(tau[0])
