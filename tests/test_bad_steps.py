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
