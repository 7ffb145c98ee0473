"""Reads files of `torch.save`: every byte is checked first, and nothing in the file is executed.

`torch.load` (2.13) verifies no checksum: a weight with a flipped bit is loaded as another number. So `zipfile`, which
compares every checksum, reads the archive, and torch gets a new archive of the entries that passed. `weights_only`
prevents that a file runs code. But a few bytes could still crash Python or fill the memory (a dict's key of nested
tuples, a call of `bytearray`). So the instructions of the pickle are checked before it is loaded.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from utils.errors import CheckpointError, first_line, shown

# Bytes of the pickle. It holds the log of a run (500 bytes per epoch), but not the numbers of the tensors.
LARGEST_PICKLE = 256 << 20
# Far larger than any checkpoint of the original code.
LARGEST_ORIGINAL_PICKLE = 4 << 20
DEEPEST = 100  # levels of nested dicts, lists and tuples
LARGEST_TUPLE = 1 << 24  # values; a tuple that occurs in it several times is counted each time

# What a checkpoint's pickle may name, as pickletools prints it: module and name.
ORIGINAL_CONFIG = "easydict EasyDict"
DTYPES = {
    torch.float64: "Double", torch.float32: "Float", torch.float16: "Half", torch.bfloat16: "BFloat16",
    torch.int64: "Long", torch.int32: "Int", torch.int16: "Short", torch.int8: "Char", torch.uint8: "Byte",
    torch.bool: "Bool",
}  # fmt: skip
KNOWN_NAMES = {
    "collections OrderedDict", ORIGINAL_CONFIG, "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in DTYPES.values()),
}  # fmt: skip


class Archive(NamedTuple):
    """What was read from a file.

    Attributes:
        content: dicts, lists, tuples, text, numbers, None, and tensors on the CPU. Tensors that shared their numbers
            when they were saved share them again.
        of_original_code: its pickle names `easydict.EasyDict`, as those of the original code do.
    """

    content: Any
    of_original_code: bool


def read_archive(path: str | Path) -> Archive:
    """Reads a file that `torch.save` wrote.

    Raises:
        CheckpointError: the file is truncated or damaged, or holds anything but plain values and tensors.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        whole = file.read()
    try:
        archive, pickled = _checked_archive(whole, path)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile raises many types, depending on how the archive is broken
        raise CheckpointError(f"{path} is truncated or no checkpoint: {first_line(error)}") from error
    del whole  # the new archive holds the same bytes
    try:
        names = _names_in(pickled, path)
        # The original's configuration is read as if it were an ordered dict.
        with torch.serialization.safe_globals([(OrderedDict, ORIGINAL_CONFIG.replace(" ", "."))]):
            content = torch.load(archive, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # its type depends on how the pickle or a tensor in it is broken
        problem = {
            pickle.UnpicklingError: "it holds something else than plain values and tensors",
            RuntimeError: f"a tensor in it does not fit the numbers stored for it ({first_line(error)[:200]})",
        }.get(type(error), f"its pickle is broken ({first_line(error)[:200]})")
        raise CheckpointError(f"{path} is not a readable checkpoint: {problem}") from error
    return Archive(plain_values(content, path), ORIGINAL_CONFIG in names)


def plain_values(content: Any, path: str | Path) -> Any:
    """Converts the content to plain dicts, lists, tuples, text, numbers, None and tensors: only these can be read back.

    Raises:
        CheckpointError: naming the file and the entry that is something else.
    """
    done: dict[int, Any] = {}

    def plain(value: Any, place: str, depth: int = 0) -> Any:
        kind = type(value)
        if value is None or kind in (str, int, float, bool):
            return value
        if kind is Tensor and _is_ordinary(value):
            return value.detach()
        if kind not in (dict, OrderedDict, list, tuple):
            raise CheckpointError(
                f"{path}: {place or 'the content'} is {shown(value)}, of type {kind.__module__}.{kind.__qualname__}; a "
                f"checkpoint holds only dicts, lists, tuples, text, numbers, None and ordinary tensors"
            )
        if depth > DEEPEST:
            raise CheckpointError(f"{path} is not a readable checkpoint: {place[:100]} is nested too deeply")
        # Each object is checked once, even if it occurs many times: nested tuples that each hold the same tuple
        # twice would take exponential time.
        if id(value) not in done:
            if kind in (list, tuple):
                done[id(value)] = kind(
                    plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)
                )
            else:
                if odd := [key for key in dict.keys(value) if type(key) not in (str, int)]:
                    raise CheckpointError(
                        f"{path}: {place or 'the content'} has the key {shown(odd[0])}; expected text or a whole number"
                    )
                done[id(value)] = {
                    key: plain(item, f"{place}.{key}" if place else str(key), depth + 1)
                    for key, item in dict.items(value)
                }
        return done[id(value)]

    return plain(content, "")


