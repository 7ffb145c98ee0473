"""Entropic optimal transport by Sinkhorn's iterations, batched, with an optional virtual bin.

    min over T >= 0 of <T, C> + eps KL(T || P a b^T)   with T 1 = a, T^T 1 = b

and with a virtual bin, which takes any frame at the cost zeta (s_i: its mass from row i, r_j: from column j):

    min over T, s, r >= 0 of
    <T, C> + zeta (sum s + sum r) + eps (KL(T || P a b^T) + KL(s || a) + KL(r || b))
    with T 1 + s = a, T^T 1 + r = b

where KL(x || y) = sum x log(x / y) - x + y and P >= 0 is a prior over the cells (1: none). For eps -> 0 a pair is
matched only if this is cheaper than assigning both frames to the bin, C_ij < 2 zeta. The optimum has the form

    T_ij = a_i u_i K_ij v_j b_j,   s_i = a_i u_i k,   r_j = b_j v_j k
    K = P exp(-C / eps),   k = exp(-zeta / eps)

and each iteration solves the constraints of the rows for u, u = 1 / (K (b v) + k), then those of the columns
for v (k = 0: balanced; Cuturi, NeurIPS 2013). With a bin, the factor c in u -> c u, v -> v / c converges slowly.
The best c, for which both videos have the same mass in the bin, has a closed form and is applied in each iteration
(Sejourne et al., 2022, "Faster unbalanced optimal transport: translation invariant Sinkhorn").
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# exp(-80) is near the smallest normal float32. Arithmetic on smaller (denormal) numbers is many times slower, and
# their mass is too small to change a marginal.
LEAST_EXPONENT = -80.0
# Up to this zeta / eps the plain iterations are safe in float32: u and v lie below exp(zeta / eps), and no
# sum is smaller than exp(-zeta / eps), however large the costs.
LARGEST_PLAIN_RATIO = 30.0


class Scalings(NamedTuple):
    """Logarithms of u (..., N) and v (..., M)."""

    rows: Tensor
    columns: Tensor


def scale_plain(
    kernel: Tensor, row_mass: Tensor, column_mass: Tensor, slack: float, iterations: int
) -> Scalings:
    """Sinkhorn's iterations on K itself, with two matrix-vector products each.

    The last operation is an update of the rows and, with a bin, of the factor c (see the module).

    Args:
        kernel: K, (N, M) or (B, N, M).
        row_mass, column_mass: a (..., N) and b (..., M), equal sums, 0 where padded (u and v are 1 there).
        slack: k = exp(-zeta / eps) > 0; 0 for no bin. Then no row or column of K should be all 0.
        iterations: number of iterations >= 1.
    """
    batch = kernel if kernel.dim() == 3 else kernel.unsqueeze(0)
    transposed = batch.mT
    a, b = row_mass.reshape(len(batch), -1, 1), column_mass.reshape(len(batch), -1, 1)
    bin_ = batch.new_full((1, 1, 1), slack)
    # The iterations update a u and b v. For short videos the number of calls decides the time, so there are few.
    rows, columns = a, b
    for iteration in range(iterations):
        if iteration > 0:
            columns = b / torch.baddbmm(bin_, transposed, rows)
        rows = a / torch.baddbmm(bin_, batch, columns)
        if slack > 0:
            shift = (columns.sum(1, keepdim=True) / rows.sum(1, keepdim=True)).sqrt_()
            rows = rows * shift
    if slack > 0:
        columns = columns / shift
    u = torch.where(row_mass > 0, rows.view_as(row_mass) / row_mass, 1.0)
    v = torch.where(column_mass > 0, columns.view_as(column_mass) / column_mass, 1.0)
    return Scalings(u.log(), v.log())


def scale_logarithmic(
    log_kernel: Tensor, row_mass: Tensor, column_mass: Tensor, log_slack: float, iterations: int
) -> Scalings:
    """The same with logarithms, which neither overflow nor underflow for any eps; several times slower.

    Args:
        log_kernel: log K; -inf is allowed.
        log_slack: -zeta / eps; -inf for no bin.
    """
    log_a, log_b = row_mass.log().unsqueeze(-1), column_mass.log().unsqueeze(-2)
    g = torch.zeros_like(log_b)
    f = torch.zeros_like(log_a)
    bin_ = log_kernel.new_full((), log_slack)
    for iteration in range(iterations):
        if iteration > 0:
            g = -torch.logaddexp((log_kernel + (f + log_a)).logsumexp(-2, keepdim=True), bin_)
        f = -torch.logaddexp((log_kernel + (g + log_b)).logsumexp(-1, keepdim=True), bin_)
        if log_slack > -math.inf:
            left_out = (f + log_a).logsumexp((-2, -1), True), (g + log_b).logsumexp((-2, -1), True)
            shift = 0.5 * (left_out[1] - left_out[0])
            f, g = f + shift, g - shift
    return Scalings(f.squeeze(-1), g.squeeze(-2))


def sinkhorn(
    costs: Tensor,
    regularization: float,
    row_mass: Tensor | None = None,
    column_mass: Tensor | None = None,
    unmatched_cost: float | None = None,
    log_prior: Tensor | None = None,
    iterations: int = 100,
) -> Tensor:
    """The plan T of the problem above, differentiable (once) in the costs.

    The iterations use logarithms, so they are stable for any regularisation; a small one needs more iterations to
    converge. The gradient is that of the converged plan (implicit differentiation): with W = T (dL/dT) / eps,

        dL/dC = T_ij (x_i + y_j) - W,   (diag(a)  T; T^T  diag(b)) (x; y) = (W 1; W^T 1)

    solved by conjugate gradients with as many iterations.

    Args:
        costs: (N, M) or (B, N, M).
        regularization: eps > 0, in units of the costs.
        row_mass: a (N,) or (B, N), with the same sum as b; None: 1 / N each. 0 leaves out a (padded) row.
        column_mass: b (M,) or (B, M); None: 1 / M each.
        unmatched_cost: zeta >= 0, the cost of a frame in the virtual bin; None: no bin.
        log_prior: log P, shaped like the costs; None: no prior. It gets no gradient.
        iterations: number of iterations >= 1.

    Returns:
        T, shaped like the costs. Rows sum to a (with a bin: to a minus the mass in the bin), and columns to b in the
        same way, up to the convergence of the iterations.

    Raises:
        ValueError: for another rank or a setting out of range.
    """
    if costs.dim() not in (2, 3) or 0 in costs.shape:
        raise ValueError(f"costs must be (N, M) or (B, N, M) and not empty; got {tuple(costs.shape)}")
    check_transport(regularization, unmatched_cost, iterations)
    rows, columns = costs.shape[-2:]
    a = costs.new_full((rows,), 1.0 / rows) if row_mass is None else row_mass
    b = costs.new_full((columns,), 1.0 / columns) if column_mass is None else column_mass
    a, b = a.expand(costs.shape[:-1]), b.expand(*costs.shape[:-2], columns)
    log_slack = -math.inf if unmatched_cost is None else -unmatched_cost / regularization
    return _Plan.apply(costs, a, b, log_prior, float(regularization), log_slack, iterations)


def check_transport(regularization: float, unmatched_cost: float | None, iterations: int) -> None:
    """Raise ValueError for a setting out of range."""
    if not 0 < regularization < math.inf:
        raise ValueError(f"the regularization must be a positive number; got {regularization!r}")
    if unmatched_cost is not None and not 0 <= unmatched_cost < math.inf:
        raise ValueError(f"the cost of an unmatched frame must be finite and >= 0; got {unmatched_cost!r}")
    if iterations < 1:
        raise ValueError(f"the transport needs at least one iteration; got {iterations!r}")


class _Plan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, costs, row_mass, column_mass, log_prior, regularization, log_slack, iterations):
        # In double precision: if the cost is many times the regularization, float32 has no digits after the point.
        log_kernel = costs.double() / -regularization
        if log_prior is not None:
            log_kernel += log_prior
        row_mass, column_mass = row_mass.double(), column_mass.double()
        scalings = scale_logarithmic(log_kernel, row_mass, column_mass, log_slack, iterations)
        log_kernel += (scalings.rows + row_mass.log()).unsqueeze(-1)
        log_kernel += (scalings.columns + column_mass.log()).unsqueeze(-2)
        plan = log_kernel.exp_()
        ctx.save_for_backward(plan, row_mass, column_mass)
        ctx.regularization, ctx.iterations = regularization, iterations
        return plan.to(costs.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        plan, row_mass, column_mass = ctx.saved_tensors
        weighted = plan * upstream / ctx.regularization
        x, y = _solve(plan, row_mass, column_mass, weighted.sum(-1), weighted.sum(-2), ctx.iterations)
        gradient = plan * (x.unsqueeze(-1) + y.unsqueeze(-2)) - weighted
        return gradient.to(upstream.dtype), None, None, None, None, None, None


def _solve(
    plan: Tensor, a: Tensor, b: Tensor, row_side: Tensor, column_side: Tensor, iterations: int
) -> tuple[Tensor, Tensor]:
    """Solve diag(a) x + T y = row_side, T^T x + diag(b) y = column_side by conjugate gradients.

    y is eliminated and x scaled by the root of a, which leaves (1 - R R^T) z with R = T / sqrt(a b), whose
    eigenvalues lie in [0, 1]. Without a bin one of them is 0, but the right-hand side has no part there.
    """
    root_a, root_b = a.sqrt(), b.sqrt()
    inverse_a = torch.where(a > 0, 1.0 / root_a, 0.0)
    inverse_b = torch.where(b > 0, 1.0 / root_b, 0.0)
    scaled = plan * inverse_a.unsqueeze(-1) * inverse_b.unsqueeze(-2)

    def times(matrix: Tensor, vector: Tensor) -> Tensor:
        return torch.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)

    residual = row_side * inverse_a - times(scaled, column_side * inverse_b)
    solution, direction = torch.zeros_like(residual), residual
    squared = residual.square().sum(-1, keepdim=True)
    enough = squared * torch.finfo(plan.dtype).eps ** 2
    for _ in range(iterations):
        image = direction - times(scaled, times(scaled.mT, direction))
        curvature = (direction * image).sum(-1, keepdim=True)
        # After convergence, further steps would divide one rounding error by another.
        active = (squared > enough) & (curvature > 0)
        step = torch.where(active, squared / torch.where(active, curvature, 1.0), 0.0)
        solution = solution + step * direction
        residual = residual - step * image
        before, squared = squared, residual.square().sum(-1, keepdim=True)
        ratio = squared / torch.where(active, before, 1.0)
        direction = torch.where(active, residual + ratio * direction, 0.0)
    x = solution * inverse_a
    return x, (column_side * inverse_b - times(scaled.mT, solution)) * inverse_b
