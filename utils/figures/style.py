"""The style of all figures: settings, width, and how names are written."""

from __future__ import annotations

import re
import unicodedata

WIDTH = 9.0  # inches: shown 900 pixels wide, 9 points are 12.5 pixels
LONGEST_NAME = 60

# For `matplotlib.rc_context`, around everything that creates texts of a figure. A name may contain dollar signs, which
# matplotlib would read as mathematics.
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
    """A name for a figure: on one line, with printable characters only; of a long name the middle is left out.

    An SVG file must not contain control characters. Half a surrogate pair, possible in a file's name, is not a
    character. Marks for the direction of writing would also change the text beside the name.
    """
    name = re.sub("[\u202a-\u202e\u2066-\u2069]", "", " ".join(name.split()))
    name = "".join("\ufffd" if unicodedata.category(each) in ("Cc", "Cs", "Cn") else each for each in name)
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
