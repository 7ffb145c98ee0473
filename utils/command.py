"""How every command ends: an error that a user can mend in one clear line, a stop by signal as 128 + its number."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

import torch

from configs.entry_config import ConfigError
from models.alignment_training_loop import TrainingDiverged
from utils.ckpt_save import CheckpointError
from utils.data.problems import DataError, first_line
from utils.training.interruption import Interrupted, interrupt_on_sigterm
from utils.training.processes import ProcessLost

logger = logging.getLogger(__name__)

BAD_INPUT = 2
FAILED = 1
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def _beyond_the_program(error: MemoryError | RuntimeError) -> str | None:
    """What went wrong around the program rather than in it, or None; torch says so only in its text."""
    text = first_line(error)
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in text:
        return f"out of memory ({text}); smaller networks, BATCH_SIZE, MAX_FRAMES or SKIP_RATE need less"
    if "DataLoader worker" in text:
        return f"a loading process was ended from outside ({text}); NUM_WORKERS = 0 does without them"
    return None


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Runs a command's `main` with logging set up, and turns what may go wrong into a message and an exit code.

    Only errors that a user can mend are caught; anything else is a defect and keeps its traceback. Of several
    processes the first reports what goes on, the others only what goes wrong.
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
    except (ConfigError, DataError, CheckpointError, FileNotFoundError, FileExistsError) as error:
        logger.error("error: %s", error)
        return BAD_INPUT
    except (TrainingDiverged, ProcessLost) as error:
        logger.error("error: %s", error)
        return FAILED
    except OSError as error:  # of the system: a full disk, no permission
        hint = "; make room, then run it again, a training with --resume" if error.errno in NO_ROOM else ""
        logger.error("error: %s%s", error, hint)
        return FAILED
    except (MemoryError, RuntimeError) as error:
        if (reason := _beyond_the_program(error)) is None:
            raise
        logger.error("error: %s", reason)
        return FAILED
    except Interrupted as stopped:
        logger.info("%s", stopped)
        return stopped.exit_code
    except KeyboardInterrupt:
        logger.info("stopped by SIGINT")
        return 128 + signal.SIGINT


def _prepare_streams() -> None:
    """Standard error may be closed, and standard output may be unable to say a character."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the command)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
