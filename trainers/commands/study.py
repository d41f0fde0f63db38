"""`assistmimic study`: several ways to train, with several seeds, compared at equal steps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import tyro

COLUMNS = {
    "task_success": ("task success %", 100.0),
    "success_50": ("SR@0.5 %", 100.0),
    "survived": ("survived %", 100.0),
    "mpjpe": ("MPJPE mm", 1000.0),
    "mpjpe_recipient": ("recipient mm", 1000.0),
    "mpjpe_supporter": ("supporter mm", 1000.0),
    "support_force": ("support N", 1.0),
}
"""Quantity -> heading and factor of its column."""


def study(
    env: Annotated[str, tyro.conf.Positional] = "AssistMimic/SitToStand-v0",
    *,
    arms: tuple[str, ...] = ("full",),
    starts: tuple[str, ...] = (),
    clips: tuple[str, ...] = (),
    recipient: str | None = None,
    option: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (0, 1, 2),
    steps: int = 200_000,
    points: int = 3,
    level: float = 0.9,
    out: Path | None = None,
) -> None:
    """Train in several ways with several seeds and report curves, final figures and their differences.

    Example: assistmimic study --recipient needs-help --arms full no-retargeting no-contact-reward no-weight-init

    Leaves study.json and study.png (curves against steps and minutes). Interrupt it any time: called again with the
    same --out, it keeps the runs that are complete and does the rest.

    Args:
        env: Environment id (list them: assistmimic info).
        arms: What is compared; differences are to the first. Each is full, tracking, no-COMPONENT (as for train
            --ablate) or a baseline (as for train --baseline), or several of these joined by +.
        starts: What training starts from, as for train --init-from; every arm starts from each.
        clips: Other motion: names of bundled clips or of their folders, clip files, or folders of files.
        recipient: Impairment of the recipient: none, interx, hhi, needs-help; by default the environment's.
        option: Further options of the environment for all arms, as for train.
        seeds: Seeds of training.
        steps: Control steps of the pair, for every run.
        points: Evaluations of 32 rollouts on the way.
        level: Task success: the first evaluation that reaches it is reported.
        out: Folder; by default runs/study-NAME.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve a busy machine
    from rich.console import Console
    from rich.table import Column, Table

    import assistmimic_env
    from assistmimic_trainers.options import env_options
    from assistmimic_trainers.study import StudyConfig, study

    console = Console()
    spec = assistmimic_env.spec(env)
    folder = out or Path("runs") / f"study-{spec.id.rsplit('/', 1)[-1]}"
    config = StudyConfig(
        env_id=spec.id, arms=arms, starts=starts, recipient=recipient, options=env_options(option, clips=clips),
        seeds=seeds, steps=steps, points=points, level=level,
    )  # fmt: skip
    path = study(config, folder, console=console)
    report = json.loads(path.read_text())
    for title in ("final", "difference"):
        table = Table(Column(title, overflow="fold"), *(heading for heading, _ in COLUMNS.values()))
        for name, measured in report[title].items():
            table.add_row(name, *(_cell(measured[quantity], scale) for quantity, (_, scale) in COLUMNS.items()))
        console.print(table, markup=False)
    for name, times in report["reached"].items():
        told = ", ".join(_time(one) for one in times)
        console.print(f"{name}: task success {100 * level:.0f} % {told}", highlight=False, soft_wrap=True)
    console.print(f"{path}\n{path.with_suffix('.png')}", highlight=False, soft_wrap=True)


def _time(first: Mapping[str, float] | None) -> str:
    """When a run reached the level."""
    return "not reached" if first is None else f"after {first['steps']:,} steps, {first['seconds'] / 60:.1f} minutes"


def _cell(measured: Mapping[str, float | None], scale: float) -> str:
    """A mean and its 95 % interval over seeds."""
    mean, low, high = (None if value is None else f"{scale * value:.0f}" for value in measured.values())
    return f"{mean}" if low is None else f"{mean} ({low} to {high})"
