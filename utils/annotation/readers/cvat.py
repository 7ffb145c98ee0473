"""CVAT: 'CVAT for video 1.1' (tracks) and 'CVAT for images 1.1' (tags), XML.

Frames from 0 of the video. A track's label lasts from its first shape to the frame whose shape is outside="1", which is
no longer part of it (ends exclusive), or to the end of the task; where and how large the shapes are doesn't matter. A
tag holds for its frame; successive frames of one tag are one segment. With a frame filter 'step=n' each frame of the
task stands for n of the video. Source: the tool's page "XML annotation format", version 1.1.
"""

from __future__ import annotations

import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import FRAMES, Convention, Recording, Segment
from utils.annotation.source_files import read_xml, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one annotations.xml or of a folder of .xml files."""
    recordings = []
    for path in source_paths(source, (".xml",), problems):
        root = read_xml(path, problems)
        if root is None:
            continue
        try:
            recordings.append(_read_file(path, root))
        except DataError as error:
            problems.append(f"{place(path)}{error}")
    return recordings


def _frame(element: Element, key: str) -> int:
    value = element.get(key)
    try:
        number = exact_number(value)
    except DataError as error:
        raise DataError(f"the attribute {key!r} of <{element.tag}> {error}") from error
    if number.denominator != 1 or number < 0:
        raise DataError(f"the attribute {key!r} of <{element.tag}> is {value!r}; expected a frame number")
    return int(number)


def _read_file(path: Path, root: Element) -> Recording:
    if root.tag != "annotations":
        raise DataError(f"begins with <{root.tag}>; expected <annotations>")
    task = root.find("meta/task")
    if task is None:
        task = root.find("meta/job")
    if task is None:
        raise DataError("has no <meta> of one task; export each task of a project by itself")
    match = re.search(r"step=(\d{1,6})", task.findtext("frame_filter") or "")
    step = int(match[1]) if match else 1
    first, size = int(exact_number(task.findtext("start_frame") or 0)), task.findtext("size")
    length = None if size is None else int(exact_number(size)) * step + first
    segments = [segment for track in root.iter("track") for segment in _of_track(track, length)]
    segments += _of_tags(root, step)
    name = root.findtext("meta/source") or task.findtext("source") or task.findtext("name") or path.stem
    known = None if length is None else Fraction(length)
    return Recording(name, segments, Convention(FRAMES), path, length=known)


def _of_track(track: Element, length: int | None) -> list[Segment]:
    shapes = sorted(
        ((_frame(shape, "frame"), shape.get("outside") == "1") for shape in track if shape.get("frame") is not None),
        key=lambda shape: shape[0],
    )
    label, where = track.get("label", ""), f"track {track.get('id', '')}"
    segments: list[Segment] = []
    begin: int | None = None
    for frame, outside in shapes:
        if outside and begin is not None:
            segments.append(Segment(label, Fraction(begin), Fraction(frame), where))
            begin = None
        elif not outside and begin is None:
            begin = frame
    if begin is not None:
        if length is None:
            raise DataError(f"{where} does not end, and the task's size isn't given")
        segments.append(Segment(label, Fraction(begin), Fraction(length), where))
    return segments


def _of_tags(root: Element, step: int) -> list[Segment]:
    frames: dict[str, set[int]] = defaultdict(set)
    for image in root.iter("image"):
        for tag in image.iter("tag"):
            frames[tag.get("label", "")].add(_frame(image, "id"))
    segments: list[Segment] = []
    for label, own in frames.items():
        begin = previous = None
        for frame in sorted(own):
            if previous is None or frame != previous + step:
                if begin is not None:
                    segments.append(Segment(label, Fraction(begin), Fraction(previous + step), f"image {begin}"))
                begin = frame
            previous = frame
        segments.append(Segment(label, Fraction(begin), Fraction(previous + step), f"image {begin}"))
    return segments
