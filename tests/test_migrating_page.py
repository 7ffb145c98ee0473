"""What docs/migrating.md tells someone with an experiment of the original code, done as it says."""

import csv
import json
import re

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.utils.checkpoints.test_original_code import FEATURES, original_content, write  # noqa: F401 - a fixture
from tests.utils.data.builders import features_of, write_folder
from utils.ckpt_save import load_checkpoint

PAGE = (ROOT / "docs" / "migrating.md").read_text()
TASKS = {"pc_assembly": [f"pc{number}" for number in range(8)], "tent": [f"tent{number}" for number in range(8)]}


def command_of(row):
    """The arguments of the command in the row of that name."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {row} |"))
    return re.search(r"`python ([^`]*)`", line)[1].split()


@pytest.fixture
def checkout(tmp_path, write):  # noqa: F811
    """A folder with data/egoprocel as the original's users have it, and EXPERIMENT/ckpt/best_model.pt."""
    folder = tmp_path / "data" / "egoprocel"
    write_folder(folder, TASKS, frames=30)
    for handles in TASKS.values():
        for handle in handles:
            np.save(folder / "features" / f"{handle}.npy", features_of(handle, 30, FEATURES))
    # A camera without a name for each list of actions, as the published file has them.
    path = folder / "egoprocel.json"
    content = json.loads(path.read_text())
    content["Eggs.cmu"] = {**content["tent"], "handles": ["eggs0"]}
    path.write_text(json.dumps(content))
    torch.manual_seed(0)
    original = write(original_content(), "original.pt")
    (tmp_path / "EXPERIMENT" / "ckpt").mkdir(parents=True)
    original.rename(tmp_path / "EXPERIMENT" / "ckpt" / "best_model.pt")
    np.save(tmp_path / "recording.npy", features_of("recording", 40, FEATURES))
    return tmp_path


def test_evaluating_and_predicting_with_an_experiment_of_the_original(checkout, run_command):
    fast = ("--no-classifier", "--figures", "0")
    done = run_command(*command_of("evaluate an experiment of the original"), *fast, cwd=checkout)
    assert done.returncode == 0, done.stderr
    found = [json.loads(path.read_text()) for path in (checkout / "EXPERIMENT" / "EVAL").rglob("metrics.json")]
    assert [description["data_set"] for description in found] == ["egoprocel"]
    # Without --task the tasks whose lists don't match are an error that names them.
    without_task = command_of("evaluate an experiment of the original")[:-3]
    done = run_command(*without_task, cwd=checkout)
    assert done.returncode == 2
    assert "Eggs.cmu" in done.stderr
    assert "Traceback" not in done.stderr

    path = checkout / "data" / "egoprocel" / "egoprocel.json"
    content = json.loads(path.read_text())
    del content["Eggs.cmu"]
    path.write_text(json.dumps(content))
    done = run_command(*command_of("predict a recording with it"), cwd=checkout)
    assert done.returncode == 0, done.stderr
    with open(checkout / "predictions" / "recording.csv", newline="") as file:
        progress = [float(row["progress"]) for row in csv.DictReader(file)]
    assert len(progress) == 40
    assert 0 <= min(progress) <= max(progress) <= 1


def test_saving_an_old_checkpoint_anew_with_another_setting(checkout, run_command, monkeypatch):
    monkeypatch.chdir(checkout)
    (snippet,) = re.findall(r"```python\n(from utils\.ckpt_save.*?)```", PAGE, re.DOTALL)
    exec(snippet)
    old, new = (
        load_checkpoint(checkout / "EXPERIMENT" / "ckpt" / name) for name in ("best_model.pt", "best_model_combined.pt")
    )
    assert new["config"]["ANNOTATION_SCALING"] == "proportional"
    assert all(torch.equal(weight, new["model_state_dict"][name]) for name, weight in old["model_state_dict"].items())
    for handles in TASKS.values():
        for handle in handles:
            np.save(checkout / "data" / "egoprocel" / "features" / f"{handle}.npy", features_of(handle, 20, FEATURES))
    done = run_command(
        "eval.py", "-f", "EXPERIMENT", "--checkpoint", "best_model_combined.pt", "--dataset-path", "data",
        "--task", "tent", "--no-classifier", "--figures", "0", cwd=checkout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
