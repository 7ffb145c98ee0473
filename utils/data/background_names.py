"""Labels that probably mean background, by their name."""

from __future__ import annotations

import re

# Names of "no action" in programs and data sets, in lower case, without spaces and punctuation.
BACKGROUND_LIKE = frozenset((
    "bg", "bkg", "background", "none", "null", "nil", "na", "nan", "sil", "silence", "idle", "noaction", "nolabel",
    "nothing", "unlabeled", "unlabelled", "unannotated", "other", "others", "ignore", "void", "rest", "transition",
    "actionstart", "actionend", "",
))  # fmt: skip


def looks_like_background(label: str) -> bool:
    """Whether a label is a usual name of background, however it is written: 'BG', 'Background', 'no_action'."""
    return re.sub(r"[\W_]+", "", label).lower() in BACKGROUND_LIKE
