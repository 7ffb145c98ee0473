"""VAVA: learning to align sequential actions in the wild (Liu et al., CVPR 2022), by optimal transport."""

import math
from collections.abc import Sequence

from torch import Tensor

from utils.loss_functions.closed_form import with_closed_form_gradient
from utils.loss_functions.contrastive import check_regulariser, mean_regulariser
from utils.loss_functions.cycle_back import checked_sequences, zero_with_gradient
from utils.loss_functions.normalization import normalized
from utils.loss_functions.optimal_transport import check_transport
from utils.loss_functions.pairwise import centred, mean_over_pairs
from utils.loss_functions.precision import without_autocast
from utils.loss_functions.similarity import DEFAULT_SIMILARITY, scaling_of
from utils.loss_functions.vava_transport import TransportSettings, transport_terms


def VAVA_loss(
    sequences: Sequence[Tensor],
    zeta: float = 0.25,
    regularization: float = 0.1,
    prior_width: float = 0.1,
    consistency_decay: float = 0.95,
    intra_weight: float = 1.0,
    inter_weight: float = 1.0,
    margin: float = 2.0,
    window: float = 0.1,
    inter_margin: float = 0.5,
    iterations: int = 20,
    similarity: str = DEFAULT_SIMILARITY,
    normalization: str = "none",
    global_step: int = 0,
) -> Tensor:
    """Mean over the pairs (U, V) of a batch, of N and M frames, of

        transport(U, V) + intra_weight (I(U) + I(V)) + inter_weight inter(U, V)

    - transport = min over T of <T, D> + zeta * (mass left out) + regularization KL(T || P): entropic optimal
      transport in which every frame has the mass 1 / N (1 / M) and may go to a virtual bin at the cost zeta
      (`optimal_transport.py`; frames in the bin have the prior 1). Two frames are matched if this is cheaper
      than assigning both to the bin. The prior P = phi consistency + (1 - phi) optimality
      (`alignment_priors.py`) changes from the first to the second, with phi = consistency_decay^global_step. At
      the optimum the gradient with respect to D is the plan T itself (envelope theorem), which always pulls
      matched frames together.
    - I: the contrastive regulariser inside a video (`contrastive.py`).
    - inter: sum_i m_i max(0, inter_margin + d+_i - d-_i), mean of both directions, with m_i the matched mass of
      frame i, d+_i its mean distance to the frames that the plan matches it with, and d-_i its mean distance to
      all other frames. The plan is the target here and gets no gradient.

    In `transport` and `inter` D is the distance divided by its mean for the pair. So zeta, regularization and
    inter_margin have the same effect at every scale of the embedding, and no term saturates; the gradient includes
    that of the mean. All terms are means, so the value depends neither on the length of the videos nor on the number
    of pairs. (No second derivative.) Memory is a few N x M matrices of one pair at a time.

    Args:
        sequences: embeddings (T_i, D), one per video; lengths may differ.
        zeta: cost >= 0 of leaving a frame unmatched, in mean distances.
        regularization: eps > 0 of the transport, in mean distances.
        prior_width: standard deviation > 0 of the priors, as a share of the video's length.
        consistency_decay: in [0, 1]; phi is multiplied by it every epoch.
        intra_weight, inter_weight: weights >= 0 of the contrastive terms.
        margin, window: those of the regulariser inside a video (`contrastive.py`).
        inter_margin: > 0, in mean distances.
        iterations: Sinkhorn iterations >= 1; 20 converge for the default zeta and regularization.
        similarity: the distance, one of `similarity.SIMILARITIES`. The first two differ only in the regulariser.
        normalization: of the embeddings before all this, "none" or "unit" (`normalization.py`).
        global_step: epochs done, >= 0.

    Returns:
        Scalar >= 0. With fewer than two videos, a zero with a (zero) gradient.

    Raises:
        ValueError: for embeddings of different widths, an unknown similarity or normalization, or a setting out of
            range.
    """
    sequences = checked_sequences(sequences, 0.0)
    check_regulariser(window, margin)
    check_transport(regularization, zeta, iterations)
    not_negative = {"intra_weight": intra_weight, "inter_weight": inter_weight, "global_step": global_step}
    for name, value in not_negative.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number >= 0; got {value!r}")
    for name, value in {"prior_width": prior_width, "inter_margin": inter_margin}.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a positive number; got {value!r}")
    if not 0 <= consistency_decay <= 1:
        raise ValueError(f"consistency_decay must lie in [0, 1]; got {consistency_decay!r}")
    if len(sequences) < 2:
        return zero_with_gradient(sequences)
    scaling = scaling_of(similarity, 1.0, sequences[0].shape[1])
    consistency = consistency_decay**global_step
    settings = TransportSettings(
        zeta, regularization, prior_width, consistency, inter_weight, inter_margin, iterations
    )

    def between(costs: Tensor, lengths: list[tuple[int, int]], wanted: bool):
        return *transport_terms(costs, lengths, settings, wanted), [1.0] * len(lengths)

    def compute(sequences: list[Tensor], gradients: list[Tensor] | None) -> Tensor:
        sequences = centred(sequences)
        total = mean_over_pairs(sequences, gradients, scaling, between)
        return total + mean_regulariser(sequences, gradients, intra_weight, window, margin, scaling)

    with without_autocast(sequences[0].device):
        sequences = normalized(sequences, normalization)
    return with_closed_form_gradient(compute, sequences)
