"""The command that chooses how progress is read, and all that answers by what it wrote."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import eval as evaluation
import multitask_train
import predict
from tests.conftest import training_arguments
from utils.ckpt_save import load_checkpoint
from utils.command import run_command
from utils.data.synthetic import write_synthetic_dataset
from utils.errors import BAD_INPUT, CheckpointError, DataError
from utils.prediction import fit_progress
from utils.prediction.answers import COLUMNS
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.progress import candidates
from utils.prediction.progress.files import load_models
from utils.prediction.progress_files import load_for_checkpoint, progress_path, seen_frame_rate
from utils.prediction.readouts.evidence import fit_evidence
from utils.prediction.readouts.recurrent import fit_recurrent
from utils.registry import AUTO


@pytest.fixture(scope="module", autouse=True)
def small_read_outs():
    """Forests of few trees and networks of few steps: how well they read is not asked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "fit_evidence", partial(fit_evidence, trees=8))
        patch.setattr(candidates, "fit_recurrent", partial(fit_recurrent, networks=1, steps=10))
        yield


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """One task of eight short recordings, of which six are for training and validation."""
    root = tmp_path_factory.mktemp("data")
    write_synthetic_dataset(root / "synthetic", seed=1, tasks=1, videos=8)
    return root / "synthetic"


@pytest.fixture(scope="module")
def fitted(data_set, tmp_path_factory):
    """What the command wrote from features alone."""
    output = tmp_path_factory.mktemp("fitted") / "own.progress.pt"
    arguments = [str(data_set), "--frame-rate", "4", "--output", str(output)]
    assert run_command(fit_progress.main, ["fit_progress", *arguments]) == 0
    return output


@pytest.fixture(scope="module")
def trained(data_set, tmp_path_factory):
    """A run whose end chose how progress is read."""
    output = tmp_path_factory.mktemp("trained")
    arguments = training_arguments(data_set.parent, output, "--config.NUM_EPOCHS=1", "--config.FIT_PROGRESS=True")
    assert run_command(multitask_train.main, ["multitask_train.py", *arguments]) == 0
    return next(output.rglob("best_model_combined.pt")).parents[1]


@pytest.fixture
def recording(data_set):
    return sorted((data_set / "features").glob("*.npy"))[-1]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_read_out_stands_beside_the_naive_guesses(data_set, tmp_path, capsys):
    arguments = [str(data_set), "--test", "--output", str(tmp_path / "own.pt")]
    assert run_command(fit_progress.main, ["fit_progress", *arguments]) == 0
    said = capsys.readouterr().out
    for name in ("index", "clock", "path", "filter", "evidence", "recurrent"):
        assert f"\n{name} " in said
    assert "test recordings" in said
    assert "80 % interval" in said
    assert "Remaining time" in said


