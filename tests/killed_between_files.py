"""Kills a training between any two of its file operations, resumes it, and compares it with an uninterrupted one.

    python -m tests.killed_between_files
    python -m tests.killed_between_files --every 10      # at every tenth operation only

An operation is the opening of a file to write, a rename, a removal, or the making of a folder, anywhere under the
output folder; the process gets SIGKILL just before it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

import multitask_train
from tests.conftest import training_arguments
from tests.interrupted_runs import difference
from utils.command import run_command
from utils.data.synthetic import write_synthetic_dataset

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Operations:
    """Counts this process's file operations under a folder, and kills it before the one of a given number."""

    def __init__(self, folder: Path, fatal: int):
        self.folder, self.fatal, self.count, self.last = str(folder), fatal, 0, ""
        sys.addaudithook(self.note)

    def note(self, event: str, arguments: tuple) -> None:
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        if event not in ("open", "os.rename", "os.remove", "os.mkdir") or not str(arguments[0]).startswith(self.folder):
            return
        self.count += 1
        self.last = f"{event} {Path(str(arguments[0])).name}"
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(work: Callable[[], int]) -> int:
    """Runs the work in a copy of this process; its exit code, negative where a signal ended it."""
    child = os.fork()
    if child == 0:
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
            code = 99
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train(data_root: Path, output: Path, fatal: int = 0, count_into: Path | None = None) -> int:
    """A training of two epochs, resumed where there is something to resume."""

    def work() -> int:
        operations = Operations(output, fatal)
        arguments = [*training_arguments(data_root, output, "--config.NUM_EPOCHS=2"), "--resume", "auto"]
        code = run_command(multitask_train.main, ["train", *arguments])
        if count_into is not None:
            count_into.write_text(str(operations.count))
        return code

    return in_a_process(work)


def newest(output: Path) -> Path:
    return max((output / "demo").glob("run-*"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="kill at every so many-th operation")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a copied process has no other threads
    different = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_synthetic_dataset(root / "data" / "synthetic", seed=0, tasks=2, videos=8)
        assert train(root / "data", root / "whole", count_into=root / "count") == 0
        total = int((root / "count").read_text())
        chosen = range(1, total + 1, options.every)
        for number in chosen:
            output = root / f"killed-{number}"
            code = train(root / "data", output, fatal=number)
            assert code == -signal.SIGKILL, f"operation {number}: exit code {code} instead of a kill"
            code = train(root / "data", output)
            found = "does not resume" if code else difference(newest(output), newest(root / "whole"))
            left = [path.name for path in newest(output).rglob(".*") if path.name != ".lock"]
            if found or left:
                different.append(f"before operation {number}: {found or left}")
    print(f"{len(chosen)} kills before one of {total} file operations; differs: {different or 'never'}")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
