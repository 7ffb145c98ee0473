"""How every figure looks: its settings, its width, and names made fit to be drawn."""

from __future__ import annotations

import re
import unicodedata

WIDTH = 9.0  # inches: shown 900 pixels wide, 9 points are 12.5 pixels
LONGEST_NAME = 60

# For `matplotlib.rc_context`, around all that a figure's texts are made by. A name may hold dollar signs, which mean
# mathematics to matplotlib.
STYLE = {
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "figure.titlesize": 11,
    "grid.alpha": 0.25,
}


def shown_name(name: str, longest: int = LONGEST_NAME) -> str:
    """A name as a picture can hold it: on one line, every character printable, its middle left out if it is long.

    An SVG file may hold no control character; half a surrogate pair, as a file's name may hold, is no character at
    all; and marks that turn the direction of writing would turn what stands beside the name too.
    """
    name = re.sub("[\u202a-\u202e\u2066-\u2069]", "", " ".join(name.split()))
    name = "".join("\ufffd" if unicodedata.category(each) in ("Cc", "Cs", "Cn") else each for each in name)
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
