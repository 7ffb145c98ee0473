import math

import numpy as np
import pytest

from utils.data.values import is_number, is_whole


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, -1, 2**63, np.int64(1), [1], math.nan])
def test_what_is_no_whole_number_from_zero(value):
    assert not is_whole(value)


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_whole_numbers(value):
    assert is_whole(value)
    assert is_number(value)


def test_the_range_is_inclusive_and_may_be_endless():
    assert [value for value in range(6) if is_whole(value, 2, 4)] == [2, 3, 4]
    assert is_whole(-(10**30), -math.inf, math.inf)


def test_numbers():
    assert all(map(is_number, [-3, 0.5, math.inf, math.nan]))
    assert not any(map(is_number, [True, "1", None, 1j, 2**64]))
