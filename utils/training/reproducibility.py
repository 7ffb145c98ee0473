"""Seeds every source of randomness, and saves and restores their states."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from utils.errors import ConfigError


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch (all devices), and asks torch for deterministic convolutions."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries still draw from the legacy global state
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def random_state() -> dict[str, Any]:
    """The state of every source of randomness, as plain values and tensors that a checkpoint can hold.

    Only the state of this process's own GPU is included, so that a run can continue on a machine with more or fewer.
    """
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    state = {
        "python": [version, list(words), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Restores every source of randomness to a state that `random_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that a DEVICE setting means; 'auto' is a GPU where there is one.

    Args:
        name: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        local_rank: number of this process among those of the machine; 'auto' and 'cuda' take the GPU of that number.

    Raises:
        ConfigError: if the device is not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{local_rank}"
    device = torch.device(name)
    # The number is read from the name: torch keeps it in eight bits, and 256 would become 0.
    if device.type == "cuda" and int(name.partition(":")[2]) >= torch.cuda.device_count():
        raise ConfigError(f"DEVICE is {name!r}, but this machine has {torch.cuda.device_count()} CUDA devices")
    return device
