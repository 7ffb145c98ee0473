"""Small videos, written by PyAV: each picture's grey value tells its number."""

from fractions import Fraction

import av
import numpy as np

STEP = 12  # of the grey value from one picture to the next; coding changes a value by less than half of it


def picture(number, width=32, height=32):
    """A plain picture whose grey value is STEP times its number."""
    return np.full((height, width, 3), number * STEP % 256, np.uint8)


def number_of(pixels):
    """The number of a `picture`, from the middle of what was decoded."""
    height, width = pixels.shape[:2]
    return round(float(pixels[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None].mean()) / STEP)


def write_clip(
    path, frames=10, rate=10, codec="libx264", pixel_format="yuv420p", times=None, rotation=None, options=None
):
    """Writes a video.

    Args:
        frames: how many `picture`s, or the pictures themselves, (height, width, 3) uint8 each.
        times: milliseconds of each picture; by default every 1 / rate seconds.
        rotation: degrees that a player turns it counter-clockwise, as a phone writes them.
    """
    pictures = [picture(number) for number in range(frames)] if isinstance(frames, int) else list(frames)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2] if pictures else (32, 32)
        stream.pix_fmt = pixel_format
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if codec == "libx264":
            stream.codec_context.options = {"crf": "10", "preset": "ultrafast"}
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.start_encoding()  # the header, where there is no picture
        container.mux(stream.encode())
    return path


def write_sound(path, seconds=1):
    """Writes a file of sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000 * seconds), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
