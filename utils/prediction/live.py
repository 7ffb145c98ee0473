"""Frames as they come on standard input, and their progress on standard output."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator

import numpy as np

from utils.data.features import FEATURE_RANK
from utils.errors import DataError, shown
from utils.prediction.predictor import ProgressPredictor

logger = logging.getLogger(__name__)


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


def stream_lines(predictor: ProgressPredictor, lines: Iterable[str]) -> Iterator[tuple[int, float]]:
    """Frame number and progress of the frames on the lines, as soon as each is determined.

    Raises:
        DataError: a line that isn't a frame of the network's width, or no frame at all; names standard input.
    """
    if predictor.rank != FEATURE_RANK:
        raise DataError("standard input: this network reads convolution maps, which lines can't hold")
    stream = predictor.stream()
    try:
        for frame in parse_frames(lines, predictor.feature_width):
            given = stream.frames_given
            yield from enumerate(stream.update(frame).tolist(), start=given)
        given = stream.frames_given
        yield from enumerate(stream.finish().tolist(), start=given)
    except DataError as error:
        message = str(error)
        raise DataError(message if message.startswith("standard input") else f"standard input: {error}") from error


def print_progress(predictor: ProgressPredictor) -> int:
    """Reads frames from standard input and prints 'frame,progress' lines, each as soon as it is known."""
    if sys.stdin is None:
        raise DataError("standard input is closed")
    if sys.stdin.isatty():
        logger.info("reading frames from the terminal, %d numbers a line; Ctrl-D ends", predictor.feature_width)
    try:
        print("frame,progress", flush=True)
        for frame, progress in stream_lines(predictor, sys.stdin):
            print(f"{frame},{progress:.6f}", flush=True)
    except BrokenPipeError:
        # Whoever read this has seen enough; without this, Python complains when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not text: {error}") from error
    return 0
