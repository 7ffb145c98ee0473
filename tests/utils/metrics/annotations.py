"""Annotations for the tests of metrics."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np


def annotation(*segments: tuple[str, int]) -> dict:
    """A time_dict from (label, number of frames) pairs."""
    lengths = np.array([length for _, length in segments])
    ends = np.cumsum(lengths) - 1
    return {
        "step": [label for label, _ in segments],
        "start_frame": (ends - lengths + 1).tolist(),
        "end_frame": ends.tolist(),
        "name": "video",
    }


def random_annotation(
    rng: np.random.Generator, labels: str = "abcd", segments: int = 8, longest: int = 6
) -> dict:
    """Random segments: repeats, background, segments of one frame."""
    names = [*labels, "SIL"]
    return annotation(
        *((names[rng.integers(len(names))], int(rng.integers(1, longest + 1))) for _ in range(segments))
    )


def frame_labels(time_dict: dict) -> list[str]:
    """The label of every frame, by a loop."""
    labels = []
    for step, start, end in zip(
        time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True
    ):
        labels += [step] * (end - start + 1)
    return labels


def valid_frames(time_dict: dict, other: dict, frame: int) -> list[int]:
    """Valid aligned frames of one frame, in exact fractions and by loops."""

    segments = zip(time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True)
    step, start, end = next(segment for segment in segments if segment[1] <= frame <= segment[2])
    position = Fraction(frame - start, end - start) if end > start else Fraction(1, 2)
    if step == "SIL":
        return []
    return [
        begin + floor(position * (stop - begin) + Fraction(1, 2))
        for label, begin, stop in zip(other["step"], other["start_frame"], other["end_frame"], strict=True)
        if label == step
    ]
