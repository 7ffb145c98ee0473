"""Enclosed area error (EAE): the area between the found alignment and the closest true one."""

from __future__ import annotations

import math

import numpy as np

from utils.metrics.valid_alignment import ValidAlignment


def enclosed_area_error(neighbours: np.ndarray, alignment: ValidAlignment, monotonic: bool = False) -> float:
    """Area between found and true alignment of U with V, as a share of the area possible (GTCC, section 4).

        EAE = sum_i min_{j* valid for i} d(j_i, j*) / (A_U A_V)

    over the A_U alignable frames i of U, with j_i the nearest neighbour of frame i in V. In the wild,
    d(j, j*) counts the alignable frames of V from j to j*, without j* itself, because background and actions
    that U doesn't show have no true position; A_V is the number of alignable frames of V. For monotonic data
    d = |j - j*| over all M frames of V, and A_V = M. The two agree where every frame of V is alignable.

    Args:
        neighbours: (N,) int, nearest neighbour in V of every frame of U.
        alignment: true alignment of U with V.
        monotonic: count every frame between instead of the alignable ones.

    Returns:
        The error in [0, 1), 0 for a true alignment; NaN if no frame is alignable.
    """
    if not len(alignment.alignable):
        return math.nan
    counted = np.ones_like(alignment.alignable_other) if monotonic else alignment.alignable_other
    before = np.concatenate([[0], np.cumsum(counted)])  # counted frames of V with a smaller index
    found = np.asarray(neighbours)[alignment.alignable][:, None]
    true = alignment.position
    between = np.where(found < true, before[true] - before[found], before[found + 1] - before[true + 1])
    closest = np.where(alignment.valid, between, before[-1]).min(axis=1)
    return float(closest.sum() / (len(closest) * before[-1]))
