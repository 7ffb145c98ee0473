"""The linear discriminant against the textbook's formula in all dimensions."""

import numpy as np
import pytest

from utils.prediction.readouts.discriminant import SHRINKAGE, TEMPERATURE, WIDTH, fit_discriminant


def example(number=4, width=6, rows=200, seed=0):
    rng = np.random.default_rng(seed)
    classes = rng.integers(number, size=rows)
    mixing = rng.normal(size=(width, width))
    return (2 * rng.normal(size=(number, width))[classes] + rng.normal(size=(rows, width))) @ mixing + 5, classes


@pytest.mark.parametrize(("number", "width"), [(2, 3), (4, 6), (5, 2), (3, 1)])
def test_posterior_by_the_formula(number, width):
    """log p(c | x) = log prior - T / 2 (x - m_c)' S^-1 (x - m_c) + const, S shrunk towards a multiple of 1."""
    measures, classes = example(number, width)
    fitted = fit_discriminant(measures, classes, number)
    scaled = (measures - measures.mean(axis=0)) / measures.std(axis=0)
    means = np.array([scaled[classes == c].mean(axis=0) for c in range(number)])
    within = np.zeros((width, width))
    for row, own in zip(scaled, classes, strict=True):
        within += np.outer(row - means[own], row - means[own]) / len(scaled)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / width * np.eye(width)
    inverse = np.linalg.inv(within)
    for row, found in zip(scaled[:30], fitted.posterior(measures[:30]), strict=True):
        weights = []
        for c in range(number):
            prior = ((classes == c).sum() + 1) / (len(classes) + number)
            weights.append(prior * np.exp(-0.5 * TEMPERATURE * (row - means[c]) @ inverse @ (row - means[c])))
        np.testing.assert_allclose(found, np.array(weights) / sum(weights), rtol=1e-3, atol=1e-6)


def test_axes_have_unit_variance_within_the_classes_but_for_the_shrinkage():
    measures, classes = example(3, 4, rows=3000)
    embedded = fit_discriminant(measures, classes, 3).embed(measures)
    assert embedded.shape == (3000, 2)
    spread = np.mean([embedded[classes == c].var(axis=0) for c in range(3)], axis=0)
    assert ((spread > 0.1) & (spread < 1.5)).all()


def test_it_tells_apart_what_can_be_told_apart():
    measures, classes = example(4, 6, rows=400)
    fitted = fit_discriminant(measures[:200], classes[:200], 4)
    assert (fitted.posterior(measures[200:]).argmax(axis=1) == classes[200:]).mean() > 0.8


@pytest.mark.parametrize("change", [
    lambda measures, classes: (measures, np.zeros_like(classes)),  # one class of several
    lambda measures, classes: (np.zeros_like(measures), classes),  # nothing measured
    lambda measures, classes: (np.column_stack([measures, measures]), classes),  # twice the same
    lambda measures, classes: (1e-6 * measures, classes),
    lambda measures, classes: (measures[:1], classes[:1]),  # one example
    lambda measures, classes: (measures[:3], np.arange(3)),  # one of each
])  # fmt: skip
def test_odd_examples_give_probabilities(change):
    measures, classes = change(*example())
    fitted = fit_discriminant(measures, classes, 4)
    for factor in (0, 1, 1e6):
        found = fitted.posterior(factor * measures)
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_class_that_does_not_occur_keeps_a_small_prior():
    measures, classes = example(3)
    fitted = fit_discriminant(measures, classes, 5)
    assert fitted.prior.sum() == pytest.approx(1)
    assert fitted.prior[4] == pytest.approx(1 / 205)
    assert fitted.class_means.shape == (5, 4)


def test_many_classes_take_a_bounded_number_of_axes():
    measures, classes = example(40, 50, rows=2000)
    assert fit_discriminant(measures, classes, 40).projection.shape == (50, WIDTH)
