import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from utils.metrics.intervals import (
    FEWEST_RECORDINGS,
    difference_of_runs,
    interval_over_tasks,
    mean_interval,
    mean_interval_of_runs,
    pair_mean_interval,
)

NUMBERS = (3, 5, 7, 10, 20)
DRAWS = 3000
# Figures with mean 0: skewness 0, 1.0 and 1.8.
DISTRIBUTIONS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "absolute normal": lambda rng, shape: np.abs(rng.normal(size=shape)) - math.sqrt(2 / math.pi),
    "lognormal": lambda rng, shape: rng.lognormal(0, 0.5, shape) - math.exp(0.125),
}


def coverage(intervals) -> float:
    """Share of the intervals that hold the true mean, 0."""
    return float(np.mean([interval.low <= 0 <= interval.high for interval in intervals]))


def assert_covers(intervals, least: float = 0.93, most: float = 0.97) -> None:
    """Whether the coverage lies between two bounds, up to two standard errors of what so many draws can tell."""
    intervals = list(intervals)
    error = 2 * math.sqrt(0.95 * 0.05 / len(intervals))
    assert least - error <= coverage(intervals) <= most + error


def off_diagonal_mean(matrix):
    pairs = [matrix[i, j] for i in range(len(matrix)) for j in range(len(matrix)) if i != j]
    return np.nanmean(pairs)


def random_pairs(draw, rng, draws, count):
    """Figures of ordered pairs: effects of the first and of the second recording, and noise, of equal variance."""
    return draw(rng, (draws, count, 1)) + draw(rng, (draws, 1, count)) + draw(rng, (draws, count, count))


