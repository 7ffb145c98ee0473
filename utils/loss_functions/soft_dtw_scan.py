"""Soft-DTW on a CPU, compiled with numba: the recursion of `soft_dtw.py`, one matrix at a time.

Cells of an anti-diagonal don't depend on each other, so they are the lanes of a vector. Rows are processed in
strips of `LANES` rows. In a strip, at step s, lane l is at column s - l, one column behind the lane above. So the
cell above was computed by lane l - 1 at step s - 1, the cell to the left by lane l at step s - 1, and the diagonal
one by lane l - 1 at step s - 2. Three small arrays hold everything that a step reads, and only the last row of a
strip is passed to the next strip.

The exponential and the logarithm are polynomials, because a call to the C library can't be vectorised; they are
accurate to a few units in the last place of a double. Accumulated costs are doubles: after a path of 1000 frames,
the error of a float32 sum is larger than a small smoothing.
"""

import math

import numpy as np

from utils.errors import import_extra
from utils.loss_functions.compiled import compiled

njit = import_extra("numba", "speed", "the compiled soft-DTW").njit
LANES = 64
# Cost of a cell outside the matrix or the band. It is finite, so that the difference of two such costs is a number.
_OUTSIDE = 1e30
_LOG2_E = 1.0 / math.log(2.0)
# log(2) in two parts, the first with trailing zero bits, so that k * log(2) is exact for every exponent k.
_LOG_2_HIGH = 6.93147180369123816490e-01
_LOG_2_LOW = math.log(2.0) - _LOG_2_HIGH + 2.3190468138462996e-17
_SQRT_3 = math.sqrt(3.0)
_LOG_SQRT_3 = 0.5 * math.log(3.0)


@njit(inline="always")
def _exp(x):
    """exp(x) for x <= 0; exactly 0 below -700."""
    clamped = max(x, -700.0)
    exponent = math.floor(clamped * _LOG2_E + 0.5)
    rest = clamped - exponent * _LOG_2_HIGH - exponent * _LOG_2_LOW
    # Taylor series on |rest| <= log(2) / 2.
    series = 1.0 / 39916800.0
    series = series * rest + 1.0 / 3628800.0
    series = series * rest + 1.0 / 362880.0
    series = series * rest + 1.0 / 40320.0
    series = series * rest + 1.0 / 5040.0
    series = series * rest + 1.0 / 720.0
    series = series * rest + 1.0 / 120.0
    series = series * rest + 1.0 / 24.0
    series = series * rest + 1.0 / 6.0
    series = series * rest + 0.5
    series = series * rest + 1.0
    series = series * rest + 1.0
    power_of_two = np.int64((np.int64(exponent) + 1023) << 52).view(np.float64)
    return series * power_of_two if x > -700.0 else 0.0


@njit(inline="always")
def _log(x):
    """log(x) for 1 <= x <= 3, the sum of three exponentials whose largest is 1."""
    # log(x / c) = 2 artanh((x - c) / (x + c)) with c = sqrt(3), |argument| <= 0.268.
    z = (x - _SQRT_3) / (x + _SQRT_3)
    square = z * z
    series = 1.0 / 27.0
    series = series * square + 1.0 / 25.0
    series = series * square + 1.0 / 23.0
    series = series * square + 1.0 / 21.0
    series = series * square + 1.0 / 19.0
    series = series * square + 1.0 / 17.0
    series = series * square + 1.0 / 15.0
    series = series * square + 1.0 / 13.0
    series = series * square + 1.0 / 11.0
    series = series * square + 1.0 / 9.0
    series = series * square + 1.0 / 7.0
    series = series * square + 1.0 / 5.0
    series = series * square + 1.0 / 3.0
    series = series * square + 1.0
    return _LOG_SQRT_3 + 2.0 * z * series


