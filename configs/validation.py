"""Checks every setting: it must have the type of its default and be in its range. Every error names the key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ml_collections import ConfigDict

from configs.generic_config import get_generic_config
from configs.settings import LARGEST_WHOLE_NUMBER, Settings, of_type_of, plain_value
from utils.errors import ConfigError, shown, unknown_key_message
from utils.registry import (
    ATTENTION_LAYOUTS,
    ENCODERS,
    INTEGER_LABELS,
    LAYOUTS,
    LOSSES,
    NORMALIZATIONS,
    RECIPROCALS,
    RESNET_VARIANTS,
    SCALINGS,
    SEGMENT_ENDS,
    SIMILARITIES,
    SOFT_NEIGHBOURS,
    UNLABELLED_TAILS,
    no_drop_network,
)

PROGRESS_LEVELS = ("video", "action")
PROGRESS_FRAMES = ("single", "all")
PROGRESS_NORMALIZERS = ("own", "training")
PRECISIONS = ("float32", "bfloat16")

# Far larger than anyone needs; they keep a mistyped number from using all memory or never ending.
LARGEST_SIZE = 1 << 20
MOST_LAYERS = 100
MOST_ITERATIONS = 10_000
MOST_WORKERS = 1000
LONGEST_NAME = 200
LARGEST_SEED = 2**32 - 1  # numpy takes no larger one

# Whether a value is accepted, and what was expected.
Rule = tuple[Callable[[Any], bool], str]


def complete_config(values: Mapping[str, Any] | ConfigDict) -> Settings:
    """The default configuration with these values in place of its own.

    Args:
        values: settings and groups of settings; what is missing keeps its default.

    Returns:
        Every value is of the type of its default, plain Python (no subclass of it, so that a checkpoint can
        hold it); ranges are for `validate_config`.

    Raises:
        ConfigError: an unknown key, or a value of another type.
    """
    config = get_generic_config()
    if isinstance(values, (Mapping, ConfigDict)):  # otherwise `_merge` refuses them
        _add_custom_losses(config, values.get("CUSTOM_LOSSES", {}), values.get("CUSTOM_LOSS_PARAMS", {}))
    _merge(config, values, "")
    return config.lock()


def _add_custom_losses(config: Settings, losses: Any, parameters: Any) -> None:
    """Adds the settings of losses from outside the repository to the configuration, without importing the losses."""
    for key, group in (("CUSTOM_LOSSES", losses), ("CUSTOM_LOSS_PARAMS", parameters)):
        if not isinstance(group, (Mapping, ConfigDict)):
            raise ConfigError(f"{key} is {shown(group)}; expected a group of settings")
    for name, code in losses.items():
        accepted, expected = CUSTOM_LOSS_NAME
        if not accepted(name):
            raise ConfigError(f"CUSTOM_LOSSES names a loss {shown(name)}; expected {expected}")
        config.LOSS_TYPE[name] = False
        config.CUSTOM_LOSSES[name] = of_type_of("", code, f"CUSTOM_LOSSES.{name}")
        config.CUSTOM_LOSS_PARAMS[name] = {}
        given = parameters.get(name, {})
        for key, value in given.items() if isinstance(given, (Mapping, ConfigDict)) else ():
            if not _is_key(key):
                raise ConfigError(f"CUSTOM_LOSS_PARAMS.{name} names {shown(key)}; expected a parameter of the loss")
            config.CUSTOM_LOSS_PARAMS[name][key] = plain_value(value, f"CUSTOM_LOSS_PARAMS.{name}.{key}")


def validate_config(config: Mapping[str, Any] | ConfigDict) -> None:
    """Refuses settings that cannot work. Imports no loss: `alignment_terms` refuses one that can't be used.

    Args:
        config: every setting, of its default's type (see `complete_config`).

    Raises:
        ConfigError: naming the key, its value and what was expected.
    """
    validate_network_and_data(config)
    _require(config, TRAINING)
    losses = config["LOSS_TYPE"]
    if not any(losses[name] for name in losses):
        raise ConfigError(f"LOSS_TYPE turns every loss off; expected at least one of {', '.join(losses)}")
    for name, loss in LOSSES.items():
        reads = losses[name] and loss.dropouts_while is not None and loss.dropouts_while.holds(config[loss.settings])
        if reads and not config["ARCHITECTURE"]["dropping"]:
            raise ConfigError(no_drop_network(name, loss.dropouts_while))


def validate_network_and_data(config: Mapping[str, Any] | ConfigDict) -> None:
    """As `validate_config`, only for the settings that a trained network still needs."""
    _require(config, NETWORK_AND_DATA)
    if config["CAUSAL"] and config["ARCHITECTURE"]["attention_layout"] == "interleaved":
        raise ConfigError(
            "ARCHITECTURE.attention_layout is 'interleaved', which reads other frames' heads; expected 'per_frame' "
            "where CAUSAL is True"
        )


def _merge(group: Settings, values: Any, prefix: str) -> None:
    if not isinstance(values, (Mapping, ConfigDict)):
        raise ConfigError(f"{prefix.removesuffix('.') or 'the whole'} is {shown(values)}; expected a group of settings")
    for key, value in values.items():
        if key not in group:
            raise ConfigError(unknown_key_message(key, group.keys(), prefix))
        default = group[key]
        if isinstance(default, ConfigDict):
            _merge(default, value, f"{prefix}{key}.")
        else:
            group[key] = of_type_of(default, value, f"{prefix}{key}")


def _require(config: Mapping[str, Any] | ConfigDict, rules: Mapping[str, Rule]) -> None:
    for key, (accepts, expected) in rules.items():
        value: Any = config
        for part in key.split("."):
            if part not in value:
                raise ConfigError(f"{key} is missing from the configuration")
            value = value[part]
        if not accepts(value):
            raise ConfigError(f"{key} is {shown(value)}; expected {expected}")


def _at_least(least: int, most: int = LARGEST_WHOLE_NUMBER, why: str = "") -> Rule:
    upper = f" (at most {most})" if most != LARGEST_WHOLE_NUMBER else ""
    return lambda value: least <= value <= most, f"{least} or more{upper}{why}"


def _one_of(choices: Sequence[str]) -> Rule:
    return lambda value: value in choices, f"one of {', '.join(choices)}"


def _is_split(value: Sequence[float]) -> bool:
    return len(value) == 2 and 0 < value[0] < 1 and 0 <= value[1] <= 1


def _is_plain_name(value: str) -> bool:
    plain = PurePath(value).name == value and value not in ("", "..")
    return plain and len(value.encode()) <= LONGEST_NAME


def _is_custom_loss_name(value: Any) -> bool:
    # It is a key of the settings, and <name>_loss a column of the log.
    return _is_key(value) and len(value) <= LONGEST_NAME and value not in (*LOSSES, "total", "alignment", "progress")


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and value.isidentifier() and not hasattr(ConfigDict, value)


def _are_sizes(value: Sequence[int]) -> bool:
    # The items of a tuple whose default is empty may be of any plain type.
    return len(value) <= MOST_LAYERS and all(type(width) is int and 1 <= width <= LARGEST_SIZE for width in value)


POSITIVE: Rule = (lambda value: 0 < value < math.inf, "a finite number > 0")
NOT_NEGATIVE: Rule = (lambda value: 0 <= value < math.inf, "a finite number >= 0")
SHARE: Rule = (lambda value: 0 <= value <= 1, "a share in [0, 1]")
POSITIVE_SHARE: Rule = (lambda value: 0 < value <= 1, "a number in (0, 1]")
SIZE = _at_least(1, LARGEST_SIZE)
SIZES: Rule = (_are_sizes, f"at most {MOST_LAYERS} layer widths of 1 or more (at most {LARGEST_SIZE})")
DEPTH = _at_least(1, MOST_LAYERS)
ITERATIONS = _at_least(1, MOST_ITERATIONS)
FOLDER: Rule = (lambda value: value != "", "a folder")
NAMES: Rule = (
    lambda value: all(isinstance(name, str) and name != "" for name in value), "names, none of them empty",
)
CUSTOM_LOSS_NAME: Rule = (
    _is_custom_loss_name, "a plain word that is neither a loss of the project, nor total, alignment or progress",
)
PLAIN_NAME: Rule = (_is_plain_name, f"a plain name, without a path, of at most {LONGEST_NAME} bytes")

NETWORK_AND_DATA: dict[str, Rule] = {
    "DATASET_NAME": PLAIN_NAME,
    "TASKS": NAMES,
    "BACKGROUND_LABELS": NAMES,
    "DATASET_PATH": FOLDER,
    "FEATURES_FOLDER": FOLDER,
    "VIDEOS_FOLDER": FOLDER,
    "CAMERAS": NAMES,
    "INTEGER_LABELS": _one_of(INTEGER_LABELS),
    "SEGMENT_ENDS": _one_of(SEGMENT_ENDS),
    "UNLABELLED_TAIL": _one_of(UNLABELLED_TAILS),
    "ANNOTATION_SCALING": _one_of(SCALINGS),
    "FEATURE_LAYOUT": _one_of(LAYOUTS),
    "SKIP_RATE": _at_least(1),
    "FRAME_RATE": NOT_NEGATIVE,
    "MAX_FRAMES": (lambda value: value == 0 or value >= 2, "0 for all frames, or 2 or more"),
    "SEED": _at_least(0, LARGEST_SEED),
    "TRAIN_SPLIT": (_is_split, "two shares: training in (0, 1), and validation of the rest in [0, 1]"),
    "VALIDATION_FRACTION": (lambda value: 0 <= value < 1, "a share in [0, 1)"),
    "OUTPUT_DIMENSIONALITY": SIZE,
    "BASEARCH.ARCHITECTURE": _one_of(ENCODERS),
    "BASEARCH.Resnet50_ARCH.temporal_depth": SIZE,
    "BASEARCH.Resnet50_ARCH.conv_num_channels": SIZE,
    "BASEARCH.Resnet50_ARCH.fc_layers": SIZES,
    "BASEARCH.Resnet50_ARCH.frames_per_chunk": SIZE,
    "BASEARCH.Resnet50_ARCH.variant": _one_of(RESNET_VARIANTS),
    "BASEARCH.TEMPORAL_STACKING_ARCH.temporal_depth": SIZE,
    "BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels": SIZE,
    "BASEARCH.TEMPORAL_STACKING_ARCH.num_layers": DEPTH,
    "BASEARCH.TEMPORAL_STACKING_ARCH.hidden_channels": SIZES,
    "BASEARCH.NAIVE_ARCH.layers": SIZES,
    "ARCHITECTURE.skip_means": SIZES,
    "ARCHITECTURE.num_heads": _at_least(0, LARGEST_SIZE),
    "ARCHITECTURE.head_layers": SIZES,
    "ARCHITECTURE.attn_layers": SIZES,
    "ARCHITECTURE.attention_layout": _one_of(ATTENTION_LAYOUTS),
    "ARCHITECTURE.drop_layers": SIZES,
}

TRAINING: dict[str, Rule] = {
    "EXPERIMENTNAME": PLAIN_NAME,
    "OUTPUT_FOLDER": FOLDER,
    "DEVICE": (
        lambda value: re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value) is not None,
        "'auto', 'cpu', 'cuda' or 'cuda:N'",
    ),
    "PRECISION": _one_of(PRECISIONS),
    "NUM_WORKERS": _at_least(0, MOST_WORKERS),
    "BATCH_SIZE": _at_least(2, why=" videos (alignment compares pairs)"),
    "NUM_EPOCHS": _at_least(1),
    "LEARNING_RATE": POSITIVE,
    "WEIGHT_DECAY": NOT_NEGATIVE,
    "MAX_GRAD_NORM": POSITIVE,
    "MAX_BAD_STEPS": _at_least(1),
    "CKPT_EVERY": _at_least(0),
    "TCC_ORIGINAL_PARAMS.softmax_temp": POSITIVE,
    "TCC_ORIGINAL_PARAMS.alignment_variance": NOT_NEGATIVE,
    "TCC_ORIGINAL_PARAMS.similarity": _one_of(SIMILARITIES),
    "TCC_ORIGINAL_PARAMS.normalization": _one_of(NORMALIZATIONS),
    "GTCC_PARAMS.softmax_temp": POSITIVE,
    "GTCC_PARAMS.max_gmm_iters": ITERATIONS,
    "GTCC_PARAMS.n_components": ITERATIONS,
    "GTCC_PARAMS.delta": POSITIVE_SHARE,
    "GTCC_PARAMS.gamma": POSITIVE_SHARE,
    "GTCC_PARAMS.alignment_variance": NOT_NEGATIVE,
    "GTCC_PARAMS.anchors_per_video": _at_least(1),
    "GTCC_PARAMS.soft_neighbours": _one_of(SOFT_NEIGHBOURS),
    "GTCC_PARAMS.similarity": _one_of(SIMILARITIES),
    "GTCC_PARAMS.reciprocal": _one_of(RECIPROCALS),
    "GTCC_PARAMS.normalization": _one_of(NORMALIZATIONS),
    "LAV_PARAMS.min_temp": POSITIVE,
    "LAV_PARAMS.alpha": NOT_NEGATIVE,
    "LAV_PARAMS.margin": POSITIVE,
    "LAV_PARAMS.window": SHARE,
    "LAV_PARAMS.similarity": _one_of(SIMILARITIES),
    "LAV_PARAMS.trust": NOT_NEGATIVE,
    "LAV_PARAMS.normalization": _one_of(NORMALIZATIONS),
    "VAVA_PARAMS.zeta": NOT_NEGATIVE,
    "VAVA_PARAMS.regularization": POSITIVE,
    "VAVA_PARAMS.prior_width": POSITIVE,
    "VAVA_PARAMS.consistency_decay": SHARE,
    "VAVA_PARAMS.intra_weight": NOT_NEGATIVE,
    "VAVA_PARAMS.inter_weight": NOT_NEGATIVE,
    "VAVA_PARAMS.margin": POSITIVE,
    "VAVA_PARAMS.window": SHARE,
    "VAVA_PARAMS.inter_margin": POSITIVE,
    "VAVA_PARAMS.iterations": ITERATIONS,
    "VAVA_PARAMS.similarity": _one_of(SIMILARITIES),
    "VAVA_PARAMS.normalization": _one_of(NORMALIZATIONS),
    "VAOT_PARAMS.softmax_temp": POSITIVE,
    "VAOT_PARAMS.structure_weight": SHARE,
    "VAOT_PARAMS.radius": POSITIVE_SHARE,
    "VAOT_PARAMS.order_weight": NOT_NEGATIVE,
    "VAOT_PARAMS.zeta": NOT_NEGATIVE,
    "VAOT_PARAMS.regularization": POSITIVE,
    "VAOT_PARAMS.iterations": ITERATIONS,
    "VAOT_PARAMS.intra_weight": NOT_NEGATIVE,
    "VAOT_PARAMS.margin": POSITIVE,
    "VAOT_PARAMS.window": SHARE,
    "VAOT_PARAMS.similarity": _one_of(SIMILARITIES),
    "VAOT_PARAMS.normalization": _one_of(NORMALIZATIONS),
    "PROGRESS_LOSS.level": _one_of(PROGRESS_LEVELS),
    "PROGRESS_LOSS.frames": _one_of(PROGRESS_FRAMES),
    "PROGRESS_LOSS.normalizer": _one_of(PROGRESS_NORMALIZERS),
    "PROGRESS_LOSS.lambda_fixed": NOT_NEGATIVE,
    "PROGRESS_LOSS.lambda_curriculum.start": NOT_NEGATIVE,
    "PROGRESS_LOSS.lambda_curriculum.end": NOT_NEGATIVE,
}
