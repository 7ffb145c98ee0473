"""Soft-DTW in plain torch, for a GPU and for machines without numba: the recursion of `soft_dtw.py`, batched.

The loop over anti-diagonals is the only loop over frames, and necessary: each diagonal depends on the two before
it. All cells of a diagonal, for all matrices of the batch, are computed in one operation. Nothing is read back to
the host, and the number of frames has no limit. Accumulated costs are doubles: after a path of 1000 frames, the
error of a float32 sum is larger than a small smoothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

# Cost of a cell outside the matrix or the band. It is finite, so that the difference of two such costs is a number.
_OUTSIDE = 1e30
# Number of diagonals whose transition probabilities are in memory at once in the backward recursion.
_CHUNK = 256


def by_diagonals(
    costs: Tensor, lengths: Sequence[tuple[int, int]], limits: Sequence[int], smoothing: float, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """Soft-DTW of each cost matrix, and its gradient.

    Args:
        costs: (B, N, M) floating point, finite also in the padding.
        lengths: rows and columns in use of each matrix.
        limits: per matrix, cells with |i (M_b - 1) - j (N_b - 1)| > limit are left out; negative: none are.
        smoothing: gamma > 0.
        wanted: whether the gradient is computed.

    Returns:
        Values (B,) and d value / d cost (B, N, M), or None.
    """
    batch, rows, columns = costs.shape
    scaled = costs.double() / smoothing
    _leave_out(scaled, lengths, limits)
    skewed = _skew(scaled)
    diagonals = len(skewed)
    # totals[d + 2, :, i + 1] is row i of diagonal d; the start is at row -1 of diagonal -2.
    totals = skewed.new_full((diagonals + 2, batch, rows + 1), _OUTSIDE)
    totals[0, :, 0] = 0.0
    for diagonal in range(diagonals):
        older, newer = totals[diagonal], totals[diagonal + 1]
        came_from = torch.stack((newer[:, :-1], newer[:, 1:], older[:, :-1]))
        torch.add(skewed[diagonal], came_from.neg_().logsumexp(0), alpha=-1, out=totals[diagonal + 2, :, 1:])
    ends = [(n + m - 2, index, n - 1) for index, (n, m) in enumerate(lengths)]
    values = torch.stack([totals[diagonal + 2, index, row + 1] for diagonal, index, row in ends]) * smoothing
    if not wanted:
        return values.to(costs.dtype), None
    visits = skewed.new_zeros(diagonals + 2, batch, rows + 1)
    for diagonal, index, row in ends:
        visits[diagonal, index, row] = 1.0
    for stop in range(diagonals, 0, -_CHUNK):
        start = max(0, stop - _CHUNK)
        above, left, before = _probabilities(totals, skewed, start, min(stop + 2, diagonals))
        for diagonal in range(stop - 1, start - 1, -1):
            here, offset = visits[diagonal], diagonal - start
            if diagonal + 1 < diagonals:
                here[:, :-2].addcmul_(visits[diagonal + 1, :, 1:-1], above[offset + 1][:, 1:])
                here[:, :-1].addcmul_(visits[diagonal + 1, :, :-1], left[offset + 1])
            if diagonal + 2 < diagonals:
                here[:, :-2].addcmul_(visits[diagonal + 2, :, 1:-1], before[offset + 2][:, 1:])
    return values.to(costs.dtype), _unskew(visits[:-2, :, :-1], columns).to(costs.dtype)


def _probabilities(totals: Tensor, skewed: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
    """For cells of diagonals [start, stop): the probability that a path came from above, left, the diagonal."""
    soft_minimum = totals[start + 2 : stop + 2, :, 1:] - skewed[start:stop]
    newer, older = totals[start + 1 : stop + 1], totals[start:stop]
    # The clamp changes only cells outside the matrix, whose values are rounding errors; no path visits them.
    return tuple(
        (soft_minimum - came_from).clamp_max_(0.0).exp_()
        for came_from in (newer[..., :-1], newer[..., 1:], older[..., :-1])
    )


def _leave_out(costs: Tensor, lengths: Sequence[tuple[int, int]], limits: Sequence[int]) -> None:
    """Mark, in place, the cells outside the band of each matrix."""
    for cost, (n, m), limit in zip(costs, lengths, limits, strict=True):
        if limit >= 0:
            row = torch.arange(cost.shape[0], device=cost.device).unsqueeze(1) * (m - 1)
            column = torch.arange(cost.shape[1], device=cost.device) * (n - 1)
            cost.masked_fill_((row - column).abs_() > limit, _OUTSIDE)


def _skew(costs: Tensor) -> Tensor:
    """(B, N, M) -> (N + M - 1, B, N): element [d, b, i] is cost [b, i, d - i], or `_OUTSIDE`."""
    batch, rows, columns = costs.shape
    padded = torch.nn.functional.pad(costs, (0, rows), value=_OUTSIDE).flatten(1)
    # A view with rows one element shorter than the stored ones: each row starts one place later than the row above.
    return padded[:, :-rows].view(batch, rows, rows + columns - 1).permute(2, 0, 1).contiguous()


def _unskew(skewed: Tensor, columns: int) -> Tensor:
    """The inverse of `_skew`."""
    _, batch, rows = skewed.shape
    flat = torch.nn.functional.pad(skewed.permute(1, 2, 0).flatten(1), (0, rows))
    return flat.view(batch, rows, rows + columns)[..., :columns]
