"""Confidence intervals of a mean over few recordings: the range of means that other test recordings could give.

All are Student's t intervals, from an estimated standard error and degrees of freedom, without random numbers.
`python -m benchmarks.interval_coverage` compares them with the methods that were not chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95
# With two recordings, the t interval extends 6.4 times their distance to both sides of the mean. That is wider than
# the range of most metrics, and two values show nothing about skewness.
FEWEST_RECORDINGS = 3


class Interval(NamedTuple):
    """A mean, its interval, and the values that are needed to combine it with others.

    Attributes:
        mean: NaN if there is no value.
        low, high: bounds; NaN if there is no interval.
        standard_error: standard error of the mean; NaN if it can't be estimated.
        degrees_of_freedom: degrees of freedom of the standard error.
        skewness: skewness of the mean as an estimator: that of the values divided by sqrt(n).
    """

    mean: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float
    skewness: float = 0.0

    @property
    def exists(self) -> bool:
        """Whether there is an interval, not only a mean."""
        return not math.isnan(self.low)

    def clipped(self, lowest: float = -math.inf, highest: float = math.inf) -> Interval:
        """The interval, limited to the range of its metric, such as [0, 1]; its coverage stays the same."""
        if not self.exists:
            return self
        return self._replace(low=max(self.low, lowest), high=min(self.high, highest))


def mean_interval(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Mean over recordings, with Student's t interval extended on the side of the long tail.

        mean -+ t s / sqrt(n),  and on the side of the skewness g:  + |g| (1 + 2 t^2) / (6 sqrt(n)) * s / sqrt(n)

    with t the quantile of n - 1 degrees of freedom. The second term is the first-order correction of the
    t statistic's quantile for skewness (Johnson, "Modified t tests and confidence intervals for asymmetrical
    populations", JASA 1978; Hall, "On the removal of skewness by transformation", 1992), with the quantile of t in
    place of the normal one. It is only used to extend the interval: shortening the other side would reduce coverage
    for few recordings. For values that are symmetric about their mean, the interval is that of
    `scipy.stats.ttest_1samp`.

    Coverage (share of intervals that contain the true mean) at n = 3, 5, 7, 10, 20 (40,000 draws each; plain t, then
    this interval):

        normal                              .952 .952 .950 .951 .949    .967 .963 .961 .959 .956
        |normal|, skewness 1.0              .920 .920 .928 .933 .940    .947 .945 .950 .954 .958
        beta(2, 18), skewness 1.2           .924 .925 .928 .931 .939    .949 .944 .948 .949 .956
        beta(1, 9), skewness 1.5            .895 .902 .906 .915 .930    .931 .927 .934 .941 .952
        lognormal, sigma .5, skewness 1.8   .923 .914 .917 .921 .930    .947 .940 .935 .943 .948
        lognormal, sigma .75, skewness 3.3  .887 .875 .878 .888 .906    .923 .909 .910 .918 .933
        lognormal, sigma 1, skewness 6.2    .836 .820 .828 .843 .867    .890 .866 .875 .887 .910

    Progress errors of naive estimators have a skewness of .5 to 1.5 over the 50 recordings of 50 Salads and the 20
    of OpenPack, differences of two of them -.3 to .4. Beyond a skewness of about 2 the interval is too short.

    Args:
        values: (n,) a value for each recording, or the difference of two runs on it; NaN if there is none.
        level: share of intervals that shall hold the true mean.

    Returns:
        The interval; there is none for fewer than FEWEST_RECORDINGS values.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    count = len(values)
    if count < 2:
        return _without_error(float(values[0]) if count else math.nan)
    mean = float(values.mean())
    deviations = values - mean
    variance = float(deviations @ deviations) / (count - 1)
    skewness = 0.0
    # The variance of equal values is only rounding error, and its skewness has no meaning.
    if count >= 3 and variance > (np.finfo(np.float64).eps * abs(mean)) ** 2 * count:
        third_moment = float((deviations * deviations * deviations).sum()) * count / ((count - 1) * (count - 2))
        skewness = third_moment / variance**1.5
    return _interval(
        mean,
        math.sqrt(variance / count),
        count - 1,
        skewness / math.sqrt(count),
        level if count >= FEWEST_RECORDINGS else None,
    )


def pair_mean_interval(matrix: np.ndarray, level: float = LEVEL) -> Interval:
    """Mean over ordered pairs of different recordings, with a t interval of the jackknife over recordings.

        mean -+ t sqrt((n - 1) / n sum_k (mean without recording k - mean of those)^2),  n - 1 degrees of freedom

    A recording is in 2 (n - 1) pairs, in half of them first and in the other half second. So the pairs are not
    independent, and leaving out a recording means leaving out all its pairs. On average, the jackknife's variance of
    such a mean is too large, never too small (Efron and Stein, "The jackknife estimate of variance", Annals of
    Statistics 1981): without missing pairs, the variance of the noise of single pairs counts 2 (n - 1) / (n - 2)
    times, that of the effects of recordings once. There is no correction for skewness: sums over two recordings and
    over pairs have little skewness, and the surplus of the jackknife compensates for it.

    Coverage at n = 3, 5, 7, 10, 20, for values that are the sum of an effect of each recording and the noise of each
    ordered pair, all with the same variance (8,000 draws each; then with .9 of the variance in the noise):

        normal                              .968 .959 .955 .957 .954    .985 .987 .985 .981 .975
        |normal|, skewness 1.0              .966 .955 .951 .948 .948    .979 .986 .982 .982 .974
        lognormal, sigma .5, skewness 1.8   .962 .948 .948 .945 .946    .982 .978 .981 .980 .974
        lognormal, sigma .75, skewness 3.3  .951 .940 .938 .935 .930    .972 .973 .974 .976 .968

    For raw features, EAE and KTW on the 50 recordings of 50 Salads' accelerometers are between these two cases; KT
    there, and all three metrics on OpenPack, are near the second. Subtracting the surplus makes the intervals a tenth
    shorter, but their coverage in the first case is only .92 to .95.

    Args:
        matrix: (n, n), row = first recording, column = second; for two runs the difference of their matrices.
            The diagonal is ignored; NaN if a pair has no value.
        level: share of intervals that shall hold the true mean.

    Returns:
        The interval; there is none for fewer than FEWEST_RECORDINGS recordings with values, or if all values belong
        to pairs with the same recording.

    Raises:
        ValueError: the matrix isn't square.
    """
    matrix = np.array(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a figure for each ordered pair needs a square matrix, got {matrix.shape}")
    np.fill_diagonal(matrix, np.nan)
    exists = ~np.isnan(matrix)
    numbers = exists.sum(axis=0) + exists.sum(axis=1)
    taking_part = numbers > 0
    count, number = int(taking_part.sum()), int(exists.sum())
    if not number:
        return _without_error(math.nan)
    mean = float(matrix[exists].mean())
    # Relative to the mean, so that large values lose no digits.
    deviations = np.where(exists, matrix - mean, 0.0)
    left = number - numbers[taking_part]
    if count < FEWEST_RECORDINGS or not left.all():
        return _without_error(mean)
    without_one = -(deviations.sum(axis=0) + deviations.sum(axis=1))[taking_part] / left
    without_one -= without_one.mean()
    variance = (count - 1) / count * float(without_one @ without_one)
    return _interval(mean, math.sqrt(variance), count - 1, 0.0, level)


def interval_over_tasks(intervals: Sequence[Interval], level: float = LEVEL) -> Interval:
    """Mean of the tasks' means, for other recordings of the same tasks.

        standard error^2 = sum_k error_k^2 / K^2,   degrees of freedom = (sum error_k^2)^2 / sum (error_k^4 / df_k)

    (Welch, "The generalization of Student's problem when several different population variances are involved",
    Biometrika 1947; Satterthwaite, 1946). The third cumulants of the means are added in the same way, and the interval
    is extended as in `mean_interval`. Two recordings per task are enough. For a task with one recording the standard
    error is unknown; then there is no interval over recordings. `mean_interval` of the tasks' means answers another
    question: the range of means that other tasks could give.

    Coverage (20,000 draws; K tasks, recordings and standard deviation of each):

                                            normal  |normal|  lognormal .5  lognormal .75
        K = 2, n = 2, 2                      .977     .967        .962          .949
        K = 2, n = 3, 3                      .976     .966        .955          .936
        K = 2, n = 3, 10                     .947     .931        .928          .917
        K = 3, n = 3, 5, 10, sd 3, 2, 1      .952     .939        .935          .914
        K = 5, n = 5 each, sd 1, 1, 2, 2, 4  .958     .957        .949          .935
        K = 7, n = 4 each                    .962     .967        .956          .951
        K = 16, n = 3 each                   .960     .966        .963          .958
        K = 3, n = 20 each                   .953     .957        .956          .949

    Args:
        intervals: one per task, from `mean_interval` or `pair_mean_interval`; the caller must leave out tasks without
            a mean.
        level: share of intervals that shall hold the true mean.

    Raises:
        ValueError: there is no task.
    """
    if not intervals:
        raise ValueError("a mean over tasks needs at least one task")
    if len(intervals) == 1 and not intervals[0].exists:
        return intervals[0]
    mean = sum(interval.mean for interval in intervals) / len(intervals)
    return _combined(mean, intervals, 1 / len(intervals), level)


def mean_interval_of_runs(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Mean over runs (seeds) and over recordings, for other runs and other recordings at once.

        standard error^2 = error^2 of the mean over recordings, each recording averaged over runs
                         + error^2 of the mean over runs, each run averaged over recordings

    with Satterthwaite's degrees of freedom. The noise of one run on one recording is in both terms, so the interval
    is rather too long than too short. `mean_interval(values.mean(axis=0))` treats the runs as fixed and says nothing
    about other runs.

    Coverage of the mean of all runs, at (runs, recordings) = (3, 5), (3, 10), (5, 10). The variance between runs is .3
    of that between recordings, and so is the variance of the noise of each run on each recording (4,000 draws; the
    interval over recordings alone, then this interval):

        normal                              .934 .879 .911    .974 .963 .964
        |normal|, skewness 1.0              .924 .886 .919    .965 .960 .968
        lognormal, sigma .5, skewness 1.8   .922 .858 .892    .968 .962 .961

    Args:
        values: (k, n) a value for each run and recording, or (k, n, n) for each run and ordered pair; or differences
            of two sets of runs, paired by recording. NaN if there is no value: a recording or pair must have a value
            in all runs or in none.
        level: share of intervals that shall hold the true mean.

    Returns:
        The interval. For a single run it is the interval over recordings, and says nothing about other runs.

    Raises:
        ValueError: another shape, or a value that is missing in some of the runs only.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim not in (2, 3) or not len(values):
        raise ValueError(f"expected figures (runs, recordings) or (runs, recordings, recordings), got {values.shape}")
    missing = np.isnan(values)
    if values.ndim == 3:
        missing = missing | np.eye(values.shape[1], dtype=bool)
    if (missing != missing[0]).any():
        raise ValueError("a recording or pair has a figure in some of the runs alone, so that their means differ in it")
    of_recordings = (mean_interval if values.ndim == 2 else pair_mean_interval)(values.mean(axis=0), level)
    if len(values) == 1 or not of_recordings.exists:
        return of_recordings
    of_runs = mean_interval(np.array([run[~missing[0]].mean() for run in values]), level)
    return _combined(of_recordings.mean, (of_recordings, of_runs), 1.0, level)


def difference_of_runs(first: Sequence[np.ndarray], second: Sequence[np.ndarray], level: float = LEVEL) -> Interval:
    """Second minus first, means over tasks, runs and recordings, for other runs and other recordings at once.

        standard error^2 = error^2 of the mean over tasks and recordings of the difference that each has on average
                         + error^2 of the mean over runs of the difference of their means

    Recordings are paired. Runs are, the first with the first and so on, if both sets have the same number of them: of
    one task it is then `mean_interval_of_runs(second - first)`. Otherwise the errors of the two sets add up (Welch).
    A run takes part in all tasks, so that its error doesn't become smaller by their number.

    Args:
        first, second: of each task, in the same order, (k, n) a figure for each run and recording, or (k, n, n) for
            each run and ordered pair; the same recordings in both. NaN as in `mean_interval_of_runs`.
        level: share of intervals that shall hold the true difference.

    Returns:
        The interval. Of one run beside one it says nothing of other runs; of one beside several there is none.

    Raises:
        ValueError: there is no task, or a figure is missing in some of the runs alone.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"expected figures of the same tasks, at least one; got {len(first)} and {len(second)}")
    of_tasks, means = [], []
    for one, other in zip(first, second, strict=True):
        missing = np.isnan(one[0]) | (np.eye(one.shape[1], dtype=bool) if one.ndim == 3 else False)
        together = np.concatenate([one, other])
        if (np.isnan(together) & ~missing).any():
            raise ValueError("a recording or pair has a figure in some of the runs alone, so that their means differ")
        difference = other.mean(axis=0) - one.mean(axis=0)
        of_tasks.append((mean_interval if one.ndim == 2 else pair_mean_interval)(difference, level))
        means.append([np.array([run[~missing].mean() for run in runs]) for runs in (one, other)])
    of_recordings = interval_over_tasks(of_tasks, level)
    by_run, other_by_run = (np.mean([task[side] for task in means], axis=0) for side in (0, 1))
    if len(by_run) == len(other_by_run) == 1 or not of_recordings.exists:
        return of_recordings
    if len(by_run) == len(other_by_run):
        of_runs = [mean_interval(other_by_run - by_run, level)]
    else:
        of_runs = [mean_interval(-by_run, level), mean_interval(other_by_run, level)]
    return _combined(of_recordings.mean, (of_recordings, *of_runs), 1.0, level)


