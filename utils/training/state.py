"""The state of a training run, as stored in `ckpt/last.pt`, and its checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from utils.checkpoints.content import is_plain_tensor
from utils.data.values import is_number, is_whole
from utils.errors import CheckpointError, shown
from utils.training.log import Row
from utils.training.progress_normalizers import MeanPaths

# Checkpoint type -> the validation loss whose minimum it keeps.
BEST_CRITERIA = {"combined": "total_loss", "alignment": "alignment_loss"}


@dataclass
class TrainingState:
    """The state of a run, in plain values, so that `ckpt/last.pt` can hold it.

    epoch: the current epoch, from 0. batch: how many of its batches are done. totals: sums and counts of its loss
    terms. best: lowest validation loss of each checkpoint type. history: a row for every finished epoch. bad_steps,
    bad_steps_in_a_row: skipped steps, in the whole run and in a row. seconds: training time of the current epoch.
    mean_paths: by task, the mean total path lengths that the progress term divides by; empty if it divides by none.
    """

    epoch: int = 0
    batch: int = 0
    totals: dict[str, dict] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=lambda: dict.fromkeys(BEST_CRITERIA, float("inf")))
    history: list[Row] = field(default_factory=list)
    bad_steps: int = 0
    bad_steps_in_a_row: int = 0
    seconds: float = 0.0
    mean_paths: MeanPaths = field(default_factory=dict)

    @classmethod
    def of(cls, content: Any) -> TrainingState:
        """The state that a checkpoint holds.

        Raises:
            CheckpointError: an entry is missing, surplus, or has an impossible value.
        """
        if isinstance(content, dict):
            content = {"mean_paths": {}, **content}  # older runs have none
        names = {each.name for each in fields(cls)}
        if not isinstance(content, dict) or set(content) != names:
            found = sorted(map(str, content)) if isinstance(content, dict) else content
            raise CheckpointError(f"training_state holds {shown(found)}; expected {', '.join(sorted(names))}")
        state = cls(**content)
        checks = {
            "epoch": is_whole(state.epoch),
            "batch": is_whole(state.batch),
            "totals": _are_totals(state.totals),
            "best": _are_best(state.best),
            "history": _is_history(state.history, state.epoch),
            "bad_steps": is_whole(state.bad_steps),
            "bad_steps_in_a_row": is_whole(state.bad_steps_in_a_row),
            "mean_paths": _are_mean_paths(state.mean_paths),
            "seconds": is_number(state.seconds) and 0 <= state.seconds < math.inf,
        }
        wrong = [f"{name} is {shown(content[name])}" for name, fine in checks.items() if not fine]
        if wrong:
            raise CheckpointError(f"training_state has impossible values: {'; '.join(wrong)}")
        return state


def load_moments(content: Any, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Loads the moments of a checkpoint into an optimiser, which keeps the settings of the configuration.

    Args:
        content: what `optimizer.state_dict()` gave, from a checkpoint.
        optimizer: Adam over all parameters of the network, in their order.
        model: the network.

    Raises:
        CheckpointError: naming the parameter whose moments are missing, of another shape, or not finite.
    """
    parameters = list(model.named_parameters())
    try:
        groups, moments = content["param_groups"], content["state"]
        (group,) = groups
        same = list(group["params"]) == list(range(len(parameters))) and isinstance(moments, dict)
    except (KeyError, TypeError, ValueError):
        same = False
    if not same or not set(moments) <= set(range(len(parameters))):
        raise CheckpointError("optimizer_state_dict is not that of this network's parameters")
    for index, entries in moments.items():
        name, parameter = parameters[index]
        if not isinstance(entries, dict) or set(entries) != {"step", "exp_avg", "exp_avg_sq"}:
            raise CheckpointError(f"optimizer_state_dict has other entries than Adam's for {name}")
        for key, shape in (("step", ()), ("exp_avg", parameter.shape), ("exp_avg_sq", parameter.shape)):
            value = entries[key]
            fits = is_plain_tensor(value) and value.shape == shape
            # A mean of squares may have overflowed; no other number of the three can be infinite or negative.
            if not fits or not bool((value.isfinite() if key == "exp_avg" else value >= 0).all()):
                raise CheckpointError(f"optimizer_state_dict: {key} of {name} has an impossible value or another shape")
    own = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": own})


def check_random_state(content: Any) -> None:
    """Refuses a state that numpy would accept without a check, and with which it would read beyond its memory.

    Args:
        content: what `random_state()` returned, from a checkpoint; the other libraries check their own part.

    Raises:
        ValueError: numpy's part is not the state of a Mersenne twister.
    """
    name, keys, position, has_gauss, cached = content["numpy"]
    twister = name == "MT19937" and isinstance(keys, Tensor) and keys.dtype == torch.int64 and keys.shape == (624,)
    in_range = twister and bool(((keys >= 0) & (keys < 2**32)).all()) and is_whole(position) and position <= 624
    if not in_range or not is_whole(has_gauss) or not is_number(cached):
        raise ValueError("numpy's state is not that of a generator")


def _are_totals(totals: Any) -> bool:
    if totals == {}:
        return True
    if not isinstance(totals, dict) or set(totals) != {"sums", "counts"}:
        return False
    sums, counts = totals["sums"], totals["counts"]
    if not isinstance(sums, dict) or not isinstance(counts, dict) or set(sums) != set(counts):
        return False
    return all(isinstance(name, str) for name in sums) and all(
        isinstance(total, Tensor) and total.shape == () and is_plain_tensor(total) and bool(torch.isfinite(total))
        for total in sums.values()
    ) and all(is_whole(count, 1) for count in counts.values())


def _are_best(best: Any) -> bool:
    # Infinite before the first epoch. With NaN, no later epoch could be the best.
    return isinstance(best, dict) and set(best) == set(BEST_CRITERIA) and all(
        is_number(loss) and -math.inf < loss for loss in best.values()
    )


def _are_mean_paths(paths: Any) -> bool:
    # Of an embedding that overflowed they are infinite or NaN, and the steps are skipped, as for such a loss.
    def are_lengths(named: Any) -> bool:
        return isinstance(named, dict) and all(
            isinstance(name, str) and is_number(path) and not path < 0 for name, path in named.items()
        )

    of_actions = isinstance(paths, dict) and all(isinstance(task, str) for task in paths)
    return are_lengths(paths) or (of_actions and all(map(are_lengths, paths.values())))


def _is_history(history: Any, epochs: int) -> bool:
    if not isinstance(history, list) or len(history) != epochs:
        return False
    return all(
        isinstance(row, Mapping) and row.get("epoch") == number
        and all(isinstance(name, str) and is_number(value) for name, value in row.items())
        for number, row in enumerate(history)
    )
