"""Writes a checkpoint; loads the best checkpoint of a run and rebuilds its network.

What is in the files, and how they are chosen and read, is in `utils.checkpoints`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.build_model import build_model
from utils.checkpoints.content import compare_shapes
from utils.checkpoints.files import (
    CHECKPOINT_TYPES,
    LoadedCheckpoint,
    choose_checkpoint,
    ckpt_save,
    find_checkpoint,
    load_checkpoint,
    newest_run,
    save_content,
)
from utils.errors import CheckpointError

__all__ = [
    "CHECKPOINT_TYPES", "CheckpointError", "LoadedCheckpoint", "choose_checkpoint", "ckpt_save", "find_checkpoint",
    "get_ckpt_MCN", "get_ckpt_basic", "get_ckpt_for_eval", "load_checkpoint", "load_model", "newest_run",
    "save_content",
]


def load_model(checkpoint: Mapping[str, Any], device: torch.device | str = "cpu") -> nn.Module:
    """Rebuilds the network from the checkpoint's own configuration and loads its weights strictly.

    Draws no random numbers.

    Args:
        checkpoint: what `load_checkpoint` returned.
        device: where to put the network.

    Returns:
        The network in evaluation mode on `device`.

    Raises:
        CheckpointError: if weights are missing, surplus, or of another shape than the configuration says.
    """
    try:
        # On the meta device first, which takes no memory: a configuration may name any size.
        with torch.device("meta"):
            model = build_model(checkpoint["config"], checkpoint["feature_width"], len(checkpoint["tasks"]))
    except ValueError as error:
        raise CheckpointError(f"the checkpoint's configuration describes no network: {error}") from error
    compare_shapes(checkpoint["model_state_dict"], model.state_dict())
    model = model.to_empty(device="cpu")
    model.load_state_dict(checkpoint["model_state_dict"], strict=True)
    return model.to(device).eval()


def get_ckpt_for_eval(
    ckpt_folder: str | Path, checkpoint_type: str = "combined", device: torch.device | str = "cpu"
) -> LoadedCheckpoint:
    """Loads the checkpoint that `choose_checkpoint` finds, whichever network it holds."""
    path = choose_checkpoint(ckpt_folder, checkpoint_type)
    checkpoint = load_checkpoint(path)
    return LoadedCheckpoint(load_model(checkpoint, device), checkpoint, path)


def get_ckpt_MCN(
    ckpt_folder: str | Path, checkpoint_type: str = "combined", device: torch.device | str = "cpu"
) -> LoadedCheckpoint:
    """Like `get_ckpt_for_eval`, for a run that must have trained the crosstask network.

    Raises:
        CheckpointError: if it trained an encoder alone.
    """
    return _of_architecture(get_ckpt_for_eval(ckpt_folder, checkpoint_type, device), crosstask=True)


def get_ckpt_basic(
    ckpt_folder: str | Path, checkpoint_type: str = "combined", device: torch.device | str = "cpu"
) -> LoadedCheckpoint:
    """Like `get_ckpt_for_eval`, for a run that must have trained an encoder without the crosstask network.

    Raises:
        CheckpointError: if it trained the crosstask network.
    """
    return _of_architecture(get_ckpt_for_eval(ckpt_folder, checkpoint_type, device), crosstask=False)


def _of_architecture(loaded: LoadedCheckpoint, crosstask: bool) -> LoadedCheckpoint:
    if bool(loaded.checkpoint["config"]["ARCHITECTURE"]["MCN"]) != crosstask:
        expected = "the crosstask network" if crosstask else "an encoder without the crosstask network"
        raise CheckpointError(f"{loaded.path} does not hold {expected} (ARCHITECTURE.MCN is {not crosstask})")
    return loaded
