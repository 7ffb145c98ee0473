"""Shared by TCC and GTCC: cycle-back regression, and the checks of a batch of videos.

A cycle goes from frame i of video U to its soft nearest neighbour in V and back to U; the weights beta over the
frames of U give the frame at which it ends. With t the position of a frame, i / (N - 1) in [0, 1],

    mu = sum_l beta_l t_l,    sigma^2 = sum_l beta_l (t_l - mu)^2
    L_cbr(i) = (t_i - mu)^2 / (sigma^2 + VARIANCE_FLOOR) + lambda log sqrt(sigma^2 + VARIANCE_FLOOR)
    L_cbr(i) = (t_i - mu)^2                                                    if lambda = 0

(TCC, CVPR 2019, section 3.2; GTCC, CVPR 2024.) A saturated softmax has sigma^2 = 0, so the variance has a floor. It
is constant in positions, not in frames, so the value does not grow with the length of a video: it is between
lambda log(VARIANCE_FLOOR) / 2 and 1 / VARIANCE_FLOOR.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# In positions squared: a standard deviation of about 3 % of the video.
VARIANCE_FLOOR = 1e-3


def positions_of(number_of_frames: int, like: Tensor) -> Tensor:
    """Positions (N,) of the frames, evenly from 0 to 1 (0 for a single frame), on the device of `like`."""
    return torch.linspace(0.0, 1.0, number_of_frames, dtype=like.dtype, device=like.device)


def cycle_back_regression(error: Tensor, variance: Tensor, alignment_variance: float) -> Tensor:
    """L_cbr of each cycle (formula above).

    Args:
        error: t_i - mu, any shape.
        variance: sigma^2 >= 0, the same shape (unused if `alignment_variance` is 0).
        alignment_variance: lambda >= 0.
    """
    if alignment_variance == 0:
        return error.square()
    floored = variance + VARIANCE_FLOOR
    return error.square() / floored + 0.5 * alignment_variance * floored.log()


def cycle_back_slopes(
    error: Tensor, variance: Tensor, alignment_variance: float
) -> tuple[Tensor, Tensor | None]:
    """(d L_cbr / d mu, d L_cbr / d sigma^2); the second is None if `alignment_variance` is 0."""
    if alignment_variance == 0:
        return -2.0 * error, None
    floored = variance + VARIANCE_FLOOR
    ratio = error / floored
    return -2.0 * ratio, 0.5 * alignment_variance / floored - ratio.square()


def smallest_cycle_back(alignment_variance: float) -> float:
    """The smallest value of L_cbr: 0 if lambda = 0; else the value for an exact return with variance 0."""
    return 0.5 * alignment_variance * math.log(VARIANCE_FLOOR) if alignment_variance else 0.0


def cycle_back_by_chance(window: int, number_of_frames: int, alignment_variance: float) -> float:
    """L_cbr for uniform weights on a window of frames, with the anchor uniformly distributed in the window.

    The mean squared error and the variance then both are (W^2 - 1) / 12 frames squared.
    """
    spread = (window**2 - 1) / (12 * max(number_of_frames - 1, 1) ** 2)
    if not alignment_variance:
        return spread
    floored = spread + VARIANCE_FLOOR
    return spread / floored + 0.5 * alignment_variance * math.log(floored)


def checked_sequences(sequences: Sequence[Tensor], alignment_variance: float) -> list[Tensor]:
    """The embeddings of a batch, validated; half precision is converted to float32.

    Raises:
        ValueError: unless every embedding is (T >= 1, D) of one width D, and alignment_variance is >= 0.
    """
    if not 0 <= alignment_variance < float("inf"):
        raise ValueError(f"alignment_variance must be a finite number >= 0; got {alignment_variance!r}")
    for index, sequence in enumerate(sequences):
        if sequence.dim() != 2 or 0 in sequence.shape or sequence.shape[1] != sequences[0].shape[1]:
            shapes = [tuple(each.shape) for each in sequences]
            raise ValueError(
                f"embeddings must be (frames, dimensions), at least one frame each and all of one width; "
                f"video {index} of the batch breaks this: shapes {shapes}"
            )
    return [
        sequence.float() if sequence.dtype in (torch.float16, torch.bfloat16) else sequence
        for sequence in sequences
    ]


def zero_with_gradient(sequences: Sequence[Tensor]) -> Tensor:
    """A zero with a (zero) gradient, for a batch with nothing to compare."""
    if not sequences:
        return torch.zeros((), requires_grad=True)
    return sum((sequence.float() * 0.0).sum() for sequence in sequences)


def ordered_pairs(number_of_videos: int) -> list[tuple[int, int]]:
    """All (from, to) pairs of different videos."""
    return [(i, j) for i in range(number_of_videos) for j in range(number_of_videos) if i != j]
