"""`assistmimic clips generate`: motion of our own making becomes clips."""

from __future__ import annotations

import json as json_module
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from assistmimic_env.generator.batch import Generation, Made


def generate(
    family: Annotated[str, tyro.conf.Positional],
    *,
    out: Path,
    seeds: str = "0:8",
    split: Literal["train", "test"] = "train",
    dry_run: bool = False,
    workers: int = 1,
    json: bool = False,
) -> None:
    """Generate clips that every environment takes: --clips DIR, make(id, clips=DIR).

    The same seed, split and version give the same motion. Started again, it goes on where it stopped: clips that are
    there already are kept. One clip takes 5 to 60 seconds. Measurements beyond the family's limits are told.

    Example: assistmimic clips generate help_up --seeds 0:20 --out clips/help_up

    Args:
        family: What is shown (see: assistmimic clips families).
        out: The folder of the clips, SPLIT_SEED.npz; made if it does not exist.
        seeds: A range such as 0:20 (without its end), or numbers such as 3,5,8.
        split: train, or test: held-out clips, with one parameter outside the ranges of train.
        dry_run: Say what would be done; generate and write nothing.
        workers: Processes.
        json: Print one JSON object instead of text.
    """
    from .clips_named import one_thread

    one_thread()
    from assistmimic_env.generator.batch import Generation
    from assistmimic_env.generator.limits import told

    order = Generation(family=family, seeds=read_seeds(seeds), split=split, out=out)
    made = _collect(order, dry_run=dry_run, workers=workers, quiet=json)
    if json:
        clips = list(map(asdict, made))
        print(json_module.dumps({"family": family, "split": split, "dry_run": dry_run, "clips": clips}, indent=2))
    else:
        print("\n".join(f"{one.file}  {one.status}  {told(one.broken, family)}".rstrip() for one in made))


def read_seeds(text: str) -> tuple[int, ...]:
    """Numbers from ``0:20`` or ``3,5,8``, each once.

    Raises:
        ConfigError: Neither of the two, or no number at all.
    """
    from assistmimic_env.errors import ConfigError

    first, colon, end = text.partition(":")
    words = [first, end] if colon else text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise ConfigError(f"--seeds {text}: expected a range such as 0:20, or numbers such as 3,5,8.")
    numbers = tuple(int(word) for word in words)
    numbers = tuple(range(*numbers)) if colon else tuple(dict.fromkeys(numbers))
    if not numbers:
        raise ConfigError(f"--seeds {text}: the range is empty; its end is not part of it.")
    return numbers


def _collect(order: Generation, *, dry_run: bool, workers: int, quiet: bool) -> list[Made]:
    """All clips, with a bar on standard error while they come."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    with closing(order.preview() if dry_run else order.run(workers=workers)) as steps:
        bar = track(
            steps,
            "generating",
            total=len(order.seeds),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        return list(bar)
