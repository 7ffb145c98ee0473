"""Loss curves of a run: one panel a loss term, training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from utils.files import atomic_write

# From the Okabe-Ito palette, told apart by every common kind of colour vision.
TRAINING, VALIDATION = "#0072B2", "#D55E00"


def plot_loss_curves(rows: Sequence[Mapping[str, float]], path: str | Path) -> None:
    """Draws every `train_<term>_loss` and `val_<term>_loss` over the epochs.

    Args:
        rows: one mapping an epoch, with `epoch` counted from 0.
        path: the picture to write.
    """
    terms = [
        name.removeprefix("train_") for name in rows[-1]
        if name.startswith("train_") and name.endswith("_loss")
    ]
    columns = min(3, max(1, len(terms)))
    lines = -(-len(terms) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.0 * max(lines, 1)), layout="constrained")
    for position, term in enumerate(terms, start=1):
        axes = figure.add_subplot(lines, columns, position)
        for group, colour, marker in (("train", TRAINING, "o"), ("val", VALIDATION, "s")):
            points = [(row["epoch"] + 1, row[f"{group}_{term}"]) for row in rows if f"{group}_{term}" in row]
            if points:
                label = "training" if group == "train" else "validation"
                axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=3, label=label)
        axes.set_title(term.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)
