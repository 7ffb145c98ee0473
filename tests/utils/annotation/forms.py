"""Reading a file as a test does: the recordings, or the problems."""

from __future__ import annotations

from pathlib import Path

from utils.annotation.readers import ReadOptions, reader_of

FORMS = Path(__file__).resolve().parent / "public_forms"


def read(name, source, **options):
    """The recordings of a format by name; the test fails where there are problems."""
    problems = []
    recordings = reader_of(name)(Path(source), ReadOptions(**options), problems)
    assert problems == []
    return {recording.name: recording for recording in recordings}


def problems_of(name, source, **options):
    """What a reader finds wrong."""
    problems = []
    reader_of(name)(Path(source), ReadOptions(**options), problems)
    return problems


def segments_of(recording):
    """(label, start, end) of each segment, times as decimal numbers."""
    return [
        (segment.label, float(segment.start), None if segment.end is None else float(segment.end))
        for segment in recording.segments
    ]
