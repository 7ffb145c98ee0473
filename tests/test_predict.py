"""The command: files and folders in, CSV files and pictures out; frames on standard input, progress at once."""

import contextlib
import csv
import errno
import io
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

import multitask_train
import predict
from models.build_model import build_model
from tests.conftest import ROOT, training_arguments
from tests.prediction_runs import recording, small_config, write_checkpoint
from utils.ckpt_save import ckpt_save, load_checkpoint, load_model, save_content
from utils.command import run_command
from utils.data.dataset import load_data
from utils.errors import BAD_INPUT, FAILED
from utils.evaluation.checkpoint import EvaluationRequest, evaluate_checkpoint
from utils.prediction import training_embeddings
from utils.prediction.embedding import TRAINED, embed_videos
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.readouts import READOUTS
from utils.prediction.training_embeddings import load_training_embeddings, training_embeddings_path
from utils.training.progress_normalizers import mean_path_lengths


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_checkpoint(folder)
    return folder


@pytest.fixture
def command(run, tmp_path, monkeypatch):
    """Runs the command on the run's checkpoint inside this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, lines=None):
        if lines is not None:
            monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        options = [] if "--checkpoint" in arguments else ["--checkpoint", "best_model_combined.pt", "-f", run]
        return run_command(predict.main, ["predict.py", *map(str, [*options, *arguments])])

    return call


def save_recording(path, seed=1, frames=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, recording(seed, frames).numpy())
    return path


def read_progress(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(len(rows)))
    return [float(row["progress"]) for row in rows]


def as_lines(features):
    return "".join(" ".join(f"{x:.9g}" for x in frame) + "\n" for frame in features.tolist())


class TestFiles:
    @pytest.mark.parametrize("readout", READOUTS)
    def test_a_table_and_a_picture_for_each(self, command, run, tmp_path, readout):
        files = [save_recording(tmp_path / f"{name}.npy", seed) for seed, name in enumerate("ab")]
        assert command(*files, "--task", "cook", "--readout", readout, "--output", "out") == 0
        predictor = ProgressPredictor.from_checkpoint(run / "ckpt" / "best_model_combined.pt", "cook", readout)
        for file in files:
            given = read_progress(tmp_path / "out" / f"{file.stem}.csv")
            np.testing.assert_allclose(given, predictor.predict(np.load(file)), atol=1e-6)
            assert (tmp_path / "out" / f"{file.stem}.png").read_bytes().startswith(b"\x89PNG")
        assert len(list((tmp_path / "out").iterdir())) == 4

    def test_a_folder_is_all_its_files(self, command, tmp_path):
        for name in ("b", "a"):
            save_recording(tmp_path / "in" / f"{name}.npy")
        (tmp_path / "in" / "notes.txt").write_text("not features")
        assert command(tmp_path / "in") == 0
        assert {file.name for file in (tmp_path / "predictions").iterdir()} == {"a.csv", "a.png", "b.csv", "b.png"}

    def test_any_name_and_no_warning_about_its_letters(self, command, tmp_path, recwarn):
        names = ["mein Vidéo 茶 #1 $x_{$", "v" * 200]
        assert command(*(save_recording(tmp_path / f"{name}.npy") for name in names)) == 0
        written = {file.name for file in (tmp_path / "predictions").iterdir()}
        assert written == {f"{name}.{suffix}" for name in names for suffix in ("csv", "png")}
        assert not [w for w in recwarn if "Glyph" in str(w.message)]

    def test_a_name_of_bytes_that_are_no_characters(self, command, tmp_path):
        path = save_recording(tmp_path / os.fsdecode(b"a\xff.npy"))
        assert command(path) == 0
        assert len(list((tmp_path / "predictions").iterdir())) == 2

    def test_one_frame_is_legal(self, command, tmp_path):
        assert command(save_recording(tmp_path / "one.npy", frames=1)) == 0
        assert read_progress(tmp_path / "predictions" / "one.csv") == [0.0]

    def test_features_first_as_the_configuration_says(self, command, tmp_path):
        path = write_checkpoint(tmp_path / "run", small_config(FEATURE_LAYOUT="features_first"))
        np.save(tmp_path / "video.npy", recording(1, 30).numpy().T)
        assert command("--checkpoint", path, tmp_path / "video.npy") == 0
        assert len(read_progress(tmp_path / "predictions" / "video.csv")) == 30

    def test_a_lag_is_said(self, command, tmp_path, caplog):
        path = write_checkpoint(tmp_path / "run", small_config(causal=False, SKIP_RATE=2))
        with caplog.at_level(logging.INFO):
            assert command("--checkpoint", path, save_recording(tmp_path / "video.npy")) == 0
        ahead = ProgressPredictor.from_checkpoint(path).frames_ahead
        assert f"not causal: progress depends on {ahead} frames ahead" in caplog.text
        assert "every 2-th frame" in caplog.text


def write_hostile(path, kind):
    good = recording(1, 20).numpy()
    if kind == "text":
        path.write_text("0.1 0.2\n")
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(good))
    elif kind == "objects":
        np.save(path, np.array([{}, []], dtype=object), allow_pickle=True)
    elif kind == "truncated":
        np.save(path, good)
        path.write_bytes(path.read_bytes()[:-7])
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        nan = good.copy()
        nan[3, 1] = np.nan
        array = {"width": good[:, :3], "nan": nan, "frames": good[:0], "rank": good[0], "words": good.astype(str)}
        np.save(path, array[kind])


class TestOtherFeatures:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda x: np.clip(x * 50 + 128, 0, 255).astype(np.uint8), "standard deviations away from those of the"),
            (lambda x: x * 1e6, "standard deviations away from those of the training"),
            (lambda x: np.zeros_like(x), "the features hardly change"),
            (lambda x: x, ""),
            (lambda x: x[:1], ""),
        ],
    )
    def test_features_of_another_kind_are_said(self, command, tmp_path, caplog, change, words):
        np.save(tmp_path / "odd.npy", change(recording(1, 40).numpy()))
        assert command(tmp_path / "odd.npy", "--readout", "path") == 0
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert [words in warning for warning in warnings] == ([True] if words else [])
        assert all(f"{tmp_path / 'odd.npy'}: " in warning for warning in warnings)

    def test_of_a_stream_too_and_once(self, command, caplog, capsys):
        assert command("-", "--readout", "path", lines=as_lines(recording(1, 100).numpy() * 1e6)) == 0
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "standard deviations away" in warnings[0]

    def test_a_training_stores_what_its_features_are_like(self, data_root, tmp_path):
        settings = ["--config.NUM_EPOCHS=1", "--config.STANDARDIZE=False"]
        assert multitask_train.main(["train", *training_arguments(data_root, tmp_path, *settings)]) == 0
        checkpoint = load_checkpoint(tmp_path / "demo" / "run-001" / "ckpt" / "best_model_combined.pt")
        data = load_data(checkpoint["config"])
        frames = torch.cat([features for features, _ in data.train]).double()
        torch.testing.assert_close(
            checkpoint["feature_statistics"]["mean"].double(), frames.mean(dim=0), rtol=1e-4, atol=1e-5
        )
        assert checkpoint["standardization"] is None


class TestFolders:
    def test_it_goes_on_past_bad_files_and_says_so_at_the_end(self, command, run, tmp_path, caplog):
        good = save_recording(tmp_path / "in" / "good.npy")
        for kind in ("nan", "width", "truncated"):
            write_hostile(tmp_path / "in" / f"{kind}.npy", kind)
        (tmp_path / "in" / "._good.npy").write_bytes(b"Mac OS X")
        assert command(tmp_path / "in") == FAILED
        predictor = ProgressPredictor.from_checkpoint(run / "ckpt" / "best_model_combined.pt")
        given = read_progress(tmp_path / "predictions" / "good.csv")
        np.testing.assert_allclose(given, predictor.predict(np.load(good)), atol=1e-6)
        assert {file.name for file in (tmp_path / "predictions").iterdir()} == {"good.csv", "good.png"}
        *failures, last = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert [name for name in ("nan", "width", "truncated") for line in failures if f"{name}.npy: " in line] == [
            "nan", "width", "truncated",
        ]
        assert last == "3 of 4 files could not be predicted; the others are written"

    def test_a_folder_of_bad_files_alone_is_bad_input(self, command, tmp_path, caplog):
        (tmp_path / "in").mkdir()
        for kind in ("nan", "width"):
            write_hostile(tmp_path / "in" / f"{kind}.npy", kind)
        assert command(tmp_path / "in") == BAD_INPUT
        assert "nan.npy: " in caplog.text
        assert "width.npy: " in caplog.text
        assert not (tmp_path / "predictions").exists()

    def test_folders_inside_on_request(self, command, tmp_path, caplog):
        for place in ("P1/view.npy", "P2/view.npy", "top.npy"):
            save_recording(tmp_path / "in" / place)
        assert command(tmp_path / "in", "-r") == 0
        names = {str(file.relative_to(tmp_path / "predictions")) for file in (tmp_path / "predictions").rglob("*.csv")}
        assert names == {"P1/view.csv", "P2/view.csv", "top.csv"}
        (tmp_path / "in" / "top.npy").unlink()
        assert command(tmp_path / "in") == BAD_INPUT
        assert "its folders hold some: --recursive reads them" in caplog.text

    def test_other_formats_give_the_same(self, command, run, tmp_path):
        features = recording(1, 30).numpy()
        np.savez(tmp_path / "archive.npz", labels=np.arange(30), features=features)
        torch.save(torch.from_numpy(features), tmp_path / "tensor.pt")
        (tmp_path / "table.csv").write_text("a,b,c,d,e\n" + as_lines(features).replace(" ", ","))
        (tmp_path / "text.txt").write_text(as_lines(features))
        names = ["archive.npz", "tensor.pt", "table.csv", "text.txt"]
        assert command(*(tmp_path / name for name in names)) == 0
        expected = ProgressPredictor.from_checkpoint(run / "ckpt" / "best_model_combined.pt").predict(features)
        for name in names:
            given = read_progress(tmp_path / "predictions" / f"{name.partition('.')[0]}.csv")
            np.testing.assert_allclose(given, expected, atol=1e-5)

    def test_the_array_of_a_file_is_named(self, command, tmp_path, caplog):
        np.savez(tmp_path / "a.npz", pose=recording(1, 30).numpy(), hands=recording(2, 30).numpy())
        assert command(tmp_path / "a.npz") == BAD_INPUT
        assert "FEATURES_KEY" in caplog.text
        assert command(tmp_path / "a.npz", "--features-key", "pose") == 0
        assert len(read_progress(tmp_path / "predictions" / "a.csv")) == 30

    def test_the_progress_file_of_lerobot(self, command, tmp_path, caplog):
        parquet = pytest.importorskip("pyarrow.parquet")
        for number, frames in enumerate((5, 9)):
            save_recording(tmp_path / "in" / f"episode_{number:06d}.npy", number, frames)
        assert command(tmp_path / "in", "--lerobot", tmp_path / "progress.parquet") == 0
        table = parquet.read_table(tmp_path / "progress.parquet")
        assert {field.name: str(field.type) for field in table.schema} == {
            "index": "int64", "episode_index": "int64", "frame_index": "int64", "progress_sparse": "float",
        }  # fmt: skip
        assert table["episode_index"].to_pylist() == [0] * 5 + [1] * 9
        assert table["frame_index"].to_pylist() == [*range(5), *range(9)]
        written = [read_progress(tmp_path / "predictions" / f"episode_{number:06d}.csv") for number in range(2)]
        np.testing.assert_allclose(table["progress_sparse"].to_numpy(), [*written[0], *written[1]], atol=1e-6)
        assert table.schema.metadata[b"reward_model_path"].endswith(b"best_model_combined.pt")

    def test_recordings_without_numbers_are_no_episodes(self, command, tmp_path, caplog):
        pytest.importorskip("pyarrow.parquet")
        assert command(save_recording(tmp_path / "a.npy"), "--lerobot", tmp_path / "progress.parquet") == BAD_INPUT
        assert "'a' ends in no number" in caplog.text


class TestEmbeddings:
    @pytest.mark.parametrize("settings", [{}, {"SKIP_RATE": 3}, {"FEATURE_LAYOUT": "features_first"}])
    def test_they_are_those_that_the_evaluation_embeds(self, command, data_root, tmp_path, settings):
        """Of whole folders, in either layout, a row a frame; a frame that isn't seen has that of the last one seen."""
        source = tmp_path / "data" / "synthetic"
        shutil.copytree(data_root / "synthetic", source)
        if "FEATURE_LAYOUT" in settings:
            for file in (source / "features").iterdir():
                np.save(file, np.ascontiguousarray(np.load(file).T))
        config = small_config(DATASET_NAME="synthetic", DATASET_PATH=str(tmp_path / "data"), **settings)
        data = load_data(config)
        torch.manual_seed(0)
        network = build_model(config, data.feature_width, len(data.train.tasks))
        path = tmp_path / "run" / "ckpt" / "best_model_combined.pt"
        ckpt_save(
            network, None, 1, 0.5, path, config, feature_width=data.feature_width, tasks=list(data.train.tasks),
            standardization=data.standardization, progress_normalizers=dict.fromkeys(data.train.tasks, 1.0),
        )
        assert command("--checkpoint", path, source / "features", "--output", "out", "--embeddings") == 0
        embedded = embed_videos({TRAINED: network.eval()}, data.test, range(len(data.test)))
        assert embedded
        for video, recording_ in zip(embedded, data.test.videos, strict=True):
            written = np.load(tmp_path / "out" / f"{video.handle}.npy", allow_pickle=False)
            skip = settings.get("SKIP_RATE", 1)
            assert written.dtype == np.float32
            np.testing.assert_allclose(written[::skip], video.embeddings[TRAINED].numpy(), rtol=0, atol=1e-6)
            seen = np.arange(len(written)) // skip * skip
            assert np.array_equal(written, written[seen])
            assert len(written) == len(read_progress(tmp_path / "out" / f"{recording_.handle}.csv"))

    def test_without_the_option_there_are_none(self, command, tmp_path):
        assert command(save_recording(tmp_path / "in" / "a.npy")) == 0
        assert not list((tmp_path / "predictions").glob("*.npy"))

    def test_a_recording_is_never_replaced_by_its_embedding(self, command, tmp_path, caplog):
        path = save_recording(tmp_path / "in" / "a.npy")
        before = path.read_bytes()
        assert command(path, "--output", tmp_path / "in", "--embeddings") == BAD_INPUT
        assert "replaced by its embedding; --output names another folder" in caplog.text
        assert path.read_bytes() == before

    def test_nothing_is_written_where_a_recording_that_was_named_is_bad(self, command, tmp_path):
        good = save_recording(tmp_path / "in" / "a.npy")
        np.save(tmp_path / "in" / "b.npy", np.zeros((4, 3)))
        assert command(good, tmp_path / "in" / "b.npy", "--embeddings") == BAD_INPUT
        assert not (tmp_path / "predictions").exists()

    def test_a_bad_recording_of_a_folder_leaves_the_others_alone(self, command, tmp_path):
        for seed, name in enumerate(("a", "c")):
            save_recording(tmp_path / "in" / f"{name}.npy", seed)
        np.save(tmp_path / "in" / "b.npy", np.zeros((4, 3)))
        assert command(tmp_path / "in", "--embeddings") == FAILED
        written = {file.name for file in (tmp_path / "predictions").iterdir()}
        assert written == {f"{name}.{suffix}" for name in "ac" for suffix in ("csv", "png", "npy")}
        embeddings = [np.load(tmp_path / "predictions" / f"{name}.npy") for name in "ac"]
        assert not np.array_equal(*embeddings)

    def test_a_network_that_sees_later_frames_says_so(self, command, tmp_path, caplog):
        path = write_checkpoint(tmp_path / "run", small_config(causal=False))
        assert command("--checkpoint", path, save_recording(tmp_path / "a.npy"), "--embeddings") == 0
        assert "not causal: an embedding, and so progress, depends on" in caplog.text

    def test_not_of_frames_as_they_come(self, command, capsys):
        with pytest.raises(SystemExit):
            command("-", "--embeddings")
        assert "whole files" in capsys.readouterr().err


