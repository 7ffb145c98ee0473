"""The formats that can be written: each is one small file in this folder, and a line in the table.

An exporter is a function `write(outlines, folder, options)` that writes files and returns their paths. Boundaries lie
between two frames, as in the importer, so that steps that are exported and imported again are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from utils.annotation.conversion import nearest
from utils.annotation.timeline import Piece
from utils.errors import DataError, shown
from utils.registry import choice_of, code_of

MOST_FRAMES_A_SECOND = 1000  # at higher rates, two frames can begin in the same millisecond


@dataclass(frozen=True)
class Outline:
    """The frames of one recording: steps and progress.

    Attributes:
        name: name of the recording.
        pieces: its steps, without gaps, from the first frame to the last; empty if only progress is known.
        length: number of frames.
        progress: progress of each frame, 0 to 1, or None.
    """

    name: str
    pieces: Sequence[Piece]
    length: int
    progress: Sequence[float] | None = None


@dataclass(frozen=True)
class ExportOptions:
    """Options of a format.

    Attributes:
        frame_rate: frames/s of the recordings' features.
        video_rate: frames/s of the videos, for formats that count their frames.
        media_suffix: '.mp4' or the like: the media file of a recording is its name with it.
        model: name of the model that made the steps, for formats that store it.
    """

    frame_rate: Fraction
    video_rate: Fraction
    media_suffix: str = ".mp4"
    model: str = ""

    def milliseconds(self, frame: int) -> int:
        """The time at which a frame begins, to the nearest millisecond.

        Raises:
            DataError: milliseconds can't tell the frames apart.
        """
        if self.frame_rate >= MOST_FRAMES_A_SECOND:
            raise DataError(f"{float(self.frame_rate):g} frames/s are too many for a format that counts milliseconds")
        return nearest(1000 * frame / self.frame_rate)


class Exporter(NamedTuple):
    """A format that can be written: its function, as `module:name`, and a description."""

    code: str
    words: str


_HERE = "utils.annotation.exporters"
EXPORTERS: dict[str, Exporter] = {
    "elan": Exporter(f"{_HERE}.elan:write", "ELAN: <recording>.eaf, with a tier of steps and one of progress"),
    "boris": Exporter(f"{_HERE}.boris:write", "BORIS: a project, and <recording>.tsv to paste as events"),
    "webvtt": Exporter(f"{_HERE}.webvtt:write", "WebVTT: <recording>.vtt and <recording>.progress.vtt"),
    "label_studio": Exporter(f"{_HERE}.label_studio:write", "Label Studio: tasks with pre-annotations, and its labels"),
    "lerobot": Exporter(f"{_HERE}.lerobot:write", "LeRobot: progress of each frame, Parquet"),
}

Write = Callable[[Sequence[Outline], Path, ExportOptions], list[Path]]


def exporter_of(name: str) -> Write:
    """The function of a format, imported now.

    Raises:
        ConfigError: there is no such format.
    """
    return code_of(choice_of(EXPORTERS, name, "--format"))


def require_steps(outlines: Sequence[Outline]) -> None:
    """Refuses recordings without steps, and labels that a text format would change.

    Raises:
        DataError: naming the recording.
    """
    problems = [f"recording {outline.name!r} has no steps" for outline in outlines if not outline.pieces]
    for label in sorted({piece.label for outline in outlines for piece in outline.pieces}):
        if label != label.strip() or len(label.splitlines()) > 1 or "\t" in label:
            problems.append(f"the label {shown(label)} has white space that the format would lose; rename it")
    if problems:
        raise DataError(problems)


def tenths(progress: Sequence[float]) -> list[Piece]:
    """Progress as segments '0 %', '10 %', ..., each while progress is in that tenth; '100 %' at 1."""
    pieces: list[Piece] = []
    for frame, value in enumerate(progress):
        label = f"{min(max(int(value * 10 + 1e-9), 0), 10) * 10} %"
        if pieces and pieces[-1].label == label:
            pieces[-1] = pieces[-1]._replace(end=frame + 1)
        else:
            pieces.append(Piece(label, frame, frame + 1))
    return pieces
