"""Translates checkpoints of the original GTCC code to this project's.

Their configuration is an `easydict.EasyDict`, which `utils.checkpoints.reading` reads as a plain dict. Its own script
leaves most of it None: sizes are defaults of classes, and parameters of losses that are off are never set. So every
size is that of the weights, and the configuration is only asked for what the weights don't show.
"""

from __future__ import annotations

import logging
import reprlib
from pathlib import Path
from typing import Any

import torch

from configs.generic_config import get_generic_config
from utils.checkpoints.content import check_weights_size, is_plain_tensor
from utils.errors import CheckpointError
from utils.registry import LOSSES

logger = logging.getLogger(__name__)

# Constants of the original code, not settings.
FEWEST_CONVOLUTIONS = 7
KERNEL = 3
MAP_KERNEL = (3, 3, 3)
MAP_LAYERS = 3  # fully connected layers after the convolutions of maps
HEAD_LAYERS = 4
RESNET_CONTEXT = 2  # its default of temporal_depth

# Far larger than in any checkpoint of the original code; a forged file can't take minutes or all memory.
_MOST_LAYERS = 100

NAIVE_ENCODER = (
    "holds the naive encoder of the original code, which cannot run forward at all: its layer sizes don't chain"
)


def translated_checkpoint(path: str | Path, content: Any) -> dict[str, Any]:
    """Translates a checkpoint of the original code: temporal stacking or ResNet-50, with or without crosstask network.

    Args:
        path: `best_model.pt` or `epoch-N.pt` of an experiment of the original code, for its size and for messages.
        content: what was read from it.

    Returns:
        A checkpoint as `utils.ckpt_save` writes them. Its configuration is our default one with the settings
        of the original, ARCHITECTURE.attention_layout = 'interleaved' and CAUSAL = False. Settings that are None or
        missing have the original's own defaults, which are ours too, and settings of losses that are off are not
        read. `tasks` and `progress_normalizers` are empty, since the original stored neither. `optimizer_state_dict`
        is None: its moments come from gradients clipped to a norm of 1e-5 and would mislead any other training.

    Raises:
        CheckpointError: it is no such checkpoint, or its weights are no network of the original code; it names the
            first entry, in the order of the network, that is missing or doesn't fit.
    """
    values = _Values(path, content)
    values.get("config", dict)
    network = _Network(values)
    return {
        "config": _translate_config(values, network),
        "epoch": values.get("epoch", int),
        "loss": float(values.get("loss", (int, float))),
        "model_state_dict": network.translated,
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


class _Network:
    """The original network that the weights are of.

    Attributes:
        crosstask, dropping: whether there is a crosstask network, and a drop network.
        architecture: 'temporal_stacking' or 'resnet50'.
        encoder: our settings of the encoder.
        feature_width, width: of the features (or channels of the maps), and of the embedding.
        heads: how many, 0 without a crosstask network.
        head_layers, attention_layers, drop_layers: hidden widths.
        translated: our state dict.
    """

    def __init__(self, values: _Values):
        self._path = values.path
        self._given = dict(values.get("model_state_dict", dict))
        self._left = dict(self._given)
        self.translated: dict[str, torch.Tensor] = {}
        under_heads = any(self._named("head_models"))
        self.crosstask = values.get("config.ARCHITECTURE.MCN", bool, default=under_heads)
        self._base = "base_model." if self.crosstask else ""
        self.architecture = values.get("config.BASEARCH.ARCHITECTURE", str, default=self._likely_architecture())
        if self.architecture == "naive":
            raise CheckpointError(f"{self._path} {NAIVE_ENCODER}")
        if self.architecture not in ("temporal_stacking", "resnet50"):
            raise CheckpointError(
                f"{self._path} holds the base architecture {reprlib.repr(self.architecture)}; of the original's "
                f"checkpoints only those of 'temporal_stacking' and 'resnet50' can be read"
            )
        check_weights_size(self._path, {name: w for name, w in self._given.items() if is_plain_tensor(w)})
        if self.architecture == "resnet50":
            self._read_map_encoder(values)
        else:
            self._read_stacking_encoder()
        self.heads, self.head_layers, self.attention_layers, self.drop_layers = 0, (), (), ()
        if self.crosstask:
            self._read_heads()
        self._leave_out_unused_drop_network()
        self.dropping = any(self._named("dropout"))
        if self.dropping:
            count = self._count("dropout", least=2)
            self.drop_layers = self._read_layers("dropout", "drop_network.layers", count, self.width, self.width + 1)
        if self._left:
            names = [str(name)[:100] for name in self._left]
            more = " ..." if len(names) > 10 else ""
            self._refuse(f"surplus weights: {', '.join(names[:10])}{more}")

    def _likely_architecture(self) -> str:
        base = self._base
        if any(self._named(f"{base}layers")):
            return "naive"
        return "resnet50" if any(self._named(f"{base}conv_embedding")) else "temporal_stacking"

    def _read_stacking_encoder(self) -> None:
        prefix = f"{self._base}convolutional_layers"
        count = self._count(prefix, FEWEST_CONVOLUTIONS)
        depth, channels = None, []
        for layer in range(count):
            inputs = channels[-1] if channels else None
            weight = self._take(f"{prefix}.{2 * layer}.weight", (None, inputs, KERNEL if layer else None))
            if not layer:
                self.feature_width, depth = weight.shape[1:]
            channels.append(weight.shape[0])
            # Ours has the position in the kernel first.
            self.translated[f"encoder.convolutions.{layer}.weight"] = weight.permute(2, 1, 0).contiguous()
        self.width = channels[-1]
        halving = channels[1:] != [self.width] * (count - 1)
        self.encoder = {
            "temporal_depth": depth, "conv_num_channels": channels[0], "num_layers": count,
            "hidden_channels": tuple(channels[:-1]) if halving else (),
        }  # fmt: skip

    def _read_map_encoder(self, values: _Values) -> None:
        convolutions, layers = f"{self._base}conv_embedding", f"{self._base}linear_embedding"
        first = self._take(f"{convolutions}.0.weight", (None, None, *MAP_KERNEL))
        self.feature_width = first.shape[1]
        if first.shape[0] != self.feature_width:
            self._refuse(f"{convolutions}.0.weight is {tuple(first.shape)}, expected as many outputs as inputs")
        bias = self._take(f"{convolutions}.0.bias", (first.shape[0],))
        second = self._take(f"{convolutions}.2.weight", (None, first.shape[0], *MAP_KERNEL))
        channels = second.shape[0]
        self.translated |= {
            "encoder.convolutions.0.weight": first,
            "encoder.convolutions.0.bias": bias,
            "encoder.convolutions.2.weight": second,
            "encoder.convolutions.2.bias": self._take(f"{convolutions}.2.bias", (channels,)),
        }
        hidden = self._read_layers(layers, "encoder.fc", self._count(layers, MAP_LAYERS), channels)
        self.width = self.translated[f"encoder.fc.{2 * len(hidden)}.bias"].shape[0]
        self.encoder = {
            "temporal_depth": values.get("config.BASEARCH.Resnet50_ARCH.temporal_depth", int, default=RESNET_CONTEXT),
            "conv_num_channels": channels, "fc_layers": hidden, "variant": "original",
        }  # fmt: skip

    def _read_heads(self) -> None:
        """All heads, stacked as ours are, and the attention over them."""
        numbers = [number for name in self._named("head_models") if (number := _number(name, 1)) is not None]
        self.heads = min(max(numbers, default=0), len(self._given)) + 1
        count = self._count("head_models.0.fc_layers", HEAD_LAYERS)
        stacked: dict[str, list[torch.Tensor]] = {}
        for head in range(self.heads):
            widths = [self.width, *self.head_layers, self.width] if head else [self.width]
            for layer in range(count):
                name = f"head_models.{head}.fc_layers.{2 * layer}"
                output = widths[layer + 1] if head else (self.width if layer == count - 1 else None)
                weight = self._take(f"{name}.weight", (output, widths[layer]))
                bias = self._take(f"{name}.bias", (weight.shape[0],))
                widths += [] if head else [weight.shape[0]]
                stacked.setdefault(f"heads.weights.{layer}", []).append(weight.t())
                stacked.setdefault(f"heads.biases.{layer}", []).append(bias[None])
            self.head_layers = tuple(widths[1:-1])
        self.translated |= {name: torch.stack(tensors) for name, tensors in stacked.items()}
        count = self._count("attention_layer", least=2)
        self.attention_layers = self._read_layers(
            "attention_layer", "attention", count, self.heads * self.width, self.heads
        )

    def _leave_out_unused_drop_network(self) -> None:
        """Leaves out a drop network of the encoder that the original's outputs, and its evaluation, don't depend on."""
        unused = ""
        if self.crosstask:
            unused = f"{self._base}dropout"
        elif self.architecture == "resnet50":
            unused = "dropout"  # with tanh, and without the value for the constant
        if unused and (names := list(self._named(unused))):
            logger.warning("%s: the drop network %s, which only the original's training reads, is left out",
                           self._path, unused)  # fmt: skip
            for name in names:
                del self._given[name], self._left[name]

    def _read_layers(
        self, theirs: str, ours: str, count: int, inputs: int, outputs: int | None = None
    ) -> tuple[int, ...]:
        """Translates fully connected layers; returns their hidden widths."""
        widths = [inputs]
        for layer in range(count):
            last = outputs if layer == count - 1 else None
            weight = self._take(f"{theirs}.{2 * layer}.weight", (last, widths[-1]))
            widths.append(weight.shape[0])
            self.translated[f"{ours}.{2 * layer}.weight"] = weight
            self.translated[f"{ours}.{2 * layer}.bias"] = self._take(f"{theirs}.{2 * layer}.bias", (widths[-1],))
        return tuple(widths[1:-1])

    def _take(self, name: str, shape: tuple[int | None, ...]) -> torch.Tensor:
        """A weight of this shape (None: of any size of at least 1), in single precision."""
        if name not in self._given:
            self._refuse(f"missing weights: {name}")
        weight = self._left.pop(name)
        if not is_plain_tensor(weight):
            self._refuse(f"{name} is not a tensor of floating-point numbers")
        fits = weight.dim() == len(shape) and 0 not in weight.shape and all(
            wanted in (None, size) for wanted, size in zip(shape, weight.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            self._refuse(f"{name} is {tuple(weight.shape)}, the other weights say ({wanted})")
        return weight.float()

    def _count(self, prefix: str, least: int) -> int:
        """The number of layers, of which only every second has weights."""
        depth = prefix.count(".") + 1
        numbers = [number for name in self._named(prefix) if (number := _number(name, depth)) is not None]
        count = max(least, max(numbers, default=0) // 2 + 1)
        if count > _MOST_LAYERS:
            self._refuse(f"{prefix} has the layer {max(numbers)}")
        return count

    def _named(self, prefix: str) -> list[str]:
        return [name for name in self._given if isinstance(name, str) and name.startswith(f"{prefix}.")]

    def _refuse(self, problem: str) -> None:
        raise CheckpointError(f"{self._path} holds no network of the original code: {problem}")


def _number(name: str, part: int) -> int | None:
    """The number in one part of a dotted name."""
    parts = name.split(".")
    return int(parts[part]) if len(parts) > part and parts[part].isdecimal() and len(parts[part]) < 10 else None


def _translate_config(values: _Values, network: _Network) -> dict[str, Any]:
    """Our default configuration with the original's settings of network, losses, data and training."""
    config = get_generic_config()
    config.OUTPUT_DIMENSIONALITY = network.width
    config.CAUSAL = False
    group = {"temporal_stacking": "TEMPORAL_STACKING_ARCH", "resnet50": "Resnet50_ARCH"}[network.architecture]
    config.BASEARCH = {"ARCHITECTURE": network.architecture, group: network.encoder}
    config.ARCHITECTURE = {
        "skip": False,
        "skip_means": (),
        "MCN": network.crosstask,
        "dropping": network.dropping,
        "drop_layers": network.drop_layers,
    }
    if network.crosstask:
        config.ARCHITECTURE = {
            "num_heads": network.heads,
            "head_layers": network.head_layers,
            "attn_layers": network.attention_layers,
            "attention_layout": "interleaved",
        }
    for key in ("DATASET_NAME", "EXPERIMENTNAME"):
        config[key] = values.get(f"config.{key}", str, default=config[key])
    for key in ("BATCH_SIZE", "NUM_EPOCHS", "SKIP_RATE"):
        config[key] = values.get(f"config.{key}", int, default=config[key])
    config.LEARNING_RATE = float(values.get("config.LEARNING_RATE", (int, float), default=config.LEARNING_RATE))
    split = values.get("config.TRAIN_SPLIT", (list, tuple), default=config.TRAIN_SPLIT)
    if len(split) != 2 or any(type(share) not in (int, float) for share in split):
        raise CheckpointError(
            f"{values.path}: config.TRAIN_SPLIT is {reprlib.repr(split)}, expected two shares"
        )
    config.TRAIN_SPLIT = tuple(map(float, split))
    # What its losses are where they give no value; today's defaults are others.
    config.TCC_ORIGINAL_PARAMS = {"softmax_temp": 0.1, "normalization": "none"}
    config.GTCC_PARAMS = {
        "softmax_temp": 0.1, "anchors_per_video": 20, "n_components": 15, "delta": 0.2, "gamma": 0.95,
        "soft_neighbours": "components", "normalization": "none", "reciprocal": "frame", "alignment_variance": 0.0,
    }  # fmt: skip
    for name, loss in LOSSES.items():
        on = values.get(f"config.LOSS_TYPE.{name}", bool, default=False)
        config.LOSS_TYPE[name] = on
        given = values.get(f"config.{loss.settings}", dict, default={}) if on else {}
        for key in config[loss.settings]:
            if key in given:
                default = config[loss.settings][key]
                kind = type(default)
                accepted = (int, float) if kind is float else kind
                config[loss.settings][key] = kind(
                    values.get(f"config.{loss.settings}.{key}", accepted, default=default)
                )
    config.STANDARDIZE = False
    # Its configuration declares neither.
    config.SEGMENT_ENDS, config.INTEGER_LABELS = "majority", "take"
    return config.to_dict()
