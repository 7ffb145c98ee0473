"""Remaining time by predicted progress."""

import numpy as np
import pytest

from utils.prediction.progress.remaining import fit_remaining
from utils.prediction.readouts.distribution import GRID


def curves(seed, number=6):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        curve = np.sort(rng.random(rng.integers(20, 200)))
        made.append(np.clip(curve + 0.2 * rng.normal(size=len(curve)), 0, 1))
    return made


@pytest.mark.parametrize("seed", range(5))
def test_by_the_formula_of_monotone_regression(seed):
    """min over i <= k of max over j >= k of the weighted mean of i to j (Barlow et al. 1972)."""
    own = curves(seed)
    total, weight = np.zeros(101), np.zeros(101)
    for curve in own:
        for frame, progress in enumerate(curve):
            point = round(progress * 100)
            total[point] += (len(curve) - 1 - frame) / len(curve)
            weight[point] += 1 / len(curve)
    known = np.flatnonzero(weight)
    sums, weights = (np.concatenate([[0], np.cumsum(one[known])]) for one in (total, weight))
    values = []
    for k in range(len(known)):
        ends = slice(k + 1, len(known) + 1)
        values.append(min(((sums[ends] - sums[i]) / (weights[ends] - weights[i])).max() for i in range(k + 1)))
    np.testing.assert_allclose(fit_remaining(own).frames, np.interp(GRID, GRID[known], values), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_it_never_rises_and_is_never_negative(seed):
    fitted = fit_remaining(curves(seed))
    assert fitted.frames.shape == (101,)
    assert (np.diff(fitted.frames) <= 1e-12).all()
    assert (fitted.frames >= 0).all()
    read = fitted.read(np.linspace(0, 1, 1001))
    assert (np.diff(read) <= 1e-12).all()


def test_recordings_of_one_speed_give_what_remains():
    """The progress of a clock, of recordings of 101 frames: 100 - t frames remain."""
    fitted = fit_remaining([GRID, GRID])
    np.testing.assert_allclose(fitted.frames, 100 - np.arange(101))
    assert fitted.read(np.array([0.255, 1.0, 0.0])) == pytest.approx([74.5, 0, 100])


def test_every_recording_counts_the_same():
    """Per frame at the same progress: a recording of 1000 frames and one of 10, both at .5 all the time."""
    fitted = fit_remaining([np.full(1000, 0.5), np.full(10, 0.5)])
    np.testing.assert_allclose(fitted.frames, (499.5 + 4.5) / 2)


@pytest.mark.parametrize("curve", [[0.3], [1.0], [0.0, 0.0], [1.0, 0.0], [-1e-12, 1 + 1e-12]])
def test_few_frames(curve):
    fitted = fit_remaining([np.array(curve)])
    assert np.isfinite(fitted.frames).all()
    assert (np.diff(fitted.frames) <= 0).all()
