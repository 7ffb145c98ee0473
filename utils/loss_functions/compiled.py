"""Loops compiled with numba, and whether they can replace tensor operations."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from utils.errors import import_extra


def runs_compiled(tensor: Tensor) -> bool:
    """Whether a compiled loop can work on this tensor: float32 or float64, on the CPU, and numba is installed."""
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64) and numba_is_installed()


@cache
def numba_is_installed() -> bool:
    return find_spec("numba") is not None


def compiled(**settings: Any) -> Callable[[Callable], Callable]:
    """A decorator: `numba.njit` with these settings and a cache on the disk, or without one.

    numba writes its cache beside the source or into the user's folder. If it can write to neither (a container with a
    read-only image, a job without a home folder), it refuses to compile. Then the function is compiled without a
    cache, in every process, which takes some seconds.

    Raises:
        MissingExtraError: numba isn't installed.

    Example:
        >>> @compiled(nogil=True)
        ... def double(number):
        ...     return 2 * number
        >>> double(3)
        6
    """
    # Imported here because numba takes a while to load.
    njit = import_extra("numba", "speed", "a compiled loop").njit

    def compile_function(function: Callable) -> Callable:
        try:
            return njit(cache=True, **settings)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return njit(**settings)(function)

    return compile_function
