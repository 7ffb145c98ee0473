"""Converts the annotation file's lists to a time_dict, and a time_dict to other numbers of frames.

A time_dict's ends are inclusive and its segments cover every frame (see `utils.data.annotation`). The
functions here return new time_dicts and never change the one they are given.

`utils.data.segment_ends` decides whether the file's ends are exclusive or inclusive. Segments that contradict the
decision are not corrected: with exclusive ends an empty segment is an error, and start == end + 1 leaves one frame of
background; with inclusive ends a boundary with start[i+1] == end[i] is an overlap, an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from utils.data.values import is_whole
from utils.errors import DataError, shown
from utils.registry import SCALINGS

BACKGROUND = "SIL"
# Labels that always mean background, whatever the settings are.
ALWAYS_BACKGROUND = frozenset({BACKGROUND, "background"})
# Other names of background in published data sets; the default of the setting BACKGROUND_LABELS.
BACKGROUND_LABELS = (BACKGROUND, "background", "0", "Null", "G0")
# No video is that long. Below it every whole number is exact in double precision, as other JSON readers use.
LAST_FRAME = 2**53 - 1
FRAMES_OF_DIFFERENCE = 2  # by which annotation and features may always differ


# The label of a recording without labels, which counts as one action from its first to its last frame.
UNLABELLED = "(whole recording)"


def is_background(label: str) -> bool:
    """Whether a segment's label means background, in which progress does not increase."""
    return label in ALWAYS_BACKGROUND


def has_labels(time_dict: Mapping[str, Any]) -> bool:
    """Whether anybody said what a recording shows; without labels it is one segment, UNLABELLED."""
    return UNLABELLED not in time_dict["step"]


def unlabelled_segments(handle: str, number_of_frames: int) -> dict[str, Any]:
    """The time_dict of a recording without labels."""
    return {"step": [UNLABELLED], "start_frame": [0], "end_frame": [number_of_frames - 1], "name": handle}


def valid_frames(values: Any) -> list[int] | None:
    """A list of the annotation file as frame numbers, or None if it isn't one."""
    if not isinstance(values, list) or not all(map(_is_frame, values)):
        return None
    return [int(value) for value in values]


def normalize_segments(
    handle: str,
    actions: Any,
    starts: Any,
    ends: Any,
    background: frozenset[str],
    exclusive: bool,
    problems: list[tuple[int | None, str]],
    integer_labels: str = "take",
) -> dict[str, Any] | None:
    """The time_dict of one video.

    Args:
        handle: the video's name.
        actions, starts, ends: the file's lists: labels, first frames, and ends in either convention.
        background: labels that mean background ('SIL' and 'background' always do).
        exclusive: whether ends, but the last one, are the frame after the segment's last frame.
        problems: every problem is appended here as (segment or None, sentence).
        integer_labels: INTEGER_LABELS: 'take' takes whole numbers as labels, 'refuse' makes them problems.

    Returns:
        The time_dict, or None if there is any problem. Frames that no segment covers, before the first segment or
        between two, become background segments.
    """
    labels = _read_labels(actions, integer_labels, problems)
    first_frames = _read_frames(starts, "start", problems)
    end_frames = _read_frames(ends, "end", problems)
    if labels is None or first_frames is None or end_frames is None:
        return None
    if not len(labels) == len(first_frames) == len(end_frames):
        problems.append(
            (
                None,
                f"lists of unequal length: {len(labels)} actions, {len(first_frames)} starts, "
                f"{len(end_frames)} ends; expected one start and one end per action",
            )
        )
        return None
    if not labels:
        problems.append((None, "the list of actions is empty; expected at least one segment"))
        return None

    time_dict: dict[str, Any] = {"step": [], "start_frame": [], "end_frame": [], "name": handle}
    covered, valid, last = 0, True, len(labels) - 1
    for segment, (label, start, end) in enumerate(zip(labels, first_frames, end_frames, strict=True)):
        stop = end if exclusive and segment < last else end + 1
        problem = _segment_problem(start, end, stop, covered, previous=first_frames[segment - 1] if segment else 0)
        if problem is not None:
            problems.append((segment, problem))
            valid = False
        else:
            if start > covered:
                _append(time_dict, BACKGROUND, covered, start)
            named = BACKGROUND if is_background(label) or label in background else label
            _append(time_dict, named, start, stop)
        covered = max(covered, stop)
    return time_dict if valid else None


def lengths_agree(annotated: int, number_of_frames: int) -> bool:
    """Whether annotation and features differ by at most 2 frames or 1 % of the features."""
    difference = abs(annotated - number_of_frames)
    return difference <= FRAMES_OF_DIFFERENCE or 100 * difference <= number_of_frames


