"""The one error that names every problem of a data set at once."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Sequence

PROBLEMS_SHOWN = 20
LONGEST_NAME_COMPARED = 200
MOST_NAMES_COMPARED = 5000
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


class DataError(ValueError):
    """A data set that cannot be used, with all its problems gathered.

    The message lists the first twenty problems, one a line, and says how many there are in all;
    `problems` holds every one of them.

    Args:
        problems: one sentence a problem, each naming the file and, where there is one, the task, the
            video and the segment, and saying what was expected. A single string is one problem.
    """

    def __init__(self, problems: Sequence[str] | str):
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        count = len(self.problems)
        shown = self.problems[:PROBLEMS_SHOWN]
        if count == 1:
            message = shown[0]
        else:
            first = f", the first {len(shown)} of them" if count > len(shown) else ""
            message = "\n  - ".join([f"{count} problems in the data{first}:", *shown])
        super().__init__(message)

    def __reduce__(self):
        # Exceptions are rebuilt from their message by default, which would lose the list when a data
        # loader's worker hands the error to the main process.
        return type(self), (self.problems,)


def place(file: object, task: str | None = None, video: str | None = None, segment: int | None = None) -> str:
    """Where a problem is, as the beginning of its sentence: file, task, video, segment (from 0)."""
    parts = [] if task is None else [f"task {task!r}"]
    if video is not None:
        parts.append(f"video {video!r}")
    if segment is not None:
        parts.append(f"segment {segment}")
    return f"{file}: {', '.join(parts)}: " if parts else f"{file}: "


def shown(value: object) -> str:
    """What a file or a setting holds, for a message: its `repr`, cut short however long or deep it is."""
    return _SHORT.repr(value)


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its type where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def nearest_name(name: object, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, or None where none is much like it.

    Comparing takes time that grows with the square of the lengths, so very long names, and more than some
    thousands of them, are not compared.
    """
    known = list(known)
    if not isinstance(name, str) or len(name) > LONGEST_NAME_COMPARED or len(known) > MOST_NAMES_COMPARED:
        return None
    candidates = [candidate for candidate in known if len(candidate) <= LONGEST_NAME_COMPARED]
    matches = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return matches[0] if matches else None
