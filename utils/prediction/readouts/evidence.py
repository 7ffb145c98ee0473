"""Progress from accumulated evidence: how much of each step has been seen, and what a forest makes of it.

1. A linear discriminant gives the probability of each label from the newest chunks.
2. Their running sums, over the label's mean time in a recording, say how much of each step has been done; a filter over
   the labels says how many segments have begun.
3. With the clock, the path and the labels of the moment, a quantile forest reads progress from them.

The forest must see evidence as uncertain as a new recording's will be: each training recording gets the labels of a
discriminant that was not fitted to it (cross-fitting).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from utils.prediction.readouts.chunked import HeadState
from utils.prediction.readouts.chunks import Chunks, ChunkScale, end_frames, mean_of_newest, truth_while_used
from utils.prediction.readouts.discriminant import LinearDiscriminant, fit_discriminant
from utils.prediction.readouts.distribution import GRID, quantiles
from utils.prediction.readouts.folds import folds_for_cross_fitting
from utils.prediction.readouts.label_filter import LabelFilter, fit_label_filter
from utils.prediction.readouts.position_filter import PositionFilter, fit_position_filter
from utils.prediction.readouts.quantile_forest import QuantileForest, fit_quantile_forest
from utils.prediction.readouts.recording import LabelledRecording, action_labels, labels_of
from utils.prediction.readouts.virtual_recordings import VirtualRecordings

Model = TypeVar("Model")
Reading = TypeVar("Reading")

RECENT = 8  # chunks, over which the labels of the moment are averaged
INNER_FOLDS = 4
BINS = 20  # of progress, which the filter's discriminant tells apart
VIRTUAL = 80
FEWEST_IN_LEAF = 10
STRIDE = 2  # the forest is shown every second chunk: neighbours say nearly the same, and cost as much
FILTER_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class EvidenceReadout:
    """The fitted read-out.

    Attributes:
        labels: of the steps, background included.
        is_action: (L,) bool, the labels in which progress rises.
        recogniser: probability of each label.
        label_filter: which of them it is now, and how many have begun.
        mean_time: (L,) mean time of each label in a recording, in chunks.
        forest: progress from the evidence.
        position: a filter whose quantiles the forest reads too, or None.
    """

    labels: tuple[str, ...]
    is_action: np.ndarray
    recogniser: LinearDiscriminant
    label_filter: LabelFilter
    mean_time: np.ndarray
    forest: QuantileForest
    position: PositionFilter | None

    def start(self, position: HeadState | None = None) -> EvidenceState:
        """The state before the first chunk.

        Args:
            position: the state of the filter, where another head reads it as well; a new one if it is None.
        """
        return EvidenceState(self, position)


class EvidenceState:
    """The evidence about a recording that goes on."""

    def __init__(self, fitted: EvidenceReadout, position: HeadState | None = None):
        self._fitted = fitted
        self._inputs = EvidenceInputs(fitted.label_filter, fitted.mean_time, fitted.is_action)
        self._position = fitted.position.start() if position is None and fitted.position is not None else position

    def update(self, chunks: Chunks) -> np.ndarray:
        """The distribution of progress after each of the next chunks, (n, 101)."""
        positions = positions_of(self._position, chunks)  # asked even about no chunks: it may be shared
        if not len(chunks):
            return np.zeros((0, len(GRID)))
        posterior = self._fitted.recogniser.posterior(chunks.measures)
        return self._fitted.forest.distribution(
            self._inputs.update(posterior, chunks.clock, chunks.path, positions)
        )


def positions_of(position: HeadState | None, chunks: Chunks) -> np.ndarray:
    """What the forest reads of the filter: quantiles and mean, (n, 4); (n, 0) without a filter."""
    if position is None:
        return np.zeros((len(chunks), 0))
    mass = position.update(chunks)
    return np.column_stack([quantiles(mass, FILTER_QUANTILES), mass @ GRID])


def number_of_inputs(labels: int, with_position: bool) -> int:
    """How many inputs `EvidenceInputs` gives the forest."""
    return 5 * labels + 5 + with_position * (len(FILTER_QUANTILES) + 1)


class EvidenceInputs:
    """What the forest reads, from the probabilities of the labels as they come.

    Args:
        label_filter: fitted to the training recordings.
        mean_time: (L,) mean time of each label in a recording, in chunks.
        is_action: (L,) bool.
    """

    def __init__(self, label_filter: LabelFilter, mean_time: np.ndarray, is_action: np.ndarray):
        self._labels = label_filter.start()
        self._time = np.zeros(len(mean_time))  # believed to have been spent in each label, in chunks
        self._mean_time, self._is_action = mean_time, is_action
        self._total = np.zeros(len(mean_time))
        self._recent = np.zeros((0, len(mean_time)))

    def update(
        self, posterior: np.ndarray, clock: np.ndarray, path: np.ndarray, positions: np.ndarray
    ) -> np.ndarray:
        """Inputs at the next chunks, (n, 5 L + P + 5) float64.

        Args:
            posterior: (n, L) probability of each label in the chunk.
            clock, path: (n,) of `Chunks`.
            positions: (n, P) what else is known.
        """
        total = np.cumsum(np.concatenate([self._total[None], posterior]), axis=0)[1:]
        known = np.concatenate([self._recent, posterior])
        recent = mean_of_newest(known, len(posterior), RECENT)
        belief = self._labels.update(posterior)
        time = np.cumsum(np.concatenate([self._time[None], belief.now]), axis=0)[1:]
        if len(posterior):
            self._total, self._time = total[-1].copy(), time[-1].copy()
            self._recent = known[-(RECENT - 1) :].copy()
        done = total / self._mean_time
        at_most_all = np.minimum(1, time / self._mean_time)
        sums = [values[:, self._is_action].sum(axis=1) for values in (done, belief.begun, at_most_all)]
        return np.column_stack(
            [done, posterior, recent, belief.now, belief.begun, *sums, clock, path, positions]
        )


@dataclass(frozen=True)
class Prepared:
    """A training recording as the fit reads it."""

    recording: LabelledRecording
    chunks: Chunks
    truth: np.ndarray
    classes: np.ndarray  # (n,) number of the label at the end of each chunk


def prepare(recordings: Sequence[LabelledRecording], scale: ChunkScale, labels: Sequence[str]) -> list[Prepared]:
    """Training recordings that are at least a chunk long, in chunks."""
    prepared = []
    for recording in recordings:
        number = len(recording) // scale.length
        if number:
            prepared.append(
                Prepared(
                    recording,
                    scale.start().update(recording.frames),
                    truth_while_used(recording.progress, number, scale.length),
                    recording.labels_of_frames(labels)[end_frames(number, scale.length)],
                )
            )
    return prepared


def cross_fitted(
    prepared: Sequence[Prepared],
    fit: Callable[[Sequence[Prepared]], Model],
    read: Callable[[Model, Prepared], Reading],
) -> list[Reading]:
    """What models read of training recordings that they were not fitted to.

    Args:
        prepared: the training recordings.
        fit: a model of some of them; of all if there is only one, of which there are no others.
        read: what a model says of one.
    """
    found: dict[int, Reading] = {}
    fold = folds_for_cross_fitting([one.recording for one in prepared], INNER_FOLDS)
    for number in sorted(set(fold)):
        model = fit([one for one, own in zip(prepared, fold, strict=True) if own != number] or prepared)
        found.update({index: read(model, prepared[index]) for index in np.flatnonzero(fold == number).tolist()})
    return [found[index] for index in range(len(prepared))]


def fit_recogniser(chosen: Sequence[Prepared], number: int) -> LinearDiscriminant:
    """A discriminant of `number` labels, from the chunks of training recordings."""
    measures = np.concatenate([one.chunks.measures for one in chosen])
    return fit_discriminant(measures, np.concatenate([one.classes for one in chosen]), number)


def mean_times(prepared: Sequence[Prepared], number: int) -> np.ndarray:
    """Mean time of each of `number` labels in a recording, in chunks, and half a chunk: none is 0."""
    counts = sum(np.bincount(one.classes, minlength=number) for one in prepared)
    return counts / len(prepared) + 0.5


def fit_evidence(
    recordings: Sequence[LabelledRecording],
    scale: ChunkScale,
    with_position: bool = False,
    trees: int = 100,
    seed: int = 0,
    position: PositionFilter | None = None,
) -> EvidenceReadout:
    """Fits the read-out.

    Args:
        recordings: training recordings, at least 3.
        scale: of their frames.
        with_position: let the forest read quantiles of a `PositionFilter`; without virtual recordings then, in which
            nothing would say where in a training recording they are.
        trees: of the forest.
        seed: of all random choices.
        position: that filter, if it is fitted already, to the same recordings.
    """
    labels, actions = labels_of(recordings), action_labels(recordings)
    is_action = np.array([label in actions for label in labels])
    prepared = prepare(recordings, scale, labels)

    def fit_models(chosen: Sequence[Prepared]) -> tuple[LinearDiscriminant, PositionFilter | None]:
        recogniser = fit_recogniser(chosen, len(labels))
        if not with_position:
            return recogniser, None
        return recogniser, _filter_of(chosen, labels, actions, scale)

    def read(models: tuple[LinearDiscriminant, PositionFilter | None], one: Prepared) -> tuple[np.ndarray, np.ndarray]:
        recogniser, position = models
        start = None if position is None else position.start()
        return recogniser.posterior(one.chunks.measures), positions_of(start, one.chunks)

    posteriors, positions = zip(*cross_fitted(prepared, fit_models, read), strict=True)
    mean_time = mean_times(prepared, len(labels))
    label_filter = fit_label_filter([one.classes for one in prepared], len(labels))
    inputs = [
        EvidenceInputs(label_filter, mean_time, is_action).update(posterior, one.chunks.clock, one.chunks.path, extra)
        for one, posterior, extra in zip(prepared, posteriors, positions, strict=True)
    ]
    truths = [one.truth for one in prepared]
    if not with_position:
        def start_inputs() -> EvidenceInputs:
            return EvidenceInputs(label_filter, mean_time, is_action)

        for drawn in _virtual(prepared, posteriors, labels, actions, scale, start_inputs, seed):
            inputs.append(drawn[0])
            truths.append(drawn[1])
    shown, wanted = (np.concatenate([one[::STRIDE] for one in values]) for values in (inputs, truths))
    fewest = FEWEST_IN_LEAF * (len(truths) // len(prepared)) // STRIDE
    forest = fit_quantile_forest(shown, wanted, fewest, trees, seed)
    recogniser = fit_recogniser(prepared, len(labels))
    if with_position and position is None:
        position = _filter_of(prepared, labels, actions, scale)
    return EvidenceReadout(labels, is_action, recogniser, label_filter, mean_time, forest, position)


def fit_filter(recordings: Sequence[LabelledRecording], scale: ChunkScale) -> PositionFilter:
    """A filter over the chunks of training recordings, of which at least one must be a chunk long."""
    labels = labels_of(recordings)
    return _filter_of(prepare(recordings, scale, labels), labels, action_labels(recordings), scale)


def _filter_of(
    chosen: Sequence[Prepared], labels: Sequence[str], actions: frozenset[str], scale: ChunkScale
) -> PositionFilter:
    """The filter whose chunks are compared along the axes that tell stages of progress apart."""
    bins = np.minimum((np.concatenate([one.truth for one in chosen]) * BINS).astype(np.int64), BINS - 1)
    measures = [one.chunks.measures for one in chosen]
    return fit_position_filter(
        [one.recording for one in chosen], measures, [one.truth for one in chosen], labels, actions, scale.length,
        fit_discriminant(np.concatenate(measures), bins, BINS),
    )  # fmt: skip


def _virtual(
    prepared: Sequence[Prepared],
    posteriors: Sequence[np.ndarray],
    labels: Sequence[str],
    actions: frozenset[str],
    scale: ChunkScale,
    start_inputs: Callable[[], EvidenceInputs],
    seed: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and truth of virtual recordings."""
    generator = np.random.default_rng(seed)
    virtual = VirtualRecordings(
        [one.recording for one in prepared], labels, actions, scale.length, [len(one.chunks) for one in prepared]
    )
    numbers = np.cumsum([0] + [len(one.chunks) for one in prepared])
    posterior = np.concatenate(posteriors)
    steps = np.concatenate([np.diff(one.chunks.path, prepend=0.0) for one in prepared])
    for index in range(VIRTUAL):
        drawn = virtual.draw(index % len(prepared), generator)
        if drawn is None:
            continue
        at = numbers[drawn.chunks[:, 0]] + drawn.chunks[:, 1]
        clock = (np.arange(len(at)) + 1) * scale.length / scale.mean_length
        yield start_inputs().update(posterior[at], clock, np.cumsum(steps[at]), np.zeros((len(at), 0))), drawn.progress
