"""Converters by name: what they return is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys import standing_clip

from assistmimic_env import converters
from assistmimic_env.converters import convert, converter_names, register_converter
from assistmimic_env.errors import ClipError, ConfigError


@pytest.fixture(autouse=True)
def own_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converters registered by a test are gone after it."""
    monkeypatch.setattr(converters._CATALOG, "_items", dict(converters._CATALOG._items))


def test_a_registered_converter_is_called_with_the_path(tmp_path: Path) -> None:
    clip, seen = standing_clip(), []

    def read(path: Any) -> tuple[Any, ...]:
        seen.append(path)
        return (clip, clip)

    register_converter("toy", read)
    assert convert("toy", tmp_path) == [clip, clip]
    assert seen == [tmp_path]
    assert converter_names() == ("cmu", "toy")


def test_the_bundled_converter_reads_cmu_key_frames(tmp_path: Path) -> None:
    """Here: says what is missing in an empty folder."""
    with pytest.raises(ClipError, match="keyframes"):
        convert("cmu", tmp_path)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: convert("cmuu", "x"), "converter 'cmuu' is not known. Did you mean 'cmu'\\? Available: cmu"),
        (lambda: register_converter("cmu", list), "converter 'cmu' is registered already"),
        (lambda: register_converter("mine", 3), "converter 'mine' is 3, expected a function of a path"),
        (lambda: register_converter("text", str) or convert("text", "ab"), "returned 'a', expected PairClips"),
    ],
)  # fmt: skip
def test_mistakes_say_what_is_expected(attempt: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        attempt()


def test_a_converter_without_clips_is_an_error() -> None:
    register_converter("none", lambda path: ())
    with pytest.raises(ClipError, match="converter 'none' found no clip in here"):
        convert("none", "here")
