"""The horizontal axis of a recording: frames, or seconds if the frame rate is known."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

MOST_TICKS = 9
MINUTES_FROM = 120.0  # seconds; longer recordings have an axis in minutes
_STEPS = (0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def label_time_axis(axes: Axes, number_of_frames: int, frames_per_second: float | None = None) -> None:
    """Sets the limits, ticks and label of an axis whose coordinates are frames, frame 0 at second 0.

    Args:
        axes: the axes whose horizontal axis is set.
        number_of_frames: frames of the recording, at least 1.
        frames_per_second: frame rate of the drawn frames; None: the axis is in frames.

    Raises:
        ValueError: the rate isn't a finite number above 0.
    """
    axes.set_xlim(-0.5, number_of_frames - 0.5)
    if frames_per_second is None:
        axes.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, integer=True))
        axes.set_xlabel("frame")
        return
    if not 0 < frames_per_second < math.inf:
        raise ValueError(f"frames_per_second is {frames_per_second}; expected a finite number > 0")
    duration = (number_of_frames - 1) / frames_per_second
    fitting = (step for step in _STEPS if duration / step <= MOST_TICKS)
    step = next(fitting, 3600 * math.ceil(duration / MOST_TICKS / 3600))
    seconds = step * np.arange(math.floor(duration / step + 1e-9) + 1)
    if duration >= MINUTES_FROM:
        labels, label = [f"{s // 60:.0f}:{s % 60:02.0f}" for s in seconds], "time (minutes:seconds)"
    else:
        labels, label = [f"{s:g}" for s in seconds], "time (seconds)"
    axes.set_xticks(seconds * frames_per_second, labels)
    axes.set_xlabel(label)
