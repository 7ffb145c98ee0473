"""What isn't an error in a data set but probably a mistake: one sentence for each, for `--check` and before a training.

Nothing is changed. The limits are far from what recordings of one kind differ by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from utils.data.annotation import AnnotatedVideo
from utils.data.background_names import looks_like_background
from utils.data.labels import LabelCount
from utils.data.segments import is_background
from utils.data.standardization import Moments

FEW_RECORDINGS = 5
LARGE = 1000.0  # root mean square beyond which, and below its inverse, a network hardly learns
ANOTHER_SCALE = 10.0  # times the scale of the other recordings, or this part of it
# Distance of a recording's mean from the others', in standard deviations within a recording, and times the usual one.
UNLIKE, UNLIKE_TIMES = 3.0, 4.0
NAMES_SHOWN = 3
LABELS_SHOWN = 5


class Measured(NamedTuple):
    """The features of one recording: its name, its number of frames, a checksum and the moments of each feature."""

    handle: str
    frames: int
    checksum: int
    moments: Moments


def feature_warnings(recordings: Sequence[Measured], standardize: bool = True) -> list[str]:
    """Warnings about the features of all recordings.

    Args:
        recordings: what was measured.
        standardize: whether the network reads them standardised (STANDARDIZE).
    """
    if not recordings:
        return []
    means = np.stack([each.moments.mean for each in recordings])  # (recordings, features)
    deviations = np.stack([np.sqrt(each.moments.squares / each.moments.count) for each in recordings])
    still = deviations <= 1e-6 * np.abs(means)
    warnings = []
    frozen = [each.handle for each, row in zip(recordings, still, strict=True) if row.all()]
    if frozen:
        warnings.append(f"the features never change in {_named(frozen)}")
    if len(frozen) < len(recordings):
        warnings += _about_columns(means, deviations, still)
    warnings += _about_equal_files(recordings)
    moving = [index for index, row in enumerate(still) if not row.all()]
    scale = float(np.median(np.sqrt((means**2 + deviations**2).mean(axis=1))))
    if moving and not standardize and not 1 / LARGE < scale < LARGE:
        warnings.append(
            f"the features have values of about {scale:.3g}, and a network learns best from values near 1: "
            f"STANDARDIZE = True"
        )
    if len(moving) >= 3:
        handles = [recordings[index].handle for index in moving]
        odd = _of_another_scale(handles, means[moving], deviations[moving])
        if odd:
            warnings.append(
                f"the features have another scale than those of the others in {_listed(odd)}: another unit, or another "
                f"program made them?"
            )
        unlike = [name for name in _unlike_the_others(handles, means[moving], deviations[moving]) if name not in odd]
        if unlike:
            warnings.append(
                f"the features are unlike those of the others in {_named(unlike)}: did another program make them?"
            )
    return warnings


def label_warnings(labels: Sequence[LabelCount], videos: Sequence[AnnotatedVideo], splits: Sequence[str]) -> list[str]:
    """Warnings about labels: background that is missing or everywhere, near misses, labels of some splits only."""
    warnings = []
    actions = [count for count in labels if not count.is_background]
    if not actions:
        warnings.append("all frames are background: there is nothing to learn (see BACKGROUND_LABELS)")
    elif len(actions) == len(labels):
        warnings.append("no frame is background")
    empty = [video.handle for video in videos if all(map(is_background, video.time_dict["step"]))]
    if empty and actions:
        warnings.append(f"all frames are background in {_named(empty)}")
    likely = [count.label for count in actions if looks_like_background(count.label)]
    if likely:
        warnings.append(
            f"taken as an action, though the name looks like background: {_some(likely)} (add it to BACKGROUND_LABELS)"
        )
    if {"train", "test"} <= set(splits) or {"train", "val"} <= set(splits):
        only = [count.label for count in actions if set(count.recordings) == {"train"}]
        if only:
            warnings.append(f"in training recordings only: {_some(only)}")
        unseen = [count.label for count in actions if "train" not in count.recordings]
        if unseen:
            warnings.append(f"in no training recording: {_some(unseen)}")
    single = sum(count.single_frames for count in labels)
    if single:
        where = [count.label for count in labels if count.single_frames]
        warnings.append(f"{single} segments have one frame: {_some(where)}")
    beginnings = [video.labels[0] is None and video.time_dict["end_frame"][0] == 0 for video in videos]
    if len(videos) > 1 and all(beginnings):
        warnings.append(
            "every recording begins with one frame without a label: are frames counted from 1? They count from 0 here"
        )
    return warnings


def split_warnings(recordings: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Warnings about tasks with few recordings, or without any for validation or test.

    Args:
        recordings: how many recordings each task has in each split.
    """
    warnings = []
    few = [f"{task!r} ({sum(splits.values())})" for task, splits in recordings.items()
           if sum(splits.values()) < FEW_RECORDINGS]  # fmt: skip
    if few:
        warnings.append(f"fewer than {FEW_RECORDINGS} recordings: {', '.join(few)}")
    for split, what in (("val", "validation"), ("test", "test")):
        without = [task for task, splits in recordings.items() if not splits.get(split)]
        if without:
            warnings.append(f"no {what} recording: {_some(without)}")
    return warnings


