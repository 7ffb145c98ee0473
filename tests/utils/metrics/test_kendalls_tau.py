import math

import numpy as np
import pytest

from utils.metrics import kendalls_tau


def naive(neighbours):
    concordant = discordant = tied = pairs = 0
    for i in range(len(neighbours)):
        for j in range(i + 1, len(neighbours)):
            pairs += 1
            concordant += neighbours[i] < neighbours[j]
            discordant += neighbours[i] > neighbours[j]
            tied += neighbours[i] == neighbours[j]
    return (concordant - discordant) / math.sqrt(pairs * (pairs - tied))


@pytest.mark.parametrize("seed", range(10))
def test_matches_the_definition(seed):
    rng = np.random.default_rng(seed)
    neighbours = rng.integers(12, size=rng.integers(2, 25))
    if len(set(neighbours)) > 1:
        assert kendalls_tau(neighbours) == pytest.approx(naive(neighbours))


@pytest.mark.parametrize("neighbours", [[3, 5], [5, 3], [0, 4, 4], [2, 0, 1]])
def test_the_shortest_videos(neighbours):
    assert kendalls_tau(np.array(neighbours)) == pytest.approx(naive(neighbours))


def test_long_videos_with_many_different_neighbours():
    neighbours = np.random.default_rng(0).integers(20000, 60000, size=700)
    assert kendalls_tau(neighbours) == pytest.approx(naive(neighbours.tolist()))


def test_order_kept_reversed_and_lost():
    assert kendalls_tau(np.arange(50) * 2) == pytest.approx(1)
    assert kendalls_tau(np.arange(50)[::-1]) == pytest.approx(-1)
    assert kendalls_tau(np.full(50, 7)) == 0
    assert math.isnan(kendalls_tau(np.array([3])))


def test_several_at_once_are_as_one_by_one():
    rng = np.random.default_rng(5)
    several = np.concatenate([rng.integers(9, size=(4, 30)), np.zeros((1, 30), dtype=int), np.arange(30)[None]])
    np.testing.assert_array_equal(kendalls_tau(several), [kendalls_tau(row) for row in several])
    assert np.isnan(kendalls_tau(several[:, :1])).all()


def test_a_long_collapsed_video_overflows_nothing():
    count = 120_000  # the square of the number of pairs is beyond 64 bits
    neighbours = np.arange(count) // 60_000
    pairs, tied = count * (count - 1) / 2, 2 * 60_000 * 59_999 / 2
    assert kendalls_tau(neighbours) == pytest.approx(math.sqrt((pairs - tied) / pairs))
