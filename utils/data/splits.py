"""Which videos are for training, validation and test. No randomness: the same files give the same splits."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.data.json_files import read_json_object
from utils.errors import PROBLEMS_SHOWN, DataError, nearest_name, place

SPLITS = ("train", "val", "test")
FEWEST_TRAINING_VIDEOS = 2


@dataclass(frozen=True)
class TaskSplit:
    """The handles of one task in each split; `unlisted` are those in no list of split.json."""

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()


def read_split_file(path: Path, known_handles: Collection[str]) -> dict[str, list[str]] | None:
    """The lists of a split.json, `{"train": [...], "test": [...]}` with an optional "val".

    Args:
        path: the file.
        known_handles: every handle of the annotation file.

    Returns:
        The lists by split, or None if there is no such file.

    Raises:
        DataError: unreadable, a list missing or not of handles, an unknown handle, or one in two places.
    """
    if not path.exists():
        return None
    content = read_json_object(path)
    problems: list[str] = []
    lists: dict[str, list[str]] = {}
    home: dict[str, str] = {}
    for split in SPLITS:
        handles = content.get(split)
        if handles is None and split == "val":
            continue
        if not isinstance(handles, list) or not all(isinstance(handle, str) for handle in handles):
            problems.append(
                f"{place(path)}{split!r} is {_describe(content, split)}; expected a list of handles"
            )
            continue
        lists[split] = handles
        for handle in handles:
            if handle not in known_handles:
                # The search for similar names takes time, so only for the problems that are shown.
                nearest = nearest_name(handle, known_handles) if len(problems) < PROBLEMS_SHOWN else None
                hint = f"did you mean {nearest!r}?" if nearest else "expected handles of the annotation"
                problems.append(f"{place(path)}{split!r} names the unknown video {handle!r}; {hint}")
            if handle in home:
                problems.append(
                    f"{place(path)}video {handle!r} is in {home[handle]!r} and again in {split!r}; "
                    f"expected each video once"
                )
            home.setdefault(handle, split)
    if problems:
        raise DataError(problems)
    return lists


def read_groups(path: Path, known_handles: Collection[str]) -> dict[str, str]:
    """The "groups" of a split.json, `{"groups": {"P01": ["P01_tea", "P01_toast"], ...}}`, such as those of one person.

    Recordings of one group are never divided when recordings judge what was fitted to others.

    Args:
        path: the file; it may not exist, and need not have groups.
        known_handles: every handle of the annotation file.

    Returns:
        The group of each handle that is in one.

    Raises:
        DataError: unreadable, or the entry is not lists of handles by name, or a handle is unknown or in two groups.
    """
    if not path.exists():
        return {}
    groups = read_json_object(path).get("groups", {})
    where = f"{place(path)}'groups'"
    if not isinstance(groups, dict) or not all(
        isinstance(handles, list) and all(isinstance(handle, str) for handle in handles) for handles in groups.values()
    ):
        raise DataError(f"{where} is not an object of lists; expected the handles of each group by its name")
    problems: list[str] = []
    group_of: dict[str, str] = {}
    for group, handles in groups.items():
        for handle in handles:
            if handle not in known_handles:
                problems.append(f"{where}: {group!r} names the unknown video {handle!r}")
            if group_of.setdefault(handle, group) != group:
                problems.append(f"{where}: video {handle!r} is in {group_of[handle]!r} and in {group!r}")
    if problems:
        raise DataError(problems)
    return group_of


def split_task(
    handles: Sequence[str],
    listed: Mapping[str, Sequence[str]] | None,
    train_split: tuple[float, float],
    validation_fraction: float,
) -> TaskSplit:
    """The splits of one task.

    With split.json its lists are used. If it has no "val", the last `validation_fraction` of the task's training
    videos, in the order of the list, are for validation: at least one video, but at least two training videos remain.
    They are the last ones, not random ones, because neighbours in such a list often show the same person, who should
    not be in both splits.

    Without split.json the videos are split in file order: the first share `train_split[0]` (at least two) is for
    training, of the rest the first share `train_split[1]` is for validation, and the others are for test. If the
    shares allow it, test gets at least one video, then validation.

    Args:
        handles: the task's videos in file order.
        listed: what `read_split_file` returned.
        train_split: (share for training, share of the rest for validation).
        validation_fraction: share of the listed training videos for validation.
    """
    if listed is None:
        return _deal_out(tuple(handles), *train_split)
    own = set(handles)
    train, val, test = (tuple(name for name in listed.get(split, ()) if name in own) for split in SPLITS)
    if "val" not in listed and validation_fraction > 0:
        count = max(1, _nearest(validation_fraction * len(train)))
        count = max(0, min(count, len(train) - FEWEST_TRAINING_VIDEOS))
        train, val = train[: len(train) - count], train[len(train) - count :]
    placed = {*train, *val, *test}
    return TaskSplit(train, val, test, tuple(name for name in handles if name not in placed))


def _deal_out(handles: tuple[str, ...], train_share: float, validation_share: float) -> TaskSplit:
    count = len(handles)
    train = max(_nearest(train_share * count), FEWEST_TRAINING_VIDEOS)
    if train_share < 1:
        train = max(min(train, count - 1), FEWEST_TRAINING_VIDEOS)
    rest = count - min(train, count)
    val = _nearest(validation_share * rest)
    if 0 < validation_share < 1:
        val = min(max(val, 1), rest - 1)
    val = max(val, 0)
    return TaskSplit(handles[:train], handles[train : train + val], handles[train + val :])


def _nearest(value: float) -> int:
    """The nearest whole number, halves up; the margin covers rounding errors: 0.7 * 50 is a little below 35."""
    return math.floor(value + 0.5 + 1e-9)


def _describe(content: Mapping[str, object], key: str) -> str:
    return f"a {type(content[key]).__name__} with other content" if key in content else "missing"
