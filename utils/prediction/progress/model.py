"""A fitted answer to "how far has it come?": progress, its interval, the step, what remains, and whether to believe it.

    model = fit_progress(recordings)
    state = model.start()
    answers = state.update(frames)          # as they come; answers.progress, answers.lower, answers.upper, ...
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from utils.prediction.progress.candidates import COUNTING, fit_candidates
from utils.prediction.progress.cross_validation import NAIVE, Judged, OutOfFold, cross_validate, judge, scale_of
from utils.prediction.progress.end import MOST_WITHOUT_END, NEARLY_DONE, EndLikeness, fit_end
from utils.prediction.progress.interval import Interval, fit_interval
from utils.prediction.progress.remaining import RemainingTime, fit_remaining
from utils.prediction.progress.unlike_training import NAMES, TrainingRange, fit_training_range, newest_measures
from utils.prediction.readouts import Readout
from utils.prediction.readouts.chunked import ChunkedReadout, ChunkedState, first_answer, hold
from utils.prediction.readouts.chunks import Chunks, ChunkScale
from utils.prediction.readouts.protocol import as_double
from utils.prediction.readouts.recording import LabelledRecording
from utils.prediction.readouts.steps import StepFigures, StepReader, fit_steps, progress_in_told_actions

logger = logging.getLogger(__name__)

# One row per frame: progress and its bounds; number, probability and share done of the current step; expected number
# of finished actions; frames that remain; bits of `utils.prediction.progress.unlike_training`.
ANSWER = np.dtype(
    [
        ("progress", "f8"), ("lower", "f8"), ("upper", "f8"), ("step", "i4"), ("step_probability", "f8"),
        ("step_progress", "f8"), ("steps_done", "f8"), ("remaining", "f8"), ("unlike", "i4"),
    ]
)  # fmt: skip
FEATURES, EMBEDDING = "features", "embedding"  # what a model reads
STUCK = 8  # progress has not risen for longer than in any training recording
NO_END = 16  # progress would be nearly done, but nothing looks like the end
SIGNS = {**NAMES, STUCK: "progress stuck", NO_END: "end not seen"}
RISE = 0.01  # of progress, which counts as having risen
STUCK_MARGIN = 1.5


@dataclass(frozen=True)
class ProgressAnswers:
    """Answers at consecutive frames of a recording.

    Attributes:
        rows: (T,) of `ANSWER`.
        labels: of the steps.
        frame_rate: frames per second, or None if it isn't known.
        coverage: the share of frames whose true progress lies between `lower` and `upper`.
    """

    rows: np.ndarray
    labels: tuple[str, ...]
    frame_rate: float | None
    coverage: float

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def progress(self) -> np.ndarray:
        """(T,) in [0, 1]."""
        return self.rows["progress"]

    @property
    def lower(self) -> np.ndarray:
        """(T,) in [0, 1]."""
        return self.rows["lower"]

    @property
    def upper(self) -> np.ndarray:
        """(T,) in [0, 1]."""
        return self.rows["upper"]

    @property
    def steps(self) -> list[str]:
        """(T,) the most probable label; '' before it is known."""
        return [self.labels[step] if step >= 0 else "" for step in self.rows["step"].tolist()]

    @property
    def step_probability(self) -> np.ndarray:
        """(T,) probability of that label."""
        return self.rows["step_probability"]

    @property
    def step_progress(self) -> np.ndarray:
        """(T,) time in that step over its mean duration, at most 1."""
        return self.rows["step_progress"]

    @property
    def steps_done(self) -> np.ndarray:
        """(T,) how many actions have been finished, expected number."""
        return self.rows["steps_done"]

    @property
    def remaining_seconds(self) -> np.ndarray | None:
        """(T,) seconds until the recording ends; None if the frame rate isn't known."""
        return None if self.frame_rate is None else self.rows["remaining"] / self.frame_rate

    @property
    def out_of_range(self) -> list[str]:
        """(T,) why the answer should not be believed, such as 'unlike training'; '' if nothing speaks against it."""
        codes = self.rows["unlike"].tolist()
        said = {code: " + ".join(name for bit, name in SIGNS.items() if code & bit) for code in set(codes)}
        return [said[code] for code in codes]


