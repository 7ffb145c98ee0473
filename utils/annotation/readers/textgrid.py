"""Praat: `.TextGrid`, the long form and the short one, UTF-8 or UTF-16.

An interval tier covers its whole duration with intervals in seconds, ends exclusive; those with an empty text are no
segments. A text tier has points, which have no end. In a quoted text a quote is written twice. The duration of the
file (xmax) is the recording's length. Source: the Praat manual, "TextGrid file formats".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import read_text, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown

# What counts in either form: quoted texts, numbers that stand alone, and flags such as <exists>. Names of the long
# form ('xmin =', 'intervals [3]:') are comments to Praat.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<![\w\[."])([+-]?\d[\d.eE+-]*)(?![\w\]."])|<(\w+)>')


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one file or of a folder of them; `options.tier` names the tier of the steps."""
    recordings = []
    for path in source_paths(source, (".TextGrid",), problems):
        text = read_text(path, problems, options.encoding)
        if text is None:
            continue
        try:
            length, tiers = _tiers(text)
            recordings.append(_recording(path, length, tiers, options.tier))
        except DataError as error:
            problems.append(f"{place(path)}{error}")
    return recordings


def _recording(path: Path, length: Fraction, tiers: dict[str, list[Segment]], wanted: str) -> Recording:
    name = wanted or (next(iter(tiers)) if len(tiers) == 1 else "")
    if name not in tiers:
        what = f"has no tier {wanted!r}" if wanted else "has several tiers"
        raise DataError(f"{what}; expected --tier with one of {shown(list(tiers))}")
    segments = [segment for segment in tiers[name] if segment.label]
    return Recording(media_name(path.stem), segments, Convention(SECONDS), path, length=length)


def _tiers(text: str) -> tuple[Fraction, dict[str, list[Segment]]]:
    """The duration, and the segments of each tier, also those without a text."""
    tokens = _tokens(text)
    if [next(tokens, ""), next(tokens, "")] != ["ooTextFile", "TextGrid"]:
        raise DataError("doesn't begin with 'File type = \"ooTextFile\"' and 'Object class = \"TextGrid\"'")
    _number(tokens)
    length = _number(tokens)
    if next(tokens, None) != ("exists",):
        raise DataError("holds no tier")
    tiers: dict[str, list[Segment]] = {}
    for _ in range(_count(tokens)):
        kind, name = _text(tokens), _text(tokens)
        if kind not in ("IntervalTier", "TextTier"):
            raise DataError(f"has a tier of the class {shown(kind)}; expected IntervalTier or TextTier")
        if name in tiers:
            raise DataError(f"has two tiers called {name!r}")
        _number(tokens), _number(tokens)
        tiers[name] = []
        for number in range(1, _count(tokens) + 1):
            start = _number(tokens)
            end = _number(tokens) if kind == "IntervalTier" else None
            tiers[name].append(Segment(_text(tokens).strip(), start, end, f"tier {name}, number {number}"))
    return length, tiers


def _tokens(text: str) -> Iterator[str | Fraction | tuple[str]]:
    for match in _TOKEN.finditer(text):
        quoted, number, flag = match.groups()
        if quoted is not None:
            yield quoted.replace('""', '"')
        elif number is not None:
            yield exact_number(number)
        else:
            yield (flag,)


def _number(tokens: Iterator) -> Fraction:
    token = next(tokens, None)
    if not isinstance(token, Fraction):
        raise DataError(f"has {shown(token)} where a number was expected; is it cut off?")
    return token


def _count(tokens: Iterator) -> int:
    number = _number(tokens)
    if number.denominator != 1 or not 0 <= number <= 10**7:
        raise DataError(f"has {float(number):g} where a count was expected")
    return int(number)


def _text(tokens: Iterator) -> str:
    token = next(tokens, None)
    if not isinstance(token, str):
        raise DataError(f"has {shown(token)} where a text was expected; is it cut off?")
    return token
