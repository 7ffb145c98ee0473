"""Draws what is known of a recording's progress on its pictures: bar, interval, step, remaining time, a warning.

The picture stays whole: numbers stand in a panel below it, so that they can be read over any video. Only the warning
that progress should not be believed covers a corner of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from utils.video.decoding import Picture
from utils.video.lettering import EMPTY, FILL, INK, PANEL, SOFT, length, shortened, text_size, write
from utils.video.writing import check_suffix, pictures_to_write, write_pictures

LEAST_WIDTH, LONGEST_SIDE = 480, 1280  # pixels: narrower videos are enlarged, larger ones reduced
DOUBT, WARNING, ON_WARNING = "#8a5a00", "#ffb000", "#000000"


@dataclass(frozen=True)
class ProgressTrack:
    """What is known at each frame of a recording.

    Attributes:
        times: (T,) seconds since the beginning of the video, increasing, T >= 1.
        progress: (T,) in [0, 1].
        lower, upper: (T,) in [0, 1], an interval around it; None if there is none.
        steps: (T,) names of the current step, '' where it isn't known; None if nothing is known of steps.
        step_probability: (T,) of it.
        remaining: (T,) seconds to go; None if that isn't known.
        out_of_range: (T,) why progress should not be believed, '' if it may be.
    """

    times: np.ndarray
    progress: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    steps: Sequence[str] | None = None
    step_probability: np.ndarray | None = None
    remaining: np.ndarray | None = None
    out_of_range: Sequence[str] | None = None

    def at(self, time: float) -> int:
        """The number of the last frame at or before a time; the first one before it."""
        return max(int(np.searchsorted(self.times, time + 1e-6, side="right")) - 1, 0)


def overlay(pictures: Iterable[Picture], track: ProgressTrack) -> Iterator[np.ndarray]:
    """Pictures with what is known at their time.

    Args:
        pictures: of one size.
        track: of the same recording.

    Yields:
        (H', W', 3) uint8; see `shown_size`.
    """
    drawn: tuple[int, np.ndarray] | None = None
    for each in pictures:
        number = track.at(each.time)
        size, width = shown_size(each.pixels.shape[1], each.pixels.shape[0])
        if drawn is None or drawn[0] != number:
            drawn = number, np.asarray(_panel(track, number, width))
        canvas = Image.new("RGB", (width, size[1]), PANEL)
        picture = Image.fromarray(each.pixels)
        left = (width - size[0]) // 2
        canvas.paste(picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC), (left, 0))
        if track.out_of_range is not None and track.out_of_range[number]:
            _warn(canvas, track.out_of_range[number])
        yield np.concatenate([np.asarray(canvas), drawn[1]])


def write_overlay(path: Path, video: Path, track: ProgressTrack) -> None:
    """Writes a video with what is known of it drawn on; the file is whole or not there.

    Args:
        path: where to write, see `write_pictures`.
        video: the file.
        track: what is known.

    Raises:
        DataError: the video can't be read, or this file can't be written.
    """
    check_suffix(path)
    pictures, rate = pictures_to_write(video, lambda width, height: shown_size(width, height)[0])
    write_pictures(path, overlay(pictures, track), rate)


def shown_size(width: int, height: int) -> tuple[tuple[int, int], int]:
    """The size (width, height) in which a picture is shown, and the width of the whole: even numbers."""
    scale = min(LONGEST_SIDE / max(width, height), max(LEAST_WIDTH / width, 1.0))
    size = tuple(max(2, 2 * round(scale * side / 2)) for side in (width, height))
    return size, max(size[0], LEAST_WIDTH)


def _panel(track: ProgressTrack, number: int, width: int) -> Image.Image:
    """The panel below a picture: progress and what remains, the bar, the step."""
    unit = text_size(width)
    margin, bar = round(0.9 * unit), round(0.8 * unit)
    has_steps = track.steps is not None
    rows = [margin * 3 // 4, 0, 0]  # upper edge of progress, of the bar, of the step
    rows[1] = rows[0] + round(1.9 * unit)
    rows[2] = rows[1] + bar + round(0.65 * unit)
    height = rows[2] + (round(1.9 * unit) if has_steps else round(0.25 * unit))
    panel = Image.new("RGB", (width, height + height % 2), PANEL)
    draw = ImageDraw.Draw(panel)

    doubted = track.out_of_range is not None and bool(track.out_of_range[number])
    progress = float(np.clip(track.progress[number], 0, 1))
    base = rows[0] + round(1.35 * unit)
    right = width - margin
    if track.remaining is not None:
        right -= write(draw, (right, base), remaining_in_words(float(track.remaining[number])), unit, INK, "rs")
    x = margin + write(draw, (margin, base), f"{100 * progress:.0f} %", round(1.5 * unit), INK, bold=True)
    known = track.lower is not None and np.isfinite(track.lower[number]) and np.isfinite(track.upper[number])
    if known:
        lower, upper = (float(np.clip(end[number], 0, 1)) for end in (track.lower, track.upper))
        interval = f"{100 * lower:.0f} to {100 * upper:.0f} %"
        write(draw, (x + 0.6 * unit, base), interval, unit, SOFT, room=right - x - unit)

    def place(share: float) -> float:
        return margin + share * (width - 2 * margin)

    top, bottom = rows[1], rows[1] + bar
    draw.rectangle((margin, top, width - margin, bottom), fill=EMPTY)
    if progress > 0:
        draw.rectangle((margin, top, place(progress), bottom), fill=DOUBT if doubted else FILL)
    thick = max(2, unit // 9)
    if known:
        middle = (top + bottom) // 2
        draw.line((place(lower), middle, place(upper), middle), fill=INK, width=thick)
        for end in (lower, upper):
            draw.line((place(end), middle - bar // 4, place(end), middle + bar // 4), fill=INK, width=thick)
    draw.line((place(progress), top - thick, place(progress), bottom + thick), fill=INK, width=2 * thick)

    if has_steps:
        base = rows[2] + round(1.1 * unit)
        sure = ""
        if track.steps[number] and track.step_probability is not None:
            sure = sure_in_words(float(track.step_probability[number]))
        room = width - 2 * margin - (length(sure, unit) + unit if sure else 0)
        x = margin + write(
            draw, (margin, base), track.steps[number] or "no step yet", unit, INK if track.steps[number] else SOFT,
            bold=bool(track.steps[number]), room=room,
        )  # fmt: skip
        write(draw, (x + 0.6 * unit, base), sure, unit, SOFT)
    return panel


def _warn(canvas: Image.Image, reason: str) -> None:
    """Writes into the upper left corner that progress should not be believed, and why."""
    unit = text_size(canvas.width)
    gap = round(0.5 * unit)
    lines = [("OUT OF RANGE", True), (shortened(reason, unit, canvas.width - 4 * gap), False)]
    width = max(length(text, unit, bold) for text, bold in lines)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((gap, gap, 3 * gap + width, gap + 3.1 * unit), fill=WARNING)
    for number, (text, bold) in enumerate(lines):
        write(draw, (2 * gap, gap + (1.25 + 1.3 * number) * unit), text, unit, ON_WARNING, bold=bold)


def sure_in_words(probability: float) -> str:
    """Such as '92 % sure'; never that it is certain."""
    return f"{100 * probability:.0f} % sure" if probability < 0.995 else "over 99 % sure"


def remaining_in_words(seconds: float) -> str:
    """Such as 'about 12 s left', 'about 3 min left' or 'about 1 h 20 min left'; nothing if it isn't known."""
    if not np.isfinite(seconds):
        return ""
    if seconds < 99.5:
        return f"about {max(seconds, 0):.0f} s left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < 100 else f"about {minutes // 60} h {minutes % 60} min left"
