"""The annotation file: the actions of each video and their times.

The file is one JSON object, `{task: {"handles": [...], "hdl_actions": [[...], ...],
"hdl_start_times": [[...], ...], "hdl_end_times": [[...], ...]}}`: the i-th list of actions, starts and ends
belongs to the i-th handle. Frames count from 0. A task with handles alone has no labels.

Inside the project a video's annotation is a *time_dict*, `{"step": [str], "start_frame": [int],
"end_frame": [int], "name": handle}`: ends are inclusive, the segments cover every frame from 0 to the last
one without overlap, and background is called 'SIL'. `utils.data.segments` makes one from the file's lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from utils.data.json_files import read_json_object
from utils.data.segment_ends import EndsOfFile, read_ends
from utils.data.segments import BACKGROUND_LABELS, normalize_segments, valid_frames
from utils.errors import DataError, nearest_name, place, shown

HANDLES, ACTIONS, STARTS, ENDS = "handles", "hdl_actions", "hdl_start_times", "hdl_end_times"


@dataclass(frozen=True)
class AnnotatedVideo:
    """What the annotation file says about one video.

    Args:
        task: the task the video belongs to.
        handle: the video's name, also the name of its feature file.
        time_dict: its segments (see the module), or None if they have problems, or there are no labels.
        labels: the label of each of them in the file, None for frames that no segment covers.
        is_labelled: whether the file says what the video shows.
    """

    task: str
    handle: str
    time_dict: dict[str, Any] | None
    labels: tuple[str | None, ...] = ()
    is_labelled: bool = True

    @property
    def number_of_frames(self) -> int:
        """Frames the annotation covers."""
        return self.time_dict["end_frame"][-1] + 1


@dataclass(frozen=True)
class Annotation:
    """The selected tasks of an annotation file.

    Args:
        tasks: the selected tasks in file order.
        videos: their videos in file order.
        all_handles: the handles of every task of the file, selected or not.
        ends: how the ends of its segments are read.
    """

    tasks: tuple[str, ...]
    videos: tuple[AnnotatedVideo, ...]
    all_handles: frozenset[str]
    ends: EndsOfFile


@dataclass(frozen=True)
class AnnotationReading:
    """The settings by which an annotation file is read.

    Args:
        background_labels: the labels that mean background.
        segment_ends, integer_labels: SEGMENT_ENDS and INTEGER_LABELS.
        labels: LABELS; False reads the handles alone.
    """

    background_labels: frozenset[str] = frozenset(BACKGROUND_LABELS)
    segment_ends: str = "auto"
    integer_labels: str = "refuse"
    labels: bool = True


def read_annotation(
    path: str | Path,
    tasks: Sequence[str] = (),
    background_labels: Iterable[str] = BACKGROUND_LABELS,
    segment_ends: str = "auto",
    integer_labels: str = "refuse",
) -> Annotation:
    """Reads the annotation alone, without any features.

    Args:
        path: the JSON file.
        tasks: the tasks to read; none means all. The others are not even validated.
        background_labels: the labels that mean background; they become 'SIL'.
        segment_ends: SEGMENT_ENDS; see `utils.data.segment_ends`.
        integer_labels: INTEGER_LABELS: 'take' takes whole numbers as labels.

    Raises:
        DataError: with every problem of the selected tasks.

    Example:
        >>> annotation = read_annotation("egoprocel.json", tasks=("tent",))    # doctest: +SKIP
        >>> annotation.videos[0].time_dict["step"][:3]                         # doctest: +SKIP
        ['SIL', '29', 'SIL']
    """
    problems: list[str] = []
    reading = AnnotationReading(frozenset(background_labels), segment_ends, integer_labels)
    annotation = collect_annotation(Path(path), tasks, reading, problems)
    if problems:
        raise DataError(problems)
    return annotation


def collect_annotation(
    path: Path,
    tasks: Sequence[str],
    reading: AnnotationReading,
    problems: list[str],
    handles: Sequence[str] | None = None,
) -> Annotation:
    """As `read_annotation`, but appends problems inside the file to `problems` and continues.

    With `handles` there is no file: they are those of one task without labels, called as the file would be.

    Raises:
        DataError: the file cannot be read at all, or holds no task.
    """
    content = read_json_object(path) if handles is None else {path.stem: {HANDLES: list(handles)}}
    if not content:
        raise DataError(f"{place(path)}holds no task; expected {{task: {{handles, hdl_actions, ...}}}}")
    selected = _select_tasks(path, list(content), tasks, problems)
    ends = read_ends(_valid_videos(content) if reading.labels else (), reading.segment_ends)
    if (problem := ends.problem(path)) is not None:
        problems.append(problem)
    videos: list[AnnotatedVideo] = []
    for task in selected:
        videos += _read_task(path, task, content[task], reading, ends, problems)
    _refuse_duplicates(path, videos, problems)
    all_handles = frozenset(
        handle
        for entry in content.values()
        if isinstance(entry, dict) and isinstance(entry.get(HANDLES), list)
        for handle in entry[HANDLES]
        if isinstance(handle, str)
    )
    return Annotation(tuple(selected), tuple(videos), all_handles, ends)


def handle_problem(handle: object) -> str | None:
    """Why a handle cannot name a file inside the data folder, or None if it can."""
    if not isinstance(handle, str) or not handle:
        return f"the handle is {shown(handle)}; expected a name"
    plain = PurePosixPath(handle).name == handle and PureWindowsPath(handle).name == handle
    if not plain or handle == ".." or "\0" in handle:
        return "the handle leaves the data folder; expected a plain file name without separators or '..'"
    if any("\ud800" <= character <= "\udfff" for character in handle):
        return "the handle is not valid text; expected a name that can be written in UTF-8"
    return None


def _select_tasks(path: Path, known: list[str], tasks: Sequence[str], problems: list[str]) -> list[str]:
    wanted = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    for task in wanted:
        if task not in known:
            nearest = nearest_name(task, known)
            hint = f"did you mean {nearest!r}?" if nearest else f"it has {shown(known)}"
            problems.append(f"{place(path)}TASKS (--task) names {task!r}, which the file doesn't have; {hint}")
    return [task for task in known if not wanted or task in wanted]


def _valid_videos(content: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str], list[int], list[int]]]:
    """Task, handle, labels, starts and ends of each video of the file whose lists are valid, of all its tasks."""
    for task, entry in content.items():
        lists = [entry.get(key) for key in (HANDLES, ACTIONS, STARTS, ENDS)] if isinstance(entry, dict) else [None]
        if not all(isinstance(values, list) for values in lists):
            continue
        for handle, actions, *times in zip(*lists, strict=False):
            starts, ends = map(valid_frames, times)
            if isinstance(actions, list) and starts and ends and len(actions) == len(starts) == len(ends):
                yield task, handle, actions, starts, ends


def _read_task(
    path: Path, task: str, entry: Any, reading: AnnotationReading, ends_of_file: EndsOfFile, problems: list[str]
) -> list[AnnotatedVideo]:
    expected = (HANDLES, ACTIONS, STARTS, ENDS)
    if not isinstance(entry, dict):
        problems.append(f"{place(path, task)}is a {type(entry).__name__}; expected an object with {expected}")
        return []
    if not reading.labels or (HANDLES in entry and not {ACTIONS, STARTS, ENDS} & set(entry)):
        expected = (HANDLES,)
    wrong = [key for key in expected if not isinstance(entry.get(key), list)]
    for key in wrong:
        found = f"is a {type(entry[key]).__name__}" if key in entry else "is missing"
        problems.append(f"{place(path, task)}{key!r} {found}; expected a list")
    if wrong:
        return []
    if len({len(entry[key]) for key in expected}) > 1:
        lengths = ", ".join(f"{len(entry[key])} {key}" for key in expected)
        problems.append(
            f"{place(path, task)}lists of unequal length: {lengths}; expected one of each per handle"
        )
        return []

    videos = []
    for number, (handle, *lists) in enumerate(zip(*(entry[key] for key in expected), strict=True)):
        if (problem := handle_problem(handle)) is not None:
            problems.append(
                f"{place(path, task, handle if isinstance(handle, str) else f'number {number}')}{problem}"
            )
            continue
        if not lists:
            videos.append(AnnotatedVideo(task, handle, None, is_labelled=False))
            continue
        actions, starts, ends = lists
        found: list[tuple[int | None, str]] = []
        numbers = valid_frames(starts) or (), valid_frames(ends) or ()
        time_dict = normalize_segments(
            handle, actions, starts, ends, reading.background_labels, ends_of_file.are_exclusive(*numbers), found,
            reading.integer_labels,
        )  # fmt: skip
        problems += [f"{place(path, task, handle, segment)}{problem}" for segment, problem in found]
        if time_dict is None:
            videos.append(AnnotatedVideo(task, handle, None))
            continue
        label_at = dict(zip(numbers[0], map(str, actions), strict=True))
        labels = tuple(label_at.get(start) for start in time_dict["start_frame"])
        videos.append(AnnotatedVideo(task, handle, time_dict, labels))
    return videos


def _refuse_duplicates(path: Path, videos: list[AnnotatedVideo], problems: list[str]) -> None:
    first_task: dict[str, str] = {}
    for video in videos:
        if video.handle in first_task:
            problems.append(
                f"{place(path, video.task, video.handle)}the handle occurs twice (first in task "
                f"{first_task[video.handle]!r}); expected every handle once in the file"
            )
        first_task.setdefault(video.handle, video.task)
