"""Colours for all figures, distinguishable with any colour vision (Okabe and Ito, 2008).

Curves and marks of a figure never differ in colour alone, but also in line, marker, width or a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TRUTH = "#000000"
PREDICTION = "#0072B2"
CLOCK = "#D55E00"
OTHER = "#009E73"
RIGHT = "#0072B2"
WRONG = "#D55E00"
NEITHER = "#777777"
OUT_OF_RANGE = "#D55E00"
BACKGROUND = "#E6E6E6"

_ACTION_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
_HATCHES = ("", "////", "....", "xxxx", "----")


@dataclass(frozen=True)
class ActionStyle:
    """The style of an action: its number, and a fill."""

    number: int
    colour: str
    hatch: str


def action_styles(labels: Iterable[str]) -> dict[str, ActionStyle]:
    """A style for every different label, in order of first appearance.

    Only seven colours can be distinguished, so further actions use them again with a hatching. The number is always
    different.
    """
    return {
        label: ActionStyle(
            i + 1,
            _ACTION_COLOURS[i % len(_ACTION_COLOURS)],
            _HATCHES[i // len(_ACTION_COLOURS) % len(_HATCHES)],
        )
        for i, label in enumerate(dict.fromkeys(labels))
    }
