"""How a contract refuses: an AssertionError in words, whoever calls it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def require(holds: bool, message: str) -> None:
    """Raises AssertionError with the message unless it holds."""
    if not holds:
        raise AssertionError(message)


def random_walk(frames: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """(frames, width), an embedding that moves like one: a random walk. The same numbers for every dtype."""
    steps = np.random.default_rng(seed).normal(size=(frames, width))
    return torch.from_numpy(0.3 * steps.cumsum(axis=0)).to(dtype)
