"""A run that was stopped goes on as if it had not been."""

import random
import signal

import pytest

import multitask_train
from configs.entry_config import ConfigError
from tests.conftest import training_arguments
from tests.interrupted_runs import command, difference, one_loss, run_with_kills
from utils.ckpt_save import load_checkpoint
from utils.interruption import Interrupted, StopRequest
from utils.run_folder import open_run


def train(data_root, output, *overrides):
    return multitask_train.main(["multitask_train.py", *training_arguments(data_root, output, *overrides)])


@pytest.mark.parametrize(("loss", "number"), [("GTCC", 2), ("LAV", 1)])
def test_killed_at_random_and_resumed_ends_bit_identical(data_root, tmp_path, loss, number):
    overrides = ["--config.NUM_EPOCHS=4", *one_loss(loss)]
    generator = random.Random(loss)
    # Both in processes of the same kind: another number of threads rounds otherwise.
    _, uninterrupted = run_with_kills(command(data_root, tmp_path / "whole", *overrides), 0, generator, longest=0)
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    arguments = command(data_root, tmp_path / "killed", *overrides)
    kills, finished = run_with_kills(arguments, kills=number, generator=generator, longest=0.6)
    assert finished.returncode == 0, finished.stderr
    expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
    assert [kill.exit_code for kill in kills] == [expected[kill.signal_number] for kill in kills]
    killed, whole = (max((tmp_path / name / "demo").glob("run-*")) for name in ("killed", "whole"))
    assert difference(killed, whole) == ""


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_stop_in_the_middle_of_an_epoch_is_resumed_there(data_root, tmp_path, monkeypatch, steps):
    """Asks to stop after a given number of steps, in this process, and resumes."""
    assert train(data_root, tmp_path / "whole") == 0
    import models.alignment_training_loop as loop
    original = loop.AlignmentTraining._forward_backward
    calls = []

    def counted(self, *arguments, **settings):
        calls.append(1)
        if len(calls) == steps:
            signal.raise_signal(signal.SIGTERM)
        return original(self, *arguments, **settings)

    monkeypatch.setattr(loop.AlignmentTraining, "_forward_backward", counted)
    with pytest.raises(Interrupted) as stopped:
        train(data_root, tmp_path / "stopped")
    assert stopped.value.exit_code == 143
    run = tmp_path / "stopped" / "demo" / "run-001"
    state = load_checkpoint(run / "ckpt" / "last.pt")["training_state"]
    assert state["epoch"] > 0 or state["batch"] == steps
    assert train(data_root, tmp_path / "stopped", "--resume", str(run)) == 0
    assert difference(run, tmp_path / "whole" / "demo" / "run-001") == ""


@pytest.fixture(scope="module")
def finished(data_root, tmp_path_factory):
    output = tmp_path_factory.mktemp("finished")
    assert train(data_root, output) == 0
    return output


class TestResume:
    def test_changed_settings_are_refused_by_name(self, data_root, finished):
        with pytest.raises(ConfigError, match=r"LEARNING_RATE was 0\.001, is 0\.01"):
            train(data_root, finished, "--resume", "auto", "--config.LEARNING_RATE=0.01")
        with pytest.raises(ConfigError, match="NUM_EPOCHS was 3, is 2"):
            train(data_root, finished, "--resume", "auto", "--config.NUM_EPOCHS=2")

    def test_a_finished_run_is_left_as_it_is_and_more_epochs_go_on(self, data_root, finished):
        run = finished / "demo" / "run-001"
        assert train(data_root, finished, "--resume", "auto") == 0
        assert load_checkpoint(run / "ckpt" / "last.pt")["training_state"]["epoch"] == 3
        assert train(data_root, finished, "--resume", "auto", "--config.NUM_EPOCHS=4") == 0
        history = load_checkpoint(run / "ckpt" / "last.pt")["training_state"]["history"]
        assert [row["epoch"] for row in history] == [0, 1, 2, 3]
        assert len(list((finished / "demo").iterdir())) == 1

    def test_auto_without_a_run_starts_one_and_a_named_run_must_exist(self, data_root, tmp_path):
        with pytest.raises(FileNotFoundError, match="run-007"):
            train(data_root, tmp_path, "--resume", str(tmp_path / "demo" / "run-007"))
        assert train(data_root, tmp_path, "--resume", "auto", "--config.NUM_EPOCHS=1") == 0

    def test_two_processes_never_write_into_one_run(self, data_root, finished, run_command):
        from configs.entry_config import read_command_line
        from utils.processes import Processes
        config = read_command_line(["train", *training_arguments(data_root, finished)]).config
        run = finished / "demo" / "run-001"
        with config.unlocked():
            config.NUM_EPOCHS = 4
        with open_run(str(run), config, Processes()):
            done = run_command("multitask_train.py", *training_arguments(
                data_root, finished, "--config.NUM_EPOCHS=4", "--resume", str(run)))
        assert done.returncode == 2
        assert "another process" in done.stderr


def test_a_second_signal_acts_as_usual():
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_a_killed_process_left_half_written_is_removed_at_resume(data_root, tmp_path):
    assert train(data_root, tmp_path, "--config.NUM_EPOCHS=1") == 0
    folder = tmp_path / "demo" / "run-001" / "ckpt"
    files = set(folder.iterdir())
    (folder / f".last-{32 * 'a'}.pt").write_bytes(b"half")
    assert train(data_root, tmp_path, "--config.NUM_EPOCHS=1", "--resume", "auto") == 0
    assert set(folder.iterdir()) == files
