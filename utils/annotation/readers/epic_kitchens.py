"""EPIC-KITCHENS-100: EPIC_100_train.csv, EPIC_100_validation.csv.

Columns narration_id, video_id, start_timestamp and stop_timestamp (hh:mm:ss.ss), narration, verb, noun and others. The
timestamps are read, not the frame columns, since videos have 50 or 59.94 frames/s. Ends exclusive. Actions overlap and
leave gaps. `options.level` chooses the label: 'narration' (the default), 'verb', 'noun' or 'verb_noun'. The name of the
file gives the split. Source: the README of the set's annotations.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import read_table, source_paths
from utils.annotation.times import clock_time
from utils.errors import DataError, place, shown

LEVELS = {"narration": ("narration",), "verb": ("verb",), "noun": ("noun",), "verb_noun": ("verb", "noun")}
SPLITS = {"train": "train", "validation": "val", "test": "test"}


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The videos of one file, or of all .csv files of a folder."""
    if (options.level or "narration") not in LEVELS:
        problems.append(f"--level is {options.level!r}; expected one of {', '.join(LEVELS)}")
        return []
    columns = LEVELS[options.level or "narration"]
    recordings = []
    for path in source_paths(source, (".csv",), problems):
        split = next((split for name, split in SPLITS.items() if name in path.stem.lower()), None)
        segments: dict[str, list[Segment]] = defaultdict(list)
        for line, cells in read_table(path, problems, options.encoding):
            here = f"{place(path)}line {line}: "
            needed = ("video_id", "start_timestamp", "stop_timestamp", *columns)
            missing = [name for name in needed if not cells.get(name)]
            if missing:
                problems.append(f"{here}has no {', '.join(missing)} (its columns are {shown(list(cells))})")
                continue
            try:
                start, end = clock_time(cells["start_timestamp"]), clock_time(cells["stop_timestamp"])
            except DataError as error:
                problems.append(f"{here}the timestamp {error}")
                continue
            label = " ".join(cells[name] for name in columns)
            segments[cells["video_id"]].append(Segment(label, start, end, f"line {line}"))
        recordings += [
            Recording(name, found, Convention(SECONDS), path, split=split) for name, found in segments.items()
        ]
    return recordings
