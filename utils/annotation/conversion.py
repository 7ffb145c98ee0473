"""Converts the times of a file to frames of the features: units, rates, numbering and ends, in one place.

A boundary at t seconds becomes the nearest boundary between two frames of the features, halves up: frame i lasts from
i / rate to (i + 1) / rate. So a segment has the frames of which more than half is inside it, for any format.
"""

from __future__ import annotations

import math
from fractions import Fraction

from utils.annotation.recording import FRAMES, INCLUSIVE, Convention, Recording, Segment
from utils.annotation.timeline import FrameSegment
from utils.errors import DataError, place, shown


def nearest(value: Fraction) -> int:
    """The nearest whole number, halves up."""
    return math.floor(value + Fraction(1, 2))


def rows_per_unit(convention: Convention, frame_rate: Fraction | None) -> Fraction:
    """The number of feature frames per unit of the file's times.

    Args:
        convention: how the file counts.
        frame_rate: frames/s of the features; None: frame numbers of the file are rows of the features.

    Raises:
        DataError: the times are seconds and the rate isn't known.
    """
    if convention.unit == FRAMES:
        if frame_rate is None or convention.frame_rate is None:
            return Fraction(1)
        return frame_rate / convention.frame_rate
    if frame_rate is None:
        raise DataError("the times are seconds; expected the frames/s of the features, --frame-rate")
    return frame_rate


def frames_of(segment: Segment, convention: Convention, scale: Fraction, offset: Fraction | None) -> FrameSegment:
    """Converts a segment to frames of the features.

    Args:
        segment: the segment in times of the file.
        convention: how the file counts.
        scale: the result of `rows_per_unit`.
        offset: the frame number or time in the file of the features' first frame; None: the recording's beginning.
    """
    origin = offset if offset is not None else Fraction(convention.first_frame if convention.unit == FRAMES else 0)
    start, end = segment.start - origin, segment.end
    if end is not None:
        if end < segment.start:  # before an inclusive end is made exclusive, which would hide it
            return FrameSegment(segment.label, nearest(start * scale), nearest(start * scale) - 1, segment.where)
        end -= origin
        if convention.unit == FRAMES and convention.ends == INCLUSIVE:
            end += 1
        end = nearest(end * scale)
    return FrameSegment(segment.label, nearest(start * scale), end, segment.where)


def segment_problems(recording: Recording) -> list[str]:
    """Problems under any rules: a negative time, an end before its start, a fractional frame."""
    problems = []
    for segment in recording.segments:
        here = f"{place(recording.file, recording.task, recording.name)}{segment.where}: "
        for what, time in (("start", segment.start), ("end", segment.end)):
            if time is None:
                continue
            if time < 0:
                problems.append(f"{here}the {what} is {float(time):g}; expected none below 0")
            elif recording.convention.unit == FRAMES and time.denominator != 1:
                problems.append(f"{here}the {what} is {float(time):g}; expected a whole frame number")
        if segment.end is not None and 0 <= segment.end < segment.start:
            problems.append(
                f"{here}ends at {float(segment.end):g}, before its start {float(segment.start):g}; expected an end "
                f"that is not before it"
            )
        if not segment.label:
            problems.append(f"{here}the label is {shown(segment.label)}; expected text")
    return problems
