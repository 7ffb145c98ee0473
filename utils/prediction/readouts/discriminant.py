"""Linear discriminant analysis with a shrunk covariance: few numbers that tell classes apart, and their probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHRINKAGE = 0.3
WIDTH = 24
TEMPERATURE = 0.5


@dataclass(frozen=True)
class LinearDiscriminant:
    """Classes of measures.

    Attributes:
        mean, deviation: (F,) of the measures.
        projection: (F, W), to axes in which each class has about unit variance.
        class_means: (C, W), in these axes.
        prior: (C,) share of each class.
    """

    mean: np.ndarray
    deviation: np.ndarray
    projection: np.ndarray
    class_means: np.ndarray
    prior: np.ndarray

    def embed(self, measures: np.ndarray) -> np.ndarray:
        """(n, F) measures in the axes that tell the classes apart, (n, W)."""
        return ((measures - self.mean) / self.deviation) @ self.projection

    def posterior(self, measures: np.ndarray) -> np.ndarray:
        """Probability of each class, (n, C). Neighbouring chunks are alike, so that their evidence counts for less
        than independent measures would: `TEMPERATURE` times the log likelihood."""
        gaps = self.embed(measures)[:, None] - self.class_means
        score = np.log(self.prior) - 0.5 * TEMPERATURE * np.square(gaps).sum(axis=-1)
        weight = np.exp(score - score.max(axis=1, keepdims=True))
        return weight / weight.sum(axis=1, keepdims=True)


def fit_discriminant(measures: np.ndarray, classes: np.ndarray, number: int) -> LinearDiscriminant:
    """Fisher's discriminant analysis (The Elements of Statistical Learning, section 4.3) with the within-class
    covariance shrunk towards a multiple of the identity.

    Args:
        measures: (n, F) float64.
        classes: (n,) int64 from 0.
        number: of classes; one that doesn't occur keeps a small prior and lies at the mean.
    """
    mean, deviation = measures.mean(axis=0), measures.std(axis=0) + 1e-6
    scaled = (measures - mean) / deviation
    count = np.bincount(classes, minlength=number)
    means = np.zeros((number, scaled.shape[1]))
    np.add.at(means, classes, scaled)
    means /= np.maximum(count, 1)[:, None]
    rest = scaled - means[classes]
    within = rest.T @ rest / len(rest)
    within *= 1 - SHRINKAGE
    within[np.diag_indices_from(within)] += SHRINKAGE * max(np.trace(within) / (1 - SHRINKAGE) / len(within), 1e-9)
    variance, axes = np.linalg.eigh(within)
    whitening = axes / np.sqrt(variance)
    weighted = (means * np.sqrt(count / len(classes))[:, None]) @ whitening
    directions = np.linalg.svd(weighted, full_matrices=False)[2][: max(1, min(number - 1, WIDTH))]
    projection = whitening @ directions.T
    return LinearDiscriminant(mean, deviation, projection, means @ projection, (count + 1) / (count + 1).sum())
