"""The folder of a run: created for one run, found again to resume it, and locked against a second process."""

from __future__ import annotations

import fcntl
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from configs.settings import SAFE_TO_CHANGE
from utils.checkpoints.files import load_checkpoint
from utils.errors import ConfigError, MissingFileError, RunExistsError
from utils.files import remove_stale_temporaries, write_json
from utils.training.processes import Processes

logger = logging.getLogger(__name__)

# Names, without suffix, of the files that training writes.
OWN_FILES = r"config|metrics|loss_curves|last|best_model_\w+|epoch-\d+|bad_step|probe"


@contextmanager
def open_run(resume: str, config: ConfigDict, processes: Processes) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """The run's folder, locked until the block ends, and the checkpoint to continue from (None for a new run).

    Args:
        resume: '' makes a new run; 'auto' continues the experiment's latest run if it has a `last.pt`, else it makes a
            new one; otherwise the folder of a run to continue.
        config: this command's configuration.
        processes: the processes that train together; the first chooses the folder.

    Raises:
        MissingFileError: if the named run has no `ckpt/last.pt`.
        ConfigError: naming the settings that differ from the run's and are not in SAFE_TO_CHANGE.
        RunExistsError: if another process is training into the run.
    """
    run, resuming = processes.from_main(_choose_run(resume, config) if processes.is_main else None)
    with _held(run) if processes.is_main else nullcontext():
        checkpoint = _checkpoint_to_resume(run, config) if resuming else None
        logger.info("run folder: %s", run)
        yield run, checkpoint


def create_run_folder(output_folder: str | Path, experiment: str, config: Mapping[str, Any]) -> Path:
    """Makes `<output_folder>/<experiment>/run-NNN`, the next free number, and writes `config.json` into it."""
    experiment_folder = Path(output_folder) / experiment
    experiment_folder.mkdir(parents=True, exist_ok=True)
    number = max(_run_numbers(experiment_folder), default=0)
    while True:
        number += 1
        run = experiment_folder / f"run-{number:03d}"
        try:
            run.mkdir()
        except FileExistsError:
            continue  # another process made this folder in the meantime
        (run / "ckpt").mkdir()
        write_json(run / "config.json", config)
        return run


def _choose_run(resume: str, config: ConfigDict) -> tuple[Path, bool]:
    """The run's folder, and whether it is to be resumed."""
    if resume == "auto":
        experiment_folder = Path(config.OUTPUT_FOLDER) / config.EXPERIMENTNAME
        number = max(_run_numbers(experiment_folder), default=0)
        run = experiment_folder / f"run-{number:03d}"
        if (run / "ckpt" / "last.pt").is_file():
            return run, True
        logger.info("no run to resume; starting a new one")
    elif resume:
        return Path(resume), True
    return create_run_folder(config.OUTPUT_FOLDER, config.EXPERIMENTNAME, config.to_dict()), False


def _checkpoint_to_resume(run: Path, config: ConfigDict) -> dict[str, Any]:
    path = run / "ckpt" / "last.pt"
    checkpoint = load_checkpoint(path)
    if "training_state" not in checkpoint or "random_state" not in checkpoint:
        raise ConfigError(f"{path} holds no training state to resume from")
    _refuse_changes(run, checkpoint["config"], config.to_dict())
    logger.info("resuming after %d epochs", checkpoint["epoch"])
    return checkpoint


def _refuse_changes(run: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    old, new = dict(_flatten(before)), dict(_flatten(now))
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    refused = sorted(changed - set(SAFE_TO_CHANGE))
    if new["NUM_EPOCHS"] < old["NUM_EPOCHS"]:
        refused.append("NUM_EPOCHS")
    if refused:
        differences = "; ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in refused)
        raise ConfigError(f"cannot resume {run} with a changed configuration: {differences}")
    if changed:
        logger.info("resuming with changed settings: %s", ", ".join(sorted(changed)))


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value


def _run_numbers(experiment_folder: Path) -> list[int]:
    return [
        int(match[1]) for folder in experiment_folder.glob("run-*")
        if (match := re.fullmatch(r"run-(\d+)", folder.name))
    ]


@contextmanager
def _held(run: Path) -> Iterator[None]:
    """Locks the run for this process. The operating system releases the lock, however the process ends."""
    if not (run / "ckpt").is_dir():
        reason = "holds no folder ckpt" if run.is_dir() else "is a file" if run.exists() else "does not exist"
        raise MissingFileError(f"run folder {run} {reason}; expected a run such as output/demo/run-001")
    with open(run / ".lock", "w") as lock:
        try:
            # A lock that belongs to this process alone: if it is killed, its loading workers must not keep the lock.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:  # POSIX allows either
            raise RunExistsError(f"another process is training into {run}") from error
        # Only files of training: an evaluation of the run may be writing its own files.
        for path in remove_stale_temporaries([run, run / "ckpt"], OWN_FILES):
            logger.info("removed %s, left by a killed process", path)
        yield
