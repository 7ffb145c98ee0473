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


class _Video(NamedTuple):
    """A video's frames (N, D), less the common centre, their positions (N,), and where to add its gradient."""

    frames: Tensor
    positions: Tensor
    gradient: Tensor | None


class _CycleConsistency(torch.autograd.Function):
    """The loss and, in the same pass, its gradient: the backward pass needs no block a second time."""

    @staticmethod
    def forward(ctx, alignment_variance: float, scaling: Scaling, needs_gradient: bool, *sequences: Tensor):
        # One shift for all videos: distances don't see it, rounding does.
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
    """Cycles between the videos of a batch, a block of anchors at a time, in memory that is used again.

    A block fresh from the system has to be cleared by it page by page, which costs as much as a matrix product;
    memory allocators give blocks of this size back when they are freed.
    """

    ROOMS = 5

    def __init__(self, videos: list[_Video], alignment_variance: float, scaling: Scaling):
        self.alignment_variance, self.scaling = alignment_variance, scaling
        self.number_of_pairs = len(videos) * (len(videos) - 1)
        longest = max(videos, key=lambda video: len(video.frames)).frames
        self.elements = _BLOCK_ELEMENTS.get(longest.device.type, _BLOCK_ELEMENTS_ELSEWHERE)
        self.rooms = longest.new_empty(
            self.ROOMS, min(len(longest) ** 2, max(self.elements, _SMALLEST_BLOCK * len(longest)))
        )

    def add_pair(self, first: _Video, second: _Video) -> Tensor:
        """The share of the loss of the cycles from each of two videos through the other."""
        if max(len(first.frames), len(second.frames)) ** 2 <= self.elements:
            return self._add_both_ways(first, second)
        return self._add_one_way(first, second) + self._add_one_way(second, first)

    def _add_both_ways(self, first: _Video, second: _Video) -> Tensor:
        """Where all frames make one block: the distances, and the products of their gradient, serve both ways."""
        logits, turned = self._room(0, first.frames, second.frames), self._room(1, second.frames, first.frames)
        _, slope = logits_of(first.frames, second.frames, self.scaling, out=logits)
        # The logits of squared distances leave out what is constant for an anchor; turned, that is no constant.
        norms = 0.0 if self.scaling.rooted else self.scaling.factor * first.frames.square().sum(1)
        torch.sub(logits.T, norms, out=turned)
        everything = slice(0, None)
        loss = self._add_cycles(0, everything, first, second) + self._add_cycles(1, everything, second, first)
        if first.gradient is not None:
            if not self.scaling.rooted:  # with the root, `_add_gradients` sees both norms
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
            logits = self._room(0, anchors, other.frames)
            _, slope = logits_of(anchors, other.frames, self.scaling, out=logits)
            loss += self._add_cycles(0, block, own, other)
            if own.gradient is not None:
                own.gradient[block] += self._add_gradients(logits, slope, anchors, other)
        return loss

    def _add_cycles(self, room: int, block: slice, own: _Video, other: _Video) -> Tensor:
        """The share of the loss of the anchors `block` of `own`, whose logits against `other` are in a room.

        Adds the gradients of the cycles from the neighbours in `other` on; the room then holds that of the logits.
        """
        anchors = own.frames[block]
        weight = 1.0 / (self.number_of_pairs * len(own.frames))
        alpha = softmax_of(self._room(room, anchors, other.frames), out=self._room(2, anchors, other.frames))
        # The logits aren't needed any more.
        scratch = self._room(room, anchors, own.frames)
        neighbours = alpha @ other.frames
        offset, beta = self._room(3, anchors, own.frames), self._room(4, anchors, own.frames)
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
        # Through v~ = alpha @ other to `other`, and to the logits of alpha, of which v~ keeps the mean.
        other.gradient.addmm_(alpha.T, to_neighbours)
        to_alpha = torch.mm(to_neighbours, other.frames.T, out=self._room(room, anchors, other.frames))
        to_alpha.sub_(torch.linalg.vecdot(to_neighbours, neighbours).unsqueeze(1)).mul_(alpha)
        return loss

    def _add_gradients(self, to_logits: Tensor, slope: Tensor | None, queries: Tensor, keys: _Video) -> Tensor:
        """Pulls a gradient of logits (A, M) back: adds that of the keys, returns that of the queries (A, D)."""
        to_queries, weighted = gradient_to_queries(to_logits, slope, queries, keys.frames, self.scaling)
        keys.gradient.addmm_(weighted.T, queries, alpha=gradient_factor(self.scaling))
        _add_gradient_of_norms(weighted, keys, self.scaling)
        return to_queries

    def _room(self, number: int, rows: Tensor, columns: Tensor) -> Tensor:
        """A room as a tensor (frames of rows, frames of columns), with whatever is in it."""
        return self.rooms[number, : len(rows) * len(columns)].view(len(rows), len(columns))


def _add_gradient_of_norms(weighted: Tensor, keys: _Video, scaling: Scaling) -> None:
    """The part of the gradient of the keys that comes through their ||key||^2 in the logits (A, M)."""
    keys.gradient.addcmul_(keys.frames, weighted.sum(0).unsqueeze(1), value=-gradient_factor(scaling))