def _is_ordinary(tensor: Tensor) -> bool:
    """Whether torch stores it by its numbers alone."""
    return (
        tensor.layout == torch.strided and tensor.dtype in DTYPES
        and not (tensor.is_meta or tensor.is_neg() or tensor.__dict__)
    )


def _checked_archive(whole: bytes, path: str | Path) -> tuple[io.BytesIO, bytes]:
    """A new archive of the same entries, each with its checksum verified, and the bytes of its pickle."""
    with zipfile.ZipFile(io.BytesIO(whole)) as source:
        entries = source.infolist()
        names = [entry.filename for entry in entries]
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(f"{path} is no checkpoint: {len(pickles)} data.pkl in it, not one")
        # torch.save never compresses, so the entries together must be smaller than the file.
        compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        if compressed or sum(entry.file_size for entry in entries) > len(whole) or len(set(names)) < len(names):
            raise CheckpointError(f"{path} is no checkpoint: entries in it are compressed, too large or there twice")
        order = pickles[0].removesuffix("data.pkl") + "byteorder"
        if order in names and source.read(order) != b"little":
            raise CheckpointError(f"{path} was written on a machine with another byte order")
        pickled = source.read(pickles[0])
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as target:
            for name in names:
                target.writestr(zipfile.ZipInfo(name), source.read(name))
    archive.seek(0)
    most = LARGEST_ORIGINAL_PICKLE if b"ceasydict\nEasyDict\n" in pickled else LARGEST_PICKLE
    if len(pickled) > most:
        raise CheckpointError(f"{path} is no checkpoint: the pickle in it has {len(pickled)} bytes, more than {most}")
    return archive, pickled


def _names_in(pickled: bytes, path: str | Path) -> set[str]:
    """The names that a pickle imports, found by reading its instructions without executing them.

    For each value, the stack holds only the number of values in it and its levels of tuples. Both matter because keys
    of a dict are hashed: the time grows with the size of the tuple written out in full, and each level of tuples takes
    one level of the C stack.

    Raises:
        CheckpointError: a name that no checkpoint needs, a call of anything but a name, or such a tuple.
    """

    def refuse(problem: str) -> NoReturn:
        raise CheckpointError(f"{path} is not a readable checkpoint: {problem}")

    names: set[str] = set()
    stack: list[tuple[int, int]] = []
    marks: list[int] = []
    memo: dict[int, tuple[int, int]] = {}
    called, single = (0, 0), (1, 0)
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            before = opcode.stack_before
            marked = pickletools.markobject in before
            first = marks.pop() - before.index(pickletools.markobject) if marked else len(stack) - len(before)
            taken, stack[first:] = stack[first:], []
            made = single
            if opcode.name == "GLOBAL":
                if argument not in KNOWN_NAMES:
                    named = argument.replace(" ", ".")[:100]
                    refuse(f"its pickle asks for {named}, which no checkpoint needs; nothing was run")
                names.add(argument)
                made = called
            elif opcode.name == "PROTO" and argument != 2:
                refuse(f"its pickle is of protocol {argument}; torch.save writes protocol 2")
            elif opcode.name in ("REDUCE", "NEWOBJ") and taken[0] != called:
                refuse("its pickle calls something that is not a tensor or a mapping; nothing was run")
            elif opcode.name.startswith("TUPLE"):
                made = (1 + sum(count for count, _ in taken), 1 + max((depth for _, depth in taken), default=0))
                if made[0] > LARGEST_TUPLE or made[1] > DEEPEST:
                    refuse("a tuple in it is too large or nested too deeply")
            stack += [made] * len(opcode.stack_after)
    return names
