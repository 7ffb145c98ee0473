"""Frames as they come, as numbers on standard input or as pictures, and their progress on standard output."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from utils.data.features import FEATURE_RANK
from utils.errors import DataError, shown
from utils.prediction.answers import DECIMALS, columns_of, rows_of
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.progress.model import ANSWER
from utils.video.live import LONGEST_GAP, Latencies, LiveFrame, NewestFrame, due_frames

logger = logging.getLogger(__name__)

NO_ROWS = np.zeros(0, dtype=ANSWER)
MUCH = 0.1  # of the frames dropped is worth a warning
BYTE_ORDER_MARK = "\ufeff"
STOP, HOLD, SKIP = "stop", "hold", "skip"



def parse_frames(lines: Iterable[str], width: int, missing: str = STOP) -> Iterator[np.ndarray]:
    """One frame a line, numbers separated by white space or commas: (width,) float64 each.

    Args:
        lines: a byte-order mark before the first doesn't count.
        width: of a frame.
        missing: 'stop': empty lines don't count. Otherwise an empty line is a frame of NaN, and so is an empty place
            between two commas.

    Raises:
        DataError: a line that isn't `width` numbers; gives its number.
    """
    for number, line in enumerate(lines, start=1):
        text = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).strip()
        if not text and missing == STOP:
            continue
        if missing != STOP and "," in text:
            words = [word.strip() or "nan" for word in text.split(",")]
        else:
            words = [word for word in re.split(r"[\s,]+", text) if word] or ["nan"] * width
        try:
            frame = np.array([float(word) for word in words])
        except ValueError as error:
            raise DataError(
                f"standard input, line {number}: {shown(text)} is not a frame; expected numbers "
                f"separated by spaces or commas"
            ) from error
        if len(frame) != width:
            raise DataError(f"standard input, line {number}: {len(frame)} numbers; expected {width}")
        yield frame


def resampled(frames: Iterable[np.ndarray], rate: float) -> Iterator[np.ndarray]:
    """Frames at a constant rate, from frames whose first number is their time.

    Frame k of the result, at k / rate seconds after the first frame, is the last one that had come by then. So it is
    known when a later frame comes, or one of the same time.

    Args:
        frames: (1 + D,) each: time in seconds, increasing, and the features; irregular.
        rate: frames/s of the result.

    Raises:
        DataError: a time is not a number, or not later than the one before; or more than a day is missing.
    """
    begin, before, tick = 0.0, None, 0
    for number, frame in enumerate(frames):
        time, features = float(frame[0]), frame[1:]
        if before is None:
            begin = time
        since = time - begin
        if not np.isfinite(time) or (before is not None and since <= before[0]):
            raise DataError(f"standard input: the time of frame {number} is {time:g}; expected a later one than before")
        if before is not None and since - before[0] > LONGEST_GAP:
            gap = since - before[0]
            raise DataError(f"standard input: {gap:g} seconds before frame {number}; are times in seconds?")
        while before is not None and tick / rate < since:
            yield before[1]
            tick += 1
        if tick / rate == since:
            yield features
            tick += 1
        before = since, features


class MissingValues:
    """What happens to frames in which a sensor gave no number.

    Args:
        rule: 'stop' gives the frame as it is, which the network refuses; 'hold' puts the last number of each feature in
            its place; 'skip' leaves the frame out. Before every feature had a number, 'hold' leaves frames out too.

    Attributes:
        held, skipped: how many frames.
    """

    def __init__(self, rule: str = STOP):
        self.rule = rule
        self.held = self.skipped = 0
        self._last: np.ndarray | None = None

    def filled(self, frame: np.ndarray) -> np.ndarray | None:
        """The frame to use, or None."""
        with np.errstate(over="ignore"):
            gone = ~np.isfinite(frame.astype(np.float32))
        if self.rule == STOP or not gone.any():
            self._last = frame
            return frame
        if self.rule == HOLD and self._last is not None:
            self.held += 1
            self._last = np.where(gone, self._last, frame)
            return self._last
        self.skipped += 1
        return None


def stream_lines(
    predictor: ProgressPredictor,
    lines: Iterable[str],
    missing: MissingValues | None = None,
    watch: Callable[[np.ndarray], None] | None = None,
    rate: float | None = None,
) -> Iterator[str]:
    """Lines of a CSV file, its header first: number and progress of each frame as soon as it is determined, and what
    else belongs to its answer.

    A frame that was left out keeps its number, so that the others keep theirs.

    Args:
        predictor: what predicts.
        lines: of frames.
        missing: what happens where a number is missing.
        watch: is given every frame that is used.
        rate: frames/s of the training, if each line begins with its time in seconds (see `resampled`).

    Raises:
        DataError: a line that isn't a frame of the network's width, or no frame at all; names standard input.
    """
    if predictor.rank != FEATURE_RANK:
        raise DataError("standard input: this network reads convolution maps, which lines can't hold")
    missing = missing or MissingValues()
    stream = predictor.stream()
    yield _header(predictor)
    waiting: deque[int] = deque()  # numbers of the frames that have no progress yet
    try:
        frames = parse_frames(lines, predictor.feature_width + (rate is not None), missing.rule)
        for number, frame in enumerate(frames if rate is None else resampled(frames, rate)):
            used = missing.filled(frame)
            if used is not None:
                waiting.append(number)
                if watch is not None:
                    watch(used)
                yield from _lines(predictor, stream.update_rows(used), waiting)
        yield from _lines(predictor, stream.finish_rows(), waiting)
    except DataError as error:
        message = str(error)
        hint = "; --missing hold, or skip, goes on" if "the features hold nan" in message else ""
        place = "" if message.startswith("standard input") else "standard input: "
        raise DataError(f"{place}{message}{hint}") from error


def stream_pictures(
    predictor: ProgressPredictor,
    frames: Iterable[tuple[int, LiveFrame]],
    features_of: Callable[[Any], np.ndarray],
    rate: float,
    latencies: Latencies,
    watch: Callable[[np.ndarray], None] | None = None,
) -> Iterator[str]:
    """As `stream_lines`, of the pictures of a camera, with a column of seconds.

    A number for which there is no picture, because none came or it was dropped, has the features of the one before it;
    if there is none before it, of the first.

    Args:
        predictor: what predicts.
        frames: their numbers, at the rate of the training, and the frames; see `utils.video.live.due_frames`.
        features_of: from a frame to its features (D,).
        rate: of the training, frames/s.
        latencies: gets the time from the arrival of a frame to when the line after its own is asked for.
        watch: is given the features of every frame.

    Raises:
        DataError: there is no frame at all, or its features aren't what the network reads.
    """
    stream = predictor.stream()
    yield _header(predictor, rate)
    waiting: deque[int] = deque()
    count, features = 0, None
    for number, frame in frames:
        newest = features_of(frame.frame)
        for missing in range(count, number):
            waiting.append(missing)
            yield from _lines(predictor, stream.update_rows(newest if features is None else features), waiting, rate)
        features = newest
        if watch is not None:
            watch(features)
        waiting.append(number)
        yield from _lines(predictor, stream.update_rows(features), waiting, rate)
        latencies.answered(frame.arrived)
        count = number + 1
    yield from _lines(predictor, stream.finish_rows(), waiting, rate)


def _header(predictor: ProgressPredictor, rate: float | None = None) -> str:
    columns = columns_of(predictor.readout.answers(NO_ROWS)) if predictor.gives_answers else ["frame", "progress"]
    return ",".join(columns if rate is None else [columns[0], "seconds", *columns[1:]])


def _lines(
    predictor: ProgressPredictor, rows: np.ndarray, waiting: deque[int], rate: float | None = None
) -> Iterator[str]:
    """A line of each row; the numbers of its frames are taken from those that wait."""
    numbers = [waiting.popleft() for _ in range(len(rows))]
    begins = [f"{number}" if rate is None else f"{number},{number / rate:.3f}" for number in numbers]
    if not predictor.gives_answers:
        for begin, progress in zip(begins, rows.tolist(), strict=True):
            yield f"{begin},{progress:.{DECIMALS}f}"
        return
    answers = predictor.readout.answers(rows)
    columns = columns_of(answers)[1:]
    for begin, row in zip(begins, rows_of(answers), strict=True):
        text = io.StringIO()
        csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="").writerow(row)
        yield f"{begin},{text.getvalue()}"


def print_progress(
    predictor: ProgressPredictor,
    missing: str = STOP,
    watch: Callable[[np.ndarray], None] | None = None,
    rate: float | None = None,
) -> int:
    """Reads frames from standard input and prints a CSV line for each, as soon as it is known.

    Args:
        predictor: what predicts.
        missing: what happens where a number is missing, see `MissingValues`.
        watch: is given every frame that is used.
        rate: see `stream_lines`.
    """
    if sys.stdin is None:
        raise DataError("standard input is closed")
    if sys.stdin.isatty():
        logger.info("reading frames from the terminal, %d numbers a line; Ctrl-D ends", predictor.feature_width)
    values = MissingValues(missing)
    try:
        _print(stream_lines(predictor, sys.stdin, values, watch, rate))
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not text: {error}") from error
    if values.held or values.skipped:
        logger.warning("numbers were missing: %d frames held, %d frames left out", values.held, values.skipped)
    return 0


def print_progress_of_pictures(
    predictor: ProgressPredictor,
    frames: Iterator[LiveFrame],
    features_of: Callable[[Any], np.ndarray],
    rate: float,
    watch: Callable[[np.ndarray], None] | None = None,
) -> int:
    """Reads pictures as they come and prints a CSV line for each frame of the training's rate, as soon as it is known.

    Pictures that come faster than they can be read are dropped, so that what is printed belongs to the newest. The end
    says how many, and how long the answers took.

    Args:
        predictor: what predicts.
        frames: see `utils.video.live.frames_of` and `raw_frames`.
        features_of: from a frame to its features (D,).
        rate: frames/s of the training.
        watch: is given the features of every frame.
    """
    latencies = Latencies()
    with NewestFrame(due_frames(frames, rate)) as newest:
        try:
            _print(stream_pictures(predictor, newest, features_of, rate, latencies, watch))
        finally:  # also where Ctrl-C ends it
            if said := latencies.in_words():
                much = newest.dropped > MUCH * latencies.count
                logger.log(logging.WARNING if much else logging.INFO, "%s; %d frames dropped", said, newest.dropped)
    return 0


def _print(lines: Iterable[str]) -> None:
    """Prints each line at once, until whoever reads them has seen enough."""
    try:
        for line in lines:
            print(line, flush=True)
    except BrokenPipeError:
        # Without this, Python complains when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
