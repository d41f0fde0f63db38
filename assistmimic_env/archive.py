"""Reading npz files from strangers safely, and writing them atomically and reproducibly.

An npz file is a zip of arrays. Nothing is unpacked before the zip's own table of contents has been
checked: number, names and sizes of the members, how far they inflate, and that every array's header
matches its size. Object arrays (pickles) are refused.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .errors import AssistMimicError, ClipError, UntrustedFileError, did_you_mean

MAX_MEMBERS = 64
MAX_RATIO = 200
MAX_MEMBER_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 256 * 2**20
MAX_METADATA_BYTES = 2**20
METADATA = "metadata"
"""Name of the member that holds JSON text as bytes (uint8)."""

_END_OF_ZIP = b"PK\x05\x06"
_END_OF_ZIP_BYTES = 22
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,199}\.npy", re.ASCII)
DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, NotImplementedError, OverflowError,
    SyntaxError, MemoryError, RecursionError, RuntimeError, TypeError, tokenize.TokenError, UserWarning,
)  # fmt: skip
"""What Python's and NumPy's readers raise about damaged files."""


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """What one array of an archive must look like."""

    shape: tuple[int | None, ...] | None = None
    """Expected shape; None stands for any length, or for any shape at all."""
    kinds: str = "f"
    """Allowed dtype kinds, letters of :attr:`numpy.dtype.kind` (f float, i int, u unsigned, b bool, U text,
    S bytes)."""
    required: bool = True
    """Whether a file without this array is refused."""

    def matches(self, array: NDArray[Any]) -> bool:
        """Whether an array has an allowed kind and the expected shape."""
        if array.dtype.kind not in self.kinds:
            return False
        if self.shape is None:
            return True
        return len(self.shape) == array.ndim and all(
            want in (None, got) for want, got in zip(self.shape, array.shape, strict=True)
        )

    def describe(self) -> str:
        """The specification in words, for an error message."""
        shape = "any shape" if self.shape is None else "shape " + _shape_text(self.shape)
        return f"{shape}, kind {'/'.join(self.kinds)}"


def read_archive(
    path: str | os.PathLike[str],
    *,
    expected: Mapping[str, ArraySpec] | None = None,
    max_member_bytes: int = MAX_MEMBER_BYTES,
    max_total_bytes: int = MAX_TOTAL_BYTES,
    max_ratio: int = MAX_RATIO,
    skip_others: bool = False,
) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npz file that may come from a stranger.

    Args:
        path: The file.
        expected: Allowed arrays by name (the list is exhaustive); None allows any plain arrays.
        max_member_bytes: Largest allowed size of one array.
        max_total_bytes: Largest allowed size of all arrays together.
        max_ratio: How many times an array may inflate; deflate cannot do more than 1032.
        skip_others: Leave arrays that are not expected unopened, whatever they hold, instead of refusing the file.

    Returns:
        Arrays by name, each a fresh, writable copy in native byte order.

    Raises:
        UntrustedFileError: The file asks for more than plain arrays of reasonable size.
        ClipError: The file is missing, truncated or damaged, or an array is missing or misshapen.
    """
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"{path}: no such file. Give the path of an .npz file.")
    try:
        with path.open("rb") as stream:
            _check_end_of_zip(path, stream)
            with zipfile.ZipFile(stream) as archive:
                members = _listed_members(path, archive)
                if skip_others and expected is not None:
                    members = {name: info for name, info in members.items() if name in expected}
                _check_sizes(path, members, max_member_bytes, max_total_bytes, max_ratio)
                _check_names(path, members, expected)
                arrays = {name: _read_member(path, archive, info) for name, info in members.items()}
    except AssistMimicError:
        raise
    except DAMAGE as error:
        raise ClipError(
            f"{path}: not a readable npz file ({error}). It looks damaged; fetch or write it again."
        ) from error
    _check_arrays(path, arrays, expected)
    return arrays


