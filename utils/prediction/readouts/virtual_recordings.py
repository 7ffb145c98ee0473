"""Recordings that could have been made: segments of training recordings in other orders and at other speeds.

A few dozen recordings show few of the ways in which an activity is done. Each virtual recording begins as a training
recording, may go on as another one from a moment before which the same actions have been done, replaces some segments
by others of the same label, and stretches each in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.prediction.readouts.recording import LabelledRecording

CROSSED = 0.5  # share of virtual recordings that go on as another
SWAPPED = 0.3  # share of segments that are replaced
SPEED_SPREAD = 0.15  # standard deviation of the logarithm of the speed of a recording,
SEGMENT_SPREAD = 0.2  # and of a segment in it
NEAREST = 3  # recordings to go on as


@dataclass(frozen=True)
class _Segment:
    label: str
    recording: int
    start: int  # in chunks
    end: int


@dataclass(frozen=True)
class VirtualRecording:
    """A virtual recording.

    Attributes:
        chunks: (n, 2) int64, which chunk of which training recording each of its chunks is.
        progress: (n,) its true progress in the middle of the time in which a chunk's answer stands.
    """

    chunks: np.ndarray
    progress: np.ndarray


class VirtualRecordings:
    """Draws virtual recordings.

    Args:
        recordings: training recordings.
        labels: of all their segments.
        actions: the labels in which progress rises.
        length: frames of a chunk.
        numbers: chunks of each recording.
    """

    def __init__(
        self,
        recordings: Sequence[LabelledRecording],
        labels: Sequence[str],
        actions: frozenset[str],
        length: int,
        numbers: Sequence[int],
    ):
        self._actions = actions
        self._plans: list[list[_Segment]] = []
        self._same_label: dict[str, list[_Segment]] = {}
        self._done: list[np.ndarray] = []  # by recording, actions done before each of its segments and at its end
        for index, (recording, number) in enumerate(zip(recordings, numbers, strict=True)):
            plan = [
                _Segment(label, index, round(start / length), min(number, round(end / length)))
                for label, start, end in recording.segments
            ]
            plan = [segment for segment in plan if segment.end > segment.start]
            for segment in plan:
                self._same_label.setdefault(segment.label, []).append(segment)
            one = [[segment.label == label and label in actions for label in labels] for segment in plan]
            self._done.append(np.cumsum([[0] * len(labels), *one], axis=0, dtype=np.float64))
            self._plans.append(plan)

    def draw(self, index: int, generator: np.random.Generator) -> VirtualRecording | None:
        """A virtual recording that begins as the training recording of this index; None if that has no segment as
        long as a chunk."""
        plan = self._plans[index]
        if not plan:
            return None
        if len(plan) > 2 and len(self._plans) > 1 and generator.random() < CROSSED:
            plan = self._crossed(index, generator)
        swapped = generator.random(len(plan)) < SWAPPED
        plan = [self._like(own, generator) if swap else own for own, swap in zip(plan, swapped, strict=True)]
        slowness = np.exp(generator.normal(0, SPEED_SPREAD))
        chunks, ends = [], [0]
        for segment in plan:
            number = segment.end - segment.start
            stretch = slowness * np.exp(generator.normal(0, SEGMENT_SPREAD))
            new = max(1, int(number * stretch + generator.random()))
            offsets = np.floor((np.arange(new) + generator.random()) * number / new).astype(np.int64)
            chunks.append(np.stack([np.full(new, segment.recording), segment.start + offsets], axis=1))
            ends.append(ends[-1] + new)
        return VirtualRecording(np.concatenate(chunks), self._progress(plan, ends))

    def _crossed(self, index: int, generator: np.random.Generator) -> list[_Segment]:
        plan = self._plans[index]
        cut = generator.integers(1, len(plan))
        done = self._done[index][cut]
        gaps = [np.abs(others - done).sum(axis=1) for others in self._done]
        order = sorted(
            (gap.min() + generator.random() / 2, other)
            for other, gap in enumerate(gaps)
            if other != index and self._plans[other]
        )
        if not order:
            return plan
        other = order[generator.integers(min(NEAREST, len(order)))][1]
        crossed = plan[:cut] + self._plans[other][int(gaps[other].argmin()) :]
        return crossed if any(segment.label in self._actions for segment in crossed) else plan

    def _like(self, segment: _Segment, generator: np.random.Generator) -> _Segment:
        same = self._same_label[segment.label]
        return same[generator.integers(len(same))]

    def _progress(self, plan: Sequence[_Segment], ends: Sequence[int]) -> np.ndarray:
        """Every action an equal share, linear inside it, at the end of each chunk; then half a chunk on."""
        counts = [segment.label in self._actions for segment in plan]
        level = np.concatenate([[0], np.cumsum(counts)]) / max(sum(counts), 1)
        at_end = np.interp(np.arange(1, ends[-1] + 1), ends, level)
        return np.append((at_end[1:] + at_end[:-1]) / 2, at_end[-1])
