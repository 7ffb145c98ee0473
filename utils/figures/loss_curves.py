"""Loss curves of a run: one panel a loss term, training and validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.figures.palette import CLOCK, PREDICTION
from utils.figures.saving import save_figure

# The pair of colours that every figure here uses for two curves; line and marker differ as well.
STYLES = {
    "train": {"label": "training", "color": PREDICTION, "linestyle": "-", "marker": "o"},
    "val": {"label": "validation", "color": CLOCK, "linestyle": (0, (5, 2)), "marker": "s"},
}
COLUMNS = 3


def plot_loss_curves(rows: Sequence[Mapping[str, float]], path: str | Path) -> None:
    """Draws every `train_<term>_loss` and `val_<term>_loss` over the epochs, as PNG.

    The lowest validation loss of each term is ringed and said. Terms whose curves are all the same, such as
    the alignment loss and its only loss, share a panel. A value that isn't finite leaves a gap.

    Args:
        rows: at least one mapping, one an epoch, with `epoch` counted from 0.
        path: the picture to write.
    """
    panels: dict[tuple, list[str]] = {}
    for name in rows[-1]:
        if name.startswith("train_") and name.endswith("_loss"):
            term = name.removeprefix("train_")
            curves = tuple(repr(row.get(f"{group}_{term}")) for group in STYLES for row in rows)
            panels.setdefault(curves, []).append(term)
    columns = min(COLUMNS, max(1, len(panels)))
    lines = max(1, -(-len(panels) // columns))
    figure = Figure(figsize=(4.2 * columns, 3.2 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for position, terms in enumerate(panels.values(), start=1):
        axes = figure.add_subplot(lines, columns, position)
        _draw_curves(axes, rows, terms[0])
        names = [term.removesuffix("_loss").replace("_", " ") for term in terms]
        axes.set_title(f"{' = '.join(names)} loss", fontsize=11)
    save_figure(figure, path)


def _draw_curves(axes: Axes, rows: Sequence[Mapping[str, float]], term: str) -> None:
    for group, style in STYLES.items():
        points = [(row["epoch"] + 1, row[f"{group}_{term}"]) for row in rows if f"{group}_{term}" in row]
        if not points:
            continue
        finite = [(epoch, value if math.isfinite(value) else math.nan) for epoch, value in points]
        axes.plot(*zip(*finite, strict=True), markersize=3, **style)
        existing = [(value, epoch) for epoch, value in finite if not math.isnan(value)]
        if group == "val" and existing:
            lowest, epoch = min(existing)
            axes.plot(
                epoch,
                lowest,
                linestyle="",
                marker="o",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor="black",
                label=f"lowest: {lowest:.4g}, epoch {epoch}",
            )
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(alpha=0.25)
    axes.margins(y=0.1)
    axes.legend(frameon=False, fontsize=8)
