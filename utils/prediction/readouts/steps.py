"""Which step a recording is in, how far in it, and which steps have been done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from utils.data.frame_segments import action_frames
from utils.prediction.readouts.chunks import Chunks, ChunkScale, end_frames
from utils.prediction.readouts.discriminant import LinearDiscriminant
from utils.prediction.readouts.evidence import Prepared, fit_recogniser, prepare
from utils.prediction.readouts.inside_action import InsideAction, fit_inside_action, told_progress, told_segments
from utils.prediction.readouts.label_filter import LabelFilter, fit_label_filter
from utils.prediction.readouts.quantile_forest import forest_can_be_grown
from utils.prediction.readouts.recording import LabelledRecording, action_labels, labels_of
from utils.tensorops import get_trueprogress_per_action

LONGEST_SEGMENT = 1000  # chunks; one that goes on for longer counts as done
ANSWER = np.dtype([("step", "i4"), ("probability", "f8"), ("inside", "f8"), ("done", "f8")])


@dataclass(frozen=True)
class StepReader:
    """Steps from chunks.

    Attributes:
        labels: of the steps, background included.
        is_action: (L,) bool.
        recogniser, label_filter: the probability of each label.
        inside: (L, M) mean share done of a segment of each label that was recognised 0, 1, ... M - 1 chunks ago, over
            the training segments; a segment that is shorter counts as done. It goes on as in its last column.
        within: reads the share done from more than the time; None where no forest can be grown, or no action was seen.
    """

    labels: tuple[str, ...]
    is_action: np.ndarray
    recogniser: LinearDiscriminant
    label_filter: LabelFilter
    inside: np.ndarray
    within: InsideAction | None

    def start(self) -> StepState:
        return StepState(self)


def fit_steps(recordings: Sequence[LabelledRecording], scale: ChunkScale, seed: int = 0) -> StepReader:
    """A reader of the steps of training recordings, of which at least one must be a chunk long.

    Args:
        recordings: labelled.
        scale: of their frames.
        seed: of all random choices.
    """
    labels, actions = labels_of(recordings), action_labels(recordings)
    prepared = prepare(recordings, scale, labels)
    classes = [one.classes for one in prepared]

    def recogniser_of(chosen: Sequence[Prepared]) -> LinearDiscriminant:
        return fit_recogniser(chosen, len(labels))

    lengths: list[list[float]] = [[] for _ in labels]
    for recording in recordings:
        for label, start, end in recording.segments:
            lengths[labels.index(label)].append((end - start) / scale.length)
    return StepReader(
        labels, np.array([label in actions for label in labels]),
        recogniser_of(prepared), fit_label_filter(classes, len(labels)), _shares_done(lengths),
        fit_inside_action(prepared, recogniser_of, labels, scale.length, seed) if forest_can_be_grown() else None,
    )  # fmt: skip


def _shares_done(lengths: Sequence[Sequence[float]]) -> np.ndarray:
    """`StepReader.inside` from the lengths of the training segments of each label, in chunks."""
    longest = min(max(map(max, lengths)), LONGEST_SEGMENT)
    elapsed = np.arange(math.ceil(longest) + 1) + 0.5
    return np.stack([np.minimum(elapsed[:, None] / np.array(own), 1).mean(axis=1) for own in lengths])


class StepFigures(NamedTuple):
    """How well the steps of a recording are read; NaN where it has no chunk, or no chunk in an action.

    Attributes:
        accuracy: share of its chunks whose label was found.
        majority: share that the most frequent training label would find.
        inside_error: mean absolute error of progress inside the step, over chunks in actions; start and label are not
            told.
        inside_half: that of always saying one half.
        told_error: mean absolute error of progress inside the action, over all its frames, start and label told.
        told_clock: that of the time since its start over the mean time of its label, at most 1.
    """

    accuracy: float = math.nan
    majority: float = math.nan
    inside_error: float = math.nan
    inside_half: float = math.nan
    told_error: float = math.nan
    told_clock: float = math.nan


def judge_steps(steps: StepReader, scale: ChunkScale, recording: LabelledRecording) -> StepFigures:
    """How well the steps of a recording are read that fitted nothing."""
    chunks = scale.start().update(recording.frames)
    if not len(chunks):
        return StepFigures()
    ends = end_frames(len(chunks), scale.length)
    truth = recording.labels_of_frames(steps.labels)[ends]
    found = steps.start().update(chunks)
    figures = [float((found["step"] == truth).mean()), float((steps.recogniser.prior.argmax() == truth).mean())]
    in_action = action_frames(recording.time_dict, len(recording))
    at_ends = in_action[ends]
    truth = get_trueprogress_per_action(recording.time_dict).double().numpy()
    inside = [math.nan, math.nan]
    if at_ends.any():
        inside = [_mean_error(found["inside"], truth[ends], at_ends), _mean_error(0.5, truth[ends], at_ends)]
    told = [math.nan, math.nan]
    if in_action.any() and steps.within is not None:
        curves = _told_of_chunks(steps, scale, recording, chunks), action_clock(steps, scale, recording)
        told = [_mean_error(curve, truth, in_action) for curve in curves]
    return StepFigures(*figures, *inside, *told)


def _mean_error(predicted: np.ndarray | float, truth: np.ndarray, counted: np.ndarray) -> float:
    return float(np.abs(predicted - truth)[counted].mean())


def progress_in_told_actions(steps: StepReader, scale: ChunkScale, recording: LabelledRecording) -> np.ndarray:
    """Progress inside each action, (T,) in [0, 1], from the frames so far and the action's label and start, which are
    told; 0 in background.

    Args:
        steps: with `within`.
        scale: of the frames.
        recording: of which only the frames, and label and start of the present segment, are used.
    """
    return _told_of_chunks(steps, scale, recording, scale.start().update(recording.frames))


def _told_of_chunks(
    steps: StepReader, scale: ChunkScale, recording: LabelledRecording, chunks: Chunks
) -> np.ndarray:
    """`progress_in_told_actions` of a recording whose chunks are known."""
    posterior = steps.recogniser.posterior(chunks.measures) if len(chunks) else np.zeros((0, len(steps.labels)))
    return told_progress(steps.within, posterior, chunks, scale.length, told_segments(recording, steps.labels))


def action_clock(steps: StepReader, scale: ChunkScale, recording: LabelledRecording) -> np.ndarray:
    """The time since the start of each segment over the mean time of its label, (T,) in [0, 1]."""
    mean_time = steps.within.scale.mean_time * scale.length
    shares = [
        np.arange(segment.end - segment.start) / (mean_time[segment.label] if segment.label >= 0 else mean_time.mean())
        for segment in told_segments(recording, steps.labels)
    ]
    return np.minimum(np.concatenate(shares), 1)


class StepState:
    """The steps of a recording that goes on.

    Attributes:
        done: (L,) expected number of segments of each label that have been finished.
    """

    def __init__(self, fitted: StepReader):
        self._fitted = fitted
        self._filter = fitted.label_filter.start()
        self._step, self._since = -1, 0
        self._within = None if fitted.within is None else fitted.within.scale.start()
        self.done = np.zeros(len(fitted.labels))

    def update(self, chunks: Chunks) -> np.ndarray:
        """The answer after each of the next chunks, (n,) of `ANSWER`.

        The most probable label and its probability; the share of the step that is done (of that label as if it began
        when it was recognised, of another one half); and the expected number of finished actions.
        """
        fitted, answers = self._fitted, np.zeros(len(chunks), dtype=ANSWER)
        if not len(chunks):
            return answers
        posterior = fitted.recogniser.posterior(chunks.measures)
        belief = self._filter.update(posterior)
        finished = np.maximum(belief.begun - belief.now, 0)
        answers["step"] = belief.now.argmax(axis=1)
        answers["probability"] = belief.now.max(axis=1)
        answers["done"] = finished[:, fitted.is_action].sum(axis=1)
        for number, step in enumerate(answers["step"].tolist()):
            begins = step != self._step
            if self._within is not None:
                # What was seen before this chunk belongs to the step before.
                if begins:
                    self._within.end(self._since)
                    self._within.begin(step)
                components = fitted.within.scale.components.of(chunks.measures[number : number + 1])[0]
                self._within.see(posterior[number], components, float(chunks.path[number]))
            self._since = 1 if begins else min(self._since + 1, LONGEST_SEGMENT)
            self._step = step
            done = self._share_done()
            # Of another step nothing is known: one half.
            probability = answers["probability"][number]
            answers["inside"][number] = probability * done + (1 - probability) * 0.5
        self.done = finished[-1].copy()
        return answers

    def _share_done(self) -> float:
        """How much of the step is done that was recognised so many chunks ago."""
        fitted = self._fitted
        if self._within is not None and fitted.is_action[self._step]:
            return float(fitted.within.read(self._within.inputs(np.array([self._since])))[0])
        return fitted.inside[self._step, min(self._since - 1, fitted.inside.shape[1] - 1)]