class TestHostileInputs:
    @pytest.mark.parametrize("kind", [
        "text", "nothing", "pickle", "objects", "truncated", "folder", "missing", "width", "nan", "frames", "rank",
        "words",
    ])
    def test_one_clear_line_and_nothing_written(self, command, tmp_path, caplog, kind):
        write_hostile(tmp_path / "hostile.npy", kind)
        good = save_recording(tmp_path / "good.npy")
        assert command(good, tmp_path / "hostile.npy") == BAD_INPUT
        errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert len(errors) == 1
        assert "hostile.npy" in errors[0]
        assert "\n" not in errors[0]
        assert not (tmp_path / "predictions").exists()

    def test_a_transposed_file_is_recognised(self, command, tmp_path, caplog):
        np.save(tmp_path / "turned.npy", recording(1, 20).numpy().T)
        assert command(tmp_path / "turned.npy") == BAD_INPUT
        assert "transposed? the network was trained on files laid out frames_first" in caplog.text

    def test_features_beyond_all_measure_are_refused_with_the_name_of_the_file(self, command, tmp_path, caplog):
        np.save(tmp_path / "huge.npy", np.where(recording(1, 20).numpy() > 0, 3e38, -3e38))
        assert command(tmp_path / "huge.npy") == BAD_INPUT
        assert "huge.npy: the network gives a non-finite embedding" in caplog.text

    def test_a_closed_standard_input(self, command, caplog, monkeypatch):
        monkeypatch.setattr(sys, "stdin", None)
        assert command("-") == BAD_INPUT
        assert "standard input is closed" in caplog.text

    def test_results_that_would_overwrite_each_other(self, command, tmp_path, caplog):
        files = [save_recording(tmp_path / name / "x.npy") for name in "ab"]
        assert command(*files) == BAD_INPUT
        assert "same x.csv" in caplog.text

    @pytest.mark.parametrize(("arguments", "message"), [
        (("--checkpoint", "none.pt"), "none.pt"),
        (("--checkpoint", __file__), "test_predict.py is "),
        (("--task", "dance"), "not trained on task 'dance'"),
    ])
    def test_a_wrong_checkpoint_or_task(self, command, run, tmp_path, caplog, arguments, message):
        arguments = (*arguments, "-f", run) if arguments[1] == "none.pt" else arguments
        assert command(save_recording(tmp_path / "x.npy"), *arguments) == BAD_INPUT
        assert message in caplog.text

    @pytest.mark.parametrize(("lines", "message"), [
        ("", "no frame"),
        ("\n\n", "no frame"),
        ("1 2 3\n", "line 1: 3 numbers; expected 5"),
        ("1 2 3 4 5\n\n1 2 3 4", "line 3: 4 numbers; expected 5"),  # a line cut off by the end of the stream
        ("1 2 3 4 5\n1 2 nan 4 5\n", "nan at frame 1, feature 2"),
        ("1 2 3 4 5\n\n1 2 three 4 5\n", "line 3"),
        ("1 2 3 4 1e99\n", "inf at frame 0"),
        ("\x80\x04\x95\n", "line 1"),
        ("1 2 nan 4 5\n", "--missing hold, or skip, goes on"),
    ])
    def test_standard_input(self, command, tmp_path, caplog, lines, message):
        assert command("-", lines=lines) == BAD_INPUT
        errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert len(errors) == 1
        assert errors[0].startswith("error: standard input")
        assert message in errors[0]
        assert "\n" not in errors[0]
        assert not list(tmp_path.iterdir())


