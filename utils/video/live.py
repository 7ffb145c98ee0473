"""Pictures as they come: from a camera, an address, a file played at its own rate, or raw pictures in a pipe.

    camera:0    rtsp://camera.local/stream    file:loop.mp4
    with NewestFrame(due_frames(frames_of("camera:0"), rate=10)) as frames:
        for number, frame in frames:
            ...

Whoever takes them may be slower than they come: then frames are dropped, and the next one taken is the newest.
"""

from __future__ import annotations

import math
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from utils.errors import DataError, first_line, import_extra
from utils.video.recordings import CAMERA, FILE

# How FFmpeg calls the cameras of a system, and their numbers.
CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
PATIENCE = 10.0  # seconds without a picture after which a stream counts as lost
MOST_PIXELS = 1 << 26
MOST_DAMAGED = 500  # packets in a row that can't be decoded
EARLY = 0.2  # of the time between two frames: so much too early is still that frame
FASTER = 0.95  # a camera may be faster than its rate; if it had to wait, its pictures would be late
LONGEST_GAP = 24 * 3600.0  # seconds


@dataclass(frozen=True)
class LiveFrame:
    """A frame of a stream.

    Attributes:
        time: seconds on the stream's clock.
        arrived: `time.perf_counter()` when its data had come.
        frame: an `av.VideoFrame`, which `utils.video.decoding.PictureConverter` reads.
    """

    time: float
    arrived: float
    frame: Any


def frames_of(name: str, paced: bool = True) -> Iterator[LiveFrame]:
    """The frames of a stream, until it ends.

    The time of a frame is when it came; of a file, when it is to be shown.

    Args:
        name: 'camera:NUMBER' (under Windows camera:NAME), 'file:PATH', or an address that PyAV opens.
        paced: a file is played at its own rate; otherwise as fast as it can be read.

    Raises:
        DataError: naming the stream: it can't be opened, holds no video, or stops.
    """
    av = import_extra("av", "video", "reading a camera or a stream")
    is_file = name.startswith(FILE)
    try:
        with _opened(av, name) as container:
            if not container.streams.video:
                raise DataError(f"{name}: there is no video in this stream")
            stream = container.streams.video[0]
            stream.codec_context.thread_type = "SLICE"  # threads by frames would hold frames back
            begin = first = None
            damaged = 0
            for packet in container.demux(stream):
                arrived = time.perf_counter()
                try:
                    frames = packet.decode()
                    damaged = 0
                except av.error.EOFError:
                    break
                except av.error.InvalidDataError:  # a lost packet, or one before the first key frame
                    damaged += 1
                    if damaged > MOST_DAMAGED:
                        raise
                    continue
                for frame in frames:
                    if not is_file:
                        yield LiveFrame(arrived, arrived, frame)
                        continue
                    shown = frame.time or 0.0
                    if begin is None:
                        begin, first = arrived, shown
                    if paced:
                        time.sleep(max(0.0, begin + shown - first - time.perf_counter()))
                        arrived = time.perf_counter()
                    yield LiveFrame(shown, arrived, frame)
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        said = getattr(error, "strerror", None) or first_line(error)
        raise DataError(f"{name}: {said}; expected {_expected(name)}") from error


def _opened(av: Any, name: str) -> Any:
    if name.startswith(FILE):
        return av.open(
            f"file:{Path(name.removeprefix(FILE))}",
            options={"protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)},
        )
    if name.startswith(CAMERA):
        kind, pattern = CAMERAS.get(sys.platform, CAMERAS["linux"])
        return av.open(pattern.format(name.removeprefix(CAMERA)), format=kind, timeout=PATIENCE)
    options = {"fflags": "nobuffer", "flags": "low_delay", "max_pixels": str(MOST_PIXELS)}
    if name.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # whole pictures; UDP loses parts of them
    return av.open(name, options=options, timeout=PATIENCE)


def _expected(name: str) -> str:
    if name.startswith(CAMERA):
        _, pattern = CAMERAS.get(sys.platform, CAMERAS["linux"])
        return f"a camera at {pattern.format(name.removeprefix(CAMERA))} that no other program uses"
    return "a video file" if name.startswith(FILE) else f"a stream with a picture at least every {PATIENCE:g} s"


@dataclass(frozen=True)
class RawFormat:
    """Raw pictures in a pipe, such as `ffmpeg ... -f rawvideo -pix_fmt rgb24 -` writes.

    Attributes:
        width, height: pixels; three bytes each, red, green, blue, line by line from the upper left.
        frame_rate: pictures a second.
    """

    width: int
    height: int
    frame_rate: float

    @classmethod
    def of(cls, text: str) -> RawFormat:
        """From '640x480@30'.

        Raises:
            ValueError: it isn't of this form.
        """
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})@(\d+(?:\.\d+)?)", text.strip())
        if found is None or not int(found[1]) * int(found[2]) * float(found[3]):
            raise ValueError(f"{text!r}; expected WIDTHxHEIGHT@FRAMES_A_SECOND, such as 640x480@30")
        return cls(int(found[1]), int(found[2]), float(found[3]))


