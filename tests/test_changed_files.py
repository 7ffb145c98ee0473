"""Files change during training: its features, and the folder of compiled code."""

import os
import shutil
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import models.alignment_training_loop as loop
import multitask_train
from tests.conftest import ROOT, training_arguments
from tests.interrupted_runs import one_loss
from utils.ckpt_save import load_checkpoint
from utils.command import run_command
from utils.errors import BAD_INPUT, FAILED


@pytest.fixture
def own_data(data_root, tmp_path):
    shutil.copytree(data_root, tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("change", ["truncated", "rewritten", "removed"])
@pytest.mark.parametrize("workers", [0, 1])
def test_features_that_change_during_training_stop_it(
    own_data, tmp_path, monkeypatch, caplog, change, workers
):
    """One clear error that names the file, after the epochs that are done are saved."""
    original = loop.AlignmentTraining._finish_epoch
    features = sorted((own_data / "synthetic" / "features").iterdir())

    def changing(self, *arguments):
        original(self, *arguments)
        for path in features:
            if change == "truncated":
                os.truncate(path, 1000)
            elif change == "removed":
                path.unlink()
            else:
                np.save(path, np.load(path) + 1)

    monkeypatch.setattr(loop.AlignmentTraining, "_finish_epoch", changing)
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay
    arguments = training_arguments(own_data, tmp_path / "output", f"--config.NUM_WORKERS={workers}")
    assert run_command(multitask_train.main, ["train", *arguments]) == BAD_INPUT
    said = {"truncated": "fewer than", "rewritten": "was rewritten", "removed": "no such feature file"}
    assert said[change] in caplog.messages[-1]
    assert any(str(path) in caplog.messages[-1] for path in features)
    last = tmp_path / "output" / "demo" / "run-001" / "ckpt" / "last.pt"
    assert load_checkpoint(last)["training_state"]["epoch"] == 1


def test_out_of_memory_is_said_and_not_a_traceback(data_root, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay
    wide = ("--config.OUTPUT_DIMENSIONALITY=1000000", "--config.ARCHITECTURE.drop_layers=(1000000,)")
    arguments = training_arguments(data_root, tmp_path, *wide)
    assert run_command(multitask_train.main, ["train", *arguments]) == FAILED
    assert "out of memory" in caplog.messages[-1]


def test_trains_where_nothing_compiled_can_be_kept(data_root, tmp_path):
    """A read-only image and no home, as in many a container; a file in a folder's place stops root as well."""
    image = tmp_path / "image"
    for name in ("utils", "configs", "models"):
        shutil.copytree(ROOT / name, image / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "multitask_train.py", image)
    for folder in [path for path in image.rglob("*") if path.is_dir()]:
        (folder / "__pycache__").touch()
    environment = {
        **{key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")},
        "HOME": "/proc/no-home", "PYTHONPATH": str(image), "OMP_NUM_THREADS": "1",
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # or it looks through all fonts of the machine again
    }  # fmt: skip
    lav = [*one_loss("LAV"), "--config.NUM_EPOCHS=1"]
    done = subprocess.run(
        [sys.executable, "multitask_train.py", *training_arguments(data_root, tmp_path / "there", *lav)],
        env=environment, cwd=image, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert multitask_train.main(["train", *training_arguments(data_root, tmp_path / "here", *lav)]) == 0
    there, here = (
        load_checkpoint(tmp_path / name / "demo" / "run-001" / "ckpt" / "last.pt")["training_state"]["history"][0]
        for name in ("there", "here")
    )
    assert there["val_total_loss"] == pytest.approx(here["val_total_loss"], rel=1e-3)
