"""Where the real recordings are: the one place that looks for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def data_root() -> Path:
    """The folder of the data sets: the environment variable ALIGNMENT_DATA, else ../shared/data."""
    return Path(os.environ.get("ALIGNMENT_DATA") or REPOSITORY.parent / "shared" / "data")


def real_data(name: str) -> Path:
    """The folder of one real data set; skips the test where it is absent."""
    folder = data_root() / name
    if not (folder / f"{name}.json").is_file():
        pytest.skip(f"the real recordings {name!r} are not under {data_root()} (set ALIGNMENT_DATA)")
    return folder
