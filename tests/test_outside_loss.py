"""A loss outside the repository, named in a configuration file: trained, resumed, evaluated and read without it."""

import csv
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, training_arguments
from tests.tiny_training import LOSSES
from utils.ckpt_save import load_checkpoint

LOSS = '''
import torch

def middles(embeddings, margin, names=()):
    """Draws the middles of the videos together."""
    means = torch.stack([video.mean(dim=0) for video in embeddings])
    return margin * (means - means.mean(dim=0)).square().sum() + sum(video.square().mean() for video in embeddings)

def not_a_number(embeddings):
    return embeddings[0].sum() * torch.nan
'''
EXPERIMENT = '''
from configs.demo import get_config as demo

def get_config():
    CONFIG = demo()
    CONFIG.CUSTOM_LOSSES = {'middles': 'outside_losses:middles', 'bad': 'outside_losses:not_a_number'}
    CONFIG.CUSTOM_LOSS_PARAMS = {'middles': {'margin': 0.5, 'names': ('a',)}}
    CONFIG.LOSS_TYPE = {'tcc': False, 'middles': True}
    return CONFIG
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    (folder / "library").mkdir()
    (folder / "library" / "outside_losses.py").write_text(LOSS)
    (folder / "experiment.py").write_text(EXPERIMENT)
    return folder


def run(script, *arguments, library=None):
    """A command in a process of its own, with or without the folder of the loss on Python's path."""
    path = [str(ROOT), *([str(library)] if library else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)}
    return subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def arguments(folder, data_root):
    _, _, *overrides = training_arguments(data_root, folder / "output")
    return ["--config", folder / "experiment.py", *overrides, "--config.CUSTOM_LOSS_PARAMS.middles.margin=0.25"]


@pytest.fixture(scope="module")
def trained(folder, arguments):
    result = run("multitask_train.py", *arguments, "--config.NUM_EPOCHS=2", library=folder / "library")
    assert result.returncode == 0, result.stderr
    return folder / "output" / "demo" / "run-001"


def test_it_is_trained_with_its_settings_and_its_term_is_logged(trained):
    with open(trained / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert all(float(row["train_middles_loss"]) > 0 and float(row["val_middles_loss"]) > 0 for row in rows)
    config = load_checkpoint(trained / "ckpt" / "last.pt")["config"]
    assert config["CUSTOM_LOSSES"]["middles"] == "outside_losses:middles"
    assert config["CUSTOM_LOSS_PARAMS"]["middles"] == {"margin": 0.25, "names": ("a",)}
    assert config["LOSS_TYPE"] == dict.fromkeys((*LOSSES, "bad"), False) | {"middles": True}


def test_evaluation_and_prediction_do_not_need_the_module(trained, folder, data_root):
    checkpoint = trained / "ckpt" / "best_model_combined.pt"
    result = run("eval.py", "--checkpoint", checkpoint)
    assert result.returncode == 0, result.stderr
    features = sorted((data_root / "synthetic" / "features").glob("*.npy"))[0]
    result = run("predict.py", "--checkpoint", checkpoint, features, "--output", folder / "predictions")
    assert result.returncode == 0, result.stderr


def test_resuming_needs_the_module_and_says_so_in_one_line(trained, arguments, folder):
    more = [*arguments, "--config.NUM_EPOCHS=3", "--resume", "auto"]
    result = run("multitask_train.py", *more)
    assert result.returncode == 2
    assert "CUSTOM_LOSSES.middles is 'outside_losses:middles', which can't be imported" in result.stderr
    assert "Traceback" not in result.stderr
    result = run("multitask_train.py", *more, library=folder / "library")
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(trained / "ckpt" / "last.pt")["epoch"] == 3


def test_the_command_line_turns_it_off_and_a_loss_that_is_off_is_not_imported(arguments):
    result = run(
        "multitask_train.py", *arguments, "--config.LOSS_TYPE.middles=False", "--config.LOSS_TYPE.tcc=true", "--check"
    )
    assert result.returncode == 0, result.stderr


def test_one_that_is_never_finite_stops_the_run_and_is_named(arguments, folder):
    result = run(
        "multitask_train.py", *arguments, "--config.LOSS_TYPE.bad=true", "--config.MAX_BAD_STEPS=3",
        "--config.EXPERIMENTNAME=bad", library=folder / "library",
    )  # fmt: skip
    assert result.returncode == 1
    assert "bad_loss not finite on videos" in result.stderr
    assert "3 steps in a row were not finite" in result.stderr
    assert "middles_loss not finite" not in result.stderr
    assert "Traceback" not in result.stderr
