"""The segment of each frame of an annotation (time_dict): for progress, metrics, baselines and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from utils.data.segments import is_background


class FrameSegments:
    """For each frame of a video, its segment and the frame's position in it.

    Args:
        time_dict: `step`, `start_frame`, `end_frame` (inclusive) of the S segments. Frames out of range are clamped,
            gaps are allowed, and where two segments overlap the later one is used.
        number_of_frames: T; None: the frames up to the last segment's end.

    Attributes:
        segment: (T,) int64 in 0 .. S - 1; -1 for a frame in no segment.
        first, last: (T,) first and last frame of the segment; for a frame in no segment, the frame itself.
        is_action: (T,) bool, whether the segment is an action; False too for a frame in no segment.
    """

    def __init__(self, time_dict: Mapping, number_of_frames: int | None = None):
        if number_of_frames is None:
            number_of_frames = int(time_dict["end_frame"][-1]) + 1
        starts, ends = (
            np.clip(np.asarray(time_dict[key], dtype=np.int64), 0, number_of_frames - 1)
            for key in ("start_frame", "end_frame")
        )
        self.segment = np.full(number_of_frames, -1)
        for segment, (start, end) in enumerate(zip(starts, ends, strict=True)):
            self.segment[start : end + 1] = segment
        self._frames = np.arange(number_of_frames)
        self._action_starts = starts[is_action(time_dict)]
        inside = self.segment >= 0
        self.first = np.where(inside, starts[self.segment], self._frames)
        self.last = np.where(inside, ends[self.segment], self._frames)
        self.is_action = inside & is_action(time_dict)[self.segment]

    @cached_property
    def linear(self) -> np.ndarray:
        """(T,) float64, from 0 to 1 across the segment; 0.5 where it has one frame."""
        length = self.last - self.first
        return np.where(length > 0, (self._frames - self.first) / np.maximum(length, 1), 0.5)

    @cached_property
    def actions_begun(self) -> np.ndarray:
        """(T,) int64, number of actions that have begun up to the frame, including the current action."""
        return np.cumsum(np.bincount(self._action_starts, minlength=len(self._frames)))


def segment_lengths(time_dict: Mapping) -> np.ndarray:
    """Number of frames of each segment, (S,) int64."""
    return np.asarray(time_dict["end_frame"]) - np.asarray(time_dict["start_frame"]) + 1


def is_action(time_dict: Mapping) -> np.ndarray:
    """Whether each segment is an action and not background, (S,) bool."""
    return np.array([not is_background(step) for step in time_dict["step"]], dtype=bool)


def action_frames(time_dict: Mapping, number_of_frames: int | None = None) -> np.ndarray:
    """Whether each frame lies in an action, (T,) bool; see `FrameSegments`."""
    return FrameSegments(time_dict, number_of_frames).is_action


def label_numbers(steps: Sequence[str], numbering: dict[str, int]) -> np.ndarray:
    """Number the labels: equal labels get the same number, background gets -1.

    Args:
        steps: labels of the segments of one video.
        numbering: labels numbered so far; new ones are added to it.

    Returns:
        (S,) int64.
    """
    return np.array(
        [-1 if is_background(step) else numbering.setdefault(step, len(numbering)) for step in steps],
        dtype=np.int64,
    )
