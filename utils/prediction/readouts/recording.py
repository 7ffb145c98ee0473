"""A recording with its annotation, as the read-outs that are fitted to several of them need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from utils.data.frame_segments import is_action
from utils.tensorops import get_trueprogress


@dataclass(frozen=True)
class LabelledRecording:
    """Frames of a recording and what was done in them.

    Attributes:
        name: of the recording.
        frames: (T, D) real numbers, features or an embedding.
        time_dict: its segments, which cover frames 0 to T - 1: 'step', 'start_frame', 'end_frame' (inclusive).
        group: recordings of one group (of one person, say) are never divided between fitting and testing.
    """

    name: str
    frames: np.ndarray
    time_dict: Mapping[str, Any]
    group: str = ""

    def __post_init__(self) -> None:
        if len(self.frames) != self.time_dict["end_frame"][-1] + 1:
            raise ValueError(
                f"recording {self.name!r} has {len(self.frames)} frames, "
                f"its segments {self.time_dict['end_frame'][-1] + 1}"
            )

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def progress(self) -> np.ndarray:
        """True progress, (T,) float64 in [0, 1]."""
        return get_trueprogress(self.time_dict).double().numpy()

    @cached_property
    def segments(self) -> list[tuple[str, int, int]]:
        """(label, first frame, frame after the last), in order."""
        ends = (end + 1 for end in self.time_dict["end_frame"])
        return list(zip(self.time_dict["step"], self.time_dict["start_frame"], ends, strict=True))

    @cached_property
    def counts(self) -> np.ndarray:
        """Which segments are actions, in which progress rises: (segments,) bool."""
        return is_action(self.time_dict)

    def labels_of_frames(self, labels: Sequence[str]) -> np.ndarray:
        """The index of each frame's label, (T,) int64; -1 where `labels` lacks it."""
        number = {label: index for index, label in enumerate(labels)}
        found = [number.get(label, -1) for label, _, _ in self.segments]
        return np.repeat(found, [end - start for _, start, end in self.segments])


def labels_of(recordings: Sequence[LabelledRecording]) -> tuple[str, ...]:
    """All labels of the recordings, sorted."""
    return tuple(sorted({label for recording in recordings for label, _, _ in recording.segments}))


def action_labels(recordings: Sequence[LabelledRecording]) -> frozenset[str]:
    """The labels in which progress rises."""
    return frozenset(
        label
        for recording in recordings
        for (label, _, _), counts in zip(recording.segments, recording.counts, strict=True)
        if counts
    )
