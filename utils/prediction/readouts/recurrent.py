"""Progress from a recurrent network over chunks, trained on real and virtual recordings.

Its inputs are the principal components of what is measured of a chunk, the probability of each label, the sums of these
probabilities so far, the clock and the path. As in `utils.prediction.readouts.evidence`, the labels of a training
recording are those of a discriminant that was not fitted to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from utils.prediction.readouts.chunks import Chunks, ChunkScale
from utils.prediction.readouts.discriminant import LinearDiscriminant
from utils.prediction.readouts.distribution import GRID
from utils.prediction.readouts.evidence import Prepared, cross_fitted, fit_recogniser, mean_times, prepare
from utils.prediction.readouts.principal_components import PrincipalComponents, principal_components
from utils.prediction.readouts.recording import LabelledRecording, action_labels, labels_of
from utils.prediction.readouts.recurrent_networks import RecurrentNetworks, SequenceBatch, train_networks
from utils.prediction.readouts.virtual_recordings import VirtualRecordings

NETWORKS = 3
STEPS = 400
LONG = 150  # chunks of a mean sequence; where it is longer, the steps are fewer, since each shows more
SEQUENCES = 4  # in a step, for each network
REUSED = 4  # steps in which a drawn sequence is used, with new noise
VIRTUAL = 0.75  # share of the sequences
NOISE = 0.2  # deviation of what is added to the components, for each chunk and for each recording
LONGEST = 4.0  # times a mean recording that clock, path and sums are followed


@dataclass(frozen=True)
class RecurrentReadout:
    """The fitted read-out.

    Attributes:
        components: of the measures.
        recogniser: probability of each label.
        mean_time: (L,) mean time of each label in a recording, in chunks.
        networks: progress from them.
    """

    components: PrincipalComponents
    recogniser: LinearDiscriminant
    mean_time: np.ndarray
    networks: RecurrentNetworks

    def start(self) -> RecurrentState:
        return RecurrentState(self)


class RecurrentState:
    """What the networks remember of a recording that goes on."""

    def __init__(self, fitted: RecurrentReadout):
        self._fitted = fitted
        self._memory = fitted.networks.start()
        self._total = np.zeros((1, len(fitted.mean_time)))

    def update(self, chunks: Chunks) -> np.ndarray:
        """The distribution of progress after each of the next chunks, (n, 101)."""
        fitted = self._fitted
        found = np.zeros((len(chunks), len(GRID)))
        # One chunk at a time: how the product of two matrices is rounded depends on their number of rows.
        for number in range(len(chunks)):
            row = slice(number, number + 1)
            posterior = fitted.recogniser.posterior(chunks.measures[row])
            self._total += posterior
            inputs = join_inputs(
                fitted.components.of(chunks.measures[row]), posterior, self._total / fitted.mean_time,
                chunks.clock[row], chunks.path[row],
            )  # fmt: skip
            found[number] = fitted.networks.step(inputs[0], self._memory)
        return found


def join_inputs(
    components: np.ndarray, posterior: np.ndarray, done: np.ndarray, clock: np.ndarray, path: np.ndarray
) -> np.ndarray:
    """What the networks read at n chunks, each input of about unit size: (n, K + 2 L + 2) float32."""
    followed = (np.minimum(values, LONGEST) for values in (clock, path))
    return np.column_stack(
        [components, 2 * posterior - 0.5, np.minimum(done, LONGEST), *(3 * values - 1.5 for values in followed)]
    ).astype(np.float32)


def fit_recurrent(
    recordings: Sequence[LabelledRecording],
    scale: ChunkScale,
    seed: int = 0,
    networks: int = NETWORKS,
    steps: int = STEPS,
) -> RecurrentReadout:
    """Fits the read-out.

    Args:
        recordings: training recordings, at least one of them a chunk long.
        scale: of their frames.
        seed: of all random choices; the same seed gives the same read-out.
        networks: whose distributions are averaged.
        steps: of their training, for sequences of ordinary length.
    """
    labels, actions = labels_of(recordings), action_labels(recordings)
    prepared = prepare(recordings, scale, labels)
    measures = [one.chunks.measures for one in prepared]

    def recogniser_of(chosen: Sequence[Prepared]) -> LinearDiscriminant:
        return fit_recogniser(chosen, len(labels))

    recogniser = recogniser_of(prepared)
    posteriors = cross_fitted(prepared, recogniser_of, lambda fitted, one: fitted.posterior(one.chunks.measures))
    mean_time = mean_times(prepared, len(labels))
    components = principal_components(np.concatenate(measures))
    sequences = TrainingSequences(
        prepared, [components.of(one) for one in measures], posteriors, mean_time, labels, actions, scale, seed
    )
    inputs = components.directions.shape[1] + 2 * len(labels) + 2
    steps = max(1, round(steps * min(1, LONG * len(measures) / sum(map(len, measures)))))
    with _one_thread():
        trained = train_networks(sequences.batches(SEQUENCES * networks), steps, inputs, len(labels), networks, seed)
    return RecurrentReadout(components, recogniser, mean_time, trained)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The networks are so small that a second thread costs more than it saves; the sums are always in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class TrainingSequences:
    """Draws sequences of chunks of real and virtual recordings.

    Args:
        prepared: training recordings, of `evidence.prepare`.
        components: (n, K) of the chunks of each.
        posteriors: (n, L) probability of each label in the chunks of each, by what was not fitted to it.
        mean_time: (L,) mean time of each label in a recording, in chunks.
        labels: of all segments.
        actions: those in which progress rises.
        scale: of the frames.
        seed: of all choices and of the noise.
    """

    def __init__(
        self,
        prepared: Sequence[Prepared],
        components: Sequence[np.ndarray],
        posteriors: Sequence[np.ndarray],
        mean_time: np.ndarray,
        labels: Sequence[str],
        actions: frozenset[str],
        scale: ChunkScale,
        seed: int,
    ):
        self._generator = np.random.default_rng(seed)
        self._mean_time = mean_time
        self._share_of_chunk = scale.length / scale.mean_length
        lengths = [len(one.chunks) for one in prepared]
        self._first = np.cumsum([0, *lengths])
        self._truths = [one.truth for one in prepared]
        self._components, self._posterior = np.concatenate(components), np.concatenate(posteriors)
        self._steps = np.concatenate([np.diff(one.chunks.path, prepend=0.0) for one in prepared])
        self._segment = np.zeros(self._first[-1], dtype=np.int64)
        self._label = np.zeros(self._first[-1], dtype=np.int64)
        number = 0
        for one, first, length in zip(prepared, self._first, lengths, strict=False):
            for label, start, end in one.recording.segments:
                start, end = (first + min(length, round(frame / scale.length)) for frame in (start, end))
                self._segment[start:end], self._label[start:end] = number, labels.index(label)
                number += 1
        self._virtual = VirtualRecordings([one.recording for one in prepared], labels, actions, scale.length, lengths)
        self._mean_count = np.mean([self._done(self._real(index)[0])[-1] for index in range(len(prepared))], axis=0) + 1
        self._longest = int(LONGEST * np.mean(lengths)) + 1

    def batches(self, number: int) -> Iterator[SequenceBatch]:
        """Batches of `number` sequences, without end."""
        while True:
            drawn = [self._draw() for _ in range(number)]
            for _ in range(REUSED):
                yield self._padded([drawn[index] for index in self._generator.permutation(number)])

    def _real(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(self._first[index], self._first[index + 1]), self._truths[index]

    def _draw(self) -> tuple[np.ndarray, ...]:
        """Inputs, progress, labels and what is done, at the chunks of a recording."""
        index = int(self._generator.integers(len(self._truths)))
        virtual = self._virtual.draw(index, self._generator) if self._generator.random() < VIRTUAL else None
        if virtual is None:
            at, progress = self._real(index)
        else:
            at, progress = self._first[virtual.chunks[:, 0]] + virtual.chunks[:, 1], virtual.progress
        at, progress = at[: self._longest], progress[: self._longest]
        clock = (np.arange(len(at)) + 1) * self._share_of_chunk
        posterior = self._posterior[at]
        inputs = join_inputs(
            self._components[at], posterior, np.cumsum(posterior, axis=0) / self._mean_time, clock,
            np.cumsum(self._steps[at]),
        )  # fmt: skip
        return inputs, progress, self._label[at], self._done(at) / self._mean_count

    def _done(self, at: np.ndarray) -> np.ndarray:
        """How many segments of each label have been done, the present one in part: (n, L)."""
        segment = self._segment[at]
        starts = np.flatnonzero(np.diff(segment, prepend=-1))
        lengths = np.diff(np.append(starts, len(at)))
        share = np.zeros((len(at), len(self._mean_time)))
        share[np.arange(len(at)), self._label[at]] = np.repeat(1 / lengths, lengths)
        return np.cumsum(share, axis=0)

    def _padded(self, sequences: Sequence[tuple[np.ndarray, ...]]) -> SequenceBatch:
        number, longest, width = len(sequences), max(len(one[0]) for one in sequences), self._components.shape[1]
        inputs = np.zeros((longest, number, sequences[0][0].shape[1]), dtype=np.float32)
        progress, weight = (np.zeros((longest, number), dtype=np.float32) for _ in range(2))
        labels = np.zeros((longest, number), dtype=np.int64)
        done = np.zeros((longest, number, len(self._mean_time)), dtype=np.float32)
        for index, (own, truth, label, counted) in enumerate(sequences):
            length = len(own)
            inputs[:length, index], progress[:length, index], labels[:length, index] = own, truth, label
            done[:length, index], weight[:length, index] = counted, 1 / length
        for shape in ((longest, number, width), (1, number, width)):
            inputs[..., :width] += NOISE * self._generator.standard_normal(shape, dtype=np.float32)
        return SequenceBatch(inputs, progress, labels, done, weight)
