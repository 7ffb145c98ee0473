"""The command that writes features: whole files, resumed, several processes, cameras, bad videos."""

import json
import logging

import numpy as np
import pytest

from tests.utils.video.clips import picture, write_clip
from utils.data.feature_origin import read_origin
from utils.errors import DataError
from utils.video import extraction as module
from utils.video.encoders import make_encoder
from utils.video.extract import main
from utils.video.features import feature_rows
from utils.video.recordings import VideoRecording, find_videos, shard_of


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(3):
        write_clip(folder / f"tea_{number}.mp4", [picture(index + number) for index in range(8 + number)])
    return folder


def extract(videos, output, *options):
    return main(["extract", str(videos), str(output), "--encoder", "pixels,size=4", "--processes", "1", *options])


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_features_and_their_origin(videos, tmp_path):
    assert extract(videos, tmp_path / "out", "--frame-rate", "5") == 0
    assert sorted(contents(tmp_path / "out")) == sorted(
        f"tea_{number}{suffix}" for number in range(3) for suffix in (".npy", ".origin.json")
    )
    found = np.load(tmp_path / "out" / "tea_2.npy", allow_pickle=False)
    expected = np.stack(list(feature_rows([videos / "tea_2.mp4"], make_encoder("pixels,size=4"), 5)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    origin = read_origin(tmp_path / "out" / "tea_2.npy")
    assert (origin.kind.encoder, origin.kind.encoder_name) == ("pixels,size=4", "pixels 4x4 stretch")
    assert (origin.kind.frame_rate, origin.kind.motion, origin.frames) == (5.0, True, 5)
    assert origin.sources[0]["file"] == "tea_2.mp4"
    assert origin.sources[0]["bytes"] == (videos / "tea_2.mp4").stat().st_size


def test_the_same_bytes_from_several_processes(videos, tmp_path):
    assert extract(videos, tmp_path / "one") == 0
    assert main(["extract", str(videos), str(tmp_path / "two"), "--encoder", "pixels,size=4", "--processes", "2"]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_what_is_there_is_not_made_again(videos, tmp_path, monkeypatch):
    extract(videos, tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "tea_1.npy").unlink()
    made = []
    original = module.extract_recording
    monkeypatch.setattr(
        module, "extract_recording", lambda recording, *rest: made.append(recording.name) or original(recording, *rest)
    )
    assert extract(videos, tmp_path / "out") == 0
    assert made == ["tea_1"]
    assert contents(tmp_path / "out") == before


def test_a_video_that_was_changed_is_extracted_again_and_a_copy_is_not(videos, tmp_path):
    extract(videos, tmp_path / "out")
    before = contents(tmp_path / "out")
    content = (videos / "tea_0.mp4").read_bytes()
    (videos / "tea_0.mp4").write_bytes(content)  # another time, the same video
    write_clip(videos / "tea_1.mp4", 20)
    assert extract(videos, tmp_path / "out") == 0
    after = contents(tmp_path / "out")
    assert [name for name in after if after[name] != before[name]] == ["tea_1.npy", "tea_1.origin.json"]
    assert len(np.load(tmp_path / "out" / "tea_1.npy")) == 20


def test_other_settings_are_refused_and_replace_only_if_asked(videos, tmp_path, caplog):
    extract(videos, tmp_path / "out")
    before = contents(tmp_path / "out")
    with caplog.at_level(logging.INFO):
        assert extract(videos, tmp_path / "out", "--frame-rate", "5") == 1
    assert contents(tmp_path / "out") == before
    assert "holds pixels 4x4 stretch with motion at 10 frames/s; expected" in caplog.text
    assert extract(videos, tmp_path / "out", "--frame-rate", "5", "--overwrite") == 0
    assert read_origin(tmp_path / "out" / "tea_0.npy").kind.frame_rate == 5


def test_features_of_unknown_origin_are_never_replaced(videos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    np.save(out / "tea_1.npy", np.ones((3, 2), np.float32))
    before = (out / "tea_1.npy").read_bytes()
    assert extract(videos, out) == 1
    assert (out / "tea_1.npy").read_bytes() == before
    assert (out / "tea_0.npy").is_file()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_bad_video_is_one_line_and_leaves_the_others_alone(videos, tmp_path, caplog, processes):
    content = (videos / "tea_1.mp4").read_bytes()
    (videos / "tea_1.mp4").write_bytes(content[: len(content) // 2])
    (videos / "nothing.mp4").touch()
    with caplog.at_level(logging.INFO):
        assert main(
            ["extract", str(videos), str(tmp_path / "out"), "--encoder", "pixels,size=4", "--processes", processes]
        ) == 1
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.npy")) == ["tea_0", "tea_2"]
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert all("\n" not in line for line in errors)
    assert "2 recordings written" in caplog.text
    assert not list((tmp_path / "out").glob(".*"))


def test_a_failure_in_the_middle_leaves_no_file(videos, tmp_path, monkeypatch):
    def fails(*arguments):
        yield np.zeros(32, np.float32)
        raise DataError("tea_0.mp4: the disk was pulled out")

    monkeypatch.setattr(module, "feature_rows", fails)
    assert extract(videos, tmp_path / "out") == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_cameras(videos, tmp_path):
    for camera in ("left", "right"):
        (videos / camera).mkdir()
        for number in range(2):
            write_clip(videos / camera / f"tea_{number}.mp4", 8)
    write_clip(videos / "left" / "tea_9.mp4", 8)
    assert extract(videos, tmp_path / "out", "--cameras", "right", "left") == 1  # tea_9 has no right camera
    assert np.load(tmp_path / "out" / "tea_0.npy").shape == (8, 64)
    assert read_origin(tmp_path / "out" / "tea_1.npy").kind.cameras == ("right", "left")
    assert not (tmp_path / "out" / "tea_9.npy").exists()
    with pytest.raises(DataError, match=r"no folder of the camera 'lefd'; did you mean 'left'"):
        find_videos(videos, ["lefd"], [])


def test_folders_that_hold_no_videos(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_videos(tmp_path / "missing", [], [])
    with pytest.raises(DataError, match="holds no video"):
        find_videos(tmp_path, [], [])
    (tmp_path / "left").mkdir()
    write_clip(tmp_path / "left" / "a.mp4", 2)
    with pytest.raises(DataError, match="--cameras left"):
        find_videos(tmp_path, [], [])


def test_two_files_of_one_name(videos):
    (videos / "tea_0.avi").write_bytes(b"x")
    problems = []
    assert [one.name for one in find_videos(videos, [], problems)] == ["tea_0", "tea_1", "tea_2"]
    assert "tea_0.mp4: is left out: tea_0.avi has the same name" in problems[0]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_shards_are_all_recordings_once_and_about_as_large(tmp_path, count):
    recordings = []
    for number in range(8):
        (tmp_path / f"{number}.mp4").write_bytes(bytes(100 + 10 * number))
        recordings.append(VideoRecording(str(number), (tmp_path / f"{number}.mp4",)))
    shards = [shard_of(recordings, number, count) for number in range(1, count + 1)]
    assert sorted(one.name for shard in shards for one in shard) == [str(number) for number in range(8)]
    sizes = [sum(one.bytes for one in shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 170


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_shards_that_do_not_exist(videos, tmp_path, shard, capsys):
    with pytest.raises(SystemExit):
        extract(videos, tmp_path / "out", "--shard", shard)
    assert "expected NUMBER/COUNT" in capsys.readouterr().err


def test_shards_of_the_command(videos, tmp_path):
    for number in (1, 2):
        assert extract(videos, tmp_path / "out", "--shard", f"{number}/2") == 0
    assert extract(videos, tmp_path / "whole") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("content", ["", "[]", '{"encoder": 1}', '{"encoder": "a", "encoder": "b"}'])
def test_an_origin_that_cannot_be_read(videos, tmp_path, content):
    extract(videos, tmp_path / "out")
    path = tmp_path / "out" / "tea_0.origin.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"tea_0.origin.json"):
        read_origin(tmp_path / "out" / "tea_0.npy")
    assert extract(videos, tmp_path / "out") == 1


@pytest.mark.parametrize(
    "change", [{"frame_rate": 0}, {"frame_rate": "10"}, {"frames": 0}, {"cameras": "left"}, {"sources": 3}]
)
def test_an_origin_with_an_impossible_value(videos, tmp_path, change):
    extract(videos, tmp_path / "out")
    path = tmp_path / "out" / "tea_0.origin.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=r"tea_0.origin.json"):
        read_origin(tmp_path / "out" / "tea_0.npy")
