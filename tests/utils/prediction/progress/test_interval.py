"""Intervals with a stated coverage."""

import itertools

import numpy as np
import pytest

from utils.prediction.progress.interval import BOUNDS, COVERAGE, KNOTS, NEAR, Interval, fit_interval


def predictions(number, seed, own_bounds=0.0, scale=0.08):
    """Predictions with errors that one recording shares, larger in the middle; exchangeable between recordings."""
    rng = np.random.default_rng(seed)
    progress, truth = [], []
    for _ in range(number):
        true = np.linspace(0, 1, rng.integers(60, 150))
        error = scale * np.sin(np.pi * true) * (rng.normal() + 0.5 * rng.normal(size=len(true)))
        progress.append(np.clip(true + error, 0, 1))
        truth.append(true)
    lower = [np.clip(p - own_bounds, 0, 1) for p in progress]
    upper = [np.clip(p + own_bounds, 0, 1) for p in progress]
    return progress, lower, upper, truth


def coverage_and_width(interval, progress, lower, upper, truth):
    covered, widths = [], []
    for p, low, high, true in zip(progress, lower, upper, truth, strict=True):
        low, high = interval.bounds(p, low, high)
        covered.append(((true >= low - 1e-9) & (true <= high + 1e-9)).mean())
        widths.append((high - low).mean())
    return np.mean(covered), np.mean(widths)


@pytest.mark.parametrize(("own_bounds", "most"), [(0.0, 0.85), (0.02, 0.85), (0.15, 0.9)])
def test_it_covers_as_much_of_new_recordings_as_it_says(own_bounds, most):
    """Also where the read-out's own bounds are far too narrow. Where they are too wide they are cut off at 0 and 1,
    which no addition makes good: there it covers more."""
    coverages, widths = zip(
        *(
            coverage_and_width(
                fit_interval(*predictions(60, seed, own_bounds)), *predictions(60, 1000 + seed, own_bounds)
            )
            for seed in range(6)
        ),
        strict=True,
    )
    assert 0.75 < np.mean(coverages) < most
    assert np.mean(widths) < 0.25


def test_it_is_as_wide_as_the_errors_are():
    widths = [
        coverage_and_width(fit_interval(*predictions(40, 1, scale=scale)), *predictions(40, 2, scale=scale))[1]
        for scale in (0.0, 0.02, 0.08)
    ]
    assert widths[0] < 1e-9
    assert widths[1] < 0.5 * widths[2]


def test_it_is_wider_where_the_errors_are_larger():
    interval = fit_interval(*predictions(60, 1))
    low, high = interval.bounds(KNOTS, KNOTS, KNOTS)
    assert (high - low)[5] > 2 * (high - low)[[0, 10]].max()


def test_bounds_by_a_loop_over_weighted_frames():
    progress, lower, upper, truth = predictions(5, 3, 0.02)
    interval = fit_interval(progress, lower, upper, truth)
    total = len(truth)
    for number, knot in enumerate(KNOTS):
        rows = [
            (t - low, t - high, np.exp(-0.5 * ((p - knot) / NEAR) ** 2) / len(own[0]), 1 / len(own[0]))
            for own in zip(progress, lower, upper, truth, strict=True)
            for p, low, high, t in zip(*own, strict=True)
        ]
        near = sum(row[2] for row in rows)
        for column, share, found in ((0, BOUNDS[0], interval.lower), (1, BOUNDS[1], interval.upper)):
            weighted = sorted((row[column], row[2] + 0.02 * row[3] * near / total) for row in rows)
            goal = share * sum(weight for _, weight in weighted)
            reached = itertools.accumulate(weight for _, weight in weighted)
            value = next(value for (value, _), sum_ in zip(weighted, reached, strict=True) if sum_ >= goal)
            assert found[number] == pytest.approx(value, abs=1e-6)


def test_every_recording_counts_the_same():
    """A recording of a thousand frames with large errors does not decide for ten short ones."""
    short = [np.linspace(0, 1, 50) for _ in range(20)]
    long = np.linspace(0, 1, 5000)
    wrong = np.clip(long + 0.5, 0, 1)
    curves, truth = [*short, wrong], [*short, long]
    low, high = fit_interval(curves, curves, curves, truth).bounds(*(np.array([0.5]),) * 3)
    assert (high - low)[0] < 0.05


@pytest.mark.parametrize("own_bounds", [0.0, 0.3])
def test_the_interval_holds_the_prediction_and_lies_from_0_to_1(own_bounds):
    for interval in (fit_interval(*predictions(5, 0, own_bounds)), Interval(np.full(11, 0.9), np.full(11, -0.9))):
        progress = np.linspace(0, 1, 101)
        low, high = interval.bounds(progress, np.maximum(progress - own_bounds, 0), progress)
        assert ((low >= 0) & (low <= progress) & (progress <= high) & (high <= 1)).all()


def test_a_single_frame_is_enough_to_fit():
    one = [np.array([0.4])]
    interval = fit_interval(one, one, one, [np.array([0.6])])
    assert np.isfinite([interval.lower, interval.upper]).all()
    assert interval.coverage == COVERAGE == pytest.approx(BOUNDS[1] - BOUNDS[0])


def test_predictions_far_from_a_knot_do_not_make_it_nan():
    ones = [np.full(50, 1.0)] * 3
    interval = fit_interval(ones, ones, ones, [np.linspace(0, 1, 50)] * 3)
    assert np.isfinite([interval.lower, interval.upper]).all()
