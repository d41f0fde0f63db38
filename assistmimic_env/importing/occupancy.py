"""Who writes to a folder: so that what killed imports left half-written can be told from what is being written.

Everybody who writes holds a shared lock on the folder, which the system releases when a process ends, however it ends.
Process numbers would not do: a killed process keeps its number until somebody asks how it ended, and later another one
gets it.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError

_LEFT_OVER = re.compile(r"\..+\.\d+\.tmp", re.ASCII)
"""Names of files that are being written (`archive.write_archive`, `Ledger.write`)."""


@contextmanager
def occupied(folder: Path) -> Generator[None, None, None]:
    """Write to a folder; what nobody will finish there is removed before and after, unless others write there, too.

    Args:
        folder: It is made if it does not exist. Where its file system knows no locks, nothing is removed.

    Raises:
        ConfigError: It cannot be made, or not be written to.
    """
    _make(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _tidy(folder, handle)
        try:
            yield
        finally:
            _tidy(folder, handle)
    finally:
        os.close(handle)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be made ({error}). Choose another one for --out.") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"the folder {folder} cannot be read and written to. Choose another one for --out.")


def occupy(folder: Path) -> None:
    """Write to a folder until this process ends; for the workers of an import."""
    _lock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)


def _tidy(folder: Path, handle: int) -> None:
    """Remove half-written files if nobody else writes; what is written from now on is safe from others."""
    if _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for path in folder.iterdir():
            if _LEFT_OVER.fullmatch(path.name):
                path.unlink(missing_ok=True)
    _lock(handle, fcntl.LOCK_SH)


def _lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind)
    except OSError:
        return False
    return True
