"""Soft dynamic time warping (Cuturi and Blondel, ICML 2017).

    R_ij = C_ij + min_gamma(R_(i-1)j, R_i(j-1), R_(i-1)(j-1))
    min_gamma(x) = -gamma log sum_k exp(-x_k / gamma)

with R = 0 at the corner before the first cell; the value is R at the last cell (equation 2 and algorithm 1).
The gradient with respect to C is the expected number of visits of each cell by a random path, which steps
back from a cell to each of its three predecessors with probability exp(-(R_predecessor - min_gamma) / gamma)
(algorithm 2, here with the probabilities, which lie in [0, 1], instead of exponentials of differences of
sums).

There are two implementations: a compiled scan on a CPU if numba is installed (`soft_dtw_scan.py`), and plain torch
otherwise (`soft_dtw_diagonals.py`).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from utils.loss_functions.compiled import runs_compiled
from utils.loss_functions.soft_dtw_diagonals import by_diagonals


def soft_dtw(
    costs: Tensor,
    smoothing: float = 0.1,
    lengths: Sequence[tuple[int, int]] | None = None,
    band: int | None = None,
) -> Tensor:
    """Soft-DTW value of each matrix of costs, differentiable (once) in the costs.

    Args:
        costs: (N, M), or (B, N, M) for a batch; finite, also in the padding.
        smoothing: gamma > 0; the smaller it is, the closer the value is to the cost of the single best path.
        lengths: rows and columns in use of each matrix of a batch; None: all.
        band: half width, in frames of the longer video, of a Sakoe-Chiba band around the straight line from
            the first cell to the last; None: no band. See `band_limit`: a path always exists.

    Returns:
        Scalar for (N, M), else (B,). It can be negative, because the soft minimum over many paths is smaller than the
        cost of the best one.

    Raises:
        ValueError: for another rank, an empty matrix, lengths that don't fit, or a setting out of range.

    Example:
        >>> soft_dtw(torch.ones(3, 5), smoothing=1e-3).round(decimals=2)
        tensor(5.)
    """
    if costs.dim() not in (2, 3) or 0 in costs.shape:
        raise ValueError(f"costs must be (N, M) or (B, N, M) and not empty; got {tuple(costs.shape)}")
    batch = costs if costs.dim() == 3 else costs.unsqueeze(0)
    lengths = checked_lengths(lengths, batch)
    wanted = torch.is_grad_enabled() and costs.requires_grad
    values = _SoftDTW.apply(batch, lengths, smoothing, band, wanted)
    return values if costs.dim() == 3 else values[0]


def checked_lengths(lengths: Sequence[tuple[int, int]] | None, batch: Tensor) -> list[tuple[int, int]]:
    """The rows and columns in use of each matrix of `batch` (B, N, M); all of them for None."""
    count, rows, columns = batch.shape
    if lengths is None:
        return [(rows, columns)] * count
    if len(lengths) != count or any(not (0 < n <= rows and 0 < m <= columns) for n, m in lengths):
        raise ValueError(f"lengths must be {count} pairs from 1 to {(rows, columns)}; got {list(lengths)}")
    return list(lengths)


def band_limit(rows: int, columns: int, band: int | None) -> int:
    """The band as a bound on |i (columns - 1) - j (rows - 1)|, or -1 for no band.

    The expression is a cell's distance from the line between the corners, and the bound is `band` frames of the
    longer side, but at least half a frame of the shorter side, so that a path can always reach the last cell: each
    frame of the shorter side belongs to several of the longer side.
    """
    if band is None:
        return -1
    if band < 0:
        raise ValueError(f"band must be None or a number of frames >= 0; got {band!r}")
    shorter, longer = min(rows, columns), max(rows, columns)
    return max(int(band) * (shorter - 1), (longer - 1) // 2 if shorter == longer else longer // 2)


def soft_dtw_and_gradient(
    costs: Tensor, lengths: Sequence[tuple[int, int]], smoothing: float, band: int | None, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """Values (B,) and, where `wanted`, d value / d cost (B, N, M), of costs (B, N, M) without a graph."""
    if not 0 < smoothing < float("inf"):
        raise ValueError(f"the smoothing of soft-DTW must be a positive number; got {smoothing!r}")
    limits = [band_limit(n, m, band) for n, m in lengths]
    if runs_compiled(costs):
        return _by_scan(costs, lengths, limits, smoothing, wanted)
    return by_diagonals(costs, lengths, limits, smoothing, wanted)


def _by_scan(
    costs: Tensor, lengths: Sequence[tuple[int, int]], limits: Sequence[int], smoothing: float, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    # Imported here because numba takes a while to load and only this loss needs it.
    from utils.loss_functions.soft_dtw_scan import scan

    values = torch.empty(len(costs), dtype=costs.dtype)
    gradient = torch.zeros_like(costs) if wanted else costs.new_zeros(len(costs), 0, 0)
    for index, ((n, m), limit) in enumerate(zip(lengths, limits, strict=True)):
        cost = np.ascontiguousarray(costs[index, :n, :m].numpy())
        target = gradient[index, :n, :m]
        in_place = target.is_contiguous()
        own = target.numpy() if in_place else np.zeros_like(cost)
        value = scan(cost, float(smoothing), limit, own)
        if not np.isfinite(cost.sum(dtype=np.float64)):
            # A comparison with NaN is false, so the scan would not notice it.
            value = np.nan
            own.fill(np.nan)
        values[index] = value
        if not in_place:
            target.copy_(torch.from_numpy(own))
    return values, gradient if wanted else None


class _SoftDTW(torch.autograd.Function):
    """The gradient is computed together with the value: its recursion begins where that of the value ends."""

    @staticmethod
    def forward(ctx, costs: Tensor, lengths, smoothing: float, band: int | None, wanted: bool) -> Tensor:
        values, visits = soft_dtw_and_gradient(costs, lengths, smoothing, band, wanted)
        if wanted:
            ctx.save_for_backward(visits)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        (visits,) = ctx.saved_tensors
        return upstream[:, None, None] * visits, None, None, None, None
