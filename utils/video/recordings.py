"""Which videos a folder holds, and which of them belong to one recording."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.errors import DataError, nearest_name, place
from utils.video.decoding import VIDEO_SUFFIXES

CAMERA, FILE = "camera:", "file:"


@dataclass(frozen=True)
class VideoRecording:
    """A recording.

    Attributes:
        name: its name, that of its files without suffix.
        paths: its video, or one of each camera in their order.
    """

    name: str
    paths: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """Of its files."""
        return sum(path.stat().st_size for path in self.paths)


def videos_folder(config: Mapping[str, Any]) -> Path:
    """The folder of a data set's videos, by DATASET_PATH, DATASET_NAME and VIDEOS_FOLDER; it need not exist."""
    data_set = Path(config["DATASET_PATH"]) / config["DATASET_NAME"]
    return data_set / (config.get("VIDEOS_FOLDER") or "videos")


def is_video(path: str | Path) -> bool:
    """Whether a path has the suffix of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def is_stream(name: str) -> bool:
    """Whether a name means pictures as they come: 'camera:0', 'file:loop.mp4', 'rtsp://...'; see `utils.video.live`."""
    return name.startswith((CAMERA, FILE)) or re.match(r"\w[\w+.-]+://", name) is not None


def find_videos(source: Path, cameras: Sequence[str], problems: list[str]) -> list[VideoRecording]:
    """The recordings of a folder in the order of their names.

    Args:
        source: a folder of <recording>.<suffix>; with cameras, of <camera>/<recording>.<suffix>. Or one video.
        cameras: names of the folders in it, one of each camera, in the order in which their features are concatenated.
        problems: recordings that can't be used are named here.

    Raises:
        DataError: there is no such folder, or no video in it.
    """
    if not source.exists():
        raise DataError(f"{place(source)}no such folder of videos")
    if source.is_file():
        if cameras:
            raise DataError(f"{place(source)}is one video; expected folders of the cameras {', '.join(cameras)}")
        return [VideoRecording(source.stem, (source,))]
    if not cameras:
        found = _videos_of(source, problems)
        if not found:
            inner = sorted(folder.name for folder in source.iterdir() if folder.is_dir() and _videos_of(folder, []))
            hint = f"; if its folders are cameras: --cameras {' '.join(inner)}" if inner else ""
            raise DataError(f"{place(source)}holds no video ({', '.join(VIDEO_SUFFIXES)}){hint}")
        return [VideoRecording(name, (path,)) for name, path in found.items()]
    by_camera: dict[str, dict[str, Path]] = {}
    for camera in cameras:
        if not (source / camera).is_dir():
            folders = [folder.name for folder in source.iterdir() if folder.is_dir()]
            near = nearest_name(camera, folders)
            hint = f"; did you mean {near!r}?" if near else ""
            raise DataError(f"{place(source)}has no folder of the camera {camera!r}{hint}")
        by_camera[camera] = _videos_of(source / camera, problems)
    recordings = []
    for name in sorted({name for videos in by_camera.values() for name in videos}):
        missing = [camera for camera, videos in by_camera.items() if name not in videos]
        if missing:
            problems.append(f"{place(source)}{name} has no video of the camera {', '.join(missing)}; expected one")
        else:
            recordings.append(VideoRecording(name, tuple(videos[name] for videos in by_camera.values())))
    if not recordings:
        raise DataError([*problems, f"{place(source)}no recording has a video of each camera, {', '.join(cameras)}"])
    return recordings


def _videos_of(folder: Path, problems: list[str]) -> dict[str, Path]:
    """The videos of a folder by their names."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not is_video(path) or path.name.startswith(".") or path.is_dir():
            continue
        if path.stem in found:
            problems.append(
                f"{place(path)}is left out: {found[path.stem].name} has the same name; expected one file of a recording"
            )
        else:
            found[path.stem] = path
    return found


def shard_of(recordings: Sequence[VideoRecording], number: int, count: int) -> list[VideoRecording]:
    """The recordings of one of several jobs; together, the jobs have each once, and about as many bytes each.

    Args:
        recordings: all of them; each job must see the same files.
        number: of the job, from 1.
        count: how many jobs there are.
    """
    by_size = sorted(recordings, key=lambda recording: (-recording.bytes, recording.name))
    mine = []
    for place_in_order, recording in enumerate(by_size):
        turn, position = divmod(place_in_order, count)
        # Forth and back, so that no job always has the larger one of a round.
        if (position if turn % 2 == 0 else count - 1 - position) == number - 1:
            mine.append(recording)
    return sorted(mine, key=lambda recording: recording.name)
