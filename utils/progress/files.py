"""Progress models as files of plain values and tensors; nothing in them is executed.

An object is a dict of its fields and its 'kind', the name of its class; `KINDS` lists all that a file may hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.checkpoints.files import save_content
from utils.checkpoints.reading import read_archive
from utils.errors import CheckpointError, MissingFileError, first_line
from utils.progress.candidates import ScaledReadout
from utils.progress.interval import Interval
from utils.progress.model import ProgressModel
from utils.progress.remaining import RemainingTime
from utils.progress.unlike_training import TrainingRange
from utils.readouts import AlignmentReadout, NeighboursReadout, PathReadout, TrainingReference
from utils.readouts.chunked import ChunkedReadout
from utils.readouts.chunks import ChunkScale
from utils.readouts.discriminant import LinearDiscriminant
from utils.readouts.evidence import EvidenceReadout
from utils.readouts.label_filter import LabelFilter
from utils.readouts.naive import CountReadout
from utils.readouts.position_filter import PositionFilter
from utils.readouts.quantile_forest import QuantileForest
from utils.readouts.recurrent import RecurrentReadout
from utils.readouts.recurrent_networks import RecurrentNetworks
from utils.readouts.steps import StepReader

CONTENT = "progress_models"
VERSION = 1
DEEPEST_TREE = 200

# Classes whose fields are all that they hold.
PLAIN = (
    ChunkedReadout, ChunkScale, CountReadout, EvidenceReadout, Interval, LabelFilter, LinearDiscriminant,
    PositionFilter, ProgressModel, QuantileForest, RecurrentNetworks, RecurrentReadout, RemainingTime, StepReader,
    TrainingRange,
)  # fmt: skip
# Others: the names of their attributes, and how one is made of these.
OTHERS: dict[type, tuple[tuple[str, ...], Callable[..., Any]]] = {
    ScaledReadout: (("scale", "readout"), ScaledReadout),
    PathReadout: (("normalizer",), PathReadout),
    TrainingReference: (("frames", "progress", "lengths", "step", "mean_length"), TrainingReference.restored),
    NeighboursReadout: (("reference",), NeighboursReadout),
    AlignmentReadout: (("reference",), AlignmentReadout),
}
KINDS: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    **{kind.__name__: (tuple(field.name for field in fields(kind)), kind) for kind in PLAIN},
    **{kind.__name__: entry for kind, entry in OTHERS.items()},
}


def save_models(models: Mapping[str, ProgressModel], path: str | Path, **extra: Any) -> Path:
    """Writes progress models, whole or not at all.

    Args:
        models: by task, at least one.
        path: where to.
        extra: further plain values, such as what the models were made from.
    """
    content = {CONTENT: {task: _plain(model) for task, model in models.items()}, "version": VERSION, **extra}
    save_content(content, path)
    return Path(path)


def load_models(path: str | Path) -> tuple[dict[str, ProgressModel], dict[str, Any]]:
    """The progress models of a file by task, and the other values in it.

    Raises:
        MissingFileError: no such file.
        CheckpointError: it can't be read, or holds no progress models.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist")
    return models_of(read_archive(path).content, path)


def holds_models(content: Any) -> bool:
    """Whether what was read from a file are progress models."""
    return isinstance(content, dict) and CONTENT in content


def models_of(content: Any, path: str | Path) -> tuple[dict[str, ProgressModel], dict[str, Any]]:
    """As `load_models`, of what was read from the file.

    Raises:
        CheckpointError: it isn't what `save_models` writes.
    """
    if not holds_models(content) or not isinstance(content[CONTENT], dict) or not content[CONTENT]:
        raise CheckpointError(f"{path} holds no progress models; python -m utils.prediction.fit_progress writes them")
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} holds progress models of version {content.get('version')}; expected {VERSION}; fit them again"
        )
    models = {}
    for task, stored in content[CONTENT].items():
        try:
            models[task] = _checked(_object(stored))
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"{path}: task {task!r}: not a progress model: {first_line(error)}") from error
    return models, {key: value for key, value in content.items() if key not in (CONTENT, "version")}


def _checked(model: Any) -> ProgressModel:
    """The model, after it has read a few chunks: parts that don't fit each other are found before they are used."""
    if not isinstance(model, ProgressModel):
        raise TypeError(f"a {type(model).__name__}; expected a ProgressModel")
    scale = model.scale
    if not (isinstance(scale.length, int) and 0 < scale.length < 10**6):
        raise ValueError(f"chunks of {scale.length} frames")
    frames = np.zeros((3 * scale.length, model.width)) + scale.mean
    answers = model.predict(frames)
    if not np.isfinite(answers.progress).all():
        raise ValueError("its progress is not finite")
    return model


def _plain(value: Any) -> Any:
    """An object as dicts, lists, numbers, text and tensors."""
    kind = type(value).__name__
    if kind in KINDS and type(value) in (*PLAIN, *OTHERS):
        return {"kind": kind, **{name: _plain(getattr(value, name)) for name in KINDS[kind][0]}}
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(own) for key, own in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(own) for own in value]
    return value


def _object(stored: Any) -> Any:
    """What `_plain` was made of; a list becomes a tuple."""
    if isinstance(stored, Tensor):
        array = stored.numpy()
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ValueError("a value is not a number")
        return array
    if isinstance(stored, list):
        return tuple(_object(own) for own in stored)
    if not isinstance(stored, dict):
        return stored
    if "kind" not in stored:
        return {key: _object(own) for key, own in stored.items()}
    names, made_by = KINDS[stored["kind"]]
    values = {name: _object(stored[name]) for name in names}
    if stored["kind"] == "QuantileForest":
        _check_forest(values)
    if any(isinstance(value, float) and math.isnan(value) for value in values.values()):
        raise ValueError("a value is not a number")
    return made_by(**values)


def _check_forest(parts: Mapping[str, Any]) -> None:
    nodes = len(parts["feature"])
    if not 0 <= parts["depth"] <= DEEPEST_TREE:
        raise ValueError(f"a tree of depth {parts['depth']}")
    for name, below in (("left", nodes), ("right", nodes), ("roots", nodes), ("leaf", len(parts["mass"]))):
        if len(parts[name]) and not (parts[name].min() >= 0 and parts[name].max() < below):
            raise ValueError(f"nodes of a tree that don't exist ({name})")