def test_a_file_of_features_alone_predicts_all_columns(fitted, recording, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(predict.main, ["predict.py", "--checkpoint", str(fitted), str(recording)]) == 0
    rows = rows_of(tmp_path / "predictions" / f"{recording.stem}.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == len(np.load(recording))
    for row in rows:
        assert 0 <= float(row["lower"]) <= float(row["progress"]) <= float(row["upper"]) <= 1
        assert float(row["remaining_seconds"]) >= 0
    assert rows[-1]["step"]
    assert (tmp_path / "predictions" / f"{recording.stem}.png").stat().st_size > 1000


def test_live_lines_are_those_of_the_file(fitted, recording, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    features = np.load(recording)
    lines = "".join(" ".join(map(repr, map(float, frame))) + "\n" for frame in features)
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert run_command(predict.main, ["predict.py", "--checkpoint", str(fitted), "-"]) == 0
    streamed = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    (model,) = load_models(fitted)[0].values()
    answers = model.predict(features)
    assert [row["step"] for row in streamed] == answers.steps
    np.testing.assert_allclose([float(row["progress"]) for row in streamed], answers.progress, atol=1e-5)


@pytest.mark.parametrize(
    "spoil", [lambda x: (x * 20 + 128).clip(0, 255).astype(np.uint8), lambda x: x * 1e6, lambda x: np.ones_like(x)],
    ids=["uint8", "a million times", "constant"],
)  # fmt: skip
def test_features_of_another_kind_are_called_out_of_range(fitted, recording, spoil):
    (model,) = load_models(fitted)[0].values()
    predictor = ProgressPredictor.of_features(model)
    assert not any(predictor.predict_answers(np.load(recording)).out_of_range)
    spoilt = predictor.predict_answers(spoil(np.load(recording))).out_of_range
    assert spoilt[-1]
    assert np.mean([bool(reason) for reason in spoilt]) > 0.5


def test_the_end_of_a_training_chooses_for_both_checkpoints(trained, recording):
    for kind in ("combined", "alignment"):
        path = trained / "ckpt" / f"best_model_{kind}.pt"
        assert progress_path(path).is_file()
        assert "Chosen" in path.with_name(f"best_model_{kind}.progress.txt").read_text() or "Nothing beats" in (
            path.with_name(f"best_model_{kind}.progress.txt").read_text()
        )
        predictor = ProgressPredictor.from_checkpoint(path)
        assert predictor.gives_answers
        features = np.load(recording)
        answers = predictor.predict_answers(features)
        np.testing.assert_array_equal(predictor.predict(features), answers.progress)
        stream = predictor.stream()
        parts = [stream.update_answers(features[:1]), stream.update_answers(features[1:40])]
        parts += [stream.update_answers(features[40:]), stream.finish_answers()]
        streamed = np.concatenate([part.rows for part in parts])
        for name in streamed.dtype.names:
            np.testing.assert_allclose(streamed[name], answers.rows[name], atol=1e-5)


def test_the_network_is_read_from_where_it_was_chosen_and_embeds_in_any_case(trained, recording):
    path = trained / "ckpt" / "best_model_combined.pt"
    of_path = ProgressPredictor.from_checkpoint(path, readout="path")
    chosen = ProgressPredictor.from_checkpoint(path)
    features = np.load(recording)
    np.testing.assert_array_equal(
        chosen.predict_with_embedding(features)[1], of_path.predict_with_embedding(features)[1]
    )
    with pytest.raises(DataError, match="progress alone"):
        of_path.predict_answers(features)


def test_the_evaluation_has_a_row_of_what_was_chosen(trained, capsys):
    checkpoint = trained / "ckpt" / "best_model_combined.pt"
    arguments = ["--checkpoint", str(checkpoint), "--figures", "0"]
    assert run_command(evaluation.main, ["eval.py", *arguments]) == 0
    assert f"\n{AUTO} " in capsys.readouterr().out
    results = json.loads((trained / "EVAL" / "best_model_combined" / "metrics.json").read_text())["results"]
    own = [result for result in results if result["variant"] == AUTO]
    assert {result["task"] for result in own} >= set(load_checkpoint(checkpoint)["tasks"])
    assert all(result["differences"] for result in own if result["task"] != "mean")
    page = (trained / "EVAL" / "best_model_combined" / "report.html").read_text()
    assert "How progress is read" in page
    assert "out of fold" in page


def test_models_of_other_weights_or_annotation_are_refused(trained, tmp_path):
    path = trained / "ckpt" / "best_model_combined.pt"
    checkpoint = load_checkpoint(path)
    assert load_for_checkpoint(path, checkpoint)
    next(iter(checkpoint["model_state_dict"].values())).add_(1.0)
    with pytest.raises(CheckpointError, match=r"other weights than .* fits them again"):
        load_for_checkpoint(path, checkpoint)


def test_a_resumed_run_keeps_what_was_chosen(trained, data_set, caplog):
    path = progress_path(trained / "ckpt" / "best_model_combined.pt")
    before = path.stat().st_mtime_ns
    arguments = training_arguments(
        data_set.parent, trained.parents[1], "--config.NUM_EPOCHS=1", "--config.FIT_PROGRESS=True",
        "--resume", str(trained),
    )  # fmt: skip
    assert run_command(multitask_train.main, ["multitask_train.py", *arguments]) == 0
    assert path.stat().st_mtime_ns == before


def test_a_checkpoint_gets_its_models_by_the_command(trained, tmp_path, capsys):
    path = trained / "ckpt" / "best_model_alignment.pt"
    progress_path(path).unlink()
    assert ProgressPredictor.from_checkpoint(path).gives_answers is False
    assert run_command(fit_progress.main, ["fit_progress", "--checkpoint", str(path)]) == 0
    assert ProgressPredictor.from_checkpoint(path).gives_answers


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected one of"),
        (("data", "--config", "x.py"), "expected one of"),
        (("data", "--frame-rate", "0"), "above 0"),
        (("--checkpoint", "x.pt", "--output", "y.pt"), "--output is for a data set"),
    ],
)
def test_a_wrong_command_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit):
        fit_progress.main(["fit_progress", *arguments])
    assert said in capsys.readouterr().err


def test_missing_data_and_wrong_groups_are_one_error(data_set, tmp_path, caplog):
    assert run_command(fit_progress.main, ["fit_progress", str(tmp_path / "nothing")]) == BAD_INPUT
    copy = tmp_path / "synthetic"
    copy.mkdir()
    (copy / "features").symlink_to(data_set / "features")
    (copy / "synthetic.json").write_text((data_set / "synthetic.json").read_text())
    tasks = json.loads((copy / "synthetic.json").read_text()).values()
    handles = [handle for task in tasks for handle in task["handles"]]
    split = {"train": handles[:6], "test": handles[6:], "groups": {"A": [*handles[:2], "nobody"], "B": [handles[0]]}}
    (copy / "split.json").write_text(json.dumps(split))
    assert run_command(fit_progress.main, ["fit_progress", str(copy)]) == BAD_INPUT
    assert "unknown video 'nobody'" in caplog.text
    assert "is in 'A' and in 'B'" in caplog.text


def test_time_that_remains_is_in_seconds_of_the_recording(fitted, recording):
    """Of every second frame a model sees half as many a second; each frame stands for twice the time."""
    (model,) = load_models(fitted)[0].values()
    features = np.load(recording)
    every = ProgressPredictor.of_features(model).predict_answers(features)
    slowly = np.repeat(features, 2, axis=0)
    second = ProgressPredictor.of_features(replace(model, frame_rate=4.0), skip_rate=2).predict_answers(slowly)
    assert (every.frame_rate, second.frame_rate) == (4.0, 8.0)
    np.testing.assert_allclose(second.remaining_seconds[::2], every.remaining_seconds)
    np.testing.assert_array_equal(second.progress[::2], every.progress)
    assert seen_frame_rate({"FRAME_RATE": 10.0, "SKIP_RATE": 5}) == 2.0
    assert seen_frame_rate({"FRAME_RATE": 0.0, "SKIP_RATE": 5}) is None
