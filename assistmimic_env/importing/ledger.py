"""`import.json`: what became of every recording of an import, one record per clip, beside the clips."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEDGER = "import.json"
_SECONDS = 2.0
"""Time between two writings [s]; nothing is lost in between, clips carry their records themselves."""


class Ledger:
    """The file, kept up to date while clips are made; it appears complete or not at all.

    Records of earlier imports into the same folder stay, as long as their clips are there.

    Args:
        folder: Where the clips are.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self._records = _read(self.path)
        self._written = time.monotonic()

    def add(self, name: str, record: Mapping[str, Any]) -> None:
        """Note what became of a clip."""
        self._records[name] = dict(record)
        if time.monotonic() - self._written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Replace the file."""
        kept = {name: record for name, record in sorted(self._records.items()) if self._stands(name, record)}
        text = json.dumps({"clips": kept}, indent=1, allow_nan=False)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(text + "\n")
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)
        self._written = time.monotonic()

    def _stands(self, name: str, record: Mapping[str, Any]) -> bool:
        return record.get("status") == "failed" or (self.path.parent / f"{name}.npz").is_file()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Records by clip; none where the file is missing or damaged (they are made again from the clips)."""
    try:
        clips = json.loads(path.read_text())["clips"]
        return {name: dict(record) for name, record in clips.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
