"""The regulariser inside a video of LAV (CVPR 2021): contrastive inverse difference moment. VAVA has it too.

    sum over i != j of   w_ij max(0, margin - D_ij)   for distant frames,   D_ij / w_ij   for neighbours,
    w_ij = (t_i - t_j)^2 + 1

with D_ij the distance of two frames' embeddings: distant frames are pushed apart, neighbours are pulled together,
and both parts have a gradient. Here each of the two sums is a weighted mean (divided by the sum of its
weights), and the time t runs from 0 to `DURATION` in every video. So the term doesn't depend on the number of
frames per second: the same recording sampled at twice the rate has about the same value. Neighbours are frames
at most `window` apart (a share of the video's length), and always adjacent frames.
"""

from functools import lru_cache

import torch
from torch import Tensor

from utils.loss_functions.closed_form import with_closed_form_gradient
from utils.loss_functions.cycle_back import checked_sequences, zero_with_gradient
from utils.loss_functions.pairwise import centred, distances_of, gradient_of_distances
from utils.loss_functions.similarity import DEFAULT_SIMILARITY, Scaling, scaling_of

# The length of every video in units of t. Between the two ends of a video w is then about 1600, and between
# adjacent frames of a long video about 1.
DURATION = 40.0
# Elements of one (frames x frames) block: on a CPU it fits into the cache, on a GPU it uses all cores.
_BLOCK_ELEMENTS = {"cpu": 2**18}
_BLOCK_ELEMENTS_ELSEWHERE = 2**24
_SMALLEST_BLOCK = 32


def contrastive_inverse_difference_moment(
    sequence: Tensor, window: float = 0.1, margin: float = 2.0, similarity: str = DEFAULT_SIMILARITY
) -> Tensor:
    """I(X) of one video, differentiable (once). Formula above; source: LAV (Haresh et al., CVPR 2021).

    Args:
        sequence: (T, D) embeddings.
        window: half width of the neighbourhood as a share of the video, in [0, 1].
        margin: distance > 0 from which on distant frames are not pushed further apart.
        similarity: the distance, one of `similarity.SIMILARITIES`.

    Returns:
        Scalar >= 0; 0 for a video of one frame.

    Raises:
        ValueError: for embeddings that aren't (T, D), an unknown similarity or a setting out of range.
    """
    sequences = checked_sequences([sequence], 0.0)
    check_regulariser(window, margin)
    if len(sequence) < 2:
        return zero_with_gradient(sequences)
    scaling = scaling_of(similarity, 1.0, sequence.shape[1])

    def compute(sequences: list[Tensor], gradients: list[Tensor] | None) -> Tensor:
        gradient = gradients[0] if gradients else None
        return add_regulariser(centred(sequences)[0], window, margin, scaling, 1.0, gradient)

    return with_closed_form_gradient(compute, sequences)


def check_regulariser(window: float, margin: float) -> None:
    """Raise ValueError for a window or a margin out of range."""
    if not 0 <= window <= 1:
        raise ValueError(f"window must be a share of the video in [0, 1]; got {window!r}")
    if not 0 < margin < float("inf"):
        raise ValueError(f"margin must be a positive number; got {margin!r}")


def add_regulariser(
    frames: Tensor, window: float, margin: float, scaling: Scaling, weight: float, gradient: Tensor | None
) -> Tensor:
    """weight * I(X) at frames (T, D) without a graph; adds its gradient to `gradient` (T, D) unless that is None.

    The distances are symmetric: blocks of rows meet the columns from their own first frame on, and two matrix
    products a block give the gradient. No block outlives its turn.
    """
    length = len(frames)
    total = frames.new_zeros(())
    if length < 2:
        return total
    near, far = _weights_by_offset(length, window, frames.dtype, frames.device)
    elements = _BLOCK_ELEMENTS.get(frames.device.type, _BLOCK_ELEMENTS_ELSEWHERE)
    start = 0
    while start < length:
        rows = min(length - start, max(_SMALLEST_BLOCK, elements // (length - start)))
        # Rows in reverse order: then the offset j - i grows both along rows and along columns, and the weights of
        # all cells are a view of the weights by offset.
        block, others = frames[start : start + rows].flip(0), frames[start:]
        distances, slope = distances_of(block, others, scaling)
        shape, first = (rows, length - start), length - rows
        near_here = near.as_strided(shape, (1, 1), first)
        far_here = far.as_strided(shape, (1, 1), first)
        pushed = torch.where(distances < margin, far_here, 0.0)
        to_distances = near_here - pushed
        # Every pair counts in both orders; the square part of the block contains both already.
        pushed[:, :rows] *= 0.5
        to_distances[:, :rows] *= 0.5
        total += margin * pushed.sum() + torch.dot(to_distances.flatten(), distances.flatten())
        if gradient is not None:
            to_block, to_others = gradient_of_distances(to_distances, slope, block, others, scaling)
            gradient[start : start + rows].add_(to_block.flip(0), alpha=2 * weight)
            gradient[start:].add_(to_others, alpha=2 * weight)
        start += rows
    return total * (2 * weight)


def mean_regulariser(
    sequences: list[Tensor],
    gradients: list[Tensor] | None,
    weight: float,
    window: float,
    margin: float,
    scaling: Scaling,
) -> Tensor:
    """weight * the mean over pairs (U, V) of I(U) + I(V); adds its gradient to `gradients` unless None.

    Each video is in the same number of pairs: that is twice the mean over the videos.
    """
    total = sequences[0].new_zeros(())
    if weight == 0:
        return total
    for index, frames in enumerate(sequences):
        gradient = None if gradients is None else gradients[index]
        total += add_regulariser(frames, window, margin, scaling, 2.0 * weight / len(sequences), gradient)
    return total


@lru_cache(maxsize=64)
def _weights_by_offset(
    length: int, window: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Weights of neighbours and of distant frames for the offsets j - i = -(length - 1) .. length - 1.

    At each offset at least one of the two is 0; both are 0 for j = i. Each sums to 1 over all pairs of frames.
    """
    offsets = torch.arange(1 - length, length, dtype=torch.float64, device=device).abs_()
    weight = (offsets * (DURATION / (length - 1))).square() + 1.0
    pairs = length - offsets
    is_near = offsets <= max(1.0, window * (length - 1))
    near = torch.where(is_near & (offsets > 0), 1.0 / weight, 0.0)
    far = torch.where(is_near, 0.0, weight)
    # There may be no distant frames at all.
    far_total = (far * pairs).sum().clamp_min(1.0)
    return (near / (near * pairs).sum()).to(dtype), (far / far_total).to(dtype)
