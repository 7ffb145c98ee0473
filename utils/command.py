"""How every command ends: an error that a user can mend in one clear line, a stop by signal as 128 + its number."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

from configs.entry_config import ConfigError
from models.alignment_training_loop import TrainingDiverged
from utils.ckpt_save import CheckpointError
from utils.data.problems import DataError
from utils.interruption import Interrupted, interrupt_on_sigterm
from utils.processes import ProcessLost

logger = logging.getLogger(__name__)

BAD_INPUT = 2
FAILED = 1


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Runs a command's `main` with logging set up, and turns what may go wrong into a message and an exit code.

    Only errors that a user can mend are caught; anything else is a defect and keeps its traceback. Of several
    processes the first reports what goes on, the others only what goes wrong.
    """
    rank = int(os.environ.get("RANK", "0"))
    logging.basicConfig(
        level=logging.WARNING if rank else logging.INFO, datefmt="%H:%M:%S", stream=sys.stderr,
        format=f"%(asctime)s process {rank}: %(message)s" if rank else "%(asctime)s %(message)s",
    )
    interrupt_on_sigterm()
    try:
        return main(arguments)
    except (ConfigError, DataError, CheckpointError, FileNotFoundError, FileExistsError) as error:
        logger.error("error: %s", error)
        return BAD_INPUT
    except (TrainingDiverged, ProcessLost, OSError) as error:  # of the system: a full disk, no permission
        logger.error("error: %s", error)
        return FAILED
    except Interrupted as stopped:
        logger.info("%s", stopped)
        return stopped.exit_code
    except KeyboardInterrupt:
        logger.info("stopped by SIGINT")
        return 128 + signal.SIGINT
