"""A linear support vector machine with the squared hinge loss, one machine per class, solved exactly."""

from __future__ import annotations

import numpy as np

MOST_STEPS = {np.dtype(np.float64): 200, np.dtype(np.float32): 50}
MOST_VALUES = 1 << 24  # values of all Hessians in memory at once
SUFFICIENT_DECREASE = 1e-4
LEAST_SHARE = 1e-10
# Of the gradient's norm, as a share of that at w = 0.
PRECISION = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-5}


def fit_linear_machines(frames: np.ndarray, labels: np.ndarray, cost: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """One linear machine per class against all others.

        min_w 1/2 |w|^2 + cost * sum_i max(0, 1 - y_i w.x_i)^2,   y_i = 1 for the class, -1 for the others

    with x_i the frame and a constant 1, whose weight (the intercept) is regularised like the others. The loss
    is quadratic as long as the set of frames with a positive hinge doesn't change, so Newton's method with a line
    search reaches the minimum after a few steps. In each step only the change of the Hessian is computed.

    Frames in single precision are solved in single precision, which takes half the time. If the result isn't near
    enough to the minimum, the problem is solved again in double precision.

    Args:
        frames: (N, D), standardised.
        labels: (N,) int.
        cost: weight of the hinge losses, above 0.

    Returns:
        (K,) the classes in increasing order, and (D + 1, K) weights, the intercepts in the last row.

    Source: Chapelle, "Training a support vector machine in the primal" (Neural Computation 2007), section 3.
    """
    if frames.dtype != np.float32:
        frames = frames.astype(np.float64, copy=False)
    inputs = np.concatenate([frames, np.ones((len(frames), 1), dtype=frames.dtype)], axis=1)
    classes = np.unique(labels)
    signs = np.where(labels[:, None] == classes, 1.0, -1.0).astype(inputs.dtype)
    # At w = 0 every hinge is positive, so that all machines begin with the same Hessian.
    hessian = np.eye(inputs.shape[1], dtype=inputs.dtype) + 2 * cost * inputs.T @ inputs
    together = max(1, MOST_VALUES // hessian.size)
    weights = np.empty((inputs.shape[1], len(classes)), dtype=inputs.dtype)
    for first in range(0, len(classes), together):
        machines = slice(first, first + together)
        weights[:, machines], near = _minimise(inputs, signs[:, machines], cost, hessian)
        if not near and inputs.dtype == np.float32:
            return fit_linear_machines(frames.astype(np.float64), labels, cost)
    return classes, weights


def _minimise(
    inputs: np.ndarray, signs: np.ndarray, cost: float, first_hessian: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Newton's method for k machines at once, from w = 0 with the given Hessian: (D + 1, k), and whether all of them
    are as near to the minimum as PRECISION demands."""
    number = signs.shape[1]
    final, near = np.zeros((inputs.shape[1], number), dtype=inputs.dtype), np.zeros(number, dtype=bool)
    hessians = np.repeat(first_hessian[None], number, axis=0)
    running, weights, outputs = np.arange(number), final, np.zeros_like(signs)
    hinged = np.ones(signs.shape, dtype=bool)
    gradient = -2 * cost * inputs.T @ signs
    enough = PRECISION[inputs.dtype] * np.abs(gradient).max(axis=0)
    for _ in range(MOST_STEPS[inputs.dtype]):
        step = -np.linalg.solve(hessians, gradient.T[..., None])[..., 0].T
        output_step = inputs @ step
        share = _line_search(weights, outputs, step, output_step, signs, cost, gradient)
        weights, outputs = weights + share * step, outputs + share * output_step
        before, hinged = hinged, signs * outputs < 1
        gradient = weights - 2 * cost * inputs.T @ np.where(hinged, signs - outputs, 0.0)
        final[:, running] = weights
        near[running] = np.abs(gradient).max(axis=0) <= enough
        # A step size of 0: the remaining improvement is smaller than the rounding error.
        going_on = (share > 0) & ~near[running]
        if not going_on.any():
            break
        running, enough, hessians = running[going_on], enough[going_on], hessians[going_on]
        weights, outputs, signs, before, hinged, gradient = (
            x[:, going_on] for x in (weights, outputs, signs, before, hinged, gradient)
        )
        for hessian, old, new in zip(hessians, before.T, hinged.T, strict=True):
            _update_hessian(hessian, inputs, old, new, cost)
    return final, bool(near.all())


def _line_search(
    weights: np.ndarray,
    outputs: np.ndarray,
    step: np.ndarray,
    output_step: np.ndarray,
    signs: np.ndarray,
    cost: float,
    gradient: np.ndarray,
) -> np.ndarray:
    """Step size of each machine, (k,): 1, halved until the objective decreases enough, or 0."""

    def objective(share: np.ndarray) -> np.ndarray:
        hinge = np.maximum(1 - signs * (outputs + share * output_step), 0)
        return np.square(weights + share * step).sum(axis=0) / 2 + cost * np.square(hinge).sum(axis=0, dtype=np.float64)

    share = np.ones(signs.shape[1], dtype=signs.dtype)
    value, slope = objective(np.zeros_like(share)), (gradient * step).sum(axis=0)
    while (short := objective(share) > value + SUFFICIENT_DECREASE * share * slope).any():
        share[short] /= 2
        share[share < LEAST_SHARE] = 0.0
    return share


def _update_hessian(
    hessian: np.ndarray, inputs: np.ndarray, before: np.ndarray, hinged: np.ndarray, cost: float
) -> None:
    """Updates the Hessian in place for the new set of frames with a positive hinge, by the cheaper of two ways."""
    come, gone = inputs[hinged & ~before], inputs[before & ~hinged]
    if len(come) + len(gone) < np.count_nonzero(hinged):
        hessian += 2 * cost * (come.T @ come)
        hessian -= 2 * cost * (gone.T @ gone)
    else:
        held = inputs[hinged]
        hessian[...] = 2 * cost * (held.T @ held)
        hessian[np.diag_indices_from(hessian)] += 1
