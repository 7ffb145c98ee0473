"""Progress of one video over time: truth, prediction, clock, and which action happens when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from utils.data.segments import is_background
from utils.figures.action_bands import action_legend, draw_action_bands, video_action_styles
from utils.figures.palette import CLOCK, PREDICTION, TRUTH
from utils.figures.saving import save_figure

LEGEND_COLUMNS = 4


@dataclass(frozen=True)
class ProgressPanel:
    """One pair of axes.

    Attributes:
        title: what progress is meant.
        truth, prediction, clock: (T,) in [0, 1]; NaN leaves a gap.
        prediction_name: what made the prediction.
        restarts: frames at which the curves begin anew, without a line from the frame before.
    """

    title: str
    truth: np.ndarray
    prediction: np.ndarray
    clock: np.ndarray
    prediction_name: str = "predicted"
    restarts: Sequence[int] = ()


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
    save_figure(figure, path)


def _draw_panel(axes: Axes, panel: ProgressPanel, number_of_frames: int) -> None:
    error = float(np.nanmean(np.abs(panel.prediction - panel.truth)))
    clock_error = float(np.nanmean(np.abs(panel.clock - panel.truth)))
    restarts = np.asarray(panel.restarts, dtype=np.int64)
    frames = np.insert(np.arange(number_of_frames, dtype=np.float64), restarts, restarts - 0.5)
    truth, prediction, clock = (
        np.insert(np.asarray(values, dtype=np.float64), restarts, np.nan)
        for values in (panel.truth, panel.prediction, panel.clock)
    )
    shade = axes.fill_between(
        frames, truth, prediction, color=PREDICTION, alpha=0.18, linewidth=0, label="error of the prediction"
    )
    # In the order in which they lie over each other.
    dashes = {"color": CLOCK, "linestyle": (0, (5, 2)), "linewidth": 1.2}
    clock_line = _draw_curve(axes, frames, clock, label=f"clock (error {clock_error:.3f})", **dashes)
    truth_line = _draw_curve(axes, frames, truth, label="truth", color=TRUTH, linewidth=1.6)
    label = f"{panel.prediction_name} (error {error:.3f})"
    prediction_line = _draw_curve(axes, frames, prediction, label=label, color=PREDICTION, linewidth=1.8)
    axes.set(xlim=(-0.5, number_of_frames - 0.5), ylim=(-0.02, 1.02), ylabel="progress")
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.tick_params(labelbottom=False)
    axes.grid(alpha=0.25)
    # Outside, because a curve can be anywhere in a panel.
    axes.legend(
        handles=[truth_line, prediction_line, clock_line, shade],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        frameon=False,
        fontsize=8,
        borderaxespad=0.2,
    )


def _draw_curve(axes: Axes, frames: np.ndarray, values: np.ndarray, label: str, **style: Any) -> Line2D:
    """The curve, with a dot for every frame that has no neighbour to be joined to."""
    (line,) = axes.plot(frames, values, label=label, **style)
    missing = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    alone = ~missing[1:-1] & missing[:-2] & missing[2:]
    axes.plot(frames[alone], values[alone], linestyle="", marker="o", markersize=3, color=style["color"])
    return line
