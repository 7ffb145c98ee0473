"""Kendall's tau in the wild (KTW): order of nearest neighbours where actions repeat, move or are missing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from utils.metrics.ordered_counts import count_smaller_before
from utils.metrics.valid_alignment import ValidAlignment

MOST_PAIRS = 1 << 20  # pairs in memory at once


def kendalls_tau_in_the_wild(neighbours: np.ndarray, alignment: ValidAlignment) -> float | np.ndarray:
    """Kendall's tau over alignable frames, compared with the orders that the true alignment allows.

        KTW = (concordant - discordant) / (A (A - 1) / 2)

    over all pairs of different alignable frames of U (GTCC, CVPR 2024, section 4). Let j, j' be the nearest
    neighbours of a pair of frames, and J, J' their sets of valid aligned frames. The pair is concordant if
    some valid alignment orders it as found: sign(j - j') = sign(k - k') for some k in J and k' in J'. It is
    discordant if j != j' and every valid alignment orders it strictly the other way. A pair that is tied on
    one side only is neither.

    Args:
        neighbours: (N,) int, nearest neighbour in V of every frame of U; or (B, N) for several embeddings.
        alignment: true alignment of U with V.

    Returns:
        1 for any valid alignment, -1 for the reverse of videos without repeats and ties; NaN for fewer than
        two alignable frames. For (B, N): (B,) float64.
    """
    several, count = np.atleast_2d(neighbours), len(alignment.alignable)
    tau = np.full(len(several), math.nan)
    if count >= 2:
        found = several[:, alignment.alignable]
        score = _strictly_ordered(found, alignment) + _true_ties(found, alignment)
        tau = score / (count * (count - 1) / 2)
    return tau if np.ndim(neighbours) == 2 else float(tau[0])


def _strictly_ordered(found: np.ndarray, alignment: ValidAlignment) -> np.ndarray:
    """Concordant minus discordant pairs, among the pairs with two different neighbours, (B,).

    Frames are sorted by their neighbours, so the frames found strictly earlier than a frame come before the first
    frame with the same neighbour. A pair is concordant if the earlier frame's first valid position is before the
    later frame's last valid position. It is discordant if it is after it.
    """
    order = np.argsort(found, axis=1, kind="stable")
    found = np.take_along_axis(found, order, axis=1)
    first = np.zeros_like(order)
    first[:, 1:] = np.where(found[:, 1:] != found[:, :-1], np.arange(1, found.shape[1]), 0)
    strictly_earlier = np.maximum.accumulate(first, axis=1)
    latest = alignment.latest[order]
    concordant, not_discordant = count_smaller_before(
        alignment.earliest[order],
        strictly_earlier,
        np.stack([latest, latest + 1]),
        len(alignment.alignable_other),
    )
    return concordant - (strictly_earlier.sum(axis=1) - not_discordant)


def _true_ties(found: np.ndarray, alignment: ValidAlignment) -> np.ndarray:
    """Number of pairs with the same neighbour for which a valid alignment also has the same frame, (B,).

    A frame of V belongs to one occurrence of one action, so two frames can share a valid aligned frame only in
    the same column of `position`. A pair that shares several frames is counted at the first one.
    """
    number, frames_of_other = len(found), len(alignment.alignable_other)
    ties = np.zeros(number, dtype=np.int64)
    row = np.arange(number)[:, None]
    for column in range(alignment.position.shape[1]):
        having = np.flatnonzero(alignment.valid[:, column])
        key = (row * frames_of_other + found[:, having]) * frames_of_other + alignment.position[having, column]
        if not column:
            different, numbers = np.unique(key, return_counts=True)
            pairs = numbers * (numbers - 1) // 2
            ties += np.bincount(different // frames_of_other**2, pairs, minlength=number).astype(np.int64)
            continue
        before = alignment.position[having, :column]
        for one, other in _equal_pairs(key.ravel()):
            of_row, frame = np.divmod(one, len(having))
            counts = (before[frame] != before[other % len(having)]).all(axis=1)
            ties += np.bincount(of_row[counts], minlength=number)
    return ties


def _equal_pairs(key: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of all pairs of equal elements, each pair once, about MOST_PAIRS at a time."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    partners = np.searchsorted(ordered, ordered, side="right") - np.arange(len(key)) - 1
    listed = np.cumsum(partners)
    begin = 0
    while begin < len(key):
        before = int(listed[begin] - partners[begin])
        end = max(begin + 1, int(np.searchsorted(listed, before + MOST_PAIRS, side="right")))
        mine = partners[begin:end]
        first = np.repeat(np.arange(begin, end), mine)
        second = first + 1 + np.arange(len(first)) - np.repeat(listed[begin:end] - mine - before, mine)
        if len(first):
            yield order[first], order[second]
        begin = end
