"""Bootstrap intervals over videos: what another draw of test videos could have given."""

from __future__ import annotations

import numpy as np
import torch

RESAMPLES = 2000
FEWEST_VIDEOS = 3  # with two, resampling knows three outcomes, and an interval would pretend too much


def resample_counts(
    number_of_videos: int, resamples: int = RESAMPLES, generator: torch.Generator | None = None
) -> np.ndarray:
    """How often each video is drawn when as many videos are drawn with replacement.

    Args:
        number_of_videos: n >= 1.
        resamples: B.
        generator: CPU generator; None is torch's default one.

    Returns:
        (B, n) float64, rows sum to n.
    """
    draws = torch.randint(number_of_videos, (resamples, number_of_videos), generator=generator)
    counts = torch.zeros(resamples, number_of_videos, dtype=torch.float64)
    return counts.scatter_add_(1, draws, torch.ones_like(counts)).numpy()


def resampled_means(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of the values of the drawn videos, for every resample (Efron, Annals of Statistics 1979).

    Args:
        values: (n,) a figure per video, or (n, n) a figure per ordered pair of videos. NaN marks what doesn't
            exist and is left out; a pair needs two different videos, so the diagonal is left out too.
        counts: (B, n) how often each video is drawn.

    Returns:
        (B,) float64; NaN for a resample that has no value at all.
    """
    values = np.array(values, dtype=np.float64)
    if values.ndim == 2:
        np.fill_diagonal(values, np.nan)
    exists = ~np.isnan(values)
    values = np.where(exists, values, 0.0)
    if values.ndim == 1:
        total, weight = counts @ values, counts @ exists
    else:
        # A pair is drawn as often as its first video times its second.
        total, weight = ((counts @ matrix * counts).sum(axis=1) for matrix in (values, exists.astype(float)))
    return np.divide(total, weight, out=np.full(len(counts), np.nan), where=weight > 0)


def percentile_interval(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Central interval that holds `level` of the resampled figures; those that don't exist are left out."""
    replicates = replicates[~np.isnan(replicates)]
    if not len(replicates):
        raise ValueError("no resample has a value, so there is no interval")
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
