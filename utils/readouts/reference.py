"""Training videos that a read-out compares with: their embeddings and true progress."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from utils.readouts.protocol import as_double


class TrainingReference:
    """Frames of the training videos, thinned so that a comparison with all of them takes bounded time.

    Args:
        embeddings: of the V videos, (T_v, D) each, T_v >= 1.
        progress: their true progress, (T_v,) each, in [0, 1].
        most_frames: at most about so many frames are kept, every k-th of each video with the smallest k
            that is enough; the first of each always.

    Attributes:
        frames: (N, D) float64, the frames that are kept, video after video.
        progress: (N,) float64, their true progress.
        lengths: (V,) how many of each video.
        step: every step-th frame is kept.
        mean_length: mean of T_v, before thinning.

    Raises:
        ValueError: no video, or embeddings and progress that don't fit each other.
    """

    def __init__(
        self,
        embeddings: Sequence[torch.Tensor | np.ndarray],
        progress: Sequence[torch.Tensor | np.ndarray],
        most_frames: int = 8192,
    ):
        if not embeddings:
            raise ValueError("a read-out needs at least one training video to compare with")
        lengths = np.array([len(video) for video in embeddings])
        if lengths.tolist() != [len(truth) for truth in progress] or not lengths.all():
            raise ValueError("each training video needs one true progress for every frame, and a frame")
        self.step = max(1, -(-int(lengths.sum()) // most_frames))
        self.frames = np.concatenate([as_double(video[:: self.step]) for video in embeddings])
        self.progress = np.concatenate([as_double(truth[:: self.step]) for truth in progress])
        self.lengths = -(-lengths // self.step)
        self.mean_length = float(lengths.mean())

    @cached_property
    def _centre(self) -> np.ndarray:
        return self.frames.mean(axis=0)

    @cached_property
    def _centred(self) -> tuple[np.ndarray, np.ndarray]:
        frames = self.frames - self._centre
        return frames, np.square(frames).sum(axis=1)

    def squared_distances(self, embedding: np.ndarray) -> np.ndarray:
        """||x_i - y_j||^2 of frames x and the reference's y, through one matrix product.

        Both are centred first, so that an offset that all frames share costs no precision.

        Args:
            embedding: (n, D) float64.

        Returns:
            (n, N) float64, at least 0.
        """
        if embedding.shape[1] != self.frames.shape[1]:
            raise ValueError(
                f"the embedding has width {embedding.shape[1]}, the training embeddings {self.frames.shape[1]}"
            )
        frames, squares = self._centred
        centred = embedding - self._centre
        distances = centred @ (-2 * frames.T)
        distances += squares
        distances += np.square(centred).sum(axis=1)[:, None]
        return np.maximum(distances, 0, out=distances)
