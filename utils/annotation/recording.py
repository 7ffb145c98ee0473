"""The result of a reader: recordings with their segments in exact times of the file, and the file's convention.

Nothing is rounded here. A time is a `Fraction`: a frame number as in the file, or seconds. A `Convention` says what it
means; `utils.annotation.conversion` converts it to frames, once for all formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

FRAMES, SECONDS = "frames", "seconds"
EXCLUSIVE, INCLUSIVE, UNKNOWN = "exclusive", "inclusive", ""
BACKGROUND = "background"


class Convention(NamedTuple):
    """How a file counts time.

    Attributes:
        unit: 'frames' or 'seconds'.
        ends: 'exclusive': the end is the start of a following segment; 'inclusive': the end is the segment's last
            frame; '' if only the user can know.
        first_frame: number of the recording's first frame, 0 or 1.
        frame_rate: frames/s of the frame numbers, if the format or the file gives it.
    """

    unit: str
    ends: str = EXCLUSIVE
    first_frame: int = 0
    frame_rate: Fraction | None = None

    def words(self) -> str:
        """The convention in words, for the table."""
        if self.unit == SECONDS:
            return "times in seconds, ends exclusive"
        rate = "" if self.frame_rate is None else f", {plain(self.frame_rate)} frames/s"
        return f"frames from {self.first_frame}, ends {self.ends}{rate}"


class Segment(NamedTuple):
    """One segment in the times of the file.

    Attributes:
        label: the action.
        start: its beginning, in the unit of the file.
        end: its end, or None if the file gives none, as for a point event.
        where: its place in the file, for messages: 'line 3', 'annotation a12'.
    """

    label: str
    start: Fraction
    end: Fraction | None
    where: str


@dataclass(frozen=True)
class Recording:
    """One recording of a file.

    Args:
        name: name of the recording in the file; folders and the suffix of a video are removed later.
        segments: in any order.
        convention: how the file counts.
        file: the file.
        task: its task, or None if the file doesn't say.
        length: frames or seconds of the whole recording, if the file gives it.
        split: 'train', 'val' or 'test', or None.
        notes: one sentence for everything that the reader left out or decided.
    """

    name: str
    segments: Sequence[Segment]
    convention: Convention
    file: Path
    task: str | None = None
    length: Fraction | None = None
    split: str | None = None
    notes: Sequence[str] = field(default=())


def plain(number: Fraction) -> str:
    """A number as text: '25', '29.97', or '30000/1001'."""
    if number.denominator == 1:
        return str(number.numerator)
    rounded = f"{float(number):.6f}".rstrip("0")
    return rounded if Fraction(rounded) == number else f"{number.numerator}/{number.denominator}"
