"""The number of frames of each recording: from its feature file's header, from the source, or as declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from utils.annotation.recording import FRAMES
from utils.annotation.source_files import read_table
from utils.annotation.times import clock_time, exact_number, parse_rate
from utils.data.array_file import SUFFIXES_IN_FOLDERS, of_one_format, open_array
from utils.data.feature_origin import common_kind
from utils.errors import DataError, nearest_name, place, shown
from utils.video.decoding import open_video
from utils.video.recordings import find_videos

LAST = "last"
FRAMES_FIRST, FEATURES_FIRST = "frames_first", "features_first"


class FeatureLengths(NamedTuple):
    """Lengths and layout from the headers of a folder of feature files.

    Attributes:
        frames: name of a recording -> number of frames.
        layout: 'frames_first' or 'features_first'.
        width: width of all files, or None if it differs.
        frame_rate: frames/s, where the features were made of videos; None if that isn't known.
    """

    frames: dict[str, int]
    layout: str
    width: int | None
    frame_rate: Fraction | None = None


def read_feature_lengths(folder: Path, layout: str | None, problems: list[str]) -> FeatureLengths:
    """Number of frames of each feature file of a folder, for `.npy` from the headers alone.

    The files together show which axis is time: all features have the same width, but recordings have different lengths.
    If they don't show it, frames are the first axis, unless `layout` says otherwise.

    Args:
        folder: folder of `<recording>.npy`, or files of another format, with two axes, or four (maps, frames first).
        layout: FRAMES_FIRST, FEATURES_FIRST, or None to detect it.
        problems: what is wrong is appended here.
    """
    if not folder.is_dir():
        problems.append(f"{place(folder)}no such folder of features")
        return FeatureLengths({}, layout or FRAMES_FIRST, None)
    shapes: dict[str, tuple[int, ...]] = {}
    files: list[Path] = []
    for path in of_one_format(folder.iterdir(), SUFFIXES_IN_FOLDERS):
        try:
            shape = open_array(path).array_shape
            if len(shape) not in (2, 4):
                raise DataError(f"has shape {shape}; expected (frames, width)")
            shapes[path.stem] = shape
            files.append(path)
        except DataError as error:
            problems.append(f"{place(path)}{error}")
    if not shapes and not problems:
        problems.append(f"{place(folder)}holds no file of features ({', '.join(SUFFIXES_IN_FOLDERS)})")
    flat = [shape for shape in shapes.values() if len(shape) == 2]
    firsts, seconds = {shape[0] for shape in flat}, {shape[1] for shape in flat}
    if layout is None:
        layout = FEATURES_FIRST if len(firsts) == 1 and len(seconds) > 1 else FRAMES_FIRST
    axis = 1 if layout == FEATURES_FIRST else 0
    frames = {name: shape[axis if len(shape) == 2 else 0] for name, shape in shapes.items()}
    widths = firsts if axis else seconds
    kind = common_kind(files, problems)
    rate = None if kind is None else parse_rate(repr(kind.frame_rate))
    return FeatureLengths(frames, layout, widths.pop() if len(widths) == 1 else None, rate)


def read_video_lengths(folder: Path, frame_rate: Fraction, problems: list[str]) -> FeatureLengths:
    """Number of frames that the features of a folder of videos will have, as the files say.

    Args:
        folder: folder of `<recording>.mp4`, or another container.
        frame_rate: frames/s of the features.
        problems: what is wrong is appended here.
    """
    frames: dict[str, int] = {}
    try:
        for recording in find_videos(folder, (), problems):
            frames[recording.name] = open_video(recording.paths[0]).sampled_frames(float(frame_rate))
    except DataError as error:
        problems += error.problems
    return FeatureLengths(frames, FRAMES_FIRST, None, frame_rate)


def read_values(path: Path, what: str, unit: str, problems: list[str]) -> dict[str, Fraction]:
    """A number for each recording, from a table with the columns `recording` and `what`.

    Args:
        path: a CSV or TSV file.
        what: name of the second column, 'length' or 'offset'.
        unit: unit of the annotation's times; text such as 00:01:30 is converted to seconds.
        problems: what is wrong is appended here.
    """
    values: dict[str, Fraction] = {}
    for line, cells in read_table(path, problems):
        if "recording" not in cells or what not in cells:
            problems.append(f"{place(path)}has the columns {shown(list(cells))}; expected recording,{what}")
            return {}
        try:
            if cells["recording"] in values:
                raise DataError("occurs twice")
            values[cells["recording"]] = parse_value(cells[what], unit)
        except DataError as error:
            problems.append(f"{place(path, None, cells['recording'])}line {line}: the {what} {error}")
    return values


def parse_value(text: str, unit: str) -> Fraction:
    """A length or an offset in the unit of the annotation: frames, or seconds.

    Raises:
        DataError: it isn't one.
    """
    number = clock_time(text) if ":" in text else exact_number(text)
    if unit == FRAMES and (":" in text or number.denominator != 1):
        raise DataError(f"is {shown(text)}; expected a whole number of frames")
    return number


def missing_features(
    names: Iterable[str], features: Mapping[str, int], folder: Path, are_videos: bool = False
) -> list[str]:
    """A sentence for each recording without a feature file, or a video."""
    problems = []
    for name in names:
        if name not in features:
            near = nearest_name(name, features)
            hint = f"; did you mean {near!r}?" if near else ""
            problems.append(f"{place(folder)}holds no {f'video {name!r}' if are_videos else f'{name}.npy'}{hint}")
    return problems
