"""Parquet files, by pyarrow, which is an extra."""

from __future__ import annotations

from types import ModuleType

from utils.errors import MissingExtraError


def load_pyarrow() -> ModuleType:
    """pyarrow, imported now.

    Raises:
        MissingExtraError: it isn't installed; says how to install it.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError('Parquet files need pyarrow: pip install ".[lerobot]"') from error
    return pyarrow
