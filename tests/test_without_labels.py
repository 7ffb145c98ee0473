"""A data set without labels: every command, from the check to the prediction."""

import csv
import json
import math
import shutil

import numpy as np
import pytest

import eval as evaluate
import multitask_train
import predict
from tests.conftest import training_arguments
from tests.tiny_training import write_recordings
from utils.command import run_command
from utils.data.dataset import load_data
from utils.data.segments import UNLABELLED, has_labels
from utils.errors import BAD_INPUT, ConfigError, DataError
from utils.prediction import fit_progress

LENGTHS = {"brew": (32, 35, 31, 34, 36, 33, 30, 38)}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A data set with labels, in a folder for others beside it."""
    folder = tmp_path_factory.mktemp("data") / "tea"
    write_recordings(folder, LENGTHS)
    return folder


@pytest.fixture(params=["handles alone", "a folder of features", "labels that are not read"])
def unlabelled(request, labelled, tmp_path):
    """The folder of a data set without labels, and the settings that it needs."""
    folder = tmp_path / "tea"
    shutil.copytree(labelled, folder)
    annotation = folder / "tea.json"
    content = json.loads(annotation.read_text())
    if request.param == "handles alone":
        annotation.write_text(json.dumps({task: {"handles": entry["handles"]} for task, entry in content.items()}))
        return folder, ()
    if request.param == "a folder of features":
        annotation.unlink()
    return folder, ("--config.LABELS=false",)


def arguments_for(folder, output, *more):
    given = [each for each in training_arguments(folder.parent, output) if "DATASET_NAME" not in each]
    return [*given, "--config.DATASET_NAME=tea", "--config.NUM_EPOCHS=2", *more]


def train(folder, output, *more):
    assert multitask_train.main(["multitask_train.py", *arguments_for(folder, output, *more)]) == 0
    return max((output / "demo").glob("run-*"))


def test_what_the_check_says(unlabelled, tmp_path, capsys):
    folder, settings = unlabelled
    assert multitask_train.main(["multitask_train.py", *arguments_for(folder, tmp_path, *settings, "--check")]) == 0
    printed = capsys.readouterr().out
    task = "tea" if not (folder / "tea.json").exists() else "brew"
    assert f"note: no labels: '{task}'." in printed
    assert "true progress is assumed to be the share of its frames so far" in printed
    assert "background: there is nothing to learn" not in printed


def test_every_command(unlabelled, tmp_path, capsys, caplog):
    folder, settings = unlabelled
    settings = (*settings, "--config.PROGRESS_LOSS.enabled=true", "--config.FIT_PROGRESS=true")
    run = train(folder, tmp_path / "output", *settings)
    with open(run / "metrics.csv", newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert all(row["train_progress_loss"] > 0 and math.isfinite(row["val_total_loss"]) for row in rows)
    assert {path.name for path in (run / "ckpt").glob("best*.pt")} == {
        "best_model_alignment.pt", "best_model_combined.pt",
    }  # fmt: skip
    assert not list((run / "ckpt").glob("*.progress.*"))
    assert "no progress model: it has no labels, from which read-outs learn" in caplog.text

    options = ["--folder", str(run), "--checkpoint", "best_model_combined.pt"]
    assert evaluate.main(["eval.py", *options]) == 0
    results = json.loads((run / "EVAL" / "best_model_combined" / "metrics.json").read_text())["results"]
    assert {row["metric"] for row in results} == {"OPE_video_online", "KT", "CYC"}
    assert all(("no labels: true progress is assumed" in row["note"]) == (row["metric"] == "OPE_video_online")
               for row in results)  # fmt: skip
    assert "no labels: true progress is assumed" in capsys.readouterr().out

    recording = sorted((folder / "features").iterdir())[0]
    written = tmp_path / "predictions"
    assert predict.main(["predict.py", *options, str(recording), "--output", str(written)]) == 0
    lines = (written / f"{recording.stem}.csv").read_text().splitlines()
    assert "step" not in lines[0]
    assert ("the network was trained without labels" in caplog.text) == ("--config.LABELS=false" in settings)
    assert all(0 <= float(line.split(",")[1]) <= 1 for line in lines[1:])


def test_read_outs_have_nothing_to_learn_from(labelled, tmp_path, monkeypatch, caplog):
    folder = tmp_path / "tea"
    shutil.copytree(labelled, folder)
    (folder / "tea.json").write_text(json.dumps({"brew": {"handles": [f"brew_{k}" for k in range(8)]}}))
    monkeypatch.chdir(tmp_path)
    assert run_command(fit_progress.main, ["fit_progress", str(folder)]) == BAD_INPUT
    assert "no task has enough labelled recordings" in caplog.text
    assert not list(tmp_path.glob("*.progress.pt"))


def test_labels_change_nothing_but_progress_where_they_are_not_trained(labelled, tmp_path):
    # The alignment losses read no labels.
    runs = [train(labelled, tmp_path / name, f"--config.LABELS={name}", "--config.PROGRESS_LOSS.enabled=false")
            for name in ("true", "false")]  # fmt: skip
    first, second = ([row["val_alignment_loss"] for row in csv.DictReader((run / "metrics.csv").open())]
                     for run in runs)  # fmt: skip
    assert first == second


def test_progress_inside_actions_is_refused(labelled, tmp_path):
    settings = ("--config.PROGRESS_LOSS.enabled=true", "--config.PROGRESS_LOSS.level=action", "--config.LABELS=false")
    with pytest.raises(ConfigError, match="level is 'action', but there are no labels in 'brew'; expected 'video'"):
        train(labelled, tmp_path, *settings)


class TestReading:
    def config(self, folder, **settings):
        from configs.validation import complete_config

        return complete_config({"DATASET_PATH": str(folder.parent), "DATASET_NAME": folder.name, **settings}).to_dict()

    def test_every_frame_is_of_one_action(self, labelled):
        data = load_data(self.config(labelled, LABELS=False, SKIP_RATE=3))
        assert data.unlabelled_tasks == ("brew",)
        for features, times in data.train:
            assert times["step"] == [UNLABELLED]
            assert (times["start_frame"], times["end_frame"]) == ([0], [len(features) - 1])
            assert not has_labels(times)
        assert load_data(self.config(labelled)).unlabelled_tasks == ()

    def test_tasks_with_and_without_labels_in_one_file(self, labelled, tmp_path):
        folder = tmp_path / "tea"
        shutil.copytree(labelled, folder)
        content = json.loads((folder / "tea.json").read_text())
        half = {key: values[:4] for key, values in content["brew"].items()}
        rest = {"handles": content["brew"]["handles"][4:]}
        (folder / "tea.json").write_text(json.dumps({"brew": half, "more": rest}))
        data = load_data(self.config(folder))
        assert data.unlabelled_tasks == ("more",)
        assert "no labels: 'more'" in data.summary()

    def test_split_file_counts_for_a_folder_of_features_too(self, labelled, tmp_path):
        folder = tmp_path / "tea"
        shutil.copytree(labelled, folder)
        (folder / "tea.json").unlink()
        (folder / "split.json").write_text(json.dumps({"train": ["brew_7", "brew_1"], "test": ["brew_0"]}))
        data = load_data(self.config(folder, LABELS=False, VALIDATION_FRACTION=0.0))
        assert [video.handle for video in data.train.videos] == ["brew_1", "brew_7"]

    @pytest.mark.parametrize("left", ["hdl_actions", "hdl_end_times"])
    def test_an_annotation_that_lacks_some_lists_is_still_an_error(self, labelled, tmp_path, left):
        folder = tmp_path / "tea"
        shutil.copytree(labelled, folder)
        content = json.loads((folder / "tea.json").read_text())
        del content["brew"][left]
        (folder / "tea.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match=f"'{left}' is missing"):
            load_data(self.config(folder))

    def test_a_missing_annotation_is_an_error_where_labels_are_expected(self, labelled, tmp_path):
        folder = tmp_path / "tea"
        shutil.copytree(labelled, folder)
        (folder / "tea.json").unlink()
        with pytest.raises(DataError, match="no such file"):
            load_data(self.config(folder))

    def test_neither_annotation_nor_features(self, tmp_path):
        (tmp_path / "tea" / "features").mkdir(parents=True)
        with pytest.raises(DataError, match="holds no feature file, and there is no"):
            load_data(self.config(tmp_path / "tea", LABELS=False))

    def test_a_handle_that_leaves_the_folder_is_refused_without_labels_too(self, labelled, tmp_path):
        folder = tmp_path / "tea"
        shutil.copytree(labelled, folder)
        (folder / "tea.json").write_text(json.dumps({"brew": {"handles": ["../x", "brew_1", "brew_2"]}}))
        with pytest.raises(DataError, match="leaves the data folder"):
            load_data(self.config(folder))

    def test_features_of_one_format_are_taken_from_a_folder(self, labelled, tmp_path):
        folder = tmp_path / "tea"
        shutil.copytree(labelled, folder)
        (folder / "tea.json").unlink()
        (folder / "features" / ".hidden.npy").write_bytes(b"")
        np.savetxt(folder / "features" / "note.csv", np.ones((3, 4)))
        data = load_data(self.config(folder, LABELS=False))
        assert len(data.train) + len(data.val) + len(data.test) == 8
