"""Which step a recording is in, how far in it, and which steps have been done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from utils.data.frame_segments import action_frames
from utils.prediction.readouts.chunks import Chunks, ChunkScale, end_frames
from utils.prediction.readouts.discriminant import LinearDiscriminant, fit_discriminant
from utils.prediction.readouts.evidence import prepare
from utils.prediction.readouts.label_filter import LabelFilter, fit_label_filter
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
    """

    labels: tuple[str, ...]
    is_action: np.ndarray
    recogniser: LinearDiscriminant
    label_filter: LabelFilter
    inside: np.ndarray

    def start(self) -> StepState:
        return StepState(self)


def fit_steps(recordings: Sequence[LabelledRecording], scale: ChunkScale) -> StepReader:
    """A reader of the steps of training recordings, of which at least one must be a chunk long."""
    labels, actions = labels_of(recordings), action_labels(recordings)
    prepared = prepare(recordings, scale, labels)
    classes = [one.classes for one in prepared]
    measures = np.concatenate([one.chunks.measures for one in prepared])
    lengths: list[list[float]] = [[] for _ in labels]
    for recording in recordings:
        for label, start, end in recording.segments:
            lengths[labels.index(label)].append((end - start) / scale.length)
    return StepReader(
        labels, np.array([label in actions for label in labels]),
        fit_discriminant(measures, np.concatenate(classes), len(labels)), fit_label_filter(classes, len(labels)),
        _shares_done(lengths),
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
    """

    accuracy: float = math.nan
    majority: float = math.nan
    inside_error: float = math.nan
    inside_half: float = math.nan


def judge_steps(steps: StepReader, scale: ChunkScale, recording: LabelledRecording) -> StepFigures:
    """How well the steps of a recording are read that fitted nothing."""
    chunks = scale.start().update(recording.frames)
    if not len(chunks):
        return StepFigures()
    ends = end_frames(len(chunks), scale.length)
    truth = recording.labels_of_frames(steps.labels)[ends]
    found = steps.start().update(chunks)
    figures = [float((found["step"] == truth).mean()), float((steps.recogniser.prior.argmax() == truth).mean())]
    in_action = action_frames(recording.time_dict, len(recording))[ends]
    if in_action.any():
        inside = get_trueprogress_per_action(recording.time_dict).double().numpy()[ends][in_action]
        figures += [float(np.abs(found["inside"][in_action] - inside).mean()), float(np.abs(0.5 - inside).mean())]
    return StepFigures(*figures)


class StepState:
    """The steps of a recording that goes on.

    Attributes:
        done: (L,) expected number of segments of each label that have been finished.
    """

    def __init__(self, fitted: StepReader):
        self._fitted = fitted
        self._filter = fitted.label_filter.start()
        self._step, self._since = -1, 0
        self.done = np.zeros(len(fitted.labels))

    def update(self, chunks: Chunks) -> np.ndarray:
        """The answer after each of the next chunks, (n,) of `ANSWER`.

        The most probable label and its probability; the share of the step that is done (of that label as if it began
        when it was recognised, of another one half); and the expected number of finished actions.
        """
        fitted, answers = self._fitted, np.zeros(len(chunks), dtype=ANSWER)
        if not len(chunks):
            return answers
        belief = self._filter.update(fitted.recogniser.posterior(chunks.measures))
        finished = np.maximum(belief.begun - belief.now, 0)
        answers["step"] = belief.now.argmax(axis=1)
        answers["probability"] = belief.now.max(axis=1)
        answers["done"] = finished[:, fitted.is_action].sum(axis=1)
        for number, step in enumerate(answers["step"].tolist()):
            self._since = min(self._since + 1, LONGEST_SEGMENT) if step == self._step else 1
            self._step = step
            done = fitted.inside[step, min(self._since - 1, fitted.inside.shape[1] - 1)]
            # Of another step nothing is known: one half.
            probability = answers["probability"][number]
            answers["inside"][number] = probability * done + (1 - probability) * 0.5
        self.done = finished[-1].copy()
        return answers
