"""Loss curves of a run: every term in training and validation, and the criteria of the best checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.figures.palette import CLOCK, PREDICTION, TRUTH
from utils.figures.saving import FigurePath, save_figure
from utils.figures.style import STYLE

Row = Mapping[str, float]

COLUMNS = 3
PANEL = (3.2, 2.5)  # inches
# The two colours of a pair of curves, the same in every figure; line and marker differ too.
STYLES = {
    "train": {"label": "training recordings", "color": PREDICTION, "linestyle": "-", "marker": "o"},
    "val_at_epoch": {
        "label": "validation recordings", "color": CLOCK, "linestyle": (0, (5, 2)), "marker": "s",
    },
}
CRITERION = {"color": TRUTH, "linestyle": (0, (5, 2, 1, 2)), "marker": "D", "label": "validation recordings"}
TERMS_TITLE = (
    "The training loss, the same function on training and validation recordings: with lambda and schedules of each\n"
    "epoch, so that a curve may rise with them. Training: mean over the steps of the epoch; validation: at its end."
)
CRITERIA_TITLE = (
    "What chooses the best checkpoints: one function at every epoch, with lambda and schedules of the last epoch.\n"
    "Its values do not compare with those above."
)


@rc_context(STYLE)
def plot_loss_curves(rows: Sequence[Row], path: FigurePath, criteria: Mapping[str, str]) -> None:
    """Draws every `train_<term>_loss` with `val_at_epoch_<term>_loss`, and the criteria in separate panels.

    The lowest value of a criterion is marked with a ring and written in the legend. Terms with equal curves, such as
    the alignment loss and its only loss, share a panel. A value that isn't finite leaves a gap.

    Args:
        rows: at least one mapping, one per epoch, with `epoch` counted from 0.
        path: where to write; see `save_figure`.
        criteria: name of a best checkpoint -> the loss `val_<loss>` whose minimum it keeps.
    """
    terms = [
        name.removeprefix("train_") for name in rows[-1] if name.startswith("train_") and name.endswith("_loss")
    ]
    names = {term: term.removesuffix("_loss").replace("_", " ") for term in terms}
    panels = {loss: f"{name} loss" for loss, name in _same_curves(rows, names, STYLES).items()}
    kinds = {loss: f"{kind} ({loss.removesuffix('_loss')} loss)" for kind, loss in criteria.items()}
    chosen = {
        loss: f"best {kind}"
        for loss, kind in _same_curves(rows, kinds, ["val"]).items() if any(f"val_{loss}" in row for row in rows)
    }
    sections = [section for section in ((TERMS_TITLE, panels), (CRITERIA_TITLE, chosen)) if section[1]]
    columns = min(COLUMNS, max((len(titles) for _, titles in sections), default=1))
    heights = [PANEL[1] * -(-len(titles) // columns) + 0.5 for _, titles in sections]
    # Wide enough for the titles, for any number of panels.
    figure = Figure(figsize=(PANEL[0] * COLUMNS, sum(heights) or PANEL[1]), layout="constrained")
    for number, (title, titles) in enumerate(sections):
        part = figure.add_subfigure(figure.add_gridspec(len(sections), 1, height_ratios=heights)[number])
        part.suptitle(title, fontsize=9, x=0.01, ha="left")
        for position, (loss, name) in enumerate(titles.items(), start=1):
            axes = part.add_subplot(-(-len(titles) // columns), columns, position)
            if titles is panels:
                for group, style in STYLES.items():
                    _draw_curve(axes, rows, f"{group}_{loss}", style)
            else:
                _draw_curve(axes, rows, f"val_{loss}", CRITERION)
                _ring_the_lowest(axes, rows, f"val_{loss}")
            axes.set_title(name)
            axes.legend(fontsize=8)
    save_figure(figure, path)


def _same_curves(rows: Sequence[Row], names: Mapping[str, str], groups: Iterable[str]) -> dict[str, str]:
    """The first of every set of terms with equal curves, and the names of the set."""
    panels: dict[tuple, list[str]] = {}
    for term in names:
        curves = tuple(repr(row.get(f"{group}_{term}")) for group in groups for row in rows)
        panels.setdefault(curves, []).append(term)
    return {terms[0]: " = ".join(names[term] for term in terms) for terms in panels.values()}


def _points(rows: Sequence[Row], column: str) -> list[tuple[int, float]]:
    """Epochs, from 1, and the values of a column; NaN for values that aren't finite."""
    values = [(row["epoch"] + 1, row[column]) for row in rows if column in row]
    return [(epoch, value if math.isfinite(value) else math.nan) for epoch, value in values]


def _draw_curve(axes: Axes, rows: Sequence[Row], column: str, style: Mapping) -> None:
    points = _points(rows, column)
    if points:
        axes.plot(*zip(*points, strict=True), markersize=3, **style)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(True)
    axes.margins(y=0.12)


def _ring_the_lowest(axes: Axes, rows: Sequence[Row], column: str) -> None:
    existing = [(value, epoch) for epoch, value in _points(rows, column) if not math.isnan(value)]
    if existing:
        lowest, epoch = min(existing)
        ring = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgecolor": CLOCK}
        label = f"lowest: {lowest:.4g}, epoch {epoch}"
        axes.plot(epoch, lowest, linestyle="", markeredgewidth=1.6, label=label, **ring)
