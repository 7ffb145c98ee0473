"""The table that describes a loaded data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from utils.command import format_table
from utils.data.labels import LabelCount, label_table
from utils.data.segments import UNLABELLED, is_background

if TYPE_CHECKING:
    from utils.data.preparation import Video

COLUMNS = ("task", "train", "val", "test", "frames min/median/max", "actions", "background", "repeats")


def summarize(
    splits: Mapping[str, Sequence[Video]],
    feature_width: int,
    skipped_tasks: Mapping[str, str],
    notes: Sequence[str],
    labels: Sequence[LabelCount] = (),
    segment_ends: str = "",
    warnings: Sequence[str] = (),
    made_by: str = "",
) -> str:
    """A table with one row per task, and below it what was left out or changed.

    Args:
        splits: the videos of 'train', 'val' and 'test'.
        feature_width: width of the features.
        skipped_tasks: tasks left out, and why.
        notes: further sentences.
        labels: the labels and what they count as.
        segment_ends: how the ends of segments were read.
        warnings: probable mistakes.
        made_by: how the features were made of videos; '' if that isn't known.

    Returns:
        Several lines. "actions" is the number of different labels (0 if there are none), "background" its share of all
        frames, "repeats" the number of videos in which some action occurs more than once.
    """
    tasks = dict.fromkeys(video.task for videos in splits.values() for video in videos)
    rows = [_row(task, splits) for task in tasks]
    if len(tasks) > 1:
        rows.append(_row(None, splits))
    lines = [format_table(COLUMNS, rows, rule="")]
    lines.append(f"features of width {feature_width}" + (f", of videos by {made_by}" if made_by else ""))
    lines += ["", *label_table(labels), ""] if labels else []
    lines += [segment_ends] if segment_ends else []
    lines += [f"left out: task {task!r}: {why}" for task, why in skipped_tasks.items()]
    lines += [f"note: {note}" for note in notes]
    lines += [f"warning: {warning}" for warning in warnings]
    return "\n".join(lines)


def _row(task: str | None, splits: Mapping[str, Sequence[Video]]) -> tuple[str, ...]:
    """A task's figures; None is all tasks together."""
    chosen = {
        split: [video for video in videos if task in (None, video.task)] for split, videos in splits.items()
    }
    videos = [video for part in chosen.values() for video in part]
    frames = [video.number_of_frames for video in videos]
    counts = [
        Counter(step for step in video.time_dict["step"] if not is_background(step) and step != UNLABELLED)
        for video in videos
    ]
    repeats = sum(any(count > 1 for count in counter.values()) for counter in counts)
    background = sum(_background_frames(video) for video in videos)
    return (
        "all" if task is None else task,
        *(str(len(chosen[split])) for split in ("train", "val", "test")),
        f"{min(frames)}/{median(frames):g}/{max(frames)}",
        str(len(set().union(*counts))),
        f"{background / sum(frames):.1%}",
        f"{repeats} of {len(videos)}",
    )


def _background_frames(video: Video) -> int:
    times = video.time_dict
    return sum(
        end - start + 1
        for step, start, end in zip(times["step"], times["start_frame"], times["end_frame"], strict=True)
        if is_background(step)
    )
