"""Enclosed area error (EAE): the area between the found alignment and the nearest true alignment."""

from __future__ import annotations

import math

import numpy as np

from utils.metrics.valid_alignment import ValidAlignment


def enclosed_area_error(
    neighbours: np.ndarray, alignment: ValidAlignment, monotonic: bool = False
) -> float | np.ndarray:
    """Area between found and true alignment of U with V, as a share of the largest possible area (GTCC, section 4).

        EAE = sum_i min_{j* valid for i} d(j_i, j*) / (A_U A_V)

    over the A_U alignable frames i of U, with j_i the nearest neighbour of frame i in V. In the wild, d(j, j*) is
    the number of alignable frames of V from j to j*, without j* itself, because background and actions that U
    doesn't show have no true position; A_V is the number of alignable frames of V. For monotonic data d = |j - j*|
    over all M frames of V, and A_V = M. Both are equal if every frame of V is alignable.

    Args:
        neighbours: (N,) int, nearest neighbour in V of every frame of U; or (B, N) for several embeddings.
        alignment: true alignment of U with V.
        monotonic: count all frames between j and j*, not only the alignable ones.

    Returns:
        The error in [0, 1), 0 for a true alignment; NaN if no frame is alignable. For (B, N): (B,) float64.
    """
    several = np.atleast_2d(neighbours)
    error = np.full(len(several), math.nan)
    if len(alignment.alignable):
        found, true = several[:, alignment.alignable, None], alignment.position
        if monotonic:
            possible = len(alignment.alignable_other)
            between = np.abs(found - true)
        else:
            before = alignment.counted_before
            possible = int(before[-1])
            between = np.where(found < true, before[true] - before[found], before[found + 1] - before[true + 1])
        closest = np.where(alignment.valid, between, possible).min(axis=2)
        error = closest.sum(axis=1) / (closest.shape[1] * possible)
    return error if np.ndim(neighbours) == 2 else float(error[0])
