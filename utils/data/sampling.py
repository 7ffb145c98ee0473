"""Draws some frames of a long video for one epoch, and adapts the segments to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from utils.data.segments import fit_to_length


def sample_frames(
    time_dict: dict[str, Any], max_frames: int, generator: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    """Draws `max_frames` random frames of a video, evenly spread, and gives its segments over them.

    Each segment gets a number of frames in proportion to its length, at least one. A segment that gets n frames is
    divided into n equal parts, and one frame is drawn uniformly from each. So no segment is lost, and true progress,
    in which every action has an equal share, is that of the whole video. If there are more segments than frames to
    draw, the video is divided into `max_frames` equal parts instead, and segments without a drawn frame are left out.

    Source: the stratified sampling of Cochran, "Sampling Techniques" (1977), chapter 5, with proportional
    allocation.

    Args:
        time_dict: segments over T frames.
        max_frames: how many to draw, at least 1 and at most T.
        generator: source of the random choices.

    Returns:
        (max_frames,) int64, strictly increasing in 0 ... T - 1, and a new time_dict over them.
    """
    if len(time_dict["step"]) > max_frames:
        frames = _one_frame_of_each_stretch(
            np.array([0]), np.array([time_dict["end_frame"][-1] + 1]), np.array([max_frames]), generator
        )
        return frames, segments_at_frames(time_dict, frames)
    sampled = fit_to_length(time_dict, max_frames, "proportional")
    starts, lengths = _starts_and_lengths(time_dict)
    _, counts = _starts_and_lengths(sampled)
    return _one_frame_of_each_stretch(starts, lengths, counts, generator), sampled


def segments_at_frames(time_dict: dict[str, Any], frames: np.ndarray) -> dict[str, Any]:
    """The segments over some frames: frame i of the result has the label of frame `frames[i]`.

    Args:
        time_dict: segments over T frames.
        frames: (N,) strictly increasing frames, N >= 1.

    Returns:
        Segments over N frames; segments without any of the frames are left out.
    """
    segments = np.searchsorted(time_dict["end_frame"], frames)
    firsts = np.flatnonzero(np.diff(segments, prepend=-1))
    ends = np.append(firsts[1:], len(frames)) - 1
    steps = [time_dict["step"][segment] for segment in segments[firsts]]
    return {**time_dict, "step": steps, "start_frame": firsts.tolist(), "end_frame": ends.tolist()}


def _starts_and_lengths(time_dict: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.array(time_dict["start_frame"])
    return starts, np.array(time_dict["end_frame"]) - starts + 1


def _one_frame_of_each_stretch(
    starts: np.ndarray, lengths: np.ndarray, counts: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """`counts[i]` frames of the i-th segment, one from each of `counts[i]` parts, equal up to one frame."""
    segment = np.repeat(np.arange(len(counts)), counts)
    position = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    start, length, count = starts[segment], lengths[segment], counts[segment]
    first, stop = start + position * length // count, start + (position + 1) * length // count
    return generator.integers(first, stop)
