"""VIA 3 (VGG Image Annotator, video): its CSV export.

Lines that begin with '#' hold notes, the attributes as JSON (ATTRIBUTE = ...) and the names of the columns
(CSV_HEADER = ...). temporal_coordinates is [start, end] in seconds, ends exclusive; [t] is a still frame, which has no
end, and [] concerns the whole file. metadata is {attribute: value}; of an attribute with options the value is the
number of one. `options.tier` names the attribute that is the label. Source: VIA's export, its code and public files.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import parse_json, read_text, source_paths, split_table
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown

COLUMNS = ("metadata_id", "file_list", "flags", "temporal_coordinates", "spatial_coordinates", "metadata")
NEEDED = ("file_list", "temporal_coordinates", "metadata")


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one export or of a folder of them."""
    recordings: list[Recording] = []
    for path in source_paths(source, (".csv",), problems):
        text = read_text(path, problems, options.encoding)
        if text is not None:
            recordings += _read_file(path, text, options.tier, problems)
    return recordings


def _read_file(path: Path, text: str, tier: str, problems: list[str]) -> list[Recording]:
    lines = text.splitlines()
    heading = {}
    for line in lines:
        if line.startswith("#") and " = " in line:
            key, _, value = line.lstrip("# ").partition(" = ")
            heading[key.strip()] = value.strip()
    columns = [name for name in heading.get("CSV_HEADER", "").split(",") if name] or list(COLUMNS)
    if not set(NEEDED) <= set(columns):
        problems.append(f"{place(path)}has the columns {shown(columns)}; expected {', '.join(NEEDED)} among them")
        return []
    content = heading.get("ATTRIBUTE") or heading.get("ATTRIBUTES") or "{}"
    attributes = parse_json(content, f"{place(path)}ATTRIBUTE ", problems)
    attributes = attributes if isinstance(attributes, dict) else {}
    # The lines of notes are blanked, not taken out, so that line numbers stay those of the file.
    table = "\n".join("" if line.startswith("#") else line for line in lines)
    rows: list[tuple[int, Any, Any, Any]] = []
    try:
        for line, cells in split_table(table, ","):
            row = dict(zip(columns, cells, strict=False))
            here = f"{place(path)}line {line}: "
            values = [parse_json(row.get(name, ""), f"{here}{name} ", problems) for name in NEEDED]
            if None not in values:
                rows.append((line, *values))
    except DataError as error:
        problems.append(f"{place(path)}{error}")
    used = dict.fromkeys(key for _, _, _, metadata in rows if isinstance(metadata, dict) for key in metadata)
    chosen = _attribute(path, attributes, list(used), tier, problems)
    if chosen is None:
        return []
    segments: dict[str, list[Segment]] = defaultdict(list)
    left_out = 0
    for line, files, times, metadata in rows:
        here = f"{place(path)}line {line}: "
        wanted = (list, list, dict)
        if not all(isinstance(value, kind) for value, kind in zip((files, times, metadata), wanted, strict=True)):
            problems.append(f"{here}expected lists of files and times, and an object of values")
        elif len(files) != 1 or len(times) > 2:
            problems.append(f"{here}has {len(files)} files and {len(times)} times; expected one file, and [start, end]")
        elif not times or chosen not in metadata:
            left_out += 1
        else:
            label = _value(attributes.get(chosen), str(metadata[chosen]))
            try:
                start, *end = map(exact_number, times)
            except DataError as error:
                problems.append(f"{here}the time {error}")
                continue
            segments[str(files[0])].append(Segment(label, start, end[0] if end else None, f"line {line}"))
    notes = [f"{path.name}: {left_out} rows without times or without that attribute are left out"] if left_out else []
    recordings = [Recording(name, found, Convention(SECONDS), path) for name, found in segments.items()]
    return [*recordings[:-1], *(replace(last, notes=notes) for last in recordings[-1:])]


def _name(attribute: Any) -> str:
    return str(attribute.get("aname", "")) if isinstance(attribute, dict) else str(attribute)


def _attribute(path: Path, attributes: dict[str, Any], used: list[str], wanted: str, problems: list[str]) -> str | None:
    """The number of the attribute that is the label."""
    by_name = {_name(attributes.get(key, key)): key for key in used}
    if wanted in by_name or (not wanted and len(by_name) == 1):
        return by_name[wanted or next(iter(by_name))]
    what = f"has no attribute {wanted!r}" if wanted else "has several attributes" if by_name else "has no attribute"
    problems.append(f"{place(path)}{what}; expected --tier with one of {shown(list(by_name))}")
    return None


def _value(attribute: Any, value: str) -> str:
    """The words of an option, or the value itself."""
    choices = attribute.get("options") if isinstance(attribute, dict) else None
    return str(choices.get(value, value)).strip() if isinstance(choices, dict) else value.strip()
