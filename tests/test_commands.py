"""Whole commands, run as a user would."""

import csv
import json
import math
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch

import multitask_train
from tests.conftest import ROOT, training_arguments
from tests.tiny_training import LOSSES
from utils.ckpt_save import load_checkpoint
from utils.errors import TrainingDiverged


def train(data_root, output, *overrides):
    assert multitask_train.main(["multitask_train.py", *training_arguments(data_root, output, *overrides)]) == 0
    return max((output / "demo").glob("run-*"))


def read_log(run):
    with open(run / "metrics.csv", newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def finished_run(data_root, tmp_path_factory):
    return train(data_root, tmp_path_factory.mktemp("output"),
                 "--config.PROGRESS_LOSS.lambda_curriculum.enabled=true")


class TestTraining:
    def test_writes_everything_that_it_promises(self, finished_run):
        files = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
        assert files >= {
            "config.json", "metrics.csv", "loss_curves.png", "ckpt/best_model_combined.pt",
            "ckpt/best_model_alignment.pt", "ckpt/last.pt", "ckpt/epoch-2.pt",
        }
        assert not [name for name in files if "/." in name], "temporary files are left"

    def test_log_has_every_term_of_every_epoch(self, finished_run):
        rows = read_log(finished_run)
        assert [row["epoch"] for row in rows] == [0, 1, 2]
        for row in rows:
            for term in ("total_loss", "alignment_loss", "progress_loss", "tcc_loss"):
                for group in ("train", "val", "val_at_epoch"):
                    assert math.isfinite(row[f"{group}_{term}"])
            assert row["train_gradient_norm"] > 0
            assert row["train_seconds"] > 0
        assert [row["train_lambda"] for row in rows] == pytest.approx([0, 0.5, 1])

    def test_best_checkpoints_hold_the_lowest_validation_losses(self, finished_run):
        rows = read_log(finished_run)
        for kind, term in (("combined", "val_total_loss"), ("alignment", "val_alignment_loss")):
            checkpoint = load_checkpoint(finished_run / "ckpt" / f"best_model_{kind}.pt")
            lowest = min(rows, key=lambda row: row[term])
            assert checkpoint["epoch"] == lowest["epoch"]
            assert checkpoint["loss"] == pytest.approx(lowest[term])

    def test_checkpoint_holds_what_predicting_needs(self, finished_run):
        checkpoint = load_checkpoint(finished_run / "ckpt" / "best_model_combined.pt")
        assert set(checkpoint["progress_normalizers"]) == set(checkpoint["tasks"])
        assert all(value > 0 for value in checkpoint["progress_normalizers"].values())
        assert json.loads((finished_run / "config.json").read_text())["NUM_EPOCHS"] == 3

    def test_same_seed_same_result_other_seed_another(self, data_root, tmp_path, finished_run):
        curriculum = "--config.PROGRESS_LOSS.lambda_curriculum.enabled=true"
        again = train(data_root, tmp_path / "again", curriculum)
        other = train(data_root, tmp_path / "other", curriculum, "--config.SEED=1")
        weights = [load_checkpoint(run / "ckpt" / "last.pt")["model_state_dict"]
                   for run in (finished_run, again, other)]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("level", ["video", "action"])
    def test_every_loss_at_both_levels(self, data_root, tmp_path, loss, level):
        run = train(
            data_root, tmp_path, "--config.NUM_EPOCHS=1", f"--config.PROGRESS_LOSS.level={level}",
            *(f"--config.LOSS_TYPE.{name}={str(name == loss).lower()}" for name in LOSSES),
        )
        assert math.isfinite(read_log(run)[0][f"train_{loss}_loss"])

    def test_bfloat16_trains_to_nearly_the_same_loss(self, data_root, tmp_path, finished_run):
        rounded = train(data_root, tmp_path, "--config.PRECISION=bfloat16",
                        "--config.PROGRESS_LOSS.lambda_curriculum.enabled=true")
        exact = [row["val_total_loss"] for row in read_log(finished_run)]
        found = [row["val_total_loss"] for row in read_log(rounded)]
        assert found != exact
        assert found == pytest.approx(exact, rel=0.1)
        weights = load_checkpoint(rounded / "ckpt" / "best_model_combined.pt")["model_state_dict"].values()
        assert {weight.dtype for weight in weights} == {torch.float32}

    def test_single_task_without_crosstask_network(self, data_root, tmp_path):
        tasks = sorted(json.loads((data_root / "synthetic" / "synthetic.json").read_text()))
        run = train(data_root, tmp_path, "--config.ARCHITECTURE.MCN=false", f"--config.TASKS=('{tasks[0]}',)")
        assert load_checkpoint(run / "ckpt" / "last.pt")["tasks"] == tasks[:1]

    def test_diverging_run_stops_with_a_good_last_checkpoint(self, data_root, tmp_path, monkeypatch):
        import models.alignment_training_loop as loop
        original = loop.get_loss_function
        calls = []

        def poisoned(*arguments, **settings):
            function = original(*arguments, **settings)

            def loss(*inputs, **more):
                losses = function(*inputs, **more)
                calls.append(1)
                return losses if len(calls) <= 2 else {name: value * float("nan") for name, value in losses.items()}
            return loss

        monkeypatch.setattr(loop, "get_loss_function", poisoned)
        with pytest.raises(TrainingDiverged, match="MAX_BAD_STEPS"):
            train(data_root, tmp_path, "--config.MAX_BAD_STEPS=2")
        last = load_checkpoint(tmp_path / "demo" / "run-001" / "ckpt" / "last.pt")
        assert all(torch.isfinite(weight).all() for weight in last["model_state_dict"].values())
        assert last["training_state"]["bad_steps"] == 2


class TestCheck:
    def test_summary_without_training(self, data_root, tmp_path, run_command):
        done = run_command("multitask_train.py", *training_arguments(data_root, tmp_path / "output", "--check"))
        assert done.returncode == 0, done.stderr
        for task in json.loads((data_root / "synthetic" / "synthetic.json").read_text()):
            assert task in done.stdout
        assert not (tmp_path / "output").exists()

    def test_bad_data_is_one_message_and_exit_code_2(self, data_root, tmp_path, run_command):
        folder = tmp_path / "data" / "synthetic"
        (folder / "features").mkdir(parents=True)
        annotation = json.loads((data_root / "synthetic" / "synthetic.json").read_text())
        (folder / "synthetic.json").write_text(json.dumps(annotation))
        handles = [handle for task in annotation.values() for handle in task["handles"]]
        for handle in handles[1:]:
            features = np.load(data_root / "synthetic" / "features" / f"{handle}.npy")
            if handle == handles[1]:
                features[3, 0] = np.nan
            np.save(folder / "features" / f"{handle}.npy", features)
        done = run_command("multitask_train.py", *training_arguments(tmp_path / "data", tmp_path / "output"))
        assert done.returncode == 2
        assert handles[0] in done.stderr
        assert handles[1] in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "output").exists()

    def test_mistyped_setting_is_one_message_and_exit_code_2(self, data_root, tmp_path, run_command):
        done = run_command("multitask_train.py", *training_arguments(data_root, tmp_path, "--config.NUM_EPOCH=1"))
        assert done.returncode == 2
        assert 'did you mean "NUM_EPOCHS"' in done.stderr
        assert "Traceback" not in done.stderr


