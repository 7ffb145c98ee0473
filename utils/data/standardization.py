"""Mean and deviation of each feature over the training frames, and standardisation by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.errors import DataError


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each feature (or channel), in double precision."""

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @staticmethod
    def of(values: np.ndarray) -> Moments:
        """The moments of (N, D) values, N >= 1."""
        mean = values.mean(axis=0)
        return Moments(len(values), mean, np.square(values - mean).sum(axis=0))

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets together.

        Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances" (1979), equations 2.1a and 2.1b; numerically stable if the mean is large relative to the deviation.
        """
        count = self.count + other.count
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.count / count)
        squares = self.squares + other.squares + np.square(difference) * (self.count * other.count / count)
        return Moments(count, mean, squares)


    @staticmethod
    def side_by_side(parts: Sequence[Moments]) -> Moments:
        """The moments of all features, joined from those of some features each, over the same frames."""
        mean = np.concatenate([part.mean for part in parts])
        return Moments(parts[0].count, mean, np.concatenate([part.squares for part in parts]))


def standardization_from_moments(moments: Iterable[Moments]) -> dict[str, Tensor]:
    """Mean and standard deviation of each feature over all frames (population formula: divided by N).

    A feature that is constant up to single precision gets a standard deviation of 1: dividing by its rounding
    errors would make these errors large in the other splits.

    Returns:
        `{'mean', 'std'}`, float32 tensors of (D,).
    """
    moments = iter(moments)
    total = next(moments)
    for part in moments:
        total = total.merge(part)
    deviation = np.sqrt(total.squares / total.count)
    constant = deviation <= np.maximum(1e-6 * np.abs(total.mean), np.finfo(np.float32).tiny)
    return {
        "mean": torch.from_numpy(total.mean.astype(np.float32)),
        "std": torch.from_numpy(np.where(constant, 1.0, deviation).astype(np.float32)),
    }


def checked_standardization(standardization: Any, width: int) -> dict[str, Tensor]:
    """A standardisation that was computed earlier (a checkpoint's), for features of the given width.

    Raises:
        DataError: another width than the features', values that aren't finite, or a deviation of 0 or less.
    """
    if not isinstance(standardization, Mapping):
        kind = type(standardization).__name__
        raise DataError(f"the standardization is unusable (a {kind}); expected {{'mean', 'std'}}")
    try:
        given = {key: torch.as_tensor(standardization[key]) for key in ("mean", "std")}
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, OverflowError) as error:
        raise DataError(f"the standardization is unusable ({error}); expected {{'mean', 'std'}}") from error
    result: dict[str, Tensor] = {}
    for key, values in given.items():
        if values.shape != (width,):
            raise DataError(
                f"the standardization's {key} has shape {tuple(values.shape)}; expected ({width},), "
                f"the width of the features"
            )
        if values.is_complex() or values.layout != torch.strided:
            raise DataError(f"the standardization's {key} is {values.dtype}, {values.layout}; expected real numbers")
        values = values.detach().to("cpu", torch.float32)
        if not bool(torch.isfinite(values).all()):
            raise DataError(f"the standardization's {key} is not finite everywhere")
        result[key] = values
    if not bool((result["std"] > 0).all()):
        raise DataError("the standardization's std is not above 0 everywhere")
    return result
