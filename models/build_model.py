"""Builds the network that a configuration describes.

An encoder is a module with a class method `from_settings(settings, feature_width, width, causal)`, where `settings` are
those of its own group, and with the attributes `feature_width`, `frames_ahead` and `frames_behind`. Called with a list
of videos (T_i, feature_width), or maps, it returns their embeddings (T_i, width); with `causal`, no frame may depend on
a later one. `tests/contracts/encoders.py` checks everything that an encoder must do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from configs.typed_settings import TypedSettings, check_size
from models.layers import DropNetwork, SkipProjection
from models.model_multiprong import MultiprongModel
from models.model_singleprong import SingleprongModel
from utils.errors import ConfigError
from utils.registry import ATTENTION_LAYOUTS, ENCODERS, code_of


def build_model(config: Mapping[str, Any], feature_width: int, number_of_tasks: int) -> nn.Module:
    """Build the network of a configuration, its weights drawn from torch's global generator.

    Args:
        config: the configuration, a plain dict or `ConfigDict`. The function reads OUTPUT_DIMENSIONALITY, CAUSAL,
            BASEARCH and ARCHITECTURE. ARCHITECTURE.num_heads = 0 (or None) means as many heads as tasks.
        feature_width: width of the features (T, feature_width), or channels of the maps (T, feature_width,
            height, width) for an encoder that reads maps.
        number_of_tasks: number of training tasks; used only if num_heads is 0 or None.

    Returns:
        A `SingleprongModel`, or a `MultiprongModel` where ARCHITECTURE.MCN is on. Called with a list of
        videos it returns {'outputs', 'attentions', 'dropouts'}; its `frames_ahead` and `frames_behind` say
        how many later and earlier frames an output depends on.

    Raises:
        ConfigError: a setting is missing, of the wrong type or out of range; the message names its key.
    """
    settings = TypedSettings(config)
    check_size("feature_width", feature_width)
    width = settings.size("OUTPUT_DIMENSIONALITY")
    encoder = _build_encoder(settings, feature_width, width, causal=settings.switch("CAUSAL"))
    drop_network = None
    if settings.switch("ARCHITECTURE.dropping"):
        drop_network = DropNetwork(width, settings.sizes("ARCHITECTURE.drop_layers"))
    skip = None
    if settings.switch("ARCHITECTURE.skip"):
        skip = SkipProjection(feature_width, width, settings.sizes("ARCHITECTURE.skip_means", default=()))
    if not settings.switch("ARCHITECTURE.MCN"):
        return SingleprongModel(encoder, drop_network, skip)

    layout = settings.choice("ARCHITECTURE.attention_layout", ATTENTION_LAYOUTS)
    if layout == "interleaved" and settings.switch("CAUSAL"):
        raise ConfigError(
            "ARCHITECTURE.attention_layout is 'interleaved', which reads other frames' heads; expected "
            "'per_frame' where CAUSAL is True"
        )
    heads = settings.size("ARCHITECTURE.num_heads", least=0, none_as=0)
    if heads == 0:
        check_size("number_of_tasks", number_of_tasks)
        heads = number_of_tasks
    return MultiprongModel(
        encoder,
        width,
        heads=heads,
        head_layers=settings.sizes("ARCHITECTURE.head_layers"),
        attention_layers=settings.sizes("ARCHITECTURE.attn_layers"),
        drop_network=drop_network,
        attention_layout=layout,
        skip=skip,
    )


def _build_encoder(settings: TypedSettings, feature_width: int, width: int, causal: bool) -> nn.Module:
    choice = ENCODERS[settings.choice("BASEARCH.ARCHITECTURE", tuple(ENCODERS))]
    return code_of(choice).from_settings(settings.group(choice.settings), feature_width, width, causal)
