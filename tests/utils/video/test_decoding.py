"""Pictures of videos: which ones, when, how they are turned; and files that can't be used."""

from fractions import Fraction

import numpy as np
import pytest

from tests.utils.video.clips import number_of, picture, write_clip, write_sound
from utils.errors import DataError
from utils.video.decoding import open_video, read_pictures


def numbers_of(path, frame_rate=None, **options):
    return [number_of(one.pixels) for one in read_pictures(path, frame_rate, **options)]


def test_what_a_file_says(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [picture(number, 64, 48) for number in range(12)], rate=6)
    found = open_video(clip)
    assert (found.width, found.height, found.frames, found.codec) == (64, 48, 12, "h264")
    assert found.frame_rate == pytest.approx(6)
    assert found.duration == pytest.approx(2)
    assert found.pixel_format == "yuv420p"
    assert found.sampled_frames(3) == 6
    assert found.sampled_frames(None) == 12


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mp4", "libx264", "yuv420p"), ("a.mkv", "libx264", "yuv420p"), ("a.avi", "mpeg4", "yuv420p"),
        ("a.ts", "mpeg2video", "yuv420p"), ("a.mov", "mjpeg", "yuvj420p"), ("a.webm", "libvpx-vp9", "yuv420p"),
        ("ten_bit.mp4", "libx264", "yuv420p10le"), ("grey.mkv", "ffv1", "gray"), ("alpha.mov", "png", "rgba"),
        ("sixteen_bit.mkv", "ffv1", "gray16le"), ("four_four_four.mkv", "ffv1", "yuv444p"),
    ],
)  # fmt: skip
def test_every_picture_in_order_from_any_container_and_format(tmp_path, name, codec, pixel_format):
    clip = write_clip(tmp_path / name, 10, 10 if codec != "mpeg2video" else 25, codec, pixel_format)
    pictures = list(read_pictures(clip))
    assert [number_of(one.pixels) for one in pictures] == list(range(10))
    rate = 10 if codec != "mpeg2video" else 25
    np.testing.assert_allclose([one.time for one in pictures], np.arange(10) / rate, atol=1e-3)
    assert all(one.pixels.shape == (32, 32, 3) and one.pixels.dtype == np.uint8 for one in pictures)


@pytest.mark.parametrize("shape", [(33, 47), (2, 2), (1, 5), (2160, 3840)])
def test_odd_and_large_sizes(tmp_path, shape):
    clip = write_clip(tmp_path / "a.mkv", [np.full((*shape, 3), 100, np.uint8)] * 2, codec="ffv1", pixel_format="bgr0")
    first, second = read_pictures(clip)
    assert first.pixels.shape == (*shape, 3)
    np.testing.assert_array_equal(second.pixels, 100)
    small, _ = read_pictures(clip, size=(24, 16))
    assert small.pixels.shape == (16, 24, 3)


def by_definition(times, ends, rate):
    """Sample k is the last picture at or before k / rate, while the video lasts."""
    samples, k = [], 0
    while k == 0 or Fraction(k) / rate < ends:
        samples.append(max(index for index, time in enumerate(times) if time <= Fraction(k) / rate))
        k += 1
    return samples


@pytest.mark.parametrize("rate", [1, 3, 10, 15, 40])
def test_samples_of_a_constant_rate(tmp_path, rate):
    clip = write_clip(tmp_path / "a.mp4", 18, rate=15)
    expected = by_definition([Fraction(number, 15) for number in range(18)], Fraction(18, 15), rate)
    assert numbers_of(clip, rate) == expected
    np.testing.assert_allclose(
        [one.time for one in read_pictures(clip, rate)], np.arange(len(expected)) / rate, atol=1e-9
    )


@pytest.mark.parametrize("rate", [2, 5, 10])
def test_samples_where_the_pictures_are_unevenly_apart(tmp_path, rate):
    times = [0, 40, 80, 500, 510, 520, 1300, 1700, 1750, 1990]
    clip = write_clip(tmp_path / "a.mkv", len(times), rate=10, times=times)
    found = numbers_of(clip, rate)
    expected = by_definition([Fraction(time, 1000) for time in times], Fraction(1990, 1000), rate)
    assert found[: len(expected)] == expected
    assert len(found) - len(expected) in (0, 1)  # how long the last picture is shown is the container's


