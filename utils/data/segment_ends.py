"""Whether the end of a segment is its last frame (inclusive) or the frame after it (exclusive).

A boundary between two segments shows it: if the next one starts at the end, ends are exclusive; if it starts one frame
later, ends are inclusive, and so they are where a segment before the last starts at its own end. A larger gap shows
neither. SEGMENT_ENDS declares which is meant; 'auto' takes what the boundaries of the whole file show, if all agree. In
a file whose boundaries show neither, ends are exclusive. The last end of a video is its last frame in both.

'majority' is what was done before there was this setting, for checkpoints of that time: each video follows the majority
of its own boundaries, and the majority of the file where they are equal or there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from utils.errors import place, shown

AUTO, EXCLUSIVE, INCLUSIVE, MAJORITY = "auto", "exclusive", "inclusive", "majority"


class Boundary(NamedTuple):
    """A boundary that shows a convention: the place of the segment before it, its label and its frames in the file."""

    task: str
    video: str
    segment: int
    label: str
    start: int
    end: int


@dataclass(frozen=True)
class EndsOfFile:
    """How the ends of a file are read.

    Args:
        setting: SEGMENT_ENDS.
        exclusive, inclusive: how many boundaries show each convention.
        first: the first boundary that shows each, in the order of the file.
        any_boundary: the first boundary of the file, whatever it shows.
    """

    setting: str
    exclusive: int = 0
    inclusive: int = 0
    first: Mapping[str, Boundary] = field(default_factory=dict)
    any_boundary: Boundary | None = None

    @property
    def mixed(self) -> bool:
        """Whether the boundaries disagree."""
        return self.exclusive > 0 and self.inclusive > 0

    def are_exclusive(self, starts: Sequence[int], ends: Sequence[int]) -> bool:
        """Whether the ends of one video are exclusive."""
        if self.setting in (EXCLUSIVE, INCLUSIVE):
            return self.setting == EXCLUSIVE
        if self.setting == AUTO:  # where it is mixed, nothing is read; gaps then hide the fewest other problems
            return self.mixed or not self.inclusive
        return majority_is_exclusive(starts, ends, self.exclusive >= self.inclusive)

    def problem(self, path: Path) -> str | None:
        """Why 'auto' can't be decided, with both readings of the first segment; None if it can."""
        if self.setting != AUTO or not self.mixed:
            return None
        first, other = self.first.values()
        return (
            f"{place(path, first.task, first.video, first.segment)}{_both_readings(first)}. The file shows both: "
            f"{self.exclusive} boundaries say exclusive, {self.inclusive} say inclusive (the first that says otherwise "
            f"than this one is in video {other.video!r}, segment {other.segment}: {_both_readings(other)}); expected "
            f"SEGMENT_ENDS = 'exclusive', which leaves gaps of one frame, or 'inclusive', with which segments overlap "
            f"by one, instead of 'auto'"
        )

    def words(self) -> str:
        """How the ends were read and why, for the summary."""
        read = f"segment ends are read as {self._read_as()}"
        shown_by = f"{self.exclusive} boundaries show exclusive ends, {self.inclusive} inclusive ones"
        if self.setting in (EXCLUSIVE, INCLUSIVE):
            return f"{read}, as SEGMENT_ENDS declares; {shown_by}"
        if self.setting == MAJORITY:
            return f"{read} (SEGMENT_ENDS is 'majority'); {shown_by}"
        if self.inclusive:
            example = self.first[INCLUSIVE]
            return (
                f"{read}, since at each of {self.inclusive} boundaries the next segment starts one frame after the "
                f"end, as in video {example.video!r}: {_both_readings(example)} (if gaps of one frame are meant: "
                f"SEGMENT_ENDS = 'exclusive')"
            )
        if self.exclusive:
            return f"{read}, since at each of {self.exclusive} boundaries the next segment starts at the end"
        if self.any_boundary is None:
            return "segment ends: no video has two segments, so both conventions mean the same"
        example = self.any_boundary
        return (
            f"{read}, but no boundary shows it; as in video {example.video!r}: {_both_readings(example)}: declare "
            f"SEGMENT_ENDS"
        )

    def _read_as(self) -> str:
        if self.setting == MAJORITY:
            return "the majority of each video's boundaries says"
        return EXCLUSIVE if self.are_exclusive((), ()) else INCLUSIVE


def read_ends(
    videos: Iterable[tuple[str, str, Sequence[str], Sequence[int], Sequence[int]]], setting: str
) -> EndsOfFile:
    """What the boundaries of a file show.

    Args:
        videos: task, name, labels, starts and ends of every video of the file whose lists are valid.
        setting: SEGMENT_ENDS.
    """
    counts = {EXCLUSIVE: 0, INCLUSIVE: 0}
    first: dict[str, Boundary] = {}
    any_boundary = None
    for task, video, labels, starts, ends in videos:
        for segment in range(len(starts) - 1):
            shows = _convention_at(starts, ends, segment)
            boundary = Boundary(task, video, segment, labels[segment], starts[segment], ends[segment])
            any_boundary = any_boundary or boundary
            if shows is not None:
                counts[shows] += 1
                first.setdefault(shows, boundary)
    return EndsOfFile(setting, counts[EXCLUSIVE], counts[INCLUSIVE], first, any_boundary)


def majority_is_exclusive(starts: Sequence[int], ends: Sequence[int], file_is_exclusive: bool) -> bool:
    """The reading 'majority' of one video; with equal numbers, exclusive if any boundary is."""
    touching = sum(start == end for start, end in zip(starts[1:], ends, strict=False))
    following = sum(start == end + 1 for start, end in zip(starts[1:], ends, strict=False))
    single = sum(start == end for start, end in zip(starts[:-1], ends, strict=False))
    balance = touching - following - single
    return balance > 0 or (balance == 0 and (file_is_exclusive or touching > 0))


def _convention_at(starts: Sequence[int], ends: Sequence[int], segment: int) -> str | None:
    """What the boundary after a segment, or the segment itself, shows."""
    if starts[segment] == ends[segment] or starts[segment + 1] == ends[segment] + 1:
        return INCLUSIVE
    return EXCLUSIVE if starts[segment + 1] == ends[segment] else None


def _both_readings(boundary: Boundary) -> str:
    label, start, end = shown(boundary.label), boundary.start, boundary.end
    exclusive = f"frames {start} to {end - 1}" if end > start else "no frame"
    return f"{label} [{start}, {end}] is {exclusive} if ends are exclusive, {start} to {end} if inclusive"
