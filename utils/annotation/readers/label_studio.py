"""Label Studio: its JSON export, and the short one (JSON-MIN).

TimelineLabels of a video: `ranges` of frames, which the tool numbers from 1, with the last frame for an end. Labels of
audio: start and end in seconds, ends exclusive. A task with several annotations must have one marked as ground truth;
cancelled ones don't count. `options.tier` names the control (from_name) where there are several; `options.level` is
'predictions' to read the model's instead of the persons'. Source: the tool's documentation of TimelineLabels and of its
task format, its code (a region with start = end is one frame), and exports in public repositories. Where two regions
share a frame: --ends exclusive.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import FRAMES, INCLUSIVE, SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import read_json, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown

IN_FRAMES = Convention(FRAMES, INCLUSIVE, 1)
KINDS = ("timelinelabels", "labels")
LEVELS = ("annotations", "predictions")


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one export or of a folder of them."""
    if options.level not in ("", *LEVELS):
        problems.append(f"--level is {options.level!r}; expected one of {', '.join(LEVELS)}")
        return []
    recordings: list[Recording] = []
    for path in source_paths(source, (".json",), problems):
        content = read_json(path, problems)
        if content is None:
            continue
        tasks = content if isinstance(content, list) else [content]
        for number, task in enumerate(tasks):
            here = f"{place(path)}task number {number}: "
            if not isinstance(task, dict):
                problems.append(f"{here}is {shown(task)}; expected an object")
                continue
            regions = _regions(task, options, here, problems)
            recording = _recording(path, task, regions, options.tier, here, problems)
            if recording is not None:
                recordings.append(recording)
    return recordings


def _regions(task: dict[str, Any], options: ReadOptions, here: str, problems: list[str]) -> list[dict[str, Any]]:
    """The regions of a task, each {from_name, value}."""
    level = options.level or "annotations"
    if level not in task:  # the short form: {"video": ..., "<control>": [{...}]}
        return [
            {"from_name": control, "value": value}
            for control, values in task.items()
            if isinstance(values, list)
            for value in values
            if isinstance(value, dict) and any(kind in value for kind in KINDS)
        ]
    given = task[level] if isinstance(task[level], list) else []
    entries = [entry for entry in given if isinstance(entry, dict) and not entry.get("was_cancelled")]
    true = [entry for entry in entries if entry.get("ground_truth")]
    entries = true or entries
    if len(entries) > 1:
        problems.append(f"{here}has {len(entries)} {level}; expected one, or one marked as ground truth")
        return []
    result = entries[0].get("result") if entries else []
    return [region for region in result if isinstance(region, dict)] if isinstance(result, list) else []


def _recording(
    path: Path, task: dict[str, Any], regions: list[dict[str, Any]], tier: str, here: str, problems: list[str]
) -> Recording | None:
    data = task["data"] if isinstance(task.get("data"), dict) else task
    name = next((data[key] for key in ("video", "videos", "audio") if isinstance(data.get(key), str)), None)
    name = name or next((value for value in data.values() if isinstance(value, str) and "." in value), None)
    if name is None:
        problems.append(f"{here}names no media file")
        return None
    regions = [region for region in regions if any(kind in region.get("value", {}) for kind in KINDS)]
    controls = list(dict.fromkeys(str(region.get("from_name", "")) for region in regions))
    if (tier and regions and tier not in controls) or (not tier and len(controls) > 1):
        problems.append(f"{here}has the controls {shown(controls)}; expected --tier with one of them")
        return None
    segments: list[Segment] = []
    units: set[str] = set()
    for number, region in enumerate(regions):
        if tier and region.get("from_name") != tier:
            continue
        value = region["value"]
        kind = next(kind for kind in KINDS if kind in value)
        units.add(kind)
        labels, spans = value[kind], value.get("ranges") if kind == "timelinelabels" else [value]
        if not isinstance(labels, list) or len(labels) != 1 or not isinstance(spans, list):
            problems.append(f"{here}region {number} has the labels {shown(labels)}; expected one, and its times")
            continue
        for span in spans:
            try:
                times = [exact_number(span[key]) for key in ("start", "end")]
            except (DataError, KeyError, TypeError) as error:
                problems.append(f"{here}region {number}: the times are {shown(span)}; expected start and end ({error})")
                continue
            segments.append(Segment(str(labels[0]).strip(), *times, f"region {number}"))
    if len(units) > 1:
        problems.append(f"{here}has regions in frames and in seconds; expected --tier with one control")
        return None
    return Recording(str(name), segments, Convention(SECONDS) if units == {"labels"} else IN_FRAMES, path)
