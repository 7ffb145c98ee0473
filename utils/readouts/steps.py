"""Which step a recording is in, how far in it, and which steps have been done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.readouts.chunks import Chunks, ChunkScale, end_frames
from utils.readouts.discriminant import LinearDiscriminant, fit_discriminant
from utils.readouts.evidence import prepare
from utils.readouts.label_filter import LabelFilter, fit_label_filter
from utils.readouts.recording import LabelledRecording, action_labels, labels_of

ANSWER = np.dtype([("step", "i4"), ("probability", "f8"), ("inside", "f8"), ("done", "f8")])


@dataclass(frozen=True)
class StepReader:
    """Steps from chunks.

    Attributes:
        labels: of the steps, background included.
        is_action: (L,) bool.
        recogniser, label_filter: the probability of each label.
        durations: (L,) chunks of a segment of each label, mean.
    """

    labels: tuple[str, ...]
    is_action: np.ndarray
    recogniser: LinearDiscriminant
    label_filter: LabelFilter
    durations: np.ndarray

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
        np.array([np.mean(own) for own in lengths]),
    )  # fmt: skip


def step_accuracy(steps: StepReader, scale: ChunkScale, recording: LabelledRecording) -> tuple[float, float]:
    """The share of a recording's chunks whose label was found, and that the most frequent training label would find;
    NaN without a chunk."""
    chunks = scale.start().update(recording.frames)
    if not len(chunks):
        return float("nan"), float("nan")
    truth = recording.labels_of_frames(steps.labels)[end_frames(len(chunks), scale.length)]
    found = steps.start().update(chunks)["step"]
    return float((found == truth).mean()), float((steps.recogniser.prior.argmax() == truth).mean())


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
        """The answer after each of the next chunks, (n,) of `ANSWER`: the most probable label and its probability, time
        in it over its mean duration, at most 1, and how many actions have been finished (expected number)."""
        fitted, answers = self._fitted, np.zeros(len(chunks), dtype=ANSWER)
        if not len(chunks):
            return answers
        belief = self._filter.update(fitted.recogniser.posterior(chunks.measures))
        finished = np.maximum(belief.begun - belief.now, 0)
        answers["step"] = belief.now.argmax(axis=1)
        answers["probability"] = belief.now.max(axis=1)
        answers["done"] = finished[:, fitted.is_action].sum(axis=1)
        for number, step in enumerate(answers["step"].tolist()):
            self._since = self._since + 1 if step == self._step else 1
            self._step = step
            answers["inside"][number] = min(1.0, self._since / fitted.durations[step])
        self.done = finished[-1].copy()
        return answers
