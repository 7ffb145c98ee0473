"""Per-frame views of an annotation (time_dict), shared by the metrics and the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from utils.data.segments import ALWAYS_BACKGROUND


def is_background(step: str) -> bool:
    """Whether a step's label is background, which earns no progress."""
    return step in ALWAYS_BACKGROUND


def frame_segments(time_dict: Mapping) -> np.ndarray:
    """Index of the segment each frame lies in.

    Args:
        time_dict: `step`, `start_frame`, `end_frame`, with inclusive ends and segments that follow on.

    Returns:
        (T,) int64, values in 0 .. number of segments - 1, never decreasing.
    """
    start, end = np.asarray(time_dict["start_frame"]), np.asarray(time_dict["end_frame"])
    return np.repeat(np.arange(len(start)), end - start + 1)


def segment_lengths(time_dict: Mapping) -> np.ndarray:
    """Number of frames of each segment, (number of segments,) int64."""
    return np.asarray(time_dict["end_frame"]) - np.asarray(time_dict["start_frame"]) + 1


def is_action(time_dict: Mapping) -> np.ndarray:
    """Whether each segment is an action and not background, (number of segments,) bool."""
    return np.array([not is_background(step) for step in time_dict["step"]], dtype=bool)


def action_frames(time_dict: Mapping) -> np.ndarray:
    """Whether each frame lies in an action and not in background, (T,) bool."""
    return is_action(time_dict)[frame_segments(time_dict)]


def label_numbers(steps: Sequence[str], numbering: dict[str, int]) -> np.ndarray:
    """Number every label, the same label by the same number, with background as -1.

    Args:
        steps: labels of the segments of one video.
        numbering: labels numbered so far; new ones are added to it.

    Returns:
        (number of segments,) int64.
    """
    return np.array(
        [-1 if is_background(step) else numbering.setdefault(step, len(numbering)) for step in steps],
        dtype=np.int64,
    )
