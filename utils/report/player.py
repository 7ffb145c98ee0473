"""A page that plays a recording: its video, and under it the curve of its progress and its steps, with a moving cursor.

The page is one file, with the video in it; a long video lies beside the page. Both open from the disk, without a
network; the only script is the page's own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from utils.figures.palette import action_styles
from utils.files import atomic_write, write_text
from utils.report.templates import render
from utils.video.overlay import ProgressTrack, remaining_in_words, sure_in_words
from utils.video.writing import write_for_browsers

MOST_EMBEDDED = 8_000_000  # bytes of a video inside a page
MOST_POINTS = 4000  # frames of a curve that a page knows; of a longer one, every second, third, ...
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MOST_TICKS = 6
PREDICTED = "predicted progress"
DARK = ("#0072B2",)  # colours of steps on which white can be read better


def write_player(
    page: Path, video: Path, track: ProgressTrack, title: str, interval_name: str = "interval"
) -> list[Path]:
    """Writes a page that plays a video; each file whole or not at all.

    The video is written again as browsers play it, at most 960 pixels and 30 pictures a second, without its sound.

    Args:
        page: where to write.
        video: the file.
        track: what is known of it.
        title: plain text.
        interval_name: what the interval is, such as '80 % interval'.

    Returns:
        What was written: the page, and `<page>.mp4` beside it if the video is too large for the page.

    Raises:
        DataError: the video can't be read.
    """
    with TemporaryDirectory(prefix="player-") as folder:
        copy = Path(folder) / "video.mp4"
        write_for_browsers(copy, video)
        beside = page.with_suffix(".mp4")
        written = [page]
        if copy.stat().st_size <= MOST_EMBEDDED:
            source = video_source(copy)
        else:
            with atomic_write(beside) as temporary:
                copyfile(copy, temporary)
            written.append(beside)
            source = beside.name
    write_text(page, player_page(title, played(source, track, title, interval_name=interval_name)))
    return written


def video_source(video: Path) -> str:
    """An MP4 as an address that holds all of it."""
    return f"data:video/mp4;base64,{base64.b64encode(video.read_bytes()).decode('ascii')}"


def player_page(title: str, recording: dict[str, Any]) -> str:
    """The HTML of a page that plays one recording.

    Args:
        title: plain text.
        recording: from `played`.
    """
    script, digest = player_script()
    return render("player.html.jinja", title=title, recording=recording, script=script, digest=digest)


def player_script() -> tuple[str, str]:
    """The script of the players on a page, and its digest for the page's policy."""
    script = (Path(__file__).parent / "player.js").read_text(encoding="utf-8")
    return script, f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


def played(
    source: str,
    track: ProgressTrack,
    name: str,
    truth: np.ndarray | None = None,
    curve_name: str = PREDICTED,
    interval_name: str = "interval",
) -> dict[str, Any]:
    """What `player_parts.html.jinja` shows of a recording.

    Args:
        source: of the video: a data URL, or a path from the page.
        track: what is known of it.
        name: of the recording, for who doesn't see it.
        truth: (T,) true progress, if it is known.
        curve_name: what the curve is.
        interval_name: what the interval is.
    """
    times = track.times
    frame = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
    duration = float(times[-1] + frame)
    step = -(-len(times) // MOST_POINTS)
    some = slice(None, None, step)
    labels = [] if track.steps is None else [label for label in dict.fromkeys(track.steps) if label]
    spans = [] if track.steps is None else _spans(track.steps, times, duration)
    doubt = track.out_of_range
    doubted = [] if doubt is None else _spans(["out" if reason else "" for reason in doubt], times, duration)
    path = 1000 * times[some] / duration
    return {
        "source": source,
        "name": name,
        "duration": duration,
        "curve": _path(path, track.progress[some]),
        "curve_name": curve_name,
        "interval_name": interval_name,
        "truth": None if truth is None else _path(path, truth[some]),
        "band": None if track.lower is None else _band(path, track.lower[some], track.upper[some]),
        "has_interval": track.lower is not None,
        "has_remaining": track.remaining is not None,
        "spans": spans,
        "legend": list({span["number"]: span for span in spans}.values()),
        "doubted": [
            (f"{1000 * each['begin'] / duration:.1f}", f"{1000 * (each['end'] - each['begin']) / duration:.1f}")
            for each in doubted
        ],
        "ticks": _ticks(duration),
        "track": {
            "duration": duration,
            "times": _rounded(times[some]),
            "progress": _rounded(track.progress[some]),
            "lower": None if track.lower is None else _rounded(track.lower[some]),
            "upper": None if track.upper is None else _rounded(track.upper[some]),
            "labels": labels,
            "steps": [labels.index(each) if each else -1 for each in track.steps[some]] if labels else None,
            "sure": None if track.step_probability is None else [
                sure_in_words(probability) for probability in track.step_probability[some].tolist()
            ],
            "remaining": None if track.remaining is None else [
                remaining_in_words(seconds) for seconds in track.remaining[some].tolist()
            ],
            "reasons": None if doubt is None or not any(doubt) else list(doubt[some]),
        },
    }  # fmt: skip


def _spans(labels: Sequence[str], times: np.ndarray, duration: float) -> list[dict[str, Any]]:
    """Frames of one label one after the other, with their colours; those without a label are left out."""
    styles = action_styles(label for label in labels if label)
    spans, first = [], 0
    for label, group in groupby(labels):
        after = first + len(list(group))
        if label:
            begin, end = float(times[first]), float(times[after]) if after < len(times) else duration
            style = styles[label]
            spans.append({
                "label": label, "begin": begin, "end": end, "number": style.number, "colour": style.colour,
                "ink": "#ffffff" if style.colour in DARK else "#000000", "times": f"{begin:.1f} to {end:.1f} s",
            })  # fmt: skip
        first = after
    return spans


def _path(x: np.ndarray, share: np.ndarray) -> str:
    """A line of an SVG picture, from left to right; what isn't finite leaves a gap."""
    parts, pen = [], "M"
    for left, value in zip(x.tolist(), share.tolist(), strict=True):
        if not np.isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{left:.1f} {100 - 100 * value:.2f}")
        pen = "L"
    return "".join(parts)


def _band(x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> str:
    """The area between two lines, where both are finite."""
    both = np.isfinite(lower) & np.isfinite(upper)
    if not both.any():
        return ""
    there, back = _path(x[both], upper[both]), _path(x[both][::-1], lower[both][::-1])
    return f"{there}L{back.removeprefix('M')}Z"


def _rounded(values: np.ndarray) -> list[float | None]:
    return [round(value, 4) if np.isfinite(value) else None for value in values.tolist()]


def _ticks(duration: float) -> list[dict[str, Any]]:
    """Places and texts of some times along the axis."""
    step = next((step for step in TICKS if duration / step <= MOST_TICKS), TICKS[-1] * (1 + int(duration / 21600)))
    times = step * np.arange(int(duration / step + 1e-9) + 1)
    return [
        {
            "place": 100 * time / duration,
            "text": f"{time:g} s" if duration < 120 else f"{int(time) // 60}:{int(time) % 60:02d}",
        }
        for time in times.tolist()
    ]
