"""Training, prediction and read-outs straight from videos, and what must not be mixed."""

import csv
import json
import logging
import shutil
from functools import partial

import numpy as np
import pytest
import torch

import multitask_train
import predict
from tests.labelled_recordings import coarse
from tests.tiny_training import one_pixel, small_config, train
from tests.utils.video.clips import write_clip
from tests.utils.video.filmed import ENCODER, LENGTHS, RATE, WIDTH, features_of, film, write_filmed
from utils.ckpt_save import load_checkpoint
from utils.command import run_command
from utils.data.dataset import load_data
from utils.data.feature_origin import FeatureKind, read_origin
from utils.errors import BAD_INPUT, ConfigError, DataError
from utils.prediction import fit_progress
from utils.prediction.progress.files import load_models
from utils.video.data_set import make_missing_features, missing_features


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr("utils.training.log.plot_loss_curves", one_pixel)


@pytest.fixture
def filmed(tmp_path):
    return write_filmed(tmp_path / "filmed")


def settings(folder, **changes):
    """The settings of a tiny training."""
    return small_config({
        "DATASET_PATH": str(folder.parent), "DATASET_NAME": folder.name, "OUTPUT_FOLDER": str(folder.parent / "output"),
        "TASKS": (), "ENCODER": ENCODER, "NUM_EPOCHS": 1, **changes,
    })  # fmt: skip


def test_missing_features_are_made_once_and_loaded(filmed):
    config = settings(filmed).to_dict()
    missing = missing_features(config)
    assert [one.name for one in missing.recordings] == [f"tea_{number}" for number in range(len(LENGTHS))]
    assert missing.kind == FeatureKind(ENCODER, "pixels 2x2 stretch", 10.0, True)
    make_missing_features(config)
    before = features_of(filmed / "features")
    data = load_data(config)
    assert data.feature_width == WIDTH
    assert data.feature_kind == missing.kind
    videos = [*data.train.videos, *data.val.videos, *data.test.videos]
    frames = {video.handle: video.number_of_frames for video in videos}
    assert frames == {f"tea_{number}": length for number, length in enumerate(LENGTHS)}
    assert "of videos by pixels 2x2 stretch with motion at 10 frames/s" in data.summary()
    make_missing_features(config)
    assert features_of(filmed / "features") == before
    assert missing_features(config).recordings == []
    assert missing_features(config).words() == ""


def test_what_is_there_says_how_the_rest_is_made(filmed):
    make_missing_features(settings(filmed, FRAME_RATE=RATE).to_dict())
    (filmed / "features" / "tea_1.npy").unlink()
    plain = settings(filmed, ENCODER="").to_dict()
    assert missing_features(plain).kind.encoder == ENCODER
    make_missing_features(plain)
    assert load_data(plain).feature_kind.encoder_name == "pixels 2x2 stretch"


def test_the_check_says_what_is_to_be_done_and_does_nothing(filmed, capsys):
    (filmed / "videos" / "tea_3.mp4").write_bytes(b"no video")
    experiment = filmed.parent / "experiment.py"
    experiment.write_text(f"def get_config():\n    return {settings(filmed).to_dict()!r}\n")
    assert multitask_train.main(["multitask_train.py", "--config", str(experiment), "--check"]) == 0
    said = capsys.readouterr().out
    assert "to be extracted first: 6 of 6 recordings, 13 s of video" in said
    assert "by pixels 2x2 stretch with motion at 10 frames/s: about 134 frames" in said
    assert "ms a frame, measured" in said
    assert "can't be used: " in said
    assert "tea_3.mp4" in said
    assert not (filmed / "features").exists()


def test_features_of_unknown_origin_stay_the_users_own(filmed):
    (filmed / "features").mkdir()
    for number, frames in enumerate(LENGTHS):
        values = np.arange(3 * frames, dtype=np.float32).reshape(frames, 3)
        np.save(filmed / "features" / f"tea_{number}.npy", values)
    before = features_of(filmed / "features")
    config = settings(filmed).to_dict()
    assert missing_features(config) is None
    make_missing_features(config)
    assert features_of(filmed / "features") == before
    assert load_data(config).feature_kind is None


