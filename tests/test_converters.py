"""The catalog of formats: functions of a path and `Format`s by one name; what they return is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys import standing_clip

from assistmimic_env import formats
from assistmimic_env.converters import convert
from assistmimic_env.errors import ClipError, ConfigError
from assistmimic_env.formats import find_format, format_names, register_format
from assistmimic_env.formats.take import Format, ReadOptions

BUILT_IN = ("interx", "hhi", "intergen", "amass", "phc", "amc", "bvh", "npz", "cmu")


@pytest.fixture(autouse=True)
def own_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formats registered by a test are gone after it."""
    monkeypatch.setattr(formats._CATALOG, "_items", dict(formats._CATALOG._items))


def empty_format(name: str) -> Format:
    """One that never finds anything."""
    parts: dict[str, Any] = {"find": lambda path, options: (), "read": lambda recording, options: None}
    return Format(name=name, title="nothing", license="none", obtain="Nowhere.", **parts)


def test_a_registered_function_is_called_with_the_path(tmp_path: Path) -> None:
    clip, seen = standing_clip(), []

    def read(path: Any) -> tuple[Any, ...]:
        seen.append(path)
        return (clip, clip)

    register_format("toy", read)
    assert convert("toy", tmp_path) == [clip, clip]
    assert seen == [tmp_path]
    assert format_names() == (*BUILT_IN, "toy")


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_format_exists(name: str) -> None:
    """Under its own name, with terms and a way to obtain files."""
    found = find_format(name)
    if isinstance(found, Format):
        assert found.name == name
        assert min(map(len, (found.title, found.license, found.obtain))) > 2
    else:
        assert name == "cmu"


def test_the_cmu_function_reads_key_frames(tmp_path: Path) -> None:
    """Here: says what is missing in an empty folder."""
    with pytest.raises(ClipError, match="keyframes"):
        convert("cmu", tmp_path)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: convert("interxx", "x"), "format 'interxx' is not known. Did you mean 'interx'\\? Available: amass, "),
        (lambda: register_format("cmu", list), "format 'cmu' is registered already"),
        (lambda: register_format("mine", 3), "format 'mine' is 3, expected a Format or a function of a path"),
        (lambda: register_format("mine", empty_format("other")), "format 'mine' calls itself 'other'"),
        (lambda: register_format("text", str) or convert("text", "ab"), "returned 'a', expected PairClips"),
        (lambda: convert("cmu", "x", options=ReadOptions(up="y")), "'cmu' is a function of a path; it takes no opt"),
    ],
)  # fmt: skip
def test_mistakes_say_what_is_expected(attempt: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        attempt()


@pytest.mark.parametrize("entry", [lambda path: (), empty_format("none")], ids=["function", "format"])
def test_a_format_without_clips_is_an_error(entry: Any) -> None:
    register_format("none", entry)
    with pytest.raises(ClipError, match="format 'none' found no clip in here"):
        convert("none", "here")
