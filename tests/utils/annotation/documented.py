"""The commands of docs/importing.md and what they print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from utils.annotation import exporter, importer
from utils.errors import ProjectError

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "importing.md"
PROGRAMS = {"utils.annotation.importer": importer.main, "utils.annotation.exporter": exporter.main}


def console_blocks(text: str) -> list[str]:
    """The blocks of commands and answers, in the order of the page."""
    return re.findall(r"```console\n(.*?)```", text, re.DOTALL)


def commands_of(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, and what stands below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, answer = part.partition("\n")
        yield command, answer


def answer_of(command: str, capture) -> str:
    """What a command prints, run in the current folder; an error as it is logged, without its time.

    Args:
        command: as the page has it.
        capture: gives and forgets what was printed.
    """
    python, flag, module, *arguments = shlex.split(command)
    assert (python, flag) == ("python", "-m")
    try:
        PROGRAMS[module](arguments)
    except ProjectError as error:
        return f"error: {error}\n"
    return capture()
