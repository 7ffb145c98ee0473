"""Test recordings that a report plays: which have a video, and what is written of them."""

import json

import numpy as np
import pytest

from tests.utils.metrics.annotations import annotation
from tests.utils.report.test_page import evaluation, page_of
from tests.utils.video.videos import moving_square, write_clip
from utils.evaluation.pictures import BEST, PLAYED, Picture, Shown, draw_task
from utils.evaluation.played import Recorded, read_played, recorded_videos, write_played
from utils.metrics.table import Needs
from utils.prediction.embedding import TRAINED, EmbeddedVideo
from utils.registry import AUTO
from utils.report.page import write_reports
from utils.report.player import player_script
from utils.video.decoding import open_video

FRAMES = 20
TIMES = annotation(("SIL", 4), ("pour <b>", 10), ("stir", 6))


def embedded(handle="tea 1"):
    progress = np.linspace(0, 1, FRAMES)
    return EmbeddedVideo(
        handle=handle, time_dict=TIMES, progress=progress, action_progress=progress, paths={}, embeddings={}
    )


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "data" / "tea" / "videos" / "tea 1.avi", moving_square(FRAMES, 64, 48))


def config(tmp_path, **settings):
    given = {"DATASET_PATH": str(tmp_path / "data"), "DATASET_NAME": "tea", "FRAME_RATE": 10.0, "SKIP_RATE": 1}
    return {**given, **settings}


def test_the_videos_of_a_data_set(tmp_path, clip):
    (clip.parent / "notes.txt").write_text("no video")
    assert recorded_videos(config(tmp_path)) == Recorded({"tea 1": clip}, 10.0)
    assert recorded_videos(config(tmp_path, SKIP_RATE=2)).frame_rate == 5.0
    assert recorded_videos(config(tmp_path, FRAME_RATE=0.0)) is None
    assert recorded_videos(config(tmp_path, VIDEOS_FOLDER="elsewhere")) is None
    front = write_clip(clip.parent / "front" / "tea 2.avi", moving_square(3))
    assert recorded_videos(config(tmp_path, CAMERAS=("front", "side"))).videos == {"tea 2": front}


def test_what_is_written_is_read_again_and_background_is_no_step(tmp_path, clip):
    curves = {TRAINED: np.zeros(FRAMES), AUTO: np.linspace(0, 0.9, FRAMES)}
    write_played([tmp_path / "x.mp4", tmp_path / "x.json"], clip, 10.0, embedded(), curves)
    assert open_video(tmp_path / "x.mp4").codec == "h264"
    track, truth, curve = read_played(json.loads((tmp_path / "x.json").read_text()))
    assert curve == AUTO
    np.testing.assert_allclose(track.progress, curves[AUTO], atol=1e-4)
    np.testing.assert_allclose(truth, embedded().progress, atol=1e-4)
    np.testing.assert_allclose(track.times, np.arange(FRAMES) / 10)
    assert track.steps == [""] * 4 + ["pour <b>"] * 10 + ["stir"] * 6


def drawn(folder, recorded):
    shown = [Shown(0, {Needs.VIDEO_ONLINE: {TRAINED: np.linspace(0, 1, FRAMES)}, Needs.ACTION_ONLINE: {}}, BEST)]
    pictures = draw_task(folder, "tea", [embedded()], shown, [], recorded=recorded)
    return [picture for picture in pictures if picture.kind == PLAYED]


def test_recordings_that_are_drawn_are_played_and_a_bad_video_costs_a_warning(tmp_path, clip, caplog):
    (picture,) = drawn(tmp_path / "EVAL", Recorded({"tea 1": clip}, 10.0))
    assert (picture.videos, picture.role) == (("tea 1",), BEST)
    assert all((tmp_path / "EVAL" / name).is_file() for name in (picture.file, *picture.other_files))
    assert drawn(tmp_path / "other", Recorded({"tea 2": clip}, 10.0)) == []
    assert drawn(tmp_path / "none", None) == []
    clip.write_text("no video")
    assert drawn(tmp_path / "bad", Recorded({"tea 1": clip}, 10.0)) == []
    assert "can't be opened as a video" in caplog.text


@pytest.fixture
def played_evaluation(tmp_path, clip):
    """An evaluation in a run, with a video."""
    run = tmp_path / "run-001"
    (run / "ckpt").mkdir(parents=True)
    folder = evaluation(run / "EVAL" / "best_model_combined", ["tea"])
    write_played(
        [folder / "p.mp4", folder / "p.json"], clip, 10.0, embedded(), {TRAINED: np.linspace(0, 1, FRAMES)}
    )
    content = json.loads((folder / "metrics.json").read_text())
    content["pictures"].append(Picture("p.mp4", PLAYED, "tea", ("tea 1",), BEST, "", ("p.json",)).as_description())
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


def test_the_report_of_an_evaluation_plays_it_with_its_own_script_alone(played_evaluation):
    page = page_of(write_reports(played_evaluation))
    (video,) = page.all("video")
    assert video["src"].startswith("data:video/mp4;base64,")
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert f"script-src '{player_script()[1]}'" in policy
    assert "true progress" in page.text
    assert "path of the trained network, online" in page.text
    assert [button["title"] for button in page.all("button")] == ["pour <b>, 0.4 to 1.4 s", "stir, 1.4 to 2.0 s"]


def test_the_report_of_the_run_which_is_mailed_plays_nothing(played_evaluation):
    write_reports(played_evaluation)
    page = page_of(played_evaluation.parent.parent / "report.html")
    assert page.all("video", "script") == []
    assert "script-src" not in next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)


def test_large_videos_lie_beside_the_report_and_one_that_is_gone_is_left_out(played_evaluation, monkeypatch):
    monkeypatch.setattr("utils.report.page.MOST_EMBEDDED", 10)
    assert page_of(write_reports(played_evaluation)).all("video")[0]["src"] == "p.mp4"
    (played_evaluation / "p.mp4").unlink()
    assert page_of(write_reports(played_evaluation)).all("video", "script") == []
