"""Every read-out judged on recordings that it was not fitted to, and the choice of one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import NamedTuple

import numpy as np

from utils.errors import DataError
from utils.prediction.progress.candidates import (
    CLOCK,
    INDEX,
    PATH,
    Read,
    curves_of,
    divided,
    fit_part,
    read_parts,
)
from utils.prediction.progress.end import end_distance, fit_end
from utils.prediction.progress.interval import fit_interval
from utils.prediction.progress.remaining import fit_remaining
from utils.prediction.progress.workers import run_all
from utils.prediction.readouts.chunks import ChunkScale, chunk_scale
from utils.prediction.readouts.folds import folds_of
from utils.prediction.readouts.quantile_forest import forest_can_be_grown
from utils.prediction.readouts.recording import LabelledRecording
from utils.prediction.readouts.steps import StepFigures, fit_steps, judge_steps

logger = logging.getLogger(__name__)

FOLDS = 5
FEWEST_RECORDINGS = 2
SHORT = 0.25  # quantile of the lengths of segments that a chunk should resolve
MOST_CHUNKS = 300  # of a mean recording
NAIVE = (INDEX, CLOCK, PATH)


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of recordings by read-outs that were not fitted to them.

    Attributes:
        recordings: all of them.
        quantiles: by read-out, (T_i, 3) of each recording.
        folds: (n,) the fold of each.
        steps: how well the steps of each recording were read.
        ends: `end.end_distance` of each recording; () where it isn't known.
    """

    recordings: tuple[LabelledRecording, ...]
    quantiles: Mapping[str, list[np.ndarray]]
    folds: np.ndarray
    steps: tuple[StepFigures, ...]
    ends: tuple[float, ...] = ()

    def errors(self, name: str) -> np.ndarray:
        """Mean absolute error of each recording, (n,)."""
        return np.array(
            [
                np.abs(predicted[:, 1] - recording.progress).mean()
                for predicted, recording in zip(self.quantiles[name], self.recordings, strict=True)
            ]
        )

    def mean_errors(self) -> dict[str, float]:
        """Mean over the recordings, by read-out."""
        return {name: float(self.errors(name).mean()) for name in self.quantiles}

    def best(self) -> str:
        """The read-out of the least mean error; a naive guess unless one is better than every naive guess."""
        means = self.mean_errors()
        naive = min((name for name in NAIVE if name in means), key=means.__getitem__)
        best = min(means, key=means.__getitem__)
        return best if means[best] < means[naive] else naive

    def best_naive(self) -> str:
        """The naive guess of the least mean error."""
        means = self.mean_errors()
        return min((name for name in NAIVE if name in means), key=means.__getitem__)


def scale_of(recordings: Sequence[LabelledRecording]) -> ChunkScale:
    """How the frames of recordings become chunks."""
    lengths = [
        end - start
        for recording in recordings
        for (_, start, end), counts in zip(recording.segments, recording.counts, strict=True)
        if counts
    ]
    mean_length = np.mean([len(recording) for recording in recordings])
    short = max(float(np.quantile(lengths, SHORT)), 3 * mean_length / MOST_CHUNKS) if lengths else np.inf
    return chunk_scale([recording.frames for recording in recordings], short)


