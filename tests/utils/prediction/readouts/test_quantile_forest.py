"""The forest's arrays against scikit-learn's own trees."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from tests.labelled_recordings import random_state_untouched
from utils.prediction.readouts.distribution import GRID, on_grid
from utils.prediction.readouts.quantile_forest import fit_quantile_forest


def example(rows=400, width=5, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, width))
    return inputs, np.clip(0.5 + 0.2 * inputs[:, 0] + 0.1 * np.sin(3 * inputs[:, 1]), 0, 1)


@pytest.mark.parametrize("fewest", [1, 7])
def test_the_mean_is_what_the_library_predicts(fewest):
    inputs, truth = example()
    forest = fit_quantile_forest(inputs, truth, fewest, trees=12, seed=3)
    library = ExtraTreesRegressor(12, min_samples_leaf=fewest, max_features=0.5, random_state=3).fit(inputs, truth)
    new = np.concatenate([inputs, example(300, seed=1)[0], np.full((1, 5), 1e6), np.full((1, 5), -1e30)])
    found = forest.distribution(new)
    assert found.shape == (len(new), 101)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=2e-3)  # half precision in the leaves
    np.testing.assert_allclose(found @ GRID, library.predict(new), atol=2e-3)


def test_the_distribution_is_the_mean_over_the_leaves_of_the_truth_in_them():
    inputs, truth = example(60)
    forest = fit_quantile_forest(inputs, truth, 5, trees=4, seed=0)
    library = ExtraTreesRegressor(4, min_samples_leaf=5, max_features=0.5, random_state=0).fit(inputs, truth)
    leaves, masses = library.apply(inputs), on_grid(truth)
    for row, found in enumerate(forest.distribution(inputs)):
        expected = np.mean([masses[leaves[:, tree] == leaves[row, tree]].mean(axis=0) for tree in range(4)], axis=0)
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_row_does_not_depend_on_the_others():
    inputs, truth = example()
    forest = fit_quantile_forest(inputs, truth, 5, trees=9)
    together = forest.distribution(inputs)
    for row in (0, 1, 255, 256, 399):
        assert (forest.distribution(inputs[row : row + 1])[0] == together[row]).all()
    assert forest.distribution(inputs[:0]).shape == (0, 101)


def test_a_seed_gives_the_same_forest_and_another_seed_another():
    inputs, truth = example()
    with random_state_untouched():
        first, again, other = (fit_quantile_forest(inputs, truth, 5, trees=5, seed=seed) for seed in (1, 1, 2))
    assert (first.threshold == again.threshold).all()
    assert (first.mass == again.mass).all()
    assert not np.array_equal(first.threshold, other.threshold)


def test_a_leaf_is_its_own_child_and_every_node_is_reached():
    forest = fit_quantile_forest(*example(), 5, trees=5)
    leaves = forest.feature < 0
    own = np.arange(len(forest.feature))
    assert (forest.left[leaves] == own[leaves]).all()
    assert (forest.right[leaves] == own[leaves]).all()
    children = np.concatenate([forest.left[~leaves], forest.right[~leaves]])
    assert sorted([*children, *forest.roots]) == own.tolist()
    assert sorted(forest.leaf[leaves]) == list(range(len(forest.mass)))


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_few_or_equal_examples_give_a_single_leaf(rows):
    forest = fit_quantile_forest(np.zeros((rows, 3)), np.full(rows, 0.37), 10, trees=3)
    found = forest.distribution(np.ones((4, 3)))
    np.testing.assert_allclose(found @ GRID, 0.37, atol=1e-3)
