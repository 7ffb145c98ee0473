"""LAV: Learning by Aligning Videos in time (Haresh et al., CVPR 2021)."""

from collections.abc import Sequence

from torch import Tensor

from utils.loss_functions.closed_form import with_closed_form_gradient
from utils.loss_functions.contrastive import check_regulariser, mean_regulariser
from utils.loss_functions.cycle_back import checked_sequences, zero_with_gradient
from utils.loss_functions.normalization import normalized
from utils.loss_functions.pairwise import centred, mean_over_pairs
from utils.loss_functions.precision import without_autocast
from utils.loss_functions.similarity import DEFAULT_SIMILARITY, scaling_of
from utils.loss_functions.soft_dtw import band_limit, soft_dtw_and_gradient
from utils.loss_functions.trusted_path import trusted_path


def LAV_loss(
    sequences: Sequence[Tensor],
    min_temp: float = 0.1,
    alpha: float = 1.0,
    margin: float = 2.0,
    window: float = 0.1,
    similarity: str = DEFAULT_SIMILARITY,
    trust: float = 0.0,
    normalization: str = "none",
    band: int | None = None,
) -> Tensor:
    """Mean over the pairs (U, V) of a batch, of N and M frames, of

        soft-DTW(U, V) / (N + M) + alpha (I(U) + I(V))

    with soft-DTW at smoothing `min_temp` over the distances between frames (`soft_dtw.py`), and I the
    contrastive regulariser inside a video (`contrastive.py`). A path through the matrix has at most N + M - 1
    cells, and I is a mean, so the value doesn't grow with the length of the videos. The first term can be
    negative, but not below -log(3) min_temp. With `trust` it is the distance along the part of the path that can be
    trusted (`trusted_path.py`), so that videos need not have the same order of steps.

    Memory is a few N x M matrices of one pair at a time, for any size of the batch: the gradient is computed
    together with the value, and the backward pass only multiplies. (No second derivative.)

    Args:
        sequences: embeddings (T_i, D), one per video; lengths may differ.
        min_temp: smoothing gamma > 0 of soft-DTW, in units of the distance.
        alpha: weight >= 0 of the regulariser.
        margin: distance > 0 from which on distant frames of a video aren't pushed further apart.
        window: frames closer in time than this share of the video, in [0, 1], are neighbours.
        similarity: the distance, one of `similarity.SIMILARITIES`. Divided by D (the default), min_temp and
            margin mean the same at every width of the embedding.
        trust: how much further away than its nearest neighbour in the other video a frame may be and still be pulled,
            in units of the distance; 0: the whole path counts, as in the paper.
        normalization: of the embeddings before all this, "none" or "unit" (`normalization.py`).
        band: half width in frames of a Sakoe-Chiba band for soft-DTW; None: no band.

    Returns:
        Scalar. With fewer than two videos, a zero with a (zero) gradient.

    Raises:
        ValueError: for embeddings of different widths, an unknown similarity or normalization, or a setting out of
            range.
    """
    sequences = checked_sequences(sequences, 0.0)
    check_regulariser(window, margin)
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha must be a finite number >= 0; got {alpha!r}")
    if not 0 < min_temp < float("inf"):
        raise ValueError(f"min_temp must be a positive number; got {min_temp!r}")
    if not 0 <= trust < float("inf"):
        raise ValueError(f"trust must be a finite number >= 0; got {trust!r}")
    band_limit(1, 1, band)  # checks the band even if there is nothing to align
    if len(sequences) < 2:
        return zero_with_gradient(sequences)
    scaling = scaling_of(similarity, 1.0, sequences[0].shape[1])

    def alignment(costs: Tensor, lengths: list[tuple[int, int]], wanted: bool):
        if trust > 0:
            values, visits = trusted_path(costs, lengths, min_temp, band, trust)
        else:
            values, visits = soft_dtw_and_gradient(costs, lengths, min_temp, band, wanted)
        return values, visits, [1.0 / (n + m) for n, m in lengths]

    def compute(sequences: list[Tensor], gradients: list[Tensor] | None) -> Tensor:
        sequences = centred(sequences)
        total = mean_over_pairs(sequences, gradients, scaling, alignment)
        return total + mean_regulariser(sequences, gradients, alpha, window, margin, scaling)

    with without_autocast(sequences[0].device):
        sequences = normalized(sequences, normalization)
    return with_closed_form_gradient(compute, sequences)
