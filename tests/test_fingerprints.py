"""Nothing stale: figures and training embeddings of other data, settings or weights are never used in silence."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch

import eval as evaluate
import predict
from models.build_model import build_model
from tests.prediction_runs import small_config
from utils.checkpoints.fingerprint import Fingerprint
from utils.ckpt_save import ckpt_save, load_checkpoint, save_content
from utils.command import run_command
from utils.data.dataset import load_data
from utils.errors import BAD_INPUT, DataError
from utils.evaluation import checkpoint as checkpoint_evaluation
from utils.prediction.training_embeddings import load_training_embeddings, training_embeddings_path


@pytest.fixture
def data(data_root, tmp_path):
    shutil.copytree(data_root, tmp_path / "data")
    return tmp_path / "data"


def write_checkpoint(path, data_path, weights=0, **settings):
    """An untrained network as a training on these data leaves it, but for the normalisers."""
    config = small_config(DATASET_NAME="synthetic", DATASET_PATH=str(data_path), **settings)
    data = load_data(config)
    torch.manual_seed(weights)
    network = build_model(config, data.feature_width, len(data.train.tasks))
    ckpt_save(
        network, None, 1, 0.5, path, config, feature_width=data.feature_width, tasks=list(data.train.tasks),
        standardization=data.standardization, data_fingerprint=data.fingerprint(),
    )
    return path


@pytest.fixture
def checkpoint(data, tmp_path):
    return write_checkpoint(tmp_path / "run" / "ckpt" / "best_model_combined.pt", data)


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Runs eval.py, and lists the checkpoints that it evaluated."""
    monkeypatch.chdir(tmp_path)
    original = checkpoint_evaluation.evaluate_checkpoint

    def call(*arguments, expected=0):
        paths = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                checkpoint_evaluation, "evaluate_checkpoint",
                lambda path, *rest: paths.append(path) or original(path, *rest),
            )
            options = [] if "--checkpoint" in arguments else ["--checkpoint", "x.pt"]
            command = ["eval.py", "--no-classifier", "--figures", "0", *options, *arguments]
            assert run_command(evaluate.main, list(map(str, command))) == expected
        return paths

    return call


@pytest.fixture
def progress(data, tmp_path, monkeypatch):
    """Runs predict.py by alignment on one recording; the progress of its frames, or None where it is refused."""
    monkeypatch.chdir(tmp_path)
    recording = sorted((data / "synthetic" / "features").glob("*.npy"))[-1]
    shutil.copy(recording, tmp_path / "recording.npy")

    def call(path, *arguments):
        shutil.rmtree(tmp_path / "predictions", ignore_errors=True)
        command = ["predict.py", "recording.npy", "--readout", "alignment", "--checkpoint", path, *arguments]
        code = run_command(predict.main, list(map(str, command)))
        if code:
            assert code == BAD_INPUT
            return None
        with open(tmp_path / "predictions" / "recording.csv", newline="", encoding="utf-8") as file:
            return [float(row["progress"]) for row in csv.DictReader(file)]

    return call


def correct_annotation(root, split=None):
    """Makes the first segment that is no background one, in every recording or in those of a split."""
    path = root / "synthetic" / "synthetic.json"
    content = json.loads(path.read_text())
    data = load_data(small_config(DATASET_NAME="synthetic", DATASET_PATH=str(root)))
    chosen = {video.handle for part in ([split] if split else ["train", "val", "test"])
              for video in getattr(data, part).videos}  # fmt: skip
    for task in content.values():
        for handle, actions in zip(task["handles"], task["hdl_actions"], strict=True):
            if handle in chosen:
                actions[next(i for i, action in enumerate(actions) if action != "SIL")] = "SIL"
    path.write_text(json.dumps(content))


def change_feature(root, split):
    data = load_data(small_config(DATASET_NAME="synthetic", DATASET_PATH=str(root)))
    path = getattr(data, split).videos[0].path
    features = np.load(path)
    features[3, 1] += 1
    np.save(path, features)


def metrics_file(checkpoint):
    return checkpoint.parents[1] / "EVAL" / checkpoint.stem / "metrics.json"


