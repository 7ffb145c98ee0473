import itertools
import math

import numpy as np
import pytest

from utils.metrics.key_steps import (
    published_key_step_f1,
    published_key_step_iou,
    published_key_step_precision,
    published_key_step_recall,
    published_key_steps,
    task_key_step_f1,
    task_key_step_iou,
    task_key_steps,
)


def random_videos(seed, number_of_clusters, number_of_steps, lengths=(40, 23, 31)):
    generator = np.random.default_rng(seed)
    labels = [np.sort(generator.integers(-1, number_of_steps, size=length)) for length in lengths]
    clusters = [
        np.where(generator.random(len(own)) < 0.6, (own + 1) % number_of_clusters,
                 generator.integers(number_of_clusters, size=len(own)))
        for own in labels
    ]  # fmt: skip
    return clusters, labels


def best_matching(steps, clusters, together):
    """Pairs of steps and clusters with most frames together, by trying all."""
    number = min(len(steps), len(clusters))
    tried = (
        list(zip(chosen, others, strict=True))
        for chosen in itertools.combinations(steps, number)
        for others in itertools.permutations(clusters, number)
    )
    return max(tried, key=lambda pairs: np.sum([together(*pair) for pair in pairs], axis=0).tolist())


def in_common(step, cluster, frames):
    """Number of common frames, and over it their share of all frames of both, which decides between equal numbers."""
    both = sum(label == step and own == cluster for label, own in frames)
    return both, both / max(sum(label == step or own == cluster for label, own in frames), 1)


def scores_of(step, cluster, labels, clusters):
    """Precision, recall and IoU of a step by loops over the frames."""
    both = one = other = 0
    for label, own in zip(labels, clusters, strict=True):
        both += label == step and own == cluster
        one += label == step
        other += own == cluster
    return (both / other if other else 0.0), both / one, both / (one + other - both)


@pytest.mark.parametrize(("number_of_clusters", "number_of_steps"), [(3, 3), (5, 3), (2, 4), (1, 3), (4, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_of_a_task_by_loops(seed, number_of_clusters, number_of_steps):
    clusters, labels = random_videos(seed, number_of_clusters, number_of_steps)

    def together(step, cluster):
        return in_common(step, cluster, list(zip(np.concatenate(labels), np.concatenate(clusters), strict=True)))

    matched = dict(best_matching(range(number_of_steps), range(number_of_clusters), together))
    for scores, own, steps in zip(task_key_steps(clusters, labels), clusters, labels, strict=True):
        expected = [
            scores_of(step, matched[step], steps, own) if step in matched else (0, 0, 0)
            for step in sorted({*steps} - {-1})
        ]
        assert tuple(scores) == pytest.approx(tuple(np.mean(expected, axis=0)))
        precision, recall, _ = np.mean(expected, axis=0)
        assert scores.f1 == pytest.approx(2 * precision * recall / (precision + recall) if precision + recall else 0)


@pytest.mark.parametrize(("number_of_clusters", "number_of_steps"), [(4, 3), (6, 3), (2, 4), (1, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_as_published_by_loops(seed, number_of_clusters, number_of_steps):
    clusters, labels = random_videos(seed, number_of_clusters, number_of_steps)
    found = published_key_steps(clusters, labels)
    for scores, own, steps in zip(found, clusters, labels, strict=True):

        def together(step, cluster, own=own, steps=steps):
            return in_common(step, cluster, list(zip(steps, own, strict=True)))

        # Steps that the video doesn't show, and steps without a cluster, are left out; background is a step.
        pairs = best_matching(sorted({*steps}), range(number_of_clusters), together)
        expected = [scores_of(step, cluster, steps, own) for step, cluster in pairs]
        assert tuple(scores) == pytest.approx(tuple(np.mean(expected, axis=0)))
    precision, recall = (np.mean([each[k] for each in found]) for k in (0, 1))
    assert published_key_step_f1(clusters, labels) == pytest.approx(2 * precision * recall / (precision + recall))
    assert published_key_step_precision(clusters, labels).mean() == pytest.approx(precision)
    assert published_key_step_recall(clusters, labels).mean() == pytest.approx(recall)
    np.testing.assert_array_equal(published_key_step_iou(clusters, labels), [each.iou for each in found])


def test_other_names_of_clusters_and_other_frames_first_change_nothing():
    clusters, labels = random_videos(5, 4, 3)
    names = np.array([2, 0, 3, 1])
    order = [np.random.default_rng(1).permutation(len(own)) for own in labels]
    for measure in (task_key_step_f1, task_key_step_iou, published_key_step_iou):
        expected = measure(clusters, labels)
        np.testing.assert_allclose(measure([names[own] for own in clusters], labels), expected)
        shuffled = ([own[p] for own, p in zip(group, order, strict=True)] for group in (clusters, labels))
        np.testing.assert_allclose(measure(*shuffled), expected)
        np.testing.assert_allclose(measure(clusters[::-1], labels[::-1]), expected[::-1])


def test_clusters_must_mean_the_same_in_all_videos_of_a_task_but_not_as_published():
    labels = [np.repeat([0, 1], 10), np.repeat([0, 1], 10)]
    swapped = [labels[0], 1 - labels[1]]
    assert task_key_step_f1(swapped, labels).mean() == pytest.approx(0.5)
    assert published_key_step_f1(swapped, labels) == 1


def test_steps_without_a_cluster_count_as_zero_but_not_as_published():
    labels = [np.repeat([0, 1, 2, 3], 5)]
    clusters = [np.repeat([0, 0, 1, 1], 5)]
    assert task_key_steps(clusters, labels)[0] == pytest.approx((0.25, 0.5, 0.25))
    assert published_key_steps(clusters, labels)[0] == pytest.approx((0.5, 1.0, 0.5))


def test_background_is_no_step_of_a_task_but_one_as_published():
    labels = [np.repeat([-1, 0], [15, 5])]
    clusters = [np.repeat([0, 1], [15, 5])]
    everything = [np.zeros(20, dtype=int)]
    assert task_key_steps(clusters, labels)[0] == (1, 1, 1)
    assert task_key_steps(everything, labels)[0] == pytest.approx((0.25, 1, 0.25))
    assert published_key_steps(everything, labels)[0] == pytest.approx((0.75, 1, 0.75))


def test_what_has_no_figure():
    nothing = [np.full(6, -1)]
    assert math.isnan(task_key_step_f1([np.zeros(6, dtype=int)], nothing)[0])
    assert math.isnan(published_key_step_f1([], []))
    # One video of two shows no action.
    clusters, labels = [np.zeros(6, dtype=int)] * 2, [np.zeros(6, dtype=int), nothing[0]]
    f1 = task_key_step_f1(clusters, labels)
    assert f1[0] > 0
    assert math.isnan(f1[1])


def test_more_clusters_than_frames():
    labels = [np.array([0, 0, 1])]
    clusters = [np.array([11, 3, 7])]
    assert task_key_steps(clusters, labels)[0].precision == 1
    assert published_key_steps(clusters, labels)[0].iou == pytest.approx(0.75)


def test_another_number_of_labels_is_refused():
    with pytest.raises(ValueError, match="3 frames have a cluster, but 2 have a label"):
        task_key_steps([np.zeros(3, dtype=int)], [np.zeros(2, dtype=int)])
