"""Breakfast, coarse segmentation: `<video>.txt` with lines such as '1-30 SIL'.

Frames from 1, ends inclusive ('1-30' then '31-150'), 15 frames/s; 'SIL' is background. Files in a folder of their own
(`segmentation_coarse/cereals/...`) have it for their task. Source: the data set's files as other programs' tests hold
them.
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

CONVENTION = Convention(FRAMES, INCLUSIVE, 1, Fraction(15))
_LINE = re.compile(r"(\d{1,12})\s*-\s*(\d{1,12})\s+(.+)")


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one file or of a folder of them."""
    recordings = []
    for path in source_paths(source, (".txt",), problems):
        segments = []
        for number, line in read_lines(path, problems, options.encoding):
            match = _LINE.fullmatch(line)
            if match is None:
                problems.append(f"{place(path)}line {number}: is {shown(line)}; expected a line such as '1-30 SIL'")
            else:
                segments.append(Segment(match[3], Fraction(match[1]), Fraction(match[2]), f"line {number}"))
        folder = path.parent
        task = folder.name if source.is_dir() and folder != source else None
        recordings.append(Recording(media_name(path.name), segments, CONVENTION, path, task))
    return recordings
