"""Feature files: (T, D), (D, T) if FEATURE_LAYOUT says so, or maps of (T, channels, height, width).

.npy files are read in blocks (`utils.data.npy_file`): checking or measuring a data set never needs all of it in memory,
and a few frames of a long video are read without the others. Other formats are read whole (`utils.data.array_file`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.data.array_file import SUFFIXES, LoadedArray, named_file, of_one_format, open_array
from utils.data.npy_file import NpyFile
from utils.data.standardization import Moments
from utils.errors import DataError

FEATURE_RANK, MAP_RANK = 2, 4

@dataclass(frozen=True)
class FeatureFormat:
    """The layout of a data set's feature files, and which of their frames are used.

    Args:
        rank: axes of a file, 2 for features, 4 for maps.
        features_first: the files are (D, T); not possible for maps.
        skip_rate: every skip_rate-th frame is used.
        key: which array of a file is meant, where it holds several (FEATURES_KEY).
    """

    rank: int = FEATURE_RANK
    features_first: bool = False
    skip_rate: int = 1
    key: str = ""

    @property
    def axes(self) -> str:
        """The axes of a file, in words."""
        if self.rank == MAP_RANK:
            return "(frames, channels, height, width)"
        return "(width, frames)" if self.features_first else "(frames, width)"


@dataclass(frozen=True)
class FeatureFile:
    """A feature file whose header is valid.

    Attributes:
        file: the open file.
        shape: (T, D) or (T, channels, height, width), frames first in either layout of the file.
        frames_lie_together: True if the numbers of one frame are contiguous in the file; False if the numbers of one
            feature are.
    """

    file: NpyFile | LoadedArray
    shape: tuple[int, ...]
    frames_lie_together: bool

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, frames: np.ndarray) -> np.ndarray:
        """Reads some frames, given in strictly increasing order: float32 (n, ...), contiguous and writable."""
        if self.frames_lie_together:
            return self.file.read(frames)
        # Rows of the file are features: (D, T), or (width, height, channels, T) of maps in Fortran order.
        result = np.empty((len(frames), *self.file.shape[:-1]), np.float32)
        for part, block in self.file.rows(np.arange(self.file.shape[0])):
            result[:, part] = np.moveaxis(block[..., frames], -1, 0)
        return np.ascontiguousarray(result.transpose(0, *range(result.ndim - 1, 0, -1)) if result.ndim > 2 else result)

    def strips(self, frames: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
        """Reads some frames in blocks.

        Yields:
            Index in `frames` of the block's first frame, index of its first feature, and the block: float32 (n, ...),
            all features of n frames, or (len(frames), k), k features of all frames.
        """
        if self.frames_lie_together:
            for part, block in self.file.rows(frames):
                yield part.start, 0, block
        elif len(self.shape) == FEATURE_RANK:
            for part, block in self.file.rows(np.arange(self.file.shape[0])):
                yield 0, part.start, block[:, frames].T
        else:
            yield 0, 0, self.read(frames)


@dataclass(frozen=True)
class FeatureScan:
    """The result of one pass over a feature file.

    Args:
        file_frames: frames in the file.
        frames: number of frames that are used, every skip_rate-th.
        shape: the shape of one frame, (D,) or (channels, height, width).
        checksum: CRC-32 of the used frames' values, in single precision and in the order of the file.
        moments: moments of the used frames, or None if not requested.
        stamp: the file's size in bytes and time of its last change (nanoseconds); they show a later change.
    """

    file_frames: int
    frames: int
    shape: tuple[int, ...]
    checksum: int
    moments: Moments | None = None
    stamp: tuple[int, int] | None = None


def feature_path(folder: Path, handle: str) -> Path:
    """The feature file of a video (or its maps) in the data set's features folder, in whatever format it is."""
    return named_file(folder, handle)


def feature_handles(folder: Path) -> list[str]:
    """The names of the feature files in a folder, in order; none if there is no such folder."""
    files = of_one_format(folder.iterdir(), SUFFIXES) if folder.is_dir() else []
    return [path.name.removesuffix(path.suffix) for path in files]


def open_features(path: Path, file_format: FeatureFormat) -> FeatureFile:
    """Opens a feature file and reads its header.

    The numbers of an .npy file are not read. Nothing in a file is executed: no pickle is opened.

    Args:
        path: a file of real numbers in one of the formats of `utils.data.array_file`.
        file_format: the expected layout.

    Raises:
        DataError: no such file, not exactly one array, not real numbers, another rank, or a width of 0.
        MissingExtraError: the library that reads its format isn't installed.
    """
    file = open_array(path, file_format.key)
    shape = file.array_shape
    if len(shape) != file_format.rank:
        raise DataError(f"has shape {shape}; expected {file_format.rank} axes, {file_format.axes}")
    frames_first = shape[::-1] if file_format.features_first else shape
    if 0 in frames_first[1:]:
        raise DataError(f"has shape {shape}; expected a width of at least 1, {file_format.axes}")
    return FeatureFile(file, frames_first, frames_lie_together=file.fortran_order == file_format.features_first)


