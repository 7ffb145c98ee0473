"""The priors of VAVA: two Gaussians over the cells (frame i, frame j) of a pair of videos.

With x_i and y_j in [0, 1] the positions of the frames in their videos, a cell (i, j) is at the distance

    consistency:  |x_i - y_j| / sqrt(2)
    optimality:   (|x_i - x_(i*(j))| + |y_j - y_(j*(i))|) / 2

from the diagonal (both videos at the same speed), or from i*(j) and j*(i), the nearest neighbours of its two
frames in the other video. Each prior is exp(-distance^2 / (2 width^2)), divided by its mean over the cells.
At the start of training their mixture is the first prior, at the end the second. Source: VAVA (Liu et al., CVPR
2022, "Learning to align sequential actions in the wild"), which measures distances in frames; with positions, the
priors don't depend on the number of frames.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.loss_functions.pairwise import row_blocks

# Far from its maximum a prior is a tiny constant: this avoids a logarithm of 0 and slow denormal numbers.
_LEAST_EXPONENT = -80.0


def positions(lengths: Sequence[int], padded: int, like: Tensor) -> Tensor:
    """Positions (B, padded) of the frames, from 0 to 1 in each video (0 in a video of one frame)."""
    frames = torch.arange(padded, dtype=like.dtype, device=like.device)
    return torch.stack([frames / max(length - 1, 1) for length in lengths])


def uniform_mass(lengths: Sequence[int], padded: int, like: Tensor) -> Tensor:
    """(B, padded): 1 / length for each frame of a video, 0 where padded."""
    mass = like.new_zeros(len(lengths), padded)
    for row, length in zip(mass, lengths, strict=True):
        row[:length] = 1.0 / length
    return mass


def mixed_prior(
    costs: Tensor,
    lengths: Sequence[tuple[int, int]],
    masses: tuple[Tensor, Tensor],
    share: float,
    width: float,
) -> Tensor:
    """share * consistency + (1 - share) * optimality, (B, N, M), with mean 1 over the cells of each pair.

    Args:
        costs: (B, N, M) distances, from which only the nearest neighbours are found; a prior has no gradient.
        lengths: frames of both videos of each pair.
        masses: `uniform_mass` of the rows and of the columns.
        share: share of the consistency prior, in [0, 1].
        width: standard deviation > 0 of both priors, as a share of the video's length.
    """
    x = positions([n for n, _ in lengths], costs.shape[1], costs)
    y = positions([m for _, m in lengths], costs.shape[2], costs)
    prior = None
    if share > 0:
        prior = torch.empty_like(costs)
        for rows in row_blocks(costs.shape, costs.device):
            torch.sub(x[:, rows, None], y[:, None], out=prior[:, rows])
            _gaussian_(prior[:, rows], 2**0.5 * width)
        prior.mul_(share / _mean(prior, masses))
    if share < 1:
        if any((n, m) != costs.shape[1:] for n, m in lengths):
            padded = (masses[0] == 0).unsqueeze(2) | (masses[1] == 0).unsqueeze(1)
            costs = costs.masked_fill(padded, torch.inf)
        neighbours_x, neighbours_y = x.gather(1, costs.argmin(1)), y.gather(1, costs.argmin(2))
        optimality = torch.empty_like(costs)
        for rows in row_blocks(costs.shape, costs.device):
            from_rows = (x[:, rows, None] - neighbours_x[:, None]).abs_()
            from_columns = (y[:, None] - neighbours_y[:, rows, None]).abs_()
            torch.add(from_rows, from_columns, out=optimality[:, rows])
            _gaussian_(optimality[:, rows], 2 * width)
        weight = (1 - share) / _mean(optimality, masses)
        prior = optimality.mul_(weight) if prior is None else prior.addcmul_(optimality, weight)
    return prior


def _gaussian_(distance: Tensor, width: float) -> None:
    """Overwrite distances with exp(-distance^2 / (2 width^2))."""
    distance.square_().mul_(-0.5 / width**2).clamp_min_(_LEAST_EXPONENT).exp_()


def _mean(values: Tensor, masses: tuple[Tensor, Tensor]) -> Tensor:
    """(B, 1, 1) means over the cells of each pair."""
    return torch.bmm(masses[0].unsqueeze(1), torch.bmm(values, masses[1].unsqueeze(2)))
