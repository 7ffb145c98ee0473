"""The predicted progress of one recording, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.figures.palette import PREDICTION
from utils.figures.saving import save_figure

LONGEST_TITLE = 60


def plot_prediction(path: Path, progress: np.ndarray, title: str) -> None:
    """The progress of one recording over its frames, as PNG."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    marker = "o" if len(progress) == 1 else None
    axes.plot(np.arange(len(progress)), progress, color=PREDICTION, linewidth=1.8, marker=marker)
    axes.set(xlim=(-0.5, len(progress) - 0.5), ylim=(-0.02, 1.02), xlabel="frame", ylabel="predicted progress")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(shortened(title), loc="left", parse_math=False)
    axes.set_title(f"{100 * progress[-1]:.0f} % at the last frame", loc="right", color=PREDICTION)
    axes.grid(alpha=0.25)
    save_figure(figure, path)


def shortened(name: str, longest: int = LONGEST_TITLE) -> str:
    """The name, with its middle left out if it is too long for a title."""
    name = name.encode("utf-8", "replace").decode()  # a file's may hold bytes that are no character
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
