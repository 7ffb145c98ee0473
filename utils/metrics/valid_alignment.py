"""The true alignment of the frames of two videos, from their annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.data.frame_segments import FrameSegments, label_numbers, segment_lengths


@dataclass(frozen=True)
class ValidAlignment:
    """True alignment of a video U of N frames with a video V of M frames.

    A frame of U is alignable if it lies in an action that V contains too. Its valid aligned frames are the
    frames at the same relative position in every occurrence of that action in V.

    Attributes:
        alignable: (A,) int64, indices of the alignable frames of U, increasing.
        position: (A, S) int64, valid aligned frame of V in each occurrence of the frame's action, in order of
            time; S is the largest number of occurrences of an action; -1 if `valid` is False.
        valid: (A, S) bool, whether the frame's action has an occurrence of this number in V.
        alignable_other: (M,) bool, frames of V in an action that U contains too.
    """

    alignable: np.ndarray
    position: np.ndarray
    valid: np.ndarray
    alignable_other: np.ndarray

    @property
    def earliest(self) -> np.ndarray:
        """(A,) int64, the first valid aligned frame of each alignable frame."""
        return self.position[:, 0]

    @cached_property
    def latest(self) -> np.ndarray:
        """(A,) int64, the last valid aligned frame of each alignable frame."""
        return self.position.max(axis=1)

    @cached_property
    def counted_before(self) -> np.ndarray:
        """(M + 1,) int64, number of frames of `alignable_other` before each frame of V."""
        return np.concatenate([[0], np.cumsum(self.alignable_other)])


def valid_alignment(time_dict: Mapping, other: Mapping) -> ValidAlignment:
    """True alignment of one video with another (alignment in the wild of GTCC, CVPR 2024, section 4).

    Frame k (from 0) of a segment of n frames corresponds to frame round(k (m - 1) / (n - 1)) of a segment of
    m frames, halves upwards; the frame of a segment of one frame corresponds to the middle.

    Args:
        time_dict: annotation of U, background labelled 'SIL'.
        other: annotation of V.

    Returns:
        The alignment; `alignable` is empty if the two videos share no action.
    """
    numbering: dict[str, int] = {}
    label, other_label = label_numbers(time_dict["step"], numbering), label_numbers(other["step"], numbering)
    length, other_length = segment_lengths(time_dict), segment_lengths(other)
    start, other_start = np.asarray(time_dict["start_frame"]), np.asarray(other["start_frame"])

    shared = np.isin(label, other_label) & (label >= 0)
    segment = FrameSegments(time_dict).segment
    alignable = np.flatnonzero(shared[segment])
    segment = segment[alignable]
    occurrence, valid = _occurrences(label, other_label)
    occurrence, valid = occurrence[segment], valid[segment]
    # Integer arithmetic, so that the rounding of halves doesn't depend on floating-point errors.
    within, steps = alignable - start[segment], length[segment] - 1
    within, steps = np.where(steps > 0, within, 1), np.where(steps > 0, steps, 2)
    offset = (2 * within[:, None] * (other_length[occurrence] - 1) + steps[:, None]) // (2 * steps[:, None])
    position = np.where(valid, other_start[occurrence] + offset, -1)

    shared_other = np.isin(other_label, label) & (other_label >= 0)
    return ValidAlignment(alignable, position, valid, shared_other[FrameSegments(other).segment])


def _occurrences(label: np.ndarray, other_label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each segment of U, the segments of V with the same label in order of time: (segments of U, S), and whether
    each of them exists."""
    same = (label[:, None] == other_label) & (label[:, None] >= 0)
    number = same.sum(axis=1, keepdims=True)
    most = max(1, int(number.max(initial=0)))
    return np.argsort(~same, axis=1, kind="stable")[:, :most], np.arange(most) < number
