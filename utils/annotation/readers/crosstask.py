"""CrossTask: the folder `crosstask_release`.

`annotations/<task>_<video>.csv` has lines 'step,start,end', the step a number from 1 and the times seconds, ends
exclusive; steps may overlap. `tasks_primary.txt` gives titles and steps: five lines a task (number, title, address, how
many steps, the steps with commas between) and a blank one. Source: the code of DmZhukov/CrossTask that reads it.
"""

from __future__ import annotations

import re
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import read_lines, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown

_NAME = re.compile(r"(\d+)_(.+)")
LINES_OF_TASK = 5


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The videos of the folder's annotations."""
    tasks = _tasks(source, problems)
    recordings = []
    for path in source_paths(source / "annotations", (".csv",), problems):
        match = _NAME.fullmatch(path.stem)
        if match is None or match[1] not in tasks:
            problems.append(f"{place(path)}expected a name such as 105253_VIDEO.csv, with a task of tasks_primary.txt")
            continue
        title, steps = tasks[match[1]]
        segments = []
        for number, line in read_lines(path, problems, options.encoding):
            here, parts = f"{place(path)}line {number}: ", line.split(",")
            if len(parts) != 3 or not parts[0].strip().isdecimal() or not 1 <= int(parts[0]) <= len(steps):
                problems.append(f"{here}is {shown(line)}; expected step, start, end with a step from 1 to {len(steps)}")
                continue
            try:
                start, end = exact_number(parts[1]), exact_number(parts[2])
            except DataError as error:
                problems.append(f"{here}the time {error}")
                continue
            segments.append(Segment(steps[int(parts[0]) - 1], start, end, f"line {number}"))
        recordings.append(Recording(match[2], segments, Convention(SECONDS), path, title))
    return recordings


def _tasks(source: Path, problems: list[str]) -> dict[str, tuple[str, list[str]]]:
    """Title and steps of each task, by its number."""
    tasks = {}
    for name in ("tasks_primary.txt", "tasks_related.txt"):
        path = source / name
        if name == "tasks_related.txt" and not path.is_file():
            continue
        lines = read_lines(path, problems)
        for first in range(0, len(lines), LINES_OF_TASK):
            block = [line for _, line in lines[first : first + LINES_OF_TASK]]
            steps = [step.strip() for step in block[-1].split(",")]
            if len(block) < LINES_OF_TASK or not block[3].isdecimal() or int(block[3]) != len(steps):
                problems.append(
                    f"{place(path)}line {lines[first][0]}: expected a task's number, title, address, how many steps "
                    f"and as many steps, a line each"
                )
                break
            tasks[block[0]] = block[1], steps
    return tasks
