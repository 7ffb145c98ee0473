"""IKEA ASM: `gt_segments.json`, in the form of ActivityNet.

Segments are frames, [start, end], of the scan's video at 25 frames/s, counted from 0, ends inclusive: the last end of a
scan is the number of its frames less one. 'NA' is what the set calls no action. The scan
'Lack_TV_Bench/0007_...' has the furniture for its task. Source: the programs that read the set's file.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.activitynet import read_database
from utils.annotation.recording import FRAMES, INCLUSIVE, Convention, Recording

CONVENTION = Convention(FRAMES, INCLUSIVE, 0, Fraction(25))


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The scans of the file."""
    recordings = read_database(source, CONVENTION, problems)
    return [
        replace(recording, task=recording.task or recording.name.rpartition("/")[0] or None) for recording in recordings
    ]
