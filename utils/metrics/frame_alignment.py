"""Alignment of two recordings: which frame of the second belongs to each frame of the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from utils.metrics.dynamic_time_warping import path_through_rows
from utils.metrics.nearest_neighbours import nearest_neighbours

NEAREST, TIME_WARPING = "nearest", "time_warping"
METHODS = (NEAREST, TIME_WARPING)
MOST_CELLS = 1 << 20  # distances in memory at once


class FrameAlignment(NamedTuple):
    """For each frame of the first recording, the frame of the second that is aligned with it.

    Attributes:
        indices: (N,) int64, index of the frame of the second recording.
        distances: (N,) float64, Euclidean distance of the two embeddings; 0 where they are equal.
    """

    indices: np.ndarray
    distances: np.ndarray


def align_frames(first: np.ndarray, second: np.ndarray, method: str = NEAREST) -> FrameAlignment:
    """Aligns each frame of the first recording with a frame of the second.

    `nearest` finds the nearest neighbour of each frame separately; EAE, KT and KTW evaluate this alignment. It works
    for steps in another order, but it can jump. `time_warping` finds the monotone path from both first to both last
    frames with the smallest sum of distances (Sakoe and Chiba, 1978; `dynamic_time_warping_path`). If the path has
    several frames for one frame, the nearest is taken. This alignment never goes back, and it is wrong for steps in
    another order.

    Memory besides the embeddings: a block of distances (some 50 MB); for time warping also N M bytes, 100 MB for two
    recordings of 10,000 frames, which then take some 5 s on one core.

    Args:
        first: (N, D) embedding of the first recording.
        second: (M, D) embedding of the second.
        method: one of METHODS.

    Raises:
        ValueError: the method has another name, a recording has no frames, the widths differ, or a value isn't
            finite.
    """
    if method not in METHODS:
        raise ValueError(f"frames are aligned by one of {', '.join(METHODS)}, not by {method!r}")
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"expected embeddings (N, D) and (M, D), got {first.shape} and {second.shape}")
    if not len(first) or not len(second):
        raise ValueError("an alignment needs at least one frame in each recording")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("an alignment needs finite embeddings")
    if method == NEAREST:
        indices, _ = nearest_neighbours(first, second)
        return FrameAlignment(indices, _distances(first, second, indices))
    path = path_through_rows(_distance_rows(first, second), (len(first), len(second)))
    distances = np.concatenate(
        [_distances(first[rows], second, columns) for rows, columns in np.array_split(path.T, len(path) // 4096 + 1, 1)]
    )
    # For each frame of the first recording, the nearest of its cells on the path; of equal distances the first.
    best = np.lexsort((distances, path[:, 0]))[np.searchsorted(path[:, 0], np.arange(len(first)))]
    return FrameAlignment(path[best, 1], distances[best])


def _distances(first: np.ndarray, second: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Euclidean distance of each frame from its aligned frame in the other recording, (N,) float64."""
    return np.linalg.norm(first.astype(np.float64) - second[indices], axis=1)


def _distance_rows(first: np.ndarray, second: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of the (N, M) Euclidean distances in double precision, computed in blocks of rows."""
    # |a - b|^2 is expanded into inner products, which loses digits far from the origin.
    origin = second.mean(axis=0, dtype=np.float64)
    second = second - origin
    square = np.square(second).sum(axis=1)
    block = max(1, MOST_CELLS // len(second))
    for start in range(0, len(first), block):
        frames = first[start : start + block] - origin
        distance = frames @ (-2 * second.T)
        distance += square
        distance += np.square(frames).sum(axis=1)[:, None]
        yield from np.sqrt(np.maximum(distance, 0, out=distance), out=distance)
