"""An .npy file of numbers, read piece by piece with ordinary reads.

Not by a memory map: if a mapped file is cut short, because someone writes the features anew, the process is
killed by SIGBUS in the middle of training, without a word. A read that comes up short is an error with a message.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from utils.errors import DataError, first_line

BLOCK_BYTES = 1 << 19  # what is read at once and converted while it is in the processor's cache
# Skipping fewer bytes between two rows than this costs more than reading them.
LARGEST_GAP = 1 << 16
HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

# NumPy parses a header as a Python literal, and CPython's parser keeps its recursion depth in one counter for all
# threads: two headers at once were seen to fail with "AST constructor recursion depth mismatch" on 3.11.
_ONE_HEADER_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class NpyFile:
    """What the header of an .npy file says, and where its numbers begin; nothing of them is read yet.

    Attributes:
        path: the file.
        shape: its axes in the order in which the numbers lie in the file, the last one fastest.
        dtype: of the numbers, real.
        offset: bytes before the first number.
        fortran_order: whether the header gives the axes the other way round.
        stamp: size in bytes and time of the last change (nanoseconds), which tell whether it is still the same.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    fortran_order: bool
    stamp: tuple[int, int]

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The axes as the header gives them."""
        return self.shape[::-1] if self.fortran_order else self.shape

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Some rows at once: float32 (n, ...), contiguous and writable; see `rows`."""
        result = np.empty((len(indices), *self.shape[1:]), np.float32)
        for part, block in self.rows(indices):
            result[part] = block
        return result

    def rows(self, indices: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Some rows, all that belongs to some indices of the first axis of `shape`, in blocks.

        Args:
            indices: strictly increasing row numbers.

        Yields:
            Which of the indices, and (n, ...) float32 of them, valid until the next block is asked for. What does
            not fit into single precision is infinite.

        Raises:
            DataError: the file has changed since its header was read.
        """
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        starts = indices * row_bytes
        # A new group of rows begins after a large gap, and where the block is full.
        cuts = (np.diff(starts) > LARGEST_GAP + row_bytes) | (np.diff(starts // BLOCK_BYTES) > 0)
        groups = list(pairwise([0, *(np.flatnonzero(cuts) + 1).tolist(), len(indices)])) if len(indices) else []
        counts = [int(indices[stop - 1] - indices[first]) + 1 for first, stop in groups]
        buffer = memoryview(bytearray(max(counts, default=0) * row_bytes))
        try:
            with open(self.path, "rb") as file:
                if _stamp_of(file.fileno()) != self.stamp:
                    raise DataError("was changed while it was read")
                for (first, stop), count in zip(groups, counts, strict=True):
                    content = buffer[: count * row_bytes]
                    file.seek(self.offset + int(starts[first]))
                    if file.readinto(content) < len(content):
                        raise DataError("was cut short while it was read")
                    block = np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])
                    if stop - first < count:
                        block = block[indices[first:stop] - indices[first]]
                    with np.errstate(over="ignore"):
                        block = block.astype(np.float32, copy=False)
                    yield slice(first, stop), block
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})") from error


def open_npy(path: Path) -> NpyFile:
    """Reads the header of an .npy file; no archive and no pickle is ever opened.

    Raises:
        DataError: no such file, not exactly one .npy array, or not of real numbers.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError("is not a regular file; expected an .npy array")
        with open(path, "rb") as file, _ONE_HEADER_AT_A_TIME:
            version = np.lib.format.read_magic(file)
            if version not in HEADER_READERS:
                raise ValueError(f"its format has version {version[0]}.{version[1]}")
            shape, fortran_order, dtype = HEADER_READERS[version](file)
            offset, stamp = file.tell(), _stamp_of(file.fileno())
        if any(size < 0 or size >= 2**62 for size in shape):
            raise ValueError(f"its header says {shape}")
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("no such feature file") from error
    except Exception as error:
        # NumPy evaluates the header as a Python literal, and a damaged one fails in a dozen different ways.
        raise DataError(f"cannot be read as an .npy array ({first_line(error)[:300]})") from error
    if dtype.kind not in "fiu":
        raise DataError(f"cannot be read: it holds values of type {dtype}; expected real numbers")
    surplus = stamp[0] - offset - math.prod(shape) * dtype.itemsize
    if surplus:
        difference = f"{abs(surplus)} bytes {'more' if surplus > 0 else 'fewer'}"
        raise DataError(f"cannot be read as an .npy array ({difference} than the {shape} of its header)")
    shape = tuple(map(int, shape))
    return NpyFile(path, shape[::-1] if fortran_order else shape, dtype, offset, fortran_order, stamp)


def _stamp_of(file: int) -> tuple[int, int]:
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns
