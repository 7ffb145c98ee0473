import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.labelled_recordings import recording_of
from utils.prediction.readouts.folds import folds_for_cross_fitting, folds_of


def members(groups):
    return [recording_of(["cut"], [1], index, group=group) for index, group in enumerate(groups)]


@given(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), min_size=1, max_size=20), st.integers(2, 6))
def test_groups_are_never_divided_and_every_fold_is_used(groups, folds):
    found = folds_of(members(groups), folds)
    assert found.dtype == np.int64
    for group in set(groups) - {""}:
        assert len({int(fold) for fold, own in zip(found, groups, strict=True) if own == group}) == 1
    units = groups.count("") + len(set(groups) - {""})
    assert sorted(set(found.tolist())) == list(range(min(folds, units)))


@pytest.mark.parametrize("number", [2, 5, 7, 23])
def test_neighbours_are_together_and_folds_about_equally_large(number):
    found = folds_of(members([""] * number), 5)
    assert (np.diff(found) >= 0).all()
    sizes = np.bincount(found)
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == min(5, number)


def test_a_single_group_is_divided_only_where_nothing_else_could_judge():
    assert folds_of(members(["a"] * 6), 3).tolist() == [0] * 6
    assert folds_for_cross_fitting(members(["a"] * 6), 3).tolist() == [0, 0, 1, 1, 2, 2]
    grouped = members(["a", "a", "b"])
    assert folds_for_cross_fitting(grouped, 3).tolist() == folds_of(grouped, 3).tolist()
    assert folds_for_cross_fitting(members(["a"]), 3).tolist() == [0]


def test_a_large_group_gets_a_fold_of_its_own():
    found = folds_of(members(["a"] * 6 + ["b"] * 2 + ["c"] * 2 + ["d"] * 2), 2)
    assert sorted(np.bincount(found)) == [6, 6]
