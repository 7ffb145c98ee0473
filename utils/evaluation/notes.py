"""What a reader must know of a figure, as data."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class NoteKind(str, Enum):
    """What a note is about."""

    KNOWS_THE_END = "knows the end"
    NOT_CAUSAL = "not causal"
    LONE_TEST_VIDEO = "lone test video"
    LEFT_OUT = "left out"
    NO_INTERVAL = "no interval"
    NO_FIGURE = "no figure"
    INTERVAL_OVER_TASKS = "interval over tasks"
    WITHOUT_TASKS = "without tasks"
    IN_ONE_EVALUATION = "in one evaluation only"
    OVER_SEEDS = "over seeds"
    NO_LABELS = "no labels"
    RAW_ARE_MAPS = "raw features are maps"
    OTHER = "other"


class Note(NamedTuple):
    """One note: what it is about, and what it says."""

    kind: NoteKind
    text: str


KNOWS_THE_END = Note(NoteKind.KNOWS_THE_END, "knows the end")

ASSUMED_PROGRESS = Note(
    NoteKind.NO_LABELS, "no labels: true progress is assumed to be the share of a recording's frames so far"
)

VALIDATION_CHOSE = (
    "Validation split: these videos chose the best checkpoints, so that their figures flatter the trained network; "
    "what to expect of others is told by the test split."
)
OWN_TASKS_UNKNOWN = "The checkpoint doesn't say which tasks it was trained on, so they couldn't be checked."


def joined(notes: tuple[Note, ...]) -> str:
    """All that the notes say, as it stands in a table."""
    return "; ".join(note.text for note in notes)


def read_joined(text: str) -> tuple[Note, ...]:
    """The notes of a file that holds their text alone, as those of earlier versions do."""
    parts = text.split("; ") if text else []
    return tuple(KNOWS_THE_END if part == KNOWS_THE_END.text else Note(NoteKind.OTHER, part) for part in parts)
