"""Loads a configuration from a file and the command line, and validates it. Every refusal names the key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs.settings import unknown_key_message

ENCODERS = ("temporal_stacking", "resnet50", "naive")
PROGRESS_LEVELS = ("video", "action")
PROGRESS_FRAMES = ("single", "all")
SIMILARITIES = ("squared", "squared_per_dimension", "euclidean")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and what was expected."""


@dataclass(frozen=True)
class CommandLine:
    """What a training command asks for: the validated settings, where they came from, and the other flags."""

    config: ConfigDict
    config_file: str
    check: bool
    resume: str


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Reads `program --config FILE [--config.KEY=VALUE ...] [--check] [--resume RUN|auto]`.

    Args:
        arguments: the command line with the program's name first, as in `sys.argv`.

    Raises:
        ConfigError: for an unknown flag or key, a value of the wrong type, an unreadable file, or a setting
            that `validate_config` refuses.
    """
    arguments = list(arguments)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", help_string="experiment file", flag_values=values, sys_argv=arguments
    )
    flags.DEFINE_boolean("check", False, "only check the data and print a summary", flag_values=values)
    flags.DEFINE_string("resume", "", "run folder to continue, or 'auto' for the latest", flag_values=values)
    config_file = _config_file(arguments)
    try:
        _refuse_unknown_keys(arguments, config_file)
        rest = values(arguments)
        config = values.config
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(_one_line(error)) from error
    if rest[1:]:
        raise ConfigError(f"unexpected argument {rest[1]!r}; settings are given as --config.KEY=VALUE")
    if config is None:
        raise ConfigError("no experiment file; expected --config configs/NAME.py")
    validate_config(config)
    return CommandLine(config=config, config_file=config_file, check=values.check, resume=values.resume)


def validate_config(config: Mapping[str, Any] | ConfigDict) -> None:
    """Refuses settings that cannot work.

    Raises:
        ConfigError: naming the key, its value and what was expected.
    """

    def require(key: str, accepts: Callable[[Any], bool], expected: str) -> None:
        value = _look_up(config, key)
        if not accepts(value):
            raise ConfigError(f"{key} is {value!r}; expected {expected}")

    def require_each(keys: Sequence[str], accepts: Callable[[Any], bool], expected: str) -> None:
        for key in keys:
            require(key, accepts, expected)

    loss_types = _look_up(config, "LOSS_TYPE")
    if not any(loss_types[name] for name in loss_types):
        raise ConfigError(f"LOSS_TYPE turns every loss off; expected at least one of {', '.join(loss_types)}")

    require_each(["BATCH_SIZE"], lambda value: value >= 2, "2 or more videos (alignment compares pairs)")
    require_each(
        ["NUM_EPOCHS", "SKIP_RATE", "OUTPUT_DIMENSIONALITY", "MAX_BAD_STEPS"],
        lambda value: value >= 1,
        "1 or more",
    )
    require_each(
        ["CKPT_EVERY", "NUM_WORKERS", "ARCHITECTURE.num_heads", "SEED"], lambda value: value >= 0, "0 or more"
    )
    require_each(
        ["LEARNING_RATE", "MAX_GRAD_NORM"], lambda value: _finite(value) and value > 0, "a finite number > 0"
    )
    require_each(["WEIGHT_DECAY"], lambda value: _finite(value) and value >= 0, "a finite number >= 0")
    require("TRAIN_SPLIT", _is_split, "two shares: training in (0, 1), and validation of the rest in [0, 1]")
    require("VALIDATION_FRACTION", lambda value: 0 <= value < 1, "a share in [0, 1)")
    require("MAX_FRAMES", lambda value: value == 0 or value >= 2, "0 for all frames, or 2 or more")
    require(
        "FEATURE_LAYOUT",
        lambda value: value in ("frames_first", "features_first"),
        "'frames_first' or 'features_first'",
    )
    require("FEATURES_FOLDER", lambda value: value != "" and "\0" not in value, "a folder")
    require("ANNOTATION_SCALING", lambda value: value in ("none", "proportional"), "'none' or 'proportional'")
    require(
        "DEVICE",
        lambda value: re.fullmatch(r"auto|cpu|cuda(:\d+)?", value) is not None,
        "'auto', 'cpu', 'cuda' or 'cuda:N'",
    )
    require_each(
        ["TASKS", "BACKGROUND_LABELS"], lambda value: all(isinstance(name, str) for name in value), "names"
    )
    require_each(
        ["DATASET_NAME", "EXPERIMENTNAME"],
        lambda value: Path(value).name == value and value != "..",
        "a plain name, without a path",
    )

    require("BASEARCH.ARCHITECTURE", lambda value: value in ENCODERS, f"one of {', '.join(ENCODERS)}")
    require(
        "ARCHITECTURE.attention_layout",
        lambda value: value in ("per_frame", "interleaved"),
        "'per_frame' or 'interleaved'",
    )
    require_each(
        [
            "BASEARCH.NAIVE_ARCH.layers",
            "ARCHITECTURE.head_layers",
            "ARCHITECTURE.attn_layers",
            "ARCHITECTURE.drop_layers",
        ],
        lambda value: all(isinstance(width, int) and width >= 1 for width in value),
        "layer widths of 1 or more",
    )

    require("PROGRESS_LOSS.level", lambda value: value in PROGRESS_LEVELS, "'video' or 'action'")
    require("PROGRESS_LOSS.frames", lambda value: value in PROGRESS_FRAMES, "'single' or 'all'")
    require_each(
        [
            "PROGRESS_LOSS.lambda_fixed",
            "PROGRESS_LOSS.lambda_curriculum.start",
            "PROGRESS_LOSS.lambda_curriculum.end",
        ],
        lambda value: _finite(value) and value >= 0,
        "a finite weight >= 0",
    )

    for group in ("TCC_ORIGINAL_PARAMS", "GTCC_PARAMS", "LAV_PARAMS", "VAVA_PARAMS"):
        if "similarity" in _look_up(config, group):
            require(
                f"{group}.similarity",
                lambda value: value in SIMILARITIES,
                f"one of {', '.join(SIMILARITIES)}",
            )
    require_each(
        ["TCC_ORIGINAL_PARAMS.softmax_temp", "GTCC_PARAMS.softmax_temp", "LAV_PARAMS.min_temp"],
        lambda value: _finite(value) and value > 0,
        "a finite temperature > 0",
    )
    require_each(
        ["TCC_ORIGINAL_PARAMS.alignment_variance", "GTCC_PARAMS.alignment_variance"],
        lambda value: _finite(value) and value >= 0,
        "a finite weight >= 0",
    )
    require_each(
        ["GTCC_PARAMS.delta", "GTCC_PARAMS.gamma"], lambda value: 0 < value <= 1, "a number in (0, 1]"
    )
    require_each(
        ["GTCC_PARAMS.n_components", "GTCC_PARAMS.max_gmm_iters", "GTCC_PARAMS.anchors_per_video"],
        lambda value: value >= 1,
        "1 or more",
    )
    if loss_types["GTCC"] and _look_up(config, "GTCC_PARAMS.gamma") < 1:
        require(
            "ARCHITECTURE.dropping", bool, "True while GTCC_PARAMS.gamma < 1: GTCC needs the drop network"
        )


def _look_up(config: Mapping[str, Any] | ConfigDict, key: str) -> Any:
    value = config
    for part in key.split("."):
        if part not in value:
            raise ConfigError(f"{key} is missing from the configuration")
        value = value[part]
    return value


def _finite(value: float) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _is_split(value: Sequence[float]) -> bool:
    return len(value) == 2 and 0 < value[0] < 1 and 0 <= value[1] <= 1


def _config_file(arguments: Sequence[str]) -> str:
    for position, argument in enumerate(arguments):
        if re.fullmatch(r"--?config", argument) and position + 1 < len(arguments):
            return arguments[position + 1]
        if match := re.fullmatch(r"--?config=(.*)", argument):
            return match[1]
    return ""


def _refuse_unknown_keys(arguments: Sequence[str], config_file: str) -> None:
    """Checks the overrides' names against the defaults before the flags parser sees them."""
    if config_file and not Path(config_file).is_file():
        raise ConfigError(f"experiment file {config_file} does not exist")
    from configs.generic_config import CONFIG

    for argument in arguments[1:]:
        if not (match := re.match(r"--?(?:no)?config\.([^=]+)", argument)):
            continue
        group, prefix = CONFIG, ""
        for part in match[1].split("."):
            if not isinstance(group, ConfigDict) or part not in group:
                known = group.keys() if isinstance(group, ConfigDict) else ()
                raise ConfigError(unknown_key_message(part, known, prefix))
            group, prefix = group[part], f"{prefix}{part}."


def _one_line(error: Exception) -> str:
    return " ".join(str(error.args[0] if error.args else error).split())