class TestPrediction:
    def test_a_corrected_annotation_is_refused_until_the_embeddings_are_made_anew(
        self, evaluated, progress, data, checkpoint, caplog
    ):
        evaluated("--checkpoint", checkpoint)
        before = progress(checkpoint)
        correct_annotation(data, "train")
        assert progress(checkpoint) is None
        assert "embeddings of other annotation of the training recordings than" in caplog.text
        assert f"eval.py --checkpoint {checkpoint}, or predict.py with --dataset-path, replaces them" in caplog.text
        evaluated("--checkpoint", checkpoint)
        caplog.clear()
        after = progress(checkpoint)
        assert np.abs(np.subtract(after, before)).max() > 0.05
        assert "embeddings of other segments of the training recordings than the training had" in caplog.text
        training_embeddings_path(checkpoint).unlink()
        evaluated("--checkpoint", checkpoint)
        assert progress(checkpoint) == after

    def test_with_the_data_they_are_made_anew(self, evaluated, progress, data, checkpoint, caplog):
        evaluated("--checkpoint", checkpoint)
        before = progress(checkpoint, "--dataset-path", data)
        file = training_embeddings_path(checkpoint)
        times = file.stat().st_mtime_ns
        assert progress(checkpoint, "--dataset-path", data) == before
        assert file.stat().st_mtime_ns == times
        correct_annotation(data, "train")
        after = progress(checkpoint, "--dataset-path", data)
        assert np.abs(np.subtract(after, before)).max() > 0.05
        assert "they are made again" in caplog.text
        assert progress(checkpoint) == after
        evaluated("--checkpoint", checkpoint)
        assert progress(checkpoint) == after

    def test_what_is_not_of_the_training_recordings_makes_nothing_stale(self, evaluated, progress, data, checkpoint):
        evaluated("--checkpoint", checkpoint)
        before = progress(checkpoint)
        correct_annotation(data, "test")
        change_feature(data, "test")
        assert progress(checkpoint) == before

    def test_features_changed_in_place(self, evaluated, progress, data, checkpoint, caplog):
        evaluated("--checkpoint", checkpoint)
        change_feature(data, "train")
        assert progress(checkpoint, "--dataset-path", data) is not None
        assert "of other features of the training and validation recordings; they are made again" in caplog.text

    @pytest.mark.parametrize("entry", [{}, {"weights": "0" * 64}, {"fingerprint": "none"}])
    def test_an_old_file_is_refused_with_the_command_that_replaces_it(
        self, evaluated, progress, data, checkpoint, caplog, entry
    ):
        evaluated("--checkpoint", checkpoint)
        expected = progress(checkpoint)
        file = training_embeddings_path(checkpoint)
        content = torch.load(file, weights_only=True)
        del content["fingerprint"]
        save_content({**content, **entry}, file)
        assert progress(checkpoint) is None
        assert f"does not say what it was made from; eval.py --checkpoint {checkpoint}, or" in caplog.text
        assert progress(checkpoint, "--dataset-path", data) == expected
        assert progress(checkpoint) == expected

    def test_another_setting_of_the_same_weights(self, evaluated, progress, checkpoint, caplog):
        evaluated("--checkpoint", checkpoint)
        content = load_checkpoint(checkpoint)
        save_content({**content, "config": {**content["config"], "SKIP_RATE": 2}}, checkpoint)
        assert progress(checkpoint) is None
        assert "holds embeddings of other SKIP_RATE than" in caplog.text

    def test_without_the_data_they_are_used(self, evaluated, progress, data, checkpoint):
        evaluated("--checkpoint", checkpoint)
        before = progress(checkpoint)
        shutil.rmtree(data)
        assert progress(checkpoint) == before


