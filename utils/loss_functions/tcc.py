"""Temporal cycle-consistency (Dwibedi et al., CVPR 2019), regression form."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from utils.loss_functions.cycle_back import (
    checked_sequences,
    cycle_back_regression,
    cycle_back_slopes,
    positions_of,
    zero_with_gradient,
)
from utils.loss_functions.normalization import normalized
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

# Elements of one (anchors, frames) block. On a CPU a few blocks should fit into the cache; on a GPU one block should
# be large enough to use all cores.
_BLOCK_ELEMENTS = {"cpu": 2**20}
_BLOCK_ELEMENTS_ELSEWHERE = 2**24
_SMALLEST_BLOCK = 128


def TCC_loss(
    sequences: Sequence[Tensor],
    alignment_variance: float = 0.001,
    softmax_temp: float = 0.1,
    similarity: str = DEFAULT_SIMILARITY,
    normalization: str = "none",
) -> Tensor:
    """Mean over ordered pairs (U, V) of different videos, and over the frames i of U, of L_cbr(i) where

        alpha = softmax_j(-d(u_i, v_j) / tau),  v~ = sum_j alpha_j v_j,  beta = softmax_l(-d(u_l, v~) / tau)

    and L_cbr (`cycle_back.py`) compares the position of i with the mean and variance of beta.

    Memory is O(T * block): a block of anchors at a time, with its value and its gradient in closed form. No N x M
    tensor is kept, and the backward pass only multiplies. (No second derivative.)

    Args:
        sequences: embeddings (T_i, D), one per video; lengths may differ.
        alignment_variance: lambda >= 0, the weight of log sigma; 0: plain squared error.
        softmax_temp: tau > 0.
        similarity: the distance d, one of `similarity.SIMILARITIES`.
        normalization: of the embeddings before all this, "none" or "unit" (`normalization.py`).

    Returns:
        Scalar. With fewer than two videos, a zero with a (zero) gradient.

    Raises:
        ValueError: for embeddings of different widths, an unknown similarity or normalization, or a setting out of
            range.
    """
    sequences = normalized(checked_sequences(sequences, alignment_variance), normalization)
    if len(sequences) < 2:
        return zero_with_gradient(sequences)
    scaling = scaling_of(similarity, softmax_temp, sequences[0].shape[1])
    needs_gradient = torch.is_grad_enabled() and any(sequence.requires_grad for sequence in sequences)
    with without_autocast(sequences[0].device):
        return _CycleConsistency.apply(float(alignment_variance), scaling, needs_gradient, *sequences)


class _Video(NamedTuple):
    """A video's frames (N, D) minus the common centre, their positions (N,), and the tensor for its gradient."""

    frames: Tensor
    positions: Tensor
    gradient: Tensor | None


class _CycleConsistency(torch.autograd.Function):
    """The loss and, in the same pass, its gradient: the backward pass needs no block a second time."""

    @staticmethod
    def forward(ctx, alignment_variance: float, scaling: Scaling, needs_gradient: bool, *sequences: Tensor):
        # The same shift for all videos changes no distance, but makes rounding errors smaller.
        centre = sequences[0].mean(0)
        videos = [
            _Video(each - centre, positions_of(len(each), each), torch.zeros_like(each) if needs_gradient else None)
            for each in sequences
        ]
        cycles = _Cycles(videos, alignment_variance, scaling)
        total = sum(cycles.add_pair(own, other) for own, other in itertools.combinations(videos, 2))
        if needs_gradient:
            ctx.save_for_backward(*(video.gradient for video in videos))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        return None, None, None, *(upstream * gradient for gradient in ctx.saved_tensors)


