"""The configuration type: an `ml_collections.ConfigDict` into which a partial dict merges."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict


def unknown_key_message(key: str, known: Iterable[str], prefix: str = "") -> str:
    """One line that names an unknown key and the nearest known one."""
    known = sorted(known)
    nearest = difflib.get_close_matches(key.upper(), [name.upper() for name in known], n=1, cutoff=0.5)
    matches = [name for name in known if nearest and name.upper() == nearest[0]]
    hint = f'did you mean "{prefix}{matches[0]}"?' if matches else f"known here: {', '.join(known)}"
    return f'unknown configuration key "{prefix}{key}"; {hint}'


class Settings(ConfigDict):
    """A `ConfigDict` in which assigning a dict to a group of settings merges instead of replacing.

    `CONFIG.PROGRESS_LOSS = {'enabled': True}` keeps the group's other defaults; once locked, an unknown key
    is refused by name with the nearest known one, and a value of another type than the default's is refused.

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
            raise KeyError(unknown_key_message(key, self.keys()))
        current = self.get(key)
        if isinstance(current, Settings):
            if not isinstance(value, (Mapping, ConfigDict)):
                raise TypeError(f'configuration key "{key}" is a group of settings, not {value!r}')
            for inner_key, inner_value in value.items():
                try:
                    current[inner_key] = inner_value
                except (KeyError, TypeError) as error:
                    raise type(error)(_with_group(key, error)) from None
            return
        if isinstance(value, dict):
            # Built key by key, so that the groups inside it merge too.
            group = Settings()
            for inner_key, inner_value in value.items():
                group[inner_key] = inner_value
            value = group
        if isinstance(current, tuple) and isinstance(value, list):
            value = tuple(value)
        super().__setitem__(key, value)


def _with_group(group: str, error: Exception) -> str:
    message = str(error.args[0] if error.args else error)
    return message if message.startswith("in ") else f"in {group}: {message}"
