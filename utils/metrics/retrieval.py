"""Frame retrieval (AP@K): whether the nearest frames of other recordings show the same action."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from utils.metrics.least_columns import least_columns

NUMBERS = (5, 10, 15)
LONGEST_BLOCK = 1024
MOST_CELLS = 1 << 22  # distances in memory at once


def frame_retrieval(
    embeddings: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    numbers: Sequence[int] = NUMBERS,
    ranked: bool = False,
) -> np.ndarray:
    """AP@K: share of the K nearest frames of all other recordings that show the action of the query frame.

        AP@K of a recording = mean over its frames t of #{k <= K: label of the k-th nearest = label of t} / K

    by Euclidean distance. It is called an average precision (LAV, CVPR 2021, and after it VAVA and CARL, CVPR 2022;
    K = 5, 10, 15) and is a mean over frames of the precision at K. Background frames (label -1) are neither queries
    nor results. For an action that no other recording shows, the precision is 0.

    The released programs use different definitions, and so their values differ:

        this function, and CARL's   K nearest frames of all other recordings; the share with the same label. CARL takes
                                    every 5th frame of both (Pouring; every 2nd for Penn Action), this one all.
        `ranked=True`, and AE2's    the same frames; their average precision in order of distance: mean, over the
                                    frames k <= K with the same label, of the share of the k nearest that have it;
                                    0 without any.
        LAV's                       K nearest frames of the same recording, among them the frame itself; the share with
                                    the same label. That asks whether an embedding is smooth in time: not offered.

    Args:
        embeddings: (T_i, D) of each test recording.
        labels: (T_i,) int of each; -1 is background.
        numbers: values of K, at least 1 each. If there are fewer than K frames, all are found.
        ranked: average precision in order of distance, instead of the share.

    Returns:
        (len(numbers), recordings) float64 in [0, 1]; NaN for a recording without action frames, or if no other
        recording has any. Of equally near frames, any may be taken.

    Raises:
        ValueError: there is no K, one is below 1, or embeddings and labels don't fit.
    """
    if not len(numbers) or min(numbers) < 1:
        raise ValueError(f"frame retrieval needs numbers of frames of at least 1, got {tuple(numbers)}")
    figure = _average_precision if ranked else precision_among_nearest
    found = nearest_of_others(embeddings, labels, max(numbers))
    return np.array([[figure(same, number) for same in found] for number in numbers])


def nearest_of_others(
    embeddings: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    number: int = max(NUMBERS),
    most_asked: int | None = None,
) -> list[np.ndarray]:
    """Whether the nearest frames of all other recordings show the action of each action frame of a recording.

    Args:
        embeddings, labels: as for `frame_retrieval`.
        number: how many frames to find, at least 1.
        most_asked: of each recording so many action frames at most are asked for, evenly spaced; None for all.

    Returns:
        For each recording (frames asked for, at most `number`) bool, the nearest first; of no columns where no other
        recording has an action frame.

    Raises:
        ValueError: embeddings and labels don't fit.
    """
    for frames, own in zip(embeddings, labels, strict=True):
        if frames.ndim != 2 or frames.shape != (len(own), embeddings[0].shape[1]):
            raise ValueError(f"expected embeddings (T, D) and labels (T,), got {frames.shape} and {np.shape(own)}")
    kept = [own >= 0 for own in labels]
    labels = [own[keep] for own, keep in zip(labels, kept, strict=True)]
    embeddings = [frames[keep] for frames, keep in zip(embeddings, kept, strict=True)]
    found = [np.empty((len(own), 0), dtype=bool) for own in labels]
    if not any(map(len, labels)):
        return found
    # |a - b|^2 is expanded into inner products, which loses digits far from the origin.
    origin = sum(frames.sum(axis=0, dtype=np.float64) for frames in embeddings) / sum(map(len, labels))
    everything, all_labels = np.concatenate(embeddings), np.concatenate(labels)
    everything -= origin.astype(everything.dtype)
    # The query's own |a|^2 doesn't change the order, and |b|^2 is one more product, by 1.
    columns = np.concatenate([-2 * everything.T, np.square(everything).sum(axis=1)[None]])
    ends = np.cumsum([len(own) for own in labels])
    for recording, (own, end) in enumerate(zip(labels, ends, strict=True)):
        start = end - len(own)
        others = len(everything) - len(own)
        if not len(own) or not others:
            continue
        asked = np.arange(len(own))
        if most_asked is not None and len(own) > most_asked:
            asked = np.arange(most_asked) * len(own) // most_asked
        found[recording] = np.empty((len(asked), min(number, others)), dtype=bool)
        block = max(1, min(LONGEST_BLOCK, MOST_CELLS // len(everything)))
        for first in range(0, len(asked), block):
            rows = asked[first : first + block]
            frames = everything[start + rows]
            distance = np.concatenate([frames, np.ones_like(frames[:, :1])], axis=1) @ columns
            distance[:, start:end] = np.inf
            nearest = least_columns(distance, found[recording].shape[1])
            order = np.take_along_axis(distance, nearest, axis=1).argsort(axis=1, kind="stable")
            same = all_labels[np.take_along_axis(nearest, order, axis=1)] == own[rows, None]
            found[recording][first : first + block] = same
    return found


def retrieval_by_chance(labels: Sequence[np.ndarray]) -> np.ndarray:
    """The expected `frame_retrieval` of each recording if the frames found are drawn at random.

    Args:
        labels: (T_i,) int of each recording; -1 is background.

    Returns:
        (recordings,) float64: mean over its action frames of the share of all other recordings' action frames with
        the same label, for any K; NaN as in `frame_retrieval`.
    """
    return np.array([share.mean() if share.size else math.nan for share in shares_of_others(labels)])


def shares_of_others(labels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each recording and each of its action frames the share of all other recordings' action frames with its
    label, (frames, 1) float64; of no columns where no other has an action frame."""
    labels = [own[own >= 0] for own in labels]
    classes = 1 + max((int(own.max()) for own in labels if len(own)), default=0)
    counts = np.array([np.bincount(own, minlength=classes) for own in labels], dtype=np.float64)
    others = counts.sum(axis=0) - counts
    return [
        (other / total)[own, None] if (total := other.sum()) else np.empty((len(own), 0))
        for own, other in zip(labels, others, strict=True)
    ]


def precision_among_nearest(same: np.ndarray, number: int) -> float:
    """Mean over frames of the share of the `number` nearest frames that show the same action.

    Args:
        same: (T, K) bool, the nearest first; or how probable it is.
        number: how many of them count.

    Returns:
        The share in [0, 1]; NaN without frames.
    """
    return float(same[:, :number].mean()) if same.size else math.nan


def _average_precision(same: np.ndarray, number: int) -> float:
    """Mean over frames of the average precision of the `number` nearest in their order."""
    if not same.size:
        return math.nan
    same = same[:, :number]
    precision = np.cumsum(same, axis=1) / np.arange(1, same.shape[1] + 1)
    return float(((precision * same).sum(axis=1) / np.maximum(same.sum(axis=1), 1)).mean())
