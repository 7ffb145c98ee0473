"""Temporal cycle-consistency (Dwibedi et al., CVPR 2019), regression form."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from utils.loss_functions.cycle_back import (
    checked_sequences,
    cycle_back_regression,
    cycle_back_slopes,
    ordered_pairs,
    positions_of,
    zero_with_gradient,
)
from utils.loss_functions.precision import without_autocast
from utils.loss_functions.similarity import (
    DEFAULT_SIMILARITY,
    Scaling,
    gradient_factor,
    gradient_to_queries,
    logits_of,
    scaling_of,
    softmax_of,
)

# Elements of one (anchors, frames) block. On a CPU a few blocks should stay in the cache; on a GPU a block
# should fill the machine.
_BLOCK_ELEMENTS = {"cpu": 2**20}
_BLOCK_ELEMENTS_ELSEWHERE = 2**24
_SMALLEST_BLOCK = 128


def TCC_loss(
    sequences: Sequence[Tensor],
    alignment_variance: float = 0.001,
    softmax_temp: float = 0.1,
    similarity: str = DEFAULT_SIMILARITY,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean over ordered pairs (U, V) of different videos, and over the frames i of U, of L_cbr(i) where

        alpha = softmax_j(-d(u_i, v_j) / tau),  v~ = sum_j alpha_j v_j,  beta = softmax_l(-d(u_l, v~) / tau)

    and L_cbr (`cycle_back.py`) compares the position of i with the mean and variance of beta.

    Memory is O(T * block): a block of anchors at a time, its gradient in closed form beside its value.
    Nothing of size N x M outlives a block, and the backward pass only multiplies. (No second derivative.)

    Args:
        sequences: embeddings (T_i, D), one a video, lengths may differ.
        alignment_variance: lambda >= 0, the weight of log sigma; 0 takes the plain squared error.
        softmax_temp: tau > 0.
        similarity: the distance d, one of `similarity.SIMILARITIES`.
        generator: unused, TCC draws nothing; there so that all losses are called alike.

    Returns:
        Scalar. A zero that carries a gradient where there are fewer than two videos.

    Raises:
        ValueError: for embeddings of different widths, an unknown similarity, or a setting out of range.
    """
    sequences = checked_sequences(sequences, alignment_variance)
    if len(sequences) < 2:
        return zero_with_gradient(sequences)
    scaling = scaling_of(similarity, softmax_temp, sequences[0].shape[1])
    needs_gradient = torch.is_grad_enabled() and any(sequence.requires_grad for sequence in sequences)
    with without_autocast(sequences[0].device):
        return _CycleConsistency.apply(float(alignment_variance), scaling, needs_gradient, *sequences)


class _CycleConsistency(torch.autograd.Function):
    """The loss and, in the same pass, its gradient: the backward pass needs no block a second time."""

    @staticmethod
    def forward(ctx, alignment_variance: float, scaling: Scaling, needs_gradient: bool, *sequences: Tensor):
        gradients = [torch.zeros_like(sequence) for sequence in sequences] if needs_gradient else None
        # One shift for all videos: distances don't see it, rounding does.
        centre = sequences[0].mean(0)
        sequences = [sequence - centre for sequence in sequences]
        pairs = ordered_pairs(len(sequences))
        total = sequences[0].new_zeros(())
        blocks = _Blocks(sequences)
        for i, j in pairs:
            weight = 1.0 / (len(pairs) * len(sequences[i]))
            into = (gradients[i], gradients[j]) if needs_gradient else None
            total += _add_pair(sequences[i], sequences[j], alignment_variance, scaling, weight, into, blocks)
        if needs_gradient:
            ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        return None, None, None, *(upstream * gradient for gradient in ctx.saved_tensors)


