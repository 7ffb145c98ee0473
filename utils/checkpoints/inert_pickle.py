"""Reads the pickle inside a `torch.save` archive as data: nothing in it is imported, called or executed.

A pickle is a program for a small stack machine, and `pickle.loads` runs whatever function it names. Here is
the machine alone, with the few instructions that `torch.save` (pickle protocol 2) writes for dicts, lists,
numbers, text and tensors. The names of mappings and of torch's tensor builder are known and stand for plain
dicts and for a description of the tensor; any other name or instruction is refused.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

# As pickletools prints them, module and name.
MAPPING_GLOBALS = ("collections OrderedDict", "easydict EasyDict")
TENSOR_GLOBAL = "torch._utils _rebuild_tensor_v2"
STORAGE_GLOBALS = {
    "torch DoubleStorage": torch.float64,
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}


class PickleError(ValueError):
    """The pickle is broken, or asks for what a checkpoint has no use for."""


class Storage(NamedTuple):
    """A run of numbers stored beside the pickle, under the name `key`."""

    dtype: torch.dtype
    key: str
    elements: int


class TensorRecord(NamedTuple):
    """A tensor that the pickle describes: where its numbers lie in which storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Name(str):
    """A global that the pickle mentions; never looked up."""

    __slots__ = ()


_MARK = object()


def read_pickle(content: bytes) -> Any:
    """Read a pickle into dicts, lists, tuples, text, numbers, None and `TensorRecord`s.

    Args:
        content: the pickle's bytes.

    Raises:
        PickleError: it is broken or truncated, or holds anything else.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(content)):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except PickleError:
        raise
    except Exception as error:  # pickletools raises several types, by how the pickle is broken
        raise PickleError(f"its pickle is broken ({str(error)[:200]})") from error
    raise PickleError("its pickle has no end")


class _Machine:
    def __init__(self):
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise PickleError("its pickle is broken (nothing on the stack)")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is _MARK:
                items = self.stack[position + 1 :]
                del self.stack[position:]
                return items
        raise PickleError("its pickle is broken (no mark on the stack)")

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in ("BINPUT", "LONG_BINPUT"):
            item = self.pop()
            self.memo[argument] = item
            self.stack.append(item)
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise PickleError("its pickle is broken (nothing remembered under that number)")
            self.stack.append(self.memo[argument])
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name != "PROTO":
            raise PickleError(f"its pickle has the instruction {name}, which a checkpoint has no use for")

    def global_name(self, argument: str) -> None:
        if argument not in (*MAPPING_GLOBALS, TENSOR_GLOBAL, *STORAGE_GLOBALS):
            named = argument.replace(" ", ".")[:100]
            raise PickleError(f"its pickle asks for {named}, which no checkpoint needs; nothing was run")
        self.stack.append(_Name(argument))

    def call(self, argument: None) -> None:
        """REDUCE and NEWOBJ: what the pickle wants to be called with which arguments."""
        arguments, function = self.pop(), self.pop()
        if isinstance(function, _Name) and function in MAPPING_GLOBALS and arguments == ():
            self.stack.append({})
        elif isinstance(function, _Name) and function == TENSOR_GLOBAL:
            self.stack.append(_tensor_record(arguments))
        else:
            raise PickleError("its pickle calls something that is not a tensor or a mapping; nothing was run")

    def storage(self, argument: None) -> None:
        match self.pop():
            case ("storage", _Name() as kind, str(key), str(), int(elements)) if kind in STORAGE_GLOBALS:
                self.stack.append(Storage(STORAGE_GLOBALS[kind], key, elements))
            case _:
                raise PickleError("its pickle refers to something that is not a storage of numbers")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, dict) or len(items) % 2:
            raise PickleError("its pickle is broken (items for something that is not a dict)")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Only these: the hash of a deeply nested tuple would exhaust the interpreter's stack.
            if type(key) not in (str, int):
                raise PickleError("its pickle has a dict with a key that is neither text nor a whole number")
            target[key] = value

    def extend(self, items: list[Any]) -> None:
        if not self.stack or not isinstance(self.stack[-1], list):
            raise PickleError("its pickle is broken (items for something that is not a list)")
        self.stack[-1].extend(items)

    def build(self, argument: None) -> None:
        """Attributes of the object below: an EasyDict repeats its items there, a state dict its versions."""
        self.pop()
        if not self.stack or not isinstance(self.stack[-1], dict):
            raise PickleError("its pickle sets attributes of something other than a mapping; nothing was set")

    def make_tuple(self, size: int) -> None:
        items = [self.pop() for _ in range(size)]
        self.stack.append(tuple(reversed(items)))


_VALUES = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"})
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": _Machine.global_name,
    "NEWOBJ": _Machine.call,
    "REDUCE": _Machine.call,
    "BINPERSID": _Machine.storage,
    "BUILD": _Machine.build,
    "SETITEM": lambda machine, _: machine.set_items([machine.pop() for _ in range(2)][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
}


def _tensor_record(arguments: Any) -> TensorRecord:
    if not isinstance(arguments, tuple) or len(arguments) < 4 or not isinstance(arguments[0], Storage):
        raise PickleError("its pickle describes a tensor in an unknown way")
    storage, offset, shape, strides = arguments[:4]
    whole = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 8
    if not whole or any(type(number) is not int or number < 0 for number in (offset, *shape, *strides)):
        raise PickleError("its pickle describes a tensor with a broken shape")
    return TensorRecord(storage, offset, shape, strides)
