"""What a reader must know of a figure, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class NoteKind(Enum):
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
    OTHER = "other"


@dataclass(frozen=True)
class Note:
    """One note.

    Attributes:
        kind: what it is about.
        text: what it says.
    """

    kind: NoteKind
    text: str

    def as_description(self) -> dict[str, str]:
        """Plain values for `metrics.json`."""
        return {"kind": self.kind.value, "text": self.text}

    @classmethod
    def read(cls, description: dict[str, str]) -> Note:
        """The note of plain values.

        Raises:
            KeyError, ValueError: they are not those of a note.
        """
        return cls(NoteKind(description["kind"]), description["text"])


KNOWS_THE_END = Note(NoteKind.KNOWS_THE_END, "knows the end")


def joined(notes: tuple[Note, ...]) -> str:
    """All that the notes say, as it stands in a table."""
    return "; ".join(note.text for note in notes)


def read_joined(text: str) -> tuple[Note, ...]:
    """The notes of a file that holds their text alone, as those of earlier versions do."""
    parts = text.split("; ") if text else []
    return tuple(KNOWS_THE_END if part == KNOWS_THE_END.text else Note(NoteKind.OTHER, part) for part in parts)