class TestEmbeddingsOfAnEvaluation:
    def test_other_data_leave_them_as_they_are(self, evaluated, data, checkpoint, tmp_path, caplog):
        shutil.copytree(data, tmp_path / "other")
        correct_annotation(tmp_path / "other")
        file = training_embeddings_path(checkpoint)
        evaluated("--checkpoint", checkpoint, "--dataset-path", tmp_path / "other")
        assert not file.exists()
        assert "of other segments of the training recordings than the training was" in caplog.text
        evaluated("--checkpoint", checkpoint)
        before = file.read_bytes()
        evaluated("--checkpoint", checkpoint, "--dataset-path", tmp_path / "other")
        assert file.read_bytes() == before

    def test_the_same_data_in_another_place_are_the_same(self, evaluated, data, checkpoint, tmp_path):
        shutil.move(data, tmp_path / "moved")
        evaluated("--checkpoint", checkpoint, "--dataset-path", tmp_path / "moved")
        assert load_training_embeddings(checkpoint, load_checkpoint(checkpoint))

    def test_of_a_checkpoint_that_notes_no_data_other_places_are_not_trusted(
        self, evaluated, data, checkpoint, tmp_path, caplog
    ):
        content = load_checkpoint(checkpoint)
        del content["data_fingerprint"]
        save_content(content, checkpoint)
        shutil.copytree(data, tmp_path / "other")
        evaluated("--checkpoint", checkpoint, "--dataset-path", tmp_path / "other")
        assert not training_embeddings_path(checkpoint).exists()
        assert "may be others than those of the training" in caplog.text


class TestComparison:
    @pytest.fixture
    def paths(self, data, tmp_path):
        """Two runs of the same settings and other seeds."""
        return [
            write_checkpoint(tmp_path / name / "ckpt" / "best_model_combined.pt", data, seed, SEED=seed)
            for seed, name in enumerate("ab")
        ]

    def test_runs_of_other_seeds_compare_and_the_data_are_read_once(self, evaluated, paths, monkeypatch):
        assert evaluated("--compare", *paths) == paths
        loads = []
        original = load_data
        monkeypatch.setattr(
            checkpoint_evaluation, "load_data", lambda *given, **named: loads.append(1) or original(*given, **named)
        )
        assert evaluated("--compare", *paths) == []
        assert len(loads) == 1

    def test_figures_of_another_seed_are_not_taken(self, evaluated, paths, caplog):
        evaluated("--compare", *paths)
        expected = metrics_file(paths[1]).read_bytes()
        shutil.copy(metrics_file(paths[0]), metrics_file(paths[1]))
        assert evaluated("--compare", *paths) == [paths[1]]
        assert "figures of other weights and SEED; evaluated again" in caplog.text
        assert metrics_file(paths[1]).read_bytes() == expected

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_a_corrected_annotation(self, evaluated, data, paths, caplog, split):
        evaluated("--compare", *paths)
        correct_annotation(data, split)
        assert evaluated("--checkpoint", paths[0]) == [paths[0]]
        assert evaluated("--compare", *paths) == [paths[1]]
        named = "training" if split == "train" else "test"
        assert f"segments of the {named} recordings; evaluated again" in caplog.text

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_features_changed_in_place(self, evaluated, data, paths, split):
        evaluated("--compare", *paths)
        change_feature(data, split)
        assert evaluated("--compare", *paths) == paths

    def test_another_path_of_the_data(self, evaluated, data, paths, tmp_path):
        evaluated("--compare", *paths)
        shutil.copytree(data, tmp_path / "other")
        correct_annotation(tmp_path / "other")
        for path in paths:
            content = load_checkpoint(path)
            save_content({**content, "config": {**content["config"], "DATASET_PATH": str(tmp_path / "other")}}, path)
        assert evaluated("--compare", *paths) == paths

    def test_the_same_data_at_another_path_change_nothing(self, evaluated, data, paths, tmp_path):
        evaluated("--compare", *paths)
        shutil.copytree(data, tmp_path / "other")
        content = load_checkpoint(paths[1])
        save_content({**content, "config": {**content["config"], "DATASET_PATH": str(tmp_path / "other")}}, paths[1])
        assert evaluated("--compare", *paths) == []

    @pytest.mark.parametrize("setting", [{"SKIP_RATE": 2}, {"BACKGROUND_LABELS": ("SIL", "another")}])
    def test_another_setting_of_the_same_weights(self, evaluated, paths, setting, caplog):
        evaluated("--compare", *paths)
        for path in paths:
            content = load_checkpoint(path)
            save_content({**content, "config": {**content["config"], **setting}}, path)
        assert evaluated("--compare", *paths) == paths
        assert f"figures of other {next(iter(setting))}" in caplog.text

    def test_another_version_of_the_metrics(self, evaluated, paths, monkeypatch):
        evaluated("--compare", *paths)
        monkeypatch.setattr(checkpoint_evaluation, "METRICS_VERSION", -1)
        assert evaluated("--compare", *paths) == paths

    def test_old_figures_are_made_anew(self, evaluated, paths):
        evaluated("--compare", *paths)
        description = json.loads(metrics_file(paths[0]).read_text())
        weights = description.pop("fingerprint")["weights"]
        metrics_file(paths[0]).write_text(json.dumps({**description, "weights": weights}))
        assert evaluated("--compare", *paths) == paths[:1]

    def test_other_truths_are_refused_before_anything_is_computed(
        self, evaluated, data, paths, tmp_path, caplog, capsys
    ):
        skipping = write_checkpoint(tmp_path / "c" / "best_model_combined.pt", data, SKIP_RATE=2)
        assert evaluated("--compare", paths[0], skipping, expected=BAD_INPUT) == []
        assert f"{paths[0]} and {skipping} can't be paired" in caplog.text
        assert "SKIP_RATE is 1 and 2" in caplog.text
        shutil.copytree(data, tmp_path / "other")
        correct_annotation(tmp_path / "other", "test")
        other = write_checkpoint(tmp_path / "d" / "best_model_combined.pt", tmp_path / "other")
        assert evaluated("--compare", *paths, other, expected=BAD_INPUT) == []
        assert f"{paths[0]} and {other} can't be paired" in caplog.text
        assert "their annotation, their lengths or the choice of the test recordings differ" in caplog.text
        assert f"{paths[0]} and {paths[1]}" not in caplog.text
        assert capsys.readouterr().out == ""

    def test_another_annotation_of_the_training_recordings_is_no_other_truth(self, evaluated, data, paths, tmp_path):
        shutil.copytree(data, tmp_path / "other")
        correct_annotation(tmp_path / "other", "train")
        other = write_checkpoint(tmp_path / "d" / "best_model_combined.pt", tmp_path / "other")
        assert evaluated("--compare", paths[0], other) == [paths[0], other]

    def test_a_run_of_one_task_compares_with_one_of_all(self, evaluated, data, paths, tmp_path):
        task = load_checkpoint(paths[0])["tasks"][0]
        alone = write_checkpoint(tmp_path / "d" / "best_model_combined.pt", data, TASKS=(task,))
        assert evaluated("--compare", paths[0], alone) == [paths[0], alone]


