"""Files: names that any file system accepts, and writing such that no reader ever sees a half-written file."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_PART = 60  # bytes per part; a file name has up to three parts, and file systems allow 255 bytes
DIGEST_LENGTH = 12


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an exception.

    The temporary file is in the same folder, because a rename is atomic only within one file system. It keeps the
    suffix of `path`, because matplotlib and NumPy choose their format by it. Missing folders are created. If the
    block raises, `path` keeps its old content and the temporary file is removed. The content is flushed to the disk
    before the rename, so that a power cut can't leave an empty file under this name.

    Args:
        path: the file to write or replace.

    Yields:
        The path to write to.

    Raises:
        OSError: naming `path`, if it cannot be written: a full disk, no permission.

    Example:
        >>> with atomic_write('run/notes.txt') as temporary:    # doctest: +SKIP
        ...     temporary.write_text('written whole or not at all')
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile.mkstemp, because only the owner may read its files. A name that no other process uses is enough.
    # A file name may have at most 255 bytes.
    stem = os.fsdecode(os.fsencode(path.stem)[:150])
    temporary = path.with_name(f".{stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        number, reason = error.errno, error.strerror
        if number is None:  # raised by a picture library; a test write shows whether the disk is full
            number = errno.ENOSPC if _is_full(path.parent) else errno.EIO
            reason = os.strerror(number) if number == errno.ENOSPC else str(error)
        raise OSError(number, f"cannot write {path}: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _is_full(folder: Path) -> bool:
    """Whether the disk is full: a test file in the folder can't grow by one block."""
    probe = folder / f".probe-{uuid.uuid4().hex}"
    try:
        with open(probe, "wb") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    finally:
        probe.unlink(missing_ok=True)
    return False


def remove_stale_temporaries(folders: Iterable[str | os.PathLike], stems: str) -> list[Path]:
    """Removes the temporary files of `atomic_write` whose process was killed, and returns their paths.

    Args:
        folders: where to look; folders inside them are not searched.
        stems: a regular expression for the names, without suffix, of files that no running process is writing.
    """
    pattern = re.compile(rf"\.({stems})-[0-9a-f]{{32}}(\.\w+)?")
    stale = [path for folder in folders for path in Path(folder).glob(".*") if pattern.fullmatch(path.name)]
    for path in stale:
        path.unlink()
    return stale


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8) to `path` in one step."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write plain Python content as indented JSON to `path` in one step.

    NaN and infinities are refused (ValueError): they aren't JSON. A value that doesn't exist should be written as null
    together with the reason.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(
    path: str | os.PathLike, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> None:
    """Write `rows` as a CSV file with a header to `path` in one step.

    Args:
        path: the file to write or replace.
        rows: one mapping per line; a missing or None value becomes an empty cell.
        columns: order of the columns; by default every key, in the order of first appearance.

    Raises:
        ValueError: a row has a key that isn't among the given columns.
    """
    rows = list(rows)
    if columns is None:
        columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def safe_name(*parts: str) -> str:
    """One file name made of several names, without a suffix; different parts never give the same file name.

    The parts are joined by '+'. In each part, everything but letters, digits, '.', '-' and '_' becomes '-', and a long
    part is cut off. A part that was changed ends in '~' and a digest of the original.
    """
    return "+".join(map(_safe, parts))


def _safe(text: str) -> str:
    clean = re.sub(r"[^\w.-]+", "-", text)
    if clean == text and len(text.encode()) <= LONGEST_PART:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:DIGEST_LENGTH]
    return f"{clean.encode()[: LONGEST_PART - DIGEST_LENGTH - 1].decode(errors='ignore')}~{digest}"
