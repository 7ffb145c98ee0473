"""Path length on a CPU, compiled with numba: each of the two passes reads the embedding once.

What `tensorops.py` does in some fifteen small operations, whose overhead is most of the time of a video of a
few hundred frames.
"""

import math

import numpy as np

from utils.loss_functions.compiled import compiled

# Lets sums be regrouped into vectors and products fused; infinities and NaN stay what they are.
_FLAGS = {"reassoc", "contract", "nsz"}


@compiled(nogil=True, error_model="numpy", fastmath=_FLAGS)
def path_length(features, steps, path):
    """Fill `steps` (T - 1,), the distance between neighbouring frames of `features` (T, D), and `path` (T,), its
    running sum from 0, which is kept in double precision."""
    frames, width = features.shape
    walked = 0.0
    path[0] = 0.0
    for frame in range(frames - 1):
        squares = features.dtype.type(0)
        for value in range(width):
            move = features[frame + 1, value] - features[frame, value]
            squares += move * move
        steps[frame] = math.sqrt(squares)
        walked += steps[frame]
        path[frame + 1] = walked


@compiled(nogil=True, error_model="numpy", fastmath=_FLAGS)
def path_length_gradient(features, steps, upstream, gradient):
    """Fill `gradient` (T, D), that of sum(upstream * path) by the frames; a step of length 0 passes none."""
    frames, width = features.shape
    # What each step pulls by for every unit of its length; nothing before the first frame and after the last.
    pulls = np.zeros(frames + 1, features.dtype)
    # A step adds to the path length of every later frame.
    later = 0.0
    for frame in range(frames - 1, 0, -1):
        later += upstream[frame]
        if steps[frame - 1] != 0:
            pulls[frame] = later / steps[frame - 1]
    for frame in range(frames):
        before, after = max(frame - 1, 0), min(frame + 1, frames - 1)
        pull_before, pull_after = pulls[frame], pulls[frame + 1]
        for value in range(width):
            gradient[frame, value] = pull_before * (
                features[frame, value] - features[before, value]
            ) - pull_after * (features[after, value] - features[frame, value])
