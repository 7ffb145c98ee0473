"""How much of the present action is done, from the time since it began and from what has been seen since then.

A quantile forest reads, for an action whose label and beginning are told (by the user, or by what recognised it): the
time over the label's mean time, the pace of the recording so far, the path since the beginning, what the recogniser
says now and has said since, and the principal components now, since the beginning, and a moment ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from utils.prediction.readouts.chunks import Chunks
from utils.prediction.readouts.discriminant import LinearDiscriminant
from utils.prediction.readouts.distribution import quantiles
from utils.prediction.readouts.evidence import Prepared, cross_fitted
from utils.prediction.readouts.principal_components import PrincipalComponents, principal_components
from utils.prediction.readouts.quantile_forest import QuantileForest, fit_quantile_forest
from utils.prediction.readouts.recording import LabelledRecording
from utils.tensorops import get_trueprogress_per_action

WIDTH = 16  # principal components
TREES = 50
FEWEST_IN_LEAF = 5
AGO = 2  # chunks: a moment


@dataclass(frozen=True)
class InsideScale:
    """What the inputs of the forest are measured by.

    Attributes:
        mean_time: (L,) mean time of a segment of each label, in chunks.
        mean_path: (L,) its mean path, in the unit of `Chunks.path`.
        components: of the measures.
    """

    mean_time: np.ndarray
    mean_path: np.ndarray
    components: PrincipalComponents

    def start(self) -> InsideState:
        return InsideState(self)


@dataclass(frozen=True)
class InsideAction:
    """The fitted reader.

    Attributes:
        scale: of the inputs.
        forest: share done from the inputs.
    """

    scale: InsideScale
    forest: QuantileForest

    def read(self, inputs: np.ndarray) -> np.ndarray:
        """The median share done, (n,), from inputs of `InsideState`."""
        return quantiles(self.forest.distribution(inputs), (0.5,))[:, 0]


def number_of_inputs(labels: int, components: int) -> int:
    """How many inputs `InsideState` gives the forest."""
    return 8 + 2 * labels + 3 * components


class InsideState:
    """What has been seen of a recording, and of the action that goes on in it."""

    def __init__(self, scale: InsideScale):
        self._scale = scale
        labels, width = len(scale.mean_time), scale.components.directions.shape[1]
        self._posterior, self._total, self._path = np.zeros(labels), np.zeros(labels), 0.0
        self._chunks = 0
        self._recent = np.zeros((AGO + 1, width))  # components, the newest last
        self._taken, self._expected = 0.0, 0.0  # chunks of the segments that have ended, and their mean
        self.begin(-1)

    def see(self, posterior: np.ndarray, components: np.ndarray, path: float) -> None:
        """One more chunk.

        Args:
            posterior: (L,) of the recogniser.
            components: (K,).
            path: so far.
        """
        self._posterior, self._path = posterior.copy(), path  # not a view of a whole recording
        self._total += posterior
        self._chunks += 1
        kept = self._recent[1:] if self._chunks > 1 else np.repeat(components[None], AGO, axis=0)
        self._recent = np.concatenate([kept, components[None]])

    def end(self, time: float) -> None:
        """The segment that goes on ends after so many chunks."""
        if self._label >= 0:
            self._taken += time
            self._expected += self._scale.mean_time[self._label]

    def begin(self, label: int) -> None:
        """Another segment begins; what was seen up to now lies before it.

        Args:
            label: its number; -1 for a label that no training recording has.
        """
        self._label = label
        self._first = (self._total.copy(), self._path, self._chunks, self._recent[-1].copy())

    def inputs(self, elapsed: np.ndarray) -> np.ndarray:
        """What the forest reads after so long in the segment, (n, 8 + 2 L + 3 K).

        Args:
            elapsed: (n,) chunks since it began, above 0, all before the next chunk is complete.
        """
        scale, label = self._scale, self._label
        total, path, chunks, components = self._first
        mean = scale.mean_time[label]
        pace = (self._taken + mean) / (self._expected + mean)
        now = self._recent[-1]
        since = (self._total - total) / max(1, self._chunks - chunks)
        is_label = np.arange(len(scale.mean_time)) == label
        same = np.concatenate(
            [
                [np.log(mean), pace, (self._path - path) / scale.mean_path[label]],
                [self._posterior[label], since[label]], self._posterior, is_label,
                now, now - components, now - self._recent[0],
            ]
        )  # fmt: skip
        share = elapsed / mean
        return np.column_stack(
            [share, np.log(elapsed), share / pace, np.broadcast_to(same, (len(elapsed), len(same)))]
        )


class ToldSegment(NamedTuple):
    """A segment whose label and beginning are told.

    Attributes:
        label: its number; -1 for one that no training recording has.
        start, end: its first frame, and the frame after its last.
        is_action: whether anything progresses in it.
    """

    label: int
    start: int
    end: int
    is_action: bool


def told_progress(
    fitted: InsideAction, posterior: np.ndarray, chunks: Chunks, length: int, segments: Sequence[ToldSegment]
) -> np.ndarray:
    """Progress inside each action, its label and beginning told, at every frame from the frames so far.

    Args:
        fitted: the reader.
        posterior: (n, L) of the recogniser.
        chunks: n of the recording.
        length: frames of a chunk.
        segments: one after the other from frame 0 on.

    Returns:
        (T,) in [0, 1], 0 where nothing progresses. An unknown label has the clock of a mean segment.
    """
    found = np.zeros(segments[-1].end)
    rows, places = [], []
    for segment, state, frames in _parts(fitted.scale, posterior, chunks, length, segments):
        elapsed = (frames - segment.start + 1) / length
        if not segment.is_action:
            continue
        if segment.label < 0:
            found[frames] = np.minimum(1, elapsed / fitted.scale.mean_time.mean())
        else:
            rows.append(state.inputs(elapsed))
            places.append(frames)
    if rows:
        found[np.concatenate(places)] = fitted.read(np.concatenate(rows))
    return found


def _parts(
    scale: InsideScale, posterior: np.ndarray, chunks: Chunks, length: int, segments: Sequence[ToldSegment]
) -> Iterator[tuple[ToldSegment, InsideState, np.ndarray]]:
    """The segments in parts in which no chunk ends: the segment, what has been seen, and the numbers of the frames."""
    state, seen = scale.start(), 0
    components = scale.components.of(chunks.measures) if len(chunks) else np.zeros((0, 0))

    def see_until(number: int) -> int:
        for index in range(seen, number):
            state.see(posterior[index], components[index], float(chunks.path[index]))
        return max(seen, number)

    for segment in segments:
        seen = see_until(segment.start // length)
        state.begin(segment.label)
        frame = segment.start
        while frame < segment.end:
            seen = see_until((frame + 1) // length)
            until = min(segment.end, (seen + 1) * length - 1)
            yield segment, state, np.arange(frame, until)
            frame = until
        state.end((segment.end - segment.start) / length)


def told_segments(recording: LabelledRecording, labels: Sequence[str]) -> list[ToldSegment]:
    """The segments of a recording."""
    return [
        ToldSegment(labels.index(label) if label in labels else -1, start, end, bool(counts))
        for (label, start, end), counts in zip(recording.segments, recording.counts, strict=True)
    ]


def fit_inside_action(
    prepared: Sequence[Prepared],
    recogniser_of: Callable[[Sequence[Prepared]], LinearDiscriminant],
    labels: Sequence[str],
    length: int,
    seed: int = 0,
) -> InsideAction | None:
    """Fits the reader; None where no training recording has an action.

    Args:
        prepared: the training recordings.
        recogniser_of: fits the recogniser; a recording gets what one says that was not fitted to it.
        labels: of all segments.
        length: frames of a chunk.
        seed: of all random choices.
    """
    told = [told_segments(one.recording, labels) for one in prepared]
    posteriors = cross_fitted(prepared, recogniser_of, lambda model, one: model.posterior(one.chunks.measures))
    number = np.zeros(len(labels))
    time, path = np.zeros(len(labels)), np.zeros(len(labels))
    for one, segments in zip(prepared, told, strict=True):
        so_far = np.append(0.0, one.chunks.path)
        for segment in segments:
            first, last = (min(frame // length, len(one.chunks)) for frame in (segment.start, segment.end))
            number[segment.label] += 1
            time[segment.label] += (segment.end - segment.start) / length
            path[segment.label] += so_far[last] - so_far[first]
    number = np.maximum(number, 1)
    mean_time = np.where(time > 0, time / number, max(time.sum() / number.sum(), 1.0))
    mean_path = np.maximum(path / number, 1e-3)
    components = principal_components(np.concatenate([one.chunks.measures for one in prepared]), WIDTH)
    scale = InsideScale(mean_time, mean_path, components)
    inputs, truth = [], []
    for one, segments, posterior in zip(prepared, told, posteriors, strict=True):
        done = get_trueprogress_per_action(one.recording.time_dict).double().numpy()
        for segment, state, frames in _parts(scale, posterior, one.chunks, length, segments):
            if segment.is_action:
                middle = frames[len(frames) // 2 :][:1]
                inputs.append(state.inputs((middle - segment.start + 1) / length))
                truth.append(done[middle])
    if not inputs:
        return None
    forest = fit_quantile_forest(np.concatenate(inputs), np.concatenate(truth), FEWEST_IN_LEAF, TREES, seed)
    return InsideAction(scale, forest)
