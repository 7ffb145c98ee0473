import numpy as np
import pytest

from utils.metrics import nearest_neighbours


@pytest.mark.parametrize("block", [None, 1, 7, 1000])
@pytest.mark.parametrize("shape", [(1, 1), (30, 41), (41, 30)])
def test_matches_all_distances_in_both_directions(shape, block):
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(n, 5)).astype(np.float32) for n in shape)
    distance = np.square(first[:, None].astype(np.float64) - second).sum(axis=2)
    forward, backward = nearest_neighbours(first, second, block)
    np.testing.assert_array_equal(forward, distance.argmin(axis=1))
    np.testing.assert_array_equal(backward, distance.argmin(axis=0))


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_of_equally_near_frames_the_first_counts_in_both_directions(block):
    rng = np.random.default_rng(2)
    # Small whole numbers around a mean of zero, so that equal distances are equal to the last bit.
    first, half = (rng.integers(-2, 3, size=(n, 2)).astype(np.float32) for n in (30, 20))
    second = np.concatenate([half, -half])
    distance = np.square(first[:, None] - second).sum(axis=2)
    forward, backward = nearest_neighbours(first, second, block)
    np.testing.assert_array_equal(forward, distance.argmin(axis=1))
    np.testing.assert_array_equal(backward, distance.argmin(axis=0))


def test_swapping_the_videos_swaps_the_results():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(50, 8)), rng.normal(size=(33, 8))
    forward, backward = nearest_neighbours(first, second, block=16)
    swapped = nearest_neighbours(second, first, block=16)
    np.testing.assert_array_equal(forward, swapped[1])
    np.testing.assert_array_equal(backward, swapped[0])


def test_stays_exact_far_from_the_origin():
    video = np.linspace(0, 1, 200, dtype=np.float32)[:, None].repeat(4, axis=1) + np.float32(500)
    forward, backward = nearest_neighbours(video, video.copy())
    np.testing.assert_array_equal(forward, np.arange(200))
    np.testing.assert_array_equal(backward, np.arange(200))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.zeros((0, 3)), np.zeros((2, 3))),
        (np.zeros((2, 3)), np.zeros((2, 4))),
        (np.zeros(2), np.zeros((2, 1))),
    ],
)
def test_refuses_what_has_no_distance(first, second):
    with pytest.raises(ValueError, match=r"embeddings|frame"):
        nearest_neighbours(first, second)