@dataclass(frozen=True)
class ProgressModel:
    """The chosen read-out, and what belongs to its answer.

    Attributes:
        name: of the read-out, see `utils.prediction.progress.candidates`.
        input: what it reads: 'features', or the 'embedding' of a network.
        readout: fitted to all recordings.
        scale: how frames become chunks.
        interval, remaining: fitted to predictions of recordings that the read-out was not fitted to.
        steps: the reader of steps; None if no recording was as long as a chunk.
        training_range: what training recordings are like; None likewise.
        stuck_limit: chunks in which progress doesn't rise, from which it is stuck.
        frame_rate: frames per second, or None.
        end: what ends of training recordings are like; None where that isn't known.
        report: what cross-validation said; plain values, see `utils.prediction.progress.report`.
    """

    name: str
    input: str
    readout: Readout | ChunkedReadout
    scale: ChunkScale
    interval: Interval
    remaining: RemainingTime
    steps: StepReader | None
    training_range: TrainingRange | None
    stuck_limit: float
    frame_rate: float | None = None
    end: EndLikeness | None = None
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the steps."""
        return () if self.steps is None else self.steps.labels

    @property
    def width(self) -> int:
        """D of the frames that it reads."""
        return len(self.scale.mean)

    def start(self) -> ProgressState:
        """The state before the first frame of a recording."""
        return ProgressState(self)

    def predict(self, frames: np.ndarray | Tensor) -> ProgressAnswers:
        """The answers at every frame of a whole recording, each from the frames so far.

        Args:
            frames: (T, D).
        """
        return self.answers(self.start().update(frames))

    def inside_told_actions(self, frames: np.ndarray, time_dict: Mapping[str, Any]) -> np.ndarray | None:
        """Progress inside each action of a recording, (T,) in [0, 1], 0 in background; None if that isn't fitted.

        Args:
            frames: (T, D).
            time_dict: its segments. At a frame only the label and the start of the present one are used.
        """
        if self.steps is None or self.steps.within is None:
            return None
        return progress_in_told_actions(self.steps, self.scale, LabelledRecording("", frames, time_dict))

    def answers(self, rows: np.ndarray) -> ProgressAnswers:
        """Rows of `ProgressState.update` with their names."""
        return ProgressAnswers(rows, self.labels, self.frame_rate, self.interval.coverage)


class ProgressState:
    """A recording that goes on. Time and memory per frame don't depend on how many came before."""

    def __init__(self, model: ProgressModel):
        self._model = model
        self._reader = model.scale.start()
        self._readout = model.readout.start()
        self._steps = None if model.steps is None else model.steps.start()
        self._range = None if model.training_range is None else model.training_range.start()
        self._received = 0
        self._far = np.zeros(1, dtype=bool)  # whether the newest chunk looks like no end
        self._highest, self._risen = 0.0, 0  # progress that counts as reached, and chunks since
        self._last = np.zeros(1, dtype=ANSWER)
        self._last["step"] = -1
        self._set_progress(self._last, first_answer(model.scale))

    def update(self, frames: np.ndarray | Tensor) -> np.ndarray:
        """The answers at the next frames, (n,) of `ANSWER`; how a recording is cut into calls changes nothing.

        Args:
            frames: (n, D), n >= 0.
        """
        model, values = self._model, as_double(frames)
        chunks = self._reader.update(values)
        by_chunk = np.zeros(len(chunks), dtype=ANSWER)
        by_frame = None
        if isinstance(self._readout, ChunkedState):
            quantiles = self._readout.read_chunks(chunks)
        else:
            by_frame = np.repeat(self._readout.update(values)[:, None], 3, axis=1)
            ends = np.arange(len(chunks)) * model.scale.length + (-self._received - 1) % model.scale.length
            quantiles = by_frame[ends]
        far = self._far_from_end(chunks)
        no_end = far & (quantiles[:, 1] > MOST_WITHOUT_END)
        self._set_progress(by_chunk, _without_end(quantiles, no_end))
        self._add_signs(by_chunk, chunks, no_end)
        rows = hold(by_chunk, self._last, self._received, len(values), model.scale.length)
        if by_frame is not None:
            far = hold(far, self._far, self._received, len(values), model.scale.length)
            no_end = far & (by_frame[:, 1] > MOST_WITHOUT_END)
            rows["unlike"] = rows["unlike"] & ~NO_END | NO_END * no_end
            self._set_progress(rows, _without_end(by_frame, no_end))
            self._far = far[-1:].copy() if len(far) else self._far
        self._received += len(values)
        if len(rows):
            self._last = rows[-1:].copy()
        return rows

    def _set_progress(self, rows: np.ndarray, quantiles: np.ndarray) -> None:
        rows["progress"] = quantiles[:, 1]
        rows["lower"], rows["upper"] = self._model.interval.bounds(quantiles[:, 1], quantiles[:, 0], quantiles[:, 2])
        rows["remaining"] = self._model.remaining.read(quantiles[:, 1])

    def _far_from_end(self, chunks: Chunks) -> np.ndarray:
        """Whether the next chunks look like no end: (n,) bool."""
        end = self._model.end
        if end is None or not len(chunks):
            return np.zeros(len(chunks), dtype=bool)
        return end.distances(chunks) > end.limit

    def _add_signs(self, rows: np.ndarray, chunks: Chunks, no_end: np.ndarray) -> None:
        rows["step"] = -1
        if not len(chunks):
            return
        if self._steps is not None:
            steps = self._steps.update(chunks)
            rows["step"], rows["step_probability"] = steps["step"], steps["probability"]
            rows["step_progress"], rows["steps_done"] = steps["inside"], steps["done"]
        if self._range is not None:
            rows["unlike"] = self._range.update(newest_measures(chunks), chunks.path)
        rows["unlike"] |= NO_END * no_end
        for number, progress in enumerate(rows["progress"].tolist()):
            if progress >= self._highest + RISE:
                self._highest, self._risen = progress, 0
            else:
                self._risen += 1
            if self._risen > self._model.stuck_limit and progress < NEARLY_DONE:
                rows["unlike"][number] |= STUCK


