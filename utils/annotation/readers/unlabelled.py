"""Only features: a folder of `<recording>.npy`, each recording one segment.

Training needs no labels: alignment and the progress of a whole recording are learnt without them. Metrics that compare
actions have no meaning then. The source is the folder of the features; give it as --features too.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from utils.annotation.lengths import read_feature_lengths
from utils.annotation.readers import ReadOptions
from utils.annotation.recording import FRAMES, Convention, Recording, Segment

LABEL = "activity"


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """A recording for each feature file."""
    lengths = read_feature_lengths(source, None, problems)
    return [
        Recording(
            name, [Segment(LABEL, Fraction(0), Fraction(frames), "the whole recording")], Convention(FRAMES),
            source / f"{name}.npy", length=Fraction(frames),
        )
        for name, frames in lengths.frames.items()
    ]  # fmt: skip
