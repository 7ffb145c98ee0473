"""The plan's verification steps 1 to 4; steps 5 and 6, whole commands, are in test_commands.py."""

import csv

import pytest
import torch

import multitask_train
from tests.conftest import training_arguments
from utils.loss_entry import compute_progress_loss
from utils.tensorops import get_normalized_predicted_progress_action

FEATURES = torch.randn(100, 128, generator=torch.Generator().manual_seed(0))
TIME_DICT = {
    "step": ["action1", "SIL", "action2"],
    "start_frame": [0, 40, 60],
    "end_frame": [39, 59, 99],
}


@pytest.mark.parametrize("level", ["video", "action"])
def test_step_1_progress_loss_lies_in_the_unit_interval(level):
    for _ in range(100):
        assert 0 <= compute_progress_loss([FEATURES], [TIME_DICT], level=level) <= 1


def test_step_2_action_level_normalisation():
    predicted = get_normalized_predicted_progress_action(FEATURES, TIME_DICT)
    for start, end in ((0, 39), (60, 99)):
        assert predicted[start] == 0
        assert predicted[end] == 1
    assert (predicted[40:60] == 0).all()


@pytest.fixture(scope="module")
def run(data_root, tmp_path_factory):
    output = tmp_path_factory.mktemp("plan")
    overrides = [
        "--config.PROGRESS_LOSS.lambda_curriculum.enabled=true",
        "--config.PROGRESS_LOSS.lambda_curriculum.start=0.01",
        "--config.PROGRESS_LOSS.lambda_curriculum.end=0.5",
        "--config.PROGRESS_LOSS.frames=single",
    ]
    assert multitask_train.main(["train", *training_arguments(data_root, output, *overrides)]) == 0
    return output / "demo" / "run-001"


def test_step_3_both_best_checkpoints_exist(run):
    assert (run / "ckpt" / "best_model_combined.pt").is_file()
    assert (run / "ckpt" / "best_model_alignment.pt").is_file()


def test_step_4_losses_are_logged_and_lambda_rises(run):
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for term in ("progress_loss", "alignment_loss", "total_loss"):
        assert all(row[f"train_{term}"] and row[f"val_{term}"] for row in rows)
    weights = [float(row["train_lambda"]) for row in rows]
    assert weights == sorted(weights)
    assert (weights[0], weights[-1]) == (0.01, 0.5)
