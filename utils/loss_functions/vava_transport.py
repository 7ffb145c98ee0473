"""The terms of VAVA between two videos, transport and inter-video contrast, and their gradient.

Operations over all cells of a pair use blocks of rows that fit into the cache; between the blocks, only sums over
rows and over columns are needed.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from utils.loss_functions.alignment_priors import mixed_prior, uniform_mass
from utils.loss_functions.optimal_transport import (
    LARGEST_PLAIN_RATIO,
    LEAST_EXPONENT,
    scale_logarithmic,
    scale_plain,
)
from utils.loss_functions.pairwise import row_blocks

# A pair of tensors: one for the rows, one for the columns.
Sides = tuple[Tensor, Tensor]


class TransportSettings(NamedTuple):
    """See `VAVA_loss`; `consistency` is phi, the share of the consistency prior."""

    zeta: float
    regularization: float
    prior_width: float
    consistency: float
    inter_weight: float
    inter_margin: float
    iterations: int


def transport_terms(
    costs: Tensor, lengths: Sequence[tuple[int, int]], settings: TransportSettings, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """transport + inter_weight * inter of each pair (formulas at `VAVA_loss`), and their gradient.

    Args:
        costs: (B, N, M) distances without a graph; the padding is overwritten.
        lengths: frames of both videos of each pair; padding is at the end.
        wanted: whether the gradient is computed.

    Returns:
        Values (B,), and their gradient with respect to the distances (B, N, M), 0 in the padding, or None.
    """
    masses = (
        uniform_mass([n for n, _ in lengths], costs.shape[1], costs),
        uniform_mass([m for _, m in lengths], costs.shape[2], costs),
    )
    used = None
    if any((n, m) != tuple(costs.shape[1:]) for n, m in lengths):
        used = (masses[0] > 0).unsqueeze(2) & (masses[1] > 0).unsqueeze(1)
        costs.mul_(used)
    sums = costs.sum(2), costs.sum(1)
    cells = _constants(costs, [n * m for n, m in lengths])
    # The floor is only used if all frames of both videos are equal: then every distance is 0.
    mean = (sums[0].sum(1, keepdim=True) / cells).clamp_min_(torch.finfo(costs.dtype).eps ** 3)
    plan, values = _plan(costs, mean, lengths, masses, settings)
    if not wanted and settings.inter_weight == 0:
        return values, None
    matched_mass, matched = _sums_of(plan, costs)
    # From here on in units of the mean distance.
    sums, matched = (tuple(side / mean for side in each) for each in (sums, matched))
    inter, scales, shifts = _inter(matched_mass, matched, sums, lengths, settings)
    if not wanted:
        return values + inter, None
    # Each distance is divided by the mean of all distances, so its gradient has a second part through the mean.
    through_mean = (scales[0] * matched[0] + shifts[0] * sums[0]).sum(1, keepdim=True)
    through_mean = through_mean + (scales[1] * matched[1] + shifts[1] * sums[1]).sum(1, keepdim=True)
    row_shift, column_shift = (shifts[0] - through_mean / cells) / mean, shifts[1] / mean
    row_scale, column_scale = scales[0] / mean, scales[1] / mean
    for rows in row_blocks(plan.shape, plan.device):
        block = plan[:, rows]
        block.mul_(row_scale[:, rows, None] + column_scale[:, None])
        block.add_(row_shift[:, rows, None]).add_(column_shift[:, None])
    return values + inter, plan if used is None else plan.mul_(used)


def _plan(
    costs: Tensor,
    mean: Tensor,
    lengths: Sequence[tuple[int, int]],
    masses: Sides,
    settings: TransportSettings,
) -> tuple[Tensor, Tensor]:
    """The optimal plan (B, N, M) and the value (B,) of the transport at the distances costs / mean (B, 1)."""
    (a, b), eps = masses, settings.regularization
    log_slack = -settings.zeta / eps
    rate = (-1.0 / eps / mean).unsqueeze(2)
    plan = mixed_prior(costs, lengths, masses, settings.consistency, settings.prior_width)
    blocks = list(row_blocks(costs.shape, costs.device))
    if -log_slack <= LARGEST_PLAIN_RATIO:
        for rows in blocks:
            plan[:, rows].mul_((costs[:, rows] * rate).clamp_min_(LEAST_EXPONENT).exp_())
            plan[:, rows].clamp_min_(math.exp(LEAST_EXPONENT))
        scalings = scale_plain(plan, a, b, math.exp(log_slack), settings.iterations)
        row_factor, column_factor = a * scalings.rows.exp(), b * scalings.columns.exp()
        for rows in blocks:
            plan[:, rows].mul_(row_factor[:, rows, None]).mul_(column_factor[:, None])
    else:
        plan.log_().addcmul_(costs, rate)
        scalings = scale_logarithmic(plan, a, b, log_slack, settings.iterations)
        plan += (scalings.rows + a.log()).unsqueeze(2)
        plan += (scalings.columns + b.log()).unsqueeze(1)
        plan.exp_()
    # The dual objective: it is stationary at the optimum, so the remaining error of the iterations enters only
    # squared. The reference masses of cells, rows and columns are 1 each.
    f, g = torch.where(a > 0, scalings.rows, 0.0), torch.where(b > 0, scalings.columns, 0.0)
    left_out = (a * (f + log_slack).exp()).sum(1), (b * (g + log_slack).exp()).sum(1)
    mass = plan.sum((1, 2)) + left_out[0] + left_out[1]
    return plan, eps * ((a * f).sum(1) + (b * g).sum(1) - mass + 3.0)


def _sums_of(plan: Tensor, costs: Tensor) -> tuple[Sides, Sides]:
    """Sums over rows and columns of the plan, and of the plan times the costs."""
    row_mass, row_matched = (plan.new_empty(plan.shape[:2]) for _ in range(2))
    column_mass, column_matched = (plan.new_zeros(len(plan), plan.shape[2]) for _ in range(2))
    for rows in row_blocks(plan.shape, plan.device):
        block = plan[:, rows]
        row_mass[:, rows] = block.sum(2)
        column_mass += block.sum(1)
        block = block * costs[:, rows]
        row_matched[:, rows] = block.sum(2)
        column_matched += block.sum(1)
    return (row_mass, column_mass), (row_matched, column_matched)


def _inter(
    matched_mass: Sides,
    matched: Sides,
    sums: Sides,
    lengths: Sequence[tuple[int, int]],
    settings: TransportSettings,
) -> tuple[Tensor, Sides, Sides]:
    """The weighted inter-video term (B,), and the derivative of both terms with respect to the costs.

    This derivative is T_ij (p_i + p'_j) + q_i + q'_j; the function returns the value, (p, p') and (q, q').

    Args:
        matched_mass: m of each frame, the sums of the plan T.
        matched: sums of the plan times the costs.
        sums: sums of the costs.
    """
    value, scales, shifts = 0.0, [], []
    for side in (0, 1):
        # For each frame of this side: the number of frames of the other video that it isn't matched with.
        others = _constants(sums[0], [max(pair[1 - side] - 1, 1) for pair in lengths])
        # m_i (d+_i - d-_i), with d-_i = (sum_j D_ij - d+_i) / others: the plan's own share doesn't count.
        contrast = matched[side] * (1.0 + 1.0 / others) - matched_mass[side] * sums[side] / others
        hinge = settings.inter_margin * matched_mass[side] + contrast
        # If the other video has a single frame, there are no other frames to compare with.
        weight = _constants(sums[0], [0.5 * settings.inter_weight * (pair[1 - side] > 1) for pair in lengths])
        active = weight * (hinge > 0)
        value = value + (active * hinge).sum(1)
        scales.append(active * (1.0 + 1.0 / others))
        shifts.append(-active * matched_mass[side] / others)
    scales[0] = scales[0] + 1.0  # the transport term, whose derivative is the plan
    return value, tuple(scales), tuple(shifts)


def _constants(like: Tensor, numbers: Sequence[float]) -> Tensor:
    """Numbers (B, 1) on the device of `like`, without a copy from the host, for which a GPU would wait."""
    return torch.stack([like.new_full((1,), float(number)) for number in numbers])
