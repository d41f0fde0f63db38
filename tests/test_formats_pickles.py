"""Pickles of strangers: values and arrays come out as they went in, and nothing is ever run."""

from __future__ import annotations

import pickle
import struct
import time
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from motion_files import joblib_bytes

from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats.pickles import read_pickle

VALUE = {
    "a": {"x": np.arange(6.0).reshape(2, 3), "y": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3))},
    "b": [1, -2.5, True, None, "neutral", b"\x00\xff", (1, (2, 3)), 2**70],
    "c": np.array(["male"]),
    "d": np.float64(2.5),
    "e": np.arange(3, dtype=">i4"),
    "f": np.zeros((0, 3)),
}


class Evil:
    """Touches a file when a pickle is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def same(left: Any, right: Any) -> bool:
    """Equal in value, type, shape and element type."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and bool(np.array_equal(left, right))
    if isinstance(left, list | tuple):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def read(tmp_path: Path, data: bytes) -> Any:
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    return read_pickle(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_values_and_arrays_come_back_from_every_protocol(tmp_path: Path, protocol: int) -> None:
    value = {**VALUE, "b": [x for x in VALUE["b"] if not isinstance(x, bytes)]} if protocol < 2 else VALUE
    assert same(read(tmp_path, pickle.dumps(value, protocol)), value)


@pytest.mark.parametrize("pack", [bytes, zlib.compress])
def test_joblib_files_are_read_without_joblib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Any) -> None:
    value = {**VALUE, "a": {"x": VALUE["a"]["x"], "again": VALUE["a"]["x"]}}
    assert same(read(tmp_path, pack(joblib_bytes(value, monkeypatch))), value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64])
def test_tensors_become_arrays_with_their_strides(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.arange(24).to(dtype).reshape(4, 6)[1::2, 1:4].t()
    result = read(tmp_path, pickle.dumps({"t": tensor, "o": OrderedDict(a=1)}))
    assert np.array_equal(result["t"], tensor.numpy())
    assert result["t"].dtype == tensor.numpy().dtype
    assert result["o"] == {"a": 1}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["plain", "nested", "objects", "key"])
def test_hostile_pickles_are_refused_and_nothing_runs(tmp_path: Path, place: str, protocol: int) -> None:
    evil = Evil(tmp_path / "touched")
    value: Any = {
        "plain": evil,
        "nested": {"a": [1, (2, {"b": evil})]},
        "objects": np.array([1, evil], dtype=object),
        "key": {"x": pickle.dumps(evil), "y": [evil]},
    }[place]
    data = pickle.dumps(value, protocol)
    with pytest.raises((UntrustedFileError, ClipError)):
        read(tmp_path, data)
    assert not (tmp_path / "touched").exists()
    pickle.loads(data)  # noqa: S301 our own file, to show that it is hostile
    assert (tmp_path / "touched").exists(), "the file would have done harm"


def test_a_refused_name_is_said(tmp_path: Path) -> None:
    with pytest.raises(UntrustedFileError, match=r"x\.pkl: refers to builtins\.eval and was not loaded"):
        read(tmp_path, b"cbuiltins\neval\n(S'1'\ntR.")


def test_arrays_of_objects_in_joblib_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = joblib_bytes({"x": np.zeros(3)}, monkeypatch).replace(b"\x8c\x02f8", b"\x8c\x02O8")
    with pytest.raises(ClipError, match="holds objects"):
        read(tmp_path, data)


HUGE = {
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "memo": b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".",
    "integer": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01",
    "array": pickle.dumps(np.zeros(7)).replace(b"K\x07\x85", b"\x8a\x05\x00\x00\x00\x00\x10\x85"),
    "deep": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "hash": b"\x80\x02}" + b"K\x01K\x02\x86" + b"2\x86" * 40 + b"Ns.",
    "bomb": zlib.compress(b"N" * 300_000_000, 9),
}


@pytest.mark.parametrize("kind", HUGE)
def test_huge_counts_end_within_a_second(tmp_path: Path, kind: str) -> None:
    started = time.process_time()
    if kind in ("memo", "frame", "deep"):
        read(tmp_path, HUGE[kind])
    else:
        with pytest.raises((ClipError, UntrustedFileError)):
            read(tmp_path, HUGE[kind])
    assert time.process_time() - started < 1.0


def test_truncated_and_damaged_pickles_are_typed_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = joblib_bytes({**VALUE, "t": torch.arange(3.0)}, monkeypatch)
    for length in range(len(data)):
        with pytest.raises((ClipError, UntrustedFileError)):
            read(tmp_path, data[:length])
    random = np.random.default_rng(5)
    for place, byte in zip(random.integers(0, len(data), 400), random.integers(0, 256, 400), strict=True):
        damaged = data[:place] + bytes([byte]) + data[place + 1 :]
        try:
            read(tmp_path, damaged)
        except (ClipError, UntrustedFileError):
            continue


def test_missing_and_foreign_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="no such file"):
        read_pickle(tmp_path / "none.pkl")
    with pytest.raises(ClipError, match=r"compressed with bz2.*zlib"):
        read(tmp_path, b"BZh91AY")
    with pytest.raises(ClipError, match="truncated"):
        read(tmp_path, zlib.compress(pickle.dumps(VALUE))[:-20])
    (tmp_path / "y.pkl").write_bytes(b"N." * 50)
    with pytest.raises(UntrustedFileError, match="at most 10 are accepted"):
        read_pickle(tmp_path / "y.pkl", max_bytes=10)
