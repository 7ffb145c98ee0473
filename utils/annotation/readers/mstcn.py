"""The layout of MS-TCN: `groundTruth/<video>` or `<video>.txt`, one label a line, one line a frame of the features.

Successive frames with one label are one segment: labels of frames don't show whether an action was done twice in a row.
Frames from 0, ends exclusive; the number of lines is the recording's length. Labels that are numbers get their names
from `mapping.txt`, 'number name' or 'name number', if there is one. Videos in folders of their own within groundTruth,
or several such layouts side by side, are tasks named by the folder. Lines of `splits/train.split1.bundle` and the like
are names with or without '.txt' and folders. Source: the data of yabufarha/ms-tcn, and issues of programs that read it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path

from utils.annotation.labels import NUMBER, read_number_names
from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import FRAMES, Convention, Recording, Segment
from utils.annotation.source_files import read_lines, read_text
from utils.errors import nearest_name, place, shown

GROUND_TRUTH = "groundTruth"
SEGMENT_LINE = re.compile(r"\d+-\d+\s+\S+.*")


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of a folder that holds groundTruth/, or of folders side by side that do."""
    roots = (
        [source]
        if (source / GROUND_TRUTH).is_dir()
        else sorted(path.parent for path in source.glob(f"*/{GROUND_TRUTH}"))
    )
    if not roots:
        problems.append(f"{place(source)}holds no folder {GROUND_TRUTH}, and no folder that does")
    recordings: list[Recording] = []
    for root in roots:
        own = _read_layout(root, options, problems)
        task = None if root is source else root.name
        recordings += [replace(recording, task=recording.task or task) for recording in own]
    return recordings


def _read_layout(root: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    folder = root / GROUND_TRUTH
    paths = sorted(
        path for path in folder.rglob("*")
        if path.suffix.lower() in (".txt", "") and not path.name.startswith(".") and path.is_file()
    )  # fmt: skip
    if not paths:
        problems.append(f"{place(folder)}holds no file; expected one a video, with a label a line")
        return []
    found = {path: labels for path in paths if (labels := _labels(path, options.encoding, problems))}
    mapping = root / "mapping.txt"
    names = read_number_names(mapping, problems, options.encoding) if mapping.is_file() else {}
    splits = _splits(root, options.split, [media_name(path.name) for path in found], problems)
    numbered = bool(names) and all(NUMBER.fullmatch(label) for labels in found.values() for label in labels)
    if numbered:
        found = {path: [str(int(label)) for label in labels] for path, labels in found.items()}
    _check_names(mapping, names if numbered else set(names.values()), found, problems)
    recordings = []
    for path, labels in found.items():
        if numbered:
            labels = [names.get(label, label) for label in labels]
        folders = path.parent.relative_to(folder).parts
        recordings.append(
            Recording(
                media_name(path.name), segments_of(labels), Convention(FRAMES), path, "/".join(folders) or None,
                Fraction(len(labels)), splits.get(media_name(path.name)),
            )
        )  # fmt: skip
    return recordings


def _check_names(mapping: Path, known: Collection[str], found: Mapping[Path, list[str]], problems: list[str]) -> None:
    """Every label must be in mapping.txt, if there is one, so that a mistyped label doesn't become a new action."""
    first: dict[str, Path] = {}
    for path, labels in found.items():
        for label in labels if known else ():
            if label not in known:
                first.setdefault(label, path)
    for label, path in first.items():
        near = nearest_name(label, known)
        hint = f"; did you mean {near!r}?" if near else ""
        problems.append(f"{place(mapping)}does not name the label {shown(label)} of {path.name}{hint}")


def segments_of(labels: list[str]) -> list[Segment]:
    """Runs of equal labels."""
    segments, start = [], 0
    for label, run in groupby(labels):
        end = start + sum(1 for _ in run)
        segments.append(Segment(label, Fraction(start), Fraction(end), f"line {start + 1}"))
        start = end
    return segments


def _labels(path: Path, encoding: str | None, problems: list[str]) -> list[str]:
    text = read_text(path, problems, encoding)
    if text is None:
        return []
    labels = [line.strip() for line in text.rstrip().splitlines()]
    if "" in labels:
        problems.append(f"{place(path)}line {labels.index('') + 1} is empty; expected a label on every line")
        return []
    if SEGMENT_LINE.fullmatch(labels[0]):
        problems.append(
            f"{place(path)}line 1 is {shown(labels[0])}, which is a segment, not a label a frame; see --format "
            f"breakfast_coarse"
        )
        return []
    return labels


def _splits(root: Path, number: int | None, handles: list[str], problems: list[str]) -> dict[str, str]:
    """'train', 'val' or 'test' of each video that the bundles of a split name."""
    folder = root / "splits"
    if number is None and not (folder / "train.split1.bundle").is_file():
        return {}
    homes: dict[str, str] = {}
    known = set(handles)
    for name in ("train", "val", "test"):
        path = folder / f"{name}.split{number or 1}.bundle"
        if name == "val" and not path.is_file():
            continue
        for line, text in read_lines(path, problems):
            handle = media_name(text)
            if handle not in known:
                problems.append(f"{place(path)}line {line} names {shown(text)}, which has no {GROUND_TRUTH} file")
            elif homes.setdefault(handle, name) != name:
                problems.append(f"{place(path)}line {line}: {shown(text)} is in {homes[handle]!r} already")
    return homes
