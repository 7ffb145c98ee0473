"""CaptainCook4D: annotation_json/step_annotations.json or complete_step_annotations.json.

{"1_7": {"recording_id", "steps": [{"step_id", "start_time", "end_time", "description", ...}]}} in seconds, ends
exclusive. A step that was left out has the times -1: it is no segment, and counted. Steps stand in no order and may
overlap. The task is activity_name, or the first number of the recording's name. Source: the set's README and its files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import Fields, read_object, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one file."""
    recordings: list[Recording] = []
    for path in source_paths(source, ("step_annotations.json",), problems):
        content = read_object(path, problems)
        skipped = 0
        for name, entry in content.content.items() if content is not None else ():
            video = Fields(entry, place(path, None, name), problems)
            segments = []
            for number, part in enumerate(video.items("steps")):
                step = Fields(part, f"{video.where}step {number}: ", problems)
                try:
                    start, end = (exact_number(step.content.get(key)) for key in ("start_time", "end_time"))
                except DataError as error:
                    problems.append(f"{step.where}the time {error}")
                    continue
                if start == end == -1:
                    skipped += 1
                else:
                    segments.append(Segment(step.text("description").strip(), start, end, f"step {number}"))
            task = str(video.content.get("activity_name") or f"activity {name.partition('_')[0]}")
            recordings.append(Recording(name, segments, Convention(SECONDS), path, task))
        if skipped and recordings:
            note = f"{path.name}: {skipped} steps that were left out (times -1) are no segments"
            recordings[-1] = replace(recordings[-1], notes=[note])
    return recordings
