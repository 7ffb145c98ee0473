"""Exact times and rates of files, as `Fraction`; a float would be rounded twice."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from utils.annotation.recording import FRAMES, SECONDS
from utils.errors import DataError, shown

UNITS = ("frames", "seconds", "milliseconds", "clock")
LARGEST = 10**12  # frames or seconds: no recording is that long
_NUMBER = re.compile(r"[+-]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([eE][+-]?\d{1,2})?")
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?")


def exact_number(value: Any) -> Fraction:
    """The number that a cell, or a value of JSON, holds.

    Args:
        value: text, or a whole number; of a float, the printed decimal number is used.

    Raises:
        DataError: it isn't a finite decimal number, or too large for a time.
    """
    if isinstance(value, Fraction):
        number = value
    elif isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"is {shown(value)}; expected a number")
    else:
        text = str(value).strip()
        if not _NUMBER.fullmatch(text):
            raise DataError(f"is {shown(value)}; expected a number")
        number = Fraction(text)
    if abs(number) > LARGEST:
        raise DataError(f"is {shown(value)}, which no recording is long enough for")
    return number


def clock_time(text: Any) -> Fraction:
    """Seconds of 'hh:mm:ss.mmm', 'mm:ss' or the like; the decimal sign may be a comma.

    Raises:
        DataError: it isn't such a time.
    """
    match = _CLOCK.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise DataError(f"is {shown(text)}; expected a time such as 01:02:03.456")
    hours, minutes, seconds, decimals = match.groups()
    if int(seconds) > 59 or (hours is not None and int(minutes) > 59):
        raise DataError(f"is {shown(text)}; expected minutes and seconds below 60")
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return Fraction(whole) + (Fraction(int(decimals), 10 ** len(decimals)) if decimals else 0)


def parse_time(value: Any, unit: str) -> Fraction:
    """A time of a list of segments: a frame number, or seconds.

    Args:
        value: what the file holds.
        unit: one of UNITS.

    Raises:
        DataError: it isn't such a time; the message says what it looks like.
    """
    if unit == "clock":
        return clock_time(value)
    if isinstance(value, str) and ":" in value:
        raise DataError(f"is {shown(value)}, which looks like hh:mm:ss; expected {unit} (see --unit clock)")
    number = exact_number(value)
    if unit == "frames" and number.denominator != 1:
        raise DataError(f"is {shown(value)}; expected a whole frame number (seconds? see --unit seconds)")
    return number / 1000 if unit == "milliseconds" else number


def unit_of(unit: str) -> str:
    """The unit of `parse_time`'s result for a unit: 'frames' or 'seconds'."""
    return FRAMES if unit == "frames" else SECONDS


def parse_rate(text: str) -> Fraction:
    """Frames/s: '25', '29.97' or '30000/1001'.

    Raises:
        DataError: it isn't a positive number.
    """
    try:
        above, _, below = str(text).partition("/")
        rate = exact_number(above) / (exact_number(below) if below else 1)
    except (DataError, ZeroDivisionError) as error:
        raise DataError(f"the frame rate is {shown(text)}; expected a number such as 25 or 30000/1001") from error
    if not 0 < rate <= 10**6:
        raise DataError(f"the frame rate is {shown(text)}; expected a positive number of frames/s")
    return rate
