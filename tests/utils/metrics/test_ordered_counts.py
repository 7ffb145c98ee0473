import numpy as np
import pytest

from utils.metrics import ordered_counts
from utils.metrics.ordered_counts import count_smaller_before


def naive(values, ends, thresholds):
    return [
        [
            sum(int((own[:end] < t).sum()) for end, t in zip(own_ends, own_thresholds, strict=True))
            for own, own_ends, own_thresholds in zip(values, ends, row, strict=True)
        ]
        for row in thresholds
    ]


@pytest.mark.parametrize("block", [None, 1, 3, 64])
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 150])
def test_matches_the_definition(count, block):
    rng = np.random.default_rng(count)
    values, ends = rng.integers(20, size=(2, count)), rng.integers(count + 1, size=(2, 40))
    thresholds = rng.integers(21, size=(3, 2, 40))
    assert count_smaller_before(values, ends, thresholds, 20, block).tolist() == naive(values, ends, thresholds)


def test_wide_values_and_small_tables(monkeypatch):
    rng = np.random.default_rng(0)
    values, ends = rng.integers(50_000, size=(3, 400)), rng.integers(401, size=(3, 400))
    thresholds = np.stack([values, values + 1])
    expected = naive(values, ends, thresholds)
    assert count_smaller_before(values, ends, thresholds, 50_000).tolist() == expected
    monkeypatch.setattr(ordered_counts, "MOST_CELLS", 2000)  # one block that holds everything, a few queries at once
    assert count_smaller_before(values, ends, thresholds, 50_000).tolist() == expected


def test_no_query_counts_nothing():
    nothing = np.zeros((1, 0), dtype=int)
    assert count_smaller_before(np.array([[1]]), nothing, np.zeros((2, 1, 0), int), 3).tolist() == [[0], [0]]
