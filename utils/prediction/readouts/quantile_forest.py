"""A forest of randomised trees whose leaves hold distributions: it answers with any quantile.

scikit-learn grows the trees; what is kept are plain arrays, which are read without it, in a fraction of a millisecond
for one row.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.errors import import_extra
from utils.prediction.readouts.distribution import GRID, PointMasses

CHECKED = 4  # levels, after each of which it is asked whether all trees are in a leaf: few are as deep as the deepest


@dataclass(frozen=True)
class QuantileForest:
    """Trees as arrays, one after the other.

    Attributes:
        feature: (N,) int32, which input a node asks for; -1 in a leaf.
        threshold: (N,) float64, the left child if the input is at most this.
        left, right: (N,) int32, the children; a leaf's are itself.
        roots: (trees,) int32.
        leaf: (N,) int32, the row of `mass` of a leaf; 0 elsewhere.
        mass: (leaves, 101) float16, the distribution of the truth in a leaf.
        depth: of the deepest tree.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    roots: np.ndarray
    leaf: np.ndarray
    mass: np.ndarray
    depth: int

    def distribution(self, inputs: np.ndarray) -> np.ndarray:
        """The mean distribution over all trees, (n, 101) float32.

        Args:
            inputs: (n, F) float64.
        """
        inputs = np.asarray(inputs, dtype=np.float32)  # as the trees were grown
        found = np.zeros((len(inputs), len(GRID)), dtype=np.float32)
        feature, thresholds, inputs_asked, children = self.feature, self.threshold, self._asked, self._children
        for start in range(0, len(inputs), 256):
            block = inputs[start : start + 256]
            values = block.ravel()
            first = np.arange(len(block))[:, None] * block.shape[1] if len(block) > 1 else None
            node = np.repeat(self.roots[None].astype(np.intp), len(block), axis=0)
            for level in range(self.depth):
                asked = inputs_asked.take(node)
                if first is not None:
                    asked += first
                node = children.take(2 * node + (values.take(asked) <= thresholds.take(node)))
                if level % CHECKED == CHECKED - 1 and (feature.take(node) < 0).all():
                    break
            # One row at a time: the sum over the trees of a row doesn't depend on the other rows.
            for row, leaves in enumerate(self.leaf[node]):
                found[start + row] = self.mass[leaves].sum(axis=0, dtype=np.float32)
        return found / len(self.roots)

    @cached_property
    def _asked(self) -> np.ndarray:
        """(N,) `feature`, any in a leaf."""
        return np.maximum(self.feature, 0).astype(np.intp)

    @cached_property
    def _children(self) -> np.ndarray:
        """(2 N,) the right and the left child of each node."""
        return np.column_stack([self.right, self.left]).ravel().astype(np.intp)


def fit_quantile_forest(
    inputs: np.ndarray, truth: np.ndarray, fewest: int, trees: int = 100, seed: int = 0
) -> QuantileForest:
    """Grows a forest.

    Args:
        inputs: (n, F) float64.
        truth: (n,) float64 in [0, 1].
        fewest: examples in a leaf.
        trees: how many.
        seed: of their random choices.

    Source: extremely randomised trees (Geurts, Ernst, Wehenkel 2006) read as Meinshausen's quantile regression forests
    (2006): the answer to an input is the mean of the distributions of its leaves.
    """
    ensemble = import_extra("sklearn.ensemble", "evaluation", "fitting progress")
    forest = ensemble.ExtraTreesRegressor(
        trees, min_samples_leaf=max(1, fewest), max_features=0.5, random_state=seed
    ).fit(inputs, truth)
    leaves_of = forest.apply(inputs)
    truth_on_grid = PointMasses(truth)
    names = ("feature", "threshold", "left", "right", "leaf", "mass")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    roots, nodes, rows, depth = [], 0, 0, 0
    for number, grown in enumerate(forest.estimators_):
        tree = grown.tree_
        own = np.arange(tree.node_count)
        is_leaf = tree.children_left < 0
        row = np.zeros(tree.node_count, dtype=np.int64)
        row[is_leaf] = np.arange(is_leaf.sum())
        mass = truth_on_grid.sums(row[leaves_of[:, number]], int(is_leaf.sum()))
        parts["feature"].append(np.where(is_leaf, -1, tree.feature))
        parts["threshold"].append(tree.threshold)
        parts["left"].append(np.where(is_leaf, own, tree.children_left) + nodes)
        parts["right"].append(np.where(is_leaf, own, tree.children_right) + nodes)
        parts["leaf"].append(np.where(is_leaf, row + rows, 0))
        parts["mass"].append(mass / mass.sum(axis=1, keepdims=True))
        roots.append(nodes)
        nodes += tree.node_count
        rows += len(mass)
        depth = max(depth, tree.max_depth)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    kinds = {"threshold": np.float64, "mass": np.float16}
    arrays = {name: values.astype(kinds.get(name, np.int32)) for name, values in joined.items()}
    return QuantileForest(**arrays, roots=np.array(roots, dtype=np.int32), depth=depth)


def forest_can_be_grown() -> bool:
    """Whether the library that grows forests is installed."""
    return importlib.util.find_spec("sklearn") is not None
