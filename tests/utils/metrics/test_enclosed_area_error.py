import math

import numpy as np
import pytest

from tests.utils.metrics.annotations import annotation, frame_labels, random_annotation, valid_frames
from utils.metrics import enclosed_area_error, valid_alignment


def naive(neighbours, first, second, monotonic):
    """The definition: frames counted between the neighbour and each valid frame, that one left out."""
    shared = set(first["step"]) & set(second["step"]) - {"SIL"}
    counts = [monotonic or label in shared for label in frame_labels(second)]
    total = alignable = 0
    for i in range(len(frame_labels(first))):
        valid = valid_frames(first, second, i)
        if valid:
            alignable += 1
            low_high = [(min(neighbours[i], j), max(neighbours[i], j), j) for j in valid]
            total += min(sum(counts[k] for k in range(a, b + 1) if k != j) for a, b, j in low_high)
    return total / (alignable * sum(counts)) if alignable else math.nan


@pytest.mark.parametrize("monotonic", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_matches_the_definition(seed, monotonic):
    rng = np.random.default_rng(seed)
    first, second = random_annotation(rng), random_annotation(rng)
    neighbours = rng.integers(len(frame_labels(second)), size=len(frame_labels(first)))
    error = enclosed_area_error(neighbours, valid_alignment(first, second), monotonic)
    assert error == pytest.approx(naive(neighbours, first, second, monotonic), nan_ok=True)
    assert math.isnan(error) or 0 <= error < 1


@pytest.mark.parametrize("monotonic", [False, True])
def test_several_at_once_are_as_one_by_one(monotonic):
    rng = np.random.default_rng(3)
    first, second = random_annotation(rng), random_annotation(rng)
    alignment = valid_alignment(first, second)
    several = rng.integers(len(frame_labels(second)), size=(5, len(frame_labels(first))))
    expected = [enclosed_area_error(row, alignment, monotonic) for row in several]
    np.testing.assert_array_equal(enclosed_area_error(several, alignment, monotonic), expected)
    nothing = valid_alignment(annotation(("a", 3)), annotation(("b", 3)))
    assert np.isnan(enclosed_area_error(np.zeros((2, 3), dtype=int), nothing, monotonic)).all()


@pytest.mark.parametrize("seed", range(15))
def test_any_choice_of_valid_frames_has_no_error(seed):
    rng = np.random.default_rng(seed)
    first, second = random_annotation(rng, "ab"), random_annotation(rng, "ab")
    choices = [valid_frames(first, second, i) or [0] for i in range(len(frame_labels(first)))]
    neighbours = np.array([rng.choice(choice) for choice in choices])
    assert enclosed_area_error(neighbours, valid_alignment(first, second)) == 0
    assert enclosed_area_error(neighbours, valid_alignment(first, second), monotonic=True) == 0


def test_the_two_forms_agree_where_everything_is_alignable():
    video = annotation(("a", 4), ("b", 7))
    neighbours = np.random.default_rng(0).integers(11, size=11)
    alignment = valid_alignment(video, video)
    assert enclosed_area_error(neighbours, alignment) == enclosed_area_error(
        neighbours, alignment, monotonic=True
    )


def test_background_between_costs_nothing_in_the_wild():
    first, second = annotation(("a", 2)), annotation(("a", 2), ("SIL", 10))
    alignment = valid_alignment(first, second)
    at_the_far_end = np.array([11, 11])
    assert enclosed_area_error(at_the_far_end, alignment) == pytest.approx((1 + 0) / (2 * 2))
    assert enclosed_area_error(at_the_far_end, alignment, monotonic=True) == pytest.approx(
        (11 + 10) / (2 * 12)
    )


def test_the_nearest_occurrence_of_a_repeated_action_counts():
    first, second = annotation(("a", 1)), annotation(("a", 1), ("b", 5), ("a", 1))
    alignment = valid_alignment(first, second)
    assert enclosed_area_error(np.array([6]), alignment) == 0
    assert enclosed_area_error(np.array([5]), alignment, monotonic=True) == pytest.approx(1 / 7)
