"""How every command ends: bad input in one clear line and exit code 2, a stop by signal as 128 + its number."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from configs.entry_config import ConfigError
from models.alignment_training_loop import TrainingDiverged
from utils.ckpt_save import CheckpointError
from utils.data.problems import DataError
from utils.interruption import Interrupted

logger = logging.getLogger(__name__)

BAD_INPUT = 2
DIVERGED = 1


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Runs a command's `main` with logging set up, and turns what may go wrong into a message and an exit code.

    Only errors that a user can mend are caught; anything else is a defect and keeps its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    try:
        return main(arguments)
    except (ConfigError, DataError, CheckpointError, FileNotFoundError, FileExistsError) as error:
        logger.error("error: %s", error)
        return BAD_INPUT
    except TrainingDiverged as error:
        logger.error("error: %s", error)
        return DIVERGED
    except Interrupted as stopped:
        logger.info("%s", stopped)
        return stopped.exit_code
