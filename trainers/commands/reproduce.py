"""`assistmimic reproduce table`: our results table, as a queue of trainings that goes on where it was."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Literal


def table(
    *,
    task: str = "SitToStand-v0",
    budget: Literal["quick", "full"] = "quick",
    arms: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    steps: int | None = None,
    rollouts: int | None = None,
    runs: Path = Path("runs/table"),
    out: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Train and measure every arm with equal steps and write our results table as JSON and Markdown.

    Example: assistmimic reproduce table --task SitToStand-v0 --budget quick

    A cell is one training and its measurement under all conditions, kept below RUNS in a folder named by a hash of all
    its settings. Interrupt it any time: called again, it keeps the cells that are done and goes on with the one it was
    at. What was not run is marked so. Its checkpoints are pickles: give --runs only folders you trust.

    Args:
        task: Environment id. Of SitToStand-v0 every ablation and baseline, of others the full method with one seed.
        budget: quick: few steps, one seed, under 30 minutes on 2 cores, most important arms first (called again it
            does more of them); full: a million steps and three seeds, hours per arm.
        arms: Only these: full, tracking, no-COMPONENT, baselines, or several joined by +, as for study.
        seeds: Seeds of training, in place of the budget's.
        steps: Control steps of the pair for every cell, in place of the budget's.
        rollouts: Rollouts of every cell under each condition, in place of the budget's.
        runs: Where cells are kept.
        out: JSON or Markdown file to write, the other is put beside it; by default RUNS/TASK.
        dry_run: Show the queue and the time it will take, and start nothing.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve a busy machine
    from rich.console import Console
    from rich.table import Column
    from rich.table import Table as Rows

    from assistmimic_trainers.cell_queue import CellQueue
    from assistmimic_trainers.table import EFFORTS, Table
    from assistmimic_trainers.table_report import TableReport

    console, effort = Console(), EFFORTS[budget]
    asked = Table.of(task, effort, arms=arms, seeds=seeds, steps=steps, rollouts=rollouts)
    cells = asked.cells()
    queue = CellQueue(cells, runs, console=console, seconds=effort.seconds)
    if dry_run:
        heading, *body = queue.rows()
        shown = Rows(*(Column(name, overflow="fold") for name in heading))
        for row in body:
            shown.add_row(*row)
        console.print(shown, markup=False)
        return queue.announce()
    queue.announce()
    try:
        queue.work()
    finally:
        command = shlex.join(["assistmimic", *sys.argv[1:]])
        stem = out or runs / f"{asked.env_id.rpartition('/')[2]}.json"
        for path in TableReport.read(asked, cells, runs, command=command).save(stem):
            console.print(f"{path}", highlight=False, soft_wrap=True)
