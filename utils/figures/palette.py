"""Colours for all figures, told apart by people with any colour vision (Okabe and Ito, 2008).

No two curves or marks of a figure differ in colour alone: line, marker, width or a number tell them apart in print.
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
BACKGROUND = "#E6E6E6"

_ACTION_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
_HATCHES = ("", "////", "....", "xxxx", "----")


@dataclass(frozen=True)
class ActionStyle:
    """How an action is drawn: the number that stands for it, and a fill that no other action shares."""

    number: int
    colour: str
    hatch: str


def action_styles(labels: Iterable[str]) -> dict[str, ActionStyle]:
    """A style for every different label, in order of first appearance.

    Seven colours are as many as can be told apart, so further actions repeat them with a hatching; the number
    tells them apart in any case.
    """
    return {
        label: ActionStyle(
            i + 1,
            _ACTION_COLOURS[i % len(_ACTION_COLOURS)],
            _HATCHES[i // len(_ACTION_COLOURS) % len(_HATCHES)],
        )
        for i, label in enumerate(dict.fromkeys(labels))
    }
