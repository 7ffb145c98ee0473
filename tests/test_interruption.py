"""Signals: during training, during validation, and to a whole group of processes."""

import os
import signal
import subprocess
import sys

import pytest
from torch.utils.data import DataLoader

import models.validation_epoch as validation
import multitask_train
from tests.conftest import ROOT, training_arguments
from tests.interrupted_runs import difference
from utils.ckpt_save import load_checkpoint
from utils.data.dataset import VideoDataset
from utils.errors import Interrupted
from utils.training.interruption import StopRequest


def train(data_root, output, *overrides):
    return multitask_train.main(["multitask_train.py", *training_arguments(data_root, output, *overrides)])


@pytest.mark.parametrize(("batch", "number"), [(1, signal.SIGTERM), (2, signal.SIGINT), (3, signal.SIGTERM)])
def test_a_stop_during_validation_comes_after_its_batch_and_resumes_bit_identical(
    data_root, tmp_path, monkeypatch, whole_run, batch, number
):
    original = validation.to_device
    calls = []

    def counted(*arguments):
        calls.append(1)
        if len(calls) == batch:
            signal.raise_signal(number)
        return original(*arguments)

    monkeypatch.setattr(validation, "to_device", counted)
    with pytest.raises(Interrupted) as stopped:
        train(data_root, tmp_path / "stopped")
    assert stopped.value.exit_code == 128 + number
    assert len(calls) == batch
    run = tmp_path / "stopped" / "demo" / "run-001"
    checkpoint = load_checkpoint(run / "ckpt" / "last.pt")
    state = checkpoint["training_state"]
    # Two validation batches per epoch: the epoch's steps are done, and its validation is repeated.
    assert (state["epoch"], len(state["history"])) == ((batch - 1) // 2,) * 2
    assert state["batch"] > 0
    assert state["totals"]["counts"]["total_loss"] == state["batch"]
    assert train(data_root, tmp_path / "stopped", "--resume", str(run)) == 0
    assert difference(run, whole_run) == ""


@pytest.fixture(scope="module")
def whole_run(data_root, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    assert train(data_root, output) == 0
    return output / "demo" / "run-001"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_stop_while_the_first_batch_is_loaded_comes_after_its_step(
    data_root, tmp_path, monkeypatch, whole_run, workers, number
):
    """While its features are read, or while the process that reads them is started."""
    where, name = (DataLoader, "__iter__") if workers else (VideoDataset, "__getitem__")
    original = getattr(where, name)
    calls = []

    def signalled(*arguments):
        calls.append(1)
        if len(calls) == 1:
            signal.raise_signal(number)
        return original(*arguments)

    monkeypatch.setattr(where, name, signalled)
    with pytest.raises(Interrupted) as stopped:
        train(data_root, tmp_path, f"--config.NUM_WORKERS={workers}")
    assert stopped.value.exit_code == 128 + number
    run = tmp_path / "demo" / "run-001"
    state = load_checkpoint(run / "ckpt" / "last.pt")["training_state"]
    assert (state["epoch"], state["batch"]) == (0, 1)
    assert train(data_root, tmp_path, "--resume", str(run)) == 0
    assert difference(run, whole_run) == ""


def test_two_signals_while_the_first_batch_is_loaded_end_at_once(data_root, tmp_path, monkeypatch):
    def signalled(*arguments):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(VideoDataset, "__getitem__", signalled)
    with pytest.raises(KeyboardInterrupt):
        train(data_root, tmp_path)
    files = {path.name for path in (tmp_path / "demo" / "run-001").rglob("*") if path.is_file()}
    assert not [name for name in files if name.startswith(".") and name != ".lock"], "a file is left half-written"
    assert "last.pt" not in files


def test_a_second_signal_acts_as_usual():
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signal_number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_leaves_the_loading_workers_to_finish_the_step(data_root, tmp_path, number):
    """As a cluster's scheduler and a terminal send it: to the command and its loading processes at once."""
    arguments = training_arguments(data_root, tmp_path, "--config.NUM_WORKERS=2")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.failing_process", "wait", *arguments], start_new_session=True, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    before = list(iter(process.stderr.readline, "waiting\n"))
    os.killpg(process.pid, number)
    rest = process.communicate(timeout=300)[1]
    assert process.returncode == 128 + number, "".join(before) + rest
    assert "the state is saved" in rest
    assert "Traceback" not in rest
    state = load_checkpoint(tmp_path / "demo" / "run-001" / "ckpt" / "last.pt")["training_state"]
    assert (state["epoch"], state["batch"]) == (0, 2)