@pytest.mark.parametrize("count", NUMBERS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_interval_over_recordings_covers(name, count):
    rng = np.random.default_rng(1)
    assert_covers(map(mean_interval, DISTRIBUTIONS[name](rng, (DRAWS, count))))


@pytest.mark.parametrize("count", NUMBERS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_interval_over_pairs_covers(name, count):
    rng = np.random.default_rng(2)
    assert_covers(map(pair_mean_interval, random_pairs(DISTRIBUTIONS[name], rng, DRAWS, count)))


@pytest.mark.parametrize("count", NUMBERS)
def test_pairs_that_are_nearly_all_noise_are_covered_too_often_and_never_too_rarely(count):
    rng = np.random.default_rng(3)
    samples = random_pairs(DISTRIBUTIONS["normal"], rng, 1000, count) + 4 * rng.normal(size=(1000, count, count))
    assert_covers(map(pair_mean_interval, samples), most=1.0)


@pytest.mark.parametrize("count", NUMBERS)
def test_differences_of_two_runs_on_the_same_recordings_are_covered(count):
    rng = np.random.default_rng(4)
    draw = DISTRIBUTIONS["lognormal"]
    recordings = 3 * draw(rng, (DRAWS, count))  # hard ones are hard for both runs
    first, second = recordings + draw(rng, (DRAWS, count)), recordings + draw(rng, (DRAWS, count))
    assert_covers(map(mean_interval, second - first))
    pairs = 3 * random_pairs(draw, rng, DRAWS, count)
    first, second = (pairs + random_pairs(draw, rng, DRAWS, count) for _ in range(2))
    assert_covers(map(pair_mean_interval, second - first))


@pytest.mark.parametrize(
    ("counts", "spreads"),
    [
        ((3, 3), (1, 1)),
        ((3, 10), (1, 1)),
        ((3, 5, 10), (3, 2, 1)),
        ((5, 5, 5, 5, 5), (1, 1, 2, 2, 4)),
        ((20, 20, 20), (1, 1, 1)),
    ],
)
@pytest.mark.parametrize("name", ["normal", "absolute normal"])
def test_the_interval_over_tasks_covers(name, counts, spreads):
    rng = np.random.default_rng(5)
    samples = [s * DISTRIBUTIONS[name](rng, (DRAWS // 2, n)) for n, s in zip(counts, spreads, strict=True)]
    intervals = (interval_over_tasks([mean_interval(x) for x in tasks]) for tasks in zip(*samples, strict=True))
    # Welch's degrees of freedom are too few for two equal tasks of three recordings: covered .976 of the time.
    assert_covers(intervals, most=0.98 if counts == (3, 3) else 0.97)


@pytest.mark.parametrize("name", ["normal", "absolute normal"])
def test_the_interval_over_tasks_of_pairs_covers(name):
    rng = np.random.default_rng(6)
    samples = [random_pairs(DISTRIBUTIONS[name], rng, DRAWS // 2, n) for n in (5, 7, 10)]
    intervals = (interval_over_tasks([pair_mean_interval(x) for x in tasks]) for tasks in zip(*samples, strict=True))
    assert_covers(intervals)


@pytest.mark.parametrize(("runs", "count"), [(3, 5), (3, 10), (5, 10)])
def test_the_interval_over_runs_covers_where_one_over_recordings_alone_does_not(runs, count):
    rng = np.random.default_rng(7)
    draw, shape = DISTRIBUTIONS["absolute normal"], (DRAWS // 2, runs, count)
    samples = 0.5 * rng.normal(size=(*shape[:2], 1)) + draw(rng, (shape[0], 1, count)) + 0.5 * draw(rng, shape)
    assert_covers(map(mean_interval_of_runs, samples))
    assert coverage(map(mean_interval, samples.mean(axis=1))) < 0.91


def test_symmetric_figures_have_exactly_students_interval():
    rng = np.random.default_rng(8)
    for half in (1, 2, 5, 20):
        one_side = rng.random(half)
        values = np.concatenate([0.4 - one_side, [0.4], 0.4 + one_side])
        for level in (0.8, 0.95):
            expected = ttest_1samp(values, 0).confidence_interval(level)
            found = mean_interval(values, level)
            assert found.skewness == pytest.approx(0, abs=1e-12)
            assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_skewed_figures_lengthen_students_interval_by_the_formula_on_the_side_of_the_long_tail_alone():
    values = np.array([0.1, 0.2, 0.25, 0.3, 0.9])
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean_interval(values)
    assert found.low == pytest.approx(expected.low)
    mean, spread = values.mean(), values.std(ddof=1)
    quantile = (expected.high - mean) / (spread / math.sqrt(5))
    skewness = 5 / (4 * 3) * sum((values - mean) ** 3) / spread**3
    longer = skewness * (1 + 2 * quantile**2) / (6 * math.sqrt(5)) * spread / math.sqrt(5)
    assert longer > 0
    assert found.high == pytest.approx(expected.high + longer)
    mirrored = mean_interval(-values)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_pairs_by_a_naive_jackknife():
    rng = np.random.default_rng(9)
    for count in (3, 4, 8):
        matrix = rng.random((count, count))
        if count > 3:
            matrix[0, 2] = matrix[3, 1] = np.nan
        left_out = []
        for k in range(count):
            rest = [i for i in range(count) if i != k]
            left_out.append(off_diagonal_mean(matrix[np.ix_(rest, rest)]))
        error = math.sqrt((count - 1) / count * sum((x - np.mean(left_out)) ** 2 for x in left_out))
        found = pair_mean_interval(matrix)
        assert found.mean == pytest.approx(off_diagonal_mean(matrix))
        assert found.standard_error == pytest.approx(error)
        quantile = ttest_1samp([-1.0] + [0.0] * (count - 2) + [1.0], 0).confidence_interval(0.95).high
        quantile /= math.sqrt(2 / (count - 1) / count)
        assert found.high - found.mean == pytest.approx(quantile * error)
        assert found.mean - found.low == pytest.approx(quantile * error)


def test_tasks_by_welchs_formula():
    first, second = np.array([0.1, 0.3, 0.5]), np.array([0.0, 0.2, 0.4, 0.6, 0.8])  # symmetric
    errors = first.var(ddof=1) / 3, second.var(ddof=1) / 5
    found = interval_over_tasks([mean_interval(first), mean_interval(second)])
    assert found.mean == pytest.approx((first.mean() + second.mean()) / 2)
    assert found.standard_error == pytest.approx(math.sqrt(sum(errors)) / 2)
    assert found.degrees_of_freedom == pytest.approx(sum(errors) ** 2 / (errors[0] ** 2 / 2 + errors[1] ** 2 / 4))


def test_one_task_is_its_own_interval():
    for values in ([0.1, 0.4, 0.5, 0.9], [0.1, 0.4], [0.3]):
        alone = mean_interval(np.array(values))
        assert interval_over_tasks([alone]) == pytest.approx(alone, nan_ok=True)


def test_tasks_of_one_recording_leave_no_interval_and_tasks_of_two_do():
    two, one = mean_interval(np.array([0.1, 0.4])), mean_interval(np.array([0.3]))
    assert not interval_over_tasks([two, one]).exists
    assert interval_over_tasks([two, one]).mean == pytest.approx(0.275)
    assert interval_over_tasks([two, two]).exists
    with pytest.raises(ValueError, match="at least one task"):
        interval_over_tasks([])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_recordings_have_a_mean_and_no_interval(count):
    assert count < FEWEST_RECORDINGS
    values = np.arange(1.0, count + 1)
    of_values, of_pairs = mean_interval(values), pair_mean_interval(np.ones((count, count)))
    assert not of_values.exists
    assert not of_pairs.exists
    assert math.isnan(of_values.high)
    assert (math.isnan(of_values.mean) if count == 0 else of_values.mean == values.mean())
    assert (math.isnan(of_pairs.mean) if count < 2 else of_pairs.mean == 1)
    assert math.isnan(of_values.standard_error) == (count < 2)


def test_the_order_of_recordings_does_not_matter():
    rng = np.random.default_rng(10)
    values, matrix, order = rng.random(9), rng.random((9, 9)), rng.permutation(9)
    assert mean_interval(values[order]) == pytest.approx(mean_interval(values))
    assert pair_mean_interval(matrix[np.ix_(order, order)]) == pytest.approx(pair_mean_interval(matrix))
    assert pair_mean_interval(matrix.T) == pytest.approx(pair_mean_interval(matrix))
    runs = rng.random((4, 9))
    assert mean_interval_of_runs(runs[::-1, order]) == pytest.approx(mean_interval_of_runs(runs))


@pytest.mark.parametrize(
    ("interval", "shape"), [(mean_interval, (6,)), (pair_mean_interval, (6, 6)), (mean_interval_of_runs, (3, 6))]
)
def test_shifted_and_scaled_figures_have_the_shifted_and_scaled_interval(interval, shape):
    values = np.random.default_rng(11).lognormal(size=shape)
    base = interval(values)
    for scale, shift in ((3.0, 0.0), (1.0, -7.0), (1e-6, 1.0), (1e6, 1e9)):
        moved = interval(scale * values + shift)
        expected = [scale * bound + shift for bound in (base.low, base.mean, base.high)]
        # A large shift costs digits in the figures themselves.
        digits = 1e-6 * scale + 1e-13 * abs(shift)
        assert [moved.low, moved.mean, moved.high] == pytest.approx(expected, rel=1e-9, abs=digits)
    turned = interval(-values)
    assert (turned.low, turned.high) == pytest.approx((-base.high, -base.low))


def test_missing_figures_are_left_out():
    values = np.array([0.1, np.nan, 0.5, 0.2, np.nan])
    assert mean_interval(values) == mean_interval(values[[0, 2, 3]])
    rng = np.random.default_rng(12)
    matrix = rng.random((5, 5))
    matrix[4], matrix[:, 4] = np.nan, np.nan  # a recording that takes part in no pair
    assert pair_mean_interval(matrix) == pytest.approx(pair_mean_interval(matrix[:4, :4]))
    matrix[1, 2] = np.nan
    assert pair_mean_interval(matrix).mean == pytest.approx(off_diagonal_mean(matrix[:4, :4]))


def test_the_diagonal_does_not_count_and_is_not_written_to():
    matrix = np.random.default_rng(13).random((4, 4))
    with_nan = matrix.copy()
    np.fill_diagonal(with_nan, np.nan)
    assert pair_mean_interval(matrix) == pair_mean_interval(with_nan)
    assert not np.isnan(matrix).any()


def test_pairs_that_all_share_a_recording_have_no_interval():
    matrix = np.full((4, 4), np.nan)
    matrix[0] = [np.nan, 0.1, 0.2, 0.4]
    found = pair_mean_interval(matrix)
    assert found.mean == pytest.approx(0.7 / 3)
    assert not found.exists


def test_equal_figures_have_an_interval_of_no_length():
    for value in (0.1, 0.0, 1 / 3):
        for found in (mean_interval(np.full(7, value)), pair_mean_interval(np.full((7, 7), value))):
            assert (found.low, found.high) == pytest.approx((value, value), abs=1e-12)
            assert interval_over_tasks([found, found]).high == pytest.approx(value, abs=1e-12)
    assert mean_interval_of_runs(np.full((3, 7), 0.1)).high == pytest.approx(0.1)


def test_runs_add_what_differs_between_them():
    rng = np.random.default_rng(14)
    recordings = rng.random(6)
    alike = mean_interval_of_runs(np.tile(recordings, (4, 1)))
    assert alike.standard_error == pytest.approx(mean_interval(recordings).standard_error)
    runs = np.array([0.0, 0.3, 0.6])
    apart = mean_interval_of_runs(recordings + runs[:, None])
    expected = mean_interval(recordings).standard_error ** 2 + runs.var(ddof=1) / 3
    assert apart.standard_error == pytest.approx(math.sqrt(expected))
    assert mean_interval_of_runs(recordings[None]) == mean_interval(recordings)


def test_runs_of_pairs():
    rng = np.random.default_rng(15)
    matrix, runs = rng.random((5, 5)), np.array([0.0, 0.3, 0.6])
    matrix[0, 1] = np.nan
    found = mean_interval_of_runs(matrix + runs[:, None, None])
    assert found.mean == pytest.approx(off_diagonal_mean(matrix) + 0.3)
    expected = pair_mean_interval(matrix).standard_error ** 2 + runs.var(ddof=1) / 3
    assert found.standard_error == pytest.approx(math.sqrt(expected))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="square"):
        pair_mean_interval(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="some of the runs"):
        mean_interval_of_runs(np.array([[0.1, np.nan, 0.3], [0.1, 0.2, 0.3]]))
    with pytest.raises(ValueError, match="expected figures"):
        mean_interval_of_runs(np.zeros(3))


def test_clipped_to_the_range_of_the_metric():
    wide = mean_interval(np.array([0.0, 0.1, 0.9]))
    assert wide.low < 0
    assert wide.high > 1
    cut = wide.clipped(0.0, 1.0)
    assert (cut.low, cut.mean, cut.high) == (0.0, wide.mean, 1.0)
    assert math.isnan(mean_interval(np.array([0.5])).clipped(0.0, 1.0).low)


class TestDifferenceOfRuns:
    def test_one_task_and_as_many_runs_is_the_interval_of_their_differences(self):
        first, second = np.random.default_rng(0).normal(size=(2, 3, 6))
        assert difference_of_runs([first], [second]) == pytest.approx(mean_interval_of_runs(second - first))
        first, second = np.random.default_rng(0).normal(size=(2, 3, 6, 6))
        assert difference_of_runs([first], [second]) == pytest.approx(mean_interval_of_runs(second - first))

    def test_other_numbers_of_runs_add_their_errors(self):
        """Symmetric figures, so that nothing is added for skewness; by hand."""
        first = np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]])
        second = np.array([[5.0, 7.0, 9.0], [6.0, 8.0, 10.0], [7.0, 9.0, 11.0]])
        found = difference_of_runs([first], [second])
        assert found.mean == pytest.approx(6)  # 8 - 2; by recording 5, 6, 7
        errors = np.array([1 / 3, 2 / 2, 1 / 3])  # of recordings, of the two runs, of the three
        freedom = errors.sum() ** 2 / (errors**2 / [2, 1, 2]).sum()
        half = t.ppf(0.975, freedom) * math.sqrt(errors.sum())
        assert (found.low, found.high) == pytest.approx((6 - half, 6 + half))

    def test_the_error_of_a_run_is_no_smaller_for_many_tasks(self):
        """All that differs is the run: each adds the same to every recording of every task."""
        shift = np.array([-1.0, 0.0, 1.0])[:, None]
        recordings = np.zeros((3, 4))
        one = difference_of_runs([recordings], [recordings + shift])
        many = difference_of_runs([recordings] * 10, [recordings + shift] * 10)
        assert many.standard_error == pytest.approx(one.standard_error)
        assert one.standard_error == pytest.approx(1 / math.sqrt(3))

    def test_one_run_beside_several_has_no_interval(self):
        first, second = np.random.default_rng(0).normal(size=(2, 3, 6))
        assert not difference_of_runs([first[:1]], [second]).exists
        alone = difference_of_runs([first[:1]], [second[:1]])
        assert alone == pytest.approx(mean_interval((second - first)[0]))

    def test_a_figure_that_one_run_lacks(self):
        first, second = np.random.default_rng(0).normal(size=(2, 3, 6))
        second[1, 2] = np.nan
        with pytest.raises(ValueError, match="some of the runs alone"):
            difference_of_runs([first], [second])
        first[:, 2] = second[:, 2] = np.nan
        assert difference_of_runs([first], [second]).exists

    def test_no_task(self):
        with pytest.raises(ValueError, match="at least one"):
            difference_of_runs([], [])
