"""Labels as arrays: a folder of `<recording>.npy`, one label per frame.

Either (T,) of numbers, or (T, C) with one label a frame set, one-hot; the label is its number then. Frames from 0, ends
exclusive; the array's length is the recording's. Names come by --names FILE. Source: issues of programs that read
target_perframe/, as online action detection passes its labels on.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.mstcn import segments_of
from utils.annotation.recording import FRAMES, Convention, Recording
from utils.annotation.source_files import source_paths
from utils.errors import place

SINGLE, ONE_HOT = 1, 2


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one file or of a folder of them."""
    recordings = []
    for path in source_paths(source, (".npy",), problems):
        try:
            labels = _labels(np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            problems.append(f"{place(path)}cannot be read as labels ({error})")
            continue
        segments = [segment._replace(where=segment.where.replace("line", "row")) for segment in segments_of(labels)]
        recordings.append(Recording(path.stem, segments, Convention(FRAMES), path, length=Fraction(len(labels))))
    return recordings


def _labels(array: np.ndarray) -> list[str]:
    """The number of each frame's label, as text.

    Raises:
        ValueError: the array is neither of the two forms.
    """
    if array.dtype.kind not in "fiub" or array.ndim not in (SINGLE, ONE_HOT) or not len(array):
        raise ValueError(f"it has shape {array.shape} and type {array.dtype}; expected (frames,) or (frames, labels)")
    if array.ndim == ONE_HOT:
        set_in_frame = (array != 0).sum(axis=1)
        if (set_in_frame != 1).any():
            frame = int(np.flatnonzero(set_in_frame != 1)[0])
            raise ValueError(f"frame {frame} has {int(set_in_frame[frame])} labels; expected one")
        return [str(number) for number in array.argmax(axis=1).tolist()]
    whole = np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2**53)
    if not whole.all():
        raise ValueError(f"frame {int(np.flatnonzero(~whole)[0])} is no whole number")
    return [str(int(number)) for number in array.tolist()]