def test_a_data_set_without_videos_is_left_alone(filmed):
    shutil.rmtree(filmed / "videos")
    assert missing_features(settings(filmed).to_dict()) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ENCODER": "pixels,size=4"}, "tea_0.npy: holds pixels 2x2 stretch"),
        ({"FRAME_RATE": 5.0}, "expected pixels 2x2 stretch with motion at 5 frames/s"),
        ({"CAMERAS": ("left",)}, "no folder of the camera 'left'"),
        ({"BASEARCH.ARCHITECTURE": "resnet50", "FEATURES_FOLDER": "features"}, "'conv4c' makes maps"),
        ({"ENCODER": "no_such"}, "the encoder is 'no_such'"),
    ],
)
def test_other_settings_than_those_of_the_features_are_refused(filmed, change, words):
    make_missing_features(settings(filmed).to_dict())
    with pytest.raises((DataError, ConfigError), match=words):
        make_missing_features(settings(filmed, **change).to_dict())


def test_features_that_were_made_differently_are_not_loaded_together(filmed):
    config = settings(filmed).to_dict()
    make_missing_features(config)
    with pytest.raises(DataError, match="FRAME_RATE is 5, but its features were made of videos at 10 frames/s"):
        load_data({**config, "FRAME_RATE": 5.0})
    path = filmed / "features" / "tea_2.origin.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "encoder_name": "another"}))
    with pytest.raises(DataError, match=r"tea_2.npy: its features are of another with motion at 10 frames/s; expected"):
        load_data(config)
    path.unlink()
    with pytest.raises(DataError, match=r"no tea_2.origin.json says which encoder"):
        load_data(config)


def test_videos_that_are_missing_or_bad_are_named_after_the_others_were_made(filmed):
    config = settings(filmed).to_dict()
    (filmed / "videos" / "tea_3.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"tea_3.mp4: can't be opened as a video"):
        make_missing_features(config)
    assert len(list((filmed / "features").glob("*.npy"))) == len(LENGTHS) - 1
    (filmed / "videos" / "tea_3.mp4").unlink()
    with pytest.raises(DataError, match=r"holds no video 'tea_3'"):
        make_missing_features(config)


def test_several_processes_expect_the_features(filmed, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DataError, match="before several processes train together"):
        make_missing_features(settings(filmed).to_dict())


def test_a_checkpoint_of_videos_predicts_videos(filmed, tmp_path, monkeypatch, caplog):
    run = train(settings(filmed), tmp_path)
    path = run / "ckpt" / "best_model_combined.pt"
    checkpoint = load_checkpoint(path)
    assert checkpoint["feature_kind"]["encoder"] == ENCODER
    assert checkpoint["config"]["FRAME_RATE"] == RATE
    video = write_clip(tmp_path / "new.mp4", film(9, 20), rate=RATE)

    def predicted(*arguments):
        output = tmp_path / "predicted"
        shutil.rmtree(output, ignore_errors=True)
        command = ["predict.py", "--checkpoint", str(path), "--output", str(output), *arguments]
        assert run_command(predict.main, command) == 0
        return {file.stem: list(csv.DictReader(file.open())) for file in output.glob("*.csv")}

    rows = predicted(str(video))["new"]
    assert len(rows) == 20
    assert [row["seconds"] for row in rows[:3]] == ["0.000", "0.100", "0.200"]
    # Features of the same video give the same answers, and so does the video of a folder.
    stored = filmed / "features" / "tea_4.npy"
    from_features = predicted(str(stored))["tea_4"]
    assert predicted(str(filmed / "videos" / "tea_4.mp4"))["tea_4"] == from_features
    assert predicted(str(filmed / "videos"))["tea_4"] == from_features

    # Those of another encoder are refused.
    other = tmp_path / "other.npy"
    shutil.copy(stored, other)
    content = json.loads(stored.with_suffix(".origin.json").read_text())
    other.with_suffix(".origin.json").write_text(json.dumps({**content, "frame_rate": 5.0}))
    arguments = ["predict.py", "--checkpoint", str(path), "--output", str(tmp_path / "x"), str(other)]
    assert run_command(predict.main, arguments) == BAD_INPUT
    assert "its features are of pixels 2x2 stretch with motion at 5 frames/s; the training's of" in caplog.text
    arguments[-1:] = [str(video), "--encoder", "pixels,size=4"]
    assert run_command(predict.main, arguments) == BAD_INPUT
    assert "is pixels 4x4 stretch here; expected pixels 2x2 stretch" in caplog.text


def test_a_checkpoint_of_other_features_says_that_it_cannot_read_videos(filmed, tmp_path, caplog):
    from tests.prediction_runs import write_checkpoint

    path = write_checkpoint(tmp_path)
    command = ["predict.py", "--checkpoint", str(path), str(filmed / "videos" / "tea_0.mp4"), "--task", "cook",
               "--readout", "path", "--output", str(tmp_path / "out")]  # fmt: skip
    with caplog.at_level(logging.ERROR):
        assert run_command(predict.main, command) == BAD_INPUT
    assert "tea_0.mp4: is a video, and the checkpoint doesn't say how the features" in caplog.text


def test_progress_is_fitted_to_videos_without_a_network(filmed, tmp_path, monkeypatch):
    from utils.prediction import progress_files
    from utils.prediction.progress.cross_validation import cross_validate

    make_missing_features(settings(filmed).to_dict())  # by a small encoder; the command takes it over
    output = tmp_path / "tea.progress.pt"
    monkeypatch.setattr(progress_files, "cross_validate", partial(cross_validate, names=("path", "alignment")))
    with coarse():
        assert run_command(fit_progress.main, ["fit_progress", str(filmed), "--output", str(output)]) == 0
    models, further = load_models(output)
    assert models["tea"].frame_rate == RATE
    assert FeatureKind.of(further["feature_kind"]) == read_origin(filmed / "features" / "tea_0.npy").kind
    video = write_clip(tmp_path / "new.mp4", film(9, 20), rate=RATE)
    assert run_command(
        predict.main, ["predict.py", "--checkpoint", str(output), str(video), "--output", str(tmp_path / "out")]
    ) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "new.csv").open()))
    assert list(rows[0])[:3] == ["frame", "seconds", "progress"]
    assert len(rows) == 20


