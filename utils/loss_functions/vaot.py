"""VAOT: video alignment by fused Gromov-Wasserstein optimal transport, with the contrastive term of RGWOT."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from utils.loss_functions.alignment_priors import positions, uniform_mass
from utils.loss_functions.closed_form import with_closed_form_gradient
from utils.loss_functions.contrastive import check_regulariser, mean_regulariser
from utils.loss_functions.cycle_back import checked_sequences, zero_with_gradient
from utils.loss_functions.fused_transport import FusedTransport, fused_plan
from utils.loss_functions.normalization import normalized
from utils.loss_functions.optimal_transport import LEAST_EXPONENT, check_transport
from utils.loss_functions.pairwise import centred, mean_over_pairs
from utils.loss_functions.precision import without_autocast
from utils.loss_functions.similarity import DEFAULT_SIMILARITY, scaling_of


def VAOT_loss(
    sequences: Sequence[Tensor],
    softmax_temp: float = 0.1,
    structure_weight: float = 0.3,
    radius: float = 0.04,
    order_weight: float = 0.1,
    zeta: float = 0.5,
    regularization: float = 0.07,
    iterations: int = 10,
    intra_weight: float = 0.0,
    margin: float = 2.0,
    window: float = 0.1,
    similarity: str = DEFAULT_SIMILARITY,
    normalization: str = "unit",
) -> Tensor:
    """Mean over the pairs (U, V) of a batch, of N and M frames, of

        - sum_ij T_ij (log P_ij + log Q_ij) / 2 + intra_weight (I(U) + I(V))

    - D: half the distance between two frames. If they have the length sqrt(D), with the squared distance per dimension,
      it is one minus their cosine, as in the paper.
    - P_ij = softmax_j(-D_ij / softmax_temp), how probable it is that frame i is aligned with j (VASOT, equation 6), and
      Q_ij = softmax_i(-D_ij / softmax_temp) in the other direction.
    - T: the plan of the fused Gromov-Wasserstein transport (`fused_transport.py`) with the costs
      D_ij + order_weight |x_i - y_j|, where x_i and y_j in [0, 1] are the positions of the frames (the temporal prior).
      Every frame has the mass 1 / N (1 / M), and may go to a virtual bin at the cost zeta. T is the target: it gets no
      gradient. The first term is the cross-entropy of VASOT's equation 7, as the mean of both directions.
    - I: the contrastive regulariser inside a video (`contrastive.py`), with which RGWOT keeps the frames of a video
      from one point.

    Sources: VASOT (Ali et al., "Joint self-supervised video alignment and action segmentation", ICCV 2025), whose part
    for alignment alone is called VAOT; RGWOT (Mahmood et al., "Procedure learning via regularized Gromov-Wasserstein
    optimal transport", 2025). Differences: both directions count, so the order of the videos doesn't matter, and a
    virtual frame takes as much mass as is worth its cost, instead of that of one frame. (No second derivative.) Memory
    is a few N x M matrices of one pair at a time.

    Args:
        sequences: embeddings (T_i, D), one per video; lengths may differ.
        softmax_temp: temperature > 0 of P and Q.
        structure_weight: alpha in [0, 1] of the transport; 0: no structure.
        radius: in (0, 1], how far neighbours in time are apart, as a share of the video.
        order_weight: weight >= 0 of the temporal prior.
        zeta: cost >= 0 of leaving a frame unmatched.
        regularization: eps > 0 of the transport.
        iterations: steps of mirror descent >= 1; 10 are near convergence for the default settings.
        intra_weight: weight >= 0 of the contrastive term.
        margin, window: those of the contrastive term.
        similarity: the distance, one of `similarity.SIMILARITIES`.
        normalization: the scale of the embeddings, see `normalization.py`.

    Returns:
        Scalar >= 0. With fewer than two videos, a zero with a (zero) gradient.

    Raises:
        ValueError: for embeddings of different widths, an unknown similarity or normalization, or a setting out of
            range.
    """
    sequences = checked_sequences(sequences, 0.0)
    check_regulariser(window, margin)
    check_transport(regularization, zeta, iterations)
    for name, value in {"order_weight": order_weight, "intra_weight": intra_weight}.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number >= 0; got {value!r}")
    if not 0 <= structure_weight <= 1:
        raise ValueError(f"structure_weight must lie in [0, 1]; got {structure_weight!r}")
    if not 0 < radius <= 1:
        raise ValueError(f"radius must be a share of the video in (0, 1]; got {radius!r}")
    if not 0 < softmax_temp < math.inf:
        raise ValueError(f"softmax_temp must be a positive number; got {softmax_temp!r}")
    if len(sequences) < 2:
        return zero_with_gradient(sequences)
    width = sequences[0].shape[1]
    whole, half = scaling_of(similarity, 1.0, width), scaling_of(similarity, 2.0, width)
    problem = FusedTransport(structure_weight, radius, zeta, regularization, iterations)

    def between(costs: Tensor, lengths: list[tuple[int, int]], wanted: bool):
        return *_cross_entropy(costs, lengths, problem, order_weight, softmax_temp, wanted), [1.0] * len(lengths)

    def compute(sequences: list[Tensor], gradients: list[Tensor] | None) -> Tensor:
        sequences = centred(sequences)
        total = mean_over_pairs(sequences, gradients, half, between)
        return total + mean_regulariser(sequences, gradients, intra_weight, window, margin, whole)

    with without_autocast(sequences[0].device):
        sequences = normalized(sequences, normalization)
    return with_closed_form_gradient(compute, sequences)


def _cross_entropy(
    costs: Tensor,
    lengths: Sequence[tuple[int, int]],
    problem: FusedTransport,
    order_weight: float,
    temperature: float,
    wanted: bool,
) -> tuple[Tensor, Tensor | None]:
    """The first term of each pair (formula at `VAOT_loss`), and its gradient.

    Args:
        costs: D (B, N, M) without a graph; the padding is overwritten.
        lengths: frames of both videos of each pair; padding is at the end.
        problem, order_weight, temperature: see `VAOT_loss`.
        wanted: whether the gradient is computed.

    Returns:
        Values (B,), and their gradient with respect to D (B, N, M), 0 in the padding, or None.
    """
    counts = [n for n, _ in lengths], [m for _, m in lengths]
    masses = tuple(uniform_mass(counts[side], costs.shape[1 + side], costs) for side in (0, 1))
    x, y = (positions(counts[side], costs.shape[1 + side], costs) for side in (0, 1))
    away = (x.unsqueeze(2) - y.unsqueeze(1)).abs_()
    plan = fused_plan(away.mul_(order_weight).add_(costs), lengths, masses, problem)
    logits = costs.mul_(-1.0 / temperature)
    if any((n, m) != tuple(costs.shape[1:]) for n, m in lengths):
        # Far below every other logit, and finite: the plan is 0 there.
        unused = (masses[0] == 0).unsqueeze(2) | (masses[1] == 0).unsqueeze(1)
        logits.masked_fill_(unused, torch.finfo(costs.dtype).min / 4)
    values = -(plan * logits).sum((1, 2))
    gradient = plan if wanted else None
    for dim in (2, 1):
        mass = plan.sum(dim, keepdim=True)
        total = logits.logsumexp(dim, keepdim=True)
        values += 0.5 * (mass * total).sum((1, 2))
        if wanted:
            probable = (logits - total).clamp_min_(LEAST_EXPONENT).exp_()
            gradient = torch.addcmul(gradient, probable, mass, value=-0.5)
    return values, gradient.div_(temperature) if wanted else None
