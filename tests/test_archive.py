"""Reading npz files of strangers: nothing but plain arrays, and one kind of error for everything else."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistmimic_env.archive import ArraySpec, decode_metadata, encode_metadata, read_archive, write_archive
from assistmimic_env.errors import AssistMimicError, ClipError, UntrustedFileError

EXPECTED = {"a": ArraySpec(shape=(None, 3)), "b": ArraySpec(shape=(), kinds="iu", required=False)}


def arrays() -> dict[str, np.ndarray]:
    return {"a": np.arange(12.0).reshape(4, 3), "b": np.array(7)}


def npy(array: np.ndarray, *, version: tuple[int, int] = (1, 0)) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    return buffer.getvalue()


def zipped(path: Path, members: dict[str, bytes], *, compress: bool = False) -> Path:
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def header(text: str) -> bytes:
    """An npy file with a hand-written header and no data."""
    raw = text.encode()
    raw += b" " * (-(len(raw) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw


class Bomb:
    """Runs a command when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def test_what_was_written_is_read_back_exactly(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.npz", arrays(), {"text": "ü", "number": 1.5})
    read = read_archive(tmp_path / "x.npz")
    assert decode_metadata(read.pop("metadata")) == {"text": "ü", "number": 1.5}
    assert read.keys() == arrays().keys()
    for name, array in arrays().items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
        assert read[name].flags.writeable


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_numpy_itself_are_read(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "x.npz", **arrays(), big=np.asfortranarray(np.arange(6.0).reshape(2, 3)).astype(">f4"))
    read = read_archive(tmp_path / "x.npz")
    np.testing.assert_array_equal(read["a"], arrays()["a"])
    np.testing.assert_array_equal(read["big"], np.arange(6.0).reshape(2, 3))
    assert read["big"].dtype.isnative


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    write_archive(tmp_path / "one.npz", arrays(), {"x": 1, "y": 2})
    write_archive(tmp_path / "two.npz", dict(reversed(arrays().items())), {"y": 2, "x": 1})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write_archive(path, arrays())
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Object arrays"):
        write_archive(path, {"z": np.array([object()])})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


def test_metadata_that_is_not_json_is_refused_when_writing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_archive(tmp_path / "x.npz", {}, {"x": float("nan")})
    with pytest.raises(ValueError, match="'metadata'"):
        write_archive(tmp_path / "x.npz", {"metadata": np.zeros(1)}, {})


def test_pickled_objects_are_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    payload = np.empty(1, dtype=object)
    payload[0] = Bomb()
    np.savez(tmp_path / "object.npz", a=payload)
    zipped(tmp_path / "raw.npz", {"a.npy": pickle.dumps(Bomb())})
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UntrustedFileError, match="never objects"):
        read_archive("object.npz")
    for name in ("raw.npz", "plain.npz"):
        with pytest.raises(ClipError):
            read_archive(name)
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "name", ["../a.npy", "/a.npy", "a.txt", "x/../../a.npy", "C:\\a.npy", "é.npy", ".npy", "a\n.npy"]
)
def test_members_that_are_not_array_names_are_refused(tmp_path: Path, name: str) -> None:
    zipped(tmp_path / "x.npz", {name: npy(np.zeros(1))})
    with pytest.raises(UntrustedFileError, match="not an array name"):
        read_archive(tmp_path / "x.npz")


def test_a_name_may_occur_once(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", npy(np.zeros((1, 3))))
        archive.writestr("a.npy", npy(np.ones((1, 3))))
    with pytest.raises(UntrustedFileError, match="twice"):
        read_archive(tmp_path / "x.npz")


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "x.npz", {f"a{i}.npy": b"" for i in range(65)})
    with pytest.raises(UntrustedFileError, match="65 members"):
        read_archive(tmp_path / "x.npz")


def test_zip64_is_refused_before_its_table_is_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.npz", arrays())
    data = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:])
    with pytest.raises(UntrustedFileError, match="members"):
        read_archive(tmp_path / "x.npz")


def test_members_that_inflate_too_much_are_refused_without_unpacking(tmp_path: Path) -> None:
    data = npy(np.zeros(2**22))
    zipped(tmp_path / "x.npz", {"a.npy": data}, compress=True)
    tracemalloc.start()
    with pytest.raises(UntrustedFileError, match="inflates"):
        read_archive(tmp_path / "x.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_members_and_totals_over_the_size_caps_are_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.npz", {"a": np.zeros((100, 3)), "c": np.zeros(300)})
    with pytest.raises(UntrustedFileError, match="at most 1000"):
        read_archive(tmp_path / "x.npz", max_member_bytes=1000)
    with pytest.raises(UntrustedFileError, match="unpacks to"):
        read_archive(tmp_path / "x.npz", max_total_bytes=4000)


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (), }",
        "{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (0,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (0,), }",
    ],
)
def test_headers_that_do_not_fit_their_data_are_refused(tmp_path: Path, text: str) -> None:
    zipped(tmp_path / "x.npz", {"a.npy": header(text)})
    with pytest.raises(UntrustedFileError):
        read_archive(tmp_path / "x.npz")


@pytest.mark.parametrize("text", ["{", "__import__('os')", "[]", "{'descr': 1}", "(" * 5000])
def test_headers_that_are_not_headers_are_damage(tmp_path: Path, text: str) -> None:
    zipped(tmp_path / "x.npz", {"a.npy": header(text)})
    with pytest.raises(ClipError):
        read_archive(tmp_path / "x.npz")


