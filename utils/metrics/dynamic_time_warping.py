"""Dynamic time warping: the cheapest monotone alignment of two sequences."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

DIAGONAL, DOWN, RIGHT = 0, 1, 2
_MOVES = {DIAGONAL: (1, 1), DOWN: (1, 0), RIGHT: (0, 1)}


def dynamic_time_warping_path(cost: np.ndarray) -> np.ndarray:
    """Path from (0, 0) to (N - 1, M - 1) with the least sum of costs (Sakoe and Chiba, 1978).

        R[i, j] = cost[i, j] + min(R[i - 1, j - 1], R[i - 1, j], R[i, j - 1])

    Args:
        cost: (N, M) finite, N and M at least 1.

    Returns:
        (K, 2) int64 pairs of indices along the path, max(N, M) <= K < N + M. Of steps with equal costs, the diagonal
        one is preferred.
    """
    return path_through_rows(cost, cost.shape)


def path_through_rows(rows: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """`dynamic_time_warping_path` for costs that are given row by row, so that they are never all in memory.

    Within a row, the path comes from above at some column k <= j and then goes right, so

        R[i, j] = C[j] + min_{k <= j} (above[k] - C[k - 1]),   above[k] = min(R[i - 1, k - 1], R[i - 1, k])

    with C the running sum of the row's costs: a running minimum instead of a loop over columns. After many summed
    costs, rounding errors may decide between two paths of equal cost.

    Args:
        rows: the N rows of the costs, (M,) each, finite.
        shape: (N, M). The step into each cell is stored, N M bytes: 100 MB for two sequences of 10,000 frames.
    """
    step = np.empty(shape, dtype=np.int8)
    before = np.full(shape[1] + 1, np.inf)  # the row before, with a cell before the first
    before[0] = 0.0  # the virtual cell (-1, -1) from which the path starts
    running = np.zeros(shape[1] + 1)
    for own_step, costs in zip(step, rows, strict=True):
        np.cumsum(costs, dtype=np.float64, out=running[1:])
        diagonal, down = before[:-1], before[1:]
        from_above = np.minimum(diagonal, down)
        from_above -= running[:-1]
        best = np.minimum.accumulate(from_above)
        np.less(down, diagonal, out=own_step, casting="unsafe")
        own_step[best < from_above] = RIGHT
        before = np.concatenate([[np.inf], best + running[1:]])
    i, j = shape[0] - 1, shape[1] - 1
    path = [(i, j)]
    while i > 0 or j > 0:
        down, right = _MOVES[int(step[i, j])]
        i, j = i - down, j - right
        path.append((i, j))
    return np.array(path[::-1])
