"""Translates checkpoints of the original GTCC code to this project's.

Their configuration is an `easydict.EasyDict`, which `utils.checkpoints.reading` reads as a plain dict.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from configs.generic_config import get_generic_config
from utils.checkpoints.content import check_weights_size, is_plain_tensor
from utils.errors import CheckpointError

# Sizes that are constants in the original code, not settings.
HEAD_LAYERS = (512, 128, 256)
CONVOLUTIONS = 7
KERNEL = 3

# Far larger than in any checkpoint of the original code; a forged file can't take minutes or all memory.
_MOST_LAYERS = 100


def translated_checkpoint(path: str | Path, content: Any) -> dict[str, Any]:
    """Translates a checkpoint of the original code: temporal stacking encoder, with or without crosstask network.

    Args:
        path: `best_model.pt` or `epoch-N.pt` of an experiment of the original code, for its size and for messages.
        content: what was read from it.

    Returns:
        A checkpoint as `utils.ckpt_save` writes them. Its configuration is our default one with the settings
        of the original, ARCHITECTURE.attention_layout = 'interleaved' and CAUSAL = False. `tasks` and
        `progress_normalizers` are empty, since the original stored neither. `optimizer_state_dict` is None:
        its moments come from gradients clipped to a norm of 1e-5 and would mislead any other training.

    Raises:
        CheckpointError: it is no such checkpoint, or its weights are missing, surplus, or don't fit its configuration.
    """
    values = _Values(path, content)
    network = _Network(values)
    network.check_weights()
    return {
        "config": _translate_config(values, network),
        "epoch": values.get("epoch", int),
        "loss": float(values.get("loss", (int, float))),
        "model_state_dict": network.translate({name: weight.float() for name, weight in network.weights.items()}),
        "optimizer_state_dict": None,
        "feature_width": network.feature_width,
        "tasks": [],
        "standardization": None,
        "progress_normalizers": {},
    }


class _Values:
    """Typed look-ups by dotted key in the pickle's content."""

    def __init__(self, path: str | Path, content: Any):
        self.path = path
        self.content = content

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """The value at `key`; if it is missing or None, the default, if there is one."""
        value = self.content
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        value = default if value is None else value
        huge = isinstance(value, int) and value.bit_length() > 63
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool) or huge:
            raise CheckpointError(
                f"{self.path} is not a checkpoint of the original code: {key} is "
                f"{'missing' if value is None else reprlib.repr(value)}"
            )
        return value

    def sizes(self, key: str) -> tuple[int, ...]:
        values = self.get(key, (list, tuple))
        if len(values) > _MOST_LAYERS or not all(type(value) is int and value > 0 for value in values):
            raise CheckpointError(f"{self.path}: {key} is {reprlib.repr(values)}, expected layer widths")
        return tuple(values)


