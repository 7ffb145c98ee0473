"""Pictures as they come; a file that is played stands for a camera."""

import io
import threading

import numpy as np
import pytest

from tests.utils.video.videos import moving_square, write_clip
from utils.errors import DataError
from utils.video.decoding import PictureConverter, read_pictures
from utils.video.live import (
    Latencies,
    LiveFrame,
    NewestFrame,
    RawFormat,
    due_frames,
    frames_of,
    raw_frames,
)
from utils.video.recordings import is_stream


def at(*times):
    return (LiveFrame(time, 0.0, None) for time in times)


def due(times, rate):
    return [(number, round(frame.time, 6)) for number, frame in due_frames(at(*times), rate)]


class TestDue:
    def test_of_a_faster_camera_the_frames_at_the_rate_are_used(self):
        assert due(np.arange(10) / 30, 10) == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)]

    def test_a_slower_camera_leaves_numbers_out(self):
        assert due([5.0, 5.25, 5.5], 10) == [(0, 5.0), (2, 5.25), (5, 5.5)]

    def test_a_frame_may_come_a_little_early_or_late(self):
        assert due([0, 0.085, 0.21, 0.285, 0.43], 10) == [(0, 0), (1, 0.085), (2, 0.21), (3, 0.285), (4, 0.43)]

    def test_two_frames_of_one_time_are_one(self):
        assert due([0, 0, 0.01, 0.1], 10) == [(0, 0), (1, 0.1)]

    def test_a_clock_that_jumps_by_days_is_refused(self):
        with pytest.raises(DataError, match="seconds without a picture"):
            due([0, 1e6], 10)


class TestNewest:
    def test_whoever_is_slow_gets_the_newest_and_the_others_are_counted(self):
        first_taken, all_read = threading.Event(), threading.Event()

        def items():
            yield 0
            first_taken.wait(10)
            yield from (1, 2, 3)
            all_read.set()

        found = []
        with NewestFrame(items()) as newest:
            for item in newest:
                found.append(item)
                first_taken.set()
                all_read.wait(10)
        assert found == [0, 3]
        assert newest.dropped == 2

    def test_an_error_comes_after_the_frame_before_it(self):
        def items():
            yield 1
            raise DataError("the cable is out")

        with NewestFrame(items()) as newest:
            taken = iter(newest)
            assert next(taken) == 1
            with pytest.raises(DataError, match="cable"):
                next(taken)

    def test_leaving_the_block_ends_the_reading(self):
        read = []

        def items():
            while True:
                read.append(len(read))
                yield read[-1]

        with NewestFrame(items()) as newest:
            next(iter(newest))
        count = len(read)
        assert not newest._thread.is_alive()
        assert len(read) == count


class TestRawPipe:
    def test_pictures_come_with_times_of_their_rate(self):
        pictures = moving_square(3, 6, 4)
        found = list(raw_frames(io.BytesIO(pictures.tobytes()), RawFormat.of("6x4@25"), False))
        assert [frame.time for frame in found] == [0, 1 / 25, 2 / 25]
        assert all(
            np.array_equal(frame.frame.to_ndarray(format="rgb24"), picture)
            for frame, picture in zip(found, pictures, strict=True)
        )

    def test_a_picture_that_is_cut_off_is_an_error_after_those_before(self):
        frames = raw_frames(io.BytesIO(moving_square(2, 6, 4).tobytes()[:-5]), RawFormat.of("6x4@25"), False)
        next(frames)
        with pytest.raises(DataError, match="5 bytes before the end of picture 1"):
            next(frames)

    @pytest.mark.parametrize("text", ["640x480", "640@30", "0x4@25", "6x4@0", "-6x4@25", "6x4@25fps", ""])
    def test_a_form_that_is_none_is_refused(self, text):
        with pytest.raises(ValueError, match="expected WIDTHxHEIGHT@FRAMES_A_SECOND"):
            RawFormat.of(text)


class TestStreams:
    def test_a_played_file_gives_the_pictures_of_the_file(self, tmp_path):
        path = write_clip(tmp_path / "clip.mp4", moving_square(7))
        convert = PictureConverter((16, 12))
        live = [convert(frame.frame) for frame in frames_of(f"file:{path}", paced=False)]
        assert np.array_equal(live, [picture.pixels for picture in read_pictures(path, size=(16, 12))])

    def test_due_frames_of_a_played_file_are_those_that_are_extracted(self, tmp_path):
        path = write_clip(tmp_path / "clip.mp4", moving_square(31), 30)
        convert = PictureConverter()
        numbers, live = zip(
            *((number, convert(each.frame)) for number, each in due_frames(frames_of(f"file:{path}", False), 10)),
            strict=True,
        )
        assert numbers == tuple(range(11))
        assert np.array_equal(live, [picture.pixels for picture in read_pictures(path, 10)])

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("file:{}/none.mp4", "No such file"), ("file:{}/text.mp4", "expected a video file"),
            ("camera:77", "camera:77: .* that no other program uses"),
            ("rtsp://127.0.0.1:9/x", "rtsp://127.0.0.1:9/x: Connection refused"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_opened_is_said_in_one_line(self, tmp_path, name, said):
        (tmp_path / "text.mp4").write_text("no video")
        with pytest.raises(DataError, match=said) as raised:
            next(frames_of(name.format(tmp_path)))
        assert "\n" not in str(raised.value)

    def test_names_of_streams_and_of_files(self):
        for name in ("camera:0", "file:a.mp4", "rtsp://host/x", "http://host/a.mp4", "udp://@:1234"):
            assert is_stream(name)
        for name in ("a.mp4", "-", "/data/camera.mp4", "folder", "C:/x.mp4", "a://b.mp4"):
            assert not is_stream(name)


def test_latency_is_the_median_and_the_95th_percentile():
    times = iter(np.arange(1, 102) / 1000)
    latencies = Latencies(lambda: next(times))
    assert latencies.in_words() == ""
    for _ in range(101):
        latencies.answered(0.0)
    assert latencies.in_words() == "latency 51.0 ms (median), 96.0 ms (95th percentile) of 101 frames"
