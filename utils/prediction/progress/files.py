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
from utils.prediction.progress.candidates import ScaledReadout
from utils.prediction.progress.end import EndLikeness
from utils.prediction.progress.interval import Interval
from utils.prediction.progress.model import ProgressModel
from utils.prediction.progress.remaining import RemainingTime
from utils.prediction.progress.unlike_training import TrainingRange
from utils.prediction.readouts import AlignmentReadout, NeighboursReadout, PathReadout, TrainingReference
from utils.prediction.readouts.chunked import ChunkedReadout
from utils.prediction.readouts.chunks import ChunkScale
from utils.prediction.readouts.discriminant import LinearDiscriminant
from utils.prediction.readouts.distribution import GRID
from utils.prediction.readouts.evidence import EvidenceReadout, number_of_inputs
from utils.prediction.readouts.inside_action import InsideAction, InsideScale
from utils.prediction.readouts.inside_action import number_of_inputs as inputs_inside
from utils.prediction.readouts.label_filter import LabelFilter
from utils.prediction.readouts.naive import CountReadout
from utils.prediction.readouts.position_filter import PositionFilter
from utils.prediction.readouts.principal_components import PrincipalComponents
from utils.prediction.readouts.quantile_forest import QuantileForest
from utils.prediction.readouts.recurrent import RecurrentReadout
from utils.prediction.readouts.recurrent_networks import RecurrentNetworks
from utils.prediction.readouts.steps import StepReader

CONTENT = "progress_models"
VERSION = 2  # 2: steps read the share done by a forest
DEEPEST_TREE = 200

