"""Distributions for the tests of entry points: as pip would leave them, in a folder of their own."""

from __future__ import annotations

from pathlib import Path


def install(folder: Path, name: str, module: str, entry_points: str) -> Path:
    """Write the module ``name`` and the metadata of a distribution ``name`` 1.0; returns the folder to import from."""
    (folder / f"{name}.py").write_text(module)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    return folder
