"""What a read-out is: made once, started again for every video, fed its embedding in order."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch


class ReadoutState(Protocol):
    """A read-out in the middle of one video; it keeps as much of the past as it needs and no more."""

    def update(self, embedding: torch.Tensor | np.ndarray) -> np.ndarray:
        """Progress at the next frames.

        Args:
            embedding: (n, D), the frames after those of the call before, n >= 0. How a video is cut into
                calls changes nothing.

        Returns:
            (n,) float64 in [0, 1].
        """
        ...


class Readout(Protocol):
    """Progress from an embedding, causal: that of a frame depends on no later one."""

    def start(self) -> ReadoutState:
        """The state before the first frame of a video."""
        ...


def as_double(embedding: torch.Tensor | np.ndarray) -> np.ndarray:
    """The embedding as a float64 array on the CPU.

    Double precision, because a distance between near frames is a small difference of large numbers.
    """
    if isinstance(embedding, torch.Tensor):
        embedding = embedding.detach().cpu().numpy()
    return np.asarray(embedding, dtype=np.float64)