@njit(inline="always")
def _columns_of(first, last, rows, columns, limit):
    """First column of row `first` and one past the last column of row `last` that lie in the band."""
    if rows == 1 or limit < 0:
        return 0, columns
    start = -((limit - first * (columns - 1)) // (rows - 1))
    stop = (last * (columns - 1) + limit) // (rows - 1) + 1
    return max(start, 0), min(stop, columns)


@njit(inline="always")
def _lanes_of(step, first, rows, columns, limit):
    """Range of the lanes that are inside the matrix and the band at this step."""
    start = max(0, step - columns + 1)
    stop = min(LANES, rows - first, step + 1)
    slope = rows + columns - 2
    if limit >= 0 and slope > 0:
        # |row * (columns - 1) - column * (rows - 1)| <= limit with row = first + lane, column = step - lane.
        offset = step * (rows - 1) - first * (columns - 1)
        start = max(start, -((limit - offset) // slope))
        stop = min(stop, (offset + limit) // slope + 1)
    return start, max(stop, start)


@compiled(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def scan(cost, smoothing, limit, gradient):
    """Soft-DTW of one cost matrix, and its gradient.

    Args:
        cost: (N, M) contiguous float32 or float64.
        smoothing: gamma > 0.
        limit: cells with |i (M - 1) - j (N - 1)| > limit are left out; negative: none are.
        gradient: (N, M) of zeros, which receives d value / d cost; (0, 0) where it isn't wanted.

    Returns:
        The value, a float.
    """
    rows, columns = cost.shape
    wanted = gradient.size > 0
    strips = (rows + LANES - 1) // LANES
    begins = np.zeros(strips, np.int64)
    ends = np.zeros(strips, np.int64)
    longest = 0
    for strip in range(strips):
        first = strip * LANES
        begin, end = _columns_of(first, min(first + LANES, rows) - 1, rows, columns, limit)
        # Steps of the strip: its first lane enters at the first column, its last lane leaves after the last.
        begins[strip], ends[strip] = begin, end + LANES - 1
        longest = max(longest, ends[strip] - begin)
    # Probabilities that the path came from above and from the diagonal, per strip, step and lane.
    kept = (strips, longest, LANES) if wanted else (1, 1, LANES)
    from_above = np.empty(kept, cost.dtype)
    from_diagonal = np.empty(kept, cost.dtype)

    # Accumulated costs in units of the smoothing: `edge[j + 1]` is column j of the row above the strip.
    edge = np.full(columns + 1, _OUTSIDE)
    next_edge = np.full(columns + 1, _OUTSIDE)
    edge[0] = 0.0
    here = np.empty(LANES)
    ring = np.empty((3, LANES + 1))
    value = 0.0
    scale = 1.0 / smoothing
    for strip in range(strips):
        first = strip * LANES
        ring[:] = _OUTSIDE
        next_edge[:] = _OUTSIDE
        for step in range(begins[strip], ends[strip]):
            start, stop = _lanes_of(step, first, rows, columns, limit)
            here[:start] = _OUTSIDE
            here[stop:] = _OUTSIDE
            for lane in range(start, stop):
                here[lane] = cost[first + lane, step - lane] * scale
            older, newer, current = ring[step % 3], ring[(step + 1) % 3], ring[(step + 2) % 3]
            # Index 0 of the ring is the row above the strip.
            newer[0] = edge[step + 1] if step < columns else _OUTSIDE
            older[0] = edge[step] if step <= columns else _OUTSIDE
            kept_step = step - begins[strip] if wanted else 0
            above_row = from_above[strip if wanted else 0, kept_step]
            diagonal_row = from_diagonal[strip if wanted else 0, kept_step]
            for lane in range(LANES):
                above, left, diagonal = newer[lane], newer[lane + 1], older[lane]
                least = min(above, left, diagonal)
                above, left, diagonal = _exp(least - above), _exp(least - left), _exp(least - diagonal)
                total = above + left + diagonal
                current[lane + 1] = here[lane] + least - _log(total)
                share = 1.0 / total
                above_row[lane] = above * share
                diagonal_row[lane] = diagonal * share
            last = step - LANES + 1
            if 0 <= last < columns:
                next_edge[last + 1] = current[LANES]
            if step == columns + rows - 2 - first:
                value = current[rows - first]
        edge, next_edge = next_edge, edge
    if wanted:
        _flow_back(gradient, from_above, from_diagonal, begins, ends, limit)
    return value * smoothing


@compiled(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _flow_back(gradient, from_above, from_diagonal, begins, ends, limit):
    """Expected visits of each cell: probability 1 flows from the last cell back to the first."""
    rows, columns = gradient.shape
    # Flows that leave the first row of the strip below, by the column they arrive at.
    edge_above, next_edge_above = np.zeros(columns), np.zeros(columns)
    edge_diagonal, next_edge_diagonal = np.zeros(columns), np.zeros(columns)
    # Flows by the lane they leave; index LANES is the strip below.
    above, diagonal = np.zeros((2, LANES + 1)), np.zeros((3, LANES + 1))
    left = np.zeros(LANES)
    visits = np.zeros(LANES)
    for strip in range(len(begins) - 1, -1, -1):
        first = strip * LANES
        above[:], diagonal[:], left[:] = 0.0, 0.0, 0.0
        next_edge_above[:], next_edge_diagonal[:] = 0.0, 0.0
        for step in range(ends[strip] - 1, begins[strip] - 1, -1):
            above_in, above_out = above[(step + 1) % 2], above[step % 2]
            diagonal_in, diagonal_out = diagonal[(step + 2) % 3], diagonal[step % 3]
            last = step - LANES + 1
            above_in[LANES] = edge_above[last] if 0 <= last < columns else 0.0
            diagonal_in[LANES] = edge_diagonal[last] if 0 <= last < columns else 0.0
            above_row = from_above[strip, step - begins[strip]]
            diagonal_row = from_diagonal[strip, step - begins[strip]]
            for lane in range(LANES):
                visits[lane] = above_in[lane + 1] + diagonal_in[lane + 1] + left[lane]
            if step == columns + rows - 2 - first:
                visits[rows - 1 - first] += 1.0
            start, stop = _lanes_of(step, first, rows, columns, limit)
            for lane in range(start, stop):
                gradient[first + lane, step - lane] = visits[lane]
            for lane in range(LANES):
                above_out[lane] = visits[lane] * above_row[lane]
                diagonal_out[lane] = visits[lane] * diagonal_row[lane]
                # Rounding can make it slightly negative.
                left[lane] = max(visits[lane] - above_out[lane] - diagonal_out[lane], 0.0)
            if step < columns:
                next_edge_above[step] = above_out[0]
            if 0 < step <= columns:
                next_edge_diagonal[step - 1] = diagonal_out[0]
        edge_above, next_edge_above = next_edge_above, edge_above
        edge_diagonal, next_edge_diagonal = next_edge_diagonal, edge_diagonal
