"""Nearest neighbours between the frames of two videos: the found alignment that EAE, KT and KTW evaluate."""

from __future__ import annotations

import numpy as np

LONGEST_BLOCK = 1024
MOST_CELLS = 1 << 22


def nearest_neighbours(
    first: np.ndarray, second: np.ndarray, block: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest frame of the other video by Euclidean distance, for every frame of both.

    Both directions are computed in one pass over the distances, `block` rows at a time, so that the memory is
    O(block x M) and each inner product is computed once. Of equally near frames, the first is taken.

    Args:
        first: (N, D) embeddings of one video.
        second: (M, D) embeddings of the other.
        block: rows of the distance matrix in memory at once; by default as many as MOST_CELLS allows.

    Returns:
        (N,) int64 indices into `second`, and (M,) int64 indices into `first`.

    Raises:
        ValueError: a video has no frames, or the widths differ.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"expected embeddings (N, D) and (M, D), got {first.shape} and {second.shape}")
    if not len(first) or not len(second):
        raise ValueError("nearest neighbours need at least one frame in each video")
    if block is None:
        block = max(1, min(LONGEST_BLOCK, MOST_CELLS // len(second)))
    # |a - b|^2 is expanded into inner products below, which loses digits far from the origin. A shift doesn't change
    # distances, so the origin is moved into the data.
    origin = second.mean(axis=0)
    first, second = first - origin, second - origin
    first_square, second_square = (np.square(frames).sum(axis=1) for frames in (first, second))
    minus_twice_second = -2 * second.T

    forward = np.empty(len(first), dtype=np.int64)
    backward = np.zeros(len(second), dtype=np.int64)
    smallest = np.full(len(second), np.inf, dtype=first.dtype)
    for start in range(0, len(first), block):
        rows = slice(start, start + block)
        distance = first[rows] @ minus_twice_second
        distance += second_square
        forward[rows] = distance.argmin(axis=1)
        # |a|^2 is constant within a row, so it only matters for comparing rows.
        distance += first_square[rows, None]
        least = distance.min(axis=0)
        # Searching for the smallest values is many times faster than an argmin across the rows.
        row, column = np.divmod(np.flatnonzero(distance == np.minimum(least, smallest)), len(second))
        better = least[column] < smallest[column]
        row, column = row[better][::-1], column[better][::-1]
        backward[column] = row + start  # if an index is repeated, the last assignment remains: the first row
        smallest = np.minimum(smallest, least)
    return forward, backward
