import importlib
import math
import tracemalloc

import numpy as np
import pytest

from tests.utils.metrics.annotations import annotation, frame_labels, random_annotation, valid_frames
from utils.metrics import kendalls_tau, kendalls_tau_in_the_wild, valid_alignment

in_the_wild = importlib.import_module("utils.metrics.kendalls_tau_in_the_wild")


def naive(neighbours, first, second):
    """The definition, over every pair and every pair of valid frames."""
    sets = {i: valid_frames(first, second, i) for i in range(len(frame_labels(first)))}
    frames = [i for i, valid in sets.items() if valid]
    score = pairs = 0
    for a, i in enumerate(frames):
        for j in frames[a + 1 :]:
            pairs += 1
            found = np.sign(int(neighbours[j]) - int(neighbours[i]))
            possible = {int(np.sign(k2 - k1)) for k1 in sets[i] for k2 in sets[j]}
            if found in possible:
                score += 1
            elif found != 0 and possible == {-found}:
                score -= 1
    return score / pairs if pairs else math.nan


@pytest.mark.parametrize("pairs_at_once", [1, 7, 1 << 20])
@pytest.mark.parametrize("seed", range(12))
def test_matches_the_definition(seed, pairs_at_once, monkeypatch):
    monkeypatch.setattr(in_the_wild, "MOST_PAIRS", pairs_at_once)
    rng = np.random.default_rng(seed)
    labels = "abcd" if seed % 2 else "ab"  # few labels, many repeats
    first, second = random_annotation(rng, labels), random_annotation(rng, labels)
    # Few different neighbours, so that ties of every kind occur.
    neighbours = rng.integers(min(6, len(frame_labels(second))), size=len(frame_labels(first)))
    tau = kendalls_tau_in_the_wild(neighbours, valid_alignment(first, second))
    assert tau == pytest.approx(naive(neighbours, first, second), nan_ok=True)


def test_a_collapsed_embedding_of_a_long_video_takes_no_memory_for_all_pairs():
    first = annotation(("a", 6000), ("SIL", 10), ("a", 6000))
    second = annotation(("a", 3000), ("SIL", 10), ("a", 40), ("a", 3000))
    alignment = valid_alignment(first, second)
    tracemalloc.start()
    tau = kendalls_tau_in_the_wild(np.zeros(12010, dtype=np.int64), alignment)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < tau < 0.1  # the few pairs that the truth puts on one frame
    assert peak < 100e6  # the 144 million pairs would take as many bytes at least


def test_several_at_once_are_as_one_by_one():
    rng = np.random.default_rng(3)
    first, second = random_annotation(rng), random_annotation(rng)
    alignment, length = valid_alignment(first, second), len(frame_labels(first))
    several = rng.integers(min(6, len(frame_labels(second))), size=(5, length))
    expected = [kendalls_tau_in_the_wild(row, alignment) for row in several]
    np.testing.assert_array_equal(kendalls_tau_in_the_wild(several, alignment), expected)
    nothing = valid_alignment(annotation(("a", 3)), annotation(("b", 3)))
    assert np.isnan(kendalls_tau_in_the_wild(np.zeros((2, 3), dtype=int), nothing)).all()


@pytest.mark.parametrize("seed", range(15))
def test_any_choice_of_valid_frames_scores_one(seed):
    rng = np.random.default_rng(seed)
    first, second = random_annotation(rng, "abc"), random_annotation(rng, "abc")
    choices = [valid_frames(first, second, i) or [0] for i in range(len(frame_labels(first)))]
    neighbours = np.array([rng.choice(choice) for choice in choices])
    tau = kendalls_tau_in_the_wild(neighbours, valid_alignment(first, second))
    assert math.isnan(tau) or tau == 1


def test_a_perfect_pair_with_half_background_scores_one():
    video = annotation(("SIL", 10), ("a", 10), ("SIL", 10), ("b", 10))
    assert kendalls_tau_in_the_wild(np.arange(40), valid_alignment(video, video)) == 1


def test_equals_kendalls_tau_without_background_repeats_and_ties():
    video = annotation(("a", 12), ("b", 8))
    alignment = valid_alignment(video, video)
    permutation = np.random.default_rng(0).permutation(20)
    assert kendalls_tau_in_the_wild(permutation, alignment) == pytest.approx(kendalls_tau(permutation))
    assert kendalls_tau_in_the_wild(np.arange(20)[::-1], alignment) == -1


def test_by_hand_swapped_actions():
    first, second = annotation(("a", 1), ("b", 1)), annotation(("b", 1), ("a", 1))
    alignment = valid_alignment(first, second)
    assert kendalls_tau_in_the_wild(np.array([1, 0]), alignment) == 1  # the truth runs backwards here
    assert kendalls_tau_in_the_wild(np.array([0, 1]), alignment) == -1
    assert kendalls_tau_in_the_wild(np.array([1, 1]), alignment) == 0  # tied where the truth isn't


def test_by_hand_repeated_action():
    # V shows a before and after b, so either order of a and b is valid, but not a tie.
    first, second = (
        annotation(("a", 1), ("b", 1), ("c", 1)),
        annotation(("a", 1), ("b", 1), ("a", 1), ("c", 1)),
    )
    alignment = valid_alignment(first, second)
    assert kendalls_tau_in_the_wild(np.array([0, 1, 3]), alignment) == 1
    assert kendalls_tau_in_the_wild(np.array([2, 1, 3]), alignment) == 1
    # (a, b) fits the second a; (a, c) and (b, c) are both reversed: (1 - 1 - 1) / 3.
    assert kendalls_tau_in_the_wild(np.array([3, 2, 1]), alignment) == pytest.approx(-1 / 3)
    # All on one frame: three ties, none of them true.
    assert kendalls_tau_in_the_wild(np.array([1, 1, 1]), alignment) == 0


def test_by_hand_two_frames_that_share_a_valid_frame():
    # Two frames of U fall on the single frame of V: the tie is the truth, any order is neither.
    alignment = valid_alignment(annotation(("a", 2)), annotation(("a", 1), ("SIL", 1)))
    assert kendalls_tau_in_the_wild(np.array([0, 0]), alignment) == 1
    assert kendalls_tau_in_the_wild(np.array([0, 1]), alignment) == 0


def test_fewer_than_two_alignable_frames_have_no_order():
    assert math.isnan(
        kendalls_tau_in_the_wild(
            np.array([0, 1]), valid_alignment(annotation(("a", 1), ("SIL", 1)), annotation(("a", 3)))
        )
    )
