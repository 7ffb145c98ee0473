"""Typed look-ups in a plain configuration; every error names the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.validation import LARGEST_SIZE
from utils.errors import ConfigError, shown

_REQUIRED = object()


class TypedSettings:
    """A configuration, or one group of it.

    Args:
        config: the whole configuration.
        group: dotted key of the group that the look-ups count from; '' for the whole.

    Raises:
        ConfigError: by every look-up, where the setting is missing and has no default, or is of another type.
    """

    def __init__(self, config: Mapping[str, Any], group: str = ""):
        self._config, self._prefix = config, f"{group}." if group else ""

    def group(self, name: str) -> TypedSettings:
        """One group of these settings."""
        return TypedSettings(self._config, self._prefix + name)

    def size(self, key: str, default: Any = _REQUIRED, least: int = 1, none_as: int | None = None) -> int:
        """A whole number from `least` to LARGEST_SIZE; None is read as `none_as`."""
        value = self._look_up(key, default)
        value = none_as if value is None else value
        check_size(self._prefix + key, value, least)
        return value

    def sizes(self, key: str, default: Any = _REQUIRED) -> tuple[int, ...]:
        """Widths of layers, possibly none."""
        value = self._look_up(key, default)
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{self._prefix}{key} is {shown(value)}, expected a list of layer widths")
        for position, width in enumerate(value):
            check_size(f"{self._prefix}{key}[{position}]", width)
        return tuple(value)

    def number(self, key: str, default: Any = _REQUIRED) -> float:
        """A number."""
        value = self._look_up(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"{self._prefix}{key} is {shown(value)}, expected a number")
        return float(value)

    def switch(self, key: str, default: Any = _REQUIRED) -> bool:
        """True or False."""
        value = self._look_up(key, default)
        if not isinstance(value, bool):
            raise ConfigError(f"{self._prefix}{key} is {shown(value)}, expected True or False")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: Any = _REQUIRED) -> str:
        """One of several names."""
        value = self._look_up(key, default)
        if not isinstance(value, str) or value not in choices:
            raise ConfigError(f"{self._prefix}{key} is {shown(value)}, expected one of {', '.join(choices)}")
        return value

    def _look_up(self, key: str, default: Any) -> Any:
        value: Any = self._config
        key = self._prefix + key
        for part in key.split("."):
            if not hasattr(value, "keys"):
                raise ConfigError(f"{key} is missing from the configuration: {part!r} isn't in a group")
            if part not in value:
                if default is _REQUIRED:
                    raise ConfigError(f"{key} is missing from the configuration")
                return default
            value = value[part]
        return value


def check_size(key: str, value: Any, least: int = 1) -> None:
    """Checks that a value is a whole number from `least` to LARGEST_SIZE.

    Raises:
        ConfigError: naming the key.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_SIZE:
        raise ConfigError(f"{key} is {shown(value)}, expected a whole number from {least} to {LARGEST_SIZE}")
