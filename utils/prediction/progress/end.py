"""Whether a recording that is read as done looks like the end of one.

Read-outs tell stages of work that succeeds from each other. Of work that failed they have seen nothing, and a hand that
goes through the last movements without the thing in it may be read as done. So the last of progress is only told where
the newest chunks are as near to the end of a training recording as the ends of recordings were that were not fitted to.

Distances are in units of what differs between recordings at the same progress (Mahalanobis distance, with a covariance
inside bins of progress that is shrunk towards a multiple of the identity).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from utils.prediction.progress.unlike_training import nearest_distances
from utils.prediction.readouts.chunks import WINDOWS, Chunks, ChunkScale
from utils.prediction.readouts.evidence import prepare
from utils.prediction.readouts.recording import LabelledRecording, labels_of

NEARLY_DONE = 0.95  # progress, from which it is the end
MOST_WITHOUT_END = NEARLY_DONE  # progress that is told while the end isn't seen
BINS = 20  # of progress
SHRINKAGE = 0.1
FEWEST = 3  # recordings, whose ends say how far apart ends are
WINDOW = 1  # of `WINDOWS`, over which chunks are averaged


@dataclass(frozen=True)
class EndLikeness:
    """What the ends of training recordings are like.

    Attributes:
        mean: (C,) of the chunks.
        projection: (C, C), to axes in which chunks at the same progress have unit variance.
        places: (P, C) the chunks at the ends, in these axes.
        limit: distance from the nearest of them, from which a chunk is no end.
    """

    mean: np.ndarray
    projection: np.ndarray
    places: np.ndarray
    limit: float

    def distances(self, chunks: Chunks) -> np.ndarray:
        """Distance of chunks from the nearest end, (n,)."""
        return nearest_distances((newest_means(chunks) - self.mean) @ self.projection, self.places, self._squares)

    @cached_property
    def _squares(self) -> np.ndarray:
        """(P,) squared lengths of the places."""
        return np.square(self.places).sum(axis=1)

    def with_limit(self, distances: Sequence[float]) -> EndLikeness | None:
        """With a limit that no other recording's end passed; None if there are too few of them.

        Args:
            distances: `end_distance` of recordings, each from the ends of others.
        """
        known = [distance for distance in distances if np.isfinite(distance)]
        return replace(self, limit=max(known)) if len(known) >= FEWEST else None


def newest_means(chunks: Chunks) -> np.ndarray:
    """The mean of each channel over the newest few chunks, (n, C): the first third of what a window measures."""
    channels = chunks.measures.shape[1] // (3 * len(WINDOWS))
    return chunks.measures[:, 3 * WINDOW * channels :][:, :channels]


def fit_end(recordings: Sequence[LabelledRecording], scale: ChunkScale) -> EndLikeness | None:
    """The ends of recordings, still without a limit; None if no recording's end is as long as a chunk.

    Args:
        recordings: labelled.
        scale: of their frames.
    """
    prepared = prepare(recordings, scale, labels_of(recordings))
    if not prepared:
        return None
    measures = np.concatenate([newest_means(one.chunks) for one in prepared])
    truth = np.concatenate([one.truth for one in prepared])
    at_end = truth >= NEARLY_DONE
    if not at_end.any():
        return None
    mean, deviation = measures.mean(axis=0), measures.std(axis=0) + 1e-6
    scaled = (measures - mean) / deviation
    bins = np.minimum((truth * BINS).astype(np.int64), BINS - 1)
    sums = np.zeros((BINS, scaled.shape[1]))
    np.add.at(sums, bins, scaled)
    rest = scaled - (sums / np.maximum(np.bincount(bins, minlength=BINS), 1)[:, None])[bins]
    within = rest.T @ rest / len(rest)
    shrunk = (1 - SHRINKAGE) * within
    shrunk[np.diag_indices_from(shrunk)] += SHRINKAGE * max(np.trace(within) / len(within), 1e-9)
    variance, axes = np.linalg.eigh(shrunk)
    projection = axes / np.sqrt(variance) / deviation[:, None]
    return EndLikeness(mean, projection, (measures[at_end] - mean) @ projection, np.inf)


def end_distance(end: EndLikeness | None, scale: ChunkScale, recording: LabelledRecording) -> float:
    """The largest distance of a recording's end from the ends of others; NaN where it has none."""
    own = prepare([recording], scale, labels_of([recording])) if end is not None else []
    at_end = own[0].truth >= NEARLY_DONE if own else np.zeros(0, dtype=bool)
    return float(end.distances(own[0].chunks)[at_end].max()) if at_end.any() else float("nan")
