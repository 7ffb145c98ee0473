"""Generalised temporal cycle-consistency (GTCC, CVPR 2024): several soft neighbours, and frames can be dropped."""

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.loss_functions.cycle_back import (
    checked_sequences,
    cycle_back_by_chance,
    cycle_back_regression,
    ordered_pairs,
    smallest_cycle_back,
    zero_with_gradient,
)
from utils.loss_functions.mixture_fit import fit_mixtures
from utils.loss_functions.normalization import normalized
from utils.loss_functions.precision import without_autocast
from utils.loss_functions.similarity import DEFAULT_SIMILARITY, scaling_of, similarity_logits, softmax_of
from utils.registry import RECIPROCALS, SOFT_NEIGHBOURS

# Bounds the reciprocal term: it is at most 1 + 1 / RECIPROCAL_FLOOR times the cost at its balance, both minus the
# smallest possible cost of a cycle.
RECIPROCAL_FLOOR = 0.1
# Drop logits whose spread is smaller than this count as all equal.
_SMALLEST_SPREAD = 1e-3
_SMALLEST_WINDOW = 3
_SMALLEST_SHARE = 1e-12


def GTCC_loss(
    sequences: Sequence[Tensor],
    n_components: int = 15,
    gamma: float = 0.95,
    delta: float = 0.2,
    dropouts: Sequence[Tensor] | None = None,
    softmax_temp: float = 0.1,
    alignment_variance: float = 0,
    max_gmm_iters: int = 8,
    epoch: int = 0,
    anchors_per_video: int = 20,
    similarity: str = DEFAULT_SIMILARITY,
    generator: torch.Generator | None = None,
    soft_neighbours: str = "components",
    normalization: str = "none",
    reciprocal: str = "frame",
) -> Tensor:
    """Mean over ordered pairs (U, V) of different videos, and over anchor frames i drawn from U, of

        P_keep L + (1 - P_keep) R(L),        L = sum_k psi_k L_cbr(i; v~^(k), window)

    (GTCC, section 3). alpha = softmax_j(-d(u_i, v_j) / tau) is approximated by a mixture of K discretised
    Gaussians p^(k) with weights psi_k, without a gradient (`mixture_fit.py`); v~^(k) = sum_j p_j^(k) v_j; the
    cycle goes back to a window of U and L_cbr (`cycle_back.py`) is taken there.

    - Soft neighbours: "components" are the v~^(k) above. Then u_i gets no gradient through alpha, and while
      alpha is flat they are the same K points of V for every anchor. "responsibilities" divides alpha among
      the components, with r_kj = psi_k p_j^(k) / sum_l psi_l p_j^(l) of the fit as constants:

          psi_k = sum_j alpha_j r_kj,        v~^(k) = sum_j alpha_j r_kj v_j / psi_k.

      Both are equal if the mixture is equal to alpha, but here there is a gradient through alpha, as in TCC.
      With one component v~ is TCC's soft nearest neighbour, and nothing is fitted.
    - Window: delta N consecutive frames (at least 3, at most N) that contain i; the other frames of U have
      weight zero. The position of i in the window is drawn at random for each anchor. If i were always in the
      middle, embeddings that are all equal would return exactly to i and be a perfect solution. With delta < 1 the
      cycle only has to find its place within the window: an embedding that goes round a circle once in every
      delta N frames is a perfect solution, however badly it aligns two videos. With delta = 1 it is none.
    - Drop model: x_i = [u_i, 1] . c(V), normalised over the frames of U, P_drop = sigmoid(x_i) and
      P_keep = m + (1 - m)(1 - P_drop), with the floor m = gamma^(epoch + 1). With gamma = 1 or without
      `dropouts` all frames are kept.
    - Reciprocal: the paper's 1 / L has no bound. With s the smallest possible value of L, e = RECIPROCAL_FLOOR, and
      the balance C + s,

          R = s + C (1 + e) / ((L - s) / C + e),

      decreases with L like 1 / L, is equal to L at the balance, and lies in (s, s + C (1 + e) / e]. So the loss is
      lower if frames that align better than the balance are kept, and frames that align worse are dropped. The
      balance is the value of L for a return that misses by one "frame", as in the paper, or for uniform weights in
      the window, "chance". The probabilities are normalised, so about half of all frames are always dropped, and a
      dropped frame costs less the worse it aligns: with "chance", two equal videos cost more than two collapsed
      ones once the floor m is low (from about epoch 5 with gamma = .95). With "frame" R is negligible for nearly
      all frames.
    - Normalization: with "unit" all frames are centred and each is divided by its root mean square before all this,
      but the drop model sees the embeddings as they are (`normalization.py`).

    The paper's settings for data in the wild are the defaults of this function; those of
    `configs/generic_config.py` train better (docs/alignment.md).

    Args:
        sequences: embeddings (T_i, D), one per video; lengths may differ.
        n_components: K >= 1.
        gamma: in (0, 1]; the floor of the keep probability is multiplied by it every epoch.
        delta: width of the window as a share of the video's length, > 0.
        dropouts: one c(V) of shape (D + 1,) per video; or None or empty.
        softmax_temp: tau > 0.
        alignment_variance: lambda >= 0 of L_cbr; 0: plain squared error.
        max_gmm_iters: steps of the mixture fit, >= 0 (`fit_mixtures`).
        epoch: number of the epoch, >= 0.
        anchors_per_video: frames drawn from each video without replacement; all frames of a shorter video.
        similarity: the distance d, one of `similarity.SIMILARITIES`.
        generator: CPU generator for the anchors and windows; None: torch's default generator.
        soft_neighbours: "components" or "responsibilities", above.
        normalization: "none" or "unit", above.
        reciprocal: its balance, "frame" or "chance", above.

    Returns:
        Scalar. With fewer than two videos, a zero with a (zero) gradient.

    Raises:
        ValueError: for embeddings or dropouts of the wrong shape, an unknown similarity, kind of soft neighbours,
            normalization or balance, a setting out of range.
    """
    given = checked_sequences(sequences, alignment_variance)
    sequences = normalized(given, normalization)
    _check_settings(gamma, delta, epoch, anchors_per_video, n_components, max_gmm_iters, soft_neighbours, reciprocal)
    if len(sequences) < 2:
        return zero_with_gradient(sequences)
    width = sequences[0].shape[1]
    scaling_of(similarity, softmax_temp, width)
    dropouts = _checked_dropouts(dropouts, len(sequences), width) if gamma < 1 else []
    with without_autocast(sequences[0].device):
        drawn = [_draw(len(each), anchors_per_video, delta, generator, each.device) for each in sequences]
        pairs = ordered_pairs(len(sequences))
        anchors = [each for each, _ in drawn]
        if n_components == 1 and soft_neighbours == "responsibilities":
            # The only component is responsible for every frame, whatever the fit: it would take most of the time.
            fits = [(sequences[i].new_ones(len(anchors[i]), 1), sequences[i].new_ones(1, 1, 1)) for i, _ in pairs]
        else:
            fits = _fit_all(sequences, anchors, pairs, n_components, max_gmm_iters, softmax_temp, similarity)
        floor = gamma ** (epoch + 1)
        smallest = smallest_cycle_back(alignment_variance)
        total = sequences[0].new_zeros(())
        for (i, j), (weights, components) in zip(pairs, fits, strict=True):
            if soft_neighbours == "components":
                neighbours = (components.flatten(0, 1) @ sequences[j]).view(*components.shape[:2], -1)
            else:
                logits = similarity_logits(sequences[i][anchors[i]], sequences[j], softmax_temp, similarity)
                weights, neighbours = _shared_out(logits.softmax(-1), weights, components, sequences[j])
            loss = _multi_cycle(
                sequences[i], *drawn[i], weights, neighbours, softmax_temp, alignment_variance, similarity
            )
            if dropouts:
                window = drawn[i][1].shape[1] if reciprocal == "chance" else None
                balance = _balance(len(given[i]), window, alignment_variance)
                keep = _keep_probability(given[i], dropouts[j], floor)[drawn[i][0]]
                loss = keep * loss + (1 - keep) * _reciprocal(loss, balance, smallest)
            total = total + loss.mean()
        return total / len(pairs)


