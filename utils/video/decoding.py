"""Video files, as pictures with their times.

    for picture in read_pictures("tea_1.mp4", frame_rate=10, size=(224, 224)):
        picture.time, picture.pixels                # seconds from the first picture, (224, 224, 3) uint8 RGB

PyAV (extra: video) reads any container and codec that FFmpeg knows. Only local files are opened, also where a file is a
list of others. A file that can't be used raises one `DataError` with its name and the likely cause.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import DataError, first_line, import_extra, place

VideoFrame = Any  # PyAV's, which is imported only where a video is read
# What a folder of recordings is searched for. A file that is named may have any suffix.
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    ".ogv", ".mxf",
)  # fmt: skip
RESIZES = ("stretch", "crop", "pad")
MOST_PIXELS = 1 << 26  # of a picture, twice 8K; damaged files can claim any size
LONGEST_GAP = 3600  # seconds between two pictures; damaged files can hold any time
# Containers round times to their unit, some of them to milliseconds.
MOST_ROUNDING = Fraction(1, 2000)
# A container may declare slightly more than it holds: edit lists, sound that ends later.
MISSING_SECONDS, MISSING_SHARE = 0.25, 0.02
MOST_PACKETS_BEFORE_A_PICTURE = 500  # that can't be decoded: a recording that begins between two key frames


@dataclass(frozen=True)
class VideoInformation:
    """What a file says about its video.

    Attributes:
        path: the file.
        width, height: pixels of a picture, after rotation.
        frame_rate: average pictures/s; 0 where the file doesn't say.
        duration: seconds; 0 where the file doesn't say.
        frames: number of pictures as the file says, or by duration and rate; 0 where neither is known.
        codec: name of the codec, such as 'h264'.
        pixel_format: such as 'yuv420p', of the pictures in the file.
        rotation: quarter turns counter-clockwise that show it upright, 0 to 3; `width` and `height` include them.
    """

    path: Path
    width: int
    height: int
    frame_rate: float
    duration: float
    frames: int
    codec: str
    pixel_format: str
    rotation: int

    def sampled_frames(self, frame_rate: float | None) -> int:
        """About how many pictures `read_pictures` gives at a rate; 0 where it isn't known."""
        return round(self.duration * frame_rate) if frame_rate else self.frames


@dataclass(frozen=True)
class Picture:
    """A picture of a video.

    Attributes:
        time: seconds from the first picture.
        pixels: (height, width, 3) uint8, RGB, upright. Two samples of one picture share the array.
    """

    time: float
    pixels: np.ndarray


def open_video(path: str | os.PathLike) -> VideoInformation:
    """What a file says about its video; the first picture is decoded, no other.

    Raises:
        DataError: naming the file: it is missing, empty, not a video, damaged, or has no picture.
        MissingExtraError: PyAV isn't installed.
    """
    path = Path(path)
    with _opened(path, threads=1) as (container, stream):
        frame = next(_frames(path, container, stream))
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        duration = float(_declared_duration(container, stream) or 0)
        frames = stream.frames or round(duration * rate)
        turns = _quarter_turns(frame)
        width, height = _upright(frame, turns)
        return VideoInformation(
            path, width, height, rate, duration or (frames / rate if rate else 0.0), frames,
            stream.codec_context.name, frame.format.name, turns,
        )  # fmt: skip


def read_pictures(
    path: str | os.PathLike,
    frame_rate: float | None = None,
    size: tuple[int, int] | None = None,
    resize: str = "stretch",
    threads: int = 1,
) -> Iterator[Picture]:
    """The pictures of a video in order, one in memory at a time.

    Args:
        path: the file.
        frame_rate: pictures/s to give. Picture k is the last one at or before k / frame_rate seconds, whatever the
            distances of the pictures in the file; there is one for each k / frame_rate before the video's end. None:
            every picture of the file at its own time.
        size: (width, height) to give; None: that of the video.
        resize: how another shape is brought to this size: 'stretch'; 'crop', whose middle fills it; 'pad' with black.
        threads: of the decoder; the pictures are the same for any number.

    Raises:
        DataError: naming the file, at the first picture or in the middle: see `open_video`; the video ends before the
            time that the file declares; the file changed meanwhile; pictures change their size and none is given.
        MissingExtraError: PyAV isn't installed.

    Example:
        >>> times = [picture.time for picture in read_pictures("tea.mp4", frame_rate=2)]    # doctest: +SKIP
        [0.0, 0.5, 1.0, 1.5]
    """
    path = Path(path)
    before = _stamp(path)
    with _opened(path, threads) as (container, stream):
        converter = PictureConverter(size, resize)
        timed = _timed(path, _frames(path, container, stream), stream)
        pictures = _all(timed, converter) if frame_rate is None else _sampled(timed, converter, frame_rate, stream)
        shape = None
        for picture in pictures:
            if shape not in (None, picture.pixels.shape):
                raise DataError(
                    f"{place(path)}the pictures change from {shape[1]} x {shape[0]} to "
                    f"{picture.pixels.shape[1]} x {picture.pixels.shape[0]} at {picture.time:.2f} s; expected one size"
                )
            shape = picture.pixels.shape
            yield picture
    if _stamp(path) != before:
        raise DataError(f"{place(path)}was changed while it was read; is it still being recorded or copied?")


