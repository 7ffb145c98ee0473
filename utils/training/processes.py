"""One process or several: the few operations by which training processes communicate; alone, they do nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from utils.errors import ConfigError, ProcessLost, first_line

Value = TypeVar("Value")


class Processes:
    """The processes that train together, seen from this one.

    Attributes:
        rank: number of this process, from 0; process 0 writes the files.
        world_size: how many there are.
    """

    def __init__(self, rank: int = 0, world_size: int = 1):
        self.rank, self.world_size = rank, world_size

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network whose backward pass averages gradients over the processes.

        Every weight that requires a gradient must get one at every step.
        """
        return model if self.world_size == 1 else nn.parallel.DistributedDataParallel(model)

    def share(self, batches: Sequence[Value], start: int = 0, repeat: bool = False) -> list[Value]:
        """This process's batches from `start` on; with `repeat`, a process with no batch left repeats one."""
        rounds = range(start, len(batches), self.world_size)
        return [
            batches[min(first + self.rank, len(batches) - 1)]
            for first in rounds if repeat or first + self.rank < len(batches)
        ]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return bool(self.highest(int(flag)))

    def highest(self, value: int) -> int:
        """The highest of the processes' values."""
        if self.world_size == 1:
            return value
        values = self._on_device(torch.tensor([value]))
        distributed.all_reduce(values, op=distributed.ReduceOp.MAX)
        return int(values.item())

    def sum(self, values: dict[str, float]) -> dict[str, float]:
        """Each named value summed over the processes; a name that a process lacks counts as 0 there."""
        if self.world_size == 1:
            return values
        gathered: list[dict[str, float]] = [{}] * self.world_size
        distributed.all_gather_object(gathered, values)
        names = sorted({name for one in gathered for name in one})
        return {name: sum(one.get(name, 0.0) for one in gathered) for name in names}

    def from_main(self, value: Value) -> Value:
        """Process 0's value, in every process."""
        if self.world_size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Returns when every process has called this method."""
        if self.world_size > 1:
            distributed.barrier()

    def _on_device(self, tensor: Tensor) -> Tensor:
        return tensor.cuda() if distributed.get_backend() == "nccl" else tensor


@contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """The processes that `torchrun` started together, or this one alone without it.

    Args:
        device: where this process computes; it decides how they communicate (nccl for GPUs, gloo for CPUs).

    Raises:
        ConfigError: the environment variables of `torchrun` are incomplete.
        ProcessLost: inside the block, when another process ended while this one communicated with it.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)  # used by nccl, the exchange of objects and the random state
    world_size = _number("WORLD_SIZE", 1)
    if world_size == 1:
        yield Processes()
        return
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise ConfigError(f"WORLD_SIZE is {world_size}, but {name} is not set; torchrun sets them all")
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), world_size)
        # All processes leave together, because the first one may still have files to write.
        distributed.barrier()
    except RuntimeError as error:
        # gloo raises a plain RuntimeError; errors of this project have their own classes.
        if isinstance(error, distributed.DistError) or (type(error) is RuntimeError and "gloo" in str(error)):
            raise ProcessLost(f"another process ended; its message says why ({first_line(error)})") from error
        raise
    finally:
        distributed.destroy_process_group()


def local_rank() -> int:
    """Number of this process among those on its machine, which decides its GPU; 0 when alone."""
    return _number("LOCAL_RANK", 0)


def _number(name: str, default: int) -> int:
    """A whole number from an environment variable; an empty one counts as not set."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise ConfigError(f"the environment's {name} is {text!r}; expected a whole number, as torchrun sets it")
    return int(text)
