import math

import numpy as np
import pytest

from utils.metrics.phase_progression import fit_linear_regression, phase_progression


def videos(rng, count, width=6):
    return [rng.normal(size=(rng.integers(20, 40), width)).astype(np.float32) for _ in range(count)]


def test_agrees_with_least_squares_over_the_stacked_frames():
    rng = np.random.default_rng(0)
    train, test = videos(rng, 4), videos(rng, 3)
    targets, truths = ([rng.random(len(x)) for x in part] for part in (train, test))
    stacked = np.concatenate([np.concatenate(train), np.ones((sum(map(len, train)), 1))], axis=1)
    solution = np.linalg.lstsq(stacked.astype(np.float64), np.concatenate(targets), rcond=None)[0]
    expected = []
    for x, y in zip(test, truths, strict=True):
        residual = y - (x @ solution[:-1] + solution[-1])
        expected.append(1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum())
    np.testing.assert_allclose(phase_progression(train, targets, test, truths), expected, rtol=1e-6)


def test_a_linear_embedding_of_progress_scores_one():
    progress = [np.linspace(0, 1, n) for n in (30, 50, 20)]
    frames = [np.stack([3 * p - 1, np.ones_like(p), -p], axis=1) for p in progress]
    np.testing.assert_allclose(phase_progression(frames[:2], progress[:2], frames[2:], progress[2:]), [1.0])


def test_a_collapsed_embedding_predicts_the_training_mean():
    progress = [np.linspace(0, 1, 30)] * 3
    frames = [np.full((30, 4), 2.5)] * 3
    weights, intercept = fit_linear_regression(frames[:2], progress[:2])
    assert not weights.any()
    assert intercept == pytest.approx(0.5)
    np.testing.assert_allclose(
        phase_progression(frames[:2], progress[:2], frames[2:], progress[2:]), [0.0], atol=1e-9
    )


def test_a_video_of_constant_truth_has_no_score():
    rng = np.random.default_rng(1)
    train = videos(rng, 2)
    result = phase_progression(
        train, [rng.random(len(x)) for x in train], train[:1], [np.zeros(len(train[0]))]
    )
    assert math.isnan(result[0])


def test_an_untrained_fit_on_noise_scores_nothing_on_unseen_videos():
    rng = np.random.default_rng(2)
    train, test = videos(rng, 10), videos(rng, 5)
    linear = [[np.linspace(0, 1, len(x)) for x in part] for part in (train, test)]
    assert phase_progression(train, linear[0], test, linear[1]).mean() < 0.1
