"""Which step is it now, and how many have been begun? A filter over the labels, chunk by chunk.

    a_t(j) ~ p(j | x_t) / p(j) sum_i a_(t-1)(i) A_ij

p(j | x) is the recogniser's probability, p(j) its prior, A how often label j follows label i from one chunk to the next
in training recordings. The chance that the label changed into j at t, sum_(i != j) of the terms above, added up over t,
is the expected number of segments of j that have begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SMOOTHING = 0.02  # chunks added to each count of transitions


class LabelBelief(NamedTuple):
    """What is believed of the labels at consecutive chunks.

    Attributes:
        now: (n, L) probability of each label.
        begun: (n, L) expected number of its segments that have begun.
    """

    now: np.ndarray
    begun: np.ndarray


@dataclass(frozen=True)
class LabelFilter:
    """The fitted filter.

    Attributes:
        first: (L,) probability of each label in the first chunk.
        transitions: (L, L) from the label of a chunk to that of the next; rows of sum 1.
        prior: (L,) share of each label.
    """

    first: np.ndarray
    transitions: np.ndarray
    prior: np.ndarray

    def start(self) -> LabelFilterState:
        return LabelFilterState(self)


def fit_label_filter(classes: Sequence[np.ndarray], number: int) -> LabelFilter:
    """Counts of training recordings, smoothed.

    Args:
        classes: (n_i,) the label of each chunk of each recording, from 0.
        number: of labels.
    """
    transitions = np.full((number, number), SMOOTHING)
    first, count = np.full(number, 0.1), np.ones(number)
    for labels in classes:
        np.add.at(transitions, (labels[:-1], labels[1:]), 1)
        first[labels[0]] += 1
        count += np.bincount(labels, minlength=number)
    return LabelFilter(first / first.sum(), transitions / transitions.sum(axis=1, keepdims=True), count / count.sum())


class LabelFilterState:
    """The belief about a recording that goes on."""

    def __init__(self, fitted: LabelFilter):
        self._fitted = fitted
        self._now: np.ndarray | None = None
        self._begun = np.zeros(len(fitted.prior))

    def update(self, posterior: np.ndarray) -> LabelBelief:
        """The belief after each of the next chunks.

        Args:
            posterior: (n, L) the recogniser's probabilities.
        """
        fitted = self._fitted
        likelihood = posterior / fitted.prior
        stays = np.diagonal(fitted.transitions)
        now, begun = np.empty_like(posterior), np.empty_like(posterior)
        for number, like in enumerate(likelihood):
            if self._now is None:
                belief = fitted.first * like
                belief /= belief.sum()
                self._begun = belief
            else:
                belief = (self._now @ fitted.transitions) * like
                total = belief.sum()
                belief /= total
                self._begun = self._begun + belief - self._now * stays * like / total
            self._now = now[number] = belief
            begun[number] = self._begun
        return LabelBelief(now, begun)
