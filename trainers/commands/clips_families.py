"""`assistmimic clips families` and `clips build-generated`: what can be generated, what it keeps to, what ships."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from assistmimic_env.clip import PairClip
    from assistmimic_env.generator import Family
    from assistmimic_env.generator.limits import Row, Table


def families(*, measure: bool = False, clips: Path | None = None, out: Path | None = None, json: bool = False) -> None:
    """List the families of generated motion, and how many clips of each ship with the package.

    Example: assistmimic clips families --measure --clips clips --out limits.json

    Args:
        measure: Also measure the clips that ship: slips, depths, reach, joints and speeds, beside their limits.
        clips: Measure these instead: a folder with a folder of each family, such as DIR in `clips generate FAMILY --out
            DIR/FAMILY`; families without one are left out.
        out: Write the measurements to this file (.json), and as a table beside it (.md).
        json: Print one JSON object instead of text.
    """
    from .clips_named import one_thread

    one_thread()
    from assistmimic_env.errors import ConfigError
    from assistmimic_env.generator import FAMILIES
    from assistmimic_env.generator.limits import table

    if out is not None and out.suffix != ".json":
        raise ConfigError(f"--out {out}: expected a file that ends with .json; the table goes beside it.")
    wanted = measure or clips is not None or out is not None
    tables = {name: table(name, found) for name, found in _clips(clips) if found} if wanted else {}
    if out is not None:
        _write(tables, out)
    entries = {name: _entry(one, tables.get(name)) for name, one in FAMILIES.items()}
    if json:
        print(json_module.dumps(entries, indent=2))
    else:
        print("\n".join(line for name, entry in entries.items() for line in _lines(name, entry)))


def build_generated(family: Annotated[tuple[str, ...], tyro.conf.Positional] = (), *, out: Path) -> None:
    """Generate the clips that ship with the package; equal versions give equal files.

    Args:
        family: Only these families; by default all.
        out: The folder to write to, one folder per family below it; made if it does not exist.
    """
    from .clips_named import one_thread

    one_thread()
    from assistmimic_env.generator import bundle

    for path in bundle(out, family):
        print(path, flush=True)


def _clips(folder: Path | None) -> Iterator[tuple[str, list[PairClip]]]:
    """Family by family: the clips that ship, or those of a folder.

    Raises:
        ClipError: The folder has no clip of any family.
    """
    from assistmimic_env.clip import PairClip, load_clip
    from assistmimic_env.errors import ClipError
    from assistmimic_env.generator import FAMILIES

    if folder is None:
        for name, one in FAMILIES.items():
            yield name, [load_clip(clip) for split in one.bundled for clip in one.bundled_names(split)]
        return
    files = {name: sorted((folder / name).glob("*.npz")) for name in FAMILIES}
    if not any(files.values()):
        raise ClipError(f"the folder {folder} has no clips in FAMILY/*.npz. Families: {', '.join(FAMILIES)}.")
    for name, paths in files.items():
        yield name, [PairClip.load(path) for path in paths]


def _entry(family: Family, table: Table | None) -> dict[str, Any]:
    """A family as plain values; with what was measured."""
    entry = {"description": family.description, "version": family.version, "bundled": dict(family.bundled)}
    return entry if table is None else {**entry, "measured": asdict(table)}


def _lines(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    bundled = entry["bundled"]
    yield f"{name}: {entry['description']}"
    yield f"  bundled: {bundled['train']} to train on, {bundled['test']} to test"
    for row in entry.get("measured", {}).get("rows", ()):
        value = "-" if row["worst"] is None else f"{row['worst']:.3g} {row['unit']}"
        yield f"  {row['name']:<26} {value:>12}   at most {row['limit']:<7g} {row['clip']}".rstrip()


def _write(tables: Mapping[str, Table], out: Path) -> None:
    """The measurements as JSON, and as a table."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json_module.dumps({name: asdict(one) for name, one in tables.items()}, indent=1) + "\n")
    out.with_suffix(".md").write_text(_markdown(tables))


def _markdown(tables: Mapping[str, Table]) -> str:
    """One column per family, and the clips that are beyond a limit."""
    from assistmimic_env.generator.limits import told

    counts = ("; ".join(f"{count} {split}" for split, count in one.clips.items()) for one in tables.values())
    columns = [[_cell(row) for row in one.rows] for one in tables.values()]
    names = [f"{row.name} [{'mm' if row.unit == 'm' else row.unit}]" for row in next(iter(tables.values())).rows]
    head = [["worst / limit", *tables], ["-"] * (len(tables) + 1), ["clips", *counts]]
    body = [list(cells) for cells in zip(names, *columns, strict=True)]
    beyond = ["beyond a limit", *(str(len(one.beyond)) for one in tables.values())]
    lines = [f"| {' | '.join(cells)} |" for cells in [*head, beyond, *body]]
    clips = [f"* `{clip}`: {told(found, name)}" for name, one in tables.items() for clip, found in one.beyond.items()]
    parts = ["# Generated motion: what clips reach at worst, and their limits", "\n".join(lines)]
    return "\n\n".join([*parts, *(["Clips beyond a limit:", "\n".join(clips)] if clips else [])]) + "\n"


def _cell(row: Row) -> str:
    if row.worst is None:
        return "-"
    digits, scale = (1, 1000.0) if row.unit == "m" else (2, 1.0)
    return f"{row.worst * scale:.{digits}f} / {row.limit * scale:g}"
