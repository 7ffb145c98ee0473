"""Progress as path length: how far the embedding has moved, over how far it moves in a training video."""

from __future__ import annotations

import math

import numpy as np
import torch

from utils.prediction.readouts.protocol import as_double
from utils.tensorops import path_length, share_of


class PathReadout:
    """pi(u_t) = min(1, sum_{s<t} ||u_{s+1} - u_s|| / G).

    Args:
        normalizer: G, mean total path length of the training videos. Where it is 0 nothing moved in
            training: progress is 0 until the embedding moves, then 1.

    Raises:
        ValueError: G is negative or not finite.

    Source: online progress of "Learning to Predict Activity Progress by Self-Supervised Video Alignment"
    (CVPR 2024).
    """

    def __init__(self, normalizer: float):
        if not math.isfinite(normalizer) or normalizer < 0:
            raise ValueError(f"the normaliser of the path is {normalizer}; expected a finite number from 0")
        self.normalizer = normalizer

    def start(self) -> _PathState:
        return _PathState(self.normalizer)


class _PathState:
    """The path so far and where it ends."""

    def __init__(self, normalizer: float):
        self._normalizer, self._path = normalizer, 0.0
        self._last: np.ndarray | None = None

    def update(self, embedding: torch.Tensor | np.ndarray) -> np.ndarray:
        frames = as_double(embedding)
        path = path_length(frames, self._last, self._path)
        if len(frames):
            self._path, self._last = float(path[-1]), frames[-1:].copy()
        return share_of(path, self._normalizer)
