"""Two recordings beside each other, each picture of the first with the one of the second that belongs to it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from utils.errors import DataError
from utils.video.decoding import Picture
from utils.video.lettering import EMPTY, FILL, INK, PANEL, SOFT, length, text_size, write

HEIGHT, NARROWEST = 360, 240  # pixels of one picture
GAP = 8
QUALITY = 92  # of the pictures in memory


def side_by_side(
    first: Iterable[Picture],
    second: Iterable[Picture],
    pairs: np.ndarray,
    names: Sequence[str],
    lengths: Sequence[float],
    height: int = HEIGHT,
) -> Iterator[np.ndarray]:
    """Pictures of two recordings side by side, in the order of the first.

    The pictures of the second recording that are shown are in memory, compressed.

    Args:
        first, second: pictures of the recordings; frame k of a recording is its k-th picture.
        pairs: (N, 2) frame of the first, increasing, and the one of the second that is shown beside it.
        names: of both recordings.
        lengths: seconds of both.
        height: of a picture, in pixels.

    Yields:
        (H', W', 3) uint8, all of one size.

    Raises:
        DataError: a recording ends before a frame that is to be shown.
    """
    wanted = set(pairs[:, 1].tolist())
    kept = {number: _packed(each, height) for number, each in enumerate(second) if number in wanted}
    if wanted - kept.keys():
        raise DataError(f"{names[1]}: there is no picture {min(wanted - kept.keys())}, which the alignment names")
    partners = dict(pairs.tolist())
    shown = 0
    for number, each in enumerate(first):
        if number in partners:
            sides = [_side(_fitted(each.pixels, height), height, each.time, names[0], lengths[0])]
            time, packed = kept[partners[number]]
            sides.append(_side(Image.open(io.BytesIO(packed)), height, time, names[1], lengths[1]))
            yield _beside(sides)
            shown += 1
    if shown < len(partners):
        raise DataError(f"{names[0]}: {shown} of {len(partners)} pictures that the alignment names are there")


def side_size(width: int, height: int, most: int = HEIGHT) -> tuple[int, int]:
    """The size in which a picture is shown: `most` pixels high, or lower if it would be wider than twice that."""
    scale = min(most / height, 2 * most / width)
    return max(1, round(scale * width)), max(1, round(scale * height))


def _fitted(pixels: np.ndarray, most: int) -> Image.Image:
    image = Image.fromarray(pixels)
    size = side_size(*image.size, most)
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _packed(picture: Picture, height: int) -> tuple[float, bytes]:
    with io.BytesIO() as file:
        _fitted(picture.pixels, height).save(file, format="JPEG", quality=QUALITY)
        return picture.time, file.getvalue()


def _side(picture: Image.Image, height: int, time: float, name: str, seconds: float) -> Image.Image:
    """One recording: its picture, where in it that is, its name and the time."""
    width = max(picture.width, NARROWEST)
    unit = min(text_size(2 * width), 22)
    side = Image.new("RGB", (width, height + round(2.6 * unit)), PANEL)
    side.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    draw = ImageDraw.Draw(side)
    margin, bar = unit // 2, max(4, unit // 4)
    top = height + unit // 2
    share = min(time / seconds, 1.0) if seconds > 0 else 1.0
    draw.rectangle((margin, top, width - margin, top + bar), fill=EMPTY)
    draw.rectangle((margin, top, margin + share * (width - 2 * margin), top + bar), fill=FILL)
    base = height + round(2.0 * unit)
    clock = f"{time:.1f} s"
    room = width - 3 * margin - length(clock, unit)
    write(draw, (margin, base), name, unit, INK, bold=True, room=room)
    write(draw, (width - margin, base), clock, unit, SOFT, "rs")
    return side


def _beside(sides: Sequence[Image.Image]) -> np.ndarray:
    height = max(side.height for side in sides)
    width = sum(side.width for side in sides) + GAP
    canvas = Image.new("RGB", (width + width % 2, height + height % 2), "#000000")
    canvas.paste(sides[0], (0, 0))
    canvas.paste(sides[1], (sides[0].width + GAP, 0))
    return np.asarray(canvas)
