"""Counts, for many elements of a sequence, the earlier elements that are below a threshold; KTW needs this.

SciPy counts the inversions of a sequence (`scipy.stats.kendalltau`); here each element has its own end and threshold.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

SHORTEST_BLOCK = 64
MOST_CELLS = 1 << 22  # cells of a table in memory at once


def count_smaller_before(
    values: np.ndarray, ends: np.ndarray, thresholds: np.ndarray, bound: int, block: int | None = None
) -> np.ndarray:
    """sum_q #{p < ends_bq: values_bp < thresholds_kbq} for each k and each sequence b.

    The values are divided into blocks. A table of running sums gives the number of values below each threshold before
    a block; the values between the beginning of the block and the end are compared one by one. With blocks of sqrt(N)
    values this takes O(N^1.5) steps, instead of N^2 for comparing all pairs.

    Args:
        values: (B, N) int in [0, bound).
        ends: (B, Q) int in [0, N].
        thresholds: (K, B, Q) int in [0, bound]; the count is done for each of the K thresholds.
        bound: a number larger than all values.
        block: values in a block; by default a fast size with a small table.

    Returns:
        (K, B) int64.
    """
    sequences, count = values.shape
    if block is None:
        block = max(SHORTEST_BLOCK, int(count**0.5), sequences * count * bound // MOST_CELLS)
    blocks = count // block + 1
    small = max(count, bound) < np.iinfo(np.int16).max  # fewer bytes are faster
    kind = np.int16 if small else np.int32
    sequence = np.arange(sequences)[:, None]
    # before[b, i, v]: how many values below v there are in the blocks before block i of sequence b.
    key = (sequence * (blocks + 1) + np.arange(count) // block + 1) * (bound + 1) + values + 1
    numbers = np.bincount(key.ravel(), minlength=sequences * (blocks + 1) * (bound + 1))
    before = np.cumsum(numbers.reshape(sequences, blocks + 1, bound + 1), axis=2, dtype=kind)
    for earlier, later in pairwise(range(blocks + 1)):  # much faster than a cumsum across the rows
        before[:, later] += before[:, earlier]
    block_of_end = ends // block
    total = before[sequence, block_of_end, thresholds].sum(axis=2, dtype=np.int64)

    in_blocks = np.full((sequences, blocks * block), bound, dtype=kind)  # the padding is below no threshold
    in_blocks[:, :count] = values
    in_blocks, thresholds = in_blocks.reshape(sequences, blocks, block), thresholds.astype(kind)[..., None]
    place, within = np.arange(block, dtype=kind), (ends - block_of_end * block).astype(kind)[..., None]
    at_once = max(1, MOST_CELLS // (block * sequences))
    for start in range(0, ends.shape[1], at_once):
        queries = slice(start, start + at_once)
        compared, counts = in_blocks[sequence, block_of_end[:, queries]], place < within[:, queries]
        for number, threshold in enumerate(thresholds[:, :, queries]):
            smaller = (compared < threshold) & counts
            total[number] += [np.count_nonzero(own) for own in smaller]  # much faster than over axes
    return total
