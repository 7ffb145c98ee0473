import math

import numpy as np
import pytest
from scipy.stats import kendalltau

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


@pytest.mark.parametrize("block", [1, 4, 256])
@pytest.mark.parametrize("seed", range(10))
def test_matches_the_definition(seed, block):
    rng = np.random.default_rng(seed)
    neighbours = rng.integers(12, size=rng.integers(2, 25))
    if len(set(neighbours)) > 1:
        assert kendalls_tau(neighbours, block) == pytest.approx(naive(neighbours))


def test_long_videos_need_wider_integers_and_agree_with_scipy():
    neighbours = np.random.default_rng(0).integers(20000, 60000, size=700)
    assert kendalls_tau(neighbours) == pytest.approx(kendalltau(np.arange(700), neighbours).statistic)


def test_order_kept_reversed_and_lost():
    assert kendalls_tau(np.arange(50) * 2) == pytest.approx(1)
    assert kendalls_tau(np.arange(50)[::-1]) == pytest.approx(-1)
    assert kendalls_tau(np.full(50, 7)) == 0
    assert math.isnan(kendalls_tau(np.array([3])))
