import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import kendalltau

from utils.metrics.published_definitions import (
    published_kendalls_tau,
    published_phase_classification,
    published_phase_progression,
)


def phased_recordings(rng, lengths=(30, 41, 25), phases=3, noise=0.5):
    labels = [np.sort(np.concatenate([np.arange(phases), rng.integers(phases, size=n - phases)])) for n in lengths]
    embeddings = [np.eye(phases)[own] * 2 + np.arange(len(own))[:, None] / len(own) for own in labels]
    return [frames + noise * rng.normal(size=frames.shape) for frames in embeddings], labels


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_kendalls_tau_by_scipy_over_all_ordered_pairs(stride):
    rng = np.random.default_rng(0)
    embeddings = [rng.normal(size=(n, 3)).cumsum(axis=0) for n in (40, 33, 51)]
    taus = []
    for i, first in enumerate(embeddings):
        for j, second in enumerate(embeddings):
            if i != j:
                nearest = cdist(first[::stride], second[::stride], "sqeuclidean").argmin(axis=1)
                taus.append(kendalltau(np.arange(len(nearest)), nearest).correlation)
    assert published_kendalls_tau(embeddings, stride) == pytest.approx(np.mean(taus))


def test_pairs_with_one_and_the_same_neighbour_are_left_out():
    line = np.arange(20.0)[:, None]
    assert published_kendalls_tau([line, line, line[:1]], 1) == pytest.approx(1)
    assert math.isnan(published_kendalls_tau([line[:1], line[:1]], 1))


def test_phase_classification_by_sklearn_on_the_first_recordings():
    svm = pytest.importorskip("sklearn.svm")
    rng = np.random.default_rng(1)
    train, test = phased_recordings(rng, (30, 25, 40, 35, 20)), phased_recordings(rng, (30, 60))
    for fraction, used in ((0.1, 1), (0.5, 2), (1.0, 5)):
        machine = svm.SVC().fit(np.concatenate(train[0][:used]), np.concatenate(train[1][:used]))
        expected = np.mean(machine.predict(np.concatenate(test[0])) == np.concatenate(test[1]))
        assert published_phase_classification(*train, *test, fraction) == pytest.approx(expected)


def test_phase_progression_by_sklearn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    train, test = phased_recordings(rng), phased_recordings(rng, (20, 33))
    scores = []
    for phase in range(2):
        targets = [
            [
                np.array([(t - max(k for k in range(len(own)) if own[k] == phase)) / len(own) for t in range(len(own))])
                for own in labels
            ]
            for labels in (train[1], test[1])
        ]
        model = linear_model.LinearRegression().fit(np.concatenate(train[0]), np.concatenate(targets[0]))
        scores.append(model.score(np.concatenate(test[0]), np.concatenate(targets[1])))
    assert published_phase_progression(*train, *test) == pytest.approx(np.mean(scores))


def test_phase_progression_refuses_recordings_without_a_phase():
    frames, labels = [np.zeros((4, 2))], [np.array([0, 0, 2, 2])]
    with pytest.raises(ValueError, match=r"lacks \[1\]"):
        published_phase_progression(frames, labels, frames, labels)
    with pytest.raises(ValueError, match="two phases"):
        published_phase_progression(frames, [np.zeros(4, dtype=int)], frames, [np.zeros(4, dtype=int)])
