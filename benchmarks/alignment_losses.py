"""Training steps of LAV, VAVA, VAOT and path length for `benchmarks.losses`, and of every loss with the settings of
`configs/generic_config.py`; with tslearn and POT for comparison."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.losses import CONFIGURED
from configs.generic_config import get_generic_config
from utils.errors import MissingExtraError, import_extra
from utils.loss_functions.lav import LAV_loss
from utils.loss_functions.optimal_transport import sinkhorn
from utils.loss_functions.soft_dtw import soft_dtw_and_gradient
from utils.loss_functions.soft_dtw_diagonals import by_diagonals
from utils.loss_functions.vaot import VAOT_loss
from utils.loss_functions.vava import VAVA_loss
from utils.registry import LOSSES, code_of
from utils.tensorops import get_cum_matrix

WIDTH = 128
SINKHORN_ITERATIONS = 20
SINKHORN_REGULARIZATION = 0.1

Step = Callable[[], None]


def random_walks(length: int, number: int = 2, scale: float = 0.1) -> list[Tensor]:
    """Random-walk embeddings (length, 128) of a batch of two videos."""
    generator = torch.Generator().manual_seed(0)
    walks = [(scale * torch.randn(length, WIDTH, generator=generator)).cumsum(0) for _ in range(number)]
    return [walk.requires_grad_() for walk in walks]


def training_step(loss: Callable[[list[Tensor]], Tensor], number: int = 2) -> Callable[[int], Step]:
    """A case: forward and backward pass of a loss over `number` videos of T frames."""

    def build(length: int) -> Step:
        sequences = random_walks(length, number)

        def step() -> None:
            for sequence in sequences:
                sequence.grad = None
            loss(sequences).backward()

        return step

    return build


def cases() -> dict[str, Callable[[int], Step]]:
    """Names of the cases, and for each a function of T that builds a forward and backward step."""
    found = {
        "LAV": training_step(LAV_loss),
        "VAVA": training_step(VAVA_loss),
        "VAOT": training_step(VAOT_loss),
        "VAVA, epoch 10": training_step(lambda sequences: VAVA_loss(sequences, global_step=10)),
        "path length": training_step(lambda sequences: get_cum_matrix(sequences[0]).sum(), number=1),
        "soft-DTW": _soft_dtw_here,
        "soft-DTW, torch": _soft_dtw_in_torch,
        "Sinkhorn": _sinkhorn_here,
        **{f"{name.upper()}{CONFIGURED}": _as_configured(name) for name in LOSSES},
    }
    for name, build in (("soft-DTW, tslearn", _soft_dtw_in_tslearn), ("Sinkhorn, POT", _sinkhorn_in_pot)):
        try:
            build(2)
        except MissingExtraError:
            continue
        found[name] = build
    return found


def _as_configured(name: str) -> Callable[[int], Step]:
    loss, parameters = code_of(LOSSES[name]), get_generic_config()[LOSSES[name].settings].to_dict()
    return training_step(lambda sequences: loss(sequences, **parameters))


def _squared_distances(length: int) -> Tensor:
    first, second = (sequence.detach() for sequence in random_walks(length))
    return torch.cdist(first, second).square() / WIDTH


def _soft_dtw_here(length: int) -> Step:
    costs = _squared_distances(length).unsqueeze(0)
    return lambda: soft_dtw_and_gradient(costs, [(length, length)], 0.1, None, True)


def _soft_dtw_in_torch(length: int) -> Step:
    costs = _squared_distances(length).unsqueeze(0)
    return lambda: by_diagonals(costs, [(length, length)], [-1], 0.1, True)


def _soft_dtw_in_tslearn(length: int) -> Step:
    library = import_extra("tslearn.metrics", "development", "this comparison")

    costs = _squared_distances(length).double().numpy()

    def step() -> None:
        problem = library.SoftDTW(costs, gamma=0.1)
        problem.compute()
        problem.grad()

    return step


def _sinkhorn_here(length: int) -> Step:
    costs = _squared_distances(length)
    costs = (costs / costs.mean()).requires_grad_()

    def step() -> None:
        costs.grad = None
        plan = sinkhorn(costs, SINKHORN_REGULARIZATION, iterations=SINKHORN_ITERATIONS)
        (plan * costs).sum().backward()

    return step


def _sinkhorn_in_pot(length: int) -> Step:
    library = import_extra("ot.bregman", "development", "this comparison")

    costs = _squared_distances(length)
    costs = (costs / costs.mean()).requires_grad_()
    mass = torch.full((length,), 1.0 / length)

    def step() -> None:
        costs.grad = None
        plan = library.sinkhorn_log(
            mass, mass, costs, SINKHORN_REGULARIZATION, numItermax=SINKHORN_ITERATIONS, stopThr=0, warn=False
        )
        (plan * costs).sum().backward()

    return step
