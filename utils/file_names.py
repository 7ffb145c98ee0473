"""File names made of names that may hold anything."""

from __future__ import annotations

import hashlib
import re

LONGEST = 60  # bytes a part; a file name holds up to three of them, and file systems end at 255
DIGEST = 12


def safe_name(*parts: str) -> str:
    """A file name of several names, without a suffix; different parts never share one.

    The parts are joined by '+'. In each, everything but letters, digits, '.', '-' and '_' becomes '-', and a long
    one is cut off; what was changed ends in '~' and a digest of what it was.
    """
    return "+".join(map(_safe, parts))


def _safe(text: str) -> str:
    clean = re.sub(r"[^\w.-]+", "-", text)
    if clean == text and len(text.encode()) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:DIGEST]
    return f"{clean.encode()[: LONGEST - DIGEST - 1].decode(errors='ignore')}~{digest}"
