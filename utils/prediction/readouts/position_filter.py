"""Where in the training recordings is this one now? A Bayesian filter over all their chunks.

State: (chunk of a training recording, speed). A chunk of the new recording moves each state on by its speed, lets some
jump to a segment before which like actions have been done, and weighs them by how like the measures are.

    b_t(s, r) ~ exp(-beta d(x_t, y_s)) sum_(s', r') P(s, r | s', r') b_(t-1)(s', r')

With measures that say nothing this is a clock that knows how much recordings differ in speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.prediction.readouts.chunks import Chunks, end_frames
from utils.prediction.readouts.discriminant import LinearDiscriminant
from utils.prediction.readouts.distribution import GRID, on_grid
from utils.prediction.readouts.recording import LabelledRecording

SPEEDS = np.array([0.5, 0.75, 1.0, 1.33, 2.0])  # training chunks per chunk
SPEED_SPREAD = 0.3  # standard deviation of the logarithm of a recording's speed
CHANGE_OF_SPEED = 0.05  # share of the belief that draws a new speed, per chunk
JUMP = 0.05  # share of the belief that jumps, per chunk
KEPT_AT_END = 0.9  # share that stays believed when a state would go past the end of its recording
SHARPNESS = 0.3  # beta


@dataclass(frozen=True)
class PositionFilter:
    """The fitted filter.

    Attributes:
        discriminant: to the axes in which chunks are compared.
        places: (S, W) the training chunks in these axes.
        firsts: (V,) the first state of each training recording.
        lasts: (S,) the last state of the recording of each state.
        mass: (S, 101) the true progress of each state over the grid.
        segment: (S,) the number of the segment of each state.
        segment_sizes: (G,) states of each segment.
        jumps: (G, G) where the belief of a segment jumps to; rows of sum 1.
    """

    discriminant: LinearDiscriminant
    places: np.ndarray
    firsts: np.ndarray
    lasts: np.ndarray
    mass: np.ndarray
    segment: np.ndarray
    segment_sizes: np.ndarray
    jumps: np.ndarray

    def start(self) -> PositionFilterState:
        return PositionFilterState(self)


def fit_position_filter(
    recordings: Sequence[LabelledRecording],
    measures: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    labels: Sequence[str],
    actions: frozenset[str],
    length: int,
    discriminant: LinearDiscriminant,
) -> PositionFilter:
    """A filter over the chunks of training recordings.

    Args:
        recordings: the training recordings.
        measures: (n_i, F) of their chunks.
        truths: (n_i,) true progress while each chunk's answer stands.
        labels: of all segments.
        actions: the labels in which progress rises.
        length: frames of a chunk.
        discriminant: to the axes in which chunks are compared.
    """
    numbers = np.array([len(values) for values in measures])
    ends = np.cumsum(numbers)
    place_of = {label: index for index, label in enumerate(labels)}
    segment, done = [], []
    for recording, number in zip(recordings, numbers, strict=True):
        so_far = np.zeros(len(labels))
        of_segments = []
        for label, _, _ in recording.segments:
            after = so_far.copy()
            if label in actions:
                after[place_of[label]] += 1
            of_segments.append((so_far + after) / 2)
            so_far = after
        begins = np.array([start for _, start, _ in recording.segments])
        own = np.searchsorted(begins, end_frames(number, length), side="right") - 1
        present, renumbered = np.unique(own, return_inverse=True)
        segment.append(renumbered + len(done))
        done += [of_segments[index] for index in present]
    segments = np.concatenate(segment)
    sizes = np.bincount(segments, minlength=len(done)).astype(np.float64)
    histograms = np.array(done)
    jumps = np.empty((len(done), len(done)))
    for row, histogram in enumerate(histograms):  # not all at once: the differences would be G x G x labels
        jumps[row] = np.exp(-np.abs(histograms - histogram).sum(axis=1)) * sizes
    jumps /= jumps.sum(axis=1, keepdims=True)
    places = np.concatenate([discriminant.embed(values) for values in measures])
    return PositionFilter(
        discriminant, places, ends - numbers, np.repeat(ends - 1, numbers), on_grid(np.concatenate(truths)),
        segments, sizes, jumps,
    )  # fmt: skip


class PositionFilterState:
    """The belief about a recording that goes on."""

    def __init__(self, fitted: PositionFilter):
        self._fitted = fitted
        prior = np.exp(-0.5 * (np.log(SPEEDS) / SPEED_SPREAD) ** 2)
        self._speed_prior = prior / prior.sum()
        self._squares = np.square(fitted.places).sum(axis=1)
        to_the_end = fitted.lasts - np.arange(len(fitted.places))
        # By speed: chunks, and the share of each state that moves so far, and that the end of its recording stops.
        self._moves = []
        for speed in SPEEDS:
            whole = int(speed)
            self._moves.append(
                [
                    (step, share * (step <= to_the_end), share * KEPT_AT_END * (step > to_the_end))
                    for step, share in ((whole, 1 - speed + whole), (whole + 1, speed - whole))
                    if share > 0
                ]
            )
        self._ends = fitted.lasts[fitted.firsts]
        self._belief: np.ndarray | None = None  # (speeds, S)

    def update(self, chunks: Chunks) -> np.ndarray:
        """The distribution of progress after each of the next chunks, (n, 101) float64."""
        fitted = self._fitted
        found = np.empty((len(chunks), len(GRID)))
        if not len(chunks):
            return found
        places = fitted.discriminant.embed(chunks.measures)
        for number, place in enumerate(places):
            distance = (np.square(place).sum() - 2 * fitted.places @ place + self._squares) / len(place)
            belief = self._begin() if self._belief is None else self._move(self._belief)
            # From the nearest of the states that are possible: beside another one, all of these could become 0.
            nearest = distance[belief.any(axis=0)].min()
            belief *= np.exp(np.minimum(SHARPNESS * (nearest - distance), 0))
            belief /= belief.sum()
            self._belief = belief
            found[number] = belief.sum(axis=0) @ fitted.mass
        return found

    def _begin(self) -> np.ndarray:
        belief = np.zeros((len(SPEEDS), len(self._fitted.places)))
        belief[:, self._fitted.firsts] = self._speed_prior[:, None]
        return belief

    def _move(self, belief: np.ndarray) -> np.ndarray:
        fitted, number = self._fitted, belief.shape[1]
        belief = (1 - CHANGE_OF_SPEED) * belief + CHANGE_OF_SPEED * self._speed_prior[:, None] * belief.sum(axis=0)
        moved = np.zeros_like(belief)
        for row, target, moves in zip(belief, moved, self._moves, strict=True):
            for step, inside, beyond in moves:
                target[step:] += (row * inside)[: number - step]
                target[self._ends] += np.add.reduceat(row * beyond, fitted.firsts)
        jumping = np.bincount(fitted.segment, moved.sum(axis=0), len(fitted.segment_sizes)) @ fitted.jumps
        landed = (jumping / fitted.segment_sizes)[fitted.segment]
        return (1 - JUMP) * moved + JUMP * landed * self._speed_prior[:, None]
