"""Several processes train as one would on the same batches, and end together."""

import os
import re
import socket
import subprocess
import sys

import pytest
import torch

import multitask_train
from tests.conftest import ROOT, training_arguments
from tests.interrupted_runs import one_loss
from tests.one_step import gradients_of, make_training
from utils.ckpt_save import load_checkpoint
from utils.errors import ConfigError
from utils.training.processes import Processes, join_processes, local_rank


@pytest.mark.parametrize(("environment", "message"), [
    ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2, but RANK is not set"),
    ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'; expected a whole number"),
])
def test_an_environment_that_is_incomplete(monkeypatch, environment, message):
    for name in ("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message), join_processes(torch.device("cpu")):
        pass


def test_an_empty_environment_is_one_process(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "")
    assert local_rank() == 0
    with join_processes(torch.device("cpu")) as processes:
        assert (processes.rank, processes.world_size) == (0, 1)


@pytest.mark.parametrize(("world_size", "end"), [("2", []), ("1", ["taken down"]), ("", ["taken down"])])
def test_one_of_several_leaves_without_taking_python_down(world_size, end):
    """What it wrote arrives all the same, though neither stream is a terminal."""
    program = (
        "import atexit, sys, utils.command as command; atexit.register(print, 'taken down');"
        "print('result'); sys.stderr.write('message'); command.leave(143)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "WORLD_SIZE": world_size}, cwd=ROOT,
        capture_output=True, text=True, timeout=300, check=False,
    )
    assert (done.returncode, done.stdout.split("\n"), done.stderr) == (143, ["result", *end, ""], "message")


def torchrun(number, *arguments, timeout=300):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number),
         *map(str, arguments)],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False,
    )


