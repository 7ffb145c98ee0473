"""Reads a file of numbers whose format has no rows to seek to: .npz, .pt, .csv and the like, Parquet, HDF5.

The whole array is read at once, unlike an .npy file's (`utils.data.npy_file`). Nothing in a file is executed: no
pickle is opened but by torch's `weights_only`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.npy_file import NpyFile, no_such_file, open_npy, stamp_of
from utils.errors import DataError, ProjectError, first_line, import_extra, nearest_name, shown

NPY = ".npy"
DEFAULT_KEY = "features"  # of several arrays in a file, if FEATURES_KEY names none
DELIMITERS = "\t;,"
_ROW_OF_NUMPY = re.compile(r"at row (\d+)")


@dataclass(frozen=True)
class LoadedArray:
    """An array that was read whole, with what an `NpyFile` offers.

    Attributes:
        path: the file.
        array: real numbers, contiguous.
        stamp: size in bytes and time of the last change (nanoseconds) of the file.
    """

    path: Path
    array: np.ndarray
    stamp: tuple[int, int]
    fortran_order = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes of the array."""
        return self.array.shape

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The axes of the array."""
        return self.array.shape

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Some rows: float32 (n, ...), contiguous and writable; values too large become infinite."""
        with np.errstate(over="ignore"):
            return self.array[indices].astype(np.float32)

    def rows(self, indices: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """All of some rows as one block; see `NpyFile.rows`."""
        if len(indices):
            yield slice(0, len(indices)), self.read(indices)


def open_array(path: Path, key: str = "") -> NpyFile | LoadedArray:
    """Opens a file of one of the formats in `SUFFIXES`.

    Args:
        path: the file; its suffix, in upper or lower case, says the format.
        key: which array of the file is meant, where it holds several (FEATURES_KEY).

    Raises:
        DataError: no such file, damaged, not of real numbers, or without the array that is meant.
        MissingExtraError: the library that reads its format isn't installed.
    """
    suffix = path.suffix.lower()
    if suffix == NPY or suffix not in READERS:
        return open_npy(path)
    try:
        if not os.path.isfile(path):
            raise DataError("is not a regular file" if os.path.exists(path) else no_such_file(path))
        stamp = stamp_of(path)
        array = np.asarray(READERS[suffix](path, key))
    except ProjectError:
        raise
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or first_line(error)})") from error
    except Exception as error:  # the libraries raise many types, depending on how the file is broken
        raise DataError(f"cannot be read as {suffix} ({first_line(error)[:300]})") from error
    if array.dtype.kind not in "fiu":
        raise DataError(f"cannot be read: it holds values of type {array.dtype}; expected real numbers")
    return LoadedArray(path, np.ascontiguousarray(array), stamp)


def named_file(folder: Path, name: str) -> Path:
    """The file of a recording: the first of `SUFFIXES` that is there, `<name>.npy` if none is."""
    paths = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if os.path.exists(path)), folder / f"{name}{NPY}")


