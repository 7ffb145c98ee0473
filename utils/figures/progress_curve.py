"""Progress of one video over time: truth, prediction, clock, and which action happens when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from utils.figures.action_bands import action_legend, draw_action_bands, video_action_styles
from utils.figures.palette import CLOCK, PREDICTION, TRUTH
from utils.files import atomic_write
from utils.tensorops import is_background

LEGEND_COLUMNS = 4


@dataclass(frozen=True)
class ProgressPanel:
    """One pair of axes.

    Attributes:
        title: what progress is meant.
        truth, prediction, clock: (T,) in [0, 1]; NaN leaves a gap.
        prediction_name: what made the prediction.
    """

    title: str
    truth: np.ndarray
    prediction: np.ndarray
    clock: np.ndarray
    prediction_name: str = "predicted"


def plot_progress(path: Path, panels: Sequence[ProgressPanel], time_dict: Mapping, title: str) -> None:
    """Draw the panels above each other with the bands of the actions underneath, as PNG.

    Args:
        path: where to write.
        panels: at least one.
        time_dict: annotation of the video.
        title: names the video.
    """
    styles = video_action_styles([time_dict])
    entries = action_legend(styles, any(is_background(step) for step in time_dict["step"]))
    legend_height = 0.35 + 0.21 * -(-len(entries) // LEGEND_COLUMNS)
    heights = [*[2.6] * len(panels), 0.45]
    figure = Figure(figsize=(10, sum(heights) + legend_height + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(len(heights), 1, height_ratios=heights)
    for axes, panel in zip(all_axes, panels, strict=False):
        _draw_panel(axes, panel, len(panel.truth))
    bands = all_axes[-1]
    draw_action_bands(bands, time_dict, styles)
    bands.set_xlabel("frame")
    bands.set_ylabel("action", rotation=0, ha="right", va="center")
    figure.legend(
        handles=entries, loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, fontsize=8
    )
    figure.suptitle(title)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_panel(axes: Axes, panel: ProgressPanel, number_of_frames: int) -> None:
    frames = np.arange(number_of_frames)
    error = float(np.nanmean(np.abs(panel.prediction - panel.truth)))
    clock_error = float(np.nanmean(np.abs(panel.clock - panel.truth)))
    axes.fill_between(
        frames,
        panel.truth,
        panel.prediction,
        color=PREDICTION,
        alpha=0.18,
        linewidth=0,
        label="error of the prediction",
    )
    axes.plot(
        frames,
        panel.clock,
        color=CLOCK,
        linestyle=(0, (5, 2)),
        linewidth=1.2,
        label=f"clock (error {clock_error:.3f})",
    )
    axes.plot(frames, panel.truth, color=TRUTH, linewidth=1.6, label="truth")
    axes.plot(
        frames,
        panel.prediction,
        color=PREDICTION,
        linewidth=1.8,
        label=f"{panel.prediction_name} (error {error:.3f})",
    )
    axes.set(xlim=(-0.5, number_of_frames - 0.5), ylim=(-0.02, 1.02), ylabel="progress")
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.tick_params(labelbottom=False)
    axes.grid(alpha=0.25)
    # Outside, because a curve can be anywhere in a panel.
    handles, labels = axes.get_legend_handles_labels()
    order = [2, 3, 1, 0]
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        frameon=False,
        fontsize=8,
        borderaxespad=0.2,
    )
