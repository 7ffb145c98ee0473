"""JIGSAWS: `transcriptions/Suturing_B001.txt`, lines 'start end gesture'.

Frame numbers of the video and rows of the kinematics, 30 frames/s, ends inclusive (the next gesture begins one frame
later); frames count from 1 here, since the files number the lines of the kinematics (the data set's text doesn't say:
--first-frame 0 takes them from 0). What lies before the first and after the last gesture has none. The task is the
name before the person: 'Knot_Tying_B001' is 'Knot_Tying'. An empty file, which one recording of the set has, is a
problem. Source: the data set's files as public repositories hold them.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import FRAMES, INCLUSIVE, Convention, Recording, Segment
from utils.annotation.source_files import read_lines, source_paths
from utils.errors import place, shown

CONVENTION = Convention(FRAMES, INCLUSIVE, 1, Fraction(30))
_NAME = re.compile(r"(.+)_[A-Z]\d{3}")


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one file or of a folder of them."""
    recordings = []
    for path in source_paths(source, (".txt",), problems):
        segments = []
        for number, line in read_lines(path, problems, options.encoding):
            parts = line.split()
            if len(parts) != 3 or not all(re.fullmatch(r"\d{1,12}", part) for part in parts[:2]):
                problems.append(f"{place(path)}line {number}: is {shown(line)}; expected start, end and gesture")
            else:
                segments.append(Segment(parts[2], Fraction(parts[0]), Fraction(parts[1]), f"line {number}"))
        name = media_name(path.name)
        task = match[1] if (match := _NAME.fullmatch(name)) else None
        recordings.append(Recording(name, segments, CONVENTION, path, task))
    return recordings
