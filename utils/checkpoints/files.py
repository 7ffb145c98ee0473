"""Checkpoint files: writing, choosing and reading them. They hold plain values and tensors, never code.

Keys: `config` (plain dict), `epoch`, `loss`, `model_state_dict`, `optimizer_state_dict`, `feature_width`,
`tasks` (the training tasks, in the order of the network's heads), `standardization` ({'mean', 'std'} or None),
`progress_normalizers` (task -> mean total path length of its training videos), `data_fingerprint` (digests of the data
of the training, `VideoData.fingerprint`); `last.pt` adds what resuming needs.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor, nn

from utils.checkpoints.content import checked_content
from utils.checkpoints.original_code import translated_checkpoint
from utils.checkpoints.reading import Archive, plain_values, read_archive
from utils.data.values import is_number, is_whole
from utils.errors import CheckpointError, MissingFileError, shown
from utils.files import atomic_write

CHECKPOINT_TYPES = ("combined", "alignment")


class LoadedCheckpoint(NamedTuple):
    """A network in evaluation mode, the content of its checkpoint, and the checkpoint's file."""

    model: nn.Module
    checkpoint: dict[str, Any]
    path: Path


def ckpt_save(
    model_t: nn.Module,
    optimizer_t: torch.optim.Optimizer | None,
    epoch_t: int | Tensor | np.generic,
    loss_t: float | Tensor | np.generic,
    filename: str | Path,
    config: Mapping[str, Any],
    **extra: Any,
) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        model_t: the network whose weights to store.
        optimizer_t: its optimiser, or None.
        epoch_t: number of the epoch, from 0; a tensor or array of one number is accepted.
        loss_t: validation loss of the checkpoint; a tensor or array of one number is accepted.
        filename: where to write; missing folders are made.
        config: the configuration.
        extra: further entries, such as `standardization` and `progress_normalizers`. `feature_width` is that of
            the network's encoder if it is not given, and `tasks` are the TASKS of the configuration.

    Raises:
        ValueError: no `tasks` given, and none named in the configuration.
        CheckpointError: naming the key of an entry that could not be read back.
    """
    config = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    tasks = extra.pop("tasks", None) or list(config.get("TASKS", ()))
    if not tasks:
        raise ValueError(f"{filename}: expected `tasks`, the names of the tasks; the configuration means all of them")
    content = {
        "config": config,
        "feature_width": extra.pop("feature_width", None) or model_t.encoder.feature_width,
        "tasks": tasks,
        "epoch": _plain_number(epoch_t),
        "loss": _plain_number(loss_t),
        "model_state_dict": model_t.state_dict(),
        "optimizer_state_dict": None if optimizer_t is None else optimizer_t.state_dict(),
        **extra,
    }
    for key, accepted, expected in (
        ("epoch", is_whole(content["epoch"]), "a whole number >= 0"), ("loss", is_number(content["loss"]), "a number")
    ):
        if not accepted:
            raise CheckpointError(f"{filename}: {key} is {shown(content[key])}; expected {expected}")
    save_content(content, filename)


def save_content(content: Mapping[str, Any], filename: str | Path) -> None:
    """Writes a checkpoint's content as it is, whole or not at all.

    Raises:
        CheckpointError: naming the key of an entry that could not be read back.
    """
    plain_values(dict(content), filename)
    # Into memory first: torch would replace an error of the disk by an error of its own.
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    with atomic_write(filename) as temporary, open(temporary, "wb") as file:
        file.write(buffer.getbuffer())


def load_checkpoint(path: str | Path, archive: Archive | None = None) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU, executing nothing from it; checkpoints of the original code are translated.

    Every entry is checked (`utils.checkpoints.content`). Newer settings, which the stored configuration lacks, get
    their defaults.

    Args:
        path: the file.
        archive: what `read_archive` gave of it, where it has been read already.

    Raises:
        MissingFileError: if there is no such file.
        CheckpointError: if it is not a complete checkpoint of this project (or of the original code), or an entry
            has an impossible value.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"checkpoint {path} does not exist")
    content, of_original_code = read_archive(path) if archive is None else archive
    if of_original_code:
        content = translated_checkpoint(path, content)
    return checked_content(path, content, of_original_code)


def find_checkpoint(checkpoint: str, folder: str | Path | None = None, output_folder: str | Path = "output") -> Path:
    """The file that a `--checkpoint` argument means.

    Args:
        checkpoint: a path, or the name of a file in the run's `ckpt` folder. A folder means the best
            checkpoint of the run that it holds.
        folder: the run's folder; None takes the newest run.
        output_folder: the folder of all runs.

    Raises:
        MissingFileError: listing what was looked for.
    """
    if folder is None and Path(checkpoint).is_file():
        return Path(checkpoint)
    if folder is None and Path(checkpoint).is_dir():
        return choose_checkpoint(checkpoint)
    name = Path(checkpoint)
    if folder is None and name.name != checkpoint:
        raise MissingFileError(f"checkpoint {checkpoint} does not exist")
    run = newest_run(output_folder) if folder is None else Path(folder)
    for kind in CHECKPOINT_TYPES:
        if name.name == f"best_model_{kind}.pt":
            return choose_checkpoint(run, kind)
    return _first_existing([run / "ckpt" / name, run / name])


def newest_run(output_folder: str | Path = "output") -> Path:
    """The run whose `config.json` was written last.

    Raises:
        MissingFileError: if there is no run.
    """
    runs = sorted(Path(output_folder).glob("*/*/config.json"), key=lambda file: (file.stat().st_mtime_ns, str(file)))
    if not runs:
        raise MissingFileError(f"no run under {output_folder}: looked for {output_folder}/*/*/config.json")
    return runs[-1].parent


def choose_checkpoint(ckpt_folder: str | Path, checkpoint_type: str = "combined") -> Path:
    """The checkpoint of a run: the best of its type, else `best_model.pt`, else the latest `epoch-N.pt`.

    Args:
        ckpt_folder: the run's folder, or the `ckpt` folder inside it.
        checkpoint_type: 'combined' (alignment and progress) or 'alignment'.

    Raises:
        ValueError: for another type.
        MissingFileError: listing what was looked for.
    """
    if checkpoint_type not in CHECKPOINT_TYPES:
        raise ValueError(f"checkpoint_type is {checkpoint_type!r}; expected one of {', '.join(CHECKPOINT_TYPES)}")
    folder = Path(ckpt_folder)
    if (folder / "ckpt").is_dir():
        folder = folder / "ckpt"
    epochs = {
        int(match[1]): file
        for file in folder.glob("epoch-*.pt")
        if (match := re.fullmatch(r"epoch-(\d+)\.pt", file.name))
    }
    latest = [epochs[max(epochs)]] if epochs else []
    candidates = [folder / f"best_model_{checkpoint_type}.pt", folder / "best_model.pt", *latest]
    return _first_existing(candidates, also=folder / "epoch-N.pt")


def _plain_number(value: Any) -> Any:
    """The number in a tensor or array of one element; anything else unchanged."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and math.prod(value.shape) == 1:
        return value.item()
    return value


def _first_existing(candidates: list[Path], also: Path | None = None) -> Path:
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked_for = [str(path) for path in [*candidates, also] if path is not None]
    raise MissingFileError(f"no checkpoint found; looked for {', '.join(looked_for)}")
