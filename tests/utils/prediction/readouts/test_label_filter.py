"""The filter over labels against the sum over all ways that the labels can have gone."""

import itertools

import numpy as np
import pytest

from utils.prediction.readouts.label_filter import SMOOTHING, LabelFilter, fit_label_filter


def example(labels=3, seed=0):
    rng = np.random.default_rng(seed)

    def shares(*shape):
        values = rng.random(shape) + 0.05
        return values / values.sum(axis=-1, keepdims=True)

    return LabelFilter(shares(labels), shares(labels, labels), shares(labels)), shares(5, labels)


@pytest.mark.parametrize("seed", range(4))
def test_by_all_sequences_of_labels(seed):
    fitted, posterior = example(seed=seed)
    found = fitted.start().update(posterior)
    begun = np.zeros(3)
    for now in range(len(posterior)):
        chance, begins = np.zeros(3), np.zeros(3)
        for way in itertools.product(range(3), repeat=now + 1):
            weight = fitted.first[way[0]]
            for before, after in itertools.pairwise(way):
                weight *= fitted.transitions[before, after]
            for chunk, label in enumerate(way):
                weight *= posterior[chunk, label] / fitted.prior[label]
            chance[way[-1]] += weight
            if now == 0 or way[-2] != way[-1]:
                begins[way[-1]] += weight
        begun = begun + begins / chance.sum()
        np.testing.assert_allclose(found.now[now], chance / chance.sum(), atol=1e-12)
        np.testing.assert_allclose(found.begun[now], begun, atol=1e-12)


def test_the_labels_are_counted_where_they_are_seen_plainly():
    labels = np.repeat([0, 1, 0, 2, 1], 6)
    fitted = fit_label_filter([labels], 3)
    posterior = np.full((len(labels), 3), 1e-9)
    posterior[np.arange(len(labels)), labels] = 1
    found = fitted.start().update(posterior)
    assert (found.now.argmax(axis=1) == labels).all()
    np.testing.assert_allclose(found.begun[-1], [2, 2, 1], atol=0.01)
    assert (np.diff(found.begun, axis=0) >= -1e-12).all()


def test_fit_by_a_loop():
    classes = [np.array([0, 0, 1, 2, 2]), np.array([1, 1]), np.array([2])]
    fitted = fit_label_filter(classes, 4)
    pairs = np.full((4, 4), SMOOTHING)
    for labels in classes:
        for before, after in itertools.pairwise(labels):
            pairs[before, after] += 1
    for row, found in zip(pairs, fitted.transitions, strict=True):
        np.testing.assert_allclose(found, row / row.sum())
    np.testing.assert_allclose(fitted.first, np.array([1.1, 1.1, 1.1, 0.1]) / 3.4)
    np.testing.assert_allclose(fitted.prior, np.array([3, 4, 4, 1]) / 12)


@pytest.mark.parametrize("sizes", [(1,) * 5, (0, 2, 0, 3), (5,)])
def test_how_chunks_are_cut_changes_nothing(sizes):
    fitted, posterior = example()
    whole, state, start = fitted.start().update(posterior), fitted.start(), 0
    for size in sizes:
        part = state.update(posterior[start : start + size])
        assert (part.now == whole.now[start : start + size]).all()
        assert (part.begun == whole.begun[start : start + size]).all()
        start += size


def test_a_recogniser_that_is_certain_and_wrong_gives_probabilities():
    fitted = fit_label_filter([np.array([0] * 500 + [1] * 500)], 3)
    certain = np.eye(3)[np.random.default_rng(0).integers(3, size=2000)]
    found = fitted.start().update(certain)
    assert np.isfinite(found.now).all()
    np.testing.assert_allclose(found.now.sum(axis=1), 1)
    assert np.isfinite(found.begun).all()
