import numpy as np
import pytest

from utils.metrics.dynamic_time_warping import dynamic_time_warping_path, path_through_rows


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


def test_of_steps_that_cost_the_same_the_diagonal_comes_first():
    for shape in ((6, 6), (4, 9), (9, 4)):
        path = dynamic_time_warping_path(np.zeros(shape))
        shorter = min(shape)
        # Read from the end, where the ways are chosen: as far along the diagonal as it goes.
        expected = np.stack([np.arange(n - shorter, n) for n in shape], axis=1)
        np.testing.assert_array_equal(path[-shorter:], expected)
    whole = np.random.default_rng(0).integers(0, 3, size=(30, 40))
    total = np.full((31, 41), np.inf)
    total[0, 0] = 0
    for i in range(30):
        for j in range(40):
            total[i + 1, j + 1] = whole[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    i, j = 30, 40
    for row, column in dynamic_time_warping_path(whole)[::-1]:
        assert (row, column) == (i - 1, j - 1)
        ways = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        i, j = min(ways, key=lambda way: total[way])


def test_costs_in_single_precision_are_summed_in_double():
    cost = np.random.default_rng(1).random((40, 3000)).astype(np.float32) + np.float32(1e4)
    path = dynamic_time_warping_path(cost)
    assert cost.astype(np.float64)[path[:, 0], path[:, 1]].sum() == pytest.approx(naive_cost(cost.astype(np.float64)))


def test_rows_may_come_one_after_the_other():
    cost = np.random.default_rng(2).random((12, 9))
    np.testing.assert_array_equal(path_through_rows(iter(cost), cost.shape), dynamic_time_warping_path(cost))