def _check_settings(
    gamma, delta, epoch, anchors_per_video, n_components, max_gmm_iters, soft_neighbours, reciprocal
) -> None:
    wrong = [
        message
        for is_right, message in [
            (0 < gamma <= 1, f"gamma must be in (0, 1]; got {gamma!r}"),
            (0 < delta < float("inf"), f"delta must be a positive number; got {delta!r}"),
            (epoch >= 0, f"epoch must be >= 0; got {epoch!r}"),
            (anchors_per_video >= 1, f"anchors_per_video must be >= 1; got {anchors_per_video!r}"),
            (n_components >= 1, f"n_components must be >= 1; got {n_components!r}"),
            (max_gmm_iters >= 0, f"max_gmm_iters must be >= 0; got {max_gmm_iters!r}"),
            (
                soft_neighbours in SOFT_NEIGHBOURS,
                f"soft_neighbours must be one of {', '.join(SOFT_NEIGHBOURS)}; got {soft_neighbours!r}",
            ),
            (reciprocal in RECIPROCALS, f"reciprocal must be one of {', '.join(RECIPROCALS)}; got {reciprocal!r}"),
        ]
        if not is_right
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def _checked_dropouts(dropouts: Sequence[Tensor] | None, number_of_videos: int, width: int) -> list[Tensor]:
    if dropouts is None or len(dropouts) == 0:
        return []
    shapes = [tuple(each.shape) for each in dropouts]
    if shapes != [(width + 1,)] * number_of_videos:
        raise ValueError(
            f"dropouts must be one vector of D + 1 = {width + 1} for each of the {number_of_videos} videos; "
            f"got shapes {shapes}"
        )
    return list(dropouts)


def _draw(
    number_of_frames: int, number_of_anchors: int, delta: float, generator: torch.Generator | None, device
) -> tuple[Tensor, Tensor]:
    """Anchors (A,) in increasing order and their windows (A, W), as frame indices."""
    anchors = torch.randperm(number_of_frames, generator=generator)[:number_of_anchors].sort().values
    width = min(max(round(delta * number_of_frames), _SMALLEST_WINDOW), number_of_frames)
    place = torch.randint(width, (len(anchors),), generator=generator)
    first = (anchors - place).clamp_(0, number_of_frames - width)
    windows = first.unsqueeze(1) + torch.arange(width)
    return anchors.to(device, non_blocking=True), windows.to(device, non_blocking=True)


@torch.no_grad()
def _fit_all(
    sequences: list[Tensor],
    anchors: list[Tensor],
    pairs: list[tuple[int, int]],
    n_components: int,
    iterations: int,
    temperature: float,
    similarity: str,
) -> list[tuple[Tensor, Tensor]]:
    """Weights (A, K) and components (A, K, M) of each pair; all anchors of all pairs are fitted together."""
    longest = max(len(each) for each in sequences)
    rows = [len(anchors[i]) for i, _ in pairs]
    targets = sequences[0].new_zeros(sum(rows), longest)
    for (i, j), into in zip(pairs, targets.split(rows), strict=True):
        logits = similarity_logits(sequences[i][anchors[i]], sequences[j], temperature, similarity)
        into[:, : len(sequences[j])] = softmax_of(logits)
    lengths = torch.tensor(
        [len(sequences[j]) for (_, j), n in zip(pairs, rows, strict=True) for _ in range(n)]
    )
    lengths = lengths.to(targets.device, non_blocking=True)
    fitted = fit_mixtures(targets, n_components, iterations, lengths)
    by_pair = zip(pairs, fitted.split(rows), strict=True)
    return [(fit.weights(), fit.components(len(sequences[j]))) for (_, j), fit in by_pair]


def _shared_out(
    alpha: Tensor, weights: Tensor, components: Tensor, other: Tensor
) -> tuple[Tensor, Tensor]:
    """psi (A, K) and soft neighbours (A, K, D) from alpha (A, M) and the responsibilities of a fit."""
    responsibilities = weights.unsqueeze(-1) * components
    responsibilities = responsibilities / responsibilities.sum(1, keepdim=True).clamp_min(_SMALLEST_SHARE)
    shares = alpha.unsqueeze(1) * responsibilities
    weights = shares.sum(-1)
    neighbours = (shares.flatten(0, 1) @ other).view(*weights.shape, -1)
    # A component with a share of zero has weight zero, so its neighbour doesn't matter.
    return weights, neighbours / weights.unsqueeze(-1).clamp_min(_SMALLEST_SHARE)


def _multi_cycle(
    own: Tensor,
    anchors: Tensor,
    windows: Tensor,
    weights: Tensor,
    neighbours: Tensor,
    temperature: float,
    alignment_variance: float,
    similarity: str,
) -> Tensor:
    """L of each anchor (A,), from psi (A, K) and the soft neighbours (A, K, D)."""
    last = max(len(own) - 1, 1)
    if windows.shape[1] == len(own):
        # Every window is the whole video: one product, without a copy of the video for each anchor.
        logits = similarity_logits(neighbours.flatten(0, 1), own, temperature, similarity)
        logits = logits.view(*neighbours.shape[:2], -1)
    else:
        # index_select, not own[windows]: its backward pass adds whole rows.
        frames = own.index_select(0, windows.flatten()).view(*windows.shape, -1)
        logits = similarity_logits(neighbours, frames, temperature, similarity)
    beta = torch.softmax(logits, -1)
    # Positions relative to the anchor keep their precision in a long video.
    positions = ((windows - anchors.unsqueeze(1)).to(own.dtype) / last).unsqueeze(1)
    error = -(beta * positions).sum(-1)
    variance = (beta * (positions + error.unsqueeze(-1)).square()).sum(-1) if alignment_variance else error
    loss = (weights * cycle_back_regression(error, variance, alignment_variance)).sum(-1)
    return loss


def _keep_probability(own: Tensor, dropout: Tensor, floor: float) -> Tensor:
    """P_keep (N,) of every frame of `own`, given the drop vector c(V) of the other video."""
    logits = own @ dropout[:-1].to(own.dtype)
    centred = logits - logits.mean()
    normalised = centred / (centred.square().mean() + _SMALLEST_SPREAD**2).sqrt()
    return floor + (1 - floor) * torch.sigmoid(-normalised)


def _balance(number_of_frames: int, window: int | None, alignment_variance: float) -> float:
    """L of a return that misses by one frame, with the variance of one frame; or by chance in a window of frames."""
    if window is not None:
        return cycle_back_by_chance(window, number_of_frames, alignment_variance)
    one_frame = torch.tensor(1.0 / max(number_of_frames - 1, 1), dtype=torch.float64)
    return float(cycle_back_regression(one_frame, one_frame.square(), alignment_variance))


def _reciprocal(loss: Tensor, balance: float, smallest: float) -> Tensor:
    """R(L) (docstring of `GTCC_loss`), with C = balance - smallest."""
    scale = max(balance - smallest, 1e-12)
    return smallest + scale * (1 + RECIPROCAL_FLOOR) / ((loss - smallest) / scale + RECIPROCAL_FLOOR)
