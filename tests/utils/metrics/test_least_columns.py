import numpy as np
import pytest

from utils.metrics.least_columns import least_columns


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("columns", "number"), [(1, 1), (40, 40), (300, 1), (300, 17), (1000, 64), (1000, 65), (777, 9)]
)
def test_the_least_of_each_row_with_the_greatest_of_them_last(columns, number, kind):
    values = np.random.default_rng(columns).normal(size=(20, columns)).astype(kind)
    values[3:5, columns // 2 :] = np.inf if number <= columns // 2 else 7
    found = least_columns(values, number)
    assert found.shape == (20, number)
    least = np.take_along_axis(values, found, axis=1)
    np.testing.assert_array_equal(np.sort(least, axis=1), np.sort(values, axis=1)[:, :number])
    np.testing.assert_array_equal(least[:, -1], least.max(axis=1))
    assert all(len(set(row)) == number for row in found.tolist())


def test_equal_values_are_found_once_each():
    found = least_columns(np.zeros((2, 500)), 16)
    assert all(len(set(row)) == 16 for row in found.tolist())
