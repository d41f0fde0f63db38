"""Converters: from other formats to ``PairClip``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, cast

from .catalog import Catalog
from .clip import PairClip
from .errors import ClipError, ConfigError

Converter = Callable[[str | os.PathLike[str]], Iterable[PairClip]]
"""From a file or folder to the clips in it; raises ``ClipError`` about what it cannot read."""


def convert(format: str, path: str | os.PathLike[str]) -> list[PairClip]:
    """Read motion of another format.

    Args:
        format: One of ``converter_names()``.
        path: A file or folder of that format.

    Returns:
        The clips in it, at least one.

    Raises:
        ConfigError: There is no such converter, or it returned something else than clips.
        ClipError: The path holds no clip of that format.
    """
    clips = list(_CATALOG.find(format)(path))
    for clip in clips:
        if not isinstance(clip, PairClip):
            raise ConfigError(f"converter '{format}' returned {clip!r}, expected PairClips.")
    if not clips:
        raise ClipError(f"converter '{format}' found no clip in {os.fspath(path)}.")
    return clips


def register_converter(name: str, converter: Converter) -> None:
    """Add a converter; also by an entry point of the group ``assistmimic.converters``.

    Raises:
        ConfigError: The name is taken, or the converter cannot be called.
    """
    _CATALOG.add(name, converter)


def converter_names() -> tuple[str, ...]:
    """Names of all converters."""
    return _CATALOG.names()


def _read(name: str, converter: Any) -> Converter:
    if not callable(converter):
        raise ConfigError(f"converter '{name}' is {converter!r}, expected a function of a path.")
    return cast(Converter, converter)


def _cmu(path: str | os.PathLike[str]) -> Iterable[PairClip]:
    """Key frames of the CMU pair, see ``cmu.convert``."""
    from .cmu import convert

    return (convert(path),)


_CATALOG: Catalog[Converter] = Catalog("converter", "assistmimic.converters", read=_read, items={"cmu": _cmu})
