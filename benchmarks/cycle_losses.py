"""Cases of `benchmarks.losses` for TCC, GTCC and the mixture fit: forward and backward passes on random walks.

For comparison, the two implementations that the project replaces: TCC with plain autograd, which keeps every N x M
tensor, and the mixture fit with one L-BFGS run per anchor.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from tests.utils.loss_functions.oracles_cycle import reference_mixture_fit
from utils.loss_functions.cycle_back import VARIANCE_FLOOR, positions_of
from utils.loss_functions.gtcc import GTCC_loss
from utils.loss_functions.mixture_fit import fit_mixtures
from utils.loss_functions.similarity import similarity_logits
from utils.loss_functions.tcc import TCC_loss

WIDTH, COMPONENTS, ANCHORS = 128, 15, 20
# Steps of a random walk; a softmax over `squared_per_dimension` is neither flat nor one-hot.
STEP = 0.1

Step = Callable[[], object]


def embeddings(frames: int, seed: int = 0) -> list[Tensor]:
    """Two videos (T, 128) that need a gradient."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (STEP * torch.randn(frames, WIDTH, generator=generator)).cumsum(0).requires_grad_() for _ in range(2)
    ]


def cases() -> dict[str, Callable[[int], Step]]:
    """Name -> function of T that prepares the inputs and returns the step to time."""
    return {
        "TCC": _tcc,
        "TCC, plain autograd": _tcc_by_autograd,
        "GTCC": _gtcc,
        "GTCC by responsibilities": functools.partial(_gtcc, soft_neighbours="responsibilities"),
        "GTCC's mixture fit": _fit,
        "mixture fit, one L-BFGS an anchor": _fit_one_by_one,
    }


def _step(inputs: list[Tensor], loss: Callable[[], Tensor]) -> Step:
    def step() -> None:
        for each in inputs:
            each.grad = None
        loss().backward()

    return step


def _tcc(frames: int) -> Step:
    videos = embeddings(frames)
    return _step(videos, lambda: TCC_loss(videos))


def _tcc_by_autograd(frames: int) -> Step:
    videos = embeddings(frames)

    def one_way(own: Tensor, other: Tensor) -> Tensor:
        positions = positions_of(len(own), own)
        neighbours = torch.softmax(-torch.cdist(own, other).square() / (0.1 * WIDTH), -1) @ other
        beta = torch.softmax(-torch.cdist(neighbours, own).square() / (0.1 * WIDTH), -1)
        mean = beta @ positions
        variance = (beta * (positions - mean.unsqueeze(1)).square()).sum(1) + VARIANCE_FLOOR
        return ((positions - mean).square() / variance + 0.0005 * variance.log()).mean()

    return _step(videos, lambda: 0.5 * (one_way(*videos) + one_way(*videos[::-1])))


def _gtcc(frames: int, soft_neighbours: str = "components") -> Step:
    videos = embeddings(frames)
    dropouts = [torch.randn(WIDTH + 1).requires_grad_() for _ in videos]

    def loss() -> Tensor:
        return GTCC_loss(videos, COMPONENTS, dropouts=dropouts, soft_neighbours=soft_neighbours)

    return _step([*videos, *dropouts], loss)


def _targets(frames: int) -> Tensor:
    own, other = (each.detach() for each in embeddings(frames))
    chosen = torch.randperm(frames, generator=torch.Generator().manual_seed(0))[:ANCHORS]
    ways = [similarity_logits(own[chosen], other), similarity_logits(other[chosen], own)]
    return torch.cat(ways).softmax(-1)


def _fit(frames: int) -> Step:
    targets = _targets(frames)
    return lambda: fit_mixtures(targets, COMPONENTS)


def _fit_one_by_one(frames: int) -> Step:
    targets = _targets(frames)
    return lambda: [reference_mixture_fit(target, COMPONENTS) for target in targets]
