"""A linear support vector machine with the squared hinge loss, one machine per class, solved exactly."""

from __future__ import annotations

import numpy as np
from scipy.linalg import get_lapack_funcs

MOST_STEPS = {np.dtype(np.float64): 200, np.dtype(np.float32): 50}
MOST_VALUES = 1 << 24  # values of all Hessians in memory at once
SUFFICIENT_DECREASE = 1e-4
LEAST_SHARE = 1e-10
# Of the gradient's norm, as a share of that at w = 0: what is aimed at, and what is near enough.
AIM = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-6}
PRECISION = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-5}
# The machines of every 4th frame, this near to their minimum, are where those of all frames start, if there are enough
# frames for each weight.
THINNED, NEARLY = 4, 1e-2
FRAMES_OF_A_WEIGHT = 6
# A Hessian is renewed if a step leaves more than this share of the gradient.
SLOW = 0.1


def fit_linear_machines(frames: np.ndarray, labels: np.ndarray, cost: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """One linear machine per class against all others.

        min_w 1/2 |w|^2 + cost * sum_i max(0, 1 - y_i w.x_i)^2,   y_i = 1 for the class, -1 for the others

    with x_i the frame and a constant 1, whose weight (the intercept) is regularised like the others. The loss
    is quadratic as long as the set of frames with a positive hinge doesn't change, so Newton's method with a line
    search reaches the minimum after a few steps.

    Frames that follow each other are nearly the same, so that every 4th frame, at 4 times the cost, has nearly the
    same machines and Hessians. With both, few steps over all frames are left to do, and a Hessian over them is only
    computed where that of fewer frames is too far off. Where the search begins doesn't change the minimum.

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
    together = max(1, MOST_VALUES // inputs.shape[1] ** 2)
    weights = np.empty((inputs.shape[1], len(classes)), dtype=inputs.dtype)
    for first in range(0, len(classes), together):
        machines = slice(first, first + together)
        weights[:, machines], near = _fit(inputs, signs[:, machines], cost)
        if not near and inputs.dtype == np.float32:
            return fit_linear_machines(frames.astype(np.float64), labels, cost)
    return classes, weights


def _fit(inputs: np.ndarray, signs: np.ndarray, cost: float) -> tuple[np.ndarray, bool]:
    """The weights of k machines, (D + 1, k), and whether all are as near to the minimum as PRECISION demands."""
    width, number = inputs.shape[1], signs.shape[1]
    weights = np.zeros((width, number), dtype=inputs.dtype)
    at_zero = 2 * cost * np.abs(signs.T @ inputs).max(axis=1)
    every = THINNED if len(inputs) // THINNED >= FRAMES_OF_A_WEIGHT * width else 1
    some = np.ascontiguousarray(inputs[::every])
    # At w = 0 every hinge is positive, so that all machines begin with the same Hessian.
    hessian = np.eye(width, dtype=inputs.dtype) + 2 * cost * every * some.T @ some
    hessians, hinged = np.repeat(hessian[None], number, axis=0), np.ones((number, len(some)), dtype=bool)
    if every > 1:
        weights, _ = _minimise(some, signs[::every], cost * every, weights, hessians, hinged, NEARLY * at_zero)
        hinged = np.zeros(signs.shape[::-1], dtype=bool)  # the Hessians are those of fewer frames
    weights, gradients = _minimise(inputs, signs, cost, weights, hessians, hinged, AIM[inputs.dtype] * at_zero)
    return weights, bool((gradients <= PRECISION[inputs.dtype] * at_zero).all())


def _minimise(
    inputs: np.ndarray,
    signs: np.ndarray,
    cost: float,
    weights: np.ndarray,
    hessians: np.ndarray,
    hinged: np.ndarray,
    aim: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method for k machines at once.

    Args:
        inputs: (N, D + 1).
        signs: (N, k), 1 or -1.
        cost: weight of the hinge losses.
        weights: (D + 1, k), where to begin.
        hessians: (k, D + 1, D + 1), exact or nearly; renewed in place.
        hinged: (k, N) bool, the frames that they are of, none for a Hessian of other frames; changed in place.
        aim: (k,) the largest element of its gradient at which a machine is done.

    Returns:
        The weights, and the largest element of each gradient, (k,).
    """
    solve = get_lapack_funcs("posv", dtype=inputs.dtype)
    number = signs.shape[1]
    final, gradients, running = weights.copy(), np.empty(number), np.arange(number)
    before, share = np.full(number, np.inf), np.ones(number)
    margins, gradient = _margins_and_gradient(inputs, signs, weights, cost)
    for _ in range(MOST_STEPS[inputs.dtype]):
        largest = np.abs(gradient).max(axis=0)
        final[:, running], gradients[running] = weights, largest
        # A step size of 0: the remaining improvement is smaller than the rounding error.
        going_on = np.flatnonzero((largest > aim[running]) & (share > 0))
        if len(going_on) < len(running):
            running, largest, before = running[going_on], largest[going_on], before[going_on]
            weights, signs, margins, gradient = (x.take(going_on, axis=1) for x in (weights, signs, margins, gradient))
        if not len(running):
            break
        for machine in np.flatnonzero(largest > SLOW * before):
            which = running[machine]
            hinged[which] = _renew_hessian(hessians[which], inputs, hinged[which], margins[:, machine] < 1, cost)
        solved = [solve(hessians[k], g) for k, g in zip(running, gradient.T, strict=True)]
        if any(failed for *_, failed in solved) and inputs.dtype == np.float32:
            break  # by rounding errors a Hessian isn't positive definite: a task for double precision
        step = -np.stack([solution for _, solution, _ in solved], axis=1)
        new_margins, new_gradient = _margins_and_gradient(inputs, signs, weights + step, cost)
        share = np.ones(len(running), dtype=inputs.dtype)
        # The objective is convex: where it still falls at the end of the step, it has fallen all the way.
        far = np.flatnonzero((new_gradient * step).sum(axis=0) > 0)
        if len(far):
            lines = (x.take(far, axis=1) for x in (margins, new_margins - margins, weights, step, gradient))
            share[far] = _line_search(*lines, cost)
        if (share < 1).any():
            new_margins, new_gradient = _margins_and_gradient(inputs, signs, weights + share * step, cost)
        weights, margins, gradient, before = weights + share * step, new_margins, new_gradient, largest
    return final, gradients


def _margins_and_gradient(
    inputs: np.ndarray, signs: np.ndarray, weights: np.ndarray, cost: float
) -> tuple[np.ndarray, np.ndarray]:
    """y w.x of each frame and machine, (N, k), and the gradient, (D + 1, k)."""
    margins = inputs @ weights
    margins *= signs
    slack = np.subtract(1, margins)
    np.maximum(slack, 0, out=slack)
    slack *= signs
    return margins, weights - 2 * cost * (slack.T @ inputs).T


def _line_search(
    margins: np.ndarray,
    margin_step: np.ndarray,
    weights: np.ndarray,
    step: np.ndarray,
    gradient: np.ndarray,
    cost: float,
) -> np.ndarray:
    """Step size of each machine, (k,): 1, halved until the objective decreases enough, or 0."""

    def objective(share: np.ndarray) -> np.ndarray:
        hinge = np.maximum(1 - (margins + share * margin_step), 0)
        return np.square(weights + share * step).sum(axis=0) / 2 + cost * np.square(hinge).sum(axis=0, dtype=np.float64)

    share = np.ones(len(gradient.T), dtype=gradient.dtype)
    value, slope = objective(np.zeros_like(share)), (gradient * step).sum(axis=0)
    while (short := objective(share) > value + SUFFICIENT_DECREASE * share * slope).any():
        share[short] /= 2
        share[share < LEAST_SHARE] = 0.0
    return share


def _renew_hessian(
    hessian: np.ndarray, inputs: np.ndarray, before: np.ndarray, hinged: np.ndarray, cost: float
) -> np.ndarray:
    """Renews a Hessian in place for the frames that have a positive hinge now, by the cheaper of two ways; returns
    these."""
    come, gone = (inputs.take(np.flatnonzero(frames), axis=0) for frames in (hinged & ~before, before & ~hinged))
    if len(come) + len(gone) < np.count_nonzero(hinged):
        hessian += 2 * cost * (come.T @ come)
        hessian -= 2 * cost * (gone.T @ gone)
    else:
        held = inputs.take(np.flatnonzero(hinged), axis=0)
        hessian[...] = 2 * cost * (held.T @ held)
        hessian[np.diag_indices_from(hessian)] += 1
    return hinged
