"""Odd but legal data, from training to a prediction, by whole commands."""

import csv
import json
import math

import numpy as np
import pytest

import multitask_train
from tests.conftest import training_arguments
from tests.interrupted_runs import LOSSES
from tests.utils.data.builders import entry, features_of, write_annotation, write_features
from utils.ckpt_save import load_checkpoint

WIDTH = 4


def video(handle, labels, length):
    """Segments of equal length, half open."""
    starts = [length * number for number in range(len(labels))]
    return handle, labels, starts, [*starts[1:], length * len(labels) - 1]


def odd_tasks():
    """Task -> its videos; five of each but for the task of two."""
    numbers = range(5)
    return {
        "one action": [video(f"one_{n}", ["stir"], 20 + n) for n in numbers],
        "all background": [video(f"background_{n}", ["SIL"], 20 + n) for n in numbers],
        "one frame a segment": [video(f"short_{n}", [f"step{i % 3}" for i in range(15 + n)], 1) for n in numbers],
        "a thousand segments": [video(f"long_{n}", [f"step{i % 7}" for i in range(1000)], 1) for n in numbers],
        "お茶 ☕ / <été>": [video(f"ビデオ_{n}", ["切る", "naïve $x^2$", "SIL", "<b>&amp;"], 6 + n) for n in numbers],
        "two videos": [video(f"pair_{n}", ["cut", "mix"], 10) for n in range(2)],
        "two frames": [video(f"tiny_{n}", ["cut", "mix"], 1) for n in numbers],
        "background but once": [
            video(f"rare_{n}", ["SIL", "cut" if n == 0 else "SIL", "SIL"], 8) for n in numbers
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def odd_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "odd"
    tasks = odd_tasks()
    write_annotation(folder, {task: entry(*videos) for task, videos in tasks.items()})
    for videos in tasks.values():
        for handle, _, _, ends in videos:
            write_features(folder, handle, features_of(handle, ends[-1] + 1, WIDTH))
    return folder.parent


@pytest.mark.parametrize("loss", LOSSES)
def test_train_evaluate_predict(odd_root, tmp_path, run_command, loss):
    losses = [f"--config.LOSS_TYPE.{name}={str(name == loss).lower()}" for name in LOSSES]
    level = "action" if loss in ("GTCC", "LAV") else "video"
    overrides = ["--config.DATASET_NAME=odd", "--config.NUM_EPOCHS=1", f"--config.PROGRESS_LOSS.level={level}", *losses]
    assert multitask_train.main(["train", *training_arguments(odd_root, tmp_path, *overrides)]) == 0
    run = tmp_path / "demo" / "run-001"
    with open(run / "metrics.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert all(math.isfinite(float(value)) for value in row.values())
    assert row["train_bad_steps"] == "0.0"
    checkpoint = load_checkpoint(run / "ckpt" / "best_model_combined.pt")
    assert checkpoint["tasks"] == list(odd_tasks())
    if loss != LOSSES[0]:
        return  # the commands below don't depend on it

    done = run_command("eval.py", "--checkpoint", "best_model_combined.pt", "-f", run, "--figures", "1")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    folder = run / "EVAL" / "best_model_combined"
    content = json.loads((folder / "metrics.json").read_text())
    found = json.dumps(content, ensure_ascii=False)
    assert "NaN" not in found
    assert "お茶" in found
    assert "<été>" not in (folder / "report.html").read_text(), "a name that is markup is escaped"

    handles = ["one_4", "background_4", "short_4", "long_4", "ビデオ_4", "pair_0", "tiny_4"]
    files = [odd_root / "odd" / "features" / f"{handle}.npy" for handle in handles]
    for task in ([], ["--task", "お茶 ☕ / <été>"]):
        done = run_command(
            "predict.py", "--checkpoint", run / "ckpt" / "best_model_combined.pt", *files, *task,
            "--output", tmp_path / "predictions",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for path in files:
            with open(tmp_path / "predictions" / f"{path.stem}.csv", newline="") as file:
                progress = [float(row["progress"]) for row in csv.DictReader(file)]
            assert len(progress) == len(np.load(path))
            assert 0 <= min(progress) <= max(progress) <= 1


def test_check_describes_them(odd_root, tmp_path, run_command):
    done = run_command(
        "multitask_train.py", *training_arguments(odd_root, tmp_path, "--config.DATASET_NAME=odd", "--check")
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert "100.0%" in lines["all background"]
    assert lines["two videos"].split()[2:5] == ["2", "0", "0"]
