"""WebVTT (`.vtt`) and SubRip (`.srt`): a cue a segment, its text the label.

Times are [hh:]mm:ss.ttt (WebVTT) or hh:mm:ss,mmm (SubRip), ends exclusive. NOTE, STYLE and REGION blocks, cue
identifiers and settings, and tags within the text are skipped. Source: the WebVTT recommendation of the W3C.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import read_text, source_paths
from utils.annotation.times import clock_time
from utils.errors import DataError, place, shown

_TAG = re.compile(r"<[^>]*>")


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one file or of a folder of them, named like the files."""
    recordings = []
    for path in source_paths(source, (".vtt", ".srt"), problems):
        text = read_text(path, problems, options.encoding)
        if text is None:
            continue
        is_vtt = path.suffix.lower() == ".vtt"
        if is_vtt and not text.startswith("WEBVTT"):
            problems.append(f"{place(path)}begins with {shown(text[:20])}; expected WEBVTT")
            continue
        segments = _cues(path, text.splitlines(), is_vtt, problems)
        recordings.append(Recording(media_name(path.name), segments, Convention(SECONDS), path))
    return recordings


def _cues(path: Path, lines: list[str], is_vtt: bool, problems: list[str]) -> list[Segment]:
    segments = []
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        number += 1
        if is_vtt and line.split(" ")[0] in ("NOTE", "STYLE", "REGION"):
            while number < len(lines) and lines[number].strip():
                number += 1
            continue
        if "-->" not in line:
            continue  # blank, the first line, or the name of a cue
        here = f"{place(path)}line {number}: "
        begin, _, rest = line.partition("-->")
        texts = []
        where = f"line {number}"
        while number < len(lines) and lines[number].strip() and "-->" not in lines[number]:
            texts.append(lines[number].strip())
            number += 1
        label = _TAG.sub("", " ".join(texts)).strip()
        label = html.unescape(label) if is_vtt else label
        try:
            start, end = clock_time(begin), clock_time((rest.split() or [""])[0])
        except DataError as error:
            problems.append(f"{here}the time {error}")
            continue
        if not label:
            problems.append(f"{here}the cue has no text")
            continue
        segments.append(Segment(label, start, end, where))
    return segments
