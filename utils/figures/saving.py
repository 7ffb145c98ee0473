"""Writing a figure: the one place that knows the formats."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from utils.files import atomic_write

DOTS_PER_INCH = 120
# Colours of a PNG, which has fewer than half the bytes then: the most frequent ones as they are, so that no action and
# no mark changes its colour, and some more for what lies between them at the edges of lines and letters.
FREQUENT_COLOURS, OTHER_COLOURS, CANDIDATES = 96, 32, 1000
LEAST_DIFFERENCE = 8  # Pillow looks for the nearest colour in steps of 4, and would take one of two that are nearer

# What a format would write that differs from one time to the next.
METADATA = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
# Text stays text, to be searched and edited, and the names of an SVG file's parts are made from what they are.
TEXT_AS_TEXT = {"svg.fonttype": "none", "svg.hashsalt": "figure", "pdf.fonttype": 42}

# Where to write a figure: one file, or one in each of several formats.
FigurePath = str | Path | Sequence[str | Path]


def save_figure(figure: Figure, path: FigurePath) -> None:
    """Writes a figure, each file whole or not at all; the same figure gives the same bytes.

    A name may hold letters that no installed font has. Those are drawn as boxes, without a warning each: the file
    and the report hold the name as text.

    Args:
        figure: what to write.
        path: ends in .png, .svg or .pdf, which decides the format; several paths write the same figure to each.

    Raises:
        ValueError: another suffix; before anything is written.
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
    palette = Image.new("P", (1, 1))
    palette.putpalette(list(chain.from_iterable(_palette(drawn))))
    few = drawn.quantize(palette=palette, dither=Image.Dither.NONE)
    few.save(path, format="PNG", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))


def _palette(image: Image.Image) -> list[tuple[int, ...]]:
    counts = image.getcolors(image.width * image.height)
    frequent = [colour for _, colour in sorted(counts, key=lambda each: (-each[0], each[1]))[:CANDIDATES]]
    values = image.quantize(OTHER_COLOURS).getpalette()[: 3 * OTHER_COLOURS]
    others = list(zip(values[::3], values[1::3], values[2::3], strict=True))
    palette: list[tuple[int, ...]] = []
    for candidates, most in ((frequent, FREQUENT_COLOURS), (others, FREQUENT_COLOURS + OTHER_COLOURS)):
        for colour in candidates:
            if len(palette) < most and all(_apart(colour, chosen) for chosen in palette):
                palette.append(colour)
    return palette


def _apart(colour: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(colour, other, strict=True)) >= LEAST_DIFFERENCE
