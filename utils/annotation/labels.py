"""Labels: names for numbers, renaming and merging, background, and possible mistakes.

Background are only the labels that the user declares, and 'SIL' and 'background', which always mean background. A label
that the default settings would treat as background, but which was not declared, is an error.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from utils.annotation.recording import Recording
from utils.annotation.source_files import delimiter_of, read_text, split_table
from utils.data.background_names import looks_like_background
from utils.data.segments import ALWAYS_BACKGROUND, BACKGROUND_LABELS
from utils.errors import DataError, nearest_name, place, shown

NUMBER = re.compile(r"[+-]?\d{1,18}")


def read_pairs(path: Path, problems: list[str], encoding: str | None = None) -> dict[str, str]:
    """Old and new labels, a pair a line: two columns of a CSV or TSV file, without a header.

    Args:
        path: the file; several old labels may share a new one, which merges them.
        problems: what is wrong is appended here.
        encoding: of the file; None means UTF-8.
    """
    text = read_text(path, problems, encoding)
    pairs: dict[str, str] = {}
    if text is None:
        return pairs
    try:
        rows = list(split_table(text, delimiter_of(text.lstrip().partition("\n")[0])))
    except DataError as error:
        problems.append(f"{place(path)}{error}")
        return pairs
    for line, cells in rows:
        if len(cells) != 2 or not cells[1]:
            problems.append(
                f"{place(path)}line {line} has the cells {shown(cells)}; expected the old label and the new"
            )
        elif pairs.setdefault(cells[0], cells[1]) != cells[1]:
            problems.append(f"{place(path)}line {line}: {shown(cells[0])} is renamed twice, differently")
    return pairs


def read_number_names(path: Path, problems: list[str], encoding: str | None = None) -> dict[str, str]:
    """The names of labels that are numbers, by number: lines 'number name' or 'name number'.

    mapping.txt of the MS-TCN layout has the number first; files of other programs have it last, or with a comma or a
    tab between number and name. The file as a whole must show which it is.
    """
    text = read_text(path, problems, encoding)
    lines = [
        (number, re.split(r"\s*[,;\t]\s*|\s+", line.strip()))
        for number, line in enumerate(text.splitlines() if text is not None else (), 1)
        if line.strip()
    ]
    if lines and not NUMBER.fullmatch(lines[0][1][0]) and not NUMBER.fullmatch(lines[0][1][-1]):
        lines = lines[1:]  # a header
    first = all(NUMBER.fullmatch(parts[0]) for _, parts in lines)
    last = all(NUMBER.fullmatch(parts[-1]) for _, parts in lines)
    names: dict[str, str] = {}
    for line, parts in lines:
        number, name = (parts[0], parts[1:]) if first or not last else (parts[-1], parts[:-1])
        if not (first or last) or not name:
            problems.append(f"{place(path)}line {line}: expected a number and a name on every line, in one order")
            break
        if str(int(number)) in names:
            problems.append(f"{place(path)}line {line}: the number {number} occurs twice")
        names[str(int(number))] = " ".join(name)
    return names


def with_names(
    recordings: Sequence[Recording], names: Mapping[str, str], where: Path, problems: list[str]
) -> list[Recording]:
    """The recordings, with names instead of numbers as labels; other labels stay."""
    unknown: dict[str, str] = {}
    result = []
    for recording in recordings:
        segments = []
        for segment in recording.segments:
            if NUMBER.fullmatch(segment.label):
                name = names.get(str(int(segment.label)))
                if name is None:
                    unknown.setdefault(segment.label, f"recording {recording.name!r}, {segment.where}")
                segment = segment._replace(label=name or segment.label)
            segments.append(segment)
        result.append(replace(recording, segments=segments))
    problems += [f"{place(where)}does not name the label {label} of {first}" for label, first in unknown.items()]
    return result


def renamed(recordings: Sequence[Recording], pairs: Mapping[str, str]) -> list[Recording]:
    """The recordings, with the labels that `pairs` gives; other labels stay."""
    return [
        replace(
            recording,
            segments=[
                segment._replace(label=pairs.get(segment.label, segment.label)) for segment in recording.segments
            ],
        )
        for recording in recordings
    ]


def without_labels(recordings: Sequence[Recording], labels: Iterable[str]) -> tuple[list[Recording], int]:
    """The recordings without the segments of some labels, and the number of these segments."""
    unwanted = frozenset(labels)
    result = [
        replace(recording, segments=[segment for segment in recording.segments if segment.label not in unwanted])
        for recording in recordings
    ]
    count = sum(len(recording.segments) for recording in recordings)
    return result, count - sum(len(recording.segments) for recording in result)


def label_problems(labels: Iterable[str], background: Iterable[str], keep_numbers: bool) -> list[str]:
    """Problems of the labels.

    Args:
        labels: all labels that occur.
        background: labels declared as background.
        keep_numbers: whether labels may be numbers.
    """
    labels, background = set(labels), set(background)
    problems = [
        f"--background names {label!r}, which no segment has; "
        + (f"did you mean {near!r}?" if (near := nearest_name(label, labels)) else f"they have {shown(sorted(labels))}")
        for label in sorted(background - labels - ALWAYS_BACKGROUND)
    ]
    numbers = sorted((label for label in labels - background if NUMBER.fullmatch(label)), key=int)
    if numbers and not keep_numbers:
        problems.append(
            f"the labels {shown(numbers)} are numbers; give their names (--names FILE), or take them as they are "
            f"(--number-labels) and say which means background, if one does (--background 0)"
        )
    undeclared = sorted((labels & set(BACKGROUND_LABELS)) - background - ALWAYS_BACKGROUND - set(numbers))
    if keep_numbers:
        undeclared += [label for label in numbers if label in BACKGROUND_LABELS]
    problems += [
        f"the label {label!r} means background in the default settings; say so (--background {label}), or give it "
        f"another name (--rename FILE)"
        for label in undeclared
    ]
    return problems


def label_notes(labels: Iterable[str], background: Iterable[str]) -> list[str]:
    """One sentence for each possible mistake in the labels."""
    actions = set(labels) - set(background) - ALWAYS_BACKGROUND
    notes = [
        f"{label!r} is taken as an action; if it means background: --background {label!r}"
        for label in sorted(actions)
        if looks_like_background(label)
    ]
    alike = defaultdict(list)
    for label in sorted(actions):
        alike[re.sub(r"[\W_]+", " ", label).strip().casefold()].append(label)
    notes += [
        f"{', '.join(map(repr, group))} are taken as different actions; --rename FILE merges them"
        for group in alike.values()
        if len(group) > 1
    ]
    return notes