def scan_features(path: Path, file_format: FeatureFormat, with_moments: bool = False) -> FeatureScan:
    """Checks a feature file in one pass; with `with_moments`, also computes its moments.

    Args:
        path, file_format: as for `open_features`; only the frames that are used are checked.
        with_moments: also return the moments of each feature.

    Raises:
        DataError: what `open_features` raises, fewer than two frames, or a value that isn't finite in
            single precision, with the first such frame and feature.
    """
    features = open_features(path, file_format)
    skip_rate = file_format.skip_rate
    used = np.arange(0, len(features), skip_rate)
    if len(used) < 2:
        skipped = f" at SKIP_RATE {skip_rate}" if skip_rate > 1 else ""
        raise DataError(f"has {len(used)} frame{'s' * (len(used) != 1)}{skipped}; expected at least 2")
    worst: tuple[tuple[int, ...], np.float32] | None = None
    parts: list[Moments] = []
    checksum = 0
    for first_frame, first_feature, block in features.strips(used):
        if (place := _first_non_finite(block)) is not None:
            frame, feature, *rest = place
            found = (first_frame + frame, first_feature + feature, *rest)
            worst = min(worst or (found, block[place]), (found, block[place]))
            if features.frames_lie_together:
                break
        in_file_order = block if features.frames_lie_together else block.T
        checksum = zlib.crc32(np.ascontiguousarray(in_file_order), checksum)
        if with_moments and worst is None:
            wide = np.moveaxis(block, 1, -1).reshape(-1, block.shape[1]).astype(np.float64)
            parts.append(Moments.of(wide))
            if features.frames_lie_together and len(parts) == 2:
                parts = [parts[0].merge(parts[1])]
    if worst is not None:
        (frame, *feature), value = worst
        where = f"frame {frame * skip_rate}, feature {', '.join(map(str, feature))}"
        raise DataError(f"holds {value} at {where}; expected finite single-precision values")
    moments = Moments.side_by_side(parts) if parts else None
    return FeatureScan(len(features), len(used), features.shape[1:], checksum, moments, features.file.stamp)


def read_features(
    path: Path,
    file_format: FeatureFormat,
    standardization: dict[str, Tensor] | None = None,
    frames: np.ndarray | None = None,
    expected_frames: int | None = None,
    expected_stamp: tuple[int, int] | None = None,
) -> Tensor:
    """One video's features, ready for the model.

    Args:
        path, file_format: as for `open_features`.
        standardization: `{'mean', 'std'}` of (D,) or, for maps, (channels,); None leaves the values unchanged.
        frames: which of the used frames to read, strictly increasing indices; None reads all.
        expected_frames: how many used frames the file had when it was checked, or None.
        expected_stamp: its stamp at that time (`FeatureScan`), or None.

    Returns:
        float32 of shape (T, D) or (T, channels, height, width), a copy that owns its memory.

    Raises:
        DataError: the errors of `open_features`, another number of frames than expected, or another stamp: the
            file was changed after its values were checked, and a run must not mix old and new values.
    """
    features = open_features(path, file_format)
    used = np.arange(0, len(features), file_format.skip_rate)
    if expected_frames not in (None, len(used)):
        raise DataError(
            f"gives {len(used)} frames; expected the {expected_frames} that were there when the data was "
            f"checked"
        )
    if expected_stamp not in (None, features.file.stamp):
        raise DataError("was rewritten after the data was checked; expected it to stay as it is")
    values = torch.from_numpy(features.read(used if frames is None else used[frames]))
    if standardization is None:
        return values
    shape = (-1,) + (1,) * (file_format.rank - 2)
    return values.sub_(standardization["mean"].view(shape)).div_(standardization["std"].view(shape))


def _first_non_finite(block: np.ndarray) -> tuple[int, ...] | None:
    """The index of the first NaN or infinity of a block, or None if all its values are finite."""
    # A sum is a fast check: any NaN or infinity makes it non-finite. A sum of finite values can also overflow, so
    # the single values are checked when the sum is not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(block.sum()):
            return None
    finite = np.isfinite(block)
    return None if finite.all() else tuple(int(index) for index in np.argwhere(~finite)[0])
