"""Reads an .npy file of numbers in parts, with ordinary reads.

It uses no memory map. If a mapped file becomes shorter, because someone rewrites the features, SIGBUS kills the
process during training, without a message. With ordinary reads there is an error with a message.
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

# NumPy parses a header as a Python literal, and CPython's parser has one recursion counter for all threads. On
# Python 3.11, parsing two headers at once failed with "AST constructor recursion depth mismatch".
_ONE_HEADER_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class NpyFile:
    """The header of an .npy file, and where its numbers begin; the numbers are not read yet.

    Attributes:
        path: the file.
        shape: its axes in the order of the numbers in the file; the last axis varies fastest.
        dtype: type of the numbers, which are real.
        offset: bytes before the first number.
        fortran_order: whether the header gives the axes in the reverse order of `shape`.
        stamp: size in bytes and time of the last change (nanoseconds), which show whether the file was changed.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    fortran_order: bool
    stamp: tuple[int, int]

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The axes in the order of the header."""
        return self.shape[::-1] if self.fortran_order else self.shape

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Reads some rows at once: float32 (n, ...), contiguous and writable; see `rows`."""
        result = np.empty((len(indices), *self.shape[1:]), np.float32)
        for part, block in self.rows(indices):
            result[part] = block
        return result

    def rows(self, indices: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Reads some rows in blocks; a row is everything at one index of the first axis of `shape`.

        Args:
            indices: strictly increasing row numbers.

        Yields:
            The positions in `indices`, and their rows: (n, ...) float32, valid until the next block is read. Values
            too large for single precision become infinite.

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
                if stamp_of(file.fileno()) != self.stamp:
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
            offset, stamp = file.tell(), stamp_of(file.fileno())
        if any(size < 0 or size >= 2**62 for size in shape):
            raise ValueError(f"its header says {shape}")
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(no_such_file(path)) from error
    except Exception as error:
        # NumPy evaluates the header as a Python literal; a damaged one can raise many types of errors.
        raise DataError(f"cannot be read as an .npy array ({first_line(error)[:300]})") from error
    if dtype.kind not in "fiu":
        raise DataError(f"cannot be read: it holds values of type {dtype}; expected real numbers")
    surplus = stamp[0] - offset - math.prod(shape) * dtype.itemsize
    if surplus:
        difference = f"{abs(surplus)} bytes {'more' if surplus > 0 else 'fewer'}"
        raise DataError(f"cannot be read as an .npy array ({difference} than the {shape} of its header)")
    shape = tuple(map(int, shape))
    return NpyFile(path, shape[::-1] if fortran_order else shape, dtype, offset, fortran_order, stamp)


def no_such_file(path: Path) -> str:
    """The message for a file that isn't there, with files of the same name whose suffix says that they aren't read."""
    if os.path.exists(path.parent / path.stem):
        return f"no such feature file ({path.stem} is there: a handle is written without the suffix)"
    beside = sorted(other.name for other in path.parent.glob("*") if other.stem == path.stem)
    return "no such feature file" + (f" ({', '.join(beside[:3])} is there, whose suffix is not read)" if beside else "")


def stamp_of(file: int | Path) -> tuple[int, int]:
    """Size in bytes and time of the last change (nanoseconds), which show whether a file was changed."""
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns
