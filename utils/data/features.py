"""Feature files: `<handle>.npy`, (T, D) or declared as (D, T), or maps of (T, channels, height, width).

Files are opened as read-only memory maps and read in blocks, so that checking a data set or measuring its
features never holds all of it, and a few frames of a long video are read without the others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.data.problems import DataError
from utils.data.standardization import Moments

BLOCK_ELEMENTS = 1 << 19  # 2 MB in single precision
FEATURE_RANK, MAP_RANK = 2, 4
LAYOUTS = ("frames_first", "features_first")

# NumPy parses a header as a Python literal, and CPython's parser keeps its recursion depth in one counter for all
# threads: two headers at once were seen to fail with "AST constructor recursion depth mismatch" on 3.11.
_ONE_HEADER_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class FeatureFormat:
    """How the feature files of a data set are laid out, and which of their frames are used.

    Args:
        rank: axes of a file, 2 for features, 4 for maps.
        features_first: the files are (D, T); only features can be.
        skip_rate: every skip_rate-th frame is used.
    """

    rank: int = FEATURE_RANK
    features_first: bool = False
    skip_rate: int = 1

    @property
    def axes(self) -> str:
        """The axes of a file, in words."""
        if self.rank == MAP_RANK:
            return "(frames, channels, height, width)"
        return "(width, frames)" if self.features_first else "(frames, width)"


@dataclass(frozen=True)
class FeatureScan:
    """What one pass over a feature file found.

    Args:
        file_frames: frames in the file.
        frames: those that are used, every skip_rate-th.
        shape: the shape of one frame, (D,) or (channels, height, width).
        moments: of the used frames, where asked for.
    """

    file_frames: int
    frames: int
    shape: tuple[int, ...]
    moments: Moments | None = None


def feature_path(folder: Path, handle: str) -> Path:
    """Where the features (or maps) of a video are, in the folder that holds those of the data set."""
    return folder / f"{handle}.npy"


def open_features(path: Path, file_format: FeatureFormat) -> np.ndarray:
    """A read-only memory map of a feature file, frames first whichever way the file is laid out.

    Nothing of the content is read, and nothing but an .npy array of numbers is opened: no archive, no pickle.

    Args:
        path: an .npy file of real numbers.
        file_format: what it is expected to be.

    Returns:
        A view of shape (T, D) or (T, channels, height, width).

    Raises:
        DataError: no such file, not exactly one .npy array, not numbers, of another rank, or of no width.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError("is not a regular file; expected an .npy array")
        # errstate: of the size that a hostile shape multiplies up to.
        with _ONE_HEADER_AT_A_TIME, np.errstate(over="raise"):
            array = np.lib.format.open_memmap(path, mode="r")
        surplus = path.stat().st_size - array.offset - array.nbytes
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("no such feature file") from error
    except Exception as error:
        # NumPy evaluates the header as a Python literal, and a damaged one fails in a dozen different ways.
        raise DataError(f"cannot be read as an .npy array ({_one_line(error)})") from error
    if surplus > 0:
        raise DataError(
            f"cannot be read as an .npy array ({surplus} bytes more than the {array.shape} of its header)"
        )
    if array.dtype.kind not in "fiu":
        raise DataError(f"holds values of type {array.dtype}; expected real numbers")
    if array.ndim != file_format.rank:
        raise DataError(f"has shape {array.shape}; expected {file_format.rank} axes, {file_format.axes}")
    view = array.T if file_format.features_first else array
    if 0 in view.shape[1:]:
        raise DataError(f"has shape {array.shape}; expected a width of at least 1, {file_format.axes}")
    return view


def scan_features(path: Path, file_format: FeatureFormat, with_moments: bool = False) -> FeatureScan:
    """Checks a feature file in one pass, and measures it on the way where asked to.

    Args:
        path, file_format: as for `open_features`; only the frames that are used are checked.
        with_moments: also return the moments of each feature.

    Raises:
        DataError: what `open_features` raises, fewer than two frames, or a value that isn't finite in
            single precision, with the first such frame and feature.
    """
    array = open_features(path, file_format)
    skip_rate = file_format.skip_rate
    used = array[::skip_rate]
    if len(used) < 2:
        skipped = f" at SKIP_RATE {skip_rate}" if skip_rate > 1 else ""
        raise DataError(f"has {len(used)} frame{'s' * (len(used) != 1)}{skipped}; expected at least 2")
    moments = None
    for first, block in _blocks(used):
        if (place := _first_non_finite(block)) is not None:
            frame, *feature = place
            where = f"frame {(first + frame) * skip_rate}, feature {', '.join(map(str, feature))}"
            raise DataError(f"holds {block[place]} at {where}; expected finite single-precision values")
        if with_moments:
            wide = np.moveaxis(block, 1, -1).reshape(-1, block.shape[1]).astype(np.float64)
            moments = Moments.of(wide) if moments is None else moments.merge(Moments.of(wide))
    return FeatureScan(len(array), len(used), tuple(array.shape[1:]), moments)


def read_features(
    path: Path,
    file_format: FeatureFormat,
    standardization: dict[str, Tensor] | None = None,
    frames: np.ndarray | None = None,
    expected_frames: int | None = None,
) -> Tensor:
    """One video's features, ready for the model.

    Args:
        path, file_format: as for `open_features`.
        standardization: `{'mean', 'std'}` of (D,) or, for maps, (channels,); None leaves the values.
        frames: which of the used frames to read, an array of indices; None reads all.
        expected_frames: how many used frames the file had when it was checked, or None.

    Returns:
        float32 of shape (T, D) or (T, channels, height, width), a copy that owns its memory.

    Raises:
        DataError: what `open_features` raises, or another number of frames than expected.
    """
    used = open_features(path, file_format)[:: file_format.skip_rate]
    if expected_frames not in (None, len(used)):
        raise DataError(
            f"gives {len(used)} frames; expected the {expected_frames} that were there when the data was "
            f"checked"
        )
    chosen = used if frames is None else used[frames]
    values = torch.from_numpy(np.array(chosen, dtype=np.float32, order="C"))
    if standardization is None:
        return values
    shape = (-1,) + (1,) * (file_format.rank - 2)
    return values.sub_(standardization["mean"].view(shape)).div_(standardization["std"].view(shape))


def _blocks(used: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of frames in single precision, as the model will see them, each with its first frame."""
    rows = max(1, BLOCK_ELEMENTS // int(np.prod(used.shape[1:])))
    for start in range(0, len(used), rows):
        with np.errstate(over="ignore"):
            yield start, np.asarray(used[start : start + rows]).astype(np.float32, copy=False)


def _first_non_finite(block: np.ndarray) -> tuple[int, ...] | None:
    """The index of the first NaN or infinity of a block, or None where all its values are finite."""
    # Any of them makes the sum non-finite, and a sum is read once and writes nothing; the exact look is for
    # the sums that are not finite, be it only because finite values add up beyond single precision.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(block.sum()):
            return None
    finite = np.isfinite(block)
    return None if finite.all() else tuple(int(index) for index in np.argwhere(~finite)[0])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
