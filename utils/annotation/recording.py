"""What a reader hands over: recordings with their segments in the times of the file, exact, and how the file counts.

Nothing is rounded here. A time is a `Fraction`: a frame number as the file writes it, or seconds. What it means, a
`Convention` says; `utils.annotation.conversion` makes frames of it, once for all formats.
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
        ends: 'exclusive': a segment ends where the next may begin; 'inclusive': its end is its last frame; '' where
            only the user can know.
        first_frame: number of the recording's first frame, 0 or 1.
        frame_rate: frames/s that the frame numbers count, where the format or the file says so.
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
    """One segment as the file has it.

    Attributes:
        label: the action.
        start: its beginning, in the unit of the file.
        end: its end, or None where the file gives none, as of a point event.
        where: its place in the file, for messages: 'line 3', 'annotation a12'.
    """

    label: str
    start: Fraction
    end: Fraction | None
    where: str


@dataclass(frozen=True)
class Recording:
    """What a file says of one recording.

    Args:
        name: of the recording, as the file has it; folders and the suffix of a video are taken off later.
        segments: in any order.
        convention: how the file counts.
        file: where it stands.
        task: which task it shows, or None where the file doesn't say.
        length: frames, or seconds, of the whole recording, where the file knows it.
        split: 'train', 'val' or 'test', or None.
        notes: what the reader left out or decided, a sentence each.
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
    """A number as a person writes it: '25', '29.97', or '30000/1001'."""
    if number.denominator == 1:
        return str(number.numerator)
    rounded = f"{float(number):.6f}".rstrip("0")
    return rounded if Fraction(rounded) == number else f"{number.numerator}/{number.denominator}"
