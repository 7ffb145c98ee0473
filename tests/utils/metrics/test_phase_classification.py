import math

import numpy as np
import pytest

from utils.metrics.phase_classification import (
    BLOCK,
    _mean_and_spread,
    labelled_videos,
    majority_class,
    phase_classification,
)


def separable(rng, videos, frames=60, classes=3):
    labels = [rng.integers(classes, size=frames) for _ in range(videos)]
    return [np.eye(classes)[y] * 4 + rng.normal(size=(frames, classes)) * 0.2 for y in labels], labels


def test_separable_phases_are_told_apart_on_unseen_videos():
    rng = np.random.default_rng(0)
    train, test = separable(rng, 6), separable(rng, 3)
    for fraction in (0.1, 0.5, 1.0):
        np.testing.assert_array_equal(phase_classification(*train, *test, fraction), np.ones(3))


def test_noise_is_at_chance_on_unseen_videos():
    rng = np.random.default_rng(1)

    def noise(videos):
        return [rng.normal(size=(200, 20)) for _ in range(videos)], [
            rng.integers(4, size=200) for _ in range(videos)
        ]

    assert phase_classification(*noise(4), *noise(4)).mean() == pytest.approx(0.25, abs=0.06)


def test_background_takes_no_part():
    rng = np.random.default_rng(2)
    train, test = separable(rng, 4), separable(rng, 2)
    expected = phase_classification(*train, *test)
    for frames, labels in (train, test):
        for i in range(len(frames)):
            frames[i] = np.concatenate([frames[i], rng.normal(size=(50, 3)) * 10])
            labels[i] = np.concatenate([labels[i], np.full(50, -1)])
    np.testing.assert_allclose(phase_classification(*train, *test), expected, atol=0.05)


def test_a_label_without_training_frames_is_wrong_and_a_video_without_action_has_no_accuracy():
    train = [np.array([[0.0], [1.0]])], [np.array([0, 1])]
    test = [np.array([[0.0], [0.0]]), np.zeros((2, 1))], [np.array([0, 7]), np.array([-1, -1])]
    accuracy = phase_classification(*train, *test)
    assert accuracy[0] == 0.5
    assert math.isnan(accuracy[1])


def test_one_class_and_constant_features_are_no_trouble():
    frames, labels = [np.ones((5, 2))], [np.zeros(5, dtype=int)]
    assert phase_classification(frames, labels, frames, labels).tolist() == [1.0]
    assert phase_classification(
        [np.ones((4, 2))], [np.array([0, 1, 1, 1])], frames, [np.ones(5)]
    ).tolist() == [1.0]


def test_no_action_frame_at_all_is_refused():
    with pytest.raises(ValueError, match="no action frame"):
        phase_classification([np.zeros((3, 2))], [np.full(3, -1)], [np.zeros((3, 2))], [np.zeros(3)])
    with pytest.raises(ValueError, match="no action"):
        majority_class([np.full(3, -1)], [np.zeros(3)])


def test_labelled_videos_are_whole_spread_and_at_least_one():
    assert labelled_videos(40, 0.1).tolist() == [0, 10, 20, 30]
    assert labelled_videos(3, 0.1).tolist() == [0]
    assert labelled_videos(5, 1.0).tolist() == [0, 1, 2, 3, 4]


def test_half_a_video_counts_as_a_whole_one():
    assert [len(labelled_videos(n, 0.1)) for n in (14, 15, 24, 25, 34, 35)] == [1, 2, 2, 3, 3, 4]
    assert [len(labelled_videos(n, 0.5)) for n in (1, 2, 3, 4, 5)] == [1, 1, 2, 2, 3]
    assert len(labelled_videos(50, 0.29)) == 15


def test_same_input_same_accuracy_under_the_cap():
    rng = np.random.default_rng(3)
    train = [rng.normal(size=(100, 4)) for _ in range(3)], [rng.integers(3, size=100) for _ in range(3)]
    first, second = (phase_classification(*train, *train, maximum_training_frames=50) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_majority_class_by_hand():
    accuracy = majority_class([np.array([2, 2, 1, -1, -1, -1])], [np.array([2, 1, -1]), np.array([0])])
    assert accuracy.tolist() == [0.5, 0.0]


def test_majority_class_of_a_share_of_the_labels():
    train = [np.array([0]), np.array([1, 1, 1]), np.array([0]), np.array([2, 2])]
    test = [np.array([0, 0, 1, 2])]
    assert majority_class(train, test).tolist() == [0.25]
    assert majority_class(train, test, 0.5).tolist() == [0.5]  # of videos 0 and 2
    assert majority_class(train, test, 0.1).tolist() == [0.5]


def test_single_precision_far_from_the_origin_is_told_apart():
    rng = np.random.default_rng(4)
    train, test = separable(rng, 6, frames=3000), separable(rng, 3)
    moved = [([frames.astype(np.float32) + np.float32(1000) for frames in part[0]], part[1]) for part in (train, test)]
    np.testing.assert_array_equal(phase_classification(*moved[0], *moved[1]), np.ones(3))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_mean_and_spread_of_many_frames(kind):
    rng = np.random.default_rng(6)
    frames = (rng.normal(size=(2 * BLOCK + 7, 4)) * [1, 1e-3, 50, 1] + [0, 1000, 3, 7]).astype(kind)
    frames[:, 3] = 7
    mean, spread = _mean_and_spread(frames)
    np.testing.assert_allclose(mean, frames.mean(axis=0, dtype=np.float64), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(spread, frames.std(axis=0, dtype=np.float64), rtol=1e-10)
    assert spread[3] == 0
