"""What all commands share: how they end, how they read a rate, and the tables that they print.

A user error ends a command with one line, a signal with exit code 128 + the signal's number.
"""

from __future__ import annotations

import argparse
import errno
import io
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from utils.errors import BAD_INPUT, FAILED, Interrupted, ProjectError, first_line

logger = logging.getLogger(__name__)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# Errors of the file system in words that say what is wrong with the path.
REASONS = {
    errno.ENOENT: "no such file or folder",
    errno.EEXIST: "there is a file of that name",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "is a folder; expected a file",
    errno.EACCES: "no permission",
    errno.EPERM: "not permitted",
    errno.EROFS: "the file system can only be read",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "a link that leads to itself",
}
# Those that another folder to write to avoids.
WRITING = (errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)


def _beyond_the_program(error: MemoryError | RuntimeError) -> str | None:
    """Describes an error of the machine, such as too little memory; None for others. torch gives only a text."""
    text = first_line(error)
    of_torch = type(error).__name__ == "OutOfMemoryError"  # compared by name, because importing torch takes a second
    if isinstance(error, MemoryError) or of_torch or "can't allocate memory" in text:
        return f"out of memory ({text}); smaller networks, BATCH_SIZE, MAX_FRAMES or SKIP_RATE need less"
    if "DataLoader worker" in text:
        return f"a loading process was ended from outside ({text}); NUM_WORKERS = 0 does without them"
    return None


def _of_the_system(error: OSError, output_option: str) -> tuple[str, int]:
    """An error of the file system as '<path>: <reason>; <what helps>', and the exit code."""
    path = error.filename if error.filename2 is None else error.filename2
    text = error.strerror or first_line(error)
    if path is not None:
        text = f"{os.fsdecode(path)}: {text}"
    if error.errno in NO_ROOM:
        return f"{text}; make room, then run it again, a training with --resume", FAILED
    if error.errno in REASONS:
        text = text.replace(os.strerror(error.errno), REASONS[error.errno])
    helps = error.errno in WRITING and output_option and output_option not in text
    return text + (f"; {output_option} names another folder" if helps else ""), BAD_INPUT


def run_command(
    main: Callable[[Sequence[str]], int], arguments: Sequence[str], output_option: str = ""
) -> int:
    """Runs a command's `main` with logging set up, and turns errors into a message and an exit code.

    Only errors that a user can correct are caught; anything else is a defect and keeps its traceback. If several
    processes train together, the first one logs its progress, the others only warnings and errors.

    Args:
        main: of the command line to the exit code.
        arguments: the command line.
        output_option: the option or setting for the folder that the command writes to, for messages.
    """
    _prepare_streams()
    rank = os.environ.get("RANK") or "0"
    is_first = rank == "0"
    logging.basicConfig(
        level=logging.INFO if is_first else logging.WARNING, datefmt="%H:%M:%S", stream=sys.stderr,
        format="%(asctime)s %(message)s" if is_first else f"%(asctime)s process {rank}: %(message)s",
    )
    interrupt_on_sigterm()
    try:
        return main(arguments)
    except Interrupted as stopped:
        logger.info("%s", stopped)
        return stopped.exit_code
    except ProjectError as error:
        logger.error("error: %s", error)
        return error.exit_code
    except OSError as error:
        message, exit_code = _of_the_system(error, output_option)
        logger.error("error: %s", message)
        return exit_code
    except (MemoryError, RuntimeError) as error:
        if (reason := _beyond_the_program(error)) is None:
            raise
        logger.error("error: %s", reason)
        return FAILED
    except KeyboardInterrupt:
        logger.info("stopped by SIGINT")
        return 128 + signal.SIGINT


def frames_a_second(text: str) -> float:
    """The value of an option that is a frame rate.

    Raises:
        argparse.ArgumentTypeError: it isn't a finite number above 0.
    """
    rate = float(text)
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text}; expected frames a second, above 0")
    return rate


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], rule: str = "-") -> str:
    """A table of plain text: the first column to the left, the others to the right.

    Args:
        header: titles of the columns.
        rows: the cells of each row, as many as columns.
        rule: character of the line below the header; '' for no line.
    """
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        "  ".join([first.ljust(widths[0]), *(map(str.rjust, others, widths[1:]))]) for first, *others in lines
    ]
    return "\n".join([texts[0], *([rule * len(texts[0])] if rule else []), *texts[1:]])


def leave(exit_code: int) -> NoReturn:
    """Ends this process, as `sys.exit` does when it is alone.

    If several processes train together, each ends without Python's normal shutdown. The threads of gloo live as long
    as the wrapped network, and need Python's global lock to free the tensors of the last exchange. A thread that does
    this during the shutdown would abort a process whose work is done.
    """
    if (os.environ.get("WORLD_SIZE") or "1") == "1":
        sys.exit(exit_code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(exit_code)


def interrupt_on_sigterm() -> None:
    """Makes SIGTERM raise `Interrupted` wherever the command is, as Ctrl-C raises KeyboardInterrupt."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, "no file is left half-written")

    signal.signal(signal.SIGTERM, leave)


def _prepare_streams() -> None:
    """Prepares for a closed standard error, and for characters that standard output can't encode."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the command)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
