"""The command: what it writes where, what it reuses, and how it says what is wrong."""

import json
import logging
import os
import shutil

import pytest
import torch

import eval as evaluate
from models.build_model import build_model
from tests.prediction_runs import small_config
from utils.checkpoints.fingerprint import weights_digest
from utils.ckpt_save import ckpt_save, load_checkpoint, save_content
from utils.command import run_command
from utils.data.dataset import load_data
from utils.errors import BAD_INPUT, FAILED, CheckpointError
from utils.evaluation import checkpoint as checkpoint_evaluation
from utils.prediction.embedding import TRAINED
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.training_embeddings import embed_training_videos, load_training_embeddings

ONLINE = "OPE_video_online"


@pytest.fixture(scope="module")
def checkpoints(data_root, tmp_path_factory):
    """Two untrained checkpoints of one run: no training is needed to evaluate."""
    config = small_config(DATASET_NAME="synthetic", DATASET_PATH=str(data_root))
    data = load_data(config)
    folder = tmp_path_factory.mktemp("trained") / "ckpt"
    for seed, kind in enumerate(("combined", "alignment")):
        torch.manual_seed(seed)
        network = build_model(config, data.feature_width, len(data.train.tasks))
        ckpt_save(
            network, None, 1, 0.5, folder / f"best_model_{kind}.pt", config, feature_width=data.feature_width,
            tasks=list(data.train.tasks), standardization=data.standardization,
        )
    return folder


@pytest.fixture
def run(checkpoints, tmp_path):
    """A run of its own with both checkpoints."""
    shutil.copytree(checkpoints, tmp_path / "run" / "ckpt")
    return tmp_path / "run"


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        options = [] if "--checkpoint" in arguments else ["--checkpoint", "best_model_combined.pt"]
        options += [] if "--figures" in arguments else ["--figures", "0"]
        return run_command(evaluate.main, ["eval.py", "--no-classifier", *map(str, [*options, *arguments])])

    return call


def results_of(folder):
    return json.loads((folder / "metrics.json").read_text())["results"]


class TestFolders:
    def test_one_task_alone_leaves_the_evaluation_of_all_as_it_is(self, command, run, capsys):
        assert command("--folder", run) == 0
        everything = run / "EVAL" / "best_model_combined"
        before = (everything / "metrics.json").read_bytes()
        tasks = sorted({row["task"] for row in results_of(everything)} - {"mean of tasks"})
        assert command("--folder", run, "--task", tasks[0]) == 0
        assert (everything / "metrics.json").read_bytes() == before
        one = run / "EVAL" / f"best_model_combined+{tasks[0]}"
        assert {row["task"] for row in results_of(one)} == {tasks[0], "mean of tasks"}
        assert f"written to {one.resolve()}" in capsys.readouterr().out
        assert "best_model_combined+" in (run / "report.html").read_text()

    def test_evaluated_twice_it_is_the_same(self, command, run):
        contents = []
        for _ in range(2):
            assert command("--folder", run) == 0
            contents.append((run / "EVAL" / "best_model_combined" / "metrics.json").read_bytes())
        assert contents[0] == contents[1]

    def test_a_run_that_was_moved_is_evaluated_where_it_lies_now(self, command, run, tmp_path):
        moved = run.rename(tmp_path / "another run")
        assert command("--checkpoint", moved / "ckpt" / "best_model_combined.pt") == 0
        assert (moved / "EVAL" / "best_model_combined" / "report.html").is_file()

    def test_a_folder_that_cannot_be_written_to_is_said_before_anything_is_computed(
        self, command, run, tmp_path, monkeypatch, caplog
    ):
        def never(*_):
            raise AssertionError("the data is read too early")

        monkeypatch.setattr(checkpoint_evaluation, "load_data", never)
        (run / "EVAL").write_text("a file where a folder should be")
        assert command("--folder", run) in (BAD_INPUT, FAILED)
        assert "cannot write to" in caplog.text
        assert "--output names another folder" in caplog.text

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_read_only_run_is_evaluated_into_another_folder(self, command, run, tmp_path, caplog):
        for folder in (run / "ckpt", run):
            folder.chmod(0o500)
        try:
            assert command("--folder", run) == FAILED
            assert "--output names another folder" in caplog.text
            assert command("--folder", run, "--output", tmp_path / "elsewhere") == 0
            assert "train_embeddings.pt could not be written" in caplog.text
        finally:
            for folder in (run, run / "ckpt"):
                folder.chmod(0o700)
        assert results_of(tmp_path / "elsewhere")


