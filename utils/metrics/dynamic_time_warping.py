"""Dynamic time warping: the cheapest monotone alignment of two sequences."""

from __future__ import annotations

import numpy as np


def dynamic_time_warping_path(cost: np.ndarray) -> np.ndarray:
    """Path from (0, 0) to (N - 1, M - 1) with the least sum of costs (Sakoe and Chiba, 1978).

        R[i, j] = cost[i, j] + min(R[i - 1, j - 1], R[i - 1, j], R[i, j - 1])

    One antidiagonal at a time, whose cells don't depend on each other.

    Args:
        cost: (N, M) finite, N and M at least 1.

    Returns:
        (K, 2) int64 pairs of indices along the path, max(N, M) <= K < N + M; where steps cost the same, the
        diagonal one comes first.
    """
    rows, columns = cost.shape
    step = np.zeros((rows, columns), dtype=np.int8)
    # By row, with one cell before the first: the antidiagonal before this one, and the one before that.
    previous, before_previous = np.full(rows + 1, np.inf), np.full(rows + 1, np.inf)
    before_previous[0] = 0.0  # the virtual cell (-1, -1) from which the path starts
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        choices = np.stack([before_previous[i], previous[i], previous[i + 1]])
        best = choices.argmin(axis=0)
        step[i, diagonal - i] = best
        current = np.full(rows + 1, np.inf)
        current[i + 1] = cost[i, diagonal - i] + choices[best, np.arange(len(i))]
        previous, before_previous = current, previous
    moves = ((1, 1), (1, 0), (0, 1))
    i, j = rows - 1, columns - 1
    path = [(i, j)]
    while i > 0 or j > 0:
        down, right = moves[step[i, j]]
        i, j = i - down, j - right
        path.append((i, j))
    return np.array(path[::-1])
