"""Ego4D Goal-Step: goalstep_train.json, goalstep_valid.json.

`videos` holds segments nested in segments: steps of a goal, and substeps of a step, in seconds, ends exclusive;
segments of one level may overlap. `options.level` is 'step' (the default) or 'substep'. The label is step_category, the
task goal_category, and the file says which split it is. goalstep_test.json holds no times. Source: the README of
facebookresearch/ego4d-goalstep and its script that reads the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.table import split_name
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import Fields, read_object, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place

LEVELS = {"step": 0, "substep": 1}


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The videos of one file, or of all .json files of a folder."""
    if (options.level or "step") not in LEVELS:
        problems.append(f"--level is {options.level!r}; expected one of {', '.join(LEVELS)}")
        return []
    depth = LEVELS[options.level or "step"]
    recordings = []
    for path in source_paths(source, (".json",), problems):
        content = read_object(path, problems)
        split = None if content is None else split_name(content.content.get("split") or "", content.where, problems)
        for number, entry in enumerate(content.items("videos") if content is not None else ()):
            video = Fields(entry, f"{place(path)}video number {number}: ", problems)
            name = video.text("video_uid")
            video.where = place(path, None, name)
            if "segments" not in video.content and "step_segments" in video.content:
                problems.append(f"{video.where}holds descriptions without times, as the test file does")
                continue
            segments = _segments(video, depth, problems)
            recordings.append(
                Recording(name, segments, Convention(SECONDS), path, video.text("goal_category") or None, split=split)
            )
    return recordings


def _segments(parent: Fields, depth: int, problems: list[str]) -> list[Segment]:
    """The segments so many levels below the parent."""
    segments: list[Segment] = []
    for number, entry in enumerate(parent.items("segments")):
        child = Fields(entry, f"{parent.where}segment {number}: ", problems)
        if depth:
            segments += _segments(child, depth - 1, problems)
            continue
        times: list[Any] = []
        for key in ("start_time", "end_time"):
            try:
                times.append(exact_number(child.content.get(key)))
            except DataError as error:
                problems.append(f"{child.where}{key} {error}")
        if len(times) == 2:
            segments.append(Segment(child.text("step_category").strip(), *times, f"segment {number}"))
    return segments
