"""Finding files of recordings below a path, and naming the recordings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ..errors import ClipError
from .take import Recording

MAX_FILES = 500_000
"""Largest number of files that are looked through."""

_OTHER = re.compile(r"[^A-Za-z0-9.]+", re.ASCII)


def files_below(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files at or below a path whose names end in one of the suffixes (lower case), sorted; hidden ones are left out.

    Raises:
        ClipError: There is no such path, or more files than anybody has.
    """
    if not path.exists():
        raise ClipError(f"{path}: no such file or folder.")
    if path.is_file():
        return [path] if path.name.lower().endswith(suffixes) else []
    found: list[Path] = []
    for count, file in enumerate(path.rglob("*")):
        if count >= MAX_FILES:
            raise ClipError(f"{path}: more than {MAX_FILES} files. Give a folder further down.")
        if file.name.lower().endswith(suffixes) and not file.name.startswith(".") and file.is_file():
            found.append(file)
    return sorted(found)


def safe_name(text: str) -> str:
    """A recording's name from any text: other characters than letters, digits and ``.`` become ``_``.

    Raises:
        ClipError: Nothing is left.
    """
    name = _OTHER.sub("_", text).strip("_.")
    if not name:
        raise ClipError(f"{text!r} holds no letter and no digit to name a recording by. Rename the file.")
    return name


def checked(path: Path, recordings: Iterable[Recording], what: str) -> tuple[Recording, ...]:
    """Recordings sorted by name.

    Args:
        path: Where they were searched.
        recordings: What was found.
        what: What was looked for, for the message.

    Raises:
        ClipError: None was found, or two have one name.
    """
    found = sorted(recordings, key=lambda recording: recording.name)
    if not found:
        raise ClipError(f"{path}: no {what} at or below it.")
    name, count = Counter(recording.name for recording in found).most_common(1)[0]
    if count > 1:
        files = ", ".join(str(recording.files[0]) for recording in found if recording.name == name)
        raise ClipError(f"{path}: {count} recordings are called '{name}': {files[:500]}. Give a folder further down.")
    return tuple(found)
