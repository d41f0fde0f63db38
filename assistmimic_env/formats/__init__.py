"""Other people's motion files as `Take`s: one module per format, all found by name.

`take` is the contract, `conventions` and `skeletons` are what the formats share. Nothing here puts motion on a body;
that is `importing`'s job.

The catalog also holds plain functions of a path that return finished clips; plug-ins add either kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from ..catalog import Catalog
from ..clip import PairClip
from ..errors import ConfigError
from .take import Format

__all__ = ["Converter", "Format", "find_format", "format_names", "register_format"]

Converter = Callable[[str | os.PathLike[str]], Iterable[PairClip]]
"""From a file or folder to the clips in it; raises ``ClipError`` about what it cannot read."""


def format_names() -> tuple[str, ...]:
    """Names of all formats, built-in ones first."""
    return _CATALOG.names()


def find_format(name: str) -> Format | Converter:
    """The format of a name; its module is imported by the first look.

    Args:
        name: One of ``format_names()``.

    Returns:
        A ``Format``, or a function that returns clips.

    Raises:
        ConfigError: Unknown name; says the closest and all that exist.
    """
    found = _CATALOG.find(name)
    return found.load() if isinstance(found, _BuiltIn) else found


def register_format(name: str, entry: Format | Converter) -> None:
    """Add a format; also by an entry point of the group ``assistmimic.converters``.

    Args:
        name: Word of the command line.
        entry: A ``Format``, or a function of a path that returns clips.

    Raises:
        ConfigError: The name is taken, or the entry is neither.
    """
    _CATALOG.add(name, entry)


@dataclass(frozen=True)
class _BuiltIn:
    """Where a built-in format is, until somebody asks for it."""

    module: str
    attribute: str

    def load(self) -> Format | Converter:
        return getattr(import_module(self.module, __name__), self.attribute)


def _check(name: str, entry: Any) -> Format | Converter:
    if isinstance(entry, Format) and entry.name != name:
        raise ConfigError(f"format '{name}' calls itself '{entry.name}'; register it under its own name.")
    if not isinstance(entry, Format) and not callable(entry):
        raise ConfigError(f"format '{name}' is {entry!r}, expected a Format or a function of a path.")
    return cast("Format | Converter", entry)


_READERS = ("interx", "hhi", "intergen", "amass", "phc", "amc", "bvh", "npz")
_CATALOG: Catalog[Format | Converter | _BuiltIn] = Catalog(
    "format",
    "assistmimic.converters",
    read=_check,
    items={
        **{name: _BuiltIn(f".{name}", name.upper()) for name in _READERS},
        "cmu": _BuiltIn("..converters", "cmu"),
    },
)
