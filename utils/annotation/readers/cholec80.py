"""Cholec80: `video01-phase.txt`, a line a frame, 'Frame<TAB>Phase' with a header.

Frames from 0 at 25 frames/s, each with a phase; a file that holds every n-th frame only is taken as lasting n frames a
line. Features of this data set usually have 1 frame/s: --frame-rate 1. Source: the data set's files as issues and tests
of public programs quote them.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import FRAMES, Convention, Recording, Segment
from utils.annotation.source_files import read_lines, source_paths
from utils.errors import place, shown

CONVENTION = Convention(FRAMES, frame_rate=Fraction(25))


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one file or of a folder of them."""
    recordings = []
    for path in source_paths(source, ("-phase.txt", ".txt"), problems):
        if path.name.endswith(("-tool.txt", "-timestamp.txt")):
            continue
        frames: list[tuple[int, str, int]] = []
        for number, line in read_lines(path, problems, options.encoding):
            parts = re.split(r"\t+|\s+", line, maxsplit=1)
            if number == 1 and parts[0].lower() == "frame":
                continue
            if len(parts) != 2 or not re.fullmatch(r"\d{1,12}", parts[0]):
                problems.append(f"{place(path)}line {number}: is {shown(line)}; expected a frame number and a phase")
            else:
                frames.append((int(parts[0]), parts[1].strip(), number))
        recording = _recording(path, frames, problems)
        if recording is not None:
            recordings.append(recording)
    return recordings


def _recording(path: Path, frames: list[tuple[int, str, int]], problems: list[str]) -> Recording | None:
    if not frames:
        return None
    steps = {after[0] - before[0] for before, after in pairwise(frames)} or {1}
    if len(steps) > 1 or min(steps) < 1:
        line = next(
            after[2] for before, after in pairwise(frames) if after[0] - before[0] != frames[1][0] - frames[0][0]
        )
        problems.append(f"{place(path)}line {line}: the frame numbers don't go on as before; expected equal steps")
        return None
    step = steps.pop()
    segments: list[Segment] = []
    for frame, phase, line in frames:
        if segments and segments[-1].label == phase:
            segments[-1] = segments[-1]._replace(end=Fraction(frame + step))
        else:
            segments.append(Segment(phase, Fraction(frame), Fraction(frame + step), f"line {line}"))
    name = re.sub(r"-phase$", "", media_name(path.name))
    return Recording(name, segments, CONVENTION, path, length=segments[-1].end)
