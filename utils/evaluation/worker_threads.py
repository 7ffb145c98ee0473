"""NumPy work on several cores at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

Value = TypeVar("Value")


def map_in_threads(function: Callable[..., Value], *arguments: Iterable) -> Iterator[Value]:
    """`map(function, *arguments)` in as many threads as torch computes with, in the order of the arguments.

    NumPy lets go of Python's global lock in its loops and products. The products themselves take one thread
    each meanwhile: threads that each wait for the others' threads are many times slower where another program
    holds a core. With one thread nothing is different but that.

    Args:
        function: works in NumPy alone, and on nothing that another call changes.
        arguments: as for `map`.
    """
    pool = ThreadPoolExecutor(torch.get_num_threads())
    with threadpool_limits(limits=1, user_api="blas"):
        try:
            yield from pool.map(function, *arguments)
        finally:  # after an error, or Ctrl-C, what has not begun is not begun
            pool.shutdown(cancel_futures=True)
