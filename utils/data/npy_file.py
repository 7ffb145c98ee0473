"""An .npy file of numbers, read piece by piece with ordinary reads.

Not by a memory map: if a mapped file is cut short, because someone writes the features anew, the process is
killed by SIGBUS in the middle of training, without a word. A read that comes up short is an error with a message.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import DataError

BLOCK_BYTES = 1 << 19  # what is read at once and converted while it is in the processor's cache
# Skipping fewer bytes between two rows than this costs more than reading them.
LARGEST_GAP = 1 << 16

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
        stamp: size in bytes and time of the last change (nanoseconds).
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

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, all that belongs to one index of the first axis of `shape`."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Some rows at once: float32 (n, ...), contiguous and writable; see `rows`."""
        result = np.empty((len(indices), *self.shape[1:]), np.float32)
        together = len(indices) and int(indices[-1]) - int(indices[0]) == len(indices) - 1
        if together and self.dtype == result.dtype:
            # Straight to where they belong: reading a video is then one copy.
            with self._opened() as file:
                self._read(file, result.reshape(-1).view(np.uint8), self.offset + int(indices[0]) * self.row_bytes)
            return result
        for part, block in self._blocks(indices):
            with np.errstate(over="ignore"):
                result[part] = block
        return result

    def rows(self, indices: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Some rows, in blocks, in single precision.

        Args:
            indices: strictly increasing row numbers.

        Yields:
            Which of the indices, and (n, ...) float32 of them, valid until the next block is asked for. What does
            not fit into single precision is infinite.

        Raises:
            DataError: the file has changed since its header was read.
        """
        for part, block in self._blocks(indices):
            with np.errstate(over="ignore"):
                block = block.astype(np.float32, copy=False)
            yield part, block

    def _blocks(self, indices: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The blocks of `rows` as the file holds them."""
        row_bytes = self.row_bytes
        starts = indices * row_bytes
        # A new group of rows begins after a large gap, and where the block is full.
        cuts = (np.diff(starts) > LARGEST_GAP + row_bytes) | (np.diff(starts // BLOCK_BYTES) > 0)
        groups = [0, *(np.flatnonzero(cuts) + 1).tolist(), len(indices)] if len(indices) else []
        buffer = np.empty(0, np.uint8)
        with self._opened() as file:
            for first, stop in pairwise(groups):
                start, last = int(indices[first]), int(indices[stop - 1])
                count = last - start + 1
                if len(buffer) < count * row_bytes:
                    buffer = np.empty(count * row_bytes, np.uint8)
                content = buffer[: count * row_bytes]
                self._read(file, content, self.offset + start * row_bytes)
                block = content.view(self.dtype).reshape(count, *self.shape[1:])
                if stop - first < count:
                    block = block[indices[first:stop] - start]
                yield slice(first, stop), block

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The open file, the same as the one whose header was read."""
        try:
            file = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})") from error
        try:
            if stamp_of(file) != self.stamp:
                raise DataError("was changed while it was read")
            yield file
        finally:
            os.close(file)

    def _read(self, file: int, into: np.ndarray, offset: int) -> None:
        view = memoryview(into)
        while len(view):
            try:
                count = os.preadv(file, [view], offset)
            except OSError as error:
                raise DataError(f"cannot be read ({error.strerror})") from error
            if not count:
                raise DataError("was cut short while it was read")
            view, offset = view[count:], offset + count


def stamp_of(file: int | Path) -> tuple[int, int]:
    """Size in bytes and time of the last change (nanoseconds), which tell whether a file is still the same."""
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns


def open_npy(path: Path) -> NpyFile:
    """Reads the header of an .npy file; no archive and no pickle is ever opened.

    Raises:
        DataError: no such file, not exactly one .npy array, or not of real numbers.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError("is not a regular file; expected an .npy array")
        with open(path, "rb") as file:
            shape, fortran_order, dtype = _read_header(file)
            offset, stamp = file.tell(), stamp_of(file.fileno())
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("no such feature file") from error
    except Exception as error:
        # NumPy evaluates the header as a Python literal, and a damaged one fails in a dozen different ways.
        text = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"cannot be read as an .npy array ({text})") from error
    if dtype.hasobject:
        raise DataError("cannot be read as an .npy array (it holds Python objects)")
    if dtype.kind not in "fiu":
        raise DataError(f"holds values of type {dtype}; expected real numbers")
    surplus = stamp[0] - offset - math.prod(shape) * dtype.itemsize
    if surplus:
        difference = f"{abs(surplus)} bytes {'more' if surplus > 0 else 'fewer'}"
        raise DataError(f"cannot be read as an .npy array ({difference} than the {shape} of its header)")
    return NpyFile(path, shape[::-1] if fortran_order else shape, dtype, offset, fortran_order, stamp)


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"its format has version {version[0]}.{version[1]}")
    with _ONE_HEADER_AT_A_TIME:
        shape, fortran_order, dtype = readers[version](file)
    if any(size < 0 or size >= 2**62 for size in shape):
        raise ValueError(f"its header says {shape}")
    return tuple(int(size) for size in shape), fortran_order, dtype