def _combined(mean: float, parts: Sequence[Interval], weight: float, level: float) -> Interval:
    """Interval of a mean with an error that is `weight` times the sum of the parts' independent errors."""
    variances = [part.standard_error**2 for part in parts]
    variance = sum(variances)
    if math.isnan(variance):
        return _without_error(mean)
    spread = sum(v**2 / part.degrees_of_freedom for v, part in zip(variances, parts, strict=True))
    # Without any spread the interval has length zero, and the degrees of freedom don't matter.
    freedom = variance**2 / spread if spread > 0 else sum(part.degrees_of_freedom for part in parts)
    third_cumulant = sum(part.skewness * part.standard_error**3 for part in parts)
    skewness = third_cumulant / variance**1.5 if variance > 0 else 0.0
    return _interval(mean, weight * math.sqrt(variance), freedom, skewness, level)


def _interval(mean: float, error: float, freedom: float, skewness: float, level: float | None) -> Interval:
    if level is None:
        return Interval(mean, math.nan, math.nan, error, freedom, skewness)
    quantile = float(stdtrit(freedom, (1 + level) / 2))
    longer = skewness * (1 + 2 * quantile**2) / 6
    low = mean - error * (quantile + max(0.0, -longer))
    high = mean + error * (quantile + max(0.0, longer))
    return Interval(mean, low, high, error, freedom, skewness)


def _without_error(mean: float) -> Interval:
    return Interval(mean, math.nan, math.nan, math.nan, math.nan)
