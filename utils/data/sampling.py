"""Some frames of a long video for one epoch, and the segments as seen on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from utils.data.segments import fit_to_length


def sample_frames(
    time_dict: dict[str, Any], max_frames: int, generator: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    """A random `max_frames` of a video's frames, evenly spread, and its segments over them.

    The frames are shared out over the segments in proportion to their lengths, at least one for each; inside
    a segment that gets n, one frame is drawn uniformly from each of n equal stretches. No segment is lost
    that way, so that the truth of progress, where every action has an equal share, stays that of the whole
    video. Where there are more segments than frames to draw, the video is cut into `max_frames` equal
    stretches whatever the segments, and those segments without a frame are not seen.

    Source: the stratified sampling of Cochran, "Sampling Techniques" (1977), chapter 5, with proportional
    allocation.

    Args:
        time_dict: segments over T frames.
        max_frames: how many to draw, at least 1 and at most T.
        generator: where the randomness comes from.

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
    """The segments as seen on some frames: frame i of the result carries the label of frame `frames[i]`.

    Args:
        time_dict: segments over T frames.
        frames: (N,) strictly increasing frames, N >= 1.

    Returns:
        Segments over N frames; those that hold none of the frames are not among them.
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
    """`counts[i]` frames of the i-th segment, one of each of as many stretches, equal to within a frame."""
    segment = np.repeat(np.arange(len(counts)), counts)
    position = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    start, length, count = starts[segment], lengths[segment], counts[segment]
    first, stop = start + position * length // count, start + (position + 1) * length // count
    return generator.integers(first, stop)
