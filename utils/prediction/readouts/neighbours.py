"""Progress of the nearest training frames, smoothed causally."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import torch

from utils.metrics.least_columns import least_columns
from utils.prediction.readouts.protocol import as_double
from utils.prediction.readouts.reference import TrainingReference

BLOCK = 128  # frames at once; their distances fit into a processor's cache


class NeighboursReadout:
    """Kernel regression of true progress on the embedding, then an exponential mean over time.

        x_t = sum_i w_i p_i / sum_i w_i,   w_i = max(0, 1 - d_i^2 / d_(k+1)^2)
        s_t = s_(t-1) + a (x_t - s_(t-1)),  s_0 = x_0,  a = 1 / (1 + smoothing * mean training length)

    d_i is the distance to training frame i, p_i its true progress, d_(k+1) the distance to the (k+1)-th
    nearest, so that k frames count and one that is about to leave counts for nothing: the result moves
    smoothly with the embedding, which a plain mean of the k nearest does not. If no frame is nearer than that,
    all those at this distance count the same.

    Args:
        reference: training videos of the task.
        neighbours: k.
        smoothing: time constant of the mean, as a share of the mean length of a training video.

    Source: the Epanechnikov kernel with a nearest-neighbour window, Hastie, Tibshirani, Friedman, "The
    Elements of Statistical Learning" (2nd edition, equations 6.3, 6.4 and 6.6).
    """

    most_frames = 2048

    def __init__(self, reference: TrainingReference, neighbours: int = 16, smoothing: float = 0.1):
        if neighbours < 1 or smoothing < 0:
            raise ValueError(f"neighbours is {neighbours} and smoothing {smoothing}; expected >= 1 and >= 0")
        self.reference = reference
        self.neighbours = min(neighbours, len(reference.frames) - 1)
        self.rate = 1 / (1 + smoothing * reference.mean_length)

    def start(self) -> _NeighboursState:
        return _NeighboursState(self)

    def regress(self, frames: np.ndarray) -> np.ndarray:
        """x_t of (n, D) frames, each alone: (n,) in [0, 1]."""
        distances, own = self.reference.relative_squared_distances(frames)
        if not self.neighbours:  # a single training frame
            return np.full(len(frames), self.reference.progress[0])
        # All others weigh nothing, and the edge itself, which comes last, doesn't either.
        nearest = least_columns(distances, self.neighbours + 1)
        squares = np.maximum(np.take_along_axis(distances, nearest, axis=1) + own[:, None], 0)
        edge = squares[:, -1:]
        weights = np.maximum(0, 1 - squares / np.where(edge > 0, edge, 1)) * (edge > 0)
        total = weights.sum(axis=1)
        progress = (weights * self.reference.progress[nearest]).sum(axis=1) / np.where(total > 0, total, 1)
        for row in np.flatnonzero(total == 0):  # nothing nearer than the edge: those on it all count the same
            on_edge = distances[row] <= distances[row, nearest[row, -1]]
            progress[row] = self.reference.progress[on_edge].mean()
        return progress


class _NeighboursState:
    """The smoothed progress at the last frame."""

    def __init__(self, readout: NeighboursReadout):
        self._readout = readout
        self._progress: float | None = None

    def update(self, embedding: torch.Tensor | np.ndarray) -> np.ndarray:
        frames, rate = as_double(embedding), self._readout.rate
        if not len(frames):
            return np.zeros(0)
        starts = range(0, len(frames), BLOCK)
        raw = np.concatenate([self._readout.regress(frames[start : start + BLOCK]) for start in starts])
        first = float(raw[0]) if self._progress is None else self._progress
        smooth = list(accumulate(raw.tolist(), lambda mean, new: mean + rate * (new - mean), initial=first))[1:]
        self._progress = smooth[-1]
        return np.clip(smooth, 0.0, 1.0)
