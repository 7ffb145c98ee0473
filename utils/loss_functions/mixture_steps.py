"""The optimiser of `mixture_fit.py`: damped steps for many mixtures at once.

With q = sum_k psi_k g_k, a target p, d = log q - log p and J = sum_t (q - p) d,

    dJ = sum_t (q d + q - p) dlog q,    H = sum_t (q + p) dlog q dlog q^T,

where H is the exact curvature of J with respect to q; for a mixture, a natural gradient uses the same matrix. A step
solves (H + damping diag H) step = - dJ.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG_FLOOR = math.log(1e-30)
VARIANCE_FLOOR_IN_FRAMES = 0.5
# Smallest exponent: denormal numbers are slow, and e^-80 is negligible.
_SMALLEST_EXPONENT = -80.0


class Mixtures(NamedTuple):
    """A mixtures: means in frames, log variances in frames^2 and log weights, each (A, K)."""

    mean: Tensor
    log_variance: Tensor
    log_weight: Tensor

    def split(self, rows: list[int]) -> "list[Mixtures]":
        """The mixtures split into consecutive groups of this many rows."""
        return [Mixtures(*each) for each in zip(*(part.split(rows) for part in self), strict=True)]

    def weights(self) -> Tensor:
        """psi (A, K), each row sums to 1."""
        return torch.softmax(self.log_weight, -1)

    def components(self, number_of_frames: int) -> Tensor:
        """g (A, K, M), each last axis sums to 1."""
        frames = torch.arange(number_of_frames, dtype=self.mean.dtype, device=self.mean.device)
        scale = torch.exp(-0.5 * self.log_variance)
        nearest = self.mean.clamp(0, number_of_frames - 1).round()
        offset = (frames - nearest.unsqueeze(-1)).mul_(scale.unsqueeze(-1))
        shift = (2 * (nearest - self.mean) * scale).unsqueeze(-1)
        density = (offset + shift).mul_(offset).mul_(-0.5).clamp_min_(_SMALLEST_EXPONENT).exp_()
        return density.div_(density.sum(-1, keepdim=True))


class Grid(NamedTuple):
    """Targets on bins of frames: mean position, log of the number of frames and its inverse, mass, mean log.

    All (A, G); an empty bin has log_count -inf.
    """

    position: Tensor
    log_count: Tensor
    per_frame: Tensor
    mass: Tensor
    mean_log: Tensor


class _Problem(NamedTuple):
    """J (A, 1), its gradient (A, 3K, 1) and curvature (A, 3K, 3K)."""

    value: Tensor
    gradient: Tensor
    curvature: Tensor


class _Buffers(NamedTuple):
    """Memory of one evaluation, reused by the next one: allocating new memory would cost more than the arithmetic."""

    offset: Tensor
    density: Tensor
    rows: Tensor

    @staticmethod
    def of(grid: Grid, components: int) -> "_Buffers":
        number, bins = grid.mass.shape
        size = (number, components, bins)
        new = grid.mass.new_empty
        # Matrix products are faster on a multiple of 16 rows; the rows beyond 3 K stay zero.
        rows = grid.mass.new_zeros(number, -(-3 * components // 16) * 16, bins)
        return _Buffers(new(size), new(size), rows)


def _problem(grid: Grid, parameters: Mixtures, last: Tensor, buffers: _Buffers) -> _Problem:
    """Value, gradient and curvature in (mean / sigma, log variance, log weight)."""
    mean, log_variance, log_weight = parameters
    offset, density, rows = buffers
    components = mean.shape[1]
    used = 3 * components
    by_mean, by_variance, by_weight = rows[:, :used].unflatten(1, (3, components)).unbind(1)
    scale = torch.exp(-0.5 * log_variance)
    # Exponents relative to the frame nearest to the mean, which may lie outside: no underflow, no
    # cancellation.
    nearest = torch.minimum(mean.round(), last).clamp_min(0)
    shift = ((nearest - mean) * scale).unsqueeze(-1)
    torch.sub(grid.position.unsqueeze(1), nearest.unsqueeze(-1), out=offset)
    offset.mul_(scale.unsqueeze(-1))
    torch.add(offset, 2 * shift, out=by_mean)
    torch.addcmul(grid.log_count.unsqueeze(1), by_mean, offset, value=-0.5, out=density)
    density.clamp_min_(_SMALLEST_EXPONENT).exp_()
    total = density.sum(-1, keepdim=True)
    density.div_(total)
    torch.mul(density, offset, out=by_mean)
    offset_mean = by_mean.sum(-1, keepdim=True)
    offset_variance = by_mean.mul_(offset).sum(-1, keepdim=True) - offset_mean.square()
    offset.sub_(offset_mean)

    weight = torch.softmax(log_weight, -1).unsqueeze(-1)
    mixture = torch.bmm(weight.mT, density)
    mass = grid.mass.unsqueeze(1)
    log_mixture = (mixture * grid.per_frame.unsqueeze(1)).clamp_min_(math.exp(LOG_FLOOR)).log_()
    difference = log_mixture - grid.mean_log.unsqueeze(1)
    value = ((mixture - mass) * difference).sum(-1)
    root = (mixture + mass + 1e-30).sqrt_()

    # Rows: root * dlog q / d parameter.
    torch.mul(density, root / (mixture + 1e-30), out=by_weight)
    by_weight.mul_(weight)
    torch.mul(by_weight, offset, out=by_mean)
    torch.mul(by_mean, offset.mul_(0.5).add_(offset_mean + shift), out=by_variance)
    by_variance.addcmul_(by_weight, offset_variance, value=-0.5)
    by_weight.addcmul_(weight, root, value=-1.0)
    slope = (mixture * difference + mixture - mass) / root
    return _Problem(value, torch.bmm(rows, slope.mT)[:, :used], torch.bmm(rows, rows.mT)[:, :used, :used])


def levenberg_marquardt(grid: Grid, parameters: Mixtures, last: Tensor, iterations: int) -> Mixtures:
    """`iterations` damped steps; a step that does not lower J is undone and its damping is increased."""
    components = parameters.mean.shape[1]
    lowest = math.log(VARIANCE_FLOOR_IN_FRAMES)
    highest = 2 * torch.log(last + 2)
    buffers = _Buffers.of(grid, components)
    problem = _problem(grid, parameters, last, buffers)
    damping = torch.full_like(problem.value, 1e-2)
    for _ in range(iterations):
        mean, log_variance, log_weight = parameters
        # A variance at its floor whose step would make it smaller takes no part in the step.
        held = (log_variance <= lowest) & (problem.gradient[:, components : 2 * components, 0] > 0)
        free = torch.cat([torch.ones_like(mean), (~held).to(mean.dtype), torch.ones_like(mean)], 1).unsqueeze(
            -1
        )
        curvature = problem.curvature * free * free.mT
        diagonal = curvature.diagonal(dim1=1, dim2=2)
        diagonal += damping * diagonal + 1e-5 + (1 - free.squeeze(-1))
        factor, _ = torch.linalg.cholesky_ex(curvature)
        step = torch.cholesky_solve(problem.gradient * free, factor).squeeze(-1).neg_()
        # At most one standard deviation (more for a mean far outside), one in log variance, two in log
        # weight.
        scale = torch.exp(-0.5 * log_variance)
        outside = (mean - torch.minimum(mean, last).clamp_min(0)).abs() * scale
        cap = torch.cat([1 + outside, torch.ones_like(mean), torch.full_like(mean, 2.0)], 1)
        # Each component is limited separately: one with weight zero has no curvature and would limit all others.
        cut = (cap / step.abs().clamp_min(1e-20)).view(-1, 3, components).amin(1, keepdim=True).clamp_max(1.0)
        by_mean, by_variance, by_weight = (step.view(-1, 3, components) * cut).unbind(1)
        log_variance_now = torch.minimum(log_variance + by_variance, highest).clamp_min(lowest)
        reach = -LOG_FLOOR * log_variance_now.exp()
        mean_now = torch.minimum(torch.maximum(mean + by_mean / scale, -reach), last + reach)
        log_weight_now = torch.log_softmax(log_weight + by_weight, -1).clamp_min(-30.0)
        attempt = Mixtures(mean_now, log_variance_now, log_weight_now)
        attempted = _problem(grid, attempt, last, buffers)
        better = attempted.value < problem.value
        parameters = Mixtures(
            *(torch.where(better, new, old) for new, old in zip(attempt, parameters, strict=True))
        )
        damping = torch.where(better, (0.3 * damping).clamp_min(1e-6), (10 * damping).clamp_min(1e-3))
        better = better.unsqueeze(-1)
        problem = _Problem(
            torch.where(better.squeeze(-1), attempted.value, problem.value),
            torch.where(better, attempted.gradient, problem.gradient),
            torch.where(better, attempted.curvature, problem.curvature),
        )
    return parameters
