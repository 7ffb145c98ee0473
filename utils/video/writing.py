"""Writes pictures as a video that browsers play, or as an animation: MP4 (H.264), GIF, WebP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from utils.errors import DataError, import_extra
from utils.files import atomic_write
from utils.video.decoding import Picture, open_video, read_pictures

VIDEO, ANIMATIONS = ".mp4", (".gif", ".webp")
# An animation is in memory as a whole while it is written.
MOST_PICTURES_OF_ANIMATION = 3000
COLOURS = 255  # of a GIF; one more is transparent: what is as in the picture before
PICTURES_OF_PALETTE = 100
QUALITY = {"crf": "20", "preset": "veryfast"}
FINEST_RATE = 1001 * 60  # denominators of frame rates such as 30000/1001
HIGHEST_RATE = 30.0  # pictures a second of what is written of a video
LONGEST_SIDE_IN_PAGE = 960  # pixels


def write_pictures(path: str | Path, pictures: Iterable[np.ndarray], frame_rate: float) -> int:
    """Writes pictures of one size; the file is whole or not there. The same pictures give the same bytes.

    Args:
        path: ends in .mp4 (H.264 with 4:2:0 colours, its index first, as browsers play it; odd sizes get one more
            line or column), .gif or .webp.
        pictures: (H, W, 3) uint8 RGB each.
        frame_rate: pictures a second.

    Returns:
        How many there were.

    Raises:
        DataError: another suffix, no picture, a picture of another size, or too many for an animation.
        MissingExtraError: an .mp4 needs PyAV.
    """
    path = Path(path)
    check_suffix(path)
    iterator = iter(pictures)
    first = next(iterator, None)
    if first is None:
        raise DataError(f"{path}: there is no picture to write; expected at least 1")
    checked = _of_one_size(chain([first], iterator), first.shape, path)
    with atomic_write(path) as temporary:
        if path.suffix.lower() == VIDEO:
            return _write_video(temporary, checked, first.shape, frame_rate)
        return _write_animation(temporary, checked, frame_rate, path)


def check_suffix(path: Path) -> None:
    """Raises DataError if `write_pictures` can't write a file of this name."""
    if path.suffix.lower() not in (VIDEO, *ANIMATIONS):
        raise DataError(f"{path}: expected a name that ends in {VIDEO}, {' or '.join(ANIMATIONS)}")


def pictures_to_write(
    video: Path, size: Callable[[int, int], tuple[int, int]]
) -> tuple[Iterator[Picture], float]:
    """The pictures of a video for another one that is made of it, and their rate: its own, at most 30 a second.

    Args:
        video: the file.
        size: from width and height of the video to those that the pictures shall have.

    Raises:
        DataError: the video can't be read, see `read_pictures`.
    """
    known = open_video(video)
    rate = min(known.frame_rate or HIGHEST_RATE, HIGHEST_RATE)
    pictures = read_pictures(video, rate, size(known.width, known.height))
    count = known.sampled_frames(rate) or None
    return iter(tqdm(pictures, desc=video.name, total=count, unit="picture", disable=None, leave=False)), rate


def write_for_browsers(path: Path, video: Path) -> None:
    """Writes a video again as every browser plays it, no larger than a page needs.

    Raises:
        DataError: the video can't be read.
    """
    def size(width: int, height: int) -> tuple[int, int]:
        scale = min(1.0, LONGEST_SIDE_IN_PAGE / max(width, height))
        return max(2, 2 * round(scale * width / 2)), max(2, 2 * round(scale * height / 2))

    pictures, rate = pictures_to_write(video, size)
    write_pictures(path, (picture.pixels for picture in pictures), rate)


def _of_one_size(pictures: Iterable[np.ndarray], shape: tuple[int, ...], path: Path) -> Iterator[np.ndarray]:
    for number, picture in enumerate(pictures):
        if picture.shape != shape:
            raise DataError(f"{path}: picture {number} is of shape {picture.shape}; expected {shape}, as the first")
        yield picture


def _write_video(path: Path, pictures: Iterable[np.ndarray], shape: tuple[int, ...], frame_rate: float) -> int:
    av = import_extra("av", "video", "writing a video")
    height, width = shape[:2]
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    number = 0
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(frame_rate).limit_denominator(FINEST_RATE))
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        stream.options = QUALITY
        for picture in pictures:
            even = np.pad(picture, odd, mode="edge") if height % 2 or width % 2 else picture
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            container.mux(stream.encode(frame))
            number += 1
        container.mux(stream.encode())
    return number


def _write_animation(path: Path, pictures: Iterable[np.ndarray], frame_rate: float, name: Path) -> int:
    images: list[Image.Image] = []
    is_gif = path.suffix.lower() == ".gif"
    iterator = iter(pictures)
    first = list(islice(iterator, PICTURES_OF_PALETTE))
    palette = _common_palette(first) if is_gif else None
    for picture in chain(first, iterator):
        if len(images) == MOST_PICTURES_OF_ANIMATION:
            raise DataError(
                f"{name}: more than {MOST_PICTURES_OF_ANIMATION} pictures are too many for an animation; write {VIDEO}"
            )
        image = Image.fromarray(picture)
        images.append(image.quantize(palette=palette, dither=Image.Dither.NONE) if is_gif else image)
    # A GIF counts hundredths of a second: what one picture loses by rounding, the next one gains.
    unit = 10 if is_gif else 1
    ends = [unit * round(1000 * end / frame_rate / unit) for end in range(len(images) + 1)]
    options = {"optimize": False} if is_gif else {"quality": 80, "method": 2}
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=np.diff(ends).tolist(), loop=0, **options
    )
    return len(images)


def _common_palette(pictures: Sequence[np.ndarray]) -> Image.Image:
    """One palette for all pictures of a GIF: what doesn't move then costs nothing, and there is no flicker."""
    some = [pictures[i] for i in np.linspace(0, len(pictures) - 1, min(len(pictures), 8)).astype(int)]
    return Image.fromarray(np.concatenate([each[::2] for each in some])).quantize(COLOURS, Image.Quantize.MEDIANCUT)
