"""Kendall's tau (KT): whether nearest neighbours keep the order of time."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import kendalltau


def kendalls_tau(neighbours: np.ndarray) -> float | np.ndarray:
    """Kendall's tau-b of the frames of U and their nearest neighbours in V (TCC, CVPR 2019, section 4.1).

        tau-b = (concordant - discordant) / sqrt(P (P - ties in neighbours)),  P = N (N - 1) / 2

    because time has no ties. It is for videos that show the same actions in the same order; see
    `kendalls_tau_in_the_wild` for other videos.

    Args:
        neighbours: (N,) int >= 0, nearest neighbour in V of every frame of U; or (B, N) for several embeddings.

    Returns:
        1 for the same order, -1 for the reverse, 0 if all neighbours are one frame; NaN for fewer than two
        frames. For (B, N): (B,) float64.
    """
    several = np.atleast_2d(neighbours)
    tau = np.array([_tau(row) for row in several])
    return tau if np.ndim(neighbours) == 2 else float(tau[0])


def _tau(neighbours: np.ndarray) -> float:
    if len(neighbours) < 2:
        return math.nan
    if (neighbours == neighbours[0]).all():
        return 0.0  # tau-b is 0 / 0 here; a collapsed embedding contains no order
    return float(kendalltau(np.arange(len(neighbours)), neighbours).statistic)