def test_a_fingerprint_survives_a_file_and_names_what_differs(checkpoint):
    content = load_checkpoint(checkpoint)
    one = Fingerprint.of(content, content["config"], {"annotation": "1"})
    assert Fingerprint.read(json.loads(json.dumps(one.as_description()))) == one
    run_only = {"DATASET_PATH": "elsewhere", "DEVICE": "cpu", "EXPERIMENTNAME": "another"}
    assert one.differences(Fingerprint.of(content, {**content["config"], **run_only}, {"annotation": "1"})) == []
    standardized = {**content, "standardization": {"mean": torch.zeros(1), "std": torch.ones(1)}}
    other = Fingerprint.of(standardized, {**content["config"], "SKIP_RATE": 3}, {}, {"version": 2})
    expected = ["weights", "SKIP_RATE", "annotation", "version of the metrics"]
    assert one.differences(other) == other.differences(one) == expected


@pytest.mark.parametrize("stored", [None, 3, "", {}, {"weights": 1, "settings": {}, "data": {}, "metrics": {}},
                                    {"weights": "", "settings": [], "data": {}, "metrics": {}}])
def test_what_is_no_fingerprint_is_refused(stored):
    with pytest.raises(DataError, match="does not say what it was made from"):
        Fingerprint.read(stored)
