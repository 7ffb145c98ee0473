"""Distances between the frames of two videos by one matrix product, and losses over the pairs of a batch.

The distances are those of `similarity.py`, but complete (there, a term that a softmax removes is left out).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from utils.loss_functions.similarity import Scaling

# A function of a group of pairs. Arguments: distances (B, N, M), the frames in use of each pair, and whether a
# gradient is wanted. Results: values (B,), their gradient with respect to the distances or None, and a factor for
# each pair's value and gradient.
PairTerms = Callable[[Tensor, list[tuple[int, int]], bool], tuple[Tensor, Tensor | None, list[float]]]
# Elements of a (pairs, frames, frames) tensor if several pairs are computed together.
_CHUNK_ELEMENTS = 2**26
# Elements of one block of rows: on a CPU it fits into the cache, on a GPU it uses all cores.
_BLOCK_ELEMENTS = {"cpu": 2**17}
_BLOCK_ELEMENTS_ELSEWHERE = 2**26


def distances_of(rows: Tensor, columns: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor | None]:
    """Distances (..., N, M) >= 0 between rows (..., N, D) and columns (..., M, D).

    If the embeddings may be far from the origin, subtract a common vector from both before. No distance changes, but
    rounding errors become smaller, because the products that are subtracted are smaller.

    Returns:
        The distances; and d distance / d (squared distance) for `euclidean`, else None (it is constant).
    """
    row_norms = rows.square().sum(-1, keepdim=True)
    column_norms = columns.square().sum(-1).unsqueeze(-2)
    factor = 1.0 if scaling.rooted else scaling.factor
    if rows.dim() == 2:
        squared = torch.addmm(column_norms, rows, columns.T, beta=factor, alpha=-2 * factor)
    else:
        squared = torch.baddbmm(column_norms, rows, columns.mT, beta=factor, alpha=-2 * factor)
    squared.add_(row_norms, alpha=factor)
    if not scaling.rooted:
        return squared.clamp_min_(0.0), None
    # A distance smaller than the rounding error is noise. It is treated as constant: equal frames get no gradient.
    information = torch.finfo(squared.dtype)
    noise = (4 * information.eps * (row_norms.amax() + column_norms.amax())).clamp_min(information.eps**3)
    below = squared <= noise
    distance = squared.masked_fill_(below, 0.0).sqrt_()
    slope = (0.5 * scaling.factor / distance).masked_fill_(below, 0.0)
    return distance.mul_(scaling.factor), slope


def gradient_of_distances(
    gradient: Tensor, slope: Tensor | None, rows: Tensor, columns: Tensor, scaling: Scaling
) -> tuple[Tensor, Tensor]:
    """From d loss / d distances (..., N, M) to the gradients of rows (..., N, D) and columns (..., M, D).

    `slope` is the second result of `distances_of`; if it isn't None, `gradient` is overwritten. With W the gradient
    with respect to the squared distances, the gradient of row i is 2 (sum_j W_ij x_i - sum_j W_ij y_j), and likewise
    for the columns: two matrix products.
    """
    factor = 2.0 * scaling.factor
    if slope is not None:
        gradient, factor = gradient.mul_(slope), 2.0
    to_rows = (rows * gradient.sum(-1, keepdim=True)).sub_(gradient @ columns).mul_(factor)
    to_columns = (columns * gradient.sum(-2).unsqueeze(-1)).sub_(gradient.mT @ rows).mul_(factor)
    return to_rows, to_columns


def centred(sequences: Sequence[Tensor]) -> list[Tensor]:
    """The embeddings minus the mean of all their frames; distances don't change."""
    centre = sum(sequence.sum(0) for sequence in sequences) / sum(len(sequence) for sequence in sequences)
    return [sequence - centre for sequence in sequences]


def row_blocks(shape: Sequence[int], device: torch.device) -> Iterator[slice]:
    """Slices of the rows of (B, N, M), small enough to stay in the cache during several operations."""
    batch, rows, columns = shape
    size = max(1, _BLOCK_ELEMENTS.get(device.type, _BLOCK_ELEMENTS_ELSEWHERE) // (batch * columns))
    for start in range(0, rows, size):
        yield slice(start, start + size)


def chunks_of_pairs(sequences: Sequence[Tensor]) -> Iterator[list[tuple[int, int]]]:
    """All pairs i < j of videos, in groups to be computed together.

    On a CPU one pair at a time, without padding; on other devices, as many pairs as a limited memory allows.
    """
    pairs = list(combinations(range(len(sequences)), 2))
    if sequences[0].device.type == "cpu":
        size = 1
    else:
        longest = max(len(sequence) for sequence in sequences)
        size = max(1, _CHUNK_ELEMENTS // longest**2)
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def stacked(sequences: Sequence[Tensor]) -> Tensor:
    """Embeddings (T_i, D) as one (B, max T, D) tensor, zeros at the end of the shorter ones."""
    if len(sequences) == 1:
        return sequences[0].unsqueeze(0)
    return torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True)


def mean_over_pairs(
    sequences: Sequence[Tensor], gradients: list[Tensor] | None, scaling: Scaling, terms: PairTerms
) -> Tensor:
    """Mean over all pairs of videos of a function of the distances between their frames.

    Args:
        sequences: two or more embeddings (T_i, D) without a graph, centred.
        gradients: tensors of the same shapes, to which the gradient is added, or None.
        scaling: the distance.
        terms: computes the function and its gradient for one group of pairs. It may overwrite the distances.
    """
    total = sequences[0].new_zeros(())
    number_of_pairs = len(sequences) * (len(sequences) - 1) // 2
    for pairs in chunks_of_pairs(sequences):
        rows, columns = (stacked([sequences[pair[side]] for pair in pairs]) for side in (0, 1))
        lengths = [(len(sequences[i]), len(sequences[j])) for i, j in pairs]
        costs, slope = distances_of(rows, columns, scaling)
        values, to_costs, factors = terms(costs, lengths, gradients is not None)
        weights = [factor / number_of_pairs for factor in factors]
        for value, weight in zip(values, weights, strict=True):
            total.add_(value, alpha=weight)
        if gradients is None:
            continue
        to_rows, to_columns = gradient_of_distances(to_costs, slope, rows, columns, scaling)
        for index, ((i, j), (n, m)) in enumerate(zip(pairs, lengths, strict=True)):
            gradients[i].add_(to_rows[index, :n], alpha=weights[index])
            gradients[j].add_(to_columns[index, :m], alpha=weights[index])
    return total