class _Blocks:
    """Room for tensors of a block of anchors by all frames of a video, used again and again.

    A block fresh from the system has to be cleared by it page by page, which costs as much as a matrix product;
    memory allocators give blocks of this size back when they are freed.
    """

    NUMBER = 4

    def __init__(self, sequences: list[Tensor]):
        longest = max(len(sequence) for sequence in sequences)
        self.elements = _BLOCK_ELEMENTS.get(sequences[0].device.type, _BLOCK_ELEMENTS_ELSEWHERE)
        room = min(longest**2, max(self.elements, _SMALLEST_BLOCK * longest))
        self.rooms = sequences[0].new_empty(self.NUMBER, room)

    def rows(self, own: Tensor, other: Tensor) -> int:
        """How many frames of `own` make a block."""
        return max(_SMALLEST_BLOCK, self.elements // max(len(own), len(other)))

    def of_shape(self, rows: int, columns: int) -> list[Tensor]:
        """The rooms as tensors (rows, columns), with whatever is in them."""
        return [room[: rows * columns].view(rows, columns) for room in self.rooms]


def _add_pair(
    own: Tensor,
    other: Tensor,
    alignment_variance: float,
    scaling: Scaling,
    weight: float,
    gradients: tuple[Tensor, Tensor] | None,
    blocks: _Blocks,
) -> Tensor:
    """weight * the sum of L_cbr over the frames of `own` (N, D), with cycles through `other` (M, D).

    Adds its gradient to the two tensors of `gradients`, shaped like `own` and `other`.
    """
    positions = positions_of(len(own), own)
    factor = gradient_factor(scaling)
    block = blocks.rows(own, other)
    total, own_sums, other_sums = own.new_zeros(()), own.new_zeros(len(own)), own.new_zeros(len(other))
    for start in range(0, len(own), block):
        anchors = own[start : start + block]
        to_other, alpha = blocks.of_shape(len(anchors), len(other))[:2]
        first, _, beta, last = blocks.of_shape(len(anchors), len(own))
        logits, slope_out = logits_of(anchors, other, scaling, out=to_other)
        softmax_of(logits, out=alpha)
        neighbours = alpha @ other
        logits, slope_back = logits_of(neighbours, own, scaling, out=first)
        softmax_of(logits, out=beta)
        mean = (beta @ positions).unsqueeze(1)
        offset = torch.sub(positions, mean, out=first)
        variance = mean
        if alignment_variance:
            variance = torch.linalg.vecdot(torch.mul(beta, offset, out=last), offset).unsqueeze(1)
        error = positions[start : start + block].unsqueeze(1) - mean
        total += cycle_back_regression(error, variance, alignment_variance).sum()
        if gradients is None:
            continue
        # Through mean and variance to the logits of beta: beta_l (a (t_l - mu) + b ((t_l - mu)^2 - sigma^2)).
        to_mean, to_variance = cycle_back_slopes(error, variance, alignment_variance)
        if to_variance is None:
            to_logits = beta.mul_(offset.mul_(weight * to_mean))
        else:
            polynomial = torch.addcmul(weight * to_mean, weight * to_variance, offset, out=last).mul_(offset)
            to_logits = beta.mul_(polynomial.sub_(weight * to_variance * variance))
        to_neighbours, weighted = gradient_to_queries(to_logits, slope_back, neighbours, own, scaling)
        gradients[0].addmm_(weighted.T, neighbours, alpha=factor)
        own_sums += weighted.sum(0)
        # Through v~ = alpha @ other to `other` and to the logits of alpha.
        to_alpha = torch.mm(to_neighbours, other.T, out=to_other)
        gradients[1].addmm_(alpha.T, to_neighbours)
        to_logits = to_alpha.sub_(torch.linalg.vecdot(alpha, to_alpha).unsqueeze(1)).mul_(alpha)
        to_anchors, weighted = gradient_to_queries(to_logits, slope_out, anchors, other, scaling)
        gradients[0][start : start + block] += to_anchors
        gradients[1].addmm_(weighted.T, anchors, alpha=factor)
        other_sums += weighted.sum(0)
    if gradients is not None:
        gradients[0].addcmul_(own, own_sums.unsqueeze(1), value=-factor)
        gradients[1].addcmul_(other, other_sums.unsqueeze(1), value=-factor)
    return weight * total
