"""Small videos for tests, written by PyAV."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from utils.video.decoding import Picture

av = pytest.importorskip("av")


def moving_square(frames, width=32, height=24, seed=0):
    """Pictures of a bright square that goes from left to right over a grey ground."""
    level = 40 + 20 * seed
    pictures = np.full((frames, height, width, 3), level, np.uint8)
    for number, left in enumerate(np.linspace(0, width - 8, frames).astype(int)):
        pictures[number, 8:16, left : left + 8] = (230, 200, 30)
    return pictures


def write_clip(path, pictures, rate=10):
    """Writes pictures as a file that any build of PyAV can write and read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(rate))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def timed(pictures, rate=10):
    return [Picture(number / rate, pixels) for number, pixels in enumerate(pictures)]
