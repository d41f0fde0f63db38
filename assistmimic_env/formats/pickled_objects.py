"""What a motion pickle may build besides plain values: NumPy arrays, joblib's arrays and torch's tensors.

Nothing is imported or called by name: `pickles` looks the names up in `CALLS`, whose functions know the published
layouts. Arrays are read-only views into the file's bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_PLAIN = re.compile(r"[<>|=]?[biufSU]\d{1,5}", re.ASCII)
_ORDERS = ("<", ">", "=", "|")
_LENGTH = 8
"""Bytes of the count in front of a torch storage."""

_MAGIC = 0x1950A86A20F9469CFC6C
"""First value of torch's file format before zip files."""

_STORAGES = {
    "torch.DoubleStorage": "<f8", "torch.FloatStorage": "<f4", "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8", "torch.IntStorage": "<i4", "torch.ShortStorage": "<i2",
    "torch.CharStorage": "i1", "torch.ByteStorage": "u1", "torch.BoolStorage": "b1",
}  # fmt: skip


class Source(Protocol):
    """The pickle that is being read, as far as objects need it."""

    data: bytes
    """The whole file."""
    stream: io.BytesIO
    """The same, at the next unread byte."""

    def nested(self, data: bytes) -> Source:
        """Another reader under the same rules, at the start of some bytes."""
        ...

    def value(self) -> Any:
        """Read the pickle at the current position."""
        ...


class Draft:
    """An object whose state follows it in the pickle."""

    def __init__(self) -> None:
        self.slots: list[int] = []
        """Where the pickle remembers it."""

    def finish(self, source: Source, state: Any) -> Any:
        """The object, from its state."""
        raise NotImplementedError


@dataclass(frozen=True)
class Name:
    """An allowed name that the pickle refers to."""

    text: str


class _Dtype(Draft):
    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def finish(self, source: Source, state: Any) -> np.dtype[Any]:
        """Set the byte order, the second part of the state; named fields stand third to fifth."""
        order, subtype, names, fields = state[1:5]
        if order not in _ORDERS or (subtype, names, fields) != (None, None, None):
            raise ValueError("an array has fields, expected plain numbers or text")
        return np.dtype(self.code).newbyteorder(order)


class _Array(Draft):
    def finish(self, source: Source, state: Any) -> NDArray[Any]:
        """Version, shape, type, whether columns come first, bytes."""
        _, shape, dtype, fortran, data = state
        return _shaped(_bytes(data), dtype, shape, "F" if fortran else "C")


class _Wrapper(Draft):
    """joblib's array: its bytes stand behind its state, after padding that says its own length."""

    def finish(self, source: Source, state: Any) -> NDArray[Any]:
        """Take the bytes from the file."""
        dtype, shape = _plain(state["dtype"]), tuple(state["shape"])
        if state.get("numpy_array_alignment_bytes") is not None:
            source.stream.seek(source.stream.read(1)[0], io.SEEK_CUR)
        start, size = source.stream.tell(), math.prod(shape) * dtype.itemsize
        source.stream.seek(start + size)
        return _shaped(memoryview(source.data)[start : start + size], dtype, shape, state["order"])


def _plain(dtype: Any) -> np.dtype[Any]:
    if isinstance(dtype, _Dtype):
        return np.dtype(dtype.code)
    if not isinstance(dtype, np.dtype):
        raise ValueError(f"an array's type is a {type(dtype).__name__}")
    return dtype


def _bytes(data: Any) -> bytes | bytearray:
    return data.encode("latin-1") if isinstance(data, str) else data


def _shaped(data: bytes | bytearray | memoryview, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
    dtype, shape = _plain(dtype), tuple(shape)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} and type {dtype} does not fill {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


def _dtype(source: Source, code: Any, *_: Any) -> _Dtype:
    if not isinstance(code, str) or not _PLAIN.fullmatch(code):
        raise ValueError(f"an array holds objects of type {str(code)[:20]!r}, expected plain numbers or text")
    return _Dtype(code)


def _scalar(source: Source, dtype: Any, data: Any) -> Any:
    return _shaped(_bytes(data), dtype, (), "C")[()]


def _encoded(source: Source, text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {encoding!r:.20}, expected latin1")
    return text.encode("latin-1")


def _storage(source: Source, data: bytes) -> NDArray[Any]:
    """Torch's old file format: magic, version, system, one storage's description, its key; then count and bytes."""
    inner = source.nested(data)
    magic, _, _, description, _ = (inner.value() for _ in range(5))
    if magic != _MAGIC:
        raise ValueError("a tensor is not in torch's storage format")
    start = inner.stream.tell() + _LENGTH
    count = int.from_bytes(data[start - _LENGTH : start], "little")
    return np.frombuffer(memoryview(data)[start:], dtype=_STORAGES[description[1].text], count=count)


def _tensor(source: Source, storage: NDArray[Any], start: int, size: Any, stride: Any, *_: Any) -> NDArray[Any]:
    """A tensor as a copy, after checking that it lies within its storage and is no larger."""
    last = start + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min(start, *size, *stride, 0) < 0 or math.prod(size) > storage.size or last >= max(storage.size, 1):
        raise ValueError(f"a tensor of shape {tuple(size)} lies outside its {storage.size} values")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[start:], shape=tuple(size), strides=steps).copy()


_NUMPY: Mapping[str, Callable[..., Any]] = {
    f"{module}.{name}": call
    for module, names in {
        "multiarray": {"_reconstruct": lambda source, *_: _Array(), "scalar": _scalar},
        "numeric": {"_frombuffer": lambda source, data, dtype, shape, order: _shaped(data, dtype, shape, order)},
    }.items()
    for module in (f"numpy.core.{module}", f"numpy._core.{module}")
    for name, call in names.items()
}

CALLS: Mapping[str, Callable[..., Any]] = {
    **_NUMPY,
    "numpy.dtype": _dtype,
    "__builtin__.bytes": lambda source: b"",
    "_codecs.encode": _encoded,
    "collections.OrderedDict": lambda source: {},
    "joblib.numpy_pickle.NumpyArrayWrapper": lambda source: _Wrapper(),
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
}
"""What a pickle may call: name -> our own function of the source and the pickle's arguments."""

NAMES = frozenset({*CALLS, *_STORAGES, "numpy.ndarray", "numpy.memmap"})
"""What a pickle may refer to."""
