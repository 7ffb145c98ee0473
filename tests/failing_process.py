"""The training command with a fault in one of its processes:

    torchrun --nproc-per-node 2 --module tests.failing_process FAULT --config ...

FAULT is 'error', 'diverged', 'SIGTERM' or 'SIGKILL', 'nan' for a loss that is none, or 'wait' to say so and do nothing
until SIGTERM or Ctrl-C comes; it strikes process 1, or the only one, in its second step. 'validation' is a SIGTERM in
its first validation.
"""

import os
import signal
import sys
from math import nan

import models.alignment_training_loop as loop
from multitask_train import main
from utils.command import leave, run_command


def break_second_step(fault: str) -> None:
    original = loop.AlignmentTraining._forward_backward
    steps = []

    def broken(self, *arguments, **settings):
        steps.append(1)
        if len(steps) == 2 and fault == "error":
            raise AssertionError("broken on purpose")
        if len(steps) == 2 and fault == "diverged":
            raise loop.TrainingDiverged("the folder igloo has gloo in its name")
        if len(steps) == 2 and fault == "nan":
            good = self.loss_fn
            self.loss_fn = lambda *inputs, **more: {name: loss * nan for name, loss in good(*inputs, **more).items()}
            result = original(self, *arguments, **settings)
            self.loss_fn = good
            return result
        if len(steps) == 2 and fault == "wait":
            wait_for_a_signal()
        elif len(steps) == 2:
            os.kill(os.getpid(), signal.Signals[fault])
        return original(self, *arguments, **settings)

    loop.AlignmentTraining._forward_backward = broken


def wait_for_a_signal() -> None:
    """Says so, and returns when one has come, however long that takes and whichever thread it reached."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing)
    print("waiting", file=sys.stderr, flush=True)
    while os.read(reading, 1)[0] not in (signal.SIGTERM, signal.SIGINT):
        pass
    signal.set_wakeup_fd(before)


def signal_in_validation() -> None:
    original = loop.run_validation_epoch

    def interrupted(*arguments, **settings):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments, **settings)

    loop.run_validation_epoch = interrupted


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    if os.environ.get("RANK", "1") == "1":
        signal_in_validation() if fault == "validation" else break_second_step(fault)
    leave(run_command(main, sys.argv))
