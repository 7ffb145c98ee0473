"""Writing a figure."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from utils.files import atomic_write

DOTS_PER_INCH = 120


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure as PNG, whole or not at all.

    A name may hold letters that no installed font has. Those are drawn as boxes, without a warning each: the file
    and the report hold the name as text.
    """
    with atomic_write(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(temporary, dpi=DOTS_PER_INCH)
