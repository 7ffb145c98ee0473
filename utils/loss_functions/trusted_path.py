"""A path of soft-DTW of which only those cells count whose frames really look alike.

A path leads from the beginning of both videos to their ends, through every frame. Where the steps were done in another
order, it has to match frames of different steps; its cells there are no evidence that these frames belong together.
With E_ij the expected visits of a cell by the path (`soft_dtw.py`) and D the distances, a cell is trusted by

    w_ij = exp(-((D_ij - min_k D_ik) + (D_ij - min_k D_kj)) / trust)

that is: fully if each of the two frames is the other's nearest neighbour, and less the further away it is than that.
The term is the distance along the trusted part, sum_ij E_ij w_ij D_ij; E and w are targets and get no gradient.
The idea that a path may leave out what doesn't match is that of Drop-DTW (Dvornik et al., NeurIPS 2021), which drops
frames at a cost; here nothing is gained by not matching.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.loss_functions.optimal_transport import LEAST_EXPONENT
from utils.loss_functions.pairwise import row_blocks
from utils.loss_functions.soft_dtw import soft_dtw_and_gradient


def trusted_path(
    costs: Tensor, lengths: Sequence[tuple[int, int]], smoothing: float, band: int | None, trust: float
) -> tuple[Tensor, Tensor]:
    """The distance along the trusted part of the path of each pair, and its gradient.

    Args:
        costs: (B, N, M) distances D without a graph; not changed.
        lengths: frames of both videos of each pair; padding is at the end.
        smoothing, band: those of soft-DTW.
        trust: how much further away than its nearest neighbour a trusted frame may be, > 0, in units of D.

    Returns:
        Values (B,) >= 0, and their gradient with respect to D, E w (B, N, M), 0 in the padding.
    """
    _, visits = soft_dtw_and_gradient(costs, lengths, smoothing, band, True)
    seen = costs
    if any((n, m) != tuple(costs.shape[1:]) for n, m in lengths):
        # Far, and finite: in the padding there are no visits, and 0 times infinity is not a number.
        seen = torch.full_like(costs, torch.finfo(costs.dtype).max / 8)
        for target, pair, (n, m) in zip(seen, costs, lengths, strict=True):
            target[:n, :m] = pair[:n, :m]
    in_column = seen.amin(1)
    values = costs.new_zeros(len(costs))
    for rows in row_blocks(costs.shape, costs.device):
        block = seen[:, rows]
        nearest = block.amin(2, keepdim=True) + in_column.unsqueeze(1)
        trusted = (nearest - 2 * block).div_(trust).clamp_min_(LEAST_EXPONENT).exp_()
        block = visits[:, rows].mul_(trusted)
        values += (block * costs[:, rows]).sum((1, 2))
    return values, visits
