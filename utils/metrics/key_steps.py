"""Key steps that were found without labels: how well clusters of frames are the true steps (procedure learning).

Every cluster is matched with at most one step and every step with at most one cluster, so that most frames agree
(Hungarian method). Then a step has a precision, a recall and an intersection over union of frames (IoU). Two
definitions:

- `task_key_steps`, ours: clusters mean the same in all recordings of the task and are matched once for all of them.
  Every step that a recording shows counts, also one that no cluster was matched with (0). Background is not a step, but
  its frames count in the clusters that they are in.
- `published_key_steps`, that of the program of EgoProceL (Bansal et al., ECCV 2022, `compute_align_MoF_UoI` with
  `per_keystep`), with which OPEL, RGWOT and HiERO report: each recording has clusters of its own and a matching of its
  own, background is one more step, and the means are over the matched steps that the recording shows. Steps without a
  cluster are left out, so with 7 clusters at most 7 steps count, and few large clusters score well. Precision, recall
  and IoU are means over recordings; F1 is 2 P R / (P + R) of the means P and R of a task (as in HiERO's program).

Where several matchings have most frames, the published program takes one by the order of steps and clusters, and one of
its choices leaves a step out of the mean in favour of a step that the recording doesn't show. Here only steps that are
shown take part, and the matching with the largest sum of IoU is taken: no figure depends on an order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


class StepScores(NamedTuple):
    """Means over the steps of a recording, in [0, 1]; NaN where no step counts."""

    precision: float
    recall: float
    iou: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 if both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


NO_STEP = StepScores(math.nan, math.nan, math.nan)


def overlaps(clusters: np.ndarray, steps: np.ndarray, number_of_clusters: int, number_of_steps: int) -> np.ndarray:
    """How many frames of each step are in each cluster, (steps, clusters) int.

    Args:
        clusters, steps: (T,) int from 0; a step of -1 is none, and its frames are left out.
    """
    counts = np.zeros((number_of_steps, number_of_clusters), dtype=np.int64)
    inside = steps >= 0
    np.add.at(counts, (steps[inside], clusters[inside]), 1)
    return counts


def task_key_steps(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> list[StepScores]:
    """Scores of each recording, clusters matched with steps once for all recordings; see the module.

    Args:
        clusters: (T_i,) int from 0 of each recording.
        labels: (T_i,) int of the true step of each frame, from 0; -1 is background.

    Raises:
        ValueError: another number of clusters than of labels.
    """
    number_of_clusters, number_of_steps = _sizes(clusters, labels)
    counts = [
        overlaps(own, steps, number_of_clusters, number_of_steps) for own, steps in zip(clusters, labels, strict=True)
    ]
    if not number_of_steps:
        return [NO_STEP] * len(counts)
    matched = dict(_matching(sum(counts), sum(np.bincount(own, minlength=number_of_clusters) for own in clusters)))
    scores = []
    for own, found in zip(clusters, counts, strict=True):
        sizes = np.bincount(own, minlength=number_of_clusters)
        shown = np.flatnonzero(found.sum(axis=1))
        scores.append(_means([(found[step], matched.get(step), sizes) for step in shown]))
    return scores


def published_key_steps(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> list[StepScores]:
    """Scores of each recording by a matching of its own, background a step; see the module.

    Args, Raises: see `task_key_steps`.
    """
    number_of_clusters, number_of_steps = _sizes(clusters, labels)
    scores = []
    for own, steps in zip(clusters, labels, strict=True):
        counts = overlaps(own, steps + 1, number_of_clusters, number_of_steps + 1)
        sizes = np.bincount(own, minlength=number_of_clusters)
        shown = counts[counts.any(axis=1)]
        scores.append(_means([(shown[step], cluster, sizes) for step, cluster in _matching(shown, sizes)]))
    return scores


def _matching(counts: np.ndarray, sizes: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of a step and a cluster, from their common frames (steps, clusters) and the frames of each cluster."""
    union = counts.sum(axis=1, keepdims=True) + sizes - counts
    iou = counts / np.maximum(union, 1)
    # Counts are whole numbers, and the sum of all IoU is below 1 here: it decides between equal counts alone.
    return list(zip(*linear_sum_assignment(counts + iou / (min(counts.shape) + 1), maximize=True), strict=True))


def _sizes(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> tuple[int, int]:
    for own, steps in zip(clusters, labels, strict=True):
        if len(own) != len(steps):
            raise ValueError(f"{len(own)} frames have a cluster, but {len(steps)} have a label")
    return tuple(max((int(each.max()) + 1 for each in group if len(each)), default=0) for group in (clusters, labels))


def _means(matches: Sequence[tuple[np.ndarray, int | None, np.ndarray]]) -> StepScores:
    """Of the steps, each with its frames by cluster, its cluster or None, and the frames of all clusters."""
    if not matches:
        return NO_STEP
    scores = []
    for found, cluster, sizes in matches:
        if cluster is None:
            scores.append((0.0, 0.0, 0.0))
            continue
        both, step, own = found[cluster], found.sum(), sizes[cluster]
        scores.append((both / own if own else 0.0, both / step, both / (step + own - both)))
    return StepScores(*(float(each) for each in np.mean(scores, axis=0)))


def task_key_step_f1(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> np.ndarray:
    """F1 of each recording, (n,) in [0, 1]; see `task_key_steps`."""
    return np.array([scores.f1 for scores in task_key_steps(clusters, labels)])


def task_key_step_iou(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> np.ndarray:
    """IoU of each recording, (n,) in [0, 1]; see `task_key_steps`."""
    return np.array([scores.iou for scores in task_key_steps(clusters, labels)])


def published_key_step_precision(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> np.ndarray:
    """Precision of each recording, (n,) in [0, 1]; see `published_key_steps`."""
    return np.array([scores.precision for scores in published_key_steps(clusters, labels)])


def published_key_step_recall(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> np.ndarray:
    """Recall of each recording, (n,) in [0, 1]; see `published_key_steps`."""
    return np.array([scores.recall for scores in published_key_steps(clusters, labels)])


def published_key_step_iou(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> np.ndarray:
    """IoU of each recording, (n,) in [0, 1]; see `published_key_steps`."""
    return np.array([scores.iou for scores in published_key_steps(clusters, labels)])


def published_key_step_f1(clusters: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """F1 of the mean precision and recall over recordings, in [0, 1]; see `published_key_steps`."""
    scores = published_key_steps(clusters, labels)
    if not scores:
        return math.nan
    return StepScores(*(float(each) for each in np.mean(scores, axis=0))).f1