def fit_to_length(
    time_dict: dict[str, Any], number_of_frames: int, scaling: str = "none", tail: str = "refuse"
) -> dict[str, Any]:
    """The same segments, over the number of frames of the features.

    With `scaling='none'` the two lengths may differ by 2 frames or 1 % of the features; the last segment is then
    cut or extended. Where the features are longer and `tail='background'`, what follows the last segment becomes
    background instead. With 'proportional', for features sampled at another rate, every boundary b becomes
    round(b * features / annotation). If it is cut or scaled, every segment keeps at least one frame, if necessary
    taken from its neighbours, so that none disappears.

    Args:
        time_dict: the annotated segments.
        number_of_frames: frames of the features.
        scaling: 'none' or 'proportional'.
        tail: 'refuse' or 'background'.

    Raises:
        DataError: the lengths differ by more, a segment lies after the features, or there are more segments than
            frames.
    """
    if scaling not in SCALINGS:
        raise DataError(
            f"ANNOTATION_SCALING is {scaling!r}; expected one of {', '.join(map(repr, SCALINGS))}"
        )
    starts, annotated = time_dict["start_frame"], time_dict["end_frame"][-1] + 1
    if annotated == number_of_frames:
        return time_dict
    count = len(starts)
    if scaling == "none":
        if tail == "background" and annotated < number_of_frames:
            longer = {key: list(value) if isinstance(value, list) else value for key, value in time_dict.items()}
            _append(longer, BACKGROUND, annotated, number_of_frames)
            return longer
        if not lengths_agree(annotated, number_of_frames):
            raise DataError(
                f"{number_of_frames} frames of features, {annotated} annotated; expected a difference within 1 % "
                f"or 2 frames"
            )
        # Rounding moves an end by a frame or two. A segment that lies farther out is of something else.
        if starts[-1] >= number_of_frames + FRAMES_OF_DIFFERENCE:
            raise DataError(
                f"{number_of_frames} frames of features, but the last segment starts at frame {starts[-1]}; expected "
                f"segments inside the recording"
            )
    if count > number_of_frames:
        raise DataError(f"{count} segments in {number_of_frames} frames; expected a frame for each")

    if scaling == "proportional":
        # Whole numbers throughout: exact rounding, half up, however large they are.
        starts = [(2 * start * number_of_frames + annotated) // (2 * annotated) for start in starts]
    fitted, earliest = [], 0
    for segment, start in enumerate(starts):
        latest = number_of_frames - (count - segment)
        fitted.append(min(max(start, earliest), latest))
        earliest = fitted[-1] + 1
    ends = [start - 1 for start in fitted[1:]] + [number_of_frames - 1]
    return {**time_dict, "step": list(time_dict["step"]), "start_frame": fitted, "end_frame": ends}


def subsample_segments(time_dict: dict[str, Any], skip_rate: int) -> dict[str, Any]:
    """The segments over every `skip_rate`-th frame: 0, skip_rate, 2 skip_rate, ...

    Frame t of the result has the label of frame t * skip_rate. A segment without any of these frames is left out;
    `utils.data.dataset.load_data` counts and reports such segments.

    Args:
        time_dict: segments over T frames.
        skip_rate: at least 1.

    Returns:
        Segments over ceil(T / skip_rate) frames.
    """
    if skip_rate == 1:
        return time_dict
    sampled: dict[str, Any] = {**time_dict, "step": [], "start_frame": [], "end_frame": []}
    for step, start, end in zip(
        time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True
    ):
        first, stop = -(-start // skip_rate), end // skip_rate + 1
        if first < stop:
            _append(sampled, step, first, stop)
    return sampled


def _append(time_dict: dict[str, Any], step: str, start: int, stop: int) -> None:
    time_dict["step"].append(step)
    time_dict["start_frame"].append(start)
    time_dict["end_frame"].append(stop - 1)


def _segment_problem(start: int, end: int, stop: int, covered: int, previous: int) -> str | None:
    if end < start:
        return f"ends at frame {end}, before its start {start}; expected end >= start"
    if stop == start:
        return (
            f"start and end are both frame {start}, an empty segment in a video whose segments end where "
            f"the next one starts; expected end > start"
        )
    if start < covered:
        cause = "two actions at once? --overlap of utils.annotation.importer chooses one"
        if start < previous:
            cause = "out of order? Sort the segments by their starts"
        elif covered - start == 1:
            cause = "by one frame: exclusive ends? See SEGMENT_ENDS"
        return (
            f"starts at frame {start}, but frames up to {covered - 1} belong to an earlier segment; "
            f"expected start >= {covered} ({cause})"
        )
    return None


def _is_frame(value: Any) -> bool:
    """The whole numbers of a list; 3.0 is accepted, because many programs write frame numbers like this."""
    written_so = isinstance(value, float) and value.is_integer()
    return is_whole(int(value) if written_so else value, 0, LAST_FRAME)


def _read_frames(values: Any, what: str, problems: list[tuple[int | None, str]]) -> list[int] | None:
    if not isinstance(values, list):
        problems.append((None, f"the {what}s are a {type(values).__name__}; expected a list of frames"))
        return None
    wrong = [(segment, value) for segment, value in enumerate(values) if not _is_frame(value)]
    problems += [
        (segment, f"the {what} is {shown(value)}; expected a whole frame number{_cause_of(value)}")
        for segment, value in wrong
    ]
    return None if wrong else [int(value) for value in values]


def _cause_of(value: Any) -> str:
    """What a time that is no frame number may be, in words."""
    if isinstance(value, str):
        return " >= 0, not text"
    if isinstance(value, float) and 0 <= value < math.inf:
        return " >= 0 (times in seconds? The command utils.annotation.importer converts them to frames)"
    return " >= 0 (and below 2**53)" if is_whole(value, LAST_FRAME, math.inf) else " >= 0"


def _read_labels(
    values: Any, integer_labels: str, problems: list[tuple[int | None, str]]
) -> list[str] | None:
    if not isinstance(values, list):
        problems.append((None, f"the actions are a {type(values).__name__}; expected a list of labels"))
        return None
    numbers = [segment for segment, value in enumerate(values) if is_whole(value, -math.inf, math.inf)]
    labels = [str(value) if is_whole(value, -math.inf, math.inf) else value for value in values]
    if integer_labels != "take":
        problems += [
            (
                segment,
                f"the action is the number {shown(values[segment])}; expected a label, as text "
                f"(INTEGER_LABELS = 'take' takes numbers as labels; BACKGROUND_LABELS says which mean background)",
            )
            for segment in numbers
        ]
    wrong = [
        (segment, label) for segment, label in enumerate(labels) if not isinstance(label, str) or not label
    ]
    problems += [(segment, f"the action is {shown(label)}; expected a label") for segment, label in wrong]
    return None if wrong or (numbers and integer_labels != "take") else labels
