import numpy as np
import pytest
import torch

from utils.metrics import nearest_neighbours


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("shape", [(1, 1), (30, 41), (41, 30)])
def test_matches_all_distances_in_both_directions(shape, block):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(n, 5, generator=generator) for n in shape)
    distance = ((first[:, None].double() - second.double()) ** 2).sum(2)
    forward, backward = nearest_neighbours(first, second, block)
    np.testing.assert_array_equal(forward, distance.argmin(1))
    np.testing.assert_array_equal(backward, distance.argmin(0))


def test_swapping_the_videos_swaps_the_results():
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn(50, 8, generator=generator), torch.randn(33, 8, generator=generator)
    forward, backward = nearest_neighbours(first, second, block=16)
    swapped = nearest_neighbours(second, first, block=16)
    assert torch.equal(forward, swapped[1])
    assert torch.equal(backward, swapped[0])


def test_stays_exact_far_from_the_origin():
    video = torch.linspace(0, 1, 200)[:, None].repeat(1, 4) + 500.0
    forward, backward = nearest_neighbours(video, video.clone())
    assert torch.equal(forward, torch.arange(200))
    assert torch.equal(backward, torch.arange(200))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.zeros(0, 3), torch.zeros(2, 3)),
        (torch.zeros(2, 3), torch.zeros(2, 4)),
        (torch.zeros(2), torch.zeros(2, 1)),
    ],
)
def test_refuses_what_has_no_distance(first, second):
    with pytest.raises(ValueError, match=r"embeddings|frame"):
        nearest_neighbours(first, second)
