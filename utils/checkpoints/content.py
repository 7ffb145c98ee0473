"""Checks of the content of a checkpoint file, before it is used.

Every entry that the project reads must have the right type, be finite, and be consistent with the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from configs.validation import LARGEST_SIZE, complete_config, validate_network_and_data
from utils.data.feature_origin import FeatureKind
from utils.data.standardization import checked_standardization
from utils.data.values import is_number, is_whole
from utils.errors import CheckpointError, ConfigError, DataError, shown

# Values for settings that an older configuration lacks, where the old behaviour isn't today's default.
MEANT_BEFORE = {
    "ARCHITECTURE": {"skip": False, "skip_means": ()},
    "SEGMENT_ENDS": "majority",
    "INTEGER_LABELS": "take",
    "TCC_ORIGINAL_PARAMS": {"softmax_temp": 0.1, "normalization": "none"},
    "GTCC_PARAMS": {
        "softmax_temp": 0.1, "anchors_per_video": 20, "soft_neighbours": "components", "normalization": "none",
        "reciprocal": "chance",
    },
    "LAV_PARAMS": {"trust": 0.0, "normalization": "none", "window": 0.1},
    "VAVA_PARAMS": {"normalization": "none", "zeta": 0.25, "window": 0.1},
}
REQUIRED_KEYS = ("config", "epoch", "loss", "model_state_dict", "feature_width", "tasks")
NAMES_SHOWN = 5


def checked_content(path: str | Path, content: Any, of_original_code: bool = False) -> dict[str, Any]:
    """A checkpoint's content with every entry checked; settings that its configuration lacks get their defaults.

    Args:
        path: the file, for its size and for messages.
        content: what was read from it.
        of_original_code: the content was translated from a checkpoint of the original code, which names no tasks.

    Raises:
        CheckpointError: naming the entry, and what was expected.
    """
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a checkpoint of this project: it holds a {type(content).__name__}")
    missing = [key for key in REQUIRED_KEYS if key not in content]
    if missing:
        raise CheckpointError(f"{path} is not a checkpoint of this project: it lacks {', '.join(missing)}")

    def require(accepted: bool, key: str, expected: str) -> None:
        if not accepted:
            raise CheckpointError(f"{path}: {key} is {shown(content.get(key))}; expected {expected}")

    epoch, loss, width, tasks = (content[key] for key in ("epoch", "loss", "feature_width", "tasks"))
    require(is_whole(epoch), "epoch", "a whole number >= 0")
    require(is_number(loss), "loss", "a number")
    require(is_whole(width, 1, LARGEST_SIZE), "feature_width", f"a whole number, 1 to {LARGEST_SIZE}")
    require(
        isinstance(tasks, (list, tuple)) and all(isinstance(task, str) for task in tasks)
        and len(set(tasks)) == len(tasks) and (len(tasks) > 0 or of_original_code),
        "tasks", "the names of the training tasks",
    )
    normalizers = content.get("progress_normalizers")
    require(
        normalizers is None or _are_normalizers(normalizers, tasks),
        "progress_normalizers", f"a finite number >= 0 for each of the tasks {shown(list(tasks))}",
    )
    require(
        isinstance(content.get("optimizer_state_dict"), (dict, type(None))), "optimizer_state_dict", "a dict or None"
    )
    noted = content.get("data_fingerprint")
    require(
        noted is None or (isinstance(noted, dict) and all(isinstance(digest, str) for digest in noted.values())),
        "data_fingerprint", "digests of the data, by their names",
    )
    if (kind := content.get("feature_kind")) is not None:
        try:
            FeatureKind.of(kind)
        except DataError as error:
            raise CheckpointError(f"{path}: feature_kind {error}") from error
    checked = {**content, "config": _checked_config(path, content["config"]), "tasks": list(tasks)}
    for key in ("standardization", "feature_statistics"):
        given = content.get(key)
        require(
            given is None or (isinstance(given, dict) and all(map(is_plain_tensor, given.values()))),
            key, "tensors 'mean' and 'std', or None",
        )
        if given is not None:
            try:
                checked[key] = checked_standardization(given, width)
            except DataError as error:
                raise CheckpointError(f"{path}: {error}") from error
    _check_weights(path, content["model_state_dict"])
    return checked


def is_plain_tensor(value: Any) -> bool:
    """Whether it is an ordinary tensor of floating-point numbers."""
    return (
        isinstance(value, torch.Tensor) and value.layout == torch.strided
        and value.is_floating_point() and not value.is_quantized
    )


def compare_shapes(
    given: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], what: str = "the checkpoint's weights"
) -> None:
    """Refuses weights that are not exactly those of a network.

    Raises:
        CheckpointError: naming what is missing, surplus, or of another shape.
    """
    complaints = []
    for problem, names in (
        ("missing", [name for name in expected if name not in given]),
        ("surplus", [name[:100] for name in given if name not in expected]),
        ("of another shape", [
            f"{name} {tuple(given[name].shape)} instead of {tuple(weight.shape)}"
            for name, weight in expected.items() if name in given and given[name].shape != weight.shape
        ]),
    ):  # fmt: skip
        if names:
            more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
            complaints.append(f"{problem}: {', '.join(names[:NAMES_SHOWN])}{more}")
    if complaints:
        raise CheckpointError(f"{what} do not fit the network of its own configuration: {'; '.join(complaints)}")


def check_weights_size(path: str | Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuses weights that share their numbers, or repeat them by a stride of 0: copied, they could fill all memory.

    Raises:
        CheckpointError: together they are larger than their file.
    """
    if sum(weight.numel() * weight.element_size() for weight in weights.values()) > Path(path).stat().st_size:
        raise CheckpointError(f"{path} describes more weights than it holds")


def _checked_config(path: str | Path, config: Any) -> dict[str, Any]:
    try:
        complete = complete_config(config)
        for key, meaning in MEANT_BEFORE.items():
            if not isinstance(meaning, dict):
                complete[key] = config.get(key, meaning)
                continue
            given = config.get(key, {})
            complete[key] = {inner: value for inner, value in meaning.items() if inner not in given}
        validate_network_and_data(complete)
    except ConfigError as error:
        raise CheckpointError(f"{path}: its configuration: {error}") from error
    return complete.to_dict()


def _are_normalizers(normalizers: Any, tasks: Any) -> bool:
    if not isinstance(normalizers, dict) or (normalizers and set(normalizers) != set(tasks)):
        return False
    return all(is_number(value) and 0 <= value < math.inf for value in normalizers.values())


def _check_weights(path: str | Path, weights: Any) -> None:
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise CheckpointError(f"{path}: model_state_dict is {shown(weights)}; expected weights by name")
    for name, weight in weights.items():
        if not is_plain_tensor(weight):
            raise CheckpointError(f"{path}: the weight {name[:100]} is not a tensor of floating-point numbers")
    check_weights_size(path, weights)
    for name, weight in weights.items():
        if not bool(torch.isfinite(weight.float()).all()):
            raise CheckpointError(f"{path}: the weight {name[:100]} is not finite everywhere")