def write_archive(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write an npz file whose bytes depend on nothing but its content.

    The file appears complete or not at all (temporary file, then ``os.replace``). Members are stored
    uncompressed and undated, so equal content gives equal bytes on every machine.

    Args:
        path: The file; an existing one is replaced.
        arrays: Plain arrays by name.
        metadata: JSON-serialisable mapping, stored as UTF-8 bytes in the array ``metadata``.

    Raises:
        ValueError: An array holds objects, is called ``metadata``, or the metadata is not JSON.
    """
    members = dict(arrays)
    if metadata is not None:
        if METADATA in members:
            raise ValueError("an array cannot be called 'metadata': the JSON text has that name")
        members[METADATA] = encode_metadata(metadata)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as stream:
            _write_members(stream, members)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def encode_metadata(metadata: Mapping[str, Any]) -> NDArray[np.uint8]:
    """JSON text (sorted keys, no NaN) as an array of bytes."""
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return np.frombuffer(text.encode(), dtype=np.uint8)


def decode_metadata(array: NDArray[Any], *, path: str | os.PathLike[str] = "metadata") -> dict[str, Any]:
    """Read what :func:`encode_metadata` wrote.

    Args:
        array: Bytes, shape (n,), uint8.
        path: Where they come from, for the message.

    Returns:
        The mapping.

    Raises:
        UntrustedFileError: More than a megabyte of text.
        ClipError: Not a JSON object.
    """
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ClipError(f"{path}: 'metadata' is {array.dtype} of shape {array.shape}, expected uint8 of shape (n,).")
    if array.size > MAX_METADATA_BYTES:
        raise UntrustedFileError(
            f"{path}: 'metadata' has {array.size} bytes, at most {MAX_METADATA_BYTES} are accepted."
        )
    try:
        value = json.loads(array.tobytes().decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ClipError(f"{path}: 'metadata' is not valid JSON ({error}).") from error
    if not isinstance(value, dict):
        raise ClipError(f"{path}: 'metadata' is a JSON {type(value).__name__}, expected an object.")
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _check_end_of_zip(path: Path, stream: BinaryIO) -> None:
    """Refuse zips whose table of contents is too large to even be listed (and zip64 ones)."""
    size = stream.seek(0, os.SEEK_END)
    if size < _END_OF_ZIP_BYTES:
        raise ClipError(f"{path}: {size} bytes are too few for an npz file. It looks empty or truncated.")
    stream.seek(max(size - _END_OF_ZIP_BYTES - _ZIP64_LOCATOR_BYTES, 0))
    tail = stream.read()
    record = tail[-_END_OF_ZIP_BYTES:]
    if record[:4] != _END_OF_ZIP:
        raise ClipError(f"{path}: not an npz file, or a truncated one (no zip table of contents at its end).")
    count = int.from_bytes(record[10:12], "little")
    table_bytes = int.from_bytes(record[12:16], "little")
    if count > MAX_MEMBERS or table_bytes > MAX_MEMBERS * 1024 or tail.startswith(_ZIP64_LOCATOR):
        raise UntrustedFileError(f"{path}: lists {count} members, at most {MAX_MEMBERS} are accepted.")


def _listed_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The zip's members by array name, after checking how many there are and what they are called."""
    listed = archive.infolist()
    if len(listed) > MAX_MEMBERS:
        raise UntrustedFileError(f"{path}: lists {len(listed)} members, at most {MAX_MEMBERS} are accepted.")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in listed:
        if not _NAME.fullmatch(info.filename) or ".." in info.filename:
            raise UntrustedFileError(
                f"{_where(path, info)} is not an array name. Only plain .npy members are accepted."
            )
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise UntrustedFileError(f"{path}: array '{name}' occurs twice.")
        members[name] = info
    return members


def _where(path: Path, info: zipfile.ZipInfo) -> str:
    return f"{path}: member {info.filename[:80]!r}"


def _check_sizes(
    path: Path, members: Mapping[str, zipfile.ZipInfo], max_member_bytes: int, max_total_bytes: int, max_ratio: int
) -> None:
    """Refuse members that are too large, or packed in a way that is not read."""
    for info in members.values():
        _check_member(path, info, max_member_bytes, max_ratio)
    total = sum(info.file_size for info in members.values())
    if total > max_total_bytes:
        raise UntrustedFileError(f"{path}: unpacks to {total} bytes, at most {max_total_bytes} are accepted.")


def _check_member(path: Path, info: zipfile.ZipInfo, max_bytes: int, max_ratio: int) -> None:
    where = _where(path, info)
    if info.flag_bits & 0x1:
        raise UntrustedFileError(f"{where} is encrypted. Only plain arrays are accepted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UntrustedFileError(f"{where} uses compression method {info.compress_type}, expected stored or deflated.")
    if info.file_size > max_bytes:
        raise UntrustedFileError(f"{where} has {info.file_size} bytes, at most {max_bytes} are accepted.")
    if info.file_size > max_ratio * max(info.compress_size, 1):
        raise UntrustedFileError(f"{where} inflates more than {max_ratio} times. Store it uncompressed.")


def _check_names(path: Path, members: Mapping[str, object], expected: Mapping[str, ArraySpec] | None) -> None:
    if expected is None:
        return
    for name in members:
        if name not in expected:
            raise UntrustedFileError(
                f"{path}: unexpected array '{name}'.{did_you_mean(name, expected)} "
                f"Accepted: {', '.join(sorted(expected))}."
            )
    missing = [name for name, spec in expected.items() if spec.required and name not in members]
    if missing:
        present = ", ".join(sorted(members)) or "none"
        raise ClipError(f"{path}: missing array(s) {', '.join(missing)}. Present: {present}.")


def read_array(where: str, stream: IO[bytes], size: int) -> NDArray[Any]:
    """Read one array in the npy format, its header checked before its data is read.

    Args:
        where: For messages.
        stream: At the array's first byte; nothing is read beyond ``size``.
        size: Bytes of header and data together.

    Returns:
        A fresh, writable copy in native byte order.

    Raises:
        UntrustedFileError: The array holds objects, or its shape does not fill the bytes.
        ClipError: Another version of the format, or truncated. Damaged headers raise one of ``DAMAGE``.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ClipError(f"{where} has npy version {version}, expected (1, 0) or (2, 0).")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    _check_dtype(where, dtype)
    count = math.prod(shape)
    room = size - stream.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize != room:
        raise UntrustedFileError(
            f"{where} declares shape {_shape_text(shape)} of {dtype}, which does not fill its {room} bytes."
        )
    data = stream.read(room)
    if len(data) != room:
        raise ClipError(f"{where} is truncated: {len(data)} of {room} bytes.")
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="))


def _read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as stream:
        return read_array(f"{path}: array '{info.filename.removesuffix('.npy')}'", stream, info.file_size)


def _check_dtype(where: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject or dtype.kind not in "biufcUS" or dtype.names is not None or dtype.itemsize == 0:
        raise UntrustedFileError(f"{where} has type {dtype}. Only plain numbers and text are accepted, never objects.")


def _check_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, ArraySpec] | None) -> None:
    for name, spec in (expected or {}).items():
        array = arrays.get(name)
        if array is not None and not spec.matches(array):
            got = f"shape {_shape_text(array.shape)}, kind {array.dtype.kind}"
            raise ClipError(f"{path}: array '{name}' has {got}; expected {spec.describe()}.")


def _write_members(stream: BinaryIO, members: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr, info.create_system = 0o644 << 16, 3
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(members[name], order="C"), version=(1, 0), allow_pickle=False)
            archive.writestr(info, buffer.getvalue())


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
