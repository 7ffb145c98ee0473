import numpy as np
import pytest

from utils.metrics.dynamic_time_warping import dynamic_time_warping_path


def naive_cost(cost):
    rows, columns = cost.shape
    total = np.full((rows, columns), np.inf)
    for i in range(rows):
        for j in range(columns):
            before = [total[i - 1, j] if i else np.inf, total[i, j - 1] if j else np.inf]
            before.append(total[i - 1, j - 1] if i and j else (np.inf if i or j else 0))
            total[i, j] = cost[i, j] + min(before)
    return total[-1, -1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (9, 5), (5, 9), (20, 20)])
def test_the_path_is_connected_and_has_the_least_cost(shape):
    for seed in range(5):
        cost = np.random.default_rng(seed).random(shape)
        path = dynamic_time_warping_path(cost)
        assert path[0].tolist() == [0, 0]
        assert path[-1].tolist() == [shape[0] - 1, shape[1] - 1]
        assert {tuple(step) for step in np.diff(path, axis=0)} <= {(0, 1), (1, 0), (1, 1)}
        assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(naive_cost(cost))


def test_equal_sequences_align_on_the_diagonal():
    values = np.arange(12.0)
    path = dynamic_time_warping_path(np.abs(values[:, None] - values))
    np.testing.assert_array_equal(path, np.stack([values, values], axis=1))
