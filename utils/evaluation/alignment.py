"""Metrics of pairs of videos: how well nearest neighbours find the same moment in another video."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from tqdm import tqdm

from utils.evaluation.measured import Measured
from utils.evaluation.notes import Note, NoteKind
from utils.evaluation.variants import CLOCK, RANDOM_NEIGHBOURS
from utils.evaluation.worker_threads import map_in_threads
from utils.metrics import nearest_neighbours, valid_alignment
from utils.metrics.table import METRICS, Metric, Needs, metrics_that_need
from utils.prediction.embedding import EmbeddedVideo


def measure_alignment(
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    seed: int = 0,
    metrics: Mapping[str, Metric] = METRICS,
) -> list[Measured]:
    """The metrics of pairs over ordered pairs of different test videos, of every embedding and of naive alignments.

    The naive ones are the frame of the same index (the clock) and a random frame: where actions repeat, much
    is valid by chance. A lone test video is paired with the training videos, in both directions, and its
    figures say so.
    """
    of_pairs = [metric for needs in (Needs.PAIRS, Needs.CYCLES) for metric in metrics_that_need(needs, metrics)]
    lone = len(test) == 1
    videos = [*test, *train] if lone else list(test)
    pairs = [(0, j) for j in range(1, len(videos))] if lone else list(combinations(range(len(videos)), 2))
    firsts, seconds = ([videos[pair[k]] for pair in pairs] for k in (0, 1))
    seeds = [[seed, *pair] for pair in pairs]
    measured = map_in_threads(_measure_pair, firsts, seconds, seeds, [of_pairs] * len(pairs))
    figures: dict[tuple[str, str], np.ndarray] = {}
    progress = {"desc": f"aligning {task}", "unit": "pair", "disable": None, "delay": 3, "leave": False}
    for pair, both in zip(tqdm(pairs, **progress), measured, strict=True):
        for way, found in zip((pair, pair[::-1]), both, strict=True):
            for key, value in found.items():
                figures.setdefault(key, np.full((len(videos), len(videos)), np.nan))[way] = value
    notes: tuple[Note, ...] = ()
    if lone:
        notes = (Note(NoteKind.LONE_TEST_VIDEO, f"lone test video, paired with {len(train)} training videos"),)
        figures = {key: _mean_of_both_directions(values) for key, values in figures.items()}
    return [Measured(metrics[metric], variant, values, notes) for (metric, variant), values in figures.items()]


def _mean_of_both_directions(values: np.ndarray) -> np.ndarray:
    """The figure of the first video with all others, (1,)."""
    both = np.concatenate([values[0, 1:], values[1:, 0]])
    exists = ~np.isnan(both)
    return np.array([both[exists].mean() if exists.any() else math.nan])


def _measure_pair(
    first: EmbeddedVideo, second: EmbeddedVideo, seed: Sequence[int], metrics: Sequence[Metric]
) -> list[dict[tuple[str, str], float]]:
    """By names of metric and variant, the figures of the first video aligned with the second, and of the second with
    the first; `seed` is that of the random neighbours."""
    rng, returning = (np.random.default_rng([*seed, *more]) for more in ((), (1,)))
    found = {
        name: nearest_neighbours(first.embeddings[name].numpy(), second.embeddings[name].numpy())
        for name in first.embeddings
    }
    figures = []
    for way, (own, other) in enumerate(((first, second), (second, first))):
        truth = valid_alignment(own.time_dict, other.time_dict)
        neighbours = {name: indices[way] for name, indices in found.items()}
        neighbours[CLOCK] = np.minimum(np.arange(len(own.progress)), len(other.progress) - 1)
        neighbours[RANDOM_NEIGHBOURS] = rng.integers(len(other.progress), size=len(own.progress))
        back = {name: indices[1 - way][neighbours[name]] for name, indices in found.items()}
        back[CLOCK] = np.minimum(neighbours[CLOCK], len(own.progress) - 1)
        back[RANDOM_NEIGHBOURS] = returning.integers(len(own.progress), size=len(own.progress))
        together, returned = (np.stack([frames[name] for name in neighbours]) for frames in (neighbours, back))
        values = {}
        for metric in metrics:
            inputs = (returned,) if metric.needs is Needs.CYCLES else (together, truth)
            for variant, value in zip(neighbours, metric.measure(*inputs), strict=True):
                values[metric.name, variant] = value
        figures.append(values)
    return figures
