"""`assistmimic clips generate` and `clips families`: motion of our own making becomes clips."""

from __future__ import annotations

import json as json_module
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from assistmimic_env.generator import Family, Split


def generate(
    family: Annotated[str, tyro.conf.Positional],
    *,
    out: Path,
    seeds: str = "0:8",
    split: Literal["train", "test"] = "train",
    json: bool = False,
) -> None:
    """Generate clips that every environment takes: --clips DIR, make(id, clips=DIR).

    The same seed, split and version give the same motion. Started again, it goes on where it stopped: clips that are
    there already are kept. One clip takes 5 to 60 seconds.

    Example: assistmimic clips generate help_up --seeds 0:20 --out clips/help_up

    Args:
        family: What is shown (see: assistmimic clips families).
        out: The folder of the clips, SPLIT_SEED.npz; made if it does not exist.
        seeds: A range such as 0:20 (without its end), or numbers such as 3,5,8.
        split: train, or test: held-out clips, with one parameter outside the ranges of train.
        json: Print one JSON object instead of text.
    """
    from .clips_named import one_thread

    one_thread()
    from assistmimic_env.generator import find_family

    chosen, numbers = find_family(family), read_seeds(seeds)
    _make_folder(out)
    made = []
    for path, status in _progress(_clips(chosen, numbers, split, out), total=len(numbers), quiet=json):
        made.append({"file": str(path), "status": status})
    if json:
        print(json_module.dumps({"family": chosen.name, "split": split, "clips": made}, indent=2))
    else:
        print(*(f"{one['file']}  {one['status']}" for one in made), sep="\n")


def families(*, measure: bool = False, json: bool = False) -> None:
    """List the families of generated motion, and how many clips of each ship with the package.

    Args:
        measure: Also measure the clips that ship: slides, depths, reach, joints and speeds, beside their limits.
        json: Print one JSON object instead of text.
    """
    from assistmimic_env.generator import FAMILIES

    entries = {name: _entry(one, measure=measure) for name, one in FAMILIES.items()}
    if json:
        print(json_module.dumps(entries, indent=2))
        return
    for name, entry in entries.items():
        counts = f"{entry['bundled']['train']} to train on, {entry['bundled']['test']} to test"
        print(f"{name}: {entry['description']}\n  bundled: {counts}")
        for row in entry.get("measured", ()):
            value = "-" if row["worst"] is None else f"{row['worst']:.3g} {row['unit']}"
            print(f"  {row['name']:<20} {value:>12}   at most {row['limit']:g}")


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


def read_seeds(text: str) -> tuple[int, ...]:
    """Numbers from ``0:20`` or ``3,5,8``.

    Raises:
        ConfigError: Neither of the two, or no number at all.
    """
    from assistmimic_env.errors import ConfigError

    first, colon, end = text.partition(":")
    words = [first, end] if colon else text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise ConfigError(f"--seeds {text}: expected a range such as 0:20, or numbers such as 3,5,8.")
    numbers = tuple(int(word) for word in words)
    numbers = tuple(range(*numbers)) if colon else numbers
    if not numbers:
        raise ConfigError(f"--seeds {text}: the range is empty; its end is not part of it.")
    return numbers


def _entry(family: Family, *, measure: bool) -> dict[str, Any]:
    """A family as plain values; measurements are the worst of its bundled clips."""
    from assistmimic_env.clip import load_clip
    from assistmimic_env.generator.limits import LIMITS, UNITS, worst

    entry = {"description": family.description, "version": family.version, "bundled": dict(family.bundled)}
    if not measure:
        return entry
    found = worst(load_clip(name) for split in family.bundled for name in family.bundled_names(split))
    rows = [
        {"name": name, "worst": value if math.isfinite(value) else None, "limit": LIMITS[name], "unit": UNITS[name]}
        for name, value in found.items()
    ]
    return {**entry, "measured": rows}


def _clips(family: Family, seeds: Sequence[int], split: Split, out: Path) -> Iterator[tuple[Path, str]]:
    """Each file with what became of it."""
    from assistmimic_env.generator.families import file_name

    for seed in seeds:
        path = out / f"{file_name(split, seed)}.npz"
        kept = path.exists() and _is_made_by(path, family, split, seed)
        if not kept:
            family.generate(seed=seed, split=split).save(path)
        yield path, "kept" if kept else "generated"


def _is_made_by(path: Path, family: Family, split: Split, seed: int) -> bool:
    """Whether a file holds the clip of a seed.

    Raises:
        ClipError: It holds something else, which is not replaced.
    """
    from assistmimic_env.clip import PairClip
    from assistmimic_env.errors import ClipError

    metadata = PairClip.load(path).metadata
    origin = metadata.get("provenance") or {}
    module = f"assistmimic_env.generator.{family.name}"
    if (origin.get("generator"), metadata.get("split"), metadata.get("seed")) != (module, split, seed):
        raise ClipError(f"{path} is another clip, not {family.name} of seed {seed}. Choose another folder for --out.")
    return origin.get("version") == family.version


def _make_folder(out: Path) -> None:
    from assistmimic_env.errors import ConfigError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder {out} cannot be made ({error}). Choose another one for --out.") from error


def _progress(clips: Iterator[tuple[Path, str]], *, total: int, quiet: bool) -> Iterator[tuple[Path, str]]:
    """The same, with a bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(
        clips, "generating", total=total, console=console, transient=True, disable=quiet or not sys.stderr.isatty()
    )
