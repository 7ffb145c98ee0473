"""The configuration type: an `ml_collections.ConfigDict` that merges partial dicts and checks the type of values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference

from utils.errors import ConfigError, shown, unknown_key_message

# Settings that change where and how a run is carried out, not what it computes. NUM_EPOCHS may only grow.
SAFE_TO_CHANGE = (
    "NUM_EPOCHS", "DATASET_PATH", "FEATURES_FOLDER", "OUTPUT_FOLDER", "DEVICE", "NUM_WORKERS", "LAZY_LOAD",
    "CKPT_EVERY", "MAX_BAD_STEPS", "TENSORBOARD", "FIT_PROGRESS", "FRAME_RATE",
    "VIDEOS_FOLDER", "ENCODER", "MOTION", "CAMERAS",  # what is read are the features, and these are compared
)
LARGEST_WHOLE_NUMBER = 2**53 - 1  # up to here, JSON and double precision keep a whole number exactly


def with_settings(config: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """The plain configuration, with its values replaced by those settings that are not empty."""
    return {**config, **{key: value for key, value in settings.items() if value}}


def of_type_of(default: Any, value: Any, key: str) -> Any:
    """The value, converted to the plain type of its default (not a subclass), so that a checkpoint can hold it.

    A whole number is accepted for a float, and a list for a tuple. The items of a tuple have the type of the
    default's first item; if the default is empty, any plain type is accepted.

    Raises:
        ConfigError: it is of another type, a whole number of 2**53 or more, or text that UTF-8 can't encode.
    """
    if isinstance(default, tuple):
        if not isinstance(value, (tuple, list)):
            raise ConfigError(f"{key} is {shown(value)}; expected a tuple, as {default!r} is")
        return tuple(
            of_type_of(default[0] if default else _plain_type(item), item, f"{key}[{position}]")
            for position, item in enumerate(value)
        )
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"{key} is {shown(value)}; expected True or False")
        return value
    if isinstance(default, str):
        if not isinstance(value, str):
            raise ConfigError(f"{key} is {shown(value)}; expected text, as {default!r} is")
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ConfigError(f"{key} is {shown(value)}; expected text that can be written in UTF-8")
        return str(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and abs(value) > LARGEST_WHOLE_NUMBER:
        raise ConfigError(f"{key} is {shown(value)}; expected a number below 2**53")
    if isinstance(default, int):
        if not whole:
            raise ConfigError(f"{key} is {shown(value)}; expected a whole number, as {default!r} is")
        return int(value)
    if not whole and not isinstance(value, float):
        raise ConfigError(f"{key} is {shown(value)}; expected a number, as {default!r} is")
    return float(value)


def plain_value(value: Any, key: str) -> Any:
    """The value of a setting that has no default, as a plain type.

    Raises:
        ConfigError: it is not True or False, text, a finite number, or a tuple of them.
    """
    items = value if isinstance(value, (tuple, list)) else (value,)
    for item in items:
        plain = isinstance(item, (bool, int, str)) or (isinstance(item, float) and math.isfinite(item))
        if not plain:
            raise ConfigError(f"{key} is {shown(value)}; expected True or False, text, a finite number, or a tuple")
    return of_type_of(() if isinstance(value, (tuple, list)) else _plain_type(value), value, key)


def _plain_type(item: Any) -> bool | int | float | str:
    """A value of the item's plain type; text if the item has no plain type."""
    return next((kind() for kind in (bool, int, float) if isinstance(item, kind)), "")


class Settings(ConfigDict):
    """A `ConfigDict` in which assigning a dict to a group of settings merges instead of replacing.

    `CONFIG.PROGRESS_LOSS = {'enabled': True}` keeps the group's other defaults. Once locked, an unknown key raises
    a `ConfigError` that names it and the nearest known key; so does a value whose type is not that of the default.

    Example:
        >>> settings = Settings()
        >>> settings.GROUP = {"first": 1, "second": 2.0}
        >>> settings = settings.lock()
        >>> settings.GROUP = {"second": 3}
        >>> settings.GROUP.first, settings.GROUP.second
        (1, 3.0)
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if self.is_locked and key not in self:
            raise ConfigError(unknown_key_message(key, self.keys()))
        current = self.get(key)
        if isinstance(current, Settings):
            if not isinstance(value, (Mapping, ConfigDict)):
                raise ConfigError(f"{key} is {shown(value)}; expected a group of settings")
            for inner_key, inner_value in value.items():
                try:
                    current[inner_key] = inner_value
                except ConfigError as error:
                    raise ConfigError(_with_group(key, error)) from None
            return
        if isinstance(value, dict) and current is None:
            # Built key by key, so that the groups inside it merge too.
            group = Settings()
            for inner_key, inner_value in value.items():
                group[inner_key] = inner_value
            value = group
        elif current is not None and not isinstance(value, FieldReference):
            value = of_type_of(current, value, str(key))
        super().__setitem__(key, value)


def _with_group(group: str, error: ConfigError) -> str:
    message = str(error)
    return message if message.startswith("in ") else f"in {group}: {message}"