class _Network:
    """The original network of a configuration: names and shapes of its weights, and our names for them."""

    def __init__(self, values: _Values):
        self.path = values.path
        architecture = values.get("config.BASEARCH.ARCHITECTURE", str)
        if architecture != "temporal_stacking":
            raise CheckpointError(
                f"{self.path} holds the base architecture {reprlib.repr(architecture)}; of the original's "
                "checkpoints only those of 'temporal_stacking' can be read"
            )
        stacking = "config.BASEARCH.TEMPORAL_STACKING_ARCH"
        self.weights = values.get("model_state_dict", dict)
        self.crosstask = values.get("config.ARCHITECTURE.MCN", bool)
        self.feature_width = values.get(f"{stacking}.input_dimensions", int)
        self.width = values.get("config.OUTPUT_DIMENSIONALITY", int)
        self.channels = values.get(f"{stacking}.conv_num_channels", int)
        self.temporal_depth = values.get(f"{stacking}.temporal_depth", int)
        self.dropping = any(str(name).startswith("dropout.") for name in self.weights)
        group = "config.ARCHITECTURE" if self.crosstask else stacking
        self.drop_layers = values.sizes(f"{group}.drop_layers") if self.dropping else ()
        self.attention_layers = values.sizes("config.ARCHITECTURE.attn_layers") if self.crosstask else ()
        # num_heads is None if it is the number of tasks, which the configuration doesn't hold.
        heads = {str(name).split(".")[1] for name in self.weights if str(name).startswith("head_models.")}
        self.heads = len(heads) if self.crosstask else 0

        base = "base_model." if self.crosstask else ""
        widths = [self.feature_width, self.channels, *[self.width] * (CONVOLUTIONS - 1)]
        kernels = [self.temporal_depth, *[KERNEL] * (CONVOLUTIONS - 1)]
        indices = range(0, 2 * CONVOLUTIONS, 2)
        self.convolutions = [f"{base}convolutional_layers.{index}.weight" for index in indices]
        shapes = zip(widths[1:], widths[:-1], kernels, strict=True)
        self.shapes: dict[str, tuple[int, ...]] = dict(zip(self.convolutions, shapes, strict=True))
        for head in range(self.heads):
            self._expect_layers(f"head_models.{head}.fc_layers", [self.width, *HEAD_LAYERS, self.width])
        if self.crosstask:
            concatenated = self.heads * self.width
            self._expect_layers("attention_layer", [concatenated, *self.attention_layers, self.heads])
        if self.dropping:
            self._expect_layers("dropout", [self.width, *self.drop_layers, self.width + 1])

    def _expect_layers(self, prefix: str, widths: list[int]) -> None:
        for layer in range(len(widths) - 1):
            self.shapes[f"{prefix}.{2 * layer}.weight"] = (widths[layer + 1], widths[layer])
            self.shapes[f"{prefix}.{2 * layer}.bias"] = (widths[layer + 1],)

    def check_weights(self) -> None:
        """Refuse weights that aren't exactly the configuration's."""
        complaints = []
        for what, names in (
            ("missing", [name for name in self.shapes if name not in self.weights]),
            ("surplus", [str(name)[:100] for name in self.weights if name not in self.shapes]),
        ):
            if names:
                more = " ..." if len(names) > 10 else ""
                complaints.append(f"{what} weights: {', '.join(names[:10])}{more}")
        for name in self.shapes.keys() & self.weights.keys():
            weight = self.weights[name]
            if not is_plain_tensor(weight):
                complaints.append(f"{name} is not a tensor of floating-point numbers")
            elif weight.shape != self.shapes[name]:
                complaints.append(f"{name} is {tuple(weight.shape)}, its configuration says {self.shapes[name]}")
        if complaints:
            listed = "; ".join(sorted(complaints)[:10])
            raise CheckpointError(f"{self.path} does not fit its own configuration: {listed}")
        check_weights_size(self.path, self.weights)

    def translate(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Our state dict: in convolutions the kernel axis comes first, all heads are stacked, names differ."""
        ours = {
            f"encoder.convolutions.{layer}.weight": tensors[name].permute(2, 1, 0).contiguous()
            for layer, name in enumerate(self.convolutions)
        }
        for layer in range(len(HEAD_LAYERS) + 1 if self.crosstask else 0):
            names = [f"head_models.{head}.fc_layers.{2 * layer}" for head in range(self.heads)]
            ours[f"heads.weights.{layer}"] = torch.stack([tensors[f"{name}.weight"].t() for name in names])
            ours[f"heads.biases.{layer}"] = torch.stack([tensors[f"{name}.bias"][None] for name in names])
        for theirs, prefix in (("attention_layer.", "attention."), ("dropout.", "drop_network.layers.")):
            for name, tensor in tensors.items():
                if name.startswith(theirs):
                    ours[prefix + name.removeprefix(theirs)] = tensor
        return ours


def _translate_config(values: _Values, network: _Network) -> dict[str, Any]:
    """Our default configuration with the original's settings of network, losses, data and training."""
    config = get_generic_config()
    config.OUTPUT_DIMENSIONALITY = network.width
    config.CAUSAL = False
    config.BASEARCH.ARCHITECTURE = "temporal_stacking"
    config.BASEARCH.TEMPORAL_STACKING_ARCH = {
        "temporal_depth": network.temporal_depth,
        "conv_num_channels": network.channels,
    }
    config.ARCHITECTURE = {
        "skip": False,
        "MCN": network.crosstask,
        "dropping": network.dropping,
        "drop_layers": network.drop_layers,
    }
    if network.crosstask:
        config.ARCHITECTURE = {
            "num_heads": network.heads,
            "head_layers": HEAD_LAYERS,
            "attn_layers": network.attention_layers,
            "attention_layout": "interleaved",
        }
    for key in ("DATASET_NAME", "EXPERIMENTNAME"):
        config[key] = values.get(f"config.{key}", str)
    for key in ("BATCH_SIZE", "NUM_EPOCHS"):
        config[key] = values.get(f"config.{key}", int)
    config.LEARNING_RATE = float(values.get("config.LEARNING_RATE", (int, float)))
    config.SKIP_RATE = values.get("config.SKIP_RATE", int, default=1)
    split = values.get("config.TRAIN_SPLIT", (list, tuple))
    if [type(share) for share in split] != [float, float]:
        raise CheckpointError(
            f"{values.path}: config.TRAIN_SPLIT is {reprlib.repr(split)}, expected two shares"
        )
    config.TRAIN_SPLIT = tuple(split)
    for group in ("LOSS_TYPE", "TCC_ORIGINAL_PARAMS", "GTCC_PARAMS", "LAV_PARAMS"):
        given = values.get(f"config.{group}", dict)
        for key in config[group].keys() & given.keys():
            kind = type(config[group][key])
            accepted = (int, float) if kind is float else kind
            config[group][key] = kind(values.get(f"config.{group}.{key}", accepted))
    config.TCC_ORIGINAL_PARAMS.normalization = "none"
    config.GTCC_PARAMS = {"soft_neighbours": "components", "normalization": "none", "reciprocal": "frame"}
    config.STANDARDIZE = False
    plain = config.to_dict()
    plain["BASEARCH"]["TEMPORAL_STACKING_ARCH"]["num_layers"] = CONVOLUTIONS
    return plain
