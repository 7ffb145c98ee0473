"""Builds the network that a configuration describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from configs.validation import LARGEST_SIZE
from models.layers import DropNetwork
from models.model_multiprong import MultiprongModel
from models.model_singleprong import (
    FramewiseEncoder,
    Resnet50Encoder,
    SingleprongModel,
    TemporalStackingEncoder,
)
from utils.registry import ATTENTION_LAYOUTS, ENCODERS

_REQUIRED = object()


def build_model(config: Mapping[str, Any], feature_width: int, number_of_tasks: int) -> nn.Module:
    """Build the network of a configuration, its weights drawn from torch's global generator.

    Args:
        config: the configuration, a plain dict or `ConfigDict`; read are OUTPUT_DIMENSIONALITY, CAUSAL,
            BASEARCH and ARCHITECTURE. ARCHITECTURE.num_heads = 0 (or None) means as many heads as tasks.
        feature_width: width of the features (T, feature_width), or channels of the maps (T, feature_width,
            height, width) for 'resnet50'.
        number_of_tasks: number of training tasks; read only where num_heads leaves it open.

    Returns:
        A `SingleprongModel`, or a `MultiprongModel` where ARCHITECTURE.MCN is on. Called with a list of
        videos it returns {'outputs', 'attentions', 'dropouts'}; its `frames_ahead` and `frames_behind` say
        how many later and earlier frames an output depends on.

    Raises:
        ValueError: a setting is missing, of the wrong type or out of range; the message names its key.
    """
    settings = _Settings(config)
    _check_size("feature_width", feature_width)
    width = settings.size("OUTPUT_DIMENSIONALITY")
    encoder = _build_encoder(settings, feature_width, width, causal=settings.switch("CAUSAL"))
    drop_network = None
    if settings.switch("ARCHITECTURE.dropping"):
        drop_network = DropNetwork(width, settings.sizes("ARCHITECTURE.drop_layers"))
    if not settings.switch("ARCHITECTURE.MCN"):
        return SingleprongModel(encoder, drop_network)

    layout = settings.choice("ARCHITECTURE.attention_layout", ATTENTION_LAYOUTS)
    if layout == "interleaved" and settings.switch("CAUSAL"):
        raise ValueError(
            "ARCHITECTURE.attention_layout is 'interleaved', which reads other frames' heads; expected "
            "'per_frame' where CAUSAL is True"
        )
    heads = settings.size("ARCHITECTURE.num_heads", least=0, none_as=0)
    if heads == 0:
        _check_size("number_of_tasks", number_of_tasks)
        heads = number_of_tasks
    return MultiprongModel(
        encoder,
        width,
        heads=heads,
        head_layers=settings.sizes("ARCHITECTURE.head_layers"),
        attention_layers=settings.sizes("ARCHITECTURE.attn_layers"),
        drop_network=drop_network,
        attention_layout=layout,
    )


def _build_encoder(settings: _Settings, feature_width: int, width: int, causal: bool) -> nn.Module:
    architecture = settings.choice("BASEARCH.ARCHITECTURE", tuple(ENCODERS))
    if architecture == "naive":
        return FramewiseEncoder(feature_width, width, settings.sizes("BASEARCH.NAIVE_ARCH.layers"))
    if architecture == "temporal_stacking":
        group = "BASEARCH.TEMPORAL_STACKING_ARCH"
        return TemporalStackingEncoder(
            feature_width,
            width,
            conv_num_channels=settings.size(f"{group}.conv_num_channels"),
            num_layers=settings.size(f"{group}.num_layers", default=7),
            temporal_depth=settings.size(f"{group}.temporal_depth"),
            causal=causal,
        )
    group = "BASEARCH.Resnet50_ARCH"
    return Resnet50Encoder(
        feature_width,
        width,
        conv_num_channels=settings.size(f"{group}.conv_num_channels", default=512),
        fc_layers=settings.sizes(f"{group}.fc_layers", default=(512, 512)),
        temporal_depth=settings.size(f"{group}.temporal_depth"),
        frames_per_chunk=settings.size(f"{group}.frames_per_chunk", default=16),
        causal=causal,
    )


class _Settings:
    """Typed look-ups by dotted key; a refusal names the key."""

    def __init__(self, config: Mapping[str, Any]):
        self.config = config

    def _look_up(self, key: str, default: Any = _REQUIRED) -> Any:
        value = self.config
        for part in key.split("."):
            if not hasattr(value, "keys"):
                raise ValueError(f"{key} is missing from the configuration: {part!r} isn't in a group")
            if part not in value:
                if default is _REQUIRED:
                    raise ValueError(f"{key} is missing from the configuration")
                return default
            value = value[part]
        return value

    def size(self, key: str, default: Any = _REQUIRED, least: int = 1, none_as: int | None = None) -> int:
        value = self._look_up(key, default)
        value = none_as if value is None else value
        _check_size(key, value, least)
        return value

    def sizes(self, key: str, default: Any = _REQUIRED) -> tuple[int, ...]:
        value = self._look_up(key, default)
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{key} is {value!r}, expected a list of layer widths")
        for position, width in enumerate(value):
            _check_size(f"{key}[{position}]", width)
        return tuple(value)

    def switch(self, key: str) -> bool:
        value = self._look_up(key)
        if not isinstance(value, bool):
            raise ValueError(f"{key} is {value!r}, expected True or False")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self._look_up(key)
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{key} is {value!r}, expected one of {', '.join(choices)}")
        return value


def _check_size(key: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_SIZE:
        raise ValueError(f"{key} is {value!r}, expected a whole number from {least} to {LARGEST_SIZE}")
