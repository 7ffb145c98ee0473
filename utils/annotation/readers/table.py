"""A list of segments, one a row: CSV, TSV, JSON lines or a JSON list of objects.

Columns are those named by --columns, or called video, label, start, end, task, split; without a header, 1, 2, 3, ...
(--no-header). Without a column of videos, each file is one recording with the file's name. A column `duration` may
replace `end`; an empty cell means no end. The unit of the times must be given (--unit), because a file doesn't show
whether whole numbers are frames, seconds or milliseconds. It doesn't show either whether an end in frame numbers is the
segment's last frame (--ends).
"""

from __future__ import annotations

import json
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import EXCLUSIVE, FRAMES, UNKNOWN, Convention, Recording, Segment
from utils.annotation.source_files import Row, parse_json, read_json, read_table, read_text, source_paths
from utils.annotation.times import UNITS, parse_time, unit_of
from utils.data.splits import SPLITS
from utils.errors import DataError, nearest_name, place, shown

ROLES = ("video", "label", "start", "end", "duration", "task", "split")
SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    "training": "train", "valid": "val", "validation": "val", "testing": "test", "": None,
}  # fmt: skip


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one file, or of all .csv, .tsv and .jsonl files of a folder."""
    for role in sorted(set(options.columns) - set(ROLES)):
        problems.append(f"--columns names {role!r}; expected some of {', '.join(ROLES)}")
    if options.unit not in UNITS:
        problems.append(f"the unit of the times is {options.unit!r}; expected --unit with one of {', '.join(UNITS)}")
    if problems:
        return []
    recordings: list[Recording] = []
    for path in source_paths(source, (".csv", ".tsv", ".jsonl"), problems):
        recordings += _read_file(path, options, problems)
    return recordings


def split_name(text: Any, here: str, problems: list[str]) -> str | None:
    """'train', 'val' or 'test' of what a file calls it; '' is none."""
    if not isinstance(text, str) or text.strip().lower() not in SPLIT_NAMES:
        problems.append(f"{here}the split is {shown(text)}; expected one of {', '.join(filter(None, SPLIT_NAMES))}")
        return None
    return SPLIT_NAMES[text.strip().lower()]


def _read_file(path: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    rows = _json_rows(path, problems) if path.suffix.lower() in (".json", ".jsonl") else None
    if rows is None:
        rows = read_table(path, problems, options.encoding, header=options.header)
    if not rows:
        return []
    columns = _columns(path, rows, options, problems)
    if columns is None:
        return []
    segments: dict[str, list[Segment]] = defaultdict(list)
    facts: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        here = f"{place(path)}line {row.line}: "
        name = str(row.cells.get(columns["video"], "")).strip() if "video" in columns else path.name
        if not name:
            problems.append(f"{here}the video has no name")
            continue
        for role in ("task", "split"):
            if role not in columns:
                continue
            value = row.cells.get(columns[role]) or ""
            value = split_name(value, here, problems) if role == "split" else str(value) or None
            if facts[name].setdefault(role, value) != value:
                problems.append(
                    f"{here}video {name!r} has the {role} {shown(value)}, and {shown(facts[name][role])} before"
                )
        segment = _segment(row, columns, options.unit, here, problems)
        if segment is not None:
            segments[name].append(segment)
    unit = unit_of(options.unit)
    convention = Convention(unit, UNKNOWN if unit == FRAMES else EXCLUSIVE)
    return [
        Recording(name, found, convention, path, facts[name].get("task"), None, facts[name].get("split"))
        for name, found in segments.items()
    ]


def _columns(path: Path, rows: list[Row], options: ReadOptions, problems: list[str]) -> dict[str, str] | None:
    """The column of each role, among those that there are."""
    known = list(dict.fromkeys(key for row in rows for key in row.cells))
    columns = {role: options.columns.get(role, role) for role in ROLES}
    wrong = False
    for role, column in list(columns.items()):
        if column in known:
            continue
        del columns[role]
        optional = role not in ("label", "start") and role not in options.columns
        if not optional:
            near = nearest_name(column, known)
            hint = f"did you mean {near!r}?" if near else f"it has {shown(known)}"
            problems.append(f"{place(path)}has no column {column!r} for the {role}; {hint} (see --columns)")
            wrong = True
    return None if wrong else columns


def _segment(row: Row, columns: dict[str, str], unit: str, here: str, problems: list[str]) -> Segment | None:
    label = row.cells.get(columns["label"])
    label = str(label).strip() if isinstance(label, str | int) and not isinstance(label, bool) else ""
    times: dict[str, Fraction | None] = {}
    for role in ("start", "end", "duration"):
        value = row.cells.get(columns[role]) if role in columns else None
        if value is None or value == "":
            times[role] = None
            continue
        try:
            times[role] = parse_time(value, unit)
        except DataError as error:
            problems.append(f"{here}the {role} {error}")
            return None
    if not label or times["start"] is None:
        problems.append(f"{here}has no {'start' if label else 'label'}")
        return None
    end = times["end"]
    if end is None and times["duration"] is not None:
        end = times["start"] + times["duration"]
    return Segment(label, times["start"], end, f"line {row.line}")


def _json_rows(path: Path, problems: list[str]) -> list[Row]:
    """Objects: one a line, or a list of them; of a list the number of each takes the place of the line."""
    if path.suffix.lower() == ".jsonl":
        text = read_text(path, problems)
        lines = enumerate(text.splitlines() if text is not None else (), 1)
        found = [
            (line, parse_json(part, f"{place(path)}line {line}: ", problems)) for line, part in lines if part.strip()
        ]
        found = [(line, content) for line, content in found if content is not None]
    else:
        content = read_json(path, problems)
        found = list(enumerate(content if isinstance(content, list) else [] if content is None else [content], 1))
    rows = []
    for line, content in found:
        if isinstance(content, dict):
            rows.append(Row(line, content))
        else:
            problems.append(f"{place(path)}line {line}: is {shown(json.dumps(content))}; expected an object")
    return rows
