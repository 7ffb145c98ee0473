"""COIN (`COIN.json`) and other data sets in the form of ActivityNet.

{"database": {video: {"class", "duration", "subset", "annotation": [{"id", "label", "segment": [start, end]}]}}} in
seconds, ends exclusive; `duration` is the recording's length, `class` the task and `subset` the split. Source: the
README of coin-dataset/annotations.
"""

from __future__ import annotations

from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.table import split_name
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import Fields, read_object, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The videos of one file, or of all .json files of a folder."""
    return read_database(source, Convention(SECONDS), problems)


def read_database(source: Path, convention: Convention, problems: list[str]) -> list[Recording]:
    """The videos of files in this form, whose times count as `convention` says."""
    recordings = []
    for path in source_paths(source, (".json",), problems):
        content = read_object(path, problems)
        for name, entry in content.mapping("database").items() if content is not None else ():
            video = Fields(entry, place(path, None, name), problems)
            segments = _segments(video, problems)
            subset = video.content.get("subset") or ""
            length = None
            if "duration" in video.content:
                try:
                    length = exact_number(video.content["duration"])
                except DataError as error:
                    problems.append(f"{video.where}the duration {error}")
            recordings.append(
                Recording(
                    name, segments, convention, path, video.content.get("class") or None, length,
                    split_name(subset, video.where, problems),
                )
            )  # fmt: skip
    return recordings


def _segments(video: Fields, problems: list[str]) -> list[Segment]:
    segments = []
    for number, part in enumerate(video.items("annotation")):
        annotation = Fields(part, f"{video.where}annotation {number}: ", problems)
        span = annotation.items("segment")
        try:
            if len(span) != 2:
                raise DataError(f"is {shown(span)}; expected [start, end]")
            start, end = map(exact_number, span)
        except DataError as error:
            problems.append(f"{annotation.where}the segment {error}")
            continue
        segments.append(Segment(annotation.text("label").strip(), start, end, f"annotation {number}"))
    return segments
