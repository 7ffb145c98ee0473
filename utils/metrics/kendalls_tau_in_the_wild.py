"""Kendall's tau in the wild (KTW): order of nearest neighbours where actions repeat, move or are missing."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from utils.metrics.valid_alignment import ValidAlignment


def kendalls_tau_in_the_wild(neighbours: np.ndarray, alignment: ValidAlignment, block: int = 256) -> float:
    """Kendall's tau over alignable frames, judged against the order that the true alignment allows.

        KTW = (concordant - discordant) / (A (A - 1) / 2)

    over all pairs of different alignable frames of U (GTCC, CVPR 2024, section 4). Let j, j' be the nearest
    neighbours of a pair of frames, and J, J' their sets of valid aligned frames. The pair is concordant if
    some valid alignment orders it as found: sign(j - j') = sign(k - k') for some k in J and k' in J'. It is
    discordant if j != j' and every valid alignment orders it strictly the other way. A pair that is tied on
    one side only is neither.

    Args:
        neighbours: (N,) int, nearest neighbour in V of every frame of U.
        alignment: true alignment of U with V.
        block: rows of the comparison of pairs held at once.

    Returns:
        1 for any valid alignment, -1 for the reverse of videos without repeats and ties; NaN for fewer than
        two alignable frames.
    """
    count = len(alignment.alignable)
    if count < 2:
        return math.nan
    found = np.asarray(neighbours)[alignment.alignable]
    # Narrow integers: the comparisons below go through all pairs and are bound by memory.
    kind = np.int16 if len(alignment.alignable_other) < np.iinfo(np.int16).max else np.int32
    found, earliest, latest = (a.astype(kind) for a in (found, alignment.earliest, alignment.latest))

    score = 0
    for start in range(0, count, block):
        rows = slice(start, start + block)
        # Every pair found in different frames appears once, oriented so that the row's neighbour is earlier.
        earlier = found[rows, None] < found
        score += np.count_nonzero(earlier & (earliest[rows, None] < latest))
        score -= np.count_nonzero(earlier & (earliest[rows, None] > latest))
    return float((score + _true_ties(found, alignment)) / (count * (count - 1) / 2))


def _true_ties(found: np.ndarray, alignment: ValidAlignment) -> int:
    """Number of pairs with one and the same neighbour which a valid alignment puts on one frame too.

    Two frames can share a valid aligned frame only inside a segment of V, and frames of one action share
    their list of segments. So it is enough to count, for every set of frames of one action with one
    neighbour, the pairs with an equal position in some segment.
    """
    action = alignment.valid.argmax(axis=1)  # the first segment of V with the action stands for the action
    order = np.lexsort((action, found))
    key = np.stack([found[order].astype(np.int64), action[order]])
    starts = np.concatenate([[0], np.flatnonzero((key[:, 1:] != key[:, :-1]).any(axis=0)) + 1, [len(order)]])
    ties = 0
    for first, last in pairwise(starts):  # one round per set, not per frame
        if last - first > 1:
            members = order[first:last]
            position = alignment.position[members][:, alignment.valid[members[0]]]
            equal = (position[:, None] == position).any(axis=2)
            ties += (np.count_nonzero(equal) - len(members)) // 2
    return ties
