"""Phase classification (PC): accuracy of a linear classifier of actions from the embedding of one frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from utils.metrics.squared_hinge import fit_linear_machines

FRACTIONS = (0.1, 0.5, 1.0)
# Limits memory and time; the 40 training recordings of 50 Salads have 37,548 action frames.
MAXIMUM_TRAINING_FRAMES = 100_000
BLOCK = 1024


def labelled_videos(number_of_videos: int, fraction: float) -> np.ndarray:
    """Indices of the training videos with labels: `fraction` of them, half a video being one, at least one, evenly
    spread."""
    # The first rounding removes floating-point errors: .29 * 50 is 14.499999999999998.
    count = max(1, math.floor(round(fraction * number_of_videos, 9) + 0.5))
    return np.arange(count) * number_of_videos // count


def phase_classification(
    train_embeddings: Sequence[np.ndarray],
    train_labels: Sequence[np.ndarray],
    test_embeddings: Sequence[np.ndarray],
    test_labels: Sequence[np.ndarray],
    fraction: float = 1.0,
    maximum_training_frames: int = MAXIMUM_TRAINING_FRAMES,
) -> np.ndarray:
    """Accuracy on test frames of a linear SVM fitted on training frames (TCC, CVPR 2019, section 4.1).

    The labels of a share of the training *videos* are used, not of the frames: annotators label whole videos, and
    frames of one video are very similar. Background frames (label -1) are not used, because background isn't a phase.
    At most `maximum_training_frames` frames, evenly spaced over the labelled videos, are fitted, and the features are
    standardised over these frames. Fewer frames give other results: with 2,000, 8,000 and 16,000 of the 37,548 frames
    of 50 Salads, the accuracy differed by up to .046, .026 and .013 from that with all frames.

    Args:
        train_embeddings: (T_i, D) each.
        train_labels: (T_i,) int each; -1 is background.
        test_embeddings, test_labels: the same for the test videos.
        fraction: share of training videos with labels, in (0, 1].
        maximum_training_frames: most frames to fit; limits the time.

    Returns:
        (number of test videos,) float64, share of correct frames in [0, 1]; NaN for a video without action
        frames. A frame whose label is in no labelled training video counts as wrong.

    Raises:
        ValueError: the labelled training videos have no action frame.
    """
    chosen = labelled_videos(len(train_embeddings), fraction)
    labels = np.concatenate([train_labels[i] for i in chosen])
    kept = np.flatnonzero(labels >= 0)
    if not len(kept):
        raise ValueError("phase classification: the labelled training videos have no action frame")
    count = min(len(kept), maximum_training_frames)
    kept = kept[np.arange(count) * len(kept) // count]
    labels = labels[kept]
    # Only the kept frames are copied. Their indices increase, so those of one video are consecutive.
    starts = np.cumsum([0, *(len(train_labels[i]) for i in chosen[:-1])])
    stretches = np.split(kept, np.searchsorted(kept, starts[1:]))
    frames = np.concatenate(
        [train_embeddings[i][rows - start] for i, rows, start in zip(chosen, stretches, starts, strict=True)]
    )
    mean, spread = (of.astype(frames.dtype) for of in _mean_and_spread(frames))
    spread[spread == 0] = 1.0
    frames -= mean
    frames /= spread

    # If there is a single label, its machine always predicts it.
    classes, weights = fit_linear_machines(frames, labels)

    def predict(embedding: np.ndarray) -> np.ndarray:
        return classes[((embedding - mean) / spread @ weights[:-1] + weights[-1]).argmax(axis=1)]

    return _accuracies([predict(embedding) for embedding in test_embeddings], test_labels)


def majority_class(
    train_labels: Sequence[np.ndarray], test_labels: Sequence[np.ndarray], fraction: float = 1.0
) -> np.ndarray:
    """Accuracy, for each test video, of always predicting the most frequent action of the labelled training videos.

    Args:
        train_labels, test_labels: as in `phase_classification`.
        fraction: share of training videos with labels; the same videos as in `phase_classification`.
    """
    labels = np.concatenate([train_labels[i] for i in labelled_videos(len(train_labels), fraction)])
    labels = labels[labels >= 0]
    if not len(labels):
        raise ValueError("phase classification: the training videos have no action frame")
    most_frequent = np.bincount(labels).argmax()
    return _accuracies([np.full(len(t), most_frequent) for t in test_labels], test_labels)


def _mean_and_spread(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, (D,) float64, in double precision without a copy of all frames."""
    total = squares = np.zeros(frames.shape[1])
    for start in range(0, len(frames), BLOCK):
        moved = frames[start : start + BLOCK].astype(np.float64) - frames[0]
        total = total + moved.sum(axis=0)
        squares = squares + np.einsum("ij,ij->j", moved, moved)
    mean = total / len(frames)
    return mean + frames[0], np.sqrt(np.maximum(squares / len(frames) - mean**2, 0))


def _accuracies(predictions: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> np.ndarray:
    return np.array(
        [
            (p == t)[t >= 0].mean() if (t >= 0).any() else math.nan
            for p, t in zip(predictions, truths, strict=True)
        ]
    )
