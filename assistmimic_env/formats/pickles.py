"""Plain pickles and joblib files from strangers, interpreted without running them.

A pickle is a program. Here it is read instruction by instruction (`pickletools`): instructions that build plain values
are carried out, names are looked up in `pickled_objects.CALLS`, and everything else is refused. Nothing is imported,
so neither joblib nor torch is needed.
"""

from __future__ import annotations

import io
import os
import pickletools
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import AssistMimicError, ClipError, UntrustedFileError
from .pickled_objects import CALLS, NAMES, Draft, Name

MAX_BYTES = 2**30
"""Largest file, unpacked."""
MAX_RATIO = 200
"""How far a compressed file may inflate."""

_SMALL = 2**20
_MAX_DEPTH = 2
"""Pickles inside a pickle: a tensor's storage is one."""

_COMPRESSED = (b"\x78", b"\x1f\x8b")  # zlib, gzip
_OTHER_PACKERS = {b"BZh": "bz2", b"\xfd7zXZ": "xz", b"\x5d\x00": "lzma", b"\x04\x22\x4d\x18": "lz4"}
_KEYS = (str, int, bytes)
_DAMAGE = (
    ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, EOFError, MemoryError, RecursionError,
    struct.error,
)  # fmt: skip


def read_pickle(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Any:
    """Read a pickle or a joblib file (plain, zlib or gzip).

    Args:
        path: The file.
        max_bytes: Largest size, unpacked.

    Returns:
        Dictionaries, lists, tuples, strings, bytes, numbers, None, and read-only arrays; a torch tensor is an array.

    Raises:
        UntrustedFileError: The file asks for more than these, or is larger than it may be.
        ClipError: The file is missing, truncated or damaged.
    """
    path = Path(path)
    data = _unpacked(path, max_bytes)
    try:
        return _Reader(str(path), data).value()
    except AssistMimicError:
        raise
    except _DAMAGE as error:
        raise ClipError(
            f"{path}: not a readable pickle ({str(error)[:200]}). It looks damaged; fetch or write it again."
        ) from error


def _unpacked(path: Path, max_bytes: int) -> bytes:
    """The pickle's bytes."""
    if not path.is_file():
        raise ClipError(f"{path}: no such file. Give the path of a pickle or joblib file.")
    size = path.stat().st_size
    if size > max_bytes:
        raise UntrustedFileError(f"{path}: {size} bytes, at most {max_bytes} are accepted.")
    data = path.read_bytes()
    for magic, packer in _OTHER_PACKERS.items():
        if data.startswith(magic):
            raise ClipError(f"{path}: is compressed with {packer}. Write it again with zlib: joblib.dump(compress=3).")
    return _inflated(path, data, max_bytes) if data.startswith(_COMPRESSED) else data


def _inflated(path: Path, data: bytes, max_bytes: int) -> bytes:
    limit = min(max_bytes, max(MAX_RATIO * len(data), _SMALL))
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(data, limit)
    except zlib.error as error:
        raise ClipError(f"{path}: not readable ({error}). It looks damaged; fetch or write it again.") from error
    if not unpacker.eof:
        if len(plain) < limit:
            raise ClipError(f"{path}: ends too early. It looks truncated; fetch or write it again.")
        raise UntrustedFileError(f"{path}: inflates to more than {limit} bytes. Store it uncompressed.")
    return plain


class _Reader:
    """One pass over a pickle: a stack of values, marks on it, and a memo."""

    def __init__(self, where: str, data: bytes, depth: int = 0) -> None:
        self.data = data
        self.stream = io.BytesIO(data)
        self._where, self._depth = where, depth
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def nested(self, data: bytes) -> _Reader:
        """Another reader under the same rules, at the start of some bytes."""
        if self._depth + 1 >= _MAX_DEPTH or not isinstance(data, bytes):
            raise UntrustedFileError(f"{self._where}: pickles inside pickles inside pickles are not accepted.")
        return _Reader(self._where, data, self._depth + 1)

    def value(self) -> Any:
        """Read the pickle at the current position; the position is behind it afterwards."""
        self._stack, self._marks, self._memo = [], [], {}
        for operation, argument, _ in pickletools.genops(self.stream):
            if operation.name == "STOP":
                break
            self._step(operation.name, argument)
        return self._stack.pop()

    def _step(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in _IGNORED:
            raise UntrustedFileError(
                f"{self._where}: uses the pickle instruction {name} and was not loaded. "
                "Only plain values and arrays are accepted."
            )

    def _above_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _last(self, count: int) -> list[Any]:
        if count > len(self._stack):
            raise IndexError("an instruction finds too few values")
        values = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return values

    def mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def collect(self, kind: Callable[[list[Any]], Any]) -> None:
        self._stack.append(kind(self._above_mark()))

    def tuple_of(self, count: int) -> None:
        self._stack.append(tuple(self._last(count)))

    def extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise TypeError("values are appended to something else than a list")
        target.extend(values)

    def update(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise TypeError("items are put into something else than a dictionary")
        target.update(_pairs(values))

    def remember(self, slot: int | None) -> None:
        slot = len(self._memo) if slot is None else slot
        self._memo[slot] = self._stack[-1]
        if isinstance(self._stack[-1], Draft):
            self._stack[-1].slots.append(slot)

    def recall(self, slot: int) -> None:
        self._stack.append(self._memo[slot])

    def refer(self, name: str) -> None:
        if name not in NAMES:
            raise UntrustedFileError(
                f"{self._where}: refers to {name[:80]} and was not loaded. Only plain values and arrays are accepted."
            )
        self._stack.append(Name(name))

    def refer_by_stack(self, _: Any) -> None:
        module, name = self._last(2)
        self.refer(f"{module}.{name}")

    def call(self, _: Any) -> None:
        name, arguments = self._last(2)
        if not isinstance(name, Name) or name.text not in CALLS:
            raise TypeError("a value is called that is no function")
        self._stack.append(CALLS[name.text](self, *arguments))

    def build(self, _: Any) -> None:
        draft, state = self._last(2)
        if not isinstance(draft, Draft):
            raise TypeError("a value is given a state that has none")
        value = draft.finish(self, state)
        self._memo.update(dict.fromkeys(draft.slots, value))
        self._stack.append(value)

    def description(self, _: Any) -> None:
        """A reference to what the pickle does not hold: torch puts the description of a storage there."""
        if self._depth == 0:
            raise UntrustedFileError(f"{self._where}: refers to data outside of itself and was not loaded.")


def _pairs(values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    if not all(isinstance(key, _KEYS) for key in keys):
        raise TypeError("a dictionary has keys other than text and numbers")
    return dict(zip(keys, values[1::2], strict=True))


_PUSHED = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
        "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "SHORT_BINSTRING", "BINSTRING",
        "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
    }
)  # fmt: skip
_IGNORED = frozenset({"PROTO", "FRAME"})
_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
}  # fmt: skip
_ACTIONS: Mapping[str, Callable[[_Reader, Any], None]] = {
    "MARK": _Reader.mark,
    "TUPLE": lambda reader, _: reader.collect(tuple),
    "LIST": lambda reader, _: reader.collect(list),
    "DICT": lambda reader, _: reader.collect(_pairs),
    "TUPLE1": lambda reader, _: reader.tuple_of(1),
    "TUPLE2": lambda reader, _: reader.tuple_of(2),
    "TUPLE3": lambda reader, _: reader.tuple_of(3),
    "APPEND": lambda reader, _: reader.extend(reader._last(1)),
    "APPENDS": lambda reader, _: reader.extend(reader._above_mark()),
    "SETITEM": lambda reader, _: reader.update(reader._last(2)),
    "SETITEMS": lambda reader, _: reader.update(reader._above_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Reader.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Reader.recall),
    "GLOBAL": lambda reader, name: reader.refer(name.replace(" ", ".")),
    "STACK_GLOBAL": _Reader.refer_by_stack,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Reader.call),
    "BUILD": _Reader.build,
    "BINPERSID": _Reader.description,
}
