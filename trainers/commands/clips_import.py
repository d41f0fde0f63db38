"""`assistmimic clips import` and `clips formats`: other people's motion becomes clips."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from assistmimic_env.importing.batch import Import, Outcome, Preview


def import_clips(
    format: Annotated[str, tyro.conf.Positional],
    path: Annotated[Path, tyro.conf.Positional],
    *,
    out: Path,
    dry_run: bool = False,
    up: Literal["y", "z"] | None = None,
    unit: Literal["m", "cm", "mm", "inch"] | None = None,
    fps: float | None = None,
    supporter: Literal["first", "second"] | None = None,
    partner: Path | None = None,
    models: Path | None = None,
    name: str = "*",
    clip_fps: float = 30.0,
    body: Literal["smpl24", "smpl52"] | None = None,
    proportions: Literal["fitted", "default"] = "fitted",
    stature: tuple[float, float] | None = None,
    furniture: Literal["infer", "none"] = "infer",
    smooth: float | None = None,
    steady: bool = False,
    separate: bool = False,
    workers: int = 1,
    json: bool = False,
) -> int:
    """Turn motion of another format into clips that every environment takes: --clips DIR, make(id, clips=DIR).

    Started again, it goes on where it stopped: clips made from the same files with the same options are kept. What
    cannot be read is told and does not stop the rest; the exit code is then 2. All numbers are in DIR/import.json.
    Formats: assistmimic clips formats. Pages: docs/motion.md.

    Example: assistmimic clips import interx Inter-X/motions --name "*A019*" --out clips/interx

    Args:
        format: interx, hhi, intergen, amass, phc, amc, bvh, npz, or one of a plug-in.
        path: A file or folder of that format.
        out: The folder of the clips; made if it does not exist.
        dry_run: Read everything and say what would be done; convert and write nothing.
        up: Vertical axis of the source, where the file does not say.
        unit: Unit of length of the source, where the file does not say.
        fps: Frames per second of the source, where the file does not say.
        supporter: Who supports, the first or the second person of the source.
        partner: The second person's file, for formats with one person per file.
        models: Folder of your own SMPL, SMPL-H or SMPL-X model files.
        name: Only recordings whose names match, e.g. "*A019*".
        clip_fps: Frames per second of the clips.
        body: Body of the clips; by default the source's: with fingers (smpl52) or without (smpl24).
        proportions: Bone lengths of the recorded people, or those of our body.
        stature: With default proportions: how tall supporter and recipient are [m]; otherwise as our body.
        furniture: Put seats and beds where people sit and lie and the source tells no furniture, or never.
        smooth: Low-pass the source below this frequency [Hz], for jittery motion.
        steady: Shift each person slowly so that standing feet rest on the floor, for generated motion that glides.
        separate: Push people out of each other where they overlap.
        workers: Processes.
        json: Print one JSON object instead of text.
    """
    from .clips_named import one_thread

    one_thread()
    from assistmimic_env.formats.take import ReadOptions
    from assistmimic_env.importing.batch import Import
    from assistmimic_env.importing.settings import ConversionSettings

    options = ReadOptions(up=up, unit=unit, fps=fps, supporter=supporter, partner=partner, models=models)
    settings = ConversionSettings(
        fps=clip_fps,
        body=body,
        proportions=proportions,
        stature=stature or (None, None),
        furniture=furniture,
        smooth=smooth,
        steady=steady,
        separate=separate,
    )
    order = Import(format=format, path=path, out=out, options=options, settings=settings, pattern=name)
    results = _collect(order, dry_run=dry_run, workers=workers, quiet=json)
    if json:
        print(json_module.dumps({"out": str(out), "dry_run": dry_run, "clips": list(map(asdict, results))}, indent=2))
    else:
        _print(results, out)
    return 2 if any(result.error for result in results) else 0


def formats(*, json: bool = False) -> None:
    """List the formats that can be imported: what they are, their terms, how to obtain files and where to put them.

    Args:
        json: Print one JSON object instead of text.
    """
    from assistmimic_env.formats import Format, find_format, format_names

    entries: dict[str, dict[str, str]] = {}
    for name in format_names():
        found = find_format(name)
        if isinstance(found, Format):
            entries[name] = {"title": found.title, "license": found.license, "obtain": " ".join(found.obtain.split())}
        else:
            entries[name] = {"title": (found.__doc__ or "clips").strip().splitlines()[0], "license": "", "obtain": ""}
    if json:
        print(json_module.dumps(entries, indent=2))
        return
    for name, entry in entries.items():
        print(f"{name}: {entry['title']}")
        print(*(f"  {entry[key]}\n" for key in ("license", "obtain") if entry[key]), sep="", end="")


def _collect(order: Import, *, dry_run: bool, workers: int, quiet: bool) -> list[Outcome | Preview]:
    """All results, with a bar on standard error while they come, and a line for each failure."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total = len(order.sources)
    results: list[Outcome | Preview] = []
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("reading" if dry_run else "importing", total=total)
        with closing(order.preview() if dry_run else order.run(workers=workers)) as steps:
            for result in steps:
                results.append(result)
                bar.advance(task)
                if result.error and not quiet:
                    bar.console.print(f"assistmimic: {result.name}: {result.error}", markup=False)
    return results


def _print(results: Sequence[Outcome | Preview], out: Path) -> None:
    from assistmimic_env.importing.batch import Outcome
    from assistmimic_env.importing.ledger import LEDGER

    from .clips_table import outcome_table, preview_table

    outcomes = [result for result in results if isinstance(result, Outcome)]
    previews = [result for result in results if not isinstance(result, Outcome)]
    print(outcome_table(outcomes) if outcomes else preview_table(previews))
    print(f"{_count(results)}{f'; every number is in {out / LEDGER}' if outcomes else ''}")
    failed = [result.name for result in results if result.error]
    if failed:
        print(f"assistmimic: {len(failed)} failed: {', '.join(failed)}", file=sys.stderr)


def _count(results: Sequence[Any]) -> str:
    """Such as `3 imported, 2 kept, 1 failed`."""
    counts: dict[str, int] = {}
    for result in results:
        counts[result.status] = counts.get(result.status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in counts.items())
