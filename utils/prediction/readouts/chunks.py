"""Short pieces of a recording, of equal length, and what is measured of each.

A read-out that is fitted to whole recordings needs neither every frame nor its noise. It reads *chunks* of about a
hundredth of a mean recording: of each channel the mean, the deviation and the mean change, each over the newest chunk
and, as a mean, over the newest few chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.prediction.readouts.protocol import as_double

CHUNKS = 100  # of a mean recording
WINDOWS = (1, 4, 12)  # in chunks, over which the measures are averaged
LARGEST = 8.0  # deviations; what is further off is as far as this
MOST_CHANNELS = 64  # more are replaced by as many principal components


@dataclass(frozen=True)
class Chunks:
    """Consecutive chunks of a recording.

    Attributes:
        measures: (n, F) float64, F = 3 len(WINDOWS) channels.
        clock: (n,) time at the end of each, as a share of the mean length of a training recording.
        path: (n,) path length of the frames up to there, as a share of the mean total of a training recording.
    """

    measures: np.ndarray
    clock: np.ndarray
    path: np.ndarray

    def __len__(self) -> int:
        return len(self.clock)


@dataclass(frozen=True)
class ChunkScale:
    """How frames are scaled and divided, from training recordings; see `chunk_scale`.

    Attributes:
        mean, deviation: (D,) of the frames.
        components: (D, C) principal directions of the scaled frames, or None where all channels are used.
        length: frames of a chunk.
        mean_length: frames of a training recording, mean.
        mean_path: total path length of the scaled frames of a training recording, mean.
    """

    mean: np.ndarray
    deviation: np.ndarray
    components: np.ndarray | None
    length: int
    mean_length: float
    mean_path: float

    def start(self) -> ChunkReader:
        return ChunkReader(self)

    def scaled(self, frames: np.ndarray) -> np.ndarray:
        """(n, D) frames in deviations from the mean, bounded; (n, C)."""
        scaled = np.clip((as_double(frames) - self.mean) / self.deviation, -LARGEST, LARGEST)
        return scaled if self.components is None else scaled @ self.components


def chunk_scale(recordings: Sequence[np.ndarray], shortest_segment: float = np.inf) -> ChunkScale:
    """The scale of recordings.

    Args:
        recordings: (T_i, D) frames of each, at least one.
        shortest_segment: typical length of a short segment in frames: a chunk is at most a third of it.
    """
    frames = np.concatenate([as_double(recording) for recording in recordings])
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    # A channel that never changes says nothing; dividing by its rounding error would make noise of it.
    deviation = np.where(deviation > 1e-6 * np.maximum(np.abs(mean), 1e-30), deviation, 1.0)
    scaled, components = np.clip((frames - mean) / deviation, -LARGEST, LARGEST), None
    if frames.shape[1] > MOST_CHANNELS:
        _, directions = np.linalg.eigh(scaled.T @ scaled)
        components = directions[:, : -MOST_CHANNELS - 1 : -1]
    mean_length = len(frames) / len(recordings)
    length = max(1, round(min(mean_length / CHUNKS, shortest_segment / 3)))
    scale = ChunkScale(mean, deviation, components, length, mean_length, 1.0)
    paths = [np.linalg.norm(np.diff(scale.scaled(recording), axis=0), axis=1).sum() for recording in recordings]
    return ChunkScale(mean, deviation, components, length, mean_length, max(float(np.mean(paths)), 1e-12))


class ChunkReader:
    """Makes chunks of a recording's frames as they come."""

    def __init__(self, scale: ChunkScale):
        self._scale = scale
        self._frames = np.zeros((0, 0))  # scaled frames of the chunk that isn't complete
        self._last: np.ndarray | None = None  # the scaled frame before them
        self._recent: np.ndarray | None = None  # sums of the measures up to each of the newest chunks
        self._number, self._path = 0, 0.0

    def update(self, frames: np.ndarray) -> Chunks:
        """The chunks that are completed by the next frames.

        Args:
            frames: (n, D), n >= 0.
        """
        scale, length = self._scale, self._scale.length
        scaled = scale.scaled(frames)
        if self._last is not None and len(self._frames):
            scaled = np.concatenate([self._frames, scaled])
        number = len(scaled) // length
        self._frames = scaled[number * length :].copy()
        if not number:
            if self._last is None and len(scaled):
                self._last = scaled[:1].copy()
            return Chunks(np.zeros((0, 0)), np.zeros(0), np.zeros(0))
        used = scaled[: number * length]
        before = used[:1] if self._last is None else self._last
        change = np.diff(used, axis=0, prepend=before)
        self._last = used[-1:].copy()
        pieces, changes = (values.reshape(number, length, -1) for values in (used, change))
        measures = np.concatenate(
            [pieces.mean(axis=1), pieces.std(axis=1), np.log1p(10 * np.abs(changes).mean(axis=1))], axis=1
        )
        steps = np.linalg.norm(changes, axis=2).sum(axis=1)
        path = np.cumsum(np.append(self._path, steps))[1:]  # one sum, so that its rounding doesn't depend on the cuts
        ends = (self._number + 1 + np.arange(number)) * length
        chunks = Chunks(self._windows(measures), ends / scale.mean_length, path / scale.mean_path)
        self._number += number
        self._path = float(path[-1])
        return chunks

    def _windows(self, measures: np.ndarray) -> np.ndarray:
        """Means over the newest chunks, one after the other for each window: (n, 3 len(WINDOWS) C)."""
        longest = max(WINDOWS)
        known = measures if self._recent is None else np.concatenate([self._recent, measures])
        means = [mean_of_newest(known, len(measures), window) for window in WINDOWS]
        self._recent = known[-(longest - 1) :].copy()
        return np.concatenate(means, axis=1)


def mean_of_newest(rows: np.ndarray, number: int, window: int) -> np.ndarray:
    """The mean of the newest `window` rows, or of as many as there are, at each of the last `number`: (number, F).

    Summed anew for each, so that the rounding doesn't depend on how a recording is cut into calls.

    Args:
        rows: (N, F), N >= number; of the rows before the last `number`, window - 1 are enough.
    """
    earlier = len(rows) - number
    total, count = np.zeros((number, rows.shape[1])), np.zeros((number, 1))
    for back in range(min(window, len(rows))):
        first = max(0, back - earlier)
        total[first:] += rows[earlier + first - back : len(rows) - back]
        count[first:] += 1
    return total / np.maximum(count, 1)


def end_frames(number: int, length: int) -> np.ndarray:
    """The last frame of each of the chunks, (number,) int64."""
    return (np.arange(number) + 1) * length - 1


def truth_while_used(values: np.ndarray, number: int, length: int) -> np.ndarray:
    """The mean of a curve over the frames in which what was read at a chunk's end stands, (number,) float64.

    Args:
        values: (T,) of each frame.
        number: of chunks, T // length.
        length: frames of a chunk.
    """
    longer = np.append(values, np.full(length, values[-1]))
    return longer[length : (number + 1) * length].reshape(number, length).mean(axis=1)
