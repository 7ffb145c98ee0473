"""What is predicted of a video, as pictures: drawn on the video, and as a page that plays it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.data.segments import BACKGROUND
from utils.errors import DataError
from utils.prediction.files import Prediction
from utils.prediction.finding import Found
from utils.prediction.progress.model import ProgressAnswers
from utils.video.overlay import ProgressTrack
from utils.video.recordings import is_video

BACKGROUND_IN_WORDS = "background"


def track_of(found: Prediction, frame_rate: float) -> ProgressTrack:
    """What is known at each frame of a video.

    Args:
        found: the prediction of its features.
        frame_rate: frames/s of them.
    """
    times = np.arange(len(found)) / frame_rate
    if not isinstance(found, ProgressAnswers):
        return ProgressTrack(times, found)
    steps = [BACKGROUND_IN_WORDS if step == BACKGROUND else step for step in found.steps]
    return ProgressTrack(
        times, found.progress, found.lower, found.upper, steps if found.labels else None, found.step_probability,
        found.remaining_seconds, found.out_of_range,
    )  # fmt: skip


def interval_name(found: Prediction) -> str:
    """Such as '80 % interval'."""
    return f"{100 * found.coverage:.0f} % interval" if isinstance(found, ProgressAnswers) else ""


def places_for(given: Path | None, recordings: Sequence[Found], suffixes: Sequence[str]) -> dict[str, Path]:
    """Where to write something of the video of each recording: a file for one of them, or files in a folder.

    Args:
        given: the file, whose name ends in one of the suffixes, or the folder; None for nothing.
        recordings: what is predicted.
        suffixes: of files; in a folder, the first one.

    Raises:
        DataError: a recording that is no video, a file for several recordings, or a file of another kind.
    """
    if given is None:
        return {}
    if others := [str(each.path) for each in recordings if not is_video(each.path)]:
        raise DataError(f"{others[0]} is no video, of which {given} could be made; expected videos alone")
    if given.suffix.lower() in suffixes and not given.is_dir():
        if len(recordings) > 1:
            raise DataError(f"{given} is one file, and there are {len(recordings)} recordings; expected a folder")
        places = {recordings[0].name: given}
    elif given.suffix and not given.is_dir():
        raise DataError(f"{given}: expected a folder, or a name that ends in {', '.join(suffixes)}")
    else:
        places = {each.name: given / f"{each.name}{suffixes[0]}" for each in recordings}
    for each in recordings:
        if places[each.name].resolve() == each.path.resolve():
            raise DataError(f"{each.path} would be replaced by what is made of it; expected another file or folder")
    return places
