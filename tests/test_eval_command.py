"""The command: what it writes where, what it reuses, and how it says what is wrong."""

import csv
import io
import json
import logging
import os
import shutil

import numpy as np
import pytest
import torch

import eval as evaluate
from models.build_model import build_model
from tests.prediction_runs import small_config
from utils.checkpoints.fingerprint import weights_digest
from utils.ckpt_save import ckpt_save, load_checkpoint, load_model, save_content
from utils.command import run_command
from utils.data.dataset import load_data
from utils.errors import BAD_INPUT, FAILED, CheckpointError
from utils.evaluation import checkpoint as checkpoint_evaluation
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, embed_videos
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


@pytest.fixture(scope="module")
def given(checkpoints, tmp_path_factory):
    """The folder of the embeddings of all recordings but those of the validation split, and an experiment file."""
    folder = tmp_path_factory.mktemp("given")
    content = load_checkpoint(checkpoints / "best_model_combined.pt")
    data = load_data(content["config"], standardization=content["standardization"])
    network = {TRAINED: load_model(content)}
    (folder / "made elsewhere").mkdir()
    for part in (data.train, data.test):
        for video in embed_videos(network, part, range(len(part))):
            np.save(folder / "made elsewhere" / f"{video.handle}.npy", video.embeddings[TRAINED].numpy())
    assert len(data.val), "the test needs recordings whose embeddings aren't needed"
    (folder / "experiment.py").write_text(f"def get_config():\n    return {content['config']!r}\n")
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
            contents.append(json.loads((run / "EVAL" / "best_model_combined" / "metrics.json").read_text()))
            del contents[-1]["run"]["date"]
        assert json.dumps(contents[0]) == json.dumps(contents[1])

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
            assert command("--folder", run) == BAD_INPUT
            assert "--output names another folder" in caplog.text
            assert command("--folder", run, "--output", tmp_path / "elsewhere") == 0
            assert "train_embeddings.pt could not be written" in caplog.text
        finally:
            for folder in (run, run / "ckpt"):
                folder.chmod(0o700)
        assert results_of(tmp_path / "elsewhere")


class TestEmbeddings:
    """Embeddings that any other code made, here those of a checkpoint, so that its own evaluation is known."""

    @pytest.fixture
    def evaluate_given(self, given, tmp_path):
        shutil.copytree(given, tmp_path / "given")
        options = ["--embeddings", tmp_path / "given" / "made elsewhere", "--config", tmp_path / "given/experiment.py"]

        def call(*arguments):
            return run_command(evaluate.main, ["eval.py", *map(str, [*options, *arguments])])

        return call

    def test_figures_are_those_of_the_checkpoint_that_made_them(self, evaluate_given, run, tmp_path, capsys):
        assert run_command(
            evaluate.main, ["eval.py", "--checkpoint", str(run / "ckpt/best_model_combined.pt"), "--figures", "0"]
        ) == 0
        capsys.readouterr()
        assert evaluate_given("--frames-ahead", "0", "--figures", "1") == 0
        folder = tmp_path / "given" / "made elsewhere" / "EVAL" / "embeddings"
        expected, found = (
            {(row["metric"], row["variant"], row["task"]): row for row in results_of(each)}
            for each in (run / "EVAL" / "best_model_combined", folder)
        )
        assert {key[0] for key in found} == {key[0] for key in expected}
        assert {key for key in expected if UNTRAINED not in key[1]} == set(found)
        for row in (*expected.values(), *found.values()):  # there is no untrained network to differ from
            row["differences"] = [d for d in row.get("differences", ()) if d["kind"] != "untrained"]
        assert all(found[key] == expected[key] for key in found)
        assert any(key[1] == RAW for key in found)
        said = capsys.readouterr().out
        assert "trained network" in said
        assert "untrained" not in said
        report = (folder / "report.html").read_text()
        assert "; the tables call what made them the trained network" in report
        assert "made elsewhere" in report
        assert {path.name.partition("+")[0] for path in folder.glob("*.png")} == {"progress", "similarity", "map"}

    def test_without_features_there_is_no_row_of_raw_features(self, evaluate_given, tmp_path, caplog):
        assert evaluate_given("--features-folder", tmp_path / "gone", "--no-classifier", "--figures", "0") == 0
        assert "raw features are left out" in caplog.text
        rows = results_of(tmp_path / "given" / "made elsewhere" / "EVAL" / "embeddings")
        assert rows
        assert RAW not in {row["variant"] for row in rows}

    def test_causality_is_said_as_far_as_it_is_known(self, evaluate_given, tmp_path):
        folder = tmp_path / "given" / "made elsewhere" / "EVAL" / "embeddings"
        for options, note, ahead in (
            ([], "it is not known whether an embedding sees later frames", "not known"),
            (["--frames-ahead", "4"], "an embedding sees 4 frames ahead", 4),
        ):
            assert evaluate_given(*options, "--no-classifier", "--figures", "0") == 0
            online = [row for row in results_of(folder) if row["metric"] == "OPE_video_online"]
            assert {row["variant"] for row in online if note in row["note"]} >= {TRAINED}
            assert not [row for row in online if note in row["note"] and row["variant"] in ("clock", RAW)]
            assert json.loads((folder / "metrics.json").read_text())["frames_ahead"] == ahead
            assert str(ahead) in (folder / "report.html").read_text()

    def test_all_that_is_wrong_is_said_at_once(self, evaluate_given, tmp_path, caplog):
        folder = tmp_path / "given" / "made elsewhere"
        gone, other, broken, *_ = sorted(folder.glob("*.npy"))
        gone.unlink()
        values = np.load(other)
        np.save(other, values[:, :3])
        values[2, 1] = np.nan
        np.save(broken, values)
        assert evaluate_given() == BAD_INPUT
        assert f"{gone}: task" in caplog.text
        assert "no such feature file" in caplog.text
        assert f"{other}: task" in caplog.text
        assert f"{broken}: task" in caplog.text
        assert not list(folder.rglob("metrics.json"))

    def test_a_row_for_every_frame_of_the_features(self, evaluate_given, tmp_path, caplog):
        folder = tmp_path / "given" / "made elsewhere"
        files = sorted(folder.glob("*.npy"))[:2]
        for file in files:
            np.save(file, np.load(file)[:-1])  # an annotation may be a frame longer
        assert evaluate_given() == BAD_INPUT
        assert "2 problems" in caplog.text
        for file in files:
            count = len(np.load(file))
            assert f"{count} frames of embeddings; expected {count + 1}, as in" in caplog.text

    @pytest.mark.parametrize(("arguments", "message"), [
        (["--embeddings", "x"], "--embeddings needs --config"),
        (["--config", "x"], "go with --embeddings"),
        (["--frames-ahead", "1", "--checkpoint", "x"], "go with --embeddings"),
        (["--embeddings", "x", "--config", "y", "--checkpoint", "z"], "instead of --checkpoint"),
        (["--embeddings", "x", "--config", "y", "--frames-ahead", "-1"], "-1 is negative"),
        ([], "give --checkpoint, or --embeddings"),
    ])
    def test_wrong_options(self, capsys, arguments, message):
        with pytest.raises(SystemExit) as stopped:
            evaluate.main(["eval.py", *arguments])
        assert stopped.value.code == BAD_INPUT
        assert message in capsys.readouterr().err

    def test_a_folder_that_is_not_there(self, given, tmp_path, caplog):
        options = ["--embeddings", tmp_path / "gone", "--config", given / "experiment.py"]
        assert run_command(evaluate.main, ["eval.py", *map(str, options)]) == BAD_INPUT
        assert "gone is no folder" in caplog.text


