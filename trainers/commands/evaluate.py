"""`assistmimic eval`: measure pairs of policies on the same seeds, under one or several conditions."""

from __future__ import annotations

import json as json_module
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from assistmimic_env.evaluation import Evaluation
    from assistmimic_env.grid import Grid


def evaluate(
    policies: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    *,
    policy: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    env: str | None = None,
    recipient: str | None = None,
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    grid: tuple[str, ...] | None = None,
    clips: tuple[str, ...] = (),
    held_out: bool = False,
    rollouts: int = 100,
    seed: int = 0,
    start_noise: float = 1.0,
    threads: int = 0,
    out: Path | None = None,
    videos: Literal["first", "all", "none"] = "first",
    json: bool = False,
) -> None:
    """Measure pairs of policies on the same seeds: success, errors, contacts, forces, balance, with 95 % intervals.

    Example: assistmimic eval runs/full random --grid paper --out report

    Args:
        policies: For each pair the folder of a run or of exported policies, a single-person policy, or one of: random,
            hold, still, prior, needs-help (a pair that ships; assistmimic demo names all); A+B: the supporter of A, the
            recipient of B. NAME=FOLDER gives it a name. By default random.
        policy: The same as a flag, once for each pair.
        env: Environment id (list them: assistmimic info). By default the one that the policies were trained in, with
            the options on their cards.
        recipient: How impaired the recipient is, e.g. needs-help.
        option: Another option of the environment as KEY=VALUE, e.g. grip=none or contact.near=0.2; may be repeated.
        grid: Conditions to compare: paper (all of the paper's), or any of none, mass-1.2, mass-1.5, gain-0.5,
            gain-0.5-both, hip-torque-0.5.
        clips: Other motion: names of bundled clips or of their folders, clip files, or folders of files.
        held_out: Use the environment's clips that training does not see.
        rollouts: Rollouts of each pair and condition; they take turns through the clips.
        seed: Seed of the first rollout.
        start_noise: Scale of the noise of the start state; 0 starts exactly on the reference.
        threads: Threads of the physics; 0 means all CPUs. Results do not depend on it.
        out: Write the result: to a JSON file if it ends in .json, else a folder with evaluation.json, table.md, plots,
            videos and report.html, one page that needs no other file.
        videos: Of which conditions the folder has a video of each pair's first rollout.
        json: Print the result as one JSON object instead of a table.
    """
    import assistmimic_env
    from assistmimic_env.config import require
    from assistmimic_env.evaluation import compare
    from assistmimic_env.grid import conditions, evaluate_grid
    from assistmimic_trainers.options import read_options

    from .pairs import load_pairs
    from .stage import choose_stage

    words = (*policies, *policy) or ("random",)
    chosen = None if grid is None else conditions(grid)
    require(rollouts >= 1, "--rollouts", rollouts, "at least 1: without rollouts there is no result")
    stage = choose_stage(
        words, env=env, clips=clips, held_out=held_out, recipient=recipient, options=read_options(option)
    )
    pairs = load_pairs(words, assistmimic_env.make_vec(stage.env, num_envs=1, **stage.options), seed=seed)
    report = out is not None and out.suffix != ".json"
    settings: dict[str, Any] = {
        **stage.options,
        "own_options": stage.own_options,
        "rollouts": rollouts,
        "seed": seed,
        "start_noise": start_noise,
        "num_worlds": min(64, rollouts),
        "threads": threads,
        "record": int(report and videos != "none"),
    }
    if not json:
        print(stage.describe(), file=sys.stderr)
    result = (
        compare(stage.env, pairs, **settings)
        if chosen is None
        else evaluate_grid(stage.env, pairs, conditions=chosen, watch=_say, **settings)
    )
    if out is not None and not report:
        result.save(out)
    if json:
        print(json_module.dumps(result.to_json(), indent=2))
    else:
        _print(result)
    if out is not None and report:
        _report(result, out, videos)


def _say(condition: str) -> None:
    print(f"condition {condition} ...", file=sys.stderr)


def _report(result: Evaluation | Grid, folder: Path, videos: Literal["first", "all", "none"]) -> None:
    from assistmimic_env.evaluation import Evaluation
    from assistmimic_env.grid import SEEN, Grid
    from assistmimic_env.report import write_report

    grid = Grid(evaluations={SEEN: result}) if isinstance(result, Evaluation) else result
    command = shlex.join(["assistmimic", *sys.argv[1:]])
    page = write_report(grid, folder, content=result.to_json(), command=command, videos=videos)
    print(page, file=sys.stderr)


def _print(result: Evaluation | Grid) -> None:
    """Print a column per pair: all main figures of one evaluation, or those of each condition, one after the other."""
    from assistmimic_env.evaluation import Evaluation
    from assistmimic_env.quantities import MAIN, QUANTITIES

    if isinstance(result, Evaluation):
        print_table(list(zip(*result.table(), strict=True)))
        return
    for name in MAIN:
        _, *body = rows = result.cross_table(name)
        print_table([[QUANTITIES[name].heading, *rows[0][1:]], *body])


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text, headings first."""
    from rich.console import Console
    from rich.table import Table

    heading, *body = rows
    table = Table(*heading)
    for row in body:
        table.add_row(*row)
    Console(markup=False).print(table)
