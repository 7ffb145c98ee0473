"""Alignment errors of a task: how well nearest neighbours find the same moment in another video."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations

import numpy as np
from tqdm import tqdm

from utils.evaluation.results import Result, summarise
from utils.evaluation.worker_threads import map_in_threads
from utils.metrics import (
    ValidAlignment,
    enclosed_area_error,
    kendalls_tau,
    kendalls_tau_in_the_wild,
    nearest_neighbours,
    valid_alignment,
)
from utils.prediction.embedding import EmbeddedVideo

ALIGNMENT_METRICS: dict[str, Callable[[np.ndarray, ValidAlignment], np.ndarray]] = {
    "EAE": enclosed_area_error,
    "EAE_monotonic": partial(enclosed_area_error, monotonic=True),
    "KT": lambda neighbours, _: kendalls_tau(neighbours),
    "KTW": kendalls_tau_in_the_wild,
}


def alignment_results(
    task: str,
    train: Sequence[EmbeddedVideo],
    test: Sequence[EmbeddedVideo],
    counts: np.ndarray,
    seed: int = 0,
) -> list[Result]:
    """EAE, KT and KTW over ordered pairs of different test videos, of every network and of naive alignments.

    The naive ones are the frame of the same index (the clock) and a random frame: where actions repeat, much
    is valid by chance. A lone test video is paired with the training videos, in both directions, and its
    figures say so.
    """
    lone = len(test) == 1
    videos = [*test, *train] if lone else list(test)
    pairs = [(0, j) for j in range(1, len(videos))] if lone else list(combinations(range(len(videos)), 2))
    firsts, seconds = ([videos[pair[k]] for pair in pairs] for k in (0, 1))
    measured = map_in_threads(_aligned_pair, firsts, seconds, [[seed, *pair] for pair in pairs])
    shape = (len(videos), len(videos))
    figures: dict[tuple[str, str], np.ndarray] = {}
    progress = {"desc": f"aligning {task}", "unit": "pair", "disable": None, "delay": 3, "leave": False}
    for pair, both in zip(tqdm(pairs, **progress), measured, strict=True):
        for way, found in zip((pair, pair[::-1]), both, strict=True):
            for name, value in found.items():
                figures.setdefault(name, np.full(shape, np.nan))[way] = value

    results, handles = [], [v.handle for v in test]
    for (metric, variant), values in figures.items():
        missing = "only one frame" if metric == "KT" else "shares no action with another video"
        note = ""
        if lone:
            note = f"lone test video, paired with {len(train)} training videos"
            both_directions = np.concatenate([values[0, 1:], values[1:, 0]])
            exists = ~np.isnan(both_directions)
            values = np.array([both_directions[exists].mean() if exists.any() else math.nan])
        results.append(summarise(metric, variant, task, handles, values, counts, missing, note))
    return results


def _aligned_pair(
    first: EmbeddedVideo, second: EmbeddedVideo, seed: Sequence[int]
) -> list[dict[tuple[str, str], float]]:
    """By (metric, variant), the figures of the first video aligned with the second, and of the second with the
    first; `seed` is that of the random neighbours."""
    rng = np.random.default_rng(seed)
    found = {
        name: nearest_neighbours(first.embeddings[name].numpy(), second.embeddings[name].numpy())
        for name in first.embeddings
    }
    figures = []
    for way, (own, other) in enumerate(((first, second), (second, first))):
        truth = valid_alignment(own.time_dict, other.time_dict)
        neighbours = {name: indices[way] for name, indices in found.items()}
        neighbours["clock"] = np.minimum(np.arange(len(own.progress)), len(other.progress) - 1)
        neighbours["random neighbours"] = rng.integers(len(other.progress), size=len(own.progress))
        together = np.stack(list(neighbours.values()))
        figures.append(
            {
                (metric, variant): value
                for metric, measure in ALIGNMENT_METRICS.items()
                for variant, value in zip(neighbours, measure(together, truth), strict=True)
            }
        )
    return figures
