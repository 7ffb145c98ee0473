"""A step whose loss is not finite leaves the weights alone, is dumped, and never ends in NaN weights."""

import math

import pytest
import torch

import models.alignment_training_loop as loop
import multitask_train
from benchmarks.extreme_learning_rates import train_steps
from tests.conftest import training_arguments
from tests.interrupted_runs import LOSSES
from utils.ckpt_save import load_checkpoint
from utils.command import run_command
from utils.errors import FAILED


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("factor", [100, 1e6])
def test_weights_stay_finite_at_extreme_learning_rates(data_root, tmp_path, loss, factor):
    """Twelve steps at a hundred times the default learning rate, and at one at which every training diverges."""
    result = train_steps(data_root, tmp_path, loss, factor, steps=12)
    assert result.weights_finite
    assert result.steps == 12


def test_bad_steps_are_skipped_and_the_last_one_is_dumped(data_root, tmp_path, monkeypatch):
    """Every other step is poisoned; the run goes on, and one dump is kept, from which the step can be repeated."""
    original = loop.get_loss_function
    batches = []

    def every_other_is_bad(*arguments, **settings):
        function = original(*arguments, **settings)

        def loss(outputs, epoch, times_list, **more):
            losses = function(outputs, epoch, times_list=times_list, **more)
            if not torch.is_grad_enabled():  # validation
                return losses
            batches.append([time_dict["name"] for time_dict in times_list])
            bad = float("nan") if len(batches) % 2 else 1.0
            return {name: value * bad for name, value in losses.items()}

        return loss

    monkeypatch.setattr(loop, "get_loss_function", every_other_is_bad)
    # A good step between two bad ones resets the count.
    settings = ["--config.NUM_EPOCHS=2", "--config.MAX_BAD_STEPS=2"]
    assert multitask_train.main(["train", *training_arguments(data_root, tmp_path, *settings)]) == 0
    folder = tmp_path / "demo" / "run-001" / "ckpt"
    assert [path.name for path in folder.glob("bad*")] == ["bad_step.pt"]
    dump = load_checkpoint(folder / "bad_step.pt")
    last_bad = batches[::2][-1]
    assert [time_dict["name"] for time_dict in dump["times"]] == last_bad
    assert [len(sequence) for sequence in dump["sequences"]] == [t["end_frame"][-1] + 1 for t in dump["times"]]
    assert math.isnan(dump["losses"]["total_loss"])
    assert {"epoch", "batch", "model_state_dict", "optimizer_state_dict"} <= set(dump)
    state = load_checkpoint(folder / "last.pt")["training_state"]
    assert state["bad_steps"] == len(batches[::2])
    assert all(math.isfinite(value) for row in state["history"] for value in row.values())


def poison(monkeypatch, is_bad):
    """Makes the steps bad whose number, from 0, `is_bad` says so of; validation is good."""
    original, steps = loop.get_loss_function, []

    def poisoned(*arguments, **settings):
        function = original(*arguments, **settings)

        def loss(*inputs, **more):
            losses = function(*inputs, **more)
            if not torch.is_grad_enabled():
                return losses
            steps.append(len(steps))
            return {name: value * (float("nan") if is_bad(steps[-1]) else 1.0) for name, value in losses.items()}

        return loss

    monkeypatch.setattr(loop, "get_loss_function", poisoned)
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay
    return steps


@pytest.mark.parametrize(("standardize", "hint"), [("False", True), ("True", False)])
def test_a_run_without_a_single_step_is_no_success(data_root, tmp_path, monkeypatch, caplog, standardize, hint):
    steps = poison(monkeypatch, lambda step: True)
    settings = ["--config.NUM_EPOCHS=3", "--config.MAX_BAD_STEPS=1000", f"--config.STANDARDIZE={standardize}"]
    arguments = ["train", *training_arguments(data_root, tmp_path, *settings)]
    assert run_command(multitask_train.main, arguments) == FAILED
    message = caplog.messages[-1]
    assert f"{len(steps)} of {len(steps)} steps were skipped" in message
    assert "no best checkpoint was written" in message
    assert ("STANDARDIZE = True" in message) == hint
    assert "LEARNING_RATE" in message
    assert not any("New best" in line or "evaluate with" in line for line in caplog.messages)
    folder = tmp_path / "demo" / "run-001" / "ckpt"
    assert not list(folder.glob("best*"))
    assert load_checkpoint(folder / "last.pt")["epoch"] == 3


def test_a_run_whose_later_steps_are_mostly_skipped_is_no_success_but_keeps_what_it_trained(
    data_root, tmp_path, monkeypatch, caplog
):
    counting = poison(monkeypatch, lambda step: False)
    settings = ["--config.NUM_EPOCHS=1"]
    assert multitask_train.main(["train", *training_arguments(data_root, tmp_path / "good", *settings)]) == 0
    in_an_epoch = len(counting)
    monkeypatch.undo()
    poison(monkeypatch, lambda step: step >= in_an_epoch)
    settings = ["--config.NUM_EPOCHS=3", "--config.MAX_BAD_STEPS=1000"]
    arguments = ["train", *training_arguments(data_root, tmp_path, *settings)]
    assert run_command(multitask_train.main, arguments) == FAILED
    assert f"{2 * in_an_epoch} of {3 * in_an_epoch} steps were skipped" in caplog.messages[-1]
    assert "of earlier epochs: best_model_alignment.pt, best_model_combined.pt" in caplog.messages[-1]
    folder = tmp_path / "demo" / "run-001" / "ckpt"
    assert load_checkpoint(folder / "best_model_combined.pt")["epoch"] < 2


def test_a_validation_that_is_never_finite_is_an_error(data_root, tmp_path, monkeypatch, caplog):
    """No epoch earns a best checkpoint; `last.pt` is there all the same."""
    original = loop.run_validation_epoch

    def overflowing(*arguments, **settings):
        return dict.fromkeys(original(*arguments, **settings), math.nan)

    monkeypatch.setattr(loop, "run_validation_epoch", overflowing)
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay
    arguments = ["train", *training_arguments(data_root, tmp_path, "--config.NUM_EPOCHS=2")]
    assert run_command(multitask_train.main, arguments) == FAILED
    assert caplog.text.count("the validation loss is not finite; no best checkpoint is written") == 2
    assert "no best combined and no best alignment checkpoint" in caplog.messages[-1]
    folder = tmp_path / "demo" / "run-001" / "ckpt"
    assert not list(folder.glob("best*"))
    assert load_checkpoint(folder / "last.pt")["epoch"] == 2