class TestStandardInput:
    def test_frames_at_irregular_times_are_resampled(self, command, run, capsys, caplog):
        features = recording(1, 5).numpy()
        rows = as_lines(features).splitlines(True)
        times = [100.0, 100.5, 100.75, 102.0, 102.3]
        lines = "".join(f"{time}, {line}" for time, line in zip(times, rows, strict=True))
        assert command("-", "--timestamps", "2", lines=lines) == 0
        printed = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
        used = features[[0, 1, 2, 2, 3]]  # at 100, 100.5, 101, 101.5 and 102 seconds
        predictor = ProgressPredictor.from_checkpoint(run / "ckpt" / "best_model_combined.pt")
        assert [int(frame) for frame, _ in printed] == list(range(5))
        np.testing.assert_allclose([float(progress) for _, progress in printed], predictor.predict(used), atol=1e-5)
        for wrong, words in (
            (times[::-1], "the time of frame 1 is 102"), ([1.0, 2e9, 3e9, 4e9, 5e9], "are times in seconds?"),
            ([float("nan")] * 5, "the time of frame 0 is nan"),
        ):  # fmt: skip
            lines = "".join(f"{time} {line}" for time, line in zip(wrong, rows, strict=True))
            assert command("-", "--timestamps", "2", lines=lines) == BAD_INPUT
            assert words in caplog.messages[-1]

    @pytest.mark.parametrize("arguments", [("-", "--timestamps", "0"), ("a.npy", "--timestamps", "2")])
    def test_a_rate_that_cannot_be(self, command, capsys, arguments):
        with pytest.raises(SystemExit):
            command(*arguments, lines="")
        assert "a number of frames a second" in capsys.readouterr().err

    def test_missing_numbers_are_held_or_their_frames_left_out(self, command, run, capsys, caplog):
        features = recording(1, 12).numpy()
        lines = as_lines(features).splitlines()
        lines[4] = ""
        lines[7] = lines[7].replace(lines[7].split()[2], "nan")
        text = "\ufeff" + "\n".join(lines) + "\n"
        predictor = ProgressPredictor.from_checkpoint(run / "ckpt" / "best_model_combined.pt")

        def printed(*options):
            assert command("-", *options, lines=text) == 0
            rows = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
            return [int(frame) for frame, _ in rows], [float(progress) for _, progress in rows]

        held = features.copy()
        held[4], held[7, 2] = held[3], held[6, 2]
        frames, progress = printed("--missing", "hold")
        assert frames == list(range(12))
        np.testing.assert_allclose(progress, predictor.predict(held), atol=1e-5)
        assert "2 frames held, 0 frames left out" in caplog.text
        frames, progress = printed("--missing", "skip")
        assert frames == [0, 1, 2, 3, 5, 6, 8, 9, 10, 11]
        np.testing.assert_allclose(progress, predictor.predict(features[frames]), atol=1e-5)
        assert "0 frames held, 2 frames left out" in caplog.text

    @pytest.mark.parametrize("causal", [True, False])
    def test_prints_what_a_file_gives(self, command, tmp_path, capsys, causal):
        path = write_checkpoint(tmp_path / "run", small_config(causal=causal))
        features = recording(1, 30)
        assert command("--checkpoint", path, "-", lines=as_lines(features).replace(" ", ", ")) == 0
        header, *lines = capsys.readouterr().out.splitlines()
        assert header == "frame,progress"
        frames, progress = zip(*(line.split(",") for line in lines), strict=True)
        assert [int(frame) for frame in frames] == list(range(30))
        expected = ProgressPredictor.from_checkpoint(path).predict(features)
        np.testing.assert_allclose([float(p) for p in progress], expected, atol=1e-5)

    def test_progress_comes_before_the_next_frame(self, run):
        with streaming_process(run) as process:
            read_three(process)
            process.stdin.close()
            assert process.wait(timeout=300) == 0

    def test_ctrl_c_ends_it_in_one_line(self, run):
        with streaming_process(run) as process:
            read_three(process)
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=300)
            assert (process.returncode, rest) == (128 + signal.SIGINT, "")
            assert len(errors.splitlines()) == 1
            assert "stopped by SIGINT" in errors

    def test_a_reader_that_has_seen_enough_ends_it_silently(self, run):
        with streaming_process(run) as process:
            read_three(process)
            process.stdout.close()
            for frame in recording(2, 3):
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(as_lines(frame[None]))
                    process.stdin.flush()
            assert process.wait(timeout=300) == 0
            assert process.stderr.read() == ""


