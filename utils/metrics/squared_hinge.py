"""A linear support vector machine with the squared hinge loss, one machine a class, solved exactly."""

from __future__ import annotations

import numpy as np

MOST_STEPS = 200
MOST_VALUES = 1 << 24  # of all Hessians at once
SUFFICIENT_DECREASE = 1e-4
PRECISION = 1e-10


def fit_linear_machines(frames: np.ndarray, labels: np.ndarray, cost: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """One linear machine a class against all others.

        min_w 1/2 |w|^2 + cost * sum_i max(0, 1 - y_i w.x_i)^2,   y_i = 1 for the class, -1 for the others

    with x_i the frame and a constant 1, whose weight (the intercept) is regularised like the others. The loss
    is a quadratic wherever the set of frames with a positive hinge stays the same, so that Newton's method with
    a line search ends at the minimum after a few steps; of the Hessian only what has changed is computed.

    Args:
        frames: (N, D), standardised.
        labels: (N,) int.
        cost: weight of the hinge losses, above 0.

    Returns:
        (K,) the classes in increasing order, and (D + 1, K) float64 weights, the intercepts in the last row.

    Source: Chapelle, "Training a support vector machine in the primal" (Neural Computation 2007), section 3.
    """
    inputs = np.concatenate([frames, np.ones((len(frames), 1))], axis=1)
    classes = np.unique(labels)
    signs = np.where(labels[:, None] == classes, 1.0, -1.0)
    # At w = 0 every hinge is positive, so that all machines begin with the same Hessian.
    hessian = np.eye(inputs.shape[1]) + 2 * cost * inputs.T @ inputs
    together = max(1, MOST_VALUES // hessian.size)
    weights = [
        _minimise(inputs, signs[:, first : first + together], cost, hessian)
        for first in range(0, len(classes), together)
    ]
    return classes, np.concatenate(weights, axis=1)


def _minimise(inputs: np.ndarray, signs: np.ndarray, cost: float, first_hessian: np.ndarray) -> np.ndarray:
    """Newton's method from w = 0, of which the Hessian is given, for k machines in step: (D + 1, k)."""
    number = signs.shape[1]
    final = np.zeros((inputs.shape[1], number))
    hessians = np.repeat(first_hessian[None], number, axis=0)
    running, weights, outputs = np.arange(number), final, np.zeros_like(signs)
    hinged = np.ones(signs.shape, dtype=bool)
    gradient = -2 * cost * inputs.T @ signs
    enough = PRECISION * np.abs(gradient).max(axis=0)
    for _ in range(MOST_STEPS):
        step = -np.linalg.solve(hessians, gradient.T[..., None])[..., 0].T
        output_step = inputs @ step
        share = _line_search(weights, outputs, step, output_step, signs, cost, gradient)
        weights, outputs = weights + share * step, outputs + share * output_step
        before, hinged = hinged, signs * outputs < 1
        gradient = weights - 2 * cost * inputs.T @ np.where(hinged, signs - outputs, 0.0)
        final[:, running] = weights
        # A share of 0: what is left to gain drowns in rounding.
        going_on = (share > 0) & (np.abs(gradient).max(axis=0) > enough)
        if not going_on.any():
            break
        running, enough, hessians = running[going_on], enough[going_on], hessians[going_on]
        weights, outputs, signs, before, hinged, gradient = (
            x[:, going_on] for x in (weights, outputs, signs, before, hinged, gradient)
        )
        for hessian, old, new in zip(hessians, before.T, hinged.T, strict=True):
            _update_hessian(hessian, inputs, old, new, cost)
    return final


def _line_search(
    weights: np.ndarray,
    outputs: np.ndarray,
    step: np.ndarray,
    output_step: np.ndarray,
    signs: np.ndarray,
    cost: float,
    gradient: np.ndarray,
) -> np.ndarray:
    """The share of each machine's step to go, (k,): 1 halved until the objective falls enough, or 0."""

    def objective(share: np.ndarray) -> np.ndarray:
        hinge = np.maximum(1 - signs * (outputs + share * output_step), 0)
        return np.square(weights + share * step).sum(axis=0) / 2 + cost * np.square(hinge).sum(axis=0)

    share = np.ones(signs.shape[1])
    value, slope = objective(np.zeros_like(share)), (gradient * step).sum(axis=0)
    while (short := objective(share) > value + SUFFICIENT_DECREASE * share * slope).any():
        share[short] /= 2
        share[share < PRECISION] = 0.0
    return share


def _update_hessian(
    hessian: np.ndarray, inputs: np.ndarray, before: np.ndarray, hinged: np.ndarray, cost: float
) -> None:
    """From the frames with a positive hinge before to those now, in place, by the shorter of two ways."""
    come, gone = inputs[hinged & ~before], inputs[before & ~hinged]
    if len(come) + len(gone) < np.count_nonzero(hinged):
        hessian += 2 * cost * (come.T @ come)
        hessian -= 2 * cost * (gone.T @ gone)
    else:
        held = inputs[hinged]
        hessian[...] = 2 * cost * (held.T @ held)
        hessian[np.diag_indices_from(hessian)] += 1
