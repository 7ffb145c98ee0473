"""Audacity: an exported label track, `.txt`.

Lines 'start<TAB>end<TAB>label' in seconds, ends exclusive; a point label has start = end. A line that begins with a
backslash holds the frequencies of the label above it and is skipped. The decimal sign may be a comma, depending on the
language of the system. Source: the Audacity manual, "Importing and Exporting Labels".
"""

from __future__ import annotations

from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import read_lines, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one label track or of a folder of them, named like the files."""
    recordings = []
    for path in source_paths(source, (".txt",), problems):
        segments = []
        for number, line in read_lines(path, problems, options.encoding):
            if line.startswith("\\"):
                continue
            start, _, rest = line.partition("\t")
            end, tab, label = rest.partition("\t")
            here = f"{place(path)}line {number}: "
            try:
                first, last = exact_number(start.replace(",", ".")), exact_number(end.replace(",", "."))
            except DataError:
                problems.append(f"{here}is {shown(line)}; expected start, end and label with tabs between")
                continue
            if not tab or not label.strip():
                problems.append(f"{here}has no label")
                continue
            segments.append(Segment(label.strip(), first, None if first == last else last, f"line {number}"))
        recordings.append(Recording(media_name(path.name), segments, Convention(SECONDS), path))
    return recordings
