"""Coverage and length of confidence intervals of several methods, for few recordings.

    python -m benchmarks.interval_coverage [--draws 2000] [--seed 0]

For a mean over recordings, over ordered pairs of recordings, over tasks, and over runs: the methods of
`utils.metrics.intervals`, last in each table, and those that were tried and not chosen. Each cell is the share of
95 % intervals that contain the true mean, and their mean length in standard deviations of a value.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.metrics.intervals import (
    Interval,
    interval_over_tasks,
    mean_interval,
    mean_interval_of_runs,
    pair_mean_interval,
)

NUMBERS = (3, 5, 7, 10, 20)
RESAMPLES = 999
Bounds = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def lognormal(sigma: float) -> Draw:
    """Lognormal values, shifted and scaled to mean 0 and standard deviation 1."""
    mean, variance = math.exp(sigma**2 / 2), math.expm1(sigma**2) * math.exp(sigma**2)
    return lambda rng, shape: (rng.lognormal(0, sigma, shape) - mean) / math.sqrt(variance)


def beta(a: float, b: float) -> Draw:
    """Errors in [0, 1], shifted and scaled likewise."""
    mean, variance = a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))
    return lambda rng, shape: (rng.beta(a, b, shape) - mean) / math.sqrt(variance)


def absolute_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Absolute values of normal values, shifted and scaled likewise."""
    return (np.abs(rng.normal(size=shape)) - math.sqrt(2 / math.pi)) / math.sqrt(1 - 2 / math.pi)


DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "|normal|": absolute_normal,
    "beta(2, 18)": beta(2, 18),
    "beta(1, 9)": beta(1, 9),
    "lognormal .5": lognormal(0.5),
    "lognormal .75": lognormal(0.75),
    "lognormal 1": lognormal(1.0),
}


def student(values: np.ndarray) -> Bounds:
    """Student's t, for samples (draws, n)."""
    count = values.shape[1]
    half = stdtrit(count - 1, 0.975) * values.std(axis=1, ddof=1) / math.sqrt(count)
    return values.mean(axis=1) - half, values.mean(axis=1) + half


def skewness(values: np.ndarray) -> np.ndarray:
    """Third moment over that of the standard deviation, (draws,)."""
    count = values.shape[1]
    third = ((values - values.mean(axis=1, keepdims=True)) ** 3).sum(axis=1) * count / ((count - 1) * (count - 2))
    return third / values.std(axis=1, ddof=1) ** 3


def johnson(values: np.ndarray) -> Bounds:
    """Johnson's modified t: the t interval, its centre moved by the skewness (JASA 1978)."""
    shift = skewness(values) * values.std(axis=1, ddof=1) / (6 * values.shape[1])
    low, high = student(values)
    return low + shift, high + shift


def hall(values: np.ndarray) -> Bounds:
    """Hall's monotone transformation of the t statistic (JRSS B 1992), with the quantiles of t."""
    count, g = values.shape[1], skewness(values)
    mean, spread = values.mean(axis=1), values.std(axis=1, ddof=1)
    g = np.where(np.abs(g) < 1e-6, 1e-6, g)

    def inverse(quantile: float) -> np.ndarray:
        return 3 / g * (np.cbrt(1 + g * (quantile / math.sqrt(count) - g / (6 * count))) - 1)

    quantile = float(stdtrit(count - 1, 0.975))
    return mean - spread * inverse(quantile), mean - spread * inverse(-quantile)