def of_one_format(paths: Iterable[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files of the first of these suffixes that any of them has, without hidden ones, in order."""
    files = [path for path in sorted(paths) if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    present = {path.suffix.lower() for path in files if path.is_file()}
    suffix = next((suffix for suffix in suffixes if suffix in present), None)
    return [path for path in files if path.suffix.lower() == suffix and path.is_file()]


def _chosen(names: Sequence[str], key: str, what: str) -> str:
    """The array that is meant, of several."""
    if key:
        if key in names:
            return key
        nearest = nearest_name(key, names)
        hint = f"did you mean {nearest!r}?" if nearest else f"it has {shown(list(names))}"
        raise DataError(f"has no {what} {key!r} (FEATURES_KEY); {hint}")
    if len(names) == 1:
        return names[0]
    if DEFAULT_KEY in names:
        return DEFAULT_KEY
    raise DataError(
        f"holds {len(names)} {what}s, {shown(list(names))}; expected one, one called {DEFAULT_KEY!r}, or FEATURES_KEY "
        f"that names it"
    )


def _read_npz(path: Path, key: str) -> np.ndarray:
    archive = np.load(path, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise DataError("is one array, not an archive of them; expected the suffix .npy")
    with archive:
        return archive[_chosen(archive.files, key, "array")]


def _read_torch(path: Path, key: str) -> np.ndarray:
    import torch  # here, so that the help of commands that only read headers is instant

    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, dict):
        tensors = [name for name, value in content.items() if isinstance(name, str) and isinstance(value, torch.Tensor)]
        content = content[_chosen(tensors, key, "tensor")]
    if not isinstance(content, torch.Tensor) or content.layout != torch.strided:
        raise DataError(f"holds a {type(content).__name__}; expected a tensor, or a dict of tensors")
    content = content.detach().cpu()
    return (content.float() if content.dtype == torch.bfloat16 else content).numpy()


def _read_text(path: Path, key: str) -> np.ndarray:
    """Numbers, a frame a line, separated by white space, commas, semicolons or tabs; a header is skipped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("cannot be read as text in UTF-8") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise DataError("is empty; expected a frame a line")
    delimiter = next((mark for mark in DELIMITERS if mark in lines[0][1]), None)
    if not all(map(_is_number, lines[0][1].split(delimiter))) and len(lines) > 1:
        lines = lines[1:]
    try:
        return np.loadtxt(
            [line for _, line in lines], delimiter=delimiter, ndmin=2, comments=None, quotechar='"', dtype=np.float64
        )
    except ValueError as error:
        reason = first_line(error)
        if (row := _ROW_OF_NUMPY.search(reason)) is not None and int(row[1]) < len(lines):
            raise DataError(f"line {lines[int(row[1])][0]} is not a frame of numbers ({reason[:200]})") from error
        raise


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def _read_parquet(path: Path, key: str) -> np.ndarray:
    """The column of lists that is meant, or all columns, each of numbers."""
    parquet = import_extra("pyarrow.parquet", "formats", "a Parquet file")
    types = import_extra("pyarrow.types", "formats", "a Parquet file")
    compute = import_extra("pyarrow.compute", "formats", "a Parquet file")

    file = parquet.ParquetFile(path)
    fields = [field for field in file.schema_arrow if not field.name.startswith("__index_level_")]
    lists = [field.name for field in fields if types.is_list(field.type) or types.is_fixed_size_list(field.type)
             or types.is_large_list(field.type)]  # fmt: skip
    if key or lists:
        name = _chosen(lists if not key else [field.name for field in fields], key, "column")
        column = file.read([name])[name].combine_chunks()
        if name in lists:
            widths = compute.unique(compute.list_value_length(column))
            if len(widths) > 1 or column.null_count:
                raise DataError(f"the lists of column {name!r} have different lengths; expected one")
            return _without_nulls(column.flatten(), name).reshape(len(column), -1)
        return _without_nulls(column, name)[:, None]
    words = [field.name for field in fields
             if not (types.is_integer(field.type) or types.is_floating(field.type))]  # fmt: skip
    if words or not fields:
        raise DataError(f"the columns {shown(words)} are not of numbers; expected numbers only, or FEATURES_KEY")
    table = file.read([field.name for field in fields])
    return np.column_stack([_without_nulls(table[field.name].combine_chunks(), field.name) for field in fields])


def _without_nulls(values: Any, name: str) -> np.ndarray:
    if values.null_count:
        raise DataError(f"column {name!r} has {values.null_count} missing values; expected a number in each frame")
    return values.to_numpy(zero_copy_only=False)


def _read_hdf5(path: Path, key: str) -> np.ndarray:
    h5py = import_extra("h5py", "formats", "an HDF5 file")

    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        return file[_chosen(names, key, "data set")][()]


READERS: dict[str, Callable[[Path, str], np.ndarray]] = {
    ".npz": _read_npz,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".csv": _read_text,
    ".tsv": _read_text,
    ".txt": _read_text,
    ".parquet": _read_parquet,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
}
# In the order in which a recording's file is looked for.
SUFFIXES = (NPY, *READERS)
# Text in a folder may be anything, and so a .txt is only read where it is named.
SUFFIXES_IN_FOLDERS = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")