class TestMistakes:
    def test_a_data_set_that_is_gone_is_one_line_with_the_option_that_helps(
        self, command, run, data_root, tmp_path, caplog
    ):
        assert command("--folder", run, "--dataset-path", tmp_path / "gone") == BAD_INPUT
        assert "gone/synthetic does not exist; --dataset-path names the folder that holds synthetic" in caplog.text
        shutil.copytree(data_root / "synthetic", tmp_path / "moved" / "synthetic")
        assert command("--folder", run, "--dataset-path", tmp_path / "moved") == 0

    def test_a_misspelled_task(self, command, run, caplog):
        assert command("--folder", run, "--task", "procedur1") == BAD_INPUT
        assert "did you mean 'procedure1'" in caplog.text

    def test_a_task_that_the_network_was_never_trained_on(self, command, run, caplog):
        path = run / "ckpt" / "best_model_combined.pt"
        content = load_checkpoint(path)
        own, other = content["tasks"]
        save_content({**content, "tasks": [own]}, path)
        assert command("--folder", run, "--task", other) == BAD_INPUT
        assert f"was not trained on {other!r}" in caplog.text
        assert f"it was trained on {own!r}" in caplog.text
        assert not list((run / "EVAL").rglob("metrics.json"))

    @pytest.mark.parametrize(("arguments", "message"), [
        (["--figures", "-1"], "-1 is negative"),
        (["--figures", "two"], "invalid"),
        (["--split", "train"], "invalid choice"),
        (["--compare", "run"], "at least two"),
        (["--compare", "run", "run/ckpt/best_model_combined.pt"], "one checkpoint twice"),
        (["--compare", "run", "other", "--output", "x"], "leave out --folder and --output"),
    ])
    def test_wrong_options(self, command, run, capsys, arguments, message):
        with pytest.raises(SystemExit) as stopped:
            command(*arguments)
        assert stopped.value.code == BAD_INPUT
        assert message in capsys.readouterr().err