def resampled(values: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of bootstrap resamples, (draws, RESAMPLES) each."""
    count = values.shape[1]
    draws = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    shares = np.stack([np.bincount(draw, minlength=count) for draw in draws]) / count
    means = values @ shares.T
    return means, np.sqrt(np.maximum(values**2 @ shares.T - means**2, 0) * count / (count - 1))


def percentile(values: np.ndarray) -> Bounds:
    """The percentile bootstrap."""
    low, high = np.quantile(resampled(values)[0], [0.025, 0.975], axis=1)
    return low, high


def bca(values: np.ndarray) -> Bounds:
    """Efron's bias-corrected and accelerated bootstrap (JASA 1987)."""
    means = np.sort(resampled(values)[0], axis=1)
    mean = values.mean(axis=1, keepdims=True)
    below = ((means < mean).sum(axis=1) + (means == mean).sum(axis=1) / 2) / RESAMPLES
    bias = ndtri(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    deviations = values - mean
    acceleration = (deviations**3).sum(axis=1) / (6 * (deviations**2).sum(axis=1) ** 1.5)
    bounds = []
    for z in (ndtri(0.025), ndtri(0.975)):
        share = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
        place = np.clip((share * RESAMPLES).astype(int), 0, RESAMPLES - 1)
        bounds.append(means[np.arange(len(means)), place])
    return bounds[0], bounds[1]


def bootstrap_t(values: np.ndarray) -> Bounds:
    """The studentised bootstrap; resamples of one and the same recording have no t and are left out."""
    means, spreads = resampled(values)
    mean, spread = values.mean(axis=1, keepdims=True), values.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(spreads > 1e-9, (means - mean) / spreads, np.nan)
    low, high = np.nanquantile(statistic, [0.025, 0.975], axis=1)
    return mean[:, 0] - high * spread, mean[:, 0] - low * spread


def one_by_one(method: Callable[[np.ndarray], Interval]) -> Callable[[np.ndarray], Bounds]:
    """Applies a method for one sample to many samples."""

    def bounds(samples: np.ndarray) -> Bounds:
        intervals = [method(sample) for sample in samples]
        return np.array([i.low for i in intervals]), np.array([i.high for i in intervals])

    return bounds


def row_means(matrices: np.ndarray) -> np.ndarray:
    """The mean of each recording over the pairs in which it is first, (draws, n)."""
    count = matrices.shape[1]
    return np.where(np.eye(count, dtype=bool), 0.0, matrices).sum(axis=2) / (count - 1)


def percentile_of_pairs(matrices: np.ndarray) -> Bounds:
    """The percentile bootstrap over recordings; a pair counts as often as its first times its second is drawn."""
    count = matrices.shape[1]
    matrices = np.where(np.eye(count, dtype=bool), 0.0, matrices)
    draws = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    numbers = np.stack([np.bincount(draw, minlength=count) for draw in draws]).astype(float)
    pairs = (numbers[:, :, None] * numbers[:, None] * (1 - np.eye(count))).reshape(RESAMPLES, -1)
    pairs = pairs[pairs.sum(axis=1) > 0]
    means = matrices.reshape(len(matrices), -1) @ (pairs / pairs.sum(axis=1, keepdims=True)).T
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    return low, high


def moments_of_pairs(matrices: np.ndarray) -> Bounds:
    """t interval from the variances of a two-way analysis: of recordings, and of the noise of single pairs."""
    count = matrices.shape[1]
    apart = ~np.eye(count, dtype=bool)
    both = (matrices + matrices.transpose(0, 2, 1)) / 2 * apart
    mean = both.sum(axis=(1, 2)) / (count * (count - 1))
    effects = (both.sum(axis=2) / (count - 1) - mean[:, None]) * (count - 1) / (count - 2)
    of_recordings = (count - 2) / (count - 1) * np.square(effects).sum(axis=1)
    variance = 4 * of_recordings / (count * (count - 2))  # the jackknife's
    if count > 3:
        rest = (both - mean[:, None, None] - effects[:, :, None] - effects[:, None]) * apart
        of_pairs = np.square(rest).sum(axis=(1, 2)) / (count * (count - 3))
        surplus = 4 / (count * (count - 2)) - 2 / (count * (count - 1))
        variance = np.maximum(variance - surplus * of_pairs, 2 * of_pairs / (count * (count - 1)))
    half = stdtrit(count - 1, 0.975) * np.sqrt(variance)
    return mean - half, mean + half


def draw_pairs(draw: Draw, rng: np.random.Generator, draws: int, count: int, noise: float) -> np.ndarray:
    """Figures of ordered pairs: effects of the first and of the second recording, and noise with its share."""
    first, second = draw(rng, (draws, count, 1)), draw(rng, (draws, 1, count))
    return math.sqrt((1 - noise) / 2) * (first + second) + math.sqrt(noise) * draw(rng, (draws, count, count))


def over_tasks(samples: list[np.ndarray], longer: bool = True) -> Interval:
    """The interval over tasks with one value per recording, with or without the correction for skewness."""
    of_tasks = [mean_interval(values) for values in samples]
    return interval_over_tasks(of_tasks if longer else [i._replace(skewness=0.0) for i in of_tasks])


def cell(bounds: Bounds) -> str:
    """Coverage of 0 and mean length."""
    low, high = bounds
    return f"{((low <= 0) & (high >= 0)).mean():.3f} {(high - low).mean():6.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000, help="samples a cell")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draws, rng = options.draws, np.random.default_rng(options.seed)
    progress = tqdm(total=len(DISTRIBUTIONS) * 4, delay=3, leave=False)
    lines: list[str] = []

    def table(title: str, columns: list[str], rows: Callable[[Draw], dict[str, list[str]]]) -> None:
        lines.extend(["", title, " " * 42 + "".join(f"{column:>16}" for column in columns)])
        for name, draw in DISTRIBUTIONS.items():
            for method, cells in rows(draw).items():
                lines.append(f"{name:14}{method:28}" + "".join(f"{c:>16}" for c in cells))
            progress.update()

    numbers = [f"n = {count}" for count in NUMBERS]
    methods = {
        "percentile bootstrap": percentile,
        "BCa": bca,
        "bootstrap-t": bootstrap_t,
        "Hall": hall,
        "Johnson": johnson,
        "t": student,
        "mean_interval": one_by_one(mean_interval),
    }

    def recordings(draw: Draw) -> dict[str, list[str]]:
        samples = [draw(rng, (draws, count)) for count in NUMBERS]
        return {name: [cell(method(x)) for x in samples] for name, method in methods.items()}

    of_pairs = {
        "percentile bootstrap": percentile_of_pairs,
        "percentile of row means": lambda x: percentile(row_means(x)),
        "t of row means": lambda x: student(row_means(x)),
        "two-way moments": moments_of_pairs,
        "pair_mean_interval": one_by_one(pair_mean_interval),
    }

    def pairs(draw: Draw) -> dict[str, list[str]]:
        rows: dict[str, list[str]] = {}
        for noise in (1 / 3, 0.9):
            samples = [draw_pairs(draw, rng, draws, count, noise) for count in NUMBERS]
            for name, method in of_pairs.items():
                rows[f"{name}, {noise:.1f}"] = [cell(method(x)) for x in samples]
        return rows

    tasks = {
        "2, 2": ((2, 1.0),) * 2,
        "3, 3": ((3, 1.0),) * 2,
        "3, 10": ((3, 1.0), (10, 1.0)),
        "3, 5, 10; 3 2 1": ((3, 3.0), (5, 2.0), (10, 1.0)),
        "7 x 4": ((4, 1.0),) * 7,
        "3 x 20": ((20, 1.0),) * 3,
    }

    def over(draw: Draw) -> dict[str, list[str]]:
        rows: dict[str, list[str]] = {"Welch's t": [], "interval_over_tasks": []}
        for design in tasks.values():
            samples = [spread * draw(rng, (draws, count)) for count, spread in design]
            for name, longer in (("Welch's t", False), ("interval_over_tasks", True)):
                intervals = [over_tasks([x[i] for x in samples], longer) for i in range(draws)]
                rows[name].append(cell((np.array([i.low for i in intervals]), np.array([i.high for i in intervals]))))
        return rows

    runs = [(k, count, share) for share in (0.05, 0.3) for k, count in ((3, 5), (3, 10), (5, 10))]

    def of_runs(draw: Draw) -> dict[str, list[str]]:
        rows: dict[str, list[str]] = {"over recordings alone": [], "mean_interval_of_runs": []}
        for k, count, share in runs:
            samples = math.sqrt(share) * rng.normal(size=(draws, k, 1)) + draw(rng, (draws, 1, count))
            samples = samples + math.sqrt(0.3) * draw(rng, (draws, k, count))
            rows["over recordings alone"].append(cell(one_by_one(mean_interval)(samples.mean(axis=1))))
            rows["mean_interval_of_runs"].append(cell(one_by_one(mean_interval_of_runs)(samples)))
        return rows

    table("Mean over recordings: coverage, mean length", numbers, recordings)
    table("Mean over ordered pairs; the share of noise behind the method", numbers, pairs)
    table("Mean over tasks: recordings of each, and standard deviations", list(tasks), over)
    title = "Mean over runs and recordings: how many of each, and the variance of runs; of recordings 1, of noise .3"
    table(title, [f"{k}, {count}, {share}" for k, count, share in runs], of_runs)
    progress.close()
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
