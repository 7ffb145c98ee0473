"""Recordings divided into folds, so that none is judged by what was fitted to it or to one of its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from utils.prediction.readouts.recording import LabelledRecording


def folds_for_cross_fitting(recordings: Sequence[LabelledRecording], folds: int) -> np.ndarray:
    """As `folds_of`; recordings that are all of one group judge each other, since no other group could."""
    found = folds_of(recordings, folds)
    return found if found.any() else folds_of([replace(recording, group="") for recording in recordings], folds)


def folds_of(recordings: Sequence[LabelledRecording], folds: int) -> np.ndarray:
    """The number of the fold of each recording, (n,) int64 from 0, about equally many in each.

    Recordings of one group are in one fold. Those without a group are taken in their order, neighbours together:
    neighbours in a list often show the same person.

    Args:
        recordings: in the order of the annotation.
        folds: how many; fewer if there are not as many groups.
    """
    numbers = np.zeros(len(recordings), dtype=np.int64)
    alone = [index for index, recording in enumerate(recordings) if not recording.group]
    groups: dict[str, list[int]] = {}
    for index, recording in enumerate(recordings):
        if recording.group:
            groups.setdefault(recording.group, []).append(index)
    parts = min(folds, len(alone) + len(groups))
    # Blocks of neighbours; whole groups then go where the fewest are.
    for number, block in enumerate(np.array_split(np.array(alone, dtype=np.int64), parts)):
        numbers[block] = number
    sizes = np.bincount(numbers[alone], minlength=parts) if alone else np.zeros(parts, dtype=np.int64)
    for members in sorted(groups.values(), key=len, reverse=True):
        number = int(sizes.argmin())
        numbers[members] = number
        sizes[number] += len(members)
    return numbers
