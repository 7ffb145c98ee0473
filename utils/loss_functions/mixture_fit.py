"""Mixtures of K discretised Gaussians fitted to many distributions over frames at once (GTCC, CVPR 2024).

For each target p over the frames t = 0 .. M-1 the fit looks for q = sum_k psi_k g_k with

    g_k(t) = exp(-(t - mu_k)^2 / (2 v_k)) / sum_s exp(-(s - mu_k)^2 / (2 v_k)),    v_k >= 1/2,

that minimises the symmetric divergence J = KL(p || q) + KL(q || p); logarithms are at least log(1e-30).

Method: Levenberg-Marquardt (`mixture_steps.py`), one independent problem per target, all in one batch. It
converges even if components overlap strongly (a nearly uniform target, as at the start of training), where
first-order and EM steps don't.

- Start: the frames are divided into K cells of equal tempered mass (sqrt p mixed with a uniform part); each
  component gets the centre, width and mass of a cell. For flat, peaked and many-peaked targets, this is already
  close.
- A step uses at most `_BINS` bins of frames per target: single frames around its peaks, many frames per bin where
  it is flat. So the cost of a step does not grow with M, and the fit is as good.
- No branch depends on a value: nothing is read back from a GPU, and the cost is fixed.
"""

import math

import torch
from torch import Tensor

from utils.loss_functions.mixture_steps import (
    LOG_FLOOR,
    VARIANCE_FLOOR_IN_FRAMES,
    Grid,
    Mixtures,
    levenberg_marquardt,
)

_BINS = 128
# Frames on either side of a peak that have their own bin.
_REACH = 4
# Tempered mass is a mixture of p^_TEMPER and a uniform part, because J contains the logarithm of the tails.
_TEMPER = 0.5
_UNIFORM_SHARE = 0.05
# Steps before the requested ones. With 8 more, a fit has practically converged.
_FIRST_STEPS = 4


@torch.no_grad()
def fit_mixtures(
    targets: Tensor, number_of_components: int, iterations: int = 8, lengths: Tensor | None = None
) -> Mixtures:
    """Fit a mixture to every target (formulas in the module's docstring).

    Args:
        targets: (A, M) probabilities, each row sums to 1; rows of a shorter video are padded with zeros.
        number_of_components: K >= 1.
        iterations: Levenberg-Marquardt steps, >= 0, in addition to the `_FIRST_STEPS` that are always done; each
            takes the same time.
        lengths: (A,) number of frames of each row; None: M.

    Returns:
        The mixtures, without gradient.

    Raises:
        ValueError: for targets that are not (A, M >= 1), K < 1 or a negative number of iterations.

    Example:
        >>> fit = fit_mixtures(torch.full((1, 50), 1 / 50), 5)
        >>> bool((fit.weights().unsqueeze(-1) * fit.components(50)).sum(1).sub(1 / 50).abs().max() < 1e-3)
        True
    """
    if targets.dim() != 2 or targets.shape[1] == 0:
        raise ValueError(f"targets must be (targets, frames), at least one frame; got {tuple(targets.shape)}")
    if number_of_components < 1 or iterations < 0:
        raise ValueError(
            f"need at least 1 component and 0 iterations; got {number_of_components} and {iterations}"
        )
    if lengths is None:
        lengths = torch.full((len(targets),), targets.shape[1], device=targets.device)
    last = (lengths.to(targets.dtype) - 1).unsqueeze(1)
    frames = torch.arange(targets.shape[1], dtype=targets.dtype, device=targets.device).unsqueeze(0)
    inside = frames <= last
    log_target = targets.clamp_min(math.exp(LOG_FLOOR)).log_()
    tempered = targets.pow(_TEMPER)
    tempered = tempered / tempered.sum(1, keepdim=True).clamp_min(1e-30)
    tempered = ((1 - _UNIFORM_SHARE) * tempered + _UNIFORM_SHARE / (last + 1)) * inside
    cumulative = tempered.cumsum(1)
    cumulative = cumulative / cumulative[:, -1:]

    parameters = _start(targets, log_target, cumulative, last, number_of_components)
    log_count = torch.where(inside, 0.0, -torch.inf).to(targets.dtype)
    full = Grid(frames.expand_as(targets), log_count, inside.to(targets.dtype), targets, log_target)
    grid = full if targets.shape[1] <= _BINS else _binned(full, tempered, last + 1, _BINS)
    return levenberg_marquardt(grid, parameters, last, iterations + _FIRST_STEPS)


def _start(
    targets: Tensor, log_target: Tensor, cumulative: Tensor, last: Tensor, components: int
) -> Mixtures:
    """One component for each cell of equal tempered mass; for the cells, frame t covers [t, t + 1]."""
    number, frames = targets.shape
    zero = targets.new_zeros(number, 1)
    cumulative = torch.cat([zero, cumulative], 1)
    cuts = torch.arange(1, components, dtype=targets.dtype, device=targets.device) / components
    right = torch.searchsorted(cumulative, cuts.expand(number, -1).contiguous()).clamp_(1, frames)
    low, high = cumulative.gather(1, right - 1), cumulative.gather(1, right)
    edges = right - 1 + (cuts - low) / (high - low).clamp_min(1e-20)
    edges = torch.cat([zero, edges, last + 1], 1)

    mass_until = torch.cat([zero, targets.cumsum(1)], 1)
    frame = edges.long().clamp_(0, frames - 1)
    share = edges - frame
    mass_at_edges = mass_until.gather(1, frame) * (1 - share) + mass_until.gather(1, frame + 1) * share
    log_weight = mass_at_edges.diff(dim=1).clamp_min(1e-6).log()
    mean = torch.minimum(0.5 * (edges[:, 1:] + edges[:, :-1]) - 0.5, last).clamp_min_(0)
    variance = (0.5 * edges.diff(dim=1)).square().clamp_min(VARIANCE_FLOOR_IN_FRAMES)
    # A narrow component on the first or last frame: only half of it is inside the video. Its mean moves out of the
    # video until it decreases as fast as the target.
    narrow = variance <= VARIANCE_FLOOR_IN_FRAMES
    last_frame = last.long()
    fall = log_target[:, :1] - log_target[:, min(1, frames - 1)].unsqueeze(1)
    mean = torch.where(narrow & (mean < 0.5), (0.5 - variance * fall).clamp_max(0.0), mean)
    fall = log_target.gather(1, last_frame) - log_target.gather(1, (last_frame - 1).clamp_min(0))
    mean = torch.where(narrow & (mean > last - 0.5), torch.maximum(last - 0.5 + variance * fall, last), mean)
    return Mixtures(mean, variance.log(), log_weight)


def _binned(full: Grid, tempered: Tensor, lengths: Tensor, bins: int) -> Grid:
    """The targets on `bins` bins: half of them single frames near tempered mass, half spread evenly."""
    inside = full.per_frame
    spread = (
        torch.nn.functional.max_pool1d(tempered.unsqueeze(1), 2 * _REACH + 1, 1, _REACH).squeeze(1) * inside
    )
    share = (spread * (0.5 * bins / spread.sum(1, keepdim=True))).clamp_max_(1.0)
    share = (share + (bins - share.sum(1, keepdim=True)) / lengths) * inside
    index = (share.cumsum(1) - 0.5 * share).long().clamp_(0, bins - 1)

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(len(values), bins).scatter_add_(1, index, values)

    count = total(inside)
    some = count.clamp_min(1.0)
    position = total(full.position * inside) / some
    return Grid(
        position, count.log(), some.reciprocal(), total(full.mass), total(full.mean_log * inside) / some
    )
