"""Where in the training recordings is this one now? A Bayesian filter over all their chunks.

State: (chunk of a training recording, speed). A chunk of the new recording moves each state on by its speed, lets some
jump to a segment before which like actions have been done, and weighs them by how like the measures are.

    b_t(s, r) ~ exp(-beta d(x_t, y_s)) sum_(s', r') P(s, r | s', r') b_(t-1)(s', r')

With measures that say nothing this is a clock that knows how much recordings differ in speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def masses(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where `mass` isn't 0, one state's progress being near two points: states, points and values."""
        states, points = np.nonzero(self.mass)
        return states, points, self.mass[states, points]

    @cached_property
    def moves(self) -> tuple[list[tuple[int, slice, np.ndarray]], tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """How a chunk moves the belief; see `_moves`."""
        return _moves(self)


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
        self._speed_prior = (prior / prior.sum())[:, None]
        self._squares = np.square(fitted.places).sum(axis=1)
        self._moves, self._stops = fitted.moves
        self._ends = fitted.lasts[fitted.firsts]
        self._belief: tuple[np.ndarray, np.ndarray] | None = None  # (speeds, S), and its sum over the speeds

    def update(self, chunks: Chunks) -> np.ndarray:
        """The distribution of progress after each of the next chunks, (n, 101) float64."""
        fitted = self._fitted
        found = np.empty((len(chunks), len(GRID)))
        if not len(chunks):
            return found
        states, points, masses = fitted.masses
        places = fitted.discriminant.embed(chunks.measures)
        for number, place in enumerate(places):
            distance = (np.square(place).sum() - 2 * fitted.places @ place + self._squares) / len(place)
            belief, total = self._begin() if self._belief is None else self._move(*self._belief)
            # From the nearest of the states that are possible: beside another one, all of these could become 0.
            nearest = distance[total > 0].min()
            like = np.exp(np.minimum(SHARPNESS * (nearest - distance), 0))
            total *= like
            whole = total.sum()
            total /= whole
            belief *= like / whole
            self._belief = belief, total
            found[number] = np.bincount(points, total[states] * masses, len(GRID))
        return found

    def _begin(self) -> tuple[np.ndarray, np.ndarray]:
        belief = np.zeros((len(SPEEDS), len(self._fitted.places)))
        belief[:, self._fitted.firsts] = self._speed_prior
        return belief, belief.sum(axis=0)

    def _move(self, belief: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The belief before the next chunk is seen, (speeds, S), and its sum over the speeds, from those before."""
        fitted, number = self._fitted, belief.shape[1]
        belief = (1 - CHANGE_OF_SPEED) * belief + (CHANGE_OF_SPEED * self._speed_prior) * total
        moved = np.zeros_like(belief)
        for step, speeds, shares in self._moves:
            moved[speeds, step:] += belief[speeds, : number - step] * shares
        states, targets, shares = self._stops
        stopped = np.bincount(targets, belief.ravel()[states] * shares, len(SPEEDS) * len(self._ends))
        moved[:, self._ends] += stopped.reshape(len(SPEEDS), -1)
        total = moved.sum(axis=0)
        jumping = np.bincount(fitted.segment, total, len(fitted.segment_sizes)) @ fitted.jumps
        landed = JUMP * (jumping / fitted.segment_sizes)[fitted.segment]
        moved *= 1 - JUMP
        moved += landed * self._speed_prior
        return moved, (1 - JUMP) * total + landed


def _moves(
    fitted: PositionFilter,
) -> tuple[list[tuple[int, slice, np.ndarray]], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """How a chunk moves the belief.

    Returns:
        a list of (step, speeds, shares): of these speeds, (V, S - step) the share of each state that moves so far; and
        (states, recordings, shares) of those that would move past the end of their recording, with the numbers of cells
        of arrays (speeds, S) and (speeds, recordings), and the share that stays at the end.
    """
    number, recordings = len(fitted.places), len(fitted.firsts)
    recording = np.searchsorted(fitted.firsts, np.arange(number), side="right") - 1
    whole = SPEEDS.astype(np.int64)
    moves: list[tuple[int, slice, np.ndarray]] = []
    states, targets, kept = [], [], []
    for step in range(whole.max() + 1):
        share = np.where(whole == step, 1 - SPEEDS + whole, np.where(whole + 1 == step, SPEEDS - whole, 0.0))
        those = np.flatnonzero(share)
        speeds = slice(int(those[0]), int(those[-1]) + 1)
        inside = np.arange(number) + step <= fitted.lasts
        moves.append((step, speeds, (share[speeds, None] * inside)[:, : number - step]))
        over = np.flatnonzero(~inside)
        for speed in those.tolist():
            states.append(speed * number + over)
            targets.append(speed * recordings + recording[over])
            kept.append(np.full(len(over), share[speed] * KEPT_AT_END))
    return moves, (np.concatenate(states), np.concatenate(targets), np.concatenate(kept))
