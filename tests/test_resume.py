"""A run that was stopped goes on as if it had not been."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from subprocess import PIPE

import numpy as np
import pytest
import torch

import multitask_train
from models.alignment_training_loop import AlignmentTraining
from tests.conftest import ROOT, training_arguments
from tests.interrupted_runs import command, difference, one_loss, run_with_kills
from tests.one_step import make_training
from utils.ckpt_save import load_checkpoint, load_model
from utils.errors import CheckpointError, ConfigError, DataError, Interrupted
from utils.training.processes import Processes
from utils.training.run_folder import open_run


def stop_at_once(self, stop):
    raise Interrupted(signal.SIGTERM)


def train(data_root, output, *overrides):
    return multitask_train.main(["multitask_train.py", *training_arguments(data_root, output, *overrides)])


@pytest.mark.parametrize(("loss", "number"), [("GTCC", 2), ("LAV", 1)])
def test_killed_at_random_and_resumed_ends_bit_identical(data_root, tmp_path, loss, number):
    epochs = 12
    overrides = [f"--config.NUM_EPOCHS={epochs}", *one_loss(loss)]
    generator = random.Random(loss)
    # Both in processes of the same kind: another number of threads rounds otherwise.
    _, uninterrupted = run_with_kills(command(data_root, tmp_path / "whole", *overrides), 0, generator, epochs)
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    arguments = command(data_root, tmp_path / "killed", *overrides)
    kills, finished = run_with_kills(arguments, kills=number, generator=generator, epochs=epochs)
    assert finished.returncode == 0, finished.stderr
    expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
    assert len(kills) > 0
    assert [kill.exit_code for kill in kills] == [expected[kill.signal_number] for kill in kills]
    killed, whole = (max((tmp_path / name / "demo").glob("run-*")) for name in ("killed", "whole"))
    assert difference(killed, whole) == ""


BY_TRAINING_VIDEOS = ["--config.PROGRESS_LOSS.normalizer=training"]
DRAWN_FRAMES = [*BY_TRAINING_VIDEOS, "--config.MAX_FRAMES=20", "--config.PROGRESS_LOSS.level=action"]


@pytest.mark.parametrize(
    ("steps", "overrides"), [(1, []), (4, []), (7, []), (4, BY_TRAINING_VIDEOS), (7, DRAWN_FRAMES)]
)
def test_a_stop_in_the_middle_of_an_epoch_is_resumed_there(data_root, tmp_path, monkeypatch, steps, overrides):
    """Asks to stop after a given number of steps, in this process, and resumes."""
    assert train(data_root, tmp_path / "whole", *overrides) == 0
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
        train(data_root, tmp_path / "stopped", *overrides)
    assert stopped.value.exit_code == 143
    run = tmp_path / "stopped" / "demo" / "run-001"
    state = load_checkpoint(run / "ckpt" / "last.pt")["training_state"]
    assert state["epoch"] > 0 or state["batch"] == steps
    assert bool(state["mean_paths"]) == bool(overrides)
    assert train(data_root, tmp_path / "stopped", *overrides, "--resume", str(run)) == 0
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

    def test_more_epochs_measure_the_best_checkpoints_anew(self, data_root, tmp_path, monkeypatch):
        """The schedules stretch, so the validation loss is another function: best losses must be its values."""
        settings = ["--config.PROGRESS_LOSS.lambda_curriculum.enabled=true", *one_loss("VAVA")]
        assert train(data_root, tmp_path, *settings) == 0
        folder = tmp_path / "demo" / "run-001" / "ckpt"
        before = {kind: load_checkpoint(folder / f"best_model_{kind}.pt") for kind in ("combined", "alignment")}
        longer = ["--config.NUM_EPOCHS=40", "--resume", "auto"]
        monkeypatch.setattr(AlignmentTraining, "_train_epoch", stop_at_once)
        with pytest.raises(Interrupted):
            train(data_root, tmp_path, *settings, *longer)
        monkeypatch.undo()
        training = make_training([*training_arguments(data_root, tmp_path, *settings), longer[0]], Processes())
        for kind, criterion in (("combined", "total_loss"), ("alignment", "alignment_loss")):
            after = load_checkpoint(folder / f"best_model_{kind}.pt")
            assert (after["epoch"], after["config"]["NUM_EPOCHS"]) == (before[kind]["epoch"], 40)
            assert after["loss"] != before[kind]["loss"]
            assert after["loss"] == pytest.approx(training._validate(load_model(after), 0)[criterion], rel=1e-5)

    def test_other_data_under_the_same_settings_is_refused(self, data_root, finished, tmp_path):
        copy = tmp_path / "data"
        shutil.copytree(data_root, copy)
        path = copy / "synthetic" / "synthetic.json"
        content = json.loads(path.read_text())
        first = next(iter(content.values()))
        first["hdl_actions"][0][1] = "something else"
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match="the videos of train, their lengths or their annotation are not those"):
            train(copy, finished, "--resume", "auto", "--config.NUM_EPOCHS=4")
        del content[next(iter(content))]
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match="the data have the tasks"):
            train(copy, finished, "--resume", "auto", "--config.NUM_EPOCHS=4")

    def test_one_other_feature_value_is_refused(self, data_root, finished, tmp_path):
        copy = tmp_path / "data"
        shutil.copytree(data_root, copy)
        path = sorted((copy / "synthetic" / "features").glob("*.npy"))[0]
        features = np.load(path)
        features[1, 2] += 1
        np.save(path, features)
        with pytest.raises(DataError, match="the features hold other values"):
            train(copy, finished, "--resume", "auto", "--config.NUM_EPOCHS=4")

    def test_a_run_that_noted_no_features_is_held_to_its_mean_and_deviation(self, data_root, tmp_path):
        """As older runs; a split that is missing from the note is another matter."""
        settings = ["--config.STANDARDIZE=True", "--config.NUM_EPOCHS=1"]
        assert train(data_root, tmp_path, *settings) == 0
        path = tmp_path / "demo" / "run-001" / "ckpt" / "last.pt"
        copy = tmp_path / "data"
        shutil.copytree(data_root, copy)
        for file in (copy / "synthetic" / "features").glob("*.npy"):
            np.save(file, np.load(file) + 1)
        content = torch.load(path, weights_only=True)
        for missing, message in (("features", "another mean or deviation"), ("val", "the videos of val")):
            del content["data_fingerprint"][missing]
            torch.save(content, path)
            with pytest.raises(DataError, match=message):
                train(copy, tmp_path, *settings, "--resume", "auto")

    def test_a_run_copied_to_another_place_resumes_there(self, data_root, tmp_path):
        assert train(data_root, tmp_path / "here", "--config.NUM_EPOCHS=1") == 0
        shutil.copytree(tmp_path / "here", tmp_path / "there")
        shutil.copytree(data_root, tmp_path / "data")
        shutil.rmtree(tmp_path / "here")
        assert train(tmp_path / "data", tmp_path / "there", "--config.NUM_EPOCHS=2", "--resume", "auto") == 0
        config = json.loads((tmp_path / "there" / "demo" / "run-001" / "config.json").read_text())
        assert (config["NUM_EPOCHS"], config["DATASET_PATH"]) == (2, str(tmp_path / "data"))

    def test_another_version_is_said_and_a_newer_setting_takes_its_default(self, data_root, tmp_path, caplog):
        assert train(data_root, tmp_path, "--config.NUM_EPOCHS=1") == 0
        path = tmp_path / "demo" / "run-001" / "ckpt" / "last.pt"
        content = torch.load(path, weights_only=True)
        content["versions"]["torch"] = "1.0"
        del content["config"]["FEATURE_LAYOUT"], content["data_fingerprint"]
        del content["config"]["PROGRESS_LOSS"]["normalizer"], content["training_state"]["mean_paths"]
        torch.save(content, path)
        assert train(data_root, tmp_path, "--config.NUM_EPOCHS=2", "--resume", "auto") == 0
        assert "but results may differ in the last bits" in caplog.text
        assert "FEATURE_LAYOUT" not in caplog.text

    @pytest.mark.parametrize(
        ("paths", "message"),
        [
            ({"another": 2.0}, "holds the mean paths .*expected one of each of the tasks"),
            ({"of": {"one action": 2.0}}, "holds the mean paths .*expected one of each of the tasks"),
            ({"of": "2"}, "impossible values: mean_paths"),
            ({"of": -1.0}, "impossible values: mean_paths"),
            ({"of": {1: 2.0}}, "impossible values: mean_paths"),
            ([2.0], "impossible values: mean_paths"),
        ],
    )  # fmt: skip
    def test_mean_paths_that_no_training_can_have_written(self, data_root, finished, tmp_path, paths, message):
        shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
        path = tmp_path / "demo" / "run-001" / "ckpt" / "last.pt"
        content = torch.load(path, weights_only=True)
        if "of" in paths:
            paths = dict.fromkeys(content["tasks"], paths["of"])
        content["training_state"]["mean_paths"] = paths
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=message):
            train(data_root, tmp_path, "--resume", "auto", "--config.NUM_EPOCHS=4")

    def test_a_log_cut_in_mid_line_is_written_whole_again(self, data_root, tmp_path):
        assert train(data_root, tmp_path, "--config.NUM_EPOCHS=2") == 0
        log = tmp_path / "demo" / "run-001" / "metrics.csv"
        whole = log.read_bytes()
        log.write_bytes(whole[: len(whole) - 30])
        assert train(data_root, tmp_path, "--config.NUM_EPOCHS=2", "--resume", "auto") == 0
        assert log.read_bytes() == whole

    def test_two_commands_at_the_same_instant_never_share_a_run(self, data_root, tmp_path):
        # Imports all that the command does and waits to be told, so that neither is through before the other begins.
        program = (
            "import sys, torch, models.alignment_training_loop, utils.command, multitask_train;"
            "print('ready', flush=True); input();"
            "sys.exit(utils.command.run_command(multitask_train.main, sys.argv))"
        )

        def two_at_once(*overrides):
            arguments = [*training_arguments(data_root, tmp_path, *overrides), "--resume", "auto"]
            both = [
                subprocess.Popen(
                    [sys.executable, "-c", program, *arguments], cwd=ROOT, text=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1"}, **dict.fromkeys(("stdin", "stdout", "stderr"), PIPE),
                )
                for _ in range(2)
            ]
            assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
            for process in both:
                process.stdin.write("go\n")
                process.stdin.flush()
            return both, [process.communicate(timeout=300)[1] for process in both]

        # Nothing there yet: each makes a run of its own.
        both, errors = two_at_once("--config.NUM_EPOCHS=1")
        assert [process.returncode for process in both] == [0, 0], errors
        assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["run-001", "run-002"]
        # Both find the second: one goes on with it, the other is told so.
        both, errors = two_at_once("--config.NUM_EPOCHS=20")
        assert sorted(process.returncode for process in both) == [0, 2], errors
        assert sum("another process is training into" in error for error in errors) == 1
        assert load_checkpoint(tmp_path / "demo" / "run-002" / "ckpt" / "last.pt")["epoch"] == 20

    def test_two_processes_never_write_into_one_run(self, data_root, finished, run_command):
        from configs.entry_config import read_command_line
        config = read_command_line(["train", *training_arguments(data_root, finished)]).config
        run = finished / "demo" / "run-001"
        with config.unlocked():
            config.NUM_EPOCHS = 4
        with open_run(str(run), config, Processes()):
            done = run_command("multitask_train.py", *training_arguments(
                data_root, finished, "--config.NUM_EPOCHS=4", "--resume", str(run)))
        assert done.returncode == 2
        assert "another process" in done.stderr


def test_what_a_killed_process_left_half_written_is_removed_at_resume(data_root, tmp_path):
    assert train(data_root, tmp_path, "--config.NUM_EPOCHS=1") == 0
    folder = tmp_path / "demo" / "run-001" / "ckpt"
    files = set(folder.iterdir())
    (folder / f".last-{32 * 'a'}.pt").write_bytes(b"half")
    assert train(data_root, tmp_path, "--config.NUM_EPOCHS=1", "--resume", "auto") == 0
    assert set(folder.iterdir()) == files