def run_ranks(number, *arguments):
    """Starts the processes as `torchrun` would, without its own start-up time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **together, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(number)
    ]
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert "unused" not in errors, "every weight that is trained gets a gradient"


def train_alone(arguments):
    assert multitask_train.main(["multitask_train.py", *arguments]) == 0


@pytest.mark.parametrize(("number", "loss"), [(2, "GTCC"), (3, "GTCC"), (2, "tcc")])
def test_gradients_equal_those_of_one_process_on_the_same_batches(data_root, tmp_path, number, loss):
    """TCC leaves the drop network out, which then gets no gradient anywhere."""
    arguments = training_arguments(data_root, tmp_path, *one_loss(loss), "--config.GTCC_PARAMS.gamma=0.95")
    run_ranks(number, "-m", "tests.one_step", tmp_path / "gradients.pt", *arguments)
    got = torch.load(tmp_path / "gradients.pt")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of the processes: sums in another order are rounded in another way
    try:
        alone = make_training(arguments, Processes())
        each = [gradients_of(alone, batch) for batch in range(number)]
    finally:
        torch.set_num_threads(threads)
    assert got.keys() == each[0].keys()
    assert any(name.startswith("drop_network") for name in got) == (loss == "GTCC")
    for name in got:
        expected = sum(gradients[name] for gradients in each) / number
        assert expected.abs().sum() > 0, name
        torch.testing.assert_close(got[name], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("normalizer", ["own", "training"])
def test_two_processes_report_the_validation_of_one_and_one_resumes_them(data_root, tmp_path, normalizer):
    """Learning rate 1e-12: the network stays as it was, so both runs must report the same validation."""
    still = ["--config.NUM_EPOCHS=2", "--config.LEARNING_RATE=1e-12", *one_loss("tcc"),
             f"--config.PROGRESS_LOSS.normalizer={normalizer}"]
    arguments = training_arguments(data_root, tmp_path / "several", *still, "--config.TENSORBOARD=true")
    done = torchrun(2, ROOT / "multitask_train.py", *arguments)
    assert done.returncode == 0, done.stderr
    train_alone(training_arguments(data_root, tmp_path / "alone", *still))
    several, alone = (tmp_path / name / "demo" / "run-001" / "ckpt" / "last.pt" for name in ("several", "alone"))
    rows, expected = (load_checkpoint(path)["training_state"]["history"] for path in (several, alone))
    assert [row["epoch"] for row in rows] == [0, 1]
    for row, other in zip(rows, expected, strict=True):
        validation = {name: value for name, value in other.items() if name.startswith("val_")}
        assert len(validation) >= 3
        assert {name: row[name] for name in validation} == pytest.approx(validation, rel=1e-4)
        assert row["train_total_loss"] == pytest.approx(other["train_total_loss"], rel=1e-4)

    paths, expected = (load_checkpoint(path)["training_state"]["mean_paths"] for path in (several, alone))
    assert paths == pytest.approx(expected, rel=1e-6)
    assert bool(paths) == (normalizer == "training")

    assert len(list((tmp_path / "several" / "demo").iterdir())) == 1, "one process makes the folder"
    assert len(re.findall(r"epoch 1/2: ", done.stderr)) == 1, "one process reports"
    events = list((tmp_path / "several" / "demo" / "run-001" / "tensorboard").iterdir())
    assert len(events) == 1, "one process writes for TensorBoard"
    train_alone([*arguments, "--resume", "auto", "--config.NUM_EPOCHS=3"])
    assert load_checkpoint(several)["training_state"]["epoch"] == 3


def test_a_signal_to_one_process_saves_and_one_process_resumes_in_mid_epoch(data_root, tmp_path):
    arguments = training_arguments(data_root, tmp_path)
    done = torchrun(2, "--module", "tests.failing_process", "SIGTERM", *arguments)
    assert done.returncode != 0
    assert "stopped by SIGTERM; the state is saved" in done.stderr
    assert re.search(r"exitcode\s*: 143", done.stderr), "as torchrun reports it"
    last = tmp_path / "demo" / "run-001" / "ckpt" / "last.pt"
    state = load_checkpoint(last)["training_state"]
    assert (state["epoch"], state["batch"]) == (0, 4), "two steps of two batches each"
    counts = state["totals"]["counts"]
    assert {count for name, count in counts.items() if not name.endswith("_gradient")} == {4}
    assert counts["progress_gradient"] == 1, "measured once an epoch, by one process"
    train_alone([*arguments, "--resume", "auto"])
    history = load_checkpoint(last)["training_state"]["history"]
    assert [row["epoch"] for row in history] == [0, 1, 2]


def test_a_signal_to_one_process_in_validation_stops_all_after_a_batch_each(data_root, tmp_path):
    arguments = training_arguments(data_root, tmp_path, *one_loss("tcc"))
    done = torchrun(2, "--module", "tests.failing_process", "validation", *arguments)
    assert done.returncode != 0
    assert "stopped by SIGTERM; the state is saved" in done.stderr
    last = tmp_path / "demo" / "run-001" / "ckpt" / "last.pt"
    state = load_checkpoint(last)["training_state"]
    assert (state["epoch"], state["history"]) == (0, [])
    assert state["batch"] == state["totals"]["counts"]["tcc_loss"] > 0
    train_alone([*arguments, "--resume", "auto"])
    assert [row["epoch"] for row in load_checkpoint(last)["training_state"]["history"]] == [0, 1, 2]


def test_a_bad_step_is_told_by_the_process_whose_batch_it_was(data_root, tmp_path):
    arguments = training_arguments(data_root, tmp_path, "--config.NUM_EPOCHS=1", *one_loss("tcc"))
    done = torchrun(2, "--module", "tests.failing_process", "nan", *arguments)
    assert done.returncode == 0, done.stderr
    training = make_training(arguments, Processes())
    training.sampler.set_epoch(0)
    batch = list(training.sampler)[3]  # of the second step of two batches
    names = [training.data.train[index][1]["name"] for index in batch]
    assert re.findall(r"loss not finite on videos (.*); step skipped", done.stderr) == [", ".join(names)]
    folder = tmp_path / "demo" / "run-001" / "ckpt"
    assert [time_dict["name"] for time_dict in load_checkpoint(folder / "bad_step.pt")["times"]] == names
    assert load_checkpoint(folder / "last.pt")["training_state"]["bad_steps"] == 1


@pytest.mark.parametrize(("fault", "message"), [
    ("error", "broken on purpose"),
    ("diverged", "the folder igloo has gloo in its name"),
    ("SIGKILL", "another process ended"),
])
def test_a_process_that_breaks_ends_the_others(data_root, tmp_path, fault, message):
    """Long before the end: to run to it, or to wait for what is gone, takes more than the time there is."""
    arguments = training_arguments(data_root, tmp_path, "--config.NUM_EPOCHS=1000")
    done = torchrun(2, "--module", "tests.failing_process", fault, *arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert not (tmp_path / "demo" / "run-001" / "ckpt" / "last.pt").exists(), "it broke in the second step"
