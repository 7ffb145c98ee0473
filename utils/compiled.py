"""Where loops compiled with numba can stand in for tensor operations."""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


def runs_compiled(tensor: Tensor) -> bool:
    """Whether a compiled loop can work on this tensor: float32 or float64, on the CPU, and numba is installed."""
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64) and numba_is_installed()


@cache
def numba_is_installed() -> bool:
    return find_spec("numba") is not None
