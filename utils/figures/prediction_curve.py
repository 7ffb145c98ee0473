"""Figure of the predicted progress of one recording."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from utils.figures.palette import OUT_OF_RANGE, PREDICTION
from utils.figures.saving import FigurePath, save_figure
from utils.figures.style import STYLE, WIDTH, shown_name
from utils.figures.time_axis import label_time_axis


@rc_context(STYLE)
def plot_prediction(
    path: FigurePath,
    progress: np.ndarray,
    title: str,
    frames_per_second: float | None = None,
    band: tuple[np.ndarray, np.ndarray] | None = None,
    band_name: str = "interval",
    out_of_range: np.ndarray | None = None,
) -> None:
    """Draws the progress of one recording over its frames, or over seconds if the frame rate is known.

    Args:
        path: where to write; see `save_figure`.
        progress: (T,) in [0, 1], T >= 1.
        title: names the recording.
        frames_per_second: frame rate of `progress`; None draws frames.
        band: (T,) each, lower and upper end of an interval around the progress; NaN leaves a gap.
        band_name: what the interval is, such as '80 % interval'.
        out_of_range: (T,) bool, frames whose progress should not be believed; they are marked.
    """
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    frames = np.arange(len(progress))
    marker = "o" if len(progress) == 1 else None
    if band is not None:
        axes.fill_between(frames, *band, color=PREDICTION, alpha=0.22, linewidth=0, label=shown_name(band_name))
    if out_of_range is not None and out_of_range.any():
        axes.fill_between(
            frames, 0, 1, where=out_of_range, step="mid", color=OUT_OF_RANGE, alpha=0.18, linewidth=0,
            transform=axes.get_xaxis_transform(), label="out of range",
        )  # fmt: skip
    axes.plot(frames, progress, color=PREDICTION, linewidth=1.8, marker=marker, label="predicted")
    axes.set(ylim=(-0.02, 1.02), ylabel="predicted progress")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    label_time_axis(axes, len(progress), frames_per_second)
    axes.set_title(shown_name(title), loc="left")
    axes.set_title(f"{100 * progress[-1]:.0f} % at the last frame", loc="right", color=PREDICTION)
    axes.grid(True)
    if band is not None or (out_of_range is not None and out_of_range.any()):
        axes.legend(loc="upper left")
    save_figure(figure, path)
