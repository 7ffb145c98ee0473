"""Fused Gromov-Wasserstein optimal transport between two videos, with the structure of time and a virtual bin.

    min over T, s, r >= 0 of
    (1 - alpha) <T, C> - alpha / 2 * kappa sum_ijkl near_ik near_jl T_ij T_kl + zeta (sum s + sum r)
    + eps (KL(T || a b^T) + KL(s || a) + KL(r || b))        with T 1 + s = a, T^T 1 + r = b

with C_ij the cost of matching frame i of U with frame j of V, and s and r the mass in the virtual bin. The second term
rewards plans that match neighbours in one video with neighbours in the other: near_ik = 1 for 1 <= |i - k| <= w_U, else
0, with w_U = radius N frames (at least 1), and kappa = (N / w_U + M / w_V) / 2. Source: VASOT (Ali et al., "Joint
self-supervised video alignment and action segmentation", ICCV 2025), after ASOT (Xu and Gould, CVPR 2024). There the
term is alpha / 2 * sum_ijkl near_ik / radius (1 - near_jl) T_ij T_kl. If all frames are matched, the sums of the rows
and columns of T are fixed, so the two terms differ by a constant. If not, the published term would cost less
the fewer frames are matched, and it is not the same for (V, U).

The minimum is found by conditional gradient (Peyre et al., ICML 2016, call it projected gradient, with a step of 1):
the second term is replaced by its gradient at the current T, - alpha kappa (near T near)_ij, the transport with the
costs (1 - alpha) C + this gradient is solved by Sinkhorn's iterations, which go on from the last scaling, and T moves
towards its plan. near is a band of ones, so its products are differences of cumulative sums: a step takes a few N x M
matrices.

Sinkhorn's iterations (`optimal_transport.py`) begin with the rows, so the plan of (V, U) would differ while they
haven't converged. Here every iteration takes the geometric mean of u and of what the rows ask for, and of v and of what
the columns ask for, both at once (Feydy et al., AISTATS 2019), and then balances the mass of both in the bin.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from utils.loss_functions.optimal_transport import LARGEST_PLAIN_RATIO, LEAST_EXPONENT

# Of Sinkhorn, for each transport. They go on from the last scaling, so more would only repeat work.
SINKHORN_ITERATIONS = 2
# With a step of 1 the plans of short videos change between two for ever: frame i is matched with the even frames, then
# with the odd ones.
STEP = 0.5


class FusedTransport(NamedTuple):
    """The problem: alpha in [0, 1], radius > 0 as a share of the video, zeta >= 0, eps > 0, and the number of steps."""

    structure_weight: float
    radius: float
    zeta: float
    regularization: float
    iterations: int


def fused_plan(
    costs: Tensor,
    lengths: Sequence[tuple[int, int]],
    masses: tuple[Tensor, Tensor],
    problem: FusedTransport,
    sinkhorn_iterations: int = SINKHORN_ITERATIONS,
    step: float = STEP,
) -> Tensor:
    """The plan T (B, N, M) of the problem above, without a graph.

    Args:
        costs: C (B, N, M), any finite value where padded.
        lengths: frames of both videos of each pair; padding is at the end.
        masses: a (B, N) and b (B, M), 0 where padded.
        problem: its settings.
        sinkhorn_iterations: of each transport.
        step: in (0, 1], how far the plan in the gradient moves to the solution of each transport.

    Returns:
        T: the mass of frame i that is matched with j, 0 where padded.
    """
    (a, b), eps = masses, problem.regularization
    linear = costs * ((problem.structure_weight - 1.0) / eps)
    plan = a.unsqueeze(2) * b.unsqueeze(1)
    reach = [tuple(reach_of(length, problem.radius) for length in pair) for pair in lengths]
    # No reward is larger than 2 alpha: T near has no sum above 2 w_V / M, nor near T above 2 w_U / N.
    logarithmic = (problem.zeta + 2.0 * problem.structure_weight) / eps > LARGEST_PLAIN_RATIO
    u, v, f, g = a, b, torch.zeros_like(a), torch.zeros_like(b)
    # New memory for every matrix would take longer than the arithmetic.
    buffers = torch.empty_like(plan[0]), torch.empty_like(plan[0])
    current = plan.clone()
    for iteration in range(problem.iterations):
        if iteration > 0:
            current.lerp_(plan, step)
        for pair, ((n, m), (w_n, w_m)) in enumerate(zip(lengths, reach, strict=True)):
            here, (first, second) = plan[pair], buffers
            neighbour_sums(neighbour_sums(current[pair], w_m, 1, second, first), w_n, 0, second, here)
            kappa = 0.5 * (n / w_n + m / w_m)
            torch.add(linear[pair], here, alpha=problem.structure_weight * kappa / eps, out=here)
        if logarithmic:
            f, g = _scale_logarithmic(plan, a, b, -problem.zeta / eps, sinkhorn_iterations, (f, g))
            plan.add_((f + a.log()).unsqueeze(2)).add_((g + b.log()).unsqueeze(1)).exp_()
        else:
            plan.clamp_min_(LEAST_EXPONENT).exp_()
            u, v = _scale_plain(plan, a, b, math.exp(-problem.zeta / eps), sinkhorn_iterations, (u, v))
            plan.mul_(u.unsqueeze(2)).mul_(v.unsqueeze(1))
    return plan


def _scale_plain(
    kernel: Tensor, a: Tensor, b: Tensor, slack: float, iterations: int, start: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """a u (B, N) and b v (B, M) after some iterations from `start`; `slack` is exp(-zeta / eps)."""
    u, v = (each.unsqueeze(2) for each in start)
    a, b, bin_ = a.unsqueeze(2), b.unsqueeze(2), kernel.new_full((1, 1, 1), slack)
    for _ in range(iterations):
        rows, columns = torch.baddbmm(bin_, kernel, v), torch.baddbmm(bin_, kernel.mT, u)
        u, v = (u * a / rows).sqrt_(), (v * b / columns).sqrt_()
        balance = (v.sum(1, keepdim=True) / u.sum(1, keepdim=True)).sqrt_()
        u, v = u * balance, v / balance
    return u.squeeze(2), v.squeeze(2)


def _scale_logarithmic(
    log_kernel: Tensor, a: Tensor, b: Tensor, log_slack: float, iterations: int, start: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The same with logarithms: log u (B, N) and log v (B, M)."""
    f, g = start
    log_a, log_b, bin_ = a.log(), b.log(), log_kernel.new_full((), log_slack)
    for _ in range(iterations):
        rows = torch.logaddexp((log_kernel + (g + log_b).unsqueeze(1)).logsumexp(2), bin_)
        columns = torch.logaddexp((log_kernel + (f + log_a).unsqueeze(2)).logsumexp(1), bin_)
        f, g = 0.5 * (f - rows), 0.5 * (g - columns)
        balance = 0.5 * ((g + log_b).logsumexp(1, True) - (f + log_a).logsumexp(1, True))
        f, g = f + balance, g - balance
    return f, g


def reach_of(length: int, radius: float) -> int:
    """How many frames before and after a frame are its neighbours, in a video of `length` frames: at least 1."""
    return max(1, int(radius * length))


def neighbour_sums(values: Tensor, reach: int, dim: int, sums: Tensor, out: Tensor) -> Tensor:
    """Sums over the neighbours of each position along a dimension, 1 to `reach` positions away, by cumulative sums.

    The result is written to `out`; `sums` is overwritten. Both are shaped like the values, and neither is `values`.
    """
    length = values.shape[dim]
    reach = min(reach, length - 1)
    torch.cumsum(values, dim, out=sums)
    out.narrow(dim, 0, length - reach).copy_(sums.narrow(dim, reach, length - reach))
    out.narrow(dim, length - reach, reach).copy_(sums.narrow(dim, length - 1, 1).expand_as(out.narrow(dim, 0, reach)))
    rest = length - reach - 1
    out.narrow(dim, reach + 1, rest).sub_(sums.narrow(dim, 0, rest))
    return out.sub_(values)
