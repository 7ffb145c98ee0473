"""Progress of one video over time: truth, prediction, clock, and which action happens when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from utils.data.segments import is_background
from utils.figures.action_bands import (
    action_legend,
    add_action_legend,
    draw_action_bands,
    legend_height,
    video_action_styles,
)
from utils.figures.palette import CLOCK, OTHER, PREDICTION, TRUTH
from utils.figures.saving import FigurePath, save_figure
from utils.figures.style import STYLE, WIDTH, shown_name
from utils.figures.time_axis import label_time_axis

PANEL_HEIGHT = 2.4
LONGEST_CURVE_NAME = 22


@dataclass(frozen=True)
class ProgressPanel:
    """One pair of axes.

    Attributes:
        title: the kind of progress, and what is given to the estimators: 'inside each action, online; start and label
            of the action are given'.
        truth, prediction, clock: (T,) in [0, 1]; NaN leaves a gap.
        prediction_name: what made the prediction.
        restarts: frames at which the curves begin again, without a line from the frame before.
        other: (T,) a second estimate for comparison, such as that of the raw features.
        other_name: what made the second estimate.
        band: (T,) each, lower and upper end of an interval around the prediction; drawn instead of its error.
        band_name: what the interval is, such as '80 % interval'.
    """

    title: str
    truth: np.ndarray
    prediction: np.ndarray
    clock: np.ndarray
    prediction_name: str = "predicted"
    restarts: Sequence[int] = ()
    other: np.ndarray | None = None
    other_name: str = "raw features"
    band: tuple[np.ndarray, np.ndarray] | None = None
    band_name: str = "interval"


@rc_context(STYLE)
def plot_progress(
    path: FigurePath,
    panels: Sequence[ProgressPanel],
    time_dict: Mapping,
    title: str,
    frames_per_second: float | None = None,
) -> None:
    """Draw the panels above each other, with the bands of the actions below them.

    Args:
        path: where to write; see `save_figure`.
        panels: at least one.
        time_dict: annotation of the video.
        title: names the video.
        frames_per_second: frame rate of the panels; if given, the time axis is in seconds instead of frames.
    """
    styles = video_action_styles([time_dict])
    entries = action_legend(styles, any(is_background(step) for step in time_dict["step"]))
    heights = [*[PANEL_HEIGHT] * len(panels), 0.4]
    height = sum(heights) + 0.3 * len(panels) + legend_height(entries) + 0.8
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    all_axes = figure.subplots(len(heights), 1, height_ratios=heights)
    for axes, panel in zip(all_axes, panels, strict=False):
        _draw_panel(axes, panel, len(panel.truth))
    bands = all_axes[-1]
    draw_action_bands(bands, time_dict, styles)
    bands.set_ylabel("action", rotation=0, ha="right", va="center")
    for axes in all_axes:
        label_time_axis(axes, len(panels[0].truth), frames_per_second)
    for axes in all_axes[:-1]:
        axes.tick_params(labelbottom=False)
        axes.set_xlabel("")
    add_action_legend(figure, entries)
    figure.suptitle(shown_name(title, 90))
    save_figure(figure, path)


def _draw_panel(axes: Axes, panel: ProgressPanel, number_of_frames: int) -> None:
    restarts = np.asarray(panel.restarts, dtype=np.int64)
    frames = np.insert(np.arange(number_of_frames, dtype=np.float64), restarts, restarts - 0.5)

    def with_gaps(values: np.ndarray) -> np.ndarray:
        return np.insert(np.asarray(values, dtype=np.float64), restarts, np.nan)

    def named(name: str, values: np.ndarray) -> str:
        error = float(np.nanmean(np.abs(values - panel.truth)))
        return f"{shown_name(name, LONGEST_CURVE_NAME)} (error {error:.3f})"

    # In drawing order.
    if panel.band is not None:
        shade = axes.fill_between(
            frames, *map(with_gaps, panel.band), color=PREDICTION, alpha=0.22, linewidth=0,
            label=shown_name(panel.band_name, LONGEST_CURVE_NAME),
        )
    else:
        shade = axes.fill_between(
            frames, with_gaps(panel.truth), with_gaps(panel.prediction),
            color=PREDICTION, alpha=0.16, linewidth=0, label="error of the prediction",
        )
    clock = _draw_curve(
        axes, frames, with_gaps(panel.clock), label=named("clock", panel.clock),
        color=CLOCK, linestyle=(0, (5, 2)), linewidth=1.2,
    )
    others = []
    if panel.other is not None:
        others.append(_draw_curve(
            axes, frames, with_gaps(panel.other), label=named(panel.other_name, panel.other),
            color=OTHER, linestyle=(0, (1, 1.2)), linewidth=1.6,
        ))
    truth = _draw_curve(axes, frames, with_gaps(panel.truth), label="truth", color=TRUTH, linewidth=1.6)
    prediction = _draw_curve(
        axes, frames, with_gaps(panel.prediction), label=named(panel.prediction_name, panel.prediction),
        color=PREDICTION, linewidth=2.2,
    )
    axes.set(ylim=(-0.02, 1.02), ylabel="progress")
    # A blank title reserves the space for title and legend. In an automatic layout, a long name would take the width
    # from the axes.
    axes.set_title(" ", pad=20)
    axes.set_title(shown_name(panel.title, 100), loc="left", pad=20).set_in_layout(False)
    axes.grid(True)
    # Outside, because a curve can be anywhere in a panel.
    axes.legend(
        handles=[truth, prediction, *others, clock, shade], loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=5,
        fontsize=8, borderaxespad=0.1, borderpad=0.2, columnspacing=1.2, handlelength=2.2,
    ).set_in_layout(False)


def _draw_curve(axes: Axes, frames: np.ndarray, values: np.ndarray, label: str, **style: Any) -> Line2D:
    """Draws the curve, with a dot for every frame that has no neighbour to connect to."""
    (line,) = axes.plot(frames, values, label=label, **style)
    missing = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    alone = ~missing[1:-1] & missing[:-2] & missing[2:]
    axes.plot(frames[alone], values[alone], linestyle="", marker="o", markersize=3, color=style["color"])
    return line
