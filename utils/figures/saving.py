"""Writes a figure in its formats."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from utils.files import atomic_write

DOTS_PER_INCH = 120
# Colours of a PNG, which make the file less than half as large: the most frequent colours exactly, so that no action
# and no mark changes its colour, and some colours for the edges of lines and letters.
FREQUENT_COLOURS, OTHER_COLOURS = 96, 32
COLOURS_AT_ONCE = 4096

# Metadata that would be different in each file, such as the date.
METADATA = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
# Text stays text, so that it can be searched and edited; names in an SVG file depend only on its content.
TEXT_AS_TEXT = {"svg.fonttype": "none", "svg.hashsalt": "figure", "pdf.fonttype": 42}

# Where to write a figure: one file, or one in each of several formats.
FigurePath = str | Path | Sequence[str | Path]


def save_figure(figure: Figure, path: FigurePath) -> None:
    """Writes a figure, each file whole or not at all; the same figure gives the same bytes.

    A name may contain letters that no installed font has. They are drawn as boxes, without a warning for each: the
    file and the report contain the name as text.

    Args:
        figure: the figure to write.
        path: ends in .png, .svg or .pdf, which decides the format; several paths write the same figure to each.

    Raises:
        ValueError: another suffix; raised before anything is written.
    """
    paths = [Path(each) for each in ([path] if isinstance(path, (str, Path)) else path)]
    for each in paths:
        if each.suffix.lower() not in (".png", *METADATA):
            raise ValueError(f"{each}: expected a name that ends in .png, {' or '.join(METADATA)}")
    with warnings.catch_warnings(), rc_context(TEXT_AS_TEXT):
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        for each in paths:
            suffix = each.suffix.lower()
            with atomic_write(each) as temporary:
                if suffix == ".png":
                    _write_png(figure, temporary)
                else:
                    figure.savefig(temporary, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=METADATA[suffix])


def _write_png(figure: Figure, path: Path) -> None:
    with io.BytesIO() as drawing:
        figure.savefig(drawing, format="png", dpi=DOTS_PER_INCH, pil_kwargs={"compress_level": 1})
        with Image.open(drawing) as image:
            drawn = image.convert("RGB")
    codes, pixels, counts = np.unique(
        np.asarray(drawn, dtype=np.int64) @ (1 << 16, 1 << 8, 1), return_inverse=True, return_counts=True
    )
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    frequent = colours[np.argsort(-counts, kind="stable")[:FREQUENT_COLOURS]]
    others = np.array(drawn.quantize(OTHER_COLOURS).getpalette()[: 3 * OTHER_COLOURS]).reshape(-1, 3)
    palette = np.concatenate([frequent, others])
    # Not with Pillow's own search for the nearest colour: its steps are coarse, and the background would not be white.
    nearest = np.concatenate([
        np.square(block[:, None] - palette).sum(axis=2).argmin(axis=1)
        for block in np.array_split(colours, -(-len(colours) // COLOURS_AT_ONCE))
    ])
    few = Image.fromarray(nearest[pixels].reshape(drawn.height, drawn.width).astype(np.uint8))
    few.putpalette(palette.astype(np.uint8).tobytes())
    few.save(path, format="PNG", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
