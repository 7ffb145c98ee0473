"""Kills real training processes at random moments and resumes them until they finish.

    python -m tests.interrupted_runs --kills 20

prints, for every loss, how many kills the run survived and whether it ended bit-identical to an uninterrupted one.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.conftest import ROOT, training_arguments
from utils.ckpt_save import load_checkpoint
from utils.data.synthetic import write_synthetic_dataset

LOSSES = ("GTCC", "tcc", "LAV", "VAVA", "VAOT")
# What a finished run must share with an uninterrupted one; seconds differ.
TIMED_COLUMNS = ("train_seconds",)
LONGEST_WAIT = 0.2  # seconds, an epoch or two of these small runs


@dataclass(frozen=True)
class Kill:
    """One killed process: by which signal, after how many epochs at least, and how it ended."""

    signal_number: int
    epoch: int
    exit_code: int


def command(data_root: Path, output: Path, *overrides: str) -> list[str]:
    return [
        sys.executable, str(ROOT / "multitask_train.py"), *training_arguments(data_root, output, *overrides),
        "--resume", "auto",
    ]


def run_with_kills(
    arguments: list[str], kills: int, generator: random.Random, epochs: int
) -> tuple[list[Kill], subprocess.CompletedProcess]:
    """Starts the command, kills it, starts it again, `kills` times; then lets it finish.

    The kills are spread over the first half of the epochs, and each comes at a random moment of a random one of its
    own share. A run that ends before its kill comes is not counted; the other half is there so that none does, though
    this process may be the slower one.

    Args:
        arguments: a command that resumes its own run.
        kills: how many times to kill.
        generator: draws the moments and the signals (SIGKILL, SIGTERM, SIGINT).
        epochs: how many the run has.
    """
    done = []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for share in range(kills):
        epoch = int((share + generator.random()) * (epochs / 2) / kills)
        process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True)
        _wait_for_training(process, epoch)
        time.sleep(generator.uniform(0, LONGEST_WAIT))
        number = generator.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        if process.poll() is None:
            process.send_signal(number)
        process.communicate(timeout=300)
        if process.returncode != 0:
            done.append(Kill(number, epoch, process.returncode))
    finished = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return done, finished


def difference(run: Path, reference: Path) -> str:
    """What differs between two finished runs, or '' where nothing does."""
    for name in ("last.pt", "best_model_combined.pt", "best_model_alignment.pt"):
        one, other = (load_checkpoint(folder / "ckpt" / name) for folder in (run, reference))
        for part in ("model_state_dict", "optimizer_state_dict"):
            if not _same(one[part], other[part]):
                return f"{name}: {part}"
        if (one["epoch"], one["loss"]) != (other["epoch"], other["loss"]):
            return f"{name}: epoch or loss"
    one, other = (load_checkpoint(folder / "ckpt" / "last.pt") for folder in (run, reference))
    if not _same(one["random_state"], other["random_state"]):
        return "random state"
    for part in ("best", "mean_paths"):
        if one["training_state"][part] != other["training_state"][part]:
            return f"training state: {part}"
    rows, expected = (_rows(folder / "metrics.csv") for folder in (run, reference))
    return "" if rows == expected else "metrics.csv"


def _wait_for_training(process: subprocess.Popen, epoch: int) -> None:
    """Returns when the process has its run folder, and the run so many epochs."""
    finished, has_folder, lines = 0, False, []
    for line in process.stderr:
        lines.append(line)
        if match := re.search(r"resuming after (\d+) epochs| epoch (\d+)/", line):
            finished = int(match[1] or match[2])
        has_folder |= "run folder" in line
        if has_folder and finished >= epoch:
            return
    raise AssertionError(f"the command ended with {process.wait()} before its kill: {''.join(lines)}")


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMED_COLUMNS} for row in csv.DictReader(file)]


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="kills in all, shared out over the losses")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_synthetic_dataset(root / "data" / "synthetic", seed=0, tasks=2, videos=8)
        print("loss | kills (SIGKILL/SIGTERM/SIGINT) | exit codes | differs from the uninterrupted run in")
        each = -(-options.kills // len(LOSSES))
        for loss in LOSSES:
            overrides = [f"--config.NUM_EPOCHS={options.epochs}", *one_loss(loss)]
            arguments = command(root / "data", root / loss / "reference", *overrides)
            _, reference = run_with_kills(arguments, 0, generator, options.epochs)
            assert reference.returncode == 0, reference.stderr
            whole = max((root / loss / "reference" / "demo").glob("run-*"))
            arguments = command(root / "data", root / loss / "killed", *overrides)
            kills, finished = run_with_kills(arguments, each, generator, options.epochs)
            assert finished.returncode == 0, finished.stderr
            runs = [max((root / loss / "killed" / "demo").glob("run-*")), whole]
            counts = "/".join(
                str(sum(kill.signal_number == number for kill in kills))
                for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
            )
            codes = sorted({kill.exit_code for kill in kills})
            print(f"{loss} | {len(kills)} ({counts}) | {codes} | {difference(*runs) or 'nothing'}", flush=True)


def one_loss(loss: str) -> list[str]:
    """The overrides that turn on this loss alone."""
    return [f"--config.LOSS_TYPE.{name}={str(name == loss).lower()}" for name in LOSSES]


if __name__ == "__main__":
    main()