class _Cycles:
    """Cycles between the videos of a batch, a block of anchors at a time, in buffers that are reused.

    The operating system clears newly allocated memory page by page, which takes as much time as a matrix product. And
    memory allocators return blocks of this size to the system when they are freed.
    """

    BUFFERS = 5

    def __init__(self, videos: list[_Video], alignment_variance: float, scaling: Scaling):
        self.alignment_variance, self.scaling = alignment_variance, scaling
        self.number_of_pairs = len(videos) * (len(videos) - 1)
        longest = max(videos, key=lambda video: len(video.frames)).frames
        self.elements = _BLOCK_ELEMENTS.get(longest.device.type, _BLOCK_ELEMENTS_ELSEWHERE)
        self.buffers = longest.new_empty(
            self.BUFFERS, min(len(longest) ** 2, max(self.elements, _SMALLEST_BLOCK * len(longest)))
        )

    def add_pair(self, first: _Video, second: _Video) -> Tensor:
        """The part of the loss that comes from the cycles from each of two videos through the other."""
        if max(len(first.frames), len(second.frames)) ** 2 <= self.elements:
            return self._add_both_ways(first, second)
        return self._add_one_way(first, second) + self._add_one_way(second, first)

    def _add_both_ways(self, first: _Video, second: _Video) -> Tensor:
        """If all frames fit into one block: both directions share the distances and the products of their gradient."""
        logits, turned = self._buffer(0, first.frames, second.frames), self._buffer(1, second.frames, first.frames)
        _, slope = logits_of(first.frames, second.frames, self.scaling, out=logits)
        # Logits of squared distances leave out a term that is constant for an anchor. In the transposed logits it is
        # not constant, so it is subtracted.
        norms = 0.0 if self.scaling.rooted else self.scaling.factor * first.frames.square().sum(1)
        torch.sub(logits.T, norms, out=turned)
        everything = slice(0, None)
        loss = self._add_cycles(0, everything, first, second) + self._add_cycles(1, everything, second, first)
        if first.gradient is not None:
            if not self.scaling.rooted:  # with the root, `_add_gradients` includes both norms
                _add_gradient_of_norms(turned, first, self.scaling)
            first.gradient.add_(self._add_gradients(logits.add_(turned.T), slope, first.frames, second))
        return loss

    def _add_one_way(self, own: _Video, other: _Video) -> Tensor:
        """The cycles from `own` through `other`, a block of anchors at a time."""
        rows = max(_SMALLEST_BLOCK, self.elements // max(len(own.frames), len(other.frames)))
        loss = own.frames.new_zeros(())
        for start in range(0, len(own.frames), rows):
            block = slice(start, start + rows)
            anchors = own.frames[block]
            logits = self._buffer(0, anchors, other.frames)
            _, slope = logits_of(anchors, other.frames, self.scaling, out=logits)
            loss += self._add_cycles(0, block, own, other)
            if own.gradient is not None:
                own.gradient[block] += self._add_gradients(logits, slope, anchors, other)
        return loss

    def _add_cycles(self, buffer: int, block: slice, own: _Video, other: _Video) -> Tensor:
        """The part of the loss from the anchors `block` of `own`; their logits against `other` are in a buffer.

        Adds the gradients that come through the neighbours in `other`, and replaces the logits in the buffer by their
        gradient.
        """
        anchors = own.frames[block]
        weight = 1.0 / (self.number_of_pairs * len(own.frames))
        alpha = softmax_of(self._buffer(buffer, anchors, other.frames), out=self._buffer(2, anchors, other.frames))
        # The logits aren't needed any more.
        scratch = self._buffer(buffer, anchors, own.frames)
        neighbours = alpha @ other.frames
        offset, beta = self._buffer(3, anchors, own.frames), self._buffer(4, anchors, own.frames)
        logits, slope = logits_of(neighbours, own.frames, self.scaling, out=offset)
        softmax_of(logits, out=beta)
        mean = (beta @ own.positions).unsqueeze(1)
        torch.sub(own.positions, mean, out=offset)
        variance = torch.mul(beta, offset, out=scratch).mul_(offset).sum(1, keepdim=True)
        error = own.positions[block].unsqueeze(1) - mean
        loss = weight * cycle_back_regression(error, variance, self.alignment_variance).sum()
        if own.gradient is None:
            return loss
        # Through mean and variance to the logits of beta: beta_l (a (t_l - mu) + b ((t_l - mu)^2 - sigma^2)).
        to_mean, to_variance = cycle_back_slopes(error, variance, self.alignment_variance)
        if to_variance is None:
            polynomial = offset.mul_(weight * to_mean)
        else:
            polynomial = torch.mul(offset, weight * to_variance, out=scratch).add_(weight * to_mean).mul_(offset)
            polynomial.sub_(weight * to_variance * variance)
        to_neighbours = self._add_gradients(beta.mul_(polynomial), slope, neighbours, own)
        # Through v~ = alpha @ other to `other`, and to the logits of alpha: alpha_j (g . v_j - g . v~), g = dL / dv~.
        other.gradient.addmm_(alpha.T, to_neighbours)
        to_alpha = torch.mm(to_neighbours, other.frames.T, out=self._buffer(buffer, anchors, other.frames))
        to_alpha.sub_(torch.linalg.vecdot(to_neighbours, neighbours).unsqueeze(1)).mul_(alpha)
        return loss

    def _add_gradients(self, to_logits: Tensor, slope: Tensor | None, queries: Tensor, keys: _Video) -> Tensor:
        """From the gradient of logits (A, M): adds that of the keys (M, D), returns that of the queries (A, D)."""
        to_queries, weighted = gradient_to_queries(to_logits, slope, queries, keys.frames, self.scaling)
        keys.gradient.addmm_(weighted.T, queries, alpha=gradient_factor(self.scaling))
        _add_gradient_of_norms(weighted, keys, self.scaling)
        return to_queries

    def _buffer(self, number: int, rows: Tensor, columns: Tensor) -> Tensor:
        """A buffer as a tensor (frames of rows, frames of columns); its content is not changed."""
        return self.buffers[number, : len(rows) * len(columns)].view(len(rows), len(columns))


def _add_gradient_of_norms(weighted: Tensor, keys: _Video, scaling: Scaling) -> None:
    """The part of the gradient of the keys that comes through their ||key||^2 in the logits (A, M)."""
    keys.gradient.addcmul_(keys.frames, weighted.sum(0).unsqueeze(1), value=-gradient_factor(scaling))
