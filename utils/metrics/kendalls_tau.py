"""Kendall's tau (KT): whether nearest neighbours keep the order of time."""

from __future__ import annotations

import math

import numpy as np


def kendalls_tau(neighbours: np.ndarray, block: int = 256) -> float:
    """Kendall's tau-b of the frames of U and their nearest neighbours in V (TCC, CVPR 2019, section 4.1).

        tau-b = (concordant - discordant) / sqrt(P (P - ties in neighbours)),  P = N (N - 1) / 2

    where time has no ties. Meant for videos that show the same actions in the same order; see
    `kendalls_tau_in_the_wild` for the others.

    Args:
        neighbours: (N,) int >= 0, nearest neighbour in V of every frame of U.
        block: rows of the comparison of pairs held at once.

    Returns:
        1 for the same order, -1 for the reverse, 0 if all neighbours are one frame; NaN for fewer than two
        frames.
    """
    neighbours = np.asarray(neighbours)
    count = len(neighbours)
    if count < 2:
        return math.nan
    occurrences = np.bincount(neighbours)
    pairs, ties = count * (count - 1) // 2, int((occurrences * (occurrences - 1) // 2).sum())
    if ties == pairs:  # tau-b is 0 / 0; a collapsed embedding tells nothing about order
        return 0.0
    # Narrow integers: the comparisons below go through all pairs and are bound by memory.
    found = neighbours.astype(np.int16 if len(occurrences) < np.iinfo(np.int16).max else np.int32)
    concordant = 0
    for start in range(0, count, block):
        rows = found[start : start + block, None]
        concordant += np.count_nonzero(np.triu(rows < found[start : start + block], 1))
        concordant += np.count_nonzero(rows < found[start + block :])
    discordant = pairs - ties - concordant
    return (concordant - discordant) / math.sqrt(pairs * (pairs - ties))