def cross_validate(
    recordings: Sequence[LabelledRecording], seed: int = 0, names: Sequence[str] | None = None, folds: int = FOLDS
) -> OutOfFold:
    """Fits every read-out to all folds but one, and reads that one.

    Args:
        recordings: at least 2.
        seed: of all random choices.
        names: of the read-outs that are judged beside the naive guesses; all that the recordings are enough for if it
            is None.
        folds: how many.

    Raises:
        DataError: there are too few recordings.
        ValueError: there is no read-out of such a name.
    """
    if names is not None:
        names = [*NAIVE, *names]
    if len(recordings) < FEWEST_RECORDINGS:
        raise DataError(
            f"{len(recordings)} recording with an annotation; expected at least {FEWEST_RECORDINGS}, "
            f"of which one judges what is fitted to the others"
        )
    if not forest_can_be_grown():
        logger.warning(
            'read-outs that use a forest are left out: they need scikit-learn, which is not installed: pip install '
            '"alignment-progress[evaluation]" (in a checkout: pip install ".[evaluation]")'
        )
    fold_of = folds_of(recordings, folds)
    numbers = sorted(set(fold_of.tolist()))
    if len(numbers) < 2:
        raise DataError("all recordings are of one group; expected at least two, so that one can judge the other")
    by_fold = [[fold_of != number, fold_of == number] for number in numbers]
    work = [
        ([recordings[i] for i in np.flatnonzero(fitting)], [recordings[i] for i in np.flatnonzero(read)], seed, part)
        for part in divided(names)
        for fitting, read in by_fold
    ]
    done = run_all(_read_others, work, "cross-validation")
    quantiles: dict[int, dict[str, np.ndarray]] = {}
    steps: dict[int, StepFigures] = {}
    ends: dict[int, float] = {}
    for place, (_, judged) in enumerate(by_fold):
        parts = done[place :: len(numbers)]
        for own, index in enumerate(np.flatnonzero(judged).tolist()):
            read = reduce(or_, (part.read[own] for part in parts))
            quantiles[index] = curves_of(read, parts[0].scale, len(recordings[index]))
            steps[index] = next(part.steps[own] for part in parts if part.steps)
            ends[index] = next(part.ends[own] for part in parts if part.ends)
    common = set.intersection(*(set(found) for found in quantiles.values()))
    order = [name for name in quantiles[0] if name in common]
    return OutOfFold(
        tuple(recordings), {name: [quantiles[index][name] for index in range(len(recordings))] for name in order},
        fold_of, *(tuple(found[index] for index in range(len(recordings))) for found in (steps, ends)),
    )  # fmt: skip


class _ReadOthers(NamedTuple):
    """What some read-outs, fitted to some recordings, say of others."""

    scale: ChunkScale
    read: list[Read]
    steps: list[StepFigures]  # empty for all parts but that of the clock, and so are the ends
    ends: list[float]


def _read_others(
    training: Sequence[LabelledRecording], others: Sequence[LabelledRecording], seed: int, part: frozenset[str]
) -> _ReadOthers:
    scale = scale_of(training)
    fitted = fit_part(training, scale, seed, part)
    read = [read_parts(fitted, recording.frames) for recording in others]
    if CLOCK not in part:
        return _ReadOthers(scale, read, [], [])
    end = fit_end(training, scale)
    ends = [end_distance(end, scale, recording) for recording in others]
    if not any(len(one) >= scale.length for one in training):
        return _ReadOthers(scale, read, [StepFigures()] * len(others), ends)
    steps = fit_steps(training, scale, seed)
    return _ReadOthers(scale, read, [judge_steps(steps, scale, recording) for recording in others], ends)


@dataclass(frozen=True)
class Judged:
    """What cross-validation says of one read-out's whole answer.

    Attributes:
        coverage, width: of its interval, each fold's fitted to the others.
        remaining_error: mean absolute error of the remaining time in frames, likewise.
        naive_remaining_error: of the mean length minus the time.
    """

    coverage: float
    width: float
    remaining_error: float
    naive_remaining_error: float


def judge(found: OutOfFold, name: str) -> Judged:
    """Coverage of the interval and error of the remaining time, on folds that did not fit them."""
    covered, widths, errors, naive = [], [], [], []
    curves = found.quantiles[name]
    for number in sorted(set(found.folds.tolist())):
        own, others = np.flatnonzero(found.folds == number), np.flatnonzero(found.folds != number)
        interval = fit_interval(
            [curves[i][:, 1] for i in others], [curves[i][:, 0] for i in others], [curves[i][:, 2] for i in others],
            [found.recordings[i].progress for i in others],
        )  # fmt: skip
        remaining = fit_remaining([curves[i][:, 1] for i in others])
        mean_length = np.mean([len(found.recordings[i]) for i in others])
        for i in own:
            truth, curve = found.recordings[i].progress, curves[i]
            low, high = interval.bounds(curve[:, 1], curve[:, 0], curve[:, 2])
            covered.append(((truth >= low - 1e-9) & (truth <= high + 1e-9)).mean())
            widths.append((high - low).mean())
            left = len(truth) - 1 - np.arange(len(truth))
            errors.append(np.abs(remaining.read(curve[:, 1]) - left).mean())
            naive.append(np.abs(np.maximum(mean_length - 1 - np.arange(len(truth)), 0) - left).mean())
    return Judged(*(float(np.mean(values)) for values in (covered, widths, errors, naive)))

