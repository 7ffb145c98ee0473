"""The commands that show what is predicted of a video: overlay, page, side by side; and pictures as they come."""

import csv
import io
import logging
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import predict
from tests.conftest import ROOT
from tests.labelled_recordings import coarse
from tests.utils.video.videos import moving_square, write_clip
from utils.command import run_command
from utils.errors import BAD_INPUT
from utils.prediction import align
from utils.prediction.progress.files import save_models
from utils.prediction.progress.model import fit_progress
from utils.prediction.readouts.recording import LabelledRecording
from utils.video.decoding import open_video, read_pictures
from utils.video.encoders import make_encoder
from utils.video.features import feature_rows, kind_of

FRAMES = 24
RATE = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Progress models of clips in which a square goes from left to right, and three clips."""
    folder = tmp_path_factory.mktemp("shown")
    encoder = make_encoder("pixels")
    recordings = []
    for number in range(4):
        clip = write_clip(folder / "train" / f"{number}.avi", moving_square(FRAMES + 2 * number, seed=number % 2), RATE)
        rows = np.stack(list(feature_rows([clip], encoder, RATE)))
        half = len(rows) // 2
        times = {"step": ["left", "right"], "start_frame": [0, half], "end_frame": [half - 1, len(rows) - 1]}
        recordings.append(LabelledRecording(str(number), rows, times))
    with coarse():
        model = fit_progress(recordings, frame_rate=float(RATE), names=("index", "filter"), name="filter")
    save_models({"square": model}, folder / "square.progress.pt", feature_kind=kind_of(encoder, RATE).to_dict())
    write_clip(folder / "new" / "a.avi", moving_square(FRAMES), RATE)
    write_clip(folder / "new" / "b.avi", moving_square(FRAMES + 10, seed=1), RATE)
    write_clip(folder / "fast.avi", moving_square(3 * FRAMES), 3 * RATE)
    return folder


@pytest.fixture
def command(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = folder / "square.progress.pt"
    return lambda *arguments: run_command(predict.main, ["predict.py", "--checkpoint", *map(str, [model, *arguments])])


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


class TestOverlay:
    def test_one_video_and_its_page(self, command, folder, tmp_path):
        clip = folder / "new" / "a.avi"
        assert command(clip, "--overlay", "drawn.mp4", "--report", "page.html") == 0
        drawn = open_video(tmp_path / "drawn.mp4")
        assert (drawn.codec, drawn.frames, drawn.frame_rate) == ("h264", FRAMES, RATE)
        assert drawn.width == 480
        assert drawn.height > 360  # the picture, and the panel below it
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "data:video/mp4;base64," in page
        rows = table((tmp_path / "predictions" / "a.csv").read_text())
        assert f'"progress": [{float(rows[0]["progress"]):.4f}'.rstrip("0") in page
        assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.mp4", "page.html", "predictions"]

    def test_a_folder_of_videos_gets_folders(self, command, folder, tmp_path):
        assert command(folder / "new", "--overlay", "drawn", "--report", "pages") == 0
        assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a.mp4", "b.mp4"]
        assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["a.html", "b.html"]

    def test_a_faster_video_keeps_its_rate_and_an_animation_is_one(self, command, folder, tmp_path):
        assert command(folder / "fast.avi", "--overlay", "drawn.mp4") == 0
        assert open_video(tmp_path / "drawn.mp4").frames == 3 * FRAMES
        assert command(folder / "new" / "a.avi", "--overlay", "drawn.webp") == 0
        with Image.open(tmp_path / "drawn.webp") as image:
            assert image.n_frames > 1

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["new", "--overlay", "drawn.mp4"], "drawn.mp4 is one file, and there are 2 recordings"),
            (["new/a.avi", "--overlay", "drawn.avi"], r"drawn\.avi: expected a folder, or a name that ends in \.mp4"),
            (["new/a.avi", "--report", "page.mp4"], r"page\.mp4: expected a folder, or a name that ends in \.html"),
            (["made.npy", "--overlay", "drawn.mp4"], r"made\.npy is no video, of which drawn\.mp4 could be made"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_drawn_is_said_before_anything_is_read(
        self, command, folder, tmp_path, caplog, arguments, said
    ):
        np.save(folder / "made.npy", np.zeros((3, 512), np.float32))
        assert command(folder / arguments[0], *arguments[1:]) == BAD_INPUT
        assert re.search(said, caplog.text)
        assert list(tmp_path.iterdir()) == []

    def test_a_video_is_not_replaced_by_its_overlay(self, command, folder, tmp_path, caplog):
        clip = write_clip(tmp_path / "clip.mp4", moving_square(FRAMES))
        content = clip.read_bytes()
        assert command(clip, "--overlay", clip) == BAD_INPUT
        assert "would be replaced by what is made of it" in caplog.text
        assert clip.read_bytes() == content


class TestAsTheyCome:
    def test_a_played_file_gives_the_lines_of_the_file(self, command, folder, tmp_path, capsys, caplog):
        """Each number has its line, whether or not a picture was dropped on a busy machine."""
        clip = folder / "new" / "a.avi"
        assert command(clip) == 0
        whole = table((tmp_path / "predictions" / "a.csv").read_text())
        capsys.readouterr()
        with caplog.at_level(logging.INFO):
            assert command(f"file:{clip}") == 0
        live = table(capsys.readouterr().out)
        assert list(live[0]) == list(whole[0])
        assert [row["frame"] for row in live] == [str(k) for k in range(FRAMES)]
        assert [row["seconds"] for row in live] == [row["seconds"] for row in whole]
        said = re.search(r"latency [\d.]+ ms \(median\), [\d.]+ ms \(95th .*\) of \d+ frames; (\d+) f", caplog.text)
        if said[1] == "0":
            assert live == whole

    def test_raw_pictures_in_a_pipe(self, folder, tmp_path):
        pictures = np.stack([picture.pixels for picture in read_pictures(folder / "new" / "a.avi")])
        command = ["predict.py", "--checkpoint", folder / "square.progress.pt", "-", "--raw", "32x24@30"]
        done = subprocess.run(
            [sys.executable, ROOT / command[0], *command[1:]], input=pictures.tobytes() + b"cut off",
            capture_output=True, cwd=tmp_path, timeout=120,
        )  # fmt: skip
        assert done.returncode == BAD_INPUT
        assert b"before the end of picture 24" in done.stderr
        rows = table(done.stdout.decode())
        assert [row["frame"] for row in rows] == [str(k) for k in range(len(rows))]
        assert 1 <= len(rows) <= FRAMES / 3

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["camera:0", "--overlay", "x.mp4"], "--overlay is written of whole files"),
            (["camera:0", "other.npy"], "each go with no other recording"),
            (["a.npy", "--raw", "6x4@10"], "--raw says what pictures on standard input"),
            (["-", "--raw", "6x4"], "expected WIDTHxHEIGHT@FRAMES_A_SECOND"),
            (["camera:0", "--timestamps", "10"], "for frames on standard input"),
            (["camera:0", "--missing", "hold"], "--missing is for numbers"),
        ],
    )  # fmt: skip
    def test_options_that_do_not_go_together(self, command, arguments, said, capsys):
        with pytest.raises(SystemExit):
            command(*arguments)
        assert said in capsys.readouterr().err

    def test_a_camera_that_is_not_there(self, command, caplog):
        assert command("camera:77") == BAD_INPUT
        assert re.search(r"error: camera:77: .*; expected a camera at /dev/video77", caplog.text)

    def test_a_checkpoint_of_features_alone_reads_no_camera(self, folder, tmp_path, monkeypatch, caplog):
        from utils.prediction.progress.files import load_models

        models, _ = load_models(folder / "square.progress.pt")
        save_models(models, tmp_path / "alone.progress.pt")
        arguments = ["predict.py", "--checkpoint", str(tmp_path / "alone.progress.pt"), "camera:0"]
        assert run_command(predict.main, arguments) == BAD_INPUT
        assert "the checkpoint doesn't say how the features of its training were made" in caplog.text


class TestSideBySide:
    def align(self, *arguments):
        return run_command(align.main, ["align", *map(str, arguments)])

    @pytest.fixture(autouse=True)
    def _small_default(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("utils.prediction.recording_alignment.DEFAULT_ENCODER", "pixels")

    @pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
    def test_two_videos(self, folder, tmp_path, suffix):
        out = tmp_path / f"both{suffix}"
        assert self.align(folder / "new" / "a.avi", folder / "new" / "b.avi", "--playback", out) == 0
        rows = table((tmp_path / "alignments" / "a+b.csv").read_text())
        assert rows[1]["second_a"] == "0.100"
        if suffix == ".mp4":
            assert (open_video(out).frames, open_video(out).frame_rate) == (FRAMES, RATE)
        else:
            with Image.open(out) as image:
                assert image.n_frames == FRAMES

    def test_features_with_their_videos(self, folder, tmp_path):
        clips = [folder / "new" / f"{name}.avi" for name in "ab"]
        for clip in clips:
            np.save(tmp_path / f"{clip.stem}.npy", np.stack(list(feature_rows([clip], make_encoder("pixels"), RATE))))
        files = [tmp_path / "a.npy", tmp_path / "b.npy"]
        options = ["--playback", "both.mp4", "--videos", *clips]
        assert self.align(*files, *options) == BAD_INPUT  # of what rate?
        assert self.align(*files, *options, "--frame-rate", RATE, "--method", "nearest") == 0
        assert open_video(tmp_path / "both.mp4").frames == FRAMES

    @pytest.mark.parametrize(
        ("options", "said"),
        [(["--playback", "both.mp4"], "--videos names theirs"), (["--videos", "a", "b"], "--videos goes with")],
    )
    def test_options_that_do_not_go_together(self, options, said, capsys):
        with pytest.raises(SystemExit):
            self.align("a.npy", "b.npy", *options)
        assert said in capsys.readouterr().err

    def test_another_kind_of_file_is_refused_before_anything_is_read(self, folder, tmp_path, caplog):
        clips = [folder / "new" / f"{name}.avi" for name in "ab"]
        assert self.align(*clips, "--playback", "both.avi") == BAD_INPUT
        assert "both.avi: expected a name that ends in .mp4, .gif or .webp" in caplog.text
        assert list(tmp_path.iterdir()) == []
