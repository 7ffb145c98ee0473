"""Letters and colours on pictures: light on a dark panel, readable whatever the video shows."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

PANEL, INK, SOFT, EMPTY, FILL = "#14171a", "#ffffff", "#b9c0c8", "#3c434b", "#0072b2"


def text_size(width: int) -> int:
    """Pixels of the letters in a picture of this width."""
    return min(max(width // 26, 18), 34)


def shortened(text: str, size: int, room: float, bold: bool = False) -> str:
    """A text on one line, its middle left out if it is longer than `room` pixels."""
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))
    if length(text, size, bold) <= room:
        return text
    most = len(text)
    while most > 2:
        most -= max(1, most // 20)
        half = most // 2
        short = f"{text[: most - half].rstrip()}…{text[len(text) - half :].lstrip()}"
        if length(short, size, bold) <= room:
            return short
    return "…"


def write(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, colour: str, anchor: str = "ls",
    bold: bool = False, room: float = float("inf"),
) -> float:  # fmt: skip
    """Writes a text, shortened to `room` pixels, and returns its length in pixels."""
    text = shortened(text, size, room, bold)
    draw.text(place, text, fill=colour, font=_font(size, bold), anchor=anchor)
    return length(text, size, bold)


def length(text: str, size: int, bold: bool = False) -> float:
    return _font(size, bold).getlength(text)


@lru_cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along."""
    import matplotlib  # takes a moment, and only pictures need it

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
