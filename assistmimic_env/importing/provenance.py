"""Where an imported clip comes from: hashes of its files, terms, options and the converter's version.

The record is kept in the clip's metadata under `provenance`. Two records with the same `identity` describe the same
clip, so that an import that was interrupted, or is started again, knows what is done already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clip import PairClip
from ..formats.take import ReadOptions

if TYPE_CHECKING:
    from .settings import ConversionSettings

VERSION = 2
"""Raised by any change that makes other clips of the same files."""
CONVERTER = f"assistmimic_env.importing {VERSION}"

PROVENANCE, REPORT = "provenance", "import_report"
"""Keys of a clip's metadata: this record, and what was measured."""

_SAME = ("format", "key", "options", "converter")


def file_record(path: Path, *, root: Path) -> dict[str, Any]:
    """What identifies a file.

    Args:
        path: The file.
        root: What was imported; the name is relative to it where it lies below.

    Returns:
        ``name``, ``sha256`` (hexadecimal) and ``bytes``.
    """
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"name": _relative(path, root), "sha256": digest, "bytes": path.stat().st_size}


def option_record(options: ReadOptions, settings: ConversionSettings | None) -> dict[str, Any]:
    """Everything but the files that decides about a clip, as JSON; options that were not given are left out.

    Args:
        options: How files are read. The partner's file is told by its name (its content is hashed like any other),
            the folder of body models by the names and sizes in it.
        settings: How motion is put on bodies; None where that is not ours.
    """
    given = {key: value for key, value in vars(options).items() if value is not None}
    if options.partner is not None:
        given["partner"] = options.partner.name
    if options.models is not None:
        files = sorted(path for path in options.models.rglob("*") if path.is_file())
        given["models"] = {_relative(path, options.models): path.stat().st_size for path in files}
    return _json({**given, **({} if settings is None else {"conversion": asdict(settings)})})


def identity(*, format: str, key: str, files: Sequence[Path], root: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """What two imports of the same clip have in common.

    Args:
        format: Name of the format.
        key: Which part of the files.
        files: Everything that is read.
        root: What was imported.
        options: See ``option_record``.

    Raises:
        OSError: A file cannot be read.
    """
    records = [file_record(path, root=root) for path in files]
    return _json({"format": format, "key": key, "files": records, "options": options, "converter": CONVERTER})


def is_made_from(clip: PairClip, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a clip was imported from files of the same content, by the same converter, with the same options."""
    found = clip.metadata.get(PROVENANCE)
    if (
        not isinstance(found, dict)
        or REPORT not in clip.metadata
        or any(found.get(key) != wanted[key] for key in _SAME)
    ):
        return False
    return _of_files(found, "sha256") == _of_files(wanted, "sha256")


def is_another_source(clip: PairClip, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a clip has nothing to do with these files: writing over it would lose somebody's work."""
    found = clip.metadata.get(PROVENANCE)
    if not isinstance(found, dict) or (found.get("format"), found.get("key")) != (wanted["format"], wanted["key"]):
        return True
    return [Path(name).name for name in _of_files(found, "name")] != [
        Path(name).name for name in _of_files(wanted, "name")
    ]


def _of_files(record: Mapping[str, Any], key: str) -> list[str]:
    files = record.get("files")
    return [str(file.get(key)) for file in files if isinstance(file, dict)] if isinstance(files, list) else []


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else path.name


def _json(value: Mapping[str, Any]) -> dict[str, Any]:
    """As it looks when it was written and read again."""
    return json.loads(json.dumps(value, default=str))