def test_a_recording_of_several_cameras(tmp_path):
    folder = tmp_path / "filmed"
    write_filmed(folder)
    for camera in ("left", "right"):
        shutil.copytree(folder / "videos", tmp_path / camera)
    shutil.rmtree(folder / "videos")
    (folder / "videos").mkdir()
    for camera in ("left", "right"):
        shutil.move(tmp_path / camera, folder / "videos" / camera)
    config = settings(folder, CAMERAS=("left", "right"))
    run = train(config, tmp_path)
    assert load_checkpoint(run / "ckpt" / "best_model_combined.pt")["feature_width"] == 2 * WIDTH
    arguments = ["predict.py", "--checkpoint", str(run / "ckpt" / "best_model_combined.pt"), "--output"]
    output = tmp_path / "out"
    assert run_command(predict.main, [*arguments, str(output), str(folder / "videos" / "right" / "tea_1.mp4")]) == 0
    assert len(list(csv.DictReader((output / "tea_1.csv").open()))) == LENGTHS[1]
    alone = write_clip(tmp_path / "alone.mp4", 5)
    assert run_command(predict.main, [*arguments, str(output), str(alone)]) == BAD_INPUT


@pytest.mark.parametrize("kind", [{"encoder": 3}, "lite0", {"encoder": "lite0", "encoder_name": "x", "frame_rate": -1}])
def test_a_checkpoint_with_an_impossible_origin_is_refused(filmed, tmp_path, kind):
    from tests.prediction_runs import write_checkpoint
    from utils.errors import CheckpointError

    path = write_checkpoint(tmp_path, feature_kind=kind)
    with pytest.raises(CheckpointError, match="feature_kind is"):
        load_checkpoint(path)
    assert torch.load(path, weights_only=True)["feature_kind"] == kind
