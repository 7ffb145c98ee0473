"""Reads the files of the MS-TCN layout (see `utils.data.mstcn`); problems are collected, not raised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.data.annotation import handle_problem
from utils.data.features import FeatureFormat, feature_path, open_features
from utils.data.segments import lengths_agree
from utils.errors import PROBLEMS_SHOWN, DataError, nearest_name, place, shown
from utils.registry import LAYOUTS

BUNDLES = ("train", "test")
SPAN = re.compile(r"\d+\s*-\s*\d+\s")  # of Breakfast's coarse files, '1-30 SIL'


def read_labels(folder: Path, problems: list[str]) -> dict[str, list[str]]:
    """The labels of each video's frames, by handle."""
    # Some systems add hidden files such as "._video.txt"; these are not videos.
    paths = sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))
    if not paths:
        raise DataError(f"{place(folder)}holds no .txt file; expected one a video, with one label a line")
    labels: dict[str, list[str]] = {}
    for path in paths:
        lines = _read_lines(path, problems)
        if lines is None:
            continue
        if (problem := handle_problem(path.stem)) is not None:
            problems.append(f"{place(path)}{problem}")
        elif "" in lines:
            problems.append(
                f"{place(path)}line {lines.index('') + 1} is empty; expected a label on every line"
            )
        elif len(lines) < 2:
            problems.append(f"{place(path)}has {len(lines)} labels; expected at least 2 frames")
        else:
            labels[path.stem] = lines
    return labels


def check_labels(path: Path, labels: Mapping[str, Sequence[str]], problems: list[str]) -> None:
    """Every label must be in mapping.txt, so that a mistyped one doesn't become an action of its own.

    Raises:
        DataError: the lines are segments, so that nothing else can be checked.
    """
    lines = _read_lines(path, problems)
    if lines is None:
        return
    known = {}
    pairs = [line.split(maxsplit=1) for line in lines]
    if pairs and all(len(pair) == 2 and pair[1].isdecimal() and not pair[0].isdecimal() for pair in pairs):
        problems.append(f"{place(path)}has the label first, as {shown(lines[0])}; expected lines 'number label'")
        return
    spans = [(handle, label) for handle, own in labels.items() for label in own if SPAN.match(label)]
    if spans:
        handle, label = spans[0]
        raise DataError(
            f"{place(path.parent)}groundTruth/{handle}.txt has lines such as {shown(label)}, which are segments; "
            f"expected a label a frame (python -m utils.annotation.importer reads segments: --format breakfast_coarse)"
        )
    for number, (line, parts) in enumerate(zip(lines, pairs, strict=True), 1):
        if len(parts) != 2:
            problems.append(f"{place(path)}line {number} is {shown(line)}; expected a number and a label")
        else:
            known[parts[1]] = parts[0]
    for handle, own in labels.items():
        for label in sorted(set(own) - set(known)):
            nearest = nearest_name(label, known) if len(problems) < PROBLEMS_SHOWN else None
            hint = f"; did you mean {nearest!r}?" if nearest else ""
            problems.append(
                f"{place(path)}does not name the label {shown(label)} of groundTruth/{handle}.txt, "
                f"line {own.index(label) + 1}{hint}"
            )


def check_features(
    folder: Path, labels: Mapping[str, Sequence[str]], problems: list[str], scaling: str = "none"
) -> str:
    """The layout of the feature files, one of LAYOUTS, for which every file's length fits its labels.

    With scaling 'proportional', the labels may be of another rate; the axis of equal lengths is then the width.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for handle in labels:
        path = feature_path(folder, handle)
        try:
            shapes[handle] = open_features(path, FeatureFormat()).shape
        except DataError as error:
            problems.append(f"{place(path)}{error}")

    def fits(handle: str, axis: int) -> bool:
        return lengths_agree(len(labels[handle]), shapes[handle][axis])

    # MS-TCN uses (D, T); features that were transposed for another program are accepted too.
    by_rows, by_columns = (sum(fits(handle, axis) for handle in shapes) for axis in (0, 1))
    frames_axis = 1 if by_columns >= by_rows else 0
    if not by_rows and not by_columns:
        rows, columns = ({shape[axis] for shape in shapes.values()} for axis in (0, 1))
        frames_axis = 0 if len(columns) == 1 < len(rows) else 1
    if scaling == "proportional":
        return LAYOUTS[frames_axis]
    ratios = [shape[frames_axis] / len(labels[handle]) for handle, shape in shapes.items()]
    another_rate = bool(ratios) and max(ratios) < 1.02 * min(ratios) and not 0.9 < ratios[0] < 1.1
    for handle, shape in shapes.items():
        if not fits(handle, frames_axis):
            hint = f" (labels of another rate? --scaling proportional: about {ratios[0]:.3g} frames a label)"
            problems.append(
                f"{place(feature_path(folder, handle))}has shape {shape}, {len(labels[handle])} frames are "
                f"labelled; expected lengths within 1 % or 2 frames{hint if another_rate else ''}"
            )
    return LAYOUTS[frames_axis]


def read_bundles(
    folder: Path, split: int, labels: Mapping[str, object], problems: list[str]
) -> dict[str, list[str]]:
    """The handles that the two bundles of a split list."""
    lists: dict[str, list[str]] = {}
    home: dict[str, str] = {}
    for name in BUNDLES:
        path = folder / f"{name}.split{split}.bundle"
        handles = [line.removesuffix(".txt") for line in _read_lines(path, problems) or () if line]
        lists[name] = handles
        for handle in handles:
            if handle not in labels:
                problems.append(f"{place(path)}names {shown(handle)}, which has no usable groundTruth file")
            if handle in home:
                problems.append(f"{place(path)}video {shown(handle)} is in {home[handle]!r} already")
            home.setdefault(handle, name)
    return lists


def _read_lines(path: Path, problems: list[str]) -> list[str] | None:
    """The lines of a text file, without surrounding spaces and without empty lines at the end."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is not a regular file")
        text = path.read_text(encoding="utf-8-sig")
        if "\0" in text:
            raise ValueError("it is not text")
    except FileNotFoundError:
        problems.append(f"{place(path)}no such file")
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{place(path)}cannot be read as text ({error})")
        return None
    return [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []
