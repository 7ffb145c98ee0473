"""EgoPER: annotation.json.

{task: {"segments": [{"video_id", "labels": {"time_stamp": [[start, end], ...], "action": [number, ...]}}],
"action2idx": {name: number}}} in seconds, ends exclusive. Actions are numbers; where the file has action2idx they get
its names. Number 0, 'BG', is what the set calls background: say so (--background BG). Source: the code of
robert80203/EgoPER_official that reads it, and an issue about action2idx.
"""

from __future__ import annotations

from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import Fields, read_object, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The videos of one file."""
    recordings = []
    for path in source_paths(source, ("annotation.json",), problems):
        content = read_object(path, problems)
        for task, entry in content.content.items() if content is not None else ():
            fields = Fields(entry, place(path, task), problems)
            numbers = fields.content.get("action2idx")
            names = {str(number): str(name) for name, number in numbers.items()} if isinstance(numbers, dict) else {}
            for number, part in enumerate(fields.items("segments")):
                video = Fields(part, f"{fields.where}entry {number}: ", problems)
                name = video.text("video_id")
                labels = Fields(video.mapping("labels"), place(path, task, name), problems)
                segments = _segments(labels, names, problems)
                recordings.append(Recording(name, segments, Convention(SECONDS), path, task))
    return recordings


def _segments(labels: Fields, names: dict[str, str], problems: list[str]) -> list[Segment]:
    times, actions = labels.items("time_stamp"), labels.items("action")
    if len(times) != len(actions):
        problems.append(f"{labels.where}{len(times)} time stamps, {len(actions)} actions; expected as many")
        return []
    segments = []
    for number, (span, action) in enumerate(zip(times, actions, strict=True)):
        try:
            if not isinstance(span, list) or len(span) != 2:
                raise DataError(f"is {shown(span)}; expected [start, end]")
            start, end = map(exact_number, span)
        except DataError as error:
            problems.append(f"{labels.where}segment {number}: the time {error}")
            continue
        segments.append(Segment(names.get(str(action), str(action)).strip(), start, end, f"segment {number}"))
    return segments
