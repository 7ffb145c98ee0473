"""The scale on which a loss sees the embeddings."""

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.registry import NORMALIZATIONS

# A frame whose root mean square is far below this stays near zero. Its gradient is at most 1 / SMALLEST_SIZE times that
# of the normalised frame.
SMALLEST_SIZE = 1e-3


def normalized(sequences: Sequence[Tensor], normalization: str) -> list[Tensor]:
    """The embeddings as a loss sees them.

    - "none": as they are. A loss of soft nearest neighbours then falls if all embeddings grow, because every softmax
      gets sharper, until it is saturated and has no gradient.
    - "unit": the mean m of all frames of the batch is subtracted, and every frame is divided by its root mean square,
      (x - m) / sqrt(mean((x - m)^2) + SMALLEST_SIZE^2), so that its length is sqrt(D). Distances are bounded, and
      neither an offset nor the scale of all embeddings changes the loss.

    Args:
        sequences: embeddings (T_i, D).
        normalization: one of `NORMALIZATIONS`.

    Raises:
        ValueError: for an unknown normalization.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}; got {normalization!r}")
    if normalization == "none" or not sequences:
        return list(sequences)
    lengths = [len(sequence) for sequence in sequences]
    frames = torch.cat(list(sequences))
    frames = frames - frames.mean(0)
    return list((frames * torch.rsqrt(frames.square().mean(-1, keepdim=True) + SMALLEST_SIZE**2)).split(lengths))
