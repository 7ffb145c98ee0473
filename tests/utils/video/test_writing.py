import numpy as np
import pytest
from PIL import Image

from tests.utils.video.videos import av, moving_square
from utils.errors import DataError
from utils.video.decoding import open_video, read_pictures
from utils.video.writing import write_pictures


@pytest.mark.parametrize("size", [(32, 24), (33, 25), (1, 1)])
def test_a_video_is_what_browsers_play(tmp_path, size):
    pictures = moving_square(12, 64, 48)[:, : size[1], : size[0]]
    path = tmp_path / "out.mp4"
    assert write_pictures(path, pictures, 10) == 12
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert not container.streams.audio
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # the index first
    read = [picture.pixels for picture in read_pictures(path)]
    assert len(read) == 12
    if min(size) > 8:
        error = np.abs(np.stack(read)[:, : size[1], : size[0]].astype(float) - pictures)
        assert error.mean() < 8


@pytest.mark.parametrize("rate", [10, 29.97, 0.5])
def test_the_rate_is_kept(tmp_path, rate):
    write_pictures(tmp_path / "out.mp4", moving_square(5), rate)
    assert open_video(tmp_path / "out.mp4").frame_rate == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_shows_every_picture_for_its_time_and_begins_again(tmp_path, suffix):
    pictures = moving_square(9)
    path = tmp_path / f"out{suffix}"
    assert write_pictures(path, iter(pictures), 30) == 9
    with Image.open(path) as image:
        assert image.n_frames == 9
        assert image.info["loop"] == 0
        total = 0
        for number in range(9):
            image.seek(number)
            image.load()
            total += image.info["duration"]
            assert np.abs(np.asarray(image.convert("RGB")).astype(float) - pictures[number]).mean() < 8
    assert total == 300


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_the_same_pictures_give_the_same_bytes(tmp_path, suffix):
    for name in "ab":
        write_pictures(tmp_path / f"{name}{suffix}", moving_square(8), 10)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_file_is_whole_or_not_there(tmp_path, suffix):
    def broken():
        yield from moving_square(5)
        raise DataError("the camera fell down")

    with pytest.raises(DataError, match="fell down"):
        write_pictures(tmp_path / f"out{suffix}", broken(), 10)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"out\.avi: expected a name that ends in \.mp4, \.gif or \.webp"):
        write_pictures(tmp_path / "out.avi", moving_square(2), 10)
    with pytest.raises(DataError, match="there is no picture to write"):
        write_pictures(tmp_path / "out.mp4", [], 10)
    with pytest.raises(DataError, match=r"picture 1 is of shape \(5, 5, 3\)"):
        write_pictures(tmp_path / "out.mp4", [moving_square(1)[0], np.zeros((5, 5, 3), np.uint8)], 10)
    monkeypatch.setattr("utils.video.writing.MOST_PICTURES_OF_ANIMATION", 3)
    with pytest.raises(DataError, match=r"more than 3 pictures .* write \.mp4"):
        write_pictures(tmp_path / "out.gif", moving_square(4), 10)
    assert list(tmp_path.iterdir()) == []
