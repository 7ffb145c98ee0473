"""Whether progress is better read from a network's embedding than from its input.

A network has seen its training recordings, so that their embeddings are no examples of a new recording's. Read-outs of
the embedding are fitted to the training recordings and judged on the validation recordings alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.prediction.progress.candidates import COUNTING, fit_candidates, read_all
from utils.prediction.progress.cross_validation import OutOfFold, scale_of
from utils.prediction.readouts.recording import LabelledRecording

FEWEST_TO_PREFER = 3  # validation recordings, without which nothing speaks for the embedding


@dataclass(frozen=True)
class EmbeddingChoice:
    """The comparison.

    Attributes:
        name: of the best read-out of the embedding.
        errors: of each validation recording by read-out, mean absolute error.
        of_features: of the best read-out of the features on the same recordings, out of fold; None without one.
    """

    name: str
    errors: dict[str, np.ndarray]
    of_features: np.ndarray | None

    @property
    def is_chosen(self) -> bool:
        """Whether the embedding is better by more than the standard error of the paired difference."""
        if self.of_features is None:
            return bool(self.name)
        if not self.name or len(self.of_features) < FEWEST_TO_PREFER:
            return False
        gain = self.of_features - self.errors[self.name]
        return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))

    def as_description(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return {
            "name": self.name,
            "chosen": self.is_chosen,
            "errors": {name: errors.tolist() for name, errors in self.errors.items()},
            "of_features": None if self.of_features is None else self.of_features.tolist(),
        }


def choose_embedding(
    train: Sequence[LabelledRecording], val: Sequence[LabelledRecording], features: OutOfFold | None, seed: int = 0
) -> EmbeddingChoice:
    """Compares the best read-out of an embedding with the best of the features.

    Args:
        train, val: the recordings of one task, with their embeddings as frames.
        features: cross-validation of the same recordings with their features; None if there is none.
        seed: of all random choices.
    """
    of_features = None
    if features is not None:
        names = [recording.name for recording in features.recordings]
        errors = features.errors(features.best())
        of_features = np.array([errors[names.index(recording.name)] for recording in val])
    if not train or not val:
        return EmbeddingChoice("", {}, of_features)
    fitted = fit_candidates(train, scale_of(train), seed)
    found: dict[str, list[float]] = {}
    for recording in val:
        for name, curve in read_all(fitted, recording.frames).items():
            found.setdefault(name, []).append(float(np.abs(curve[:, 1] - recording.progress).mean()))
    errors_of = {name: np.array(values) for name, values in found.items()}
    own = [name for name in errors_of if name not in COUNTING]
    return EmbeddingChoice(min(own, key=lambda name: errors_of[name].mean()), errors_of, of_features)