class PictureConverter:
    """Makes decoded frames upright RGB pictures of one size; for one stream, because it keeps its tables.

    Args:
        size: (width, height); None: that of each frame.
        resize: see `read_pictures`.

    Raises:
        ValueError: no such way to resize, or a size that isn't two positive numbers.
    """

    def __init__(self, size: tuple[int, int] | None = None, resize: str = "stretch"):
        if resize not in RESIZES or (size is not None and (len(size) != 2 or min(size) < 1)):
            raise ValueError(f"size {size}, resize {resize!r}; expected (width, height) and one of {RESIZES}")
        self._size, self._resize = size, resize
        reformatter = import_extra("av.video.reformatter", "video", "reading a video")
        how = reformatter.Interpolation
        # The same pixels on every processor; costs nothing that could be measured.
        self._interpolation = how.BILINEAR | how.ACCURATE_RND | how.BITEXACT
        self._reformatter = reformatter.VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """(height, width, 3) uint8, RGB."""
        turns = _quarter_turns(frame)
        full = _upright(frame, turns)
        width, height = self._scaled(full)
        # swscale goes from the decoder's format and size to the small RGB picture in one step.
        scaled = self._reformatter.reformat(
            frame, *((height, width) if turns % 2 else (width, height)), format="rgb24",
            interpolation=self._interpolation, threads=1,
        )  # fmt: skip
        pixels = np.rot90(scaled.to_ndarray(), turns)
        if self._size is not None and (width, height) != self._size:
            pixels = _fitted(pixels, self._size)
        return np.ascontiguousarray(pixels)

    def _scaled(self, full: tuple[int, int]) -> tuple[int, int]:
        """Width and height to scale a picture to, before what is too much is cut off or what is missing is added."""
        if self._size is None or self._resize == "stretch":
            return self._size or full
        ratios = [wanted / given for wanted, given in zip(self._size, full, strict=True)]
        ratio = max(ratios) if self._resize == "crop" else min(ratios)
        return max(1, round(full[0] * ratio)), max(1, round(full[1] * ratio))