@pytest.mark.parametrize("count", [29, 30, 31, 61])
@pytest.mark.parametrize("rate", [24, 30, Fraction(30000, 1001)])
def test_times_that_a_container_rounds_to_milliseconds_lose_and_repeat_no_picture(tmp_path, rate, count):
    clip = write_clip(tmp_path / "a.mkv", [picture(number % 20) for number in range(count)], rate=rate)
    assert numbers_of(clip, float(rate)) == [number % 20 for number in range(count)]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_pictures_are_turned_as_the_container_says(tmp_path, turns):
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16] = (220, 30, 30)  # a red corner, above on the left
    turned = np.ascontiguousarray(np.rot90(upright, -turns))
    clip = write_clip(tmp_path / "a.mp4", [turned] * 3, rotation=90 * turns if turns < 3 else -90)
    assert (open_video(clip).width, open_video(clip).height) == (48, 32)
    assert open_video(clip).rotation == turns
    for size in (None, (24, 16)):
        pixels = next(read_pictures(clip, size=size)).pixels
        height, width = pixels.shape[:2]
        assert (width, height) == (size or (48, 32))
        assert pixels[height // 4, width // 6, 0] > 150
        assert pixels[3 * height // 4, width // 2].max() < 60


def test_how_another_shape_is_resized(tmp_path):
    wide = np.full((32, 96, 3), 200, np.uint8)
    wide[:, :32], wide[:, 64:] = (200, 0, 0), (0, 0, 200)
    clip = write_clip(tmp_path / "a.mkv", [wide], codec="ffv1", pixel_format="bgr0")

    def resized(resize):
        return next(read_pictures(clip, size=(48, 48), resize=resize)).pixels

    np.testing.assert_array_equal(resized("stretch")[24, [2, 24, 45]], [(200, 0, 0), (200, 200, 200), (0, 0, 200)])
    assert (resized("crop")[:, 2:-2] == 200).all()
    padded = resized("pad")
    assert (padded[:15] == 0).all()
    assert (padded[-15:] == 0).all()
    np.testing.assert_array_equal(padded[24, [2, 24, 45]], [(200, 0, 0), (200, 200, 200), (0, 0, 200)])
    with pytest.raises(ValueError, match="resize 'fill'"):
        resized("fill")


def test_the_same_pictures_for_any_number_of_threads(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 20)
    one, three = (np.stack([p.pixels for p in read_pictures(clip, 7, threads=threads)]) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_stopping_early_closes_the_file(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 20)
    pictures = read_pictures(clip)
    next(pictures)
    pictures.close()
    clip.unlink()


def refused(path):
    """The one line that says why a file can't be read."""
    with pytest.raises(DataError) as error:
        list(read_pictures(path, 10, (16, 16)))
    message = str(error.value)
    assert path.name in message
    assert "\n" not in message
    return message


def test_files_that_are_no_video_are_named_in_one_line(tmp_path):
    assert "no such file" in refused(tmp_path / "missing.mp4")
    (tmp_path / "empty.mp4").touch()
    assert "is empty" in refused(tmp_path / "empty.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert "not a regular file" in refused(tmp_path / "folder.mp4")
    (tmp_path / "text.mp4").write_text("no video" * 100)
    assert "can't be opened as a video" in refused(tmp_path / "text.mp4")
    assert "has no video stream, only audio" in refused(write_sound(tmp_path / "sound.mp4"))
    with pytest.raises(DataError, match="no video stream"):
        open_video(tmp_path / "sound.mp4")


def test_a_video_without_pictures(tmp_path):
    clip = write_clip(tmp_path / "none.mkv", 0, codec="ffv1", pixel_format="bgr0")
    assert "holds no picture" in refused(clip) or "can't be opened" in refused(clip)


def test_a_file_that_names_others_opens_none_of_them(tmp_path):
    write_clip(tmp_path / "a.ts", 5, rate=25, codec="mpeg2video")
    listed = tmp_path / "list.m3u8"
    listed.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    refused(listed)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_file_that_was_cut_off(tmp_path, share):
    frames = [picture(number % 20, 64, 64) for number in range(60)]
    for name, options in (("at_the_end.mp4", {}), ("in_front.mp4", {"movflags": "faststart"}), ("a.mkv", {})):
        whole = write_clip(tmp_path / name, frames, options=options).read_bytes()
        cut = tmp_path / f"cut_{name}"
        cut.write_bytes(whole[: int(len(whole) * share)])
        assert "cut off" in refused(cut)


def test_a_file_that_grows_while_it_is_read(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 20)
    pictures = read_pictures(clip)
    next(pictures)
    with open(clip, "ab") as file:
        file.write(bytes(100))
    with pytest.raises(DataError, match="was changed while it was read"):
        list(pictures)


def test_a_time_that_is_far_away_is_refused(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", 3, times=[0, 100, 7_200_000])
    assert "expected at most 3600 s between two" in refused(clip)
