"""Whether a recording's features are of another kind than those of the training: another unit, another extractor."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

# Root mean square distance from the training mean, in standard deviations of the training; about 1 for features alike.
FAR = 5.0
STILL = 0.01  # deviation within the recording, in the same unit, below which nothing moves
FEWEST_FRAMES = 10  # to say that nothing moves
FRAMES_WATCHED = 30  # of a stream


class TrainingScale:
    """Compares features with the mean and deviation of the training's.

    Args:
        statistics: {'mean', 'std'} of (D,); None: nothing is known, and nothing is said.
    """

    def __init__(self, statistics: Mapping[str, Any] | None):
        self._statistics = None
        if statistics is not None:
            self._statistics = tuple(np.asarray(statistics[key], dtype=np.float64) for key in ("mean", "std"))
        self._watched: list[np.ndarray] = []

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> TrainingScale:
        """The scale that a checkpoint knows of; older ones know it only if STANDARDIZE was on."""
        return cls(checkpoint.get("feature_statistics") or checkpoint.get("standardization"))

    def warning(self, features: np.ndarray) -> str | None:
        """What is odd about features (T, D), or maps (T, channels, height, width), in words; None if nothing is."""
        if self._statistics is None or not len(features):
            return None
        mean, deviation = (each.reshape(-1, *[1] * (features.ndim - 2)) for each in self._statistics)
        distances = (features.astype(np.float64) - mean) / deviation
        far = float(np.sqrt((distances**2).mean()))
        if far > FAR:
            return (
                f"the features are {far:.3g} standard deviations away from those of the training (about 1 is usual): "
                f"another unit, or another program made them? Progress then means nothing"
            )
        if len(features) >= FEWEST_FRAMES and float(distances.std(axis=0).max()) < STILL:
            return "the features hardly change: progress then means nothing"
        return None

    def watch(self, frame: np.ndarray) -> None:
        """Looks at the first frames of a stream, (D,) each, and logs a warning once."""
        if len(self._watched) >= FRAMES_WATCHED:
            return
        self._watched.append(frame)
        if len(self._watched) == FRAMES_WATCHED and (words := self.warning(np.stack(self._watched))):
            logger.warning("%s", words)
