"""Checks the type of a value from a file or a user. In Python True equals 1; here it is not a number."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def is_whole(value: Any, least: float = 0, most: float = 2**63 - 1) -> bool:
    """Whether it is a whole number (not True or False) from `least` to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: Any) -> bool:
    """Whether it is a number (not True or False); it may be infinite or NaN."""
    return isinstance(value, float) or is_whole(value, -(2**63))


def digest_of(content: Any) -> str:
    """SHA-256 of plain values, whatever the order of a dict's keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
