"""BORIS: exported events, CSV or TSV, tabular or aggregated.

Aggregated: a row a segment, columns 'Observation id', 'Behavior', 'Behavior type' (STATE, POINT), 'Start (s)' and
'Stop (s)'. Tabular: a row an event, with 'Time' and 'Behavior type' (or 'Status' before version 8) START, STOP or
POINT; older files have lines about the observation above the header. Times are seconds, ends exclusive. Source: the
exports in the tests of BORIS and its list of columns (version 9), and files of public data sets.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.boris import NAME_BY, named_by_media, pair_states
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import Row, delimiter_of, read_text, source_paths, split_table
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown

OBSERVATION, SUBJECT, BEHAVIOUR = "Observation id", "Subject", "Behavior"
MEDIA = ("Media file name", "Media file", "Media file path", "Source")
LENGTH = ("Media duration (s)", "Total length")
KIND = ("Behavior type", "Status")


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The observations of one export or of a folder of them; `options.subject` keeps one subject's behaviour."""
    if options.name_by not in ("", *NAME_BY):
        problems.append(f"--name-by is {options.name_by!r}; expected one of {', '.join(NAME_BY)}")
        return []
    recordings: list[Recording] = []
    for path in source_paths(source, (".csv", ".tsv"), problems):
        rows, heading = _rows(path, problems, options.encoding)
        by_observation: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_observation[row.cells.get(OBSERVATION) or heading.get(OBSERVATION) or path.stem].append(row)
        for name, own in by_observation.items():
            recordings.append(_read_observation(path, name, own, heading, options, problems))
    return recordings


def _rows(path: Path, problems: list[str], encoding: str | None) -> tuple[list[Row], dict[str, str]]:
    """The rows below the line that names the columns, and what the lines above it say: names and values."""
    text = read_text(path, problems, encoding)
    if text is None:
        return [], {}
    names: list[str] = []
    rows: list[Row] = []
    heading: dict[str, str] = {}
    delimiter = max((delimiter_of(line) for line in text.splitlines() if BEHAVIOUR in line), default="\t")
    try:
        for line, cells in split_table(text, delimiter):
            if names:
                rows.append(Row(line, dict(zip(names, cells, strict=False))))
            elif BEHAVIOUR in cells:
                names = cells
            elif len(cells) > 1:
                heading[cells[0]] = cells[1]
    except DataError as error:
        problems.append(f"{place(path)}{error}")
        return [], {}
    aggregated, tabular = {"Start (s)", "Stop (s)"} <= set(names), "Time" in names and bool({*KIND} & set(names))
    if not (aggregated or tabular):
        problems.append(
            f"{place(path)}has the columns {shown(names)}; expected '{BEHAVIOUR}' with 'Start (s)' and 'Stop (s)' "
            f"(aggregated) or 'Time' and 'Behavior type' (tabular)"
        )
        return [], {}
    return rows, heading


def _first(cells: dict[str, str], names: tuple[str, ...]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _read_observation(
    path: Path, name: str, rows: list[Row], heading: dict[str, str], options: ReadOptions, problems: list[str]
) -> Recording:
    segments: list[Segment] = []
    pairs: dict[tuple[str, str, str], list] = defaultdict(list)
    media: dict[str, None] = {}
    lengths: set[str] = set()
    others = 0
    here = place(path, None, name)
    try:
        offset = exact_number(_first(rows[0].cells, ("Time offset (s)",)) or heading.get("Time offset (s)") or 0)
    except DataError as error:
        problems.append(f"{here}the time offset {error}")
        offset = Fraction(0)
    for line, cells in rows:
        if options.subject and cells.get(SUBJECT) != options.subject:
            others += 1
            continue
        label, kind = cells.get(BEHAVIOUR, ""), _first(cells, KIND).upper()
        if _first(cells, MEDIA):
            media[_first(cells, MEDIA).removeprefix("player #1:")] = None
        lengths.add(_first(cells, LENGTH))
        modifiers = "|".join(value for key, value in cells.items() if key.startswith("Modifier") and value)
        try:
            if "Start (s)" in cells:
                start = exact_number(cells["Start (s)"]) - offset
                stop = cells.get("Stop (s)", "")
                end = None if kind == "POINT" or stop in ("", "NA") else exact_number(stop) - offset
                segments.append(Segment(label, start, end, f"line {line}"))
            elif kind == "POINT":
                segments.append(Segment(label, exact_number(cells["Time"]) - offset, None, f"line {line}"))
            elif kind in ("START", "STOP"):
                key = (cells.get(SUBJECT, ""), label, modifiers)
                pairs[key].append((exact_number(cells["Time"]) - offset, (kind,), f"line {line}"))
            else:
                problems.append(
                    f"{here}line {line}: the behaviour's type is {shown(kind)}; expected START, STOP or POINT"
                )
        except DataError as error:
            problems.append(f"{here}line {line}: the time {error}")
    for (_, label, _), events in pairs.items():
        kinds = [kind for _, (kind,), _ in sorted(events, key=lambda event: event[0])]
        wrong = next((place for place, kind in enumerate(kinds) if kind != ("START", "STOP")[place % 2]), None)
        if wrong is not None:
            where = sorted(events, key=lambda event: event[0])[wrong][2]
            problems.append(f"{here}{where}: {kinds[wrong]} of {label!r}; expected START and STOP in turn")
            continue
        segments += pair_states(events, label, here, problems)
    length = None
    if len(media) == 1 and len(lengths) == 1 and (text := next(iter(lengths))) not in ("", "NA"):
        try:
            length = exact_number(text)
        except DataError as error:
            problems.append(f"{here}the length of the media {error}")
    notes = [f"observation {name!r}: {others} rows of other subjects are left out"] if others else []
    return Recording(
        named_by_media(list(media), name, options.name_by),
        segments,
        Convention(SECONDS),
        path,
        None,
        length,
        notes=notes,
    )
