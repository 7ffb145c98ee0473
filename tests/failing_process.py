"""The training command with a fault in one of its processes:

    torchrun --nproc-per-node 2 --module tests.failing_process FAULT --config ...

FAULT is 'error', 'SIGTERM' or 'SIGKILL'; it strikes process 1 in its second step.
"""

import os
import signal
import sys

import models.alignment_training_loop as loop
from multitask_train import main
from utils.command import run_command


def break_second_step(fault: str) -> None:
    original = loop.AlignmentTraining._forward_backward
    steps = []

    def broken(self, *arguments, **settings):
        steps.append(1)
        if len(steps) == 2 and fault == "error":
            raise AssertionError("broken on purpose")
        if len(steps) == 2:
            os.kill(os.getpid(), signal.Signals[fault])
        return original(self, *arguments, **settings)

    loop.AlignmentTraining._forward_backward = broken


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    if os.environ["RANK"] == "1":
        break_second_step(fault)
    sys.exit(run_command(main, sys.argv))
