"""What a report needs to play a test recording: its video as browsers play it, its curve and its true steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.frame_segments import FrameSegments
from utils.data.segments import is_background
from utils.files import write_json
from utils.prediction.embedding import TRAINED, EmbeddedVideo
from utils.registry import AUTO
from utils.video.overlay import ProgressTrack
from utils.video.recordings import is_video, videos_folder
from utils.video.writing import write_for_browsers

DECIMALS = 4


@dataclass(frozen=True)
class Recorded:
    """The videos of a data set.

    Attributes:
        videos: by the handle of the recording.
        frame_rate: frames/s that are evaluated.
    """

    videos: Mapping[str, Path]
    frame_rate: float


def recorded_videos(config: Mapping[str, Any]) -> Recorded | None:
    """The videos of a data set; None if there are none, or if nobody knows the frame rate.

    Args:
        config: DATASET_PATH, DATASET_NAME, VIDEOS_FOLDER, CAMERAS (the first one is shown), FRAME_RATE and SKIP_RATE.
    """
    folder, rate = videos_folder(config) / next(iter(config.get("CAMERAS") or ()), ""), config.get("FRAME_RATE")
    if not rate or not folder.is_dir():
        return None
    videos = {path.stem: path for path in sorted(folder.iterdir()) if is_video(path)}
    return Recorded(videos, rate / int(config.get("SKIP_RATE") or 1)) if videos else None


def write_played(
    paths: Sequence[Path], source: Path, frame_rate: float, video: EmbeddedVideo, curves: Mapping[str, np.ndarray]
) -> None:
    """Writes what a report needs of one recording.

    Args:
        paths: where to write the video and, as JSON, the rest.
        source: the video.
        frame_rate: frames/s of the curves.
        video: its annotation.
        curves: its predicted online progress, (T,) by estimator; that which cross-validation chose is shown, or the
            trained network's path.
    """
    name = AUTO if AUTO in curves else TRAINED
    segments = FrameSegments(video.time_dict, len(video.progress)).segment.tolist()
    steps = ["" if k < 0 or is_background(video.time_dict["step"][k]) else video.time_dict["step"][k] for k in segments]
    write_for_browsers(paths[0], source)
    write_json(paths[1], {
        "frame_rate": frame_rate, "curve": name, "progress": _rounded(curves[name]), "truth": _rounded(video.progress),
        "steps": steps,
    })  # fmt: skip


def read_played(content: Mapping[str, Any]) -> tuple[ProgressTrack, np.ndarray, str]:
    """What `write_played` wrote of a recording: its track, true progress and the estimator of the curve.

    Raises:
        KeyError, TypeError, ValueError: it isn't what that writes.
    """
    progress, truth = (np.array(content[key], dtype=np.float64) for key in ("progress", "truth"))
    steps = [str(step) for step in content["steps"]]
    if not len(progress) == len(truth) == len(steps) > 0:
        raise ValueError("progress, truth and steps are not of one length")
    times = np.arange(len(progress)) / float(content["frame_rate"])
    return ProgressTrack(times, progress, steps=steps), truth, str(content["curve"])


def _rounded(values: np.ndarray) -> list[float]:
    return [round(value, DECIMALS) for value in np.asarray(values, dtype=np.float64).tolist()]