def test_without_a_wish_the_tasks_are_those_of_the_training(data_root, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    config = small_config(crosstask=False, DATASET_NAME="synthetic", DATASET_PATH=str(data_root))
    data = load_data(config)
    own, other = data.train.tasks
    network = build_model(config, data.feature_width, 1)
    ckpt_save(network, None, 1, 0.5, tmp_path / "x.pt", config, tasks=[own], standardization=data.standardization)
    assert evaluate.main(["eval.py", "--checkpoint", str(tmp_path / "x.pt"), "--figures", "0", "--no-classifier"]) == 0
    assert {row["task"] for row in results_of(tmp_path / "EVAL" / "x")} == {own, "mean of tasks"}
    assert f"task {other!r} is left out: the checkpoint was not trained on it" in caplog.text


def test_frames_ahead_are_frames_of_the_recording(data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small_config(causal=False, DATASET_NAME="synthetic", DATASET_PATH=str(data_root), SKIP_RATE=2)
    data = load_data(config)
    network = build_model(config, data.feature_width, len(data.train.tasks))
    path, entries = tmp_path / "x.pt", {"tasks": list(data.train.tasks), "standardization": data.standardization}
    ckpt_save(network, None, 1, 0.5, path, config, progress_normalizers=dict.fromkeys(entries["tasks"], 1.0), **entries)
    assert evaluate.main(["eval.py", "--checkpoint", str(path), "--figures", "0", "--no-classifier"]) == 0
    ahead = ProgressPredictor.from_checkpoint(path, task=entries["tasks"][0]).frames_ahead
    assert ahead == 2 * network.frames_ahead > 0
    content = json.loads((tmp_path / "EVAL" / "x" / "metrics.json").read_text())
    assert content["frames_ahead"] == ahead
    notes = [row["note"] for row in content["results"] if (row["metric"], row["variant"]) == (ONLINE, TRAINED)]
    assert all(f"an embedding sees {ahead} frames ahead" in note for note in notes)
    assert f"{ahead} later frames of the recording" in (tmp_path / "EVAL" / "x" / "report.html").read_text()


def test_validation_videos_chose_the_checkpoint_and_it_is_said(command, run, capsys):
    said = "these videos chose the best checkpoints"
    assert command("--folder", run) == 0
    assert said not in capsys.readouterr().out
    assert command("--folder", run, "--split", "val") == 0
    assert said in capsys.readouterr().out
    assert said in (run / "EVAL" / "best_model_combined-val" / "report.html").read_text()
    assert said not in (run / "EVAL" / "best_model_combined" / "report.html").read_text()


def test_what_the_table_begins_with_and_what_action_level_is_told(command, run, capsys):
    assert command("--folder", run) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Progress over the video, online (mean of tasks): the trained network ")
    assert "action, online, told start and label" in printed
    assert "untrained network: mean of 5 networks of different seeds" in printed
    page = (run / "EVAL" / "best_model_combined" / "report.html").read_text()
    assert printed.splitlines()[0] in page
    assert "told where the action begins and which one it is" in page


def test_published_definitions_are_measured_when_asked_for(command, run, monkeypatch):
    folder = run / "EVAL" / "best_model_combined"
    assert command("--folder", run) == 0
    names = {row["metric"] for row in results_of(folder)}
    assert command("--folder", run, "--published-definitions") == 0
    more = {row["metric"]: row for row in results_of(folder) if row["variant"] == TRAINED}
    published = {"KT_published", "PHP_published", *(f"PC_{percent}_published" for percent in (10, 50, 100))}
    assert set(more) - names == published
    assert 0 <= more["PC_100_published"]["mean"] <= 1
    assert more["PHP_published"]["mean"] is None
    assert more["PHP_published"]["note"] == "not every video shows every action and no background"


def test_features_that_have_moved(command, run, data_root, tmp_path, caplog):
    path = run / "ckpt" / "best_model_combined.pt"
    content = load_checkpoint(path)
    save_content({**content, "config": {**content["config"], "FEATURES_FOLDER": str(tmp_path / "old")}}, path)
    assert command("--folder", run) == BAD_INPUT
    assert "no such feature file" in caplog.text
    assert command("--folder", run, "--features-folder", data_root / "synthetic" / "features") == 0


class TestCompare:
    def test_figures_that_are_there_are_not_made_again(self, command, run, monkeypatch, caplog, capsys):
        paths = [run / "ckpt" / f"best_model_{kind}.pt" for kind in ("combined", "alignment")]
        assert command("--compare", *paths) == 0
        first = capsys.readouterr().out
        reports = sorted(run.rglob("report.html"))
        assert len(reports) == 3  # of either evaluation, and of the run
        times = [report.stat().st_mtime_ns for report in reports]
        evaluations = []
        original = checkpoint_evaluation.evaluate_checkpoint
        monkeypatch.setattr(
            checkpoint_evaluation, "evaluate_checkpoint",
            lambda path, *rest: evaluations.append(path) or original(path, *rest),
        )
        with caplog.at_level(logging.INFO):
            assert command("--compare", *paths) == 0
        assert capsys.readouterr().out == first
        assert evaluations == []
        assert "metrics.json: figures of" in caplog.text
        assert [report.stat().st_mtime_ns for report in reports] == times

        unreadable, of_other_weights = (run / "EVAL" / path.stem / "metrics.json" for path in paths)
        unreadable.write_text("[")
        digest = weights_digest(load_checkpoint(paths[1]))
        assert digest in of_other_weights.read_text()
        of_other_weights.write_text(of_other_weights.read_text().replace(digest, "0" * len(digest)))
        assert command("--compare", *paths) == 0
        assert evaluations == paths
        assert capsys.readouterr().out == first

    def test_a_full_evaluation_answers_a_comparison_without_the_classifier(self, run, capsys, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        paths = [str(run / "ckpt" / f"best_model_{kind}.pt") for kind in ("combined", "alignment")]
        for path in paths:
            assert evaluate.main(["eval.py", "--checkpoint", path, "--figures", "1"]) == 0
        before = {path: path.read_bytes() for path in (run / "EVAL").rglob("*") if path.is_file()}
        capsys.readouterr()
        arguments = ["eval.py", "--checkpoint", "x.pt", "--compare", *paths]
        assert evaluate.main([*arguments, "--no-classifier"]) == 0
        assert "PC_" not in capsys.readouterr().out
        assert evaluate.main(arguments) == 0
        assert "PC_100 (higher)" in capsys.readouterr().out
        assert before == {path: path.read_bytes() for path in (run / "EVAL").rglob("*") if path.is_file()}


def test_embeddings_are_those_of_the_content_whatever_the_file_has_become(run, data_root):
    """A training may write a better checkpoint while an older one of the same name is used."""
    path = run / "ckpt" / "best_model_combined.pt"
    content = load_checkpoint(path)
    data = load_data(content["config"], standardization=content["standardization"])
    before = embed_training_videos(path, content, data)
    shutil.copy(path.with_name("best_model_alignment.pt"), path)
    after = embed_training_videos(path, content, data)
    for task, videos in before.items():
        assert all(map(torch.equal, videos.embeddings, after[task].embeddings))


def test_embeddings_of_other_weights_are_refused_and_an_evaluation_replaces_them(command, run):
    path = run / "ckpt" / "best_model_combined.pt"
    assert command("--folder", run) == 0
    load_training_embeddings(path, load_checkpoint(path))
    shutil.copy(path.with_name("best_model_alignment.pt"), path)  # as a training that goes on writes a better one
    with pytest.raises(CheckpointError, match=r"other weights.*eval\.py.*replaces them"):
        load_training_embeddings(path, load_checkpoint(path))
    assert command("--folder", run) == 0
    load_training_embeddings(path, load_checkpoint(path))