# Classes whose fields are all that they hold.
PLAIN = (
    ChunkedReadout, ChunkScale, CountReadout, EndLikeness, EvidenceReadout, InsideAction, InsideScale, Interval,
    LabelFilter, LinearDiscriminant, PositionFilter, PrincipalComponents, ProgressModel, QuantileForest,
    RecurrentNetworks, RecurrentReadout, RemainingTime, StepReader, TrainingRange,
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

# By kind, fields that files lack which were written before there were such; None there.
ADDED = {"ProgressModel": ("end",)}

_TYPES = {
    "np.ndarray": np.ndarray, "float": (int, float), "int": int, "str": str, "None": type(None),
    "tuple[str, ...]": tuple, "dict[str, Any]": dict, **{kind.__name__: kind for kind in PLAIN},
}  # fmt: skip
# By kind, what the values of its fields are instances of, where their annotations say so.
FIELD_TYPES: dict[str, dict[str, Any]] = {
    kind.__name__: {
        field.name: tuple(_TYPES[part] for part in field.type.split(" | "))
        for field in fields(kind)
        if all(part in _TYPES for part in field.type.split(" | "))
    }
    for kind in PLAIN
}


def _are_numbers_of(indices: np.ndarray, rows: int) -> bool:
    """Whether these are numbers of rows that exist."""
    return indices.dtype.kind == "i" and len(indices) > 0 and indices.min() >= 0 and indices.max() < rows


def _are_shares(values: np.ndarray) -> bool:
    return len(values) > 0 and values.min() >= 0 and values.max() <= 1


def _are_distributions(mass: np.ndarray) -> bool:
    return mass.shape[1:] == GRID.shape and len(mass) > 0 and mass.min() >= 0 and mass.max(axis=1).min() > 0


def _is_forest(feature, threshold, left, right, roots, leaf, mass, depth) -> bool:
    nodes = len(feature)
    return (
        isinstance(depth, int) and 0 <= depth <= DEEPEST_TREE and roots.ndim == 1
        and threshold.shape == left.shape == right.shape == leaf.shape == (nodes,) and feature.dtype.kind == "i"
        and all(_are_numbers_of(values, nodes) for values in (left, right, roots))
        and _are_numbers_of(leaf, len(mass)) and _are_distributions(mass)
    )  # fmt: skip


def _is_position_filter(discriminant, places, firsts, lasts, mass, segment, segment_sizes, jumps) -> bool:
    states, segments = len(places), len(segment_sizes)
    return (
        lasts.shape == segment.shape == (states,) and len(mass) == states and jumps.shape == (segments, segments)
        and _are_numbers_of(firsts, states) and _are_numbers_of(lasts, states) and _are_numbers_of(segment, segments)
        and (np.diff(firsts) > 0).all() and (lasts >= np.arange(states)).all()
        and segment_sizes.min() > 0 and jumps.min() >= 0 and _are_distributions(mass)
    )  # fmt: skip


def _are_labels(labels, is_action, label_filter, times) -> bool:
    return (
        all(isinstance(label, str) for label in labels) and times.min() > 0
        and len(labels) == len(is_action) == len(times) == len(label_filter.prior)
    )  # fmt: skip


# What the values of an object must be, so that it neither fails nor gives impossible answers later.
POSSIBLE: dict[str, Callable[..., bool]] = {
    "ChunkedReadout": lambda scale, heads: len(heads) > 0,
    "ChunkScale": lambda mean, deviation, components, length, mean_length, mean_path: (
        deviation.min() > 0 and mean_length > 0 and mean_path > 0 and isinstance(length, int) and 0 < length < 10**6
    ),
    "CountReadout": lambda curve: curve.ndim == 1 and _are_shares(curve),
    "EndLikeness": lambda mean, projection, places, limit: len(places) > 0 and limit >= 0,
    "EvidenceReadout": lambda labels, is_action, recogniser, label_filter, mean_time, forest, position: (
        _are_labels(labels, is_action, label_filter, mean_time)
        and forest.feature.max() < number_of_inputs(len(labels), position is not None)
    ),
    "InsideAction": lambda scale, forest: (
        forest.feature.max() < inputs_inside(len(scale.mean_time), scale.components.directions.shape[1])
    ),
    "InsideScale": lambda mean_time, mean_path, components: (
        mean_time.ndim == 1 and mean_time.shape == mean_path.shape and min(mean_time.min(), mean_path.min()) > 0
        and components.directions.ndim == 2
    ),
    "LabelFilter": lambda first, transitions, prior: min(first.min(), transitions.min(), prior.min()) > 0,
    "LinearDiscriminant": lambda mean, deviation, projection, class_means, prior: (
        deviation.min() > 0 and prior.min() > 0
    ),
    "PositionFilter": _is_position_filter,
    "QuantileForest": _is_forest,
    "RecurrentNetworks": lambda enter, first, second, leave: len(enter) > 0 and leave.shape[2:] == GRID.shape,
    "RecurrentReadout": lambda components, recogniser, mean_time, networks: mean_time.min() > 0,
    "RemainingTime": lambda frames: frames.min() >= 0,
    "StepReader": lambda labels, is_action, recogniser, label_filter, inside, within: (
        _are_labels(labels, is_action, label_filter, inside) and inside.ndim == 2 and inside.max() <= 1
        and (within is None or len(within.scale.mean_time) == len(labels))
    ),
    "TrainingReference": lambda frames, progress, lengths, step, mean_length: (
        _are_shares(progress) and step >= 1 and mean_length > 0
    ),
}


def save_models(models: Mapping[str, ProgressModel], path: str | Path, **extra: Any) -> Path:
    """Writes progress models, whole or not at all.

    Args:
        models: by task, at least one.
        path: where to.
        extra: further plain values, such as what the models were made from.
    """
    content = {CONTENT: {task: _plain(model, {}) for task, model in models.items()}, "version": VERSION, **extra}
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
            models[task] = _checked(_object(stored, {}))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: task {task!r}: not a progress model: {first_line(error)}") from error
    return models, {key: value for key, value in content.items() if key not in (CONTENT, "version")}


def _checked(model: Any) -> ProgressModel:
    """The model, after it has read a few chunks: parts that don't fit each other are found before they are used."""
    if not isinstance(model, ProgressModel):
        raise TypeError(f"a {type(model).__name__}; expected a ProgressModel")
    if model.frame_rate is not None and not 0 < model.frame_rate < math.inf:
        raise ValueError(f"{model.frame_rate} frames per second")
    frames = np.zeros((3 * model.scale.length, model.width)) + model.scale.mean
    answers = model.predict(frames)
    if not np.isfinite(answers.progress).all():
        raise ValueError("its progress is not finite")
    return model


def _plain(value: Any, made: dict[int, Any]) -> Any:
    """An object as dicts, lists, numbers, text and tensors; what is used twice, as one dict that is used twice.

    Args:
        value: the object.
        made: what has been made so far, by the identity of what it was made of.
    """
    kind = type(value).__name__
    if kind in KINDS and type(value) in (*PLAIN, *OTHERS):
        if id(value) not in made:
            made[id(value)] = {"kind": kind, **{name: _plain(getattr(value, name), made) for name in KINDS[kind][0]}}
        return made[id(value)]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(own, made) for key, own in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(own, made) for own in value]
    return value


def _object(stored: Any, made: dict[int, Any]) -> Any:
    """What `_plain` was made of, with what is used twice made once; a list becomes a tuple."""
    if isinstance(stored, Tensor):
        array = stored.numpy()
        if not np.isfinite(array).all():
            raise ValueError("a value is not a finite number")
        return array
    if isinstance(stored, list):
        return tuple(_object(own, made) for own in stored)
    if not isinstance(stored, dict):
        return stored
    if "kind" not in stored:
        return {key: _object(own, made) for key, own in stored.items()}
    number = id(stored)
    if number in made:
        return made[number]
    names, made_by = KINDS[stored["kind"]]
    stored = {**dict.fromkeys(ADDED.get(stored["kind"], ())), **stored}
    values = {name: _object(stored[name], made) for name in names}
    for name, expected in FIELD_TYPES.get(stored["kind"], {}).items():
        if not isinstance(values[name], expected):
            raise TypeError(f"{name} of a {stored['kind']} is a {type(values[name]).__name__}")
    if stored["kind"] in POSSIBLE and not POSSIBLE[stored["kind"]](**values):
        raise ValueError(f"impossible values of a {stored['kind']}")
    if any(isinstance(value, float) and math.isnan(value) for value in values.values()):
        raise ValueError("a value is not a number")
    made[number] = made_by(**values)
    return made[number]
