"""Whether a recording is one that the training recordings say something about.

Three signs, each with a limit that no training recording reaches when it is held against the others:

- its measures are far from those of every training chunk;
- its frames, or its progress, have stood still for longer than ever in training;
- it has gone on for longer than the longest training recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.prediction.readouts.chunks import WINDOWS, Chunks

MOST_PLACES = 2000  # training chunks that are kept for comparison
AXES = 32
MARGIN = 1.25  # a limit is this times the largest value of a training recording among the others
STILL = 0.1  # of the shortest path of a training chunk that moves at all: less is no movement
SMOOTHING = 6  # chunks over which the distance is averaged
FAR, STANDS, LONG = 1, 2, 4  # bits of the answer
NAMES = {FAR: "unlike training", STANDS: "stands still", LONG: "longer than training"}


@dataclass(frozen=True)
class TrainingRange:
    """What training recordings are like.

    Attributes:
        mean, axes: (F,) and (F, A): measures to axes in which training chunks have unit variance.
        rest_axes: (F, A) the same axes, of length 1.
        rest_scale: typical length of what these axes leave out.
        places: (P, A + 1) training chunks in these axes, and the length of the rest.
        limit: distance from the nearest of them, averaged over `SMOOTHING` chunks, from which a recording is unlike.
        still_step: path of a chunk, up to which nothing moves in it.
        still_limit: chunks in a row in which nothing moves, from which it stands still.
        longest: chunks of the longest training recording.
    """

    mean: np.ndarray
    axes: np.ndarray
    rest_axes: np.ndarray
    rest_scale: float
    places: np.ndarray
    limit: float
    still_step: float
    still_limit: float
    longest: float

    def start(self) -> TrainingRangeState:
        return TrainingRangeState(self)

    def distances(self, measures: np.ndarray) -> np.ndarray:
        """Distance of measures from the nearest training chunk, (n,)."""
        return nearest_distances(self.embed(measures), self.places, self._squares)

    @cached_property
    def _squares(self) -> np.ndarray:
        """(P,) squared lengths of the places."""
        return np.square(self.places).sum(axis=1)

    def embed(self, measures: np.ndarray) -> np.ndarray:
        centred = measures - self.mean
        inside = centred @ self.rest_axes
        rest = np.sqrt(np.maximum(np.square(centred).sum(axis=1) - np.square(inside).sum(axis=1), 0))
        return np.column_stack([centred @ self.axes, rest / self.rest_scale])


def nearest_distances(places: np.ndarray, others: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Distance from the nearest of the others, whose squared lengths are given."""
    found = np.empty(len(places))
    for start in range(0, len(places), 256):
        block = places[start : start + 256]
        gaps = np.square(block).sum(axis=1)[:, None] - 2 * block @ others.T + squares
        found[start : start + 256] = np.sqrt(np.maximum(gaps.min(axis=1), 0))
    return found


def newest_measures(chunks: Chunks) -> np.ndarray:
    """The measures of each chunk alone, (n, 3 channels), not averaged over the chunks before."""
    return chunks.measures[:, : chunks.measures.shape[1] // len(WINDOWS)]


def fit_training_range(recordings: Sequence[np.ndarray], paths: Sequence[np.ndarray]) -> TrainingRange:
    """The range of training recordings.

    Args:
        recordings: (n_i, F) measures of the chunks of each, each chunk for itself.
        paths: (n_i,) their path length.
    """
    measures = np.concatenate(recordings)
    mean = measures.mean(axis=0)
    centred = measures - mean
    _, scale, directions = np.linalg.svd(centred, full_matrices=False)
    deviation = scale / np.sqrt(len(measures))
    number = max(1, min(AXES, int((deviation > 1e-6 * deviation[0]).sum())))
    rest_axes = directions[:number].T
    axes = rest_axes / np.maximum(deviation[:number], 1e-9) / np.sqrt(number)
    rest = np.sqrt(np.maximum(np.square(centred).sum(axis=1) - np.square(centred @ rest_axes).sum(axis=1), 0))
    rest_scale = max(float(np.quantile(rest, 0.9)), 1e-3 * float(np.sqrt(np.square(centred).sum(axis=1).mean())), 1e-6)
    step = max(1, -(-len(measures) // MOST_PLACES))
    fitted = TrainingRange(  # still without its limits
        mean, axes, rest_axes, rest_scale, np.zeros((0, number + 1)), np.inf, 0.0, np.inf,
        float(max(map(len, recordings))),
    )  # fmt: skip
    moves = [np.diff(path, prepend=0.0) for path in paths]
    moving = np.concatenate(moves)
    still_step = STILL * float(moving[moving > 0].min()) if (moving > 0).any() else 0.0
    embedded = [fitted.embed(recording) for recording in recordings]
    largest, stillest = 0.0, 0.0
    for index, own in enumerate(embedded):
        others = [one[::step] for other, one in enumerate(embedded) if other != index]
        if others:
            together = np.concatenate(others)
            distances = nearest_distances(own, together, np.square(together).sum(axis=1))
            largest = max(largest, float(_running_mean(distances).max()))
        stillest = max(stillest, _longest_still(moves[index], still_step))
    places = np.concatenate([one[::step] for one in embedded])
    limit = MARGIN * largest if largest > 0 else np.inf
    still_limit = max(MARGIN * stillest, 10.0)
    return TrainingRange(mean, axes, rest_axes, rest_scale, places, limit, still_step, still_limit, fitted.longest)


def _running_mean(values: np.ndarray) -> np.ndarray:
    total = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - SMOOTHING)
    return (total[end] - total[start]) / (end - start)


def _longest_still(steps: np.ndarray, still_step: float) -> float:
    longest = run = 0
    for still in steps <= still_step:
        run = run + 1 if still else 0
        longest = max(longest, run)
    return float(longest)


class TrainingRangeState:
    """How a recording that goes on compares."""

    def __init__(self, fitted: TrainingRange):
        self._fitted = fitted
        self._recent: list[float] = []
        self._still, self._number, self._path = 0, 0, 0.0

    def update(self, measures: np.ndarray, path: np.ndarray) -> np.ndarray:
        """The signs at the next chunks, (n,) int64: bits of FAR, STANDS, LONG.

        Args:
            measures: (n, F) of each chunk alone.
            path: (n,) path length.
        """
        fitted = self._fitted
        found = np.zeros(len(path), dtype=np.int64)
        if not len(path):
            return found
        distances = fitted.distances(measures)
        for number, (distance, total) in enumerate(zip(distances.tolist(), path.tolist(), strict=True)):
            self._recent = [*self._recent[-(SMOOTHING - 1) :], distance]
            self._still = self._still + 1 if total - self._path <= fitted.still_step else 0
            self._path = total
            self._number += 1
            found[number] = (
                FAR * (sum(self._recent) / len(self._recent) > fitted.limit)
                | STANDS * (self._still > fitted.still_limit)
                | LONG * (self._number > fitted.longest)
            )
        return found