def raw_frames(pipe: BinaryIO, form: RawFormat, paced: bool = True) -> Iterator[LiveFrame]:
    """The frames of a pipe; frame k has the time k / frame_rate.

    Args:
        pipe: read until it ends.
        form: of the pictures.
        paced: whoever writes faster than the rate has to wait, as where it isn't a camera.

    Raises:
        DataError: it ends in the middle of a picture, or before the first.
    """
    av = import_extra("av", "video", "reading pictures")
    size, number, due = form.width * form.height * 3, 0, 0.0
    while data := pipe.read(size):
        if len(data) < size:
            raise DataError(
                f"standard input ends {size - len(data)} bytes before the end of picture {number}; are the pictures "
                f"{form.width} x {form.height}, three bytes a pixel?"
            )
        if paced:
            time.sleep(max(0.0, due - time.perf_counter()))
            due = max(due, time.perf_counter()) + FASTER / form.frame_rate
        arrived = time.perf_counter()
        pixels = np.frombuffer(data, np.uint8).reshape(form.height, form.width, 3)
        yield LiveFrame(number / form.frame_rate, arrived, av.VideoFrame.from_ndarray(pixels, format="rgb24"))
        number += 1


def due_frames(frames: Iterator[LiveFrame], rate: float) -> Iterator[tuple[int, LiveFrame]]:
    """Those frames of a stream that are used at a constant rate, with their numbers.

    Frame k is the first one that comes k / rate seconds after the first of all, or up to a fifth of 1 / rate before. A
    number for which none came is left out.

    Args:
        frames: of any rate, even or not.
        rate: frames/s.

    Raises:
        DataError: more than a day is missing.
    """
    begin, number, before = None, 0, 0.0
    for frame in frames:
        begin = frame.time if begin is None else begin
        since = frame.time - begin
        if since - before > LONGEST_GAP:
            raise DataError(f"{since - before:g} seconds without a picture after {before:g} s; is the clock right?")
        before = since
        found = math.floor(since * rate + EARLY)
        if found >= number:
            number = found + 1
            yield found, frame


class NewestFrame:
    """Reads items in a thread of its own and keeps only the newest, so that whoever takes them never lags.

    Args:
        items: read until they end, or until the block is left.

    Attributes:
        dropped: items that a newer one replaced before they were taken.
    """

    def __init__(self, items: Iterator[Any]):
        self.dropped = 0
        self._items = items
        self._newest: Any = None
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="newest frame", daemon=True)

    def __enter__(self) -> NewestFrame:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join(timeout=1.0)  # a camera that gives nothing more holds it up; it then ends with the program

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended)
                item, self._newest = self._newest, None
            if item is None:
                if self._error is not None:
                    raise self._error
                return
            yield item

    def _read(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self.dropped += self._newest is not None
                    self._newest = item
                    self._changed.notify()
                if self._stopped:
                    break
        except BaseException as error:  # raised where the items are taken
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()


class Latencies:
    """How long after their arrival frames had an answer.

    Args:
        clock: seconds; the one by which arrivals were taken.

    Attributes:
        count: how many had one.
    """

    KEPT = 100_000  # the last ones

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self.count = 0
        self._clock = clock
        self._seconds: deque[float] = deque(maxlen=self.KEPT)

    def answered(self, arrived: float) -> None:
        """Notes that the frame that arrived then has its answer now."""
        self.count += 1
        self._seconds.append(self._clock() - arrived)

    def in_words(self) -> str:
        """Median and 95th percentile in milliseconds; '' before there was a frame."""
        if not self._seconds:
            return ""
        median, high = 1000 * np.percentile(np.array(self._seconds), (50, 95))
        return f"latency {median:.1f} ms (median), {high:.1f} ms (95th percentile) of {self.count} frames"