def test_newer_npy_versions_are_named(tmp_path: Path) -> None:
    zipped(tmp_path / "x.npz", {"a.npy": npy(np.zeros(1), version=(3, 0))})
    with pytest.raises(ClipError, match=r"version \(3, 0\)"):
        read_archive(tmp_path / "x.npz")


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.npz", {"a.npy": npy(np.zeros(1))})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UntrustedFileError, match="encrypted"):
        read_archive(path)


def test_a_changed_byte_of_data_is_noticed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.npz", {"a.npy": npy(np.full(4, 3.0))})
    data = bytearray(path.read_bytes())
    data[data.index(np.full(4, 3.0).tobytes()) + 6] ^= 1
    path.write_bytes(data)
    with pytest.raises(ClipError, match="CRC"):
        read_archive(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello" * 100])
def test_files_that_are_no_zip_are_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ClipError, match=r"x\.npz"):
        read_archive(tmp_path / "x.npz")


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(ClipError, match="no such file"):
            read_archive(path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(ClipError, match="no such file"):
        read_archive(tmp_path / "x.npz")


def test_expected_arrays_are_an_exhaustive_list_with_suggestions(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.npz", {"a": np.zeros((1, 3)), "bb": np.array(1)})
    with pytest.raises(UntrustedFileError, match=r"'bb'\. Did you mean 'b'"):
        read_archive(tmp_path / "x.npz", expected=EXPECTED)


def test_a_missing_required_array_is_named_and_an_optional_one_is_not_needed(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.npz", {"b": np.array(1)})
    with pytest.raises(ClipError, match=r"missing array\(s\) a. Present: b"):
        read_archive(tmp_path / "x.npz", expected=EXPECTED)
    write_archive(tmp_path / "y.npz", {"a": np.zeros((1, 3))})
    assert read_archive(tmp_path / "y.npz", expected=EXPECTED).keys() == {"a"}


def test_others_can_be_left_unopened_whatever_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Body models carry pickled dictionaries beside their arrays; their sizes do not count either."""
    monkeypatch.chdir(tmp_path)
    payload = np.empty(1, dtype=object)
    payload[0] = Bomb()
    np.savez(tmp_path / "x.npz", a=np.zeros((1, 3)), objects=payload, large=np.zeros(1000))
    assert read_archive("x.npz", expected=EXPECTED, skip_others=True, max_total_bytes=200).keys() == {"a"}
    assert not Path("executed").exists()
    with pytest.raises(UntrustedFileError, match="unexpected array"):
        read_archive("x.npz", expected=EXPECTED)


def test_an_expected_object_is_refused_even_if_others_are_left_unopened(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(UntrustedFileError, match="never objects"):
        read_archive(tmp_path / "x.npz", expected=EXPECTED, skip_others=True)


def test_sparse_arrays_may_inflate_further_where_the_caller_says_so(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros((100_000, 3)))
    with pytest.raises(UntrustedFileError, match="inflates more than 200 times"):
        read_archive(tmp_path / "x.npz")
    assert read_archive(tmp_path / "x.npz", max_ratio=1100)["a"].shape == (100_000, 3)


@pytest.mark.parametrize("wrong", [np.zeros((2, 4)), np.zeros(3), np.zeros((2, 3), dtype=int)])
def test_a_misshapen_array_is_named_with_both_shapes(tmp_path: Path, wrong: np.ndarray) -> None:
    write_archive(tmp_path / "x.npz", {"a": wrong})
    with pytest.raises(ClipError, match=r"array 'a' has shape .* expected shape \(any, 3\), kind f"):
        read_archive(tmp_path / "x.npz", expected=EXPECTED)


@pytest.mark.parametrize("text", [b"{", b"[1]", b"\xff", b'{"x": NaN}', b"[" * 100000, b'{"x": ' + b"9" * 5000 + b"}"])
def test_metadata_that_is_no_json_object_is_damage(text: bytes) -> None:
    with pytest.raises(ClipError, match="metadata"):
        decode_metadata(np.frombuffer(text, dtype=np.uint8))


def test_metadata_is_capped_and_has_to_be_bytes() -> None:
    with pytest.raises(UntrustedFileError, match="at most"):
        decode_metadata(np.zeros(2**20 + 1, dtype=np.uint8))
    with pytest.raises(ClipError, match="float64"):
        decode_metadata(np.zeros(3))
    assert decode_metadata(encode_metadata({"a": [1, None]})) == {"a": [1, None]}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 400),
    compress=st.booleans(),
)
def test_mutated_files_are_read_or_refused_with_one_of_our_errors(
    tmp_path: Path, edits: list[tuple[int, int]], cut: int, compress: bool
) -> None:
    members = {f"{name}.npy": npy(array) for name, array in arrays().items()}
    data = bytearray(zipped(tmp_path / "x.npz", members, compress=compress).read_bytes())
    for place, value in edits:
        data[place % len(data)] = value
    (tmp_path / "x.npz").write_bytes(data[: len(data) - (cut if cut < 100 else 0)])
    try:
        read = read_archive(tmp_path / "x.npz")
    except AssistMimicError as error:
        assert "x.npz" in str(error)
    else:
        assert all(isinstance(array, np.ndarray) and not array.dtype.hasobject for array in read.values())


def test_a_corrupt_deflate_stream_is_damage(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.npz", {"a.npy": npy(np.random.default_rng(0).normal(size=50))}, compress=True)
    data = bytearray(path.read_bytes())
    start = 30 + len("a.npy")
    data[start : start + 40] = zlib.compress(b"x")[::-1] + bytes(40)
    path.write_bytes(data)
    with pytest.raises(ClipError):
        read_archive(path)