def _fitted(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of a picture that is larger than `size` in an axis, black around one that is smaller."""
    fitted = np.zeros((size[1], size[0], 3), pixels.dtype)
    inside, outside = [], []
    for given, wanted in zip(pixels.shape[:2], fitted.shape[:2], strict=True):
        common = min(given, wanted)
        inside.append(slice((given - common) // 2, (given - common) // 2 + common))
        outside.append(slice((wanted - common) // 2, (wanted - common) // 2 + common))
    fitted[tuple(outside)] = pixels[tuple(inside)]
    return fitted


def _quarter_turns(frame: VideoFrame) -> int:
    return round(frame.rotation / 90) % 4


def _upright(frame: VideoFrame, turns: int) -> tuple[int, int]:
    return (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of the file.

    Raises:
        DataError: there is no such file, or nothing in it.
    """
    try:
        status = path.stat()
    except OSError as error:
        what = "no such file" if error.errno == errno.ENOENT else error.strerror
        raise DataError(f"{place(path)}{what}") from error
    if not path.is_file():
        raise DataError(f"{place(path)}is not a regular file; expected a video")
    if status.st_size == 0:
        raise DataError(f"{place(path)}is empty; is it still being recorded or copied?")
    return status.st_size, status.st_mtime_ns


@contextmanager
def _opened(path: Path, threads: int) -> Iterator[tuple[Any, Any]]:
    """The open container and its video stream."""
    av = import_extra("av", "video", "reading a video")
    _stamp(path)
    options = {"protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)}
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise DataError(
            f"{place(path)}can't be opened as a video ({_reason(error)}); is it cut off, still being written, or of "
            f"another kind?"
        ) from error
    with container:
        # A sound file may hold its cover as a video stream.
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams:
            kinds = sorted({stream.type for stream in container.streams})
            raise DataError(f"{place(path)}has no video stream, only {', '.join(kinds) or 'nothing'}")
        stream = streams[0]
        if stream.codec_context is None:
            raise DataError(f"{place(path)}the codec of its video can't be told; is it cut off, or of a rare kind?")
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "AUTO"
        yield container, stream


def _reason(error: Exception) -> str:
    """FFmpeg's own words, without the name of the file."""
    return str(getattr(error, "strerror", None) or first_line(error))


def _frames(path: Path, container: Any, stream: Any) -> Iterator[VideoFrame]:
    """The decoded frames of a stream in the order in which they are shown.

    Raises:
        DataError: a part can't be decoded, there is no picture, or the video ends too early.
    """
    av = import_extra("av", "video", "reading a video")
    count = broken = 0
    end = None
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else []
        except av.error.EOFError:
            break
        except (av.error.FFmpegError, ValueError) as error:
            broken += 1
            if count == 0 and 0 < broken < MOST_PACKETS_BEFORE_A_PICTURE:
                continue
            raise DataError(
                f"{place(path)}picture {count} can't be decoded ({_reason(error)}); is the file damaged or cut off?"
            ) from error
        if packet is None:
            break
        for frame in frames:
            if frame.width * frame.height > MOST_PIXELS:
                raise DataError(
                    f"{place(path)}picture {count} has {frame.width} x {frame.height} pixels; expected at most "
                    f"{MOST_PIXELS}"
                )
            if frame.is_corrupt and count:
                raise DataError(f"{place(path)}picture {count} is damaged; is the file damaged or cut off?")
            count += 1
            end = _end_of(frame, stream, end)
            yield frame
    if end is None:
        raise DataError(f"{place(path)}holds no picture that can be decoded; is it empty, or cut off?")
    declared = _declared_duration(container, stream)
    if declared and end < declared - max(MISSING_SECONDS, MISSING_SHARE * float(declared)):
        raise DataError(
            f"{place(path)}ends at {float(end):.1f} s, but declares {float(declared):.1f} s; is it cut off?"
        )


def _period(stream: Any) -> Fraction:
    """Seconds from one picture to the next on average; 0 where nothing is known."""
    rate = stream.average_rate or stream.guessed_rate
    return 1 / Fraction(rate) if rate else Fraction(0)


def _length_of(frame: VideoFrame, stream: Any) -> Fraction:
    """How long a picture is shown, if it is the last."""
    length = Fraction(frame.duration or 0) * (frame.time_base or stream.time_base or 0)
    return length if 0 < length < LONGEST_GAP else _period(stream)


def _end_of(frame: VideoFrame, stream: Any, before: Fraction | None) -> Fraction:
    """Seconds of the stream at which a picture ends; counted by the average rate where it has no time."""
    if frame.pts is None:
        return (before or Fraction(0)) + _period(stream)
    time = frame.pts * (frame.time_base or stream.time_base) - (stream.start_time or 0) * stream.time_base
    return max(time + _length_of(frame, stream), before or Fraction(0))


def _declared_duration(container: Any, stream: Any) -> Fraction | None:
    """Seconds of video as the file says; None where it says nothing, or where it may speak of its sound."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, 1_000_000)
    return None


def _timed(
    path: Path, frames: Iterator[VideoFrame], stream: Any
) -> Iterator[tuple[Fraction, Fraction, VideoFrame]]:
    """Each frame with its time from the first, rising, and the time at which it ends if no other follows.

    Raises:
        DataError: the next picture is more than an hour later.
    """
    start = last = None
    for frame in frames:
        time = None if frame.pts is None else frame.pts * (frame.time_base or stream.time_base)
        if start is None or last is None:
            start, elapsed = time or Fraction(0), Fraction(0)
        else:
            elapsed = time - start if time is not None else last
            if elapsed <= last:  # no time, or one that jumps back, as where recordings were joined
                elapsed = last + _period(stream)
                start = time - elapsed if time is not None else start
            if elapsed - last > LONGEST_GAP:
                raise DataError(
                    f"{place(path)}the picture after {float(last):.1f} s is at {float(elapsed):.1f} s; expected at "
                    f"most {LONGEST_GAP} s between two; is the file damaged?"
                )
        last = elapsed
        yield elapsed, elapsed + _length_of(frame, stream), frame


def _all(timed: Iterator[tuple[Fraction, Fraction, Any]], converter: PictureConverter) -> Iterator[Picture]:
    for time, _, frame in timed:
        yield Picture(float(time), converter(frame))


def _sampled(
    timed: Iterator[tuple[Fraction, Fraction, Any]], converter: PictureConverter, frame_rate: float, stream: Any
) -> Iterator[Picture]:
    """Picture k: the last one at or before k / frame_rate."""
    if not 0 < frame_rate < math.inf:
        raise ValueError(f"frame_rate is {frame_rate}; expected a number above 0")
    # 29.97 is meant as it is written, and so is 30000 / 1001.
    rate = Fraction(frame_rate).limit_denominator(1001) or Fraction(frame_rate)
    rounding = min(Fraction(stream.time_base or 0) / 2, MOST_ROUNDING)
    sample = 0
    pending, pixels, end = None, None, Fraction(0)
    for time, ends, frame in timed:
        while pending is not None and sample / rate + rounding < time:
            pixels = converter(pending) if pixels is None else pixels
            yield Picture(float(sample / rate), pixels)
            sample += 1
        pending, pixels, end = frame, None, ends
    while pending is not None and (sample == 0 or sample / rate < end - 2 * rounding):
        pixels = converter(pending) if pixels is None else pixels
        yield Picture(float(sample / rate), pixels)
        sample += 1