def streaming_process(run):
    arguments = [sys.executable, ROOT / "predict.py", "--checkpoint", run / "ckpt" / "best_model_combined.pt", "-"]
    arguments += ["--readout", "path"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(arguments, **pipes, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT)


def read_three(process):
    assert process.stdout.readline() == "frame,progress\n"
    for number, frame in enumerate(recording(1, 3)):
        process.stdin.write(as_lines(frame[None]))
        process.stdin.flush()
        assert process.stdout.readline().startswith(f"{number},")


@pytest.fixture(scope="module")
def checkpoint(data_root, tmp_path_factory):
    config = small_config(DATASET_NAME="synthetic", DATASET_PATH=str(data_root))
    data = load_data(config)
    torch.manual_seed(0)
    network = build_model(config, data.feature_width, len(data.train.tasks))
    path = tmp_path_factory.mktemp("embeddings") / "ckpt" / "best_model_combined.pt"
    ckpt_save(
        network, None, 1, 0.5, path, config, feature_width=data.feature_width, tasks=list(data.train.tasks),
        standardization=data.standardization,
    )
    return path


class TestTrainingEmbeddings:
    def test_a_checkpoint_without_normalisers_takes_them_from_the_training_videos(
        self, command, checkpoint, data_root, tmp_path, caplog
    ):
        training_embeddings_path(checkpoint).unlink(missing_ok=True)
        video = next((data_root / "synthetic" / "features").glob("*.npy"))
        task = load_checkpoint(checkpoint)["tasks"][0]
        arguments = ("--checkpoint", checkpoint, video, "--task", task)
        assert command(*arguments) == BAD_INPUT
        assert "holds no progress_normalizers" in caplog.text
        assert command(*arguments, "--dataset-path", data_root) == 0
        assert command(*arguments) == 0
        content = load_checkpoint(checkpoint)
        data = load_data(content["config"], standardization=content["standardization"])
        normalizers = mean_path_lengths(load_model(content), data.train, torch.device("cpu"))
        complete = tmp_path / "complete.pt"
        save_content({**content, "progress_normalizers": normalizers}, complete)
        expected = ProgressPredictor.from_checkpoint(complete, task).predict(np.load(video))
        given = read_progress(tmp_path / "predictions" / f"{video.stem}.csv")
        np.testing.assert_allclose(given, expected, atol=2e-6)

    @pytest.mark.parametrize("readout", READOUTS)
    def test_where_they_cannot_be_kept_they_are_used_all_the_same(
        self, command, checkpoint, data_root, monkeypatch, caplog, readout, tmp_path
    ):
        def refuse(*_):
            raise OSError(errno.EROFS, "Read-only file system")

        training_embeddings_path(checkpoint).unlink(missing_ok=True)
        monkeypatch.setattr(training_embeddings, "save_training_embeddings", refuse)
        video = next((data_root / "synthetic" / "features").glob("*.npy"))
        arguments = ("--checkpoint", checkpoint, video, "--dataset-path", data_root, "--readout", readout)
        assert command(*arguments) == 0
        assert "could not be kept for the next time" in caplog.text
        assert not training_embeddings_path(checkpoint).exists()
        without = read_progress(tmp_path / "predictions" / f"{video.stem}.csv")
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        assert command(*arguments) == 0
        assert read_progress(tmp_path / "predictions" / f"{video.stem}.csv") == without

    def test_a_data_set_that_is_not_needed_is_said_to_be_so(self, command, tmp_path, caplog):
        with caplog.at_level(logging.INFO):
            assert command(save_recording(tmp_path / "x.npy"), "--dataset-path", "nowhere") == 0
        assert "--dataset-path is not needed" in caplog.text

    def test_the_command_writes_what_an_evaluation_writes(self, command, checkpoint, data_root, tmp_path):
        file, content = training_embeddings_path(checkpoint), load_checkpoint(checkpoint)
        file.unlink(missing_ok=True)
        video = next((data_root / "synthetic" / "features").glob("*.npy"))
        shutil.copy(video, tmp_path / "video.npy")
        arguments = ("--checkpoint", checkpoint, tmp_path / "video.npy", "--readout", "alignment")
        assert command(*arguments) == BAD_INPUT
        assert command(*arguments, "--dataset-path", data_root) == 0
        written = load_training_embeddings(checkpoint, content)
        file.unlink()
        task = content["tasks"][0]
        request = EvaluationRequest(tasks=(task,), classify=False, figures=0)
        evaluate_checkpoint(checkpoint, request, tmp_path / "one")
        assert not file.exists()  # not all training tasks were embedded
        evaluate_checkpoint(checkpoint, EvaluationRequest(classify=False, figures=0), tmp_path / "all")
        evaluated = load_training_embeddings(checkpoint, content)
        assert evaluated.keys() == written.keys() == set(content["tasks"])
        for name, videos in evaluated.items():
            for one, other in zip(videos.embeddings, written[name].embeddings, strict=True):
                torch.testing.assert_close(one, other)
            for one, other in zip(videos.progress, written[name].progress, strict=True):
                torch.testing.assert_close(one, other)
