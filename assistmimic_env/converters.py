"""`convert`: any format -> ``PairClip``s, in memory; `importing.batch` does the same for many files, on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .clip import PairClip
from .errors import ClipError, ConfigError
from .formats import Converter, find_format
from .formats.take import Format, ReadOptions

if TYPE_CHECKING:
    from .importing.settings import ConversionSettings


def convert(
    format: str,
    path: str | os.PathLike[str],
    *,
    options: ReadOptions | None = None,
    settings: ConversionSettings | None = None,
) -> list[PairClip]:
    """Read motion of another format.

    Args:
        format: One of ``formats.format_names()``.
        path: A file or folder of that format.
        options: What the source does not say itself.
        settings: How measured motion is put on bodies.

    Returns:
        The clips in it, at least one.

    Raises:
        ConfigError: There is no such format, or it returned something else than clips, or it takes no options.
        ClipError: The path holds no clip of that format, or one of them cannot be read.
        UntrustedFileError: A file asks for more than plain data.
    """
    found = find_format(format)
    if isinstance(found, Format):
        clips = _measured(found, Path(path), options, settings)
    else:
        if options not in (None, ReadOptions()):
            raise ConfigError(f"format '{format}' is a function of a path; it takes no options.")
        clips = call_converter(format, found, path)
    if not clips:
        raise ClipError(f"format '{format}' found no clip in {os.fspath(path)}.")
    return clips


def call_converter(name: str, converter: Converter, path: str | os.PathLike[str]) -> list[PairClip]:
    """The clips that a function of a path returns, checked.

    Args:
        name: The function's name in the catalog, for messages.
        converter: The function.
        path: What it reads.

    Raises:
        ConfigError: It returned something else than clips.
    """
    clips = list(converter(path))
    for clip in clips:
        if not isinstance(clip, PairClip):
            raise ConfigError(f"format '{name}' returned {clip!r}, expected PairClips.")
    return clips


def cmu(path: str | os.PathLike[str]) -> Iterable[PairClip]:
    """Key frames of the CMU pair, see ``cmu.convert``."""
    from .cmu import convert

    return (convert(path),)


def _measured(
    found: Format, path: Path, options: ReadOptions | None, settings: ConversionSettings | None
) -> list[PairClip]:
    from .importing.conversion import ConversionSettings, convert_take

    asked, how = options or ReadOptions(), settings or ConversionSettings()
    return [convert_take(found.read(recording, asked), how).clip for recording in found.find(path, asked)]
