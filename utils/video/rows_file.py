"""Writes an .npy file row by row, where the number of rows is known only at the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

HEADER = 128  # bytes; a multiple of 64, as NumPy pads headers


def write_rows(path: Path, rows: Iterable[np.ndarray], shape: tuple[int, ...]) -> int:
    """Writes float32 rows as an array of (rows, *shape); returns how many there were.

    Args:
        path: the file, .npy.
        rows: one after the other; memory holds one of them.
        shape: of a row.
    """
    count = 0
    with open(path, "wb") as file:
        file.write(bytes(HEADER))
        for row in rows:
            if row.shape != shape or row.dtype != np.float32:
                raise ValueError(f"a row of {row.dtype} {row.shape}; expected float32 {shape}")
            file.write(row.astype("<f4", copy=False).tobytes())
            count += 1
        text = repr({"descr": "<f4", "fortran_order": False, "shape": (count, *shape)})
        start = b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little")
        file.seek(0)
        file.write(start + text.encode().ljust(HEADER - len(start) - 1) + b"\n")
    return count