def _about_columns(means: np.ndarray, deviations: np.ndarray, still: np.ndarray) -> list[str]:
    warnings = []
    constant = np.flatnonzero(still.all(axis=0) & (np.ptp(means, axis=0) <= 1e-6 * np.abs(means).max(axis=0)))
    if len(constant):
        warnings.append(
            f"{len(constant)} of {means.shape[1]} features have the same value everywhere: {_numbers(constant)}"
        )
    # Equal means and deviations in every recording: the same feature twice.
    columns = np.concatenate([means, deviations]).T.copy()
    columns = np.delete(columns, constant, axis=0)
    kept = np.delete(np.arange(means.shape[1]), constant)
    if len(kept) and len(columns):
        _, first, inverse = np.unique(columns, axis=0, return_index=True, return_inverse=True)
        copies = kept[np.flatnonzero(first[inverse.ravel()] != np.arange(len(columns)))]
        if len(copies):
            warnings.append(
                f"{len(copies)} of {means.shape[1]} features are copies of another: {_numbers(np.sort(copies))}"
            )
    return warnings


def _about_equal_files(recordings: Sequence[Measured]) -> list[str]:
    groups: dict[tuple[int, int, bytes], list[str]] = defaultdict(list)
    for each in recordings:
        groups[each.frames, each.checksum, each.moments.mean.tobytes()].append(each.handle)
    equal = [names for names in groups.values() if len(names) > 1]
    if not equal:
        return []
    shown = "; ".join(", ".join(map(repr, names[:NAMES_SHOWN])) + (", ..." * (len(names) > NAMES_SHOWN))
                      for names in equal[:NAMES_SHOWN])  # fmt: skip
    more = f"; and {len(equal) - NAMES_SHOWN} more groups" if len(equal) > NAMES_SHOWN else ""
    return [f"recordings with the same features: {shown}{more}"]


def _of_another_scale(handles: Sequence[str], means: np.ndarray, deviations: np.ndarray) -> dict[str, float]:
    """The recordings of another scale, and theirs relative to the usual one."""
    scales = np.sqrt((means**2 + deviations**2).mean(axis=1))
    usual = float(np.median(scales))
    if usual == 0:
        return {}
    ratios = {handle: float(scale / usual) for handle, scale in zip(handles, scales, strict=True)}
    return {handle: ratio for handle, ratio in ratios.items() if not 1 / ANOTHER_SCALE < ratio < ANOTHER_SCALE}


def _unlike_the_others(handles: Sequence[str], means: np.ndarray, deviations: np.ndarray) -> list[str]:
    centre, spread = np.median(means, axis=0), np.median(deviations, axis=0)
    used = spread > 0
    if not used.any():
        return []
    distances = np.sqrt((((means - centre)[:, used] / spread[used]) ** 2).mean(axis=1))
    limit = max(UNLIKE, UNLIKE_TIMES * float(np.median(distances)))
    return [handle for handle, distance in zip(handles, distances, strict=True) if distance > limit]


def _named(names: Sequence[str]) -> str:
    """'recording 'a'', or '3 recordings ('a', 'b', ...)'."""
    if len(names) == 1:
        return f"recording {names[0]!r}"
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return f"{len(names)} recordings ({', '.join(map(repr, names[:NAMES_SHOWN]))}{more})"


def _listed(ratios: Mapping[str, float]) -> str:
    shown = ", ".join(f"{name!r} (times {ratio:.3g})" for name, ratio in list(ratios.items())[:NAMES_SHOWN])
    return shown + (f" and {len(ratios) - NAMES_SHOWN} more" if len(ratios) > NAMES_SHOWN else "")


def _some(labels: Sequence[str | None]) -> str:
    shown = ", ".join(map(repr, labels[:LABELS_SHOWN]))
    return shown + (f" and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else "")


def _numbers(columns: np.ndarray) -> str:
    shown = ", ".join(map(str, columns[:LABELS_SHOWN].tolist()))
    return shown + (f" and {len(columns) - LABELS_SHOWN} more" if len(columns) > LABELS_SHOWN else "")
