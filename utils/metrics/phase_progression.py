"""Phase progression (PHP): how well a linear regression predicts progress from the embedding of one frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def fit_linear_regression(
    frames: Sequence[np.ndarray], targets: Sequence[np.ndarray]
) -> tuple[np.ndarray, float]:
    """Least squares with intercept over the frames of all videos; the solution with the smallest norm.

    It is solved with the D x D covariance, summed video by video, so that the frames are never concatenated.
    Directions with less than 1e-10 of the largest variance are left out; a collapsed embedding has many of them.

    Args:
        frames: (T_i, D) each.
        targets: (T_i,) each.

    Returns:
        (D,) float64 weights and the intercept.
    """
    count = sum(len(x) for x in frames)
    mean = sum(x.sum(axis=0, dtype=np.float64) for x in frames) / count
    target_mean = sum(y.sum(dtype=np.float64) for y in targets) / count
    covariance, cross = np.zeros((len(mean), len(mean))), np.zeros(len(mean))
    for x, y in zip(frames, targets, strict=True):
        centred = x.astype(np.float64) - mean
        covariance += centred.T @ centred
        cross += centred.T @ (y - target_mean)
    variance, direction = np.linalg.eigh(covariance)
    kept = variance > 1e-10 * max(variance[-1], np.finfo(np.float64).tiny)
    inverse = np.divide(1.0, variance, out=np.zeros_like(variance), where=kept)
    weights = direction @ (inverse * (direction.T @ cross))
    return weights, float(target_mean - mean @ weights)


def phase_progression(
    train_embeddings: Sequence[np.ndarray],
    train_progress: Sequence[np.ndarray],
    test_embeddings: Sequence[np.ndarray],
    test_progress: Sequence[np.ndarray],
) -> np.ndarray:
    """R^2 of progress on test videos, by a linear regression fitted on training videos (TCC, section 4.1).

        R^2 = 1 - sum_t (y_t - prediction_t)^2 / sum_t (y_t - mean y)^2, for each test video

    Args:
        train_embeddings: (T_i, D) each.
        train_progress: (T_i,) each, true progress in [0, 1].
        test_embeddings, test_progress: the same for the test videos.

    Returns:
        (number of test videos,) float64, at most 1, and negative if the mean would be better; NaN for a video of
        constant true progress (no action), which has no R^2.
    """
    weights, intercept = fit_linear_regression(train_embeddings, train_progress)
    return np.array(
        [_r_squared(x @ weights + intercept, y) for x, y in zip(test_embeddings, test_progress, strict=True)]
    )


def _r_squared(prediction: np.ndarray, truth: np.ndarray) -> float:
    total = np.square(truth - truth.mean()).sum()
    return float(1.0 - np.square(truth - prediction).sum() / total) if total > 0 else math.nan