class TestPictures:
    def test_a_video_by_name_and_other_formats(self, command, run):
        config = load_checkpoint(run / "ckpt" / "best_model_combined.pt")["config"]
        video = load_data(config).test.videos[-1]
        assert command("--folder", run, "--video", video.handle, "--formats", "svg") == 0
        folder = run / "EVAL" / "best_model_combined"
        progress = sorted(path.name for path in folder.glob("progress+*"))
        assert progress == [f"progress+{video.task}+{video.handle}.{suffix}" for suffix in ("png", "svg")]
        assert video.handle in (folder / "report.html").read_text()

    def test_validation_is_said_to_flatter(self, command, run, capsys):
        assert command("--folder", run, "--split", "val") == 0
        assert "chose the best checkpoints" in capsys.readouterr().out
        assert "chose the best checkpoints" in (run / "EVAL" / "best_model_combined-val" / "report.html").read_text()


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

    def test_a_misspelled_video(self, command, run, caplog, monkeypatch):
        monkeypatch.setattr(checkpoint_evaluation, "embed_videos", None)  # it is said before anything is embedded
        config = load_checkpoint(run / "ckpt" / "best_model_combined.pt")["config"]
        handle = load_data(config).test.videos[0].handle
        assert command("--folder", run, "--video", handle, "--video", f"{handle[:-1]}x{handle[-1]}") == BAD_INPUT
        assert f"no such video; did you mean {handle!r}?" in caplog.text

    @pytest.mark.parametrize(("arguments", "message"), [
        (["--formats", "gif"], "invalid choice"),
        (["--figures", "-1"], "-1 is negative"),
        (["--figures", "two"], "invalid"),
        (["--split", "train"], "invalid choice"),
        (["--compare", "run"], "at least two"),
        (["--compare", "run", "run/ckpt/best_model_combined.pt"], "one checkpoint twice"),
        (["--compare", "run", "other", "--folder", "x"], "leave out --folder"),
        (["--compare", "A=run"], "at least two"),
        (["--compare", "A=run", "other"], "other is a run by itself"),
        (["--compare", "A=run", "A=other"], "different names"),
        (["--compare", "A=run,,other", "B=third"], "no empty run"),
        (["--compare", "A=run", "B=run/ckpt/best_model_combined.pt"], "one checkpoint twice"),
        (["--format", "csv"], "goes with --compare"),
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


def test_key_steps_are_found_when_asked_for(command, run):
    folder = run / "EVAL" / "best_model_combined"
    assert command("--folder", run) == 0
    names = {row["metric"] for row in results_of(folder)}
    found = []
    for method in ("transport", "kmeans"):
        assert command("--folder", run, "--key-steps", "4", "--segmentation", method) == 0
        found.append({(row["metric"], row["variant"]): row["mean"] for row in results_of(folder)})
        own = {"KS_F1", "KS_IoU", *(f"KS_{what}_published" for what in ("F1", "IoU", "precision", "recall"))}
        assert {metric for metric, _ in found[-1]} - names == own
        for metric in own:
            variants = {variant for name, variant in found[-1] if name == metric}
            assert variants == {TRAINED, UNTRAINED, RAW, "equal parts", "random clusters"}
            assert all(0 < found[-1][metric, variant] <= 1 for variant in variants)
    one, other = ({key for key in each if key[0].startswith("KS_")} for each in found)
    assert one == other
    assert any(found[0][key] != found[1][key] for key in one)


@pytest.mark.parametrize("options", [["--key-steps", "0"], ["--key-steps", "few"], ["--segmentation", "spectral"]])
def test_key_steps_that_cannot_be_looked_for(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["eval.py", "--checkpoint", "x.pt", *options])
    assert stopped.value.code == 2
    assert options[0] in capsys.readouterr().err


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


class TestCompareGroups:
    """Groups of seeds, by files, without --checkpoint; figures are made once."""

    @pytest.fixture
    def runs(self, run, tmp_path):
        shutil.copytree(run, tmp_path / "run2")
        for folder, seed in ((run, 5), (tmp_path / "run2", 6)):
            for kind in ("combined", "alignment"):
                path = folder / "ckpt" / f"best_model_{kind}.pt"
                content = load_checkpoint(path)
                torch.manual_seed(seed)
                weights = content["model_state_dict"]
                noise = {name: weight + 0.01 * torch.randn_like(weight) for name, weight in weights.items()}
                save_content({**content, "model_state_dict": noise}, path)
        return [run, tmp_path / "run2"]

    def test_as_text_as_csv_and_as_latex(self, runs, capsys, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        groups = [
            f"{name}={','.join(str(run / 'ckpt' / f'best_model_{kind}.pt') for run in runs)}"
            for name, kind in (("combined_loss", "combined"), ("alignment_loss", "alignment"))
        ]

        def compare(*options):
            arguments = ["eval.py", "--no-classifier", "--figures", "0", "--compare", *groups, *options]
            assert run_command(evaluate.main, arguments) == 0
            return capsys.readouterr().out

        text = compare()
        assert "alignment_loss - combined_loss" in text
        assert " ± " in text
        assert text == compare()
        rows = list(csv.DictReader(io.StringIO(compare("--format", "csv"))))
        figures = [
            [
                {r["metric"]: r for r in results_of(run / "EVAL" / f"best_model_{kind}")
                 if (r["variant"], r["task"]) == (TRAINED, "mean of tasks")}
                for run in runs
            ]
            for kind in ("combined", "alignment")
        ]  # fmt: skip
        assert len(rows) == 2 * len(figures[0][0])
        counted = 0
        for first, second in zip(rows[::2], rows[1::2], strict=True):
            means = np.array([[run[first["metric"]]["mean"] for run in runs_] for runs_ in figures], dtype=np.float64)
            if np.isnan(means).any():  # so few recordings have no figure of some metrics
                assert first["mean"] == second["mean"] == second["difference"] == ""
                continue
            counted += 1
            assert float(first["mean"]) == pytest.approx(means[0].mean())
            assert float(second["deviation"]) == pytest.approx(means[1].std(ddof=1))
            assert float(second["difference"]) == pytest.approx(means[1].mean() - means[0].mean(), abs=1e-9)
        assert counted >= 8
        compare("--format", "latex", "--output", "tables/table.tex")
        table = (tmp_path / "tables" / "table.tex").read_text()
        assert r"combined\_loss & alignment\_loss & alignment\_loss $-$ combined\_loss" in table
        assert table.endswith("\\end{tabular}\n")

        # Runs by themselves, and folders of evaluations, in the same formats.
        folders = [str(run / "EVAL" / "best_model_combined") for run in runs]
        groups = folders
        alone = list(csv.DictReader(io.StringIO(compare("--format", "csv"))))
        assert {row["group"] for row in alone} == {"A", "B"}
        assert {row["deviation"] for row in alone} == {""}
        assert "paired by video" in compare()

    def test_a_run_needs_the_name_of_a_checkpoint(self, runs, capsys):
        with pytest.raises(SystemExit) as stopped:
            evaluate.main(["eval.py", "--compare", f"A={runs[0]}", f"B={runs[1]}"])
        assert stopped.value.code == BAD_INPUT
        assert "--checkpoint says which checkpoint of that run is meant" in capsys.readouterr().err


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
