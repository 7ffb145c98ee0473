"""Few numbers in which the measures of chunks vary most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.prediction.readouts.chunks import WINDOWS

WIDTH = 32
SHORT_WINDOWS = 2  # of those of `chunks.WINDOWS`; what was longer ago is remembered by what reads the components
LARGEST = 6.0  # component, in deviations


@dataclass(frozen=True)
class PrincipalComponents:
    """What varies most in the measures of the short windows.

    Attributes:
        centre: (M,) mean of these measures.
        directions: (M, K), to components of about unit variance; those that vary little are left smaller.
    """

    centre: np.ndarray
    directions: np.ndarray

    def of(self, measures: np.ndarray) -> np.ndarray:
        """(n, F) measures of chunks to (n, K) bounded components."""
        short = measures[:, : len(self.centre)]
        return np.clip((short - self.centre) @ self.directions, -LARGEST, LARGEST)


def principal_components(measures: np.ndarray, width: int = WIDTH) -> PrincipalComponents:
    """At most `width` components of (n, F) measures; none where nothing varies."""
    short = measures[:, : measures.shape[1] // len(WINDOWS) * SHORT_WINDOWS]
    centre, deviation = short.mean(axis=0), short.std(axis=0) + 1e-6
    scaled = (short - centre) / deviation
    variance, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    variance, directions = variance[::-1][:width], directions[:, ::-1][:, :width]
    some = variance > 1e-6 * len(deviation)
    unit = np.sqrt(variance[some] + 0.05 * variance[0])
    return PrincipalComponents(centre, directions[:, some] / unit / deviation[:, None])
