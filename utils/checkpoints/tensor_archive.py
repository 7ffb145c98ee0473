"""The zip archive that `torch.save` writes, read without torch: every byte checked, nothing in it executed.

`torch.load` (2.13) verifies no checksum, so that a weight with a flipped bit loads as another number; and one flipped
bit in the archive's directory makes it hand over a tensor of whatever lay in memory. Here a checksum that doesn't
match, or a record of another length than its tensor's, is an error; and the pickle is read as data
(`utils.checkpoints.inert_pickle`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.checkpoints.inert_pickle import PickleError, Storage, TensorRecord, read_pickle
from utils.errors import CheckpointError, first_line

# In bytes; the numbers of tensors lie beside it, but the log of a run in it, 500 bytes an epoch.
LARGEST_PICKLE = 256 << 20


class TensorArchive:
    """An open archive, a context manager.

    Args:
        path: what `torch.save` wrote.
        largest_pickle: bytes; a larger one is refused.

    Attributes:
        pickle: the bytes of the pickle inside.
        size: the file's, in bytes.

    Raises:
        CheckpointError: no such archive, or a damaged one.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | Path, largest_pickle: int = LARGEST_PICKLE):
        self.path = path
        self._storages: dict[str, Tensor] = {}
        self.file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        try:
            with self._clear_errors():
                self.size = self.file.seek(0, 2)
                self.zip = zipfile.ZipFile(self.file)
                pickles = [name for name in self.zip.namelist() if name.endswith("/data.pkl")]
                if len(pickles) != 1:
                    raise CheckpointError(f"{path} is no checkpoint: {len(pickles)} data.pkl in it, not one")
                self.root = pickles[0].removesuffix("data.pkl")
                if self.root + "byteorder" in self.zip.namelist() and self._read("byteorder", 8) != b"little":
                    raise CheckpointError(f"{path} was written on a machine with another byte order")
                self.pickle = self._read("data.pkl", largest_pickle)
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> TensorArchive:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def content(self) -> Any:
        """Everything in the archive: dicts, lists, tuples, text, numbers, None, and tensors on the CPU.

        Tensors that shared their numbers when they were saved share them again.

        Raises:
            CheckpointError: it is damaged, or holds anything else.
        """
        try:
            return self._with_tensors(read_pickle(self.pickle), {})
        except PickleError as error:
            raise CheckpointError(f"{self.path} is not a readable checkpoint: {error}") from error
        except RecursionError as error:
            raise CheckpointError(f"{self.path} is not a readable checkpoint: nested too deeply") from error

    def tensor(self, record: TensorRecord, name: str) -> Tensor:
        """A tensor that the pickle describes, a view of its storage.

        Args:
            record: its description.
            name: of what, for the message.

        Raises:
            CheckpointError: it reaches beyond the numbers stored for it.
        """
        numbers = self._numbers(record.storage, name)
        steps = zip(record.shape, record.strides, strict=True)
        last = record.offset + sum((size - 1) * stride for size, stride in steps)
        beyond = record.offset > len(numbers) if 0 in record.shape else last >= len(numbers)
        if beyond:
            raise CheckpointError(f"{self.path}: {name} reaches beyond the numbers stored for it")
        with self._clear_errors():
            return numbers.as_strided(record.shape, record.strides, record.offset)

    def _with_tensors(self, value: Any, done: dict[int, Any]) -> Any:
        """The value with each description of a tensor replaced by the tensor."""
        if isinstance(value, TensorRecord):
            return self.tensor(value, "a tensor in it")
        if isinstance(value, Storage):
            raise PickleError("its pickle holds a storage outside of any tensor")
        if not isinstance(value, (dict, list, tuple)):
            return value
        # A pickle may name one list in two places, or inside itself; and tuples of twice the same tuple, each time
        # one level deeper, would take for ever.
        if id(value) in done:
            return done[id(value)]
        if isinstance(value, tuple):
            done[id(value)] = tuple(self._with_tensors(item, done) for item in value)
            return done[id(value)]
        done[id(value)] = value
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            value[key] = self._with_tensors(item, done)
        return value

    def _numbers(self, storage: Storage, name: str) -> Tensor:
        """All numbers of a storage, one axis."""
        if storage.key not in self._storages:
            with self._clear_errors():
                content = self._read(f"data/{storage.key}", self.size)
            if len(content) % storage.dtype.itemsize:
                raise CheckpointError(f"{self.path}: {name} reaches beyond the numbers stored for it")
            empty = torch.empty(0, dtype=storage.dtype)
            numbers = torch.frombuffer(bytearray(content), dtype=storage.dtype) if content else empty
            self._storages[storage.key] = numbers
        numbers = self._storages[storage.key]
        if len(numbers) != storage.elements or numbers.dtype != storage.dtype:
            raise CheckpointError(f"{self.path}: {name} reaches beyond the numbers stored for it")
        return numbers

    def _read(self, name: str, most_bytes: int) -> bytes:
        entry = self.zip.getinfo(self.root + name)
        # torch.save never compresses, so that no entry is larger than the file.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > most_bytes:
            raise CheckpointError(f"{self.path}: {name} in it is compressed or too large for a checkpoint")
        return self.zip.read(entry)  # which verifies the checksum

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except CheckpointError:
            raise
        except Exception as error:  # zipfile raises a dozen types, by how the archive is broken
            raise CheckpointError(f"{self.path} is truncated or no checkpoint: {first_line(error)}") from error
