"""Frames as they come on standard input, and their progress on standard output."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator

import numpy as np

from utils.data.features import FEATURE_RANK
from utils.errors import DataError, shown
from utils.prediction.answers import DECIMALS, columns_of, rows_of
from utils.prediction.predictor import ProgressPredictor
from utils.progress.model import ANSWER

logger = logging.getLogger(__name__)

NO_ROWS = np.zeros(0, dtype=ANSWER)


def parse_frames(lines: Iterable[str], width: int) -> Iterator[np.ndarray]:
    """One frame a line, numbers separated by white space or commas: (width,) float64 each. Empty lines don't count.

    Raises:
        DataError: a line that isn't `width` numbers; gives its number.
    """
    for number, line in enumerate(lines, start=1):
        words = [word for word in re.split(r"[\s,]+", line) if word]
        if not words:
            continue
        try:
            frame = np.array([float(word) for word in words])
        except ValueError as error:
            raise DataError(
                f"standard input, line {number}: {shown(line.strip())} is not a frame; expected numbers "
                f"separated by spaces or commas"
            ) from error
        if len(frame) != width:
            raise DataError(f"standard input, line {number}: {len(frame)} numbers; expected {width}")
        yield frame


def stream_lines(predictor: ProgressPredictor, lines: Iterable[str]) -> Iterator[str]:
    """Lines of a CSV file, its header first: number and progress of each frame as soon as it is determined, and what
    else belongs to its answer.

    Raises:
        DataError: a line that isn't a frame of the network's width, or no frame at all; names standard input.
    """
    if predictor.rank != FEATURE_RANK:
        raise DataError("standard input: this network reads convolution maps, which lines can't hold")
    stream = predictor.stream()
    yield ",".join(columns_of(predictor.readout.answers(NO_ROWS)) if predictor.gives_answers else ["frame", "progress"])
    try:
        for frame in parse_frames(lines, predictor.feature_width):
            given = stream.frames_given
            yield from _lines(predictor, stream.update_rows(frame), given)
        given = stream.frames_given
        yield from _lines(predictor, stream.finish_rows(), given)
    except DataError as error:
        message = str(error)
        raise DataError(message if message.startswith("standard input") else f"standard input: {error}") from error


def _lines(predictor: ProgressPredictor, rows: np.ndarray, first: int) -> Iterator[str]:
    if not predictor.gives_answers:
        for number, progress in enumerate(rows.tolist(), start=first):
            yield f"{number},{progress:.{DECIMALS}f}"
        return
    answers = predictor.readout.answers(rows)
    text = io.StringIO()
    csv.DictWriter(text, columns_of(answers), lineterminator="\n").writerows(rows_of(answers, first))
    yield from text.getvalue().splitlines()


def print_progress(predictor: ProgressPredictor) -> int:
    """Reads frames from standard input and prints a CSV line for each, as soon as it is known."""
    if sys.stdin is None:
        raise DataError("standard input is closed")
    if sys.stdin.isatty():
        logger.info("reading frames from the terminal, %d numbers a line; Ctrl-D ends", predictor.feature_width)
    try:
        for line in stream_lines(predictor, sys.stdin):
            print(line, flush=True)
    except BrokenPipeError:
        # Whoever read this has seen enough; without this, Python complains when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not text: {error}") from error
    return 0