class TestEvaluation:
    @pytest.mark.parametrize("name", ["best_model_combined.pt", "best_model_alignment.pt"])
    def test_plan_commands(self, finished_run, run_command, name):
        """The plan's last step; the newest run under output/ is found from where the command runs."""
        folder = finished_run.parents[1]
        done = run_command("eval.py", "--checkpoint", name, "--folder", finished_run, cwd=folder)
        assert done.returncode == 0, done.stderr
        results = finished_run / "EVAL" / name.removesuffix(".pt")
        assert json.loads((results / "metrics.json").read_text())
        assert list(results.glob("*.csv"))
        assert list(results.rglob("*.png"))

    def test_missing_checkpoint_says_what_was_looked_for(self, tmp_path, run_command):
        done = run_command("eval.py", "--checkpoint", "best_model_combined.pt", "-f", tmp_path)
        assert done.returncode == 2
        assert "best_model_combined.pt" in done.stderr
        assert "epoch-N.pt" in done.stderr
        assert "Traceback" not in done.stderr


def test_with_standard_error_closed_a_training_runs(data_root, tmp_path):
    arguments = training_arguments(data_root, tmp_path, "--config.NUM_EPOCHS=1")
    command = shlex.join([sys.executable, str(ROOT / "multitask_train.py"), *arguments])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run(f"{command} 2>&-", shell=True, cwd=ROOT, env=environment, check=False).returncode == 0
    assert (tmp_path / "demo" / "run-001" / "ckpt" / "best_model_combined.pt").is_file()
