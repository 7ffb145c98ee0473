"""Reads a JSON object without losing any of its content; errors say why a file cannot be read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from utils.errors import DataError, place, shown


def read_json_object(path: Path) -> dict[str, Any]:
    """The object a JSON file holds.

    Python's reader silently keeps the last of two equal keys. Here that is an error, because a whole task would be
    lost.

    Args:
        path: a UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: the file is missing, unreadable, not JSON, not an object, names a key twice, or holds text
            that is not valid Unicode (half of a surrogate pair), which can't be written to a file or terminal.
    """

    def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            (repeated, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise DataError(
                f"{place(path)}the key {shown(repeated)} occurs twice in one object; expected once"
            )
        return content

    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{place(path)}cannot be read as JSON (it is not a regular file)")
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text, object_pairs_hook=refuse_repeated_keys)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(content, ensure_ascii=False).encode()
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{place(path)}no such file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{place(path)}cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{place(path)}holds a {type(content).__name__}; expected a JSON object")
    return content