def _without_end(quantiles: np.ndarray, no_end: np.ndarray) -> np.ndarray:
    """Quantiles .1 and .5 of progress, (n, 3), held down where the end isn't seen; the upper one still allows it."""
    most = np.where(no_end, MOST_WITHOUT_END, 1.0)[:, None]
    return np.concatenate([np.minimum(quantiles[:, :2], most), quantiles[:, 2:]], axis=1)


def longest_plateau(progress: np.ndarray) -> int:
    """For how many frames a curve doesn't rise by `RISE` before it is `NEARLY_DONE`."""
    longest = risen = 0
    highest = 0.0
    for value in progress.tolist():
        if value >= highest + RISE:
            highest, risen = value, 0
        else:
            risen += 1
        if value < NEARLY_DONE:
            longest = max(longest, risen)
    return longest


def fit_progress(
    recordings: Sequence[LabelledRecording],
    seed: int = 0,
    frame_rate: float | None = None,
    input: str = FEATURES,
    names: Sequence[str] | None = None,
    found: OutOfFold | None = None,
    name: str = "",
) -> ProgressModel:
    """Chooses a read-out by cross-validation and fits it to all recordings.

    Args:
        recordings: training and validation recordings of one task, at least 2, in the order of the annotation.
        seed: of all random choices.
        frame_rate: frames per second, which the remaining time in seconds needs.
        input: what the frames are, 'features' or 'embedding'.
        names: the read-outs to choose from; all if it is None.
        found: their cross-validation, if it has been made.
        name: the read-out, if it has been chosen in another way; '' chooses the best.

    Raises:
        DataError: there are too few recordings.
    """
    found = cross_validate(recordings, seed, names) if found is None else found
    name = name or found.best()
    scale = scale_of(recordings)
    curves, truth = found.quantiles[name], [recording.progress for recording in recordings]
    chunks = [scale.start().update(recording.frames) for recording in recordings]
    long_enough = [own for own in chunks if len(own)]
    readout = fit_candidates(recordings, scale, seed, [name]).readout(name)
    plateau = max(longest_plateau(curve[:: scale.length, 1]) for curve in curves)
    # A naive guess sees no end; and an embedding's training recordings are nearer to each other than to a new one.
    end = None if name in NAIVE or input == EMBEDDING else fit_end(recordings, scale)
    return ProgressModel(
        name=name,
        input=input,
        readout=readout,
        scale=scale,
        interval=fit_interval([c[:, 1] for c in curves], [c[:, 0] for c in curves], [c[:, 2] for c in curves], truth),
        remaining=fit_remaining([curve[:, 1] for curve in curves]),
        steps=fit_steps(recordings, scale, seed) if long_enough else None,
        training_range=fit_training_range(
            [newest_measures(own) for own in long_enough], [own.path for own in long_enough]
        ) if long_enough else None,
        stuck_limit=math.inf if name in COUNTING else max(STUCK_MARGIN * plateau, 10.0),
        frame_rate=frame_rate,
        end=end and end.with_limit(found.ends),
        report=report_of(found, name, judge(found, name)),
    )  # fmt: skip


def report_of(found: OutOfFold, name: str, judged: Judged) -> dict[str, Any]:
    """What cross-validation said, as plain values."""
    naive = found.best_naive()
    return {
        "recordings": len(found.recordings),
        "folds": len(set(found.folds.tolist())),
        "chosen": name,
        "best_naive": naive,
        "errors": {own: found.errors(own).tolist() for own in found.quantiles},
        "coverage": judged.coverage,
        "width": judged.width,
        "remaining_error": judged.remaining_error,
        "naive_remaining_error": judged.naive_remaining_error,
        "steps": {
            name: _mean(np.array([getattr(figures, name) for figures in found.steps])) for name in StepFigures._fields
        },
    }


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
