"""LeRobot, version 3: a folder with meta/info.json and meta/episodes/**/*.parquet.

Each episode is a recording, `episode_000003`; its sub-tasks are lists in the episodes' table: <level>_subtask_names,
_start_frames and _end_frames, with the level 'dense' or 'sparse', or none in older sets. Frames from 0 of the episode,
ends exclusive (a sub-task begins where the one before ends; sets that write the last frame instead: --ends inclusive),
`fps` of info.json frames/s; `length` is the episode's. A sub-task that did not happen ends before it begins and is left
out. The task is the first of `tasks`. Reading needs pyarrow. Source: the data format of LeRobot and of its SARM labels.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import FRAMES, Convention, Recording, Segment
from utils.annotation.source_files import read_object, source_paths
from utils.annotation.times import parse_rate
from utils.errors import DataError, import_extra, place, shown

PARTS = ("names", "start_frames", "end_frames")
LEVELS = ("dense", "sparse")


def episode_name(number: int) -> str:
    """What the recording of an episode is called."""
    return f"episode_{number:06d}"


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The episodes of a data set; `options.level` is 'dense' or 'sparse' where it has both.

    Raises:
        MissingExtraError: pyarrow isn't installed.
    """
    pyarrow = import_extra("pyarrow", "lerobot", "LeRobot")
    parquet = import_extra("pyarrow.parquet", "lerobot", "LeRobot")

    info = read_object(source / "meta" / "info.json", problems)
    if info is None:
        return []
    try:
        convention = Convention(FRAMES, frame_rate=parse_rate(str(info.content.get("fps", ""))))
    except DataError as error:
        problems.append(f"{info.where}fps: {error}")
        return []
    recordings = []
    for path in source_paths(source / "meta" / "episodes", (".parquet",), problems):
        try:
            file = parquet.ParquetFile(path)
            prefix = _prefix(set(file.schema_arrow.names), options.level)
            columns = ["episode_index", "length", *(f"{prefix}subtask_{part}" for part in PARTS)]
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise DataError(f"has no column {', '.join(missing)}")
            optional = ["tasks"] if "tasks" in file.schema_arrow.names else []
            rows = file.read([*columns, *optional]).to_pylist()
        except (DataError, OSError, pyarrow.ArrowException) as error:
            problems.append(f"{place(path)}{error}")
            continue
        for row in rows:
            recordings.append(_episode(path, row, prefix, convention, problems))
    return recordings


def _prefix(columns: set[str], level: str) -> str:
    """What the names of the sub-tasks' columns begin with.

    Raises:
        DataError: the wanted level isn't there, there is none, or several.
    """
    known = {"": "subtask_names", **{name: f"{name}_subtask_names" for name in LEVELS}}
    there = [name for name, column in known.items() if column in columns]
    prefixed = [name for name in there if name]
    if level and level in prefixed:
        return f"{level}_"
    if level or not there:
        raise DataError(
            f"has no sub-tasks{f' of the level {level!r}' if level else ''}; it has {shown(sorted(columns))}"
        )
    if len(prefixed) > 1:
        raise DataError(f"has sub-tasks of several levels; expected --level with one of {', '.join(prefixed)}")
    return f"{prefixed[0]}_" if prefixed else ""


def _episode(path: Path, row: dict[str, Any], prefix: str, convention: Convention, problems: list[str]) -> Recording:
    name = episode_name(int(row["episode_index"]))
    lists = [row[f"{prefix}subtask_{part}"] or [] for part in PARTS]
    segments: list[Segment] = []
    absent = 0
    if len({len(values) for values in lists}) > 1 or any(None in values for values in lists):
        problems.append(f"{place(path, None, name)}names, starts and ends are {shown(lists)}; expected as many of each")
    else:
        for number, (label, start, end) in enumerate(zip(*lists, strict=True)):
            if end < start:
                absent += 1
            else:
                segments.append(Segment(str(label).strip(), Fraction(start), Fraction(end), f"sub-task {number}"))
    task = next(iter(row.get("tasks") or []), None)
    notes = [f"{name}: {absent} sub-tasks that end before they begin are left out"] if absent else []
    return Recording(name, segments, convention, path, task, Fraction(int(row["length"])), notes=notes)
