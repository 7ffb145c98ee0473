"""Distributions of progress over the grid."""

import numpy as np
import pytest

from utils.prediction.readouts.distribution import GRID, PointMasses, on_grid, quantiles


def test_a_point_mass_keeps_its_sum_and_its_mean():
    progress = np.concatenate([[0.0, 1.0, 0.005, 0.995, 0.5], np.random.default_rng(0).random(200)])
    mass = on_grid(progress)
    assert mass.shape == (205, 101)
    assert (mass >= 0).all()
    np.testing.assert_allclose(mass.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(mass @ GRID, progress, atol=1e-12)
    assert ((mass > 0).sum(axis=1) <= 2).all()


def test_progress_out_of_range_lies_at_an_end():
    assert on_grid(np.array([-0.1, 1.2])) @ GRID == pytest.approx([0, 1])


def test_sums_by_a_loop():
    rng = np.random.default_rng(0)
    progress, rows = rng.random(40), rng.integers(6, size=40)
    rows[rows == 2] = 3  # a row without any
    found = PointMasses(progress).sums(rows, 6)
    expected = np.zeros((6, 101))
    for row, mass in zip(rows, on_grid(progress), strict=True):
        expected[row] += mass
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("draw", [
    lambda rng: rng.random(4000), lambda rng: rng.beta(2, 5, 4000), lambda rng: 0.5 + 0.1 * rng.random(4000) ** 2,
])  # fmt: skip
def test_quantiles_are_those_of_the_samples(draw):
    samples, shares = draw(np.random.default_rng(0)), (0.02, 0.1, 0.5, 0.9, 0.98)
    found = quantiles(on_grid(samples).sum(axis=0, keepdims=True), shares)[0]
    np.testing.assert_allclose(found, np.quantile(samples, shares), atol=0.01)


def test_quantiles_by_a_loop():
    """The share of the mass below x, where the mass of a point lies evenly over half a step on both sides."""
    mass = np.random.default_rng(0).random((20, 101)) ** 4
    edges = np.concatenate([[-0.005], GRID + 0.005])
    for row, found in zip(mass, quantiles(mass, (0.1, 0.5, 0.9)), strict=True):
        below = np.concatenate([[0], np.cumsum(row)]) / row.sum()
        np.testing.assert_allclose(found, np.clip(np.interp((0.1, 0.5, 0.9), below, edges), 0, 1), atol=1e-9)


def test_quantiles_rise_with_their_share_and_stay_in_the_unit_interval():
    rng = np.random.default_rng(1)
    mass = np.concatenate([np.eye(101), rng.random((50, 101)) * (rng.random((50, 101)) < 0.05) + 1e-12])
    found = quantiles(mass, (0.0, 0.1, 0.5, 0.9, 1.0))
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_allclose(found[:101, 2], GRID, atol=1e-9)


def test_quantiles_do_not_depend_on_the_sum_nor_on_other_rows():
    mass = np.random.default_rng(0).random((5, 101)).astype(np.float32)
    together = quantiles(mass, (0.1, 0.5))
    for row, found in zip(mass, together, strict=True):
        assert (quantiles(row[None], (0.1, 0.5))[0] == found).all()
        np.testing.assert_allclose(quantiles(1000 * row[None], (0.1, 0.5))[0], found, atol=1e-6)
    assert quantiles(mass[:0], (0.1, 0.5)).shape == (0, 2)
