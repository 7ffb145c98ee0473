"""Cycle consistency: how many frames come back from another recording. It needs no labels."""

from __future__ import annotations

import numpy as np

RETURN_TOLERANCE = 0.05  # of the recording's length


def cycle_consistency(returned: np.ndarray) -> np.ndarray:
    """Share of the frames of U that a cycle through V brings back to within RETURN_TOLERANCE of their place.

    A frame goes to its nearest neighbour in V, and from there to the nearest neighbour in U (TCC, CVPR 2019, calls the
    frames that come back to themselves cycle-consistent). An embedding that collapses to one point has a small share.
    One that only counts frames has a large one: a cycle doesn't know whether both recordings show the same.

    Args:
        returned: (B, N) int, where each frame of U comes back to.

    Returns:
        (B,) in [0, 1]; NaN for a recording of one frame.
    """
    number = returned.shape[1]
    if number < 2:
        return np.full(len(returned), np.nan)
    return (np.abs(returned - np.arange(number)) <= RETURN_TOLERANCE * (number - 1)).mean(axis=1)
