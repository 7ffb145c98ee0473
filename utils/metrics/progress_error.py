"""Overall progress error (OPE): mean absolute error of predicted progress."""

from __future__ import annotations

import math

import numpy as np


def progress_error(prediction: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> float:
    """Mean over frames of |prediction - truth| (GTCC, CVPR 2024, section 4).

    Args:
        prediction: (T,) progress in [0, 1].
        truth: (T,) progress in [0, 1].
        counted: (T,) bool, frames to count; by default all. At action level, background is not counted.

    Returns:
        The error in [0, 1]; NaN if no frame is counted.

    Raises:
        ValueError: the lengths differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"predicted progress has shape {prediction.shape}, true progress {truth.shape}")
    error = np.abs(prediction - truth)
    if counted is not None:
        error = error[counted]
    return float(error.mean()) if error.size else math.nan
