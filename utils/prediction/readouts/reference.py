"""Training videos that a read-out compares with: their embeddings and true progress."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from utils.prediction.readouts.protocol import as_double


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
        self._prepared: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # by gap

    @classmethod
    def restored(
        cls, frames: np.ndarray, progress: np.ndarray, lengths: np.ndarray, step: int, mean_length: float
    ) -> TrainingReference:
        """One whose attributes are these, as they were stored.

        Raises:
            ValueError: they don't fit each other.
        """
        lengths = np.asarray(lengths, dtype=np.int64)
        if frames.ndim != 2 or progress.shape != (len(frames),) or lengths.sum() != len(frames) or (lengths < 1).any():
            raise ValueError("frames, progress and lengths of a training reference don't fit each other")
        cuts = np.cumsum(lengths)[:-1]
        reference = cls(np.split(frames, cuts), np.split(progress, cuts), len(frames))
        reference.step, reference.mean_length = int(step), float(mean_length)
        return reference

    @cached_property
    def _centre(self) -> np.ndarray:
        return self.frames.mean(axis=0)

    def columns(self, gap: int = 0) -> np.ndarray:
        """(N,) int64, where each frame stands if `gap` empty columns come before each video."""
        return np.arange(len(self.frames)) + gap * np.repeat(np.arange(1, len(self.lengths) + 1), self.lengths)

    def squared_distances(self, embedding: np.ndarray, gap: int = 0) -> np.ndarray:
        """||x_i - y_j||^2 of frames x and the reference's y, through one matrix product.

        Both are centred first, so that an offset that all frames share costs no precision.

        Args:
            embedding: (n, D) float64.
            gap: how many columns of infinite distance to put before each video.

        Returns:
            (n, N + gap * V) float64, at least 0.
        """
        distances, own = self.relative_squared_distances(embedding, gap)
        distances += own[:, None]
        return np.maximum(distances, 0, out=distances)

    def relative_squared_distances(self, embedding: np.ndarray, gap: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """What tells the reference's frames apart, ||x_i - y_j||^2 - ||x_i||^2, and the rest, ||x_i||^2.

        Args:
            embedding, gap: as for `squared_distances`.

        Returns:
            (n, N + gap * V) and (n,) float64; their sum, up to rounding, is at least 0.
        """
        if embedding.shape[1] != self.frames.shape[1]:
            raise ValueError(
                f"the embedding has width {embedding.shape[1]}, the training embeddings {self.frames.shape[1]}"
            )
        if gap not in self._prepared:
            self._prepared[gap] = self._prepare(gap)
        minus_twice_frames, squares = self._prepared[gap]
        centred = embedding - self._centre
        distances = centred @ minus_twice_frames
        distances += squares
        return distances, np.square(centred).sum(axis=1)

    def _prepare(self, gap: int) -> tuple[np.ndarray, np.ndarray]:
        """-2 y^T and ||y||^2 of the centred frames, with 0 and infinity in the empty columns."""
        frames, columns = self.frames - self._centre, self.columns(gap)
        minus_twice_frames = np.zeros((frames.shape[1], columns[-1] + 1))
        minus_twice_frames[:, columns] = -2 * frames.T
        squares = np.full(columns[-1] + 1, np.inf)
        squares[columns] = np.square(frames).sum(axis=1)
        return minus_twice_frames, squares
