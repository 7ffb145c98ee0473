"""Nearest neighbours between the frames of two videos, the found alignment that EAE, KT and KTW judge."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_neighbours(first: Tensor, second: Tensor, block: int = 1024) -> tuple[Tensor, Tensor]:
    """Nearest frame of the other video by Euclidean distance, for every frame of both.

    Both directions come from one pass over the distances, `block` rows of them at a time, so that the memory
    is O(block x M) and each inner product is computed once. Where frames are equally near, the first counts.

    Args:
        first: (N, D) embeddings of one video.
        second: (M, D) embeddings of the other.
        block: rows of the distance matrix held at once.

    Returns:
        (N,) int64 indices into `second`, and (M,) int64 indices into `first`.

    Raises:
        ValueError: a video has no frames, or the widths differ.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"expected embeddings (N, D) and (M, D), got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if not len(first) or not len(second):
        raise ValueError("nearest neighbours need at least one frame in each video")
    # |a - b|^2 is expanded into inner products below, which loses digits far from the origin; distances don't
    # change under a shift, so shift the origin into the data.
    origin = second.mean(dim=0)
    first, second = first - origin, second - origin
    first_square, second_square = first.square().sum(dim=1), second.square().sum(dim=1)

    forward = torch.empty(len(first), dtype=torch.int64, device=first.device)
    backward = torch.zeros(len(second), dtype=torch.int64, device=first.device)
    smallest = torch.full_like(second_square, float("inf"))
    for start in range(0, len(first), block):
        rows = slice(start, start + block)
        distance = torch.addmm(second_square[None], first[rows], second.T, alpha=-2)
        forward[rows] = distance.argmin(dim=1)
        # The rows' own |a|^2 is constant within a row, so it only matters for comparing the rows.
        value, index = distance.add_(first_square[rows, None]).min(dim=0)
        backward = torch.where(value < smallest, index + start, backward)
        smallest = torch.minimum(smallest, value)
    return forward, backward
