"""Features of videos: pictures are decoded, sampled, encoded, and their differences added, in a stream.

    encoder = make_encoder("lite0")
    rows = list(feature_rows([path], encoder, frame_rate=10))      # of (1280,) float32
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from utils.data.feature_origin import FeatureKind
from utils.data.segments import lengths_agree
from utils.errors import DataError, place, shown
from utils.video.decoding import Picture, read_pictures
from utils.video.encoders import make_encoder
from utils.video.encoders.protocol import ImageEncoder

AHEAD = 2  # pictures that wait for each thread of the encoder


class FeatureMaker:
    """Features of one picture after the other, with their differences where they are wanted: for one recording.

    Args:
        encoder: of the pictures.
        motion: also give the difference to the features of the picture before, 0 for the first one.

    Attributes:
        shape: of a picture's features.
    """

    def __init__(self, encoder: ImageEncoder, motion: bool = False):
        self._encoder = encoder
        self._motion = has_motion(encoder, motion)
        self._before: np.ndarray | None = None
        self.shape = feature_shape(encoder, motion)

    def add(self, pixels: np.ndarray) -> np.ndarray:
        """The features of the next picture, (height, width, 3) uint8 of the encoder's size: float32 of `shape`."""
        return self.with_motion(self._encoder.encode(pixels[None])[0])

    def with_motion(self, encoded: np.ndarray) -> np.ndarray:
        """The features of the next picture, which is encoded already."""
        if not self._motion:
            return encoded
        before, self._before = self._before, encoded
        return np.concatenate([encoded, encoded - before if before is not None else np.zeros_like(encoded)])


def has_motion(encoder: ImageEncoder, motion: bool) -> bool:
    """Whether the features come with their differences: where it is asked for, or the encoder always has them."""
    return motion or encoder.with_motion


def feature_shape(encoder: ImageEncoder, motion: bool = False, cameras: int = 1) -> tuple[int, ...]:
    """The shape of a frame's features: the first axis is that of `ImageEncoder.shape`, for each camera, twice."""
    first, *rest = encoder.shape
    return (first * (1 + has_motion(encoder, motion)) * cameras, *rest)


def kind_of(encoder: ImageEncoder, frame_rate: float, motion: bool = False, cameras: Sequence[str] = ()) -> FeatureKind:
    """What features that are made like this are called in files and checkpoints."""
    return FeatureKind(
        encoder.description, encoder.name, float(frame_rate), has_motion(encoder, motion), tuple(cameras)
    )


def encoder_of(kind: FeatureKind, description: str = "", threads: int = 1) -> ImageEncoder:
    """The encoder of features that were made earlier.

    Args:
        kind: of these features.
        description: used instead of their own, such as another path of the same file.
        threads: see `make_encoder`.

    Raises:
        DataError: it isn't the same encoder: other weights, another size.
        ConfigError, MissingFileError, MissingExtraError: see `make_encoder`.
    """
    encoder = make_encoder(description or kind.encoder, threads)
    if encoder.name != kind.encoder_name:
        raise DataError(
            f"the encoder {shown(encoder.description)} is {encoder.name} here; expected {kind.encoder_name}, by which "
            f"the features of the training were made"
        )
    return encoder


def feature_rows(
    paths: Sequence[Path], encoder: ImageEncoder, frame_rate: float, motion: bool = False, threads: int = 1
) -> Iterator[np.ndarray]:
    """The features of a recording, frame by frame; memory doesn't grow with its length.

    Args:
        paths: its video, or those of several cameras that began together, whose features are concatenated.
        encoder: of the pictures.
        frame_rate: frames/s.
        motion: see `FeatureMaker`.
        threads: that encode at once. The features are the same bytes for any number.

    Yields:
        Float32 of `feature_shape`.

    Raises:
        DataError: see `read_pictures`; or the cameras' lengths differ by more than 2 frames and 1 %.
    """
    streams = [_of_camera(path, encoder, frame_rate, motion, threads) for path in paths]
    if len(streams) == 1:
        yield from streams[0]
        return
    count = 0
    while True:
        rows = [next(stream, None) for stream in streams]
        if any(row is None for row in rows):
            break
        count += 1
        yield np.concatenate(rows)
    for path, row, stream in zip(paths, rows, streams, strict=True):
        length = count + (row is not None) + sum(1 for _ in stream)
        if not lengths_agree(length, count):
            shortest = paths[next(number for number, one in enumerate(rows) if one is None)]
            raise DataError(
                f"{place(path)}has {length} frames at {frame_rate:g} frames/s, but {shortest} has {count}; expected "
                f"cameras that began and ended together"
            )


def _of_camera(
    path: Path, encoder: ImageEncoder, frame_rate: float, motion: bool, threads: int
) -> Iterator[np.ndarray]:
    maker = FeatureMaker(encoder, motion)
    pictures = read_pictures(path, frame_rate, encoder.size, encoder.resize)
    encoded = _in_threads(pictures, encoder, threads) if threads > 1 else _one_by_one(pictures, encoder)
    for row in encoded:
        yield maker.with_motion(row)


def _one_by_one(pictures: Iterator[Picture], encoder: ImageEncoder) -> Iterator[np.ndarray]:
    before, row = None, None
    for picture in pictures:
        if picture.pixels is not before:  # a picture that lasts longer than a sample is encoded once
            before, row = picture.pixels, encoder.encode(picture.pixels[None])[0]
        yield row


def _in_threads(pictures: Iterator[Picture], encoder: ImageEncoder, threads: int) -> Iterator[np.ndarray]:
    """As `_one_by_one`; the next pictures are decoded and encoded meanwhile. Both release Python's lock."""
    waiting: deque[Future] = deque()
    before, last = None, None
    with ThreadPoolExecutor(threads) as pool:
        try:
            for picture in pictures:
                if picture.pixels is not before:  # see `_one_by_one`
                    before, last = picture.pixels, pool.submit(encoder.encode, picture.pixels[None])
                waiting.append(last)
                while len(waiting) > AHEAD * threads:
                    yield waiting.popleft().result()[0]
            while waiting:
                yield waiting.popleft().result()[0]
        finally:
            for future in waiting:
                future.cancel()
