"""Features from a LeRobot data set: one column of its frames, such as observation.state, one file per episode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.annotation.readers.lerobot import episode_name
from utils.errors import DataError, import_extra, place
from utils.files import atomic_write


def write_features(source: Path, folder: Path, column: str) -> list[Path]:
    """Writes `<episode>.npy`, (T, D) float32, of each episode.

    Args:
        source: the data set, which holds data/**/*.parquet.
        folder: folder to write to.
        column: the column to write; one number or a list of numbers per frame.

    Raises:
        DataError: no such column, or not numbers; names the file.
        MissingExtraError: pyarrow isn't installed.
    """
    paths = []
    for number, features in episode_features(source, column):
        paths.append(folder / f"{episode_name(number)}.npy")
        with atomic_write(paths[-1]) as temporary:
            np.save(temporary, features)
    return paths


def episode_features(source: Path, column: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the number and the (T, D) features of each episode; one file is in memory at a time."""
    pyarrow = import_extra("pyarrow", "lerobot", "LeRobot")
    parquet = import_extra("pyarrow.parquet", "lerobot", "LeRobot")

    paths = sorted((source / "data").rglob("*.parquet"))
    if not paths:
        raise DataError(f"{place(source / 'data')}holds no .parquet file")
    current: int | None = None
    parts: list[np.ndarray] = []
    for path in paths:
        try:
            file = parquet.ParquetFile(path)
            missing = [name for name in ("episode_index", column) if name not in file.schema_arrow.names]
            if missing:
                raise DataError(f"has no column {missing[0]!r}; it has {', '.join(file.schema_arrow.names)}")
            table = file.read(["episode_index", column])
            episodes = table["episode_index"].to_numpy()
            values = np.array(table[column].to_pylist(), np.float32).reshape(len(episodes), -1)
        except (DataError, OSError, ValueError, TypeError, pyarrow.ArrowException) as error:
            raise DataError(f"{place(path)}{error}") from error
        cuts = np.flatnonzero(np.diff(episodes)) + 1
        for first, stop in zip([0, *cuts], [*cuts, len(episodes)], strict=True):
            if first == stop:
                continue
            if current is not None and int(episodes[first]) != current:
                yield current, np.concatenate(parts)
                parts = []
            current = int(episodes[first])
            parts.append(values[first:stop])
    if current is not None:
        yield current, np.concatenate(parts)
