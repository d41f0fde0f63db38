"""`assistmimic demo`: every pair of policies that ships, in the environment it was trained in: figures and a film."""

from __future__ import annotations

import json as json_module
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assistmimic_env.evaluation import Evaluation

    from .stage import Stage

COLUMNS = ("task_success", "mpjpe", "support_force")
"""What is shown of each pair."""

WIDTH, HEIGHT = 960, 540
"""Size of the pictures [pixels]."""

EVERY = 2
"""Control steps from picture to picture: drawing them all would take longer than all rollouts."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """What there is to see of a pair."""

    path: Path | None = None
    """A video or a film strip, if there is one."""
    caption: str = ""
    """Which rollout it shows."""
    reason: str = ""
    """Why it is no video, if one was wanted."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A pair that has been played."""

    policy: str
    """Its name."""
    stage: Stage
    """Where it acted."""
    result: Evaluation
    """How well."""
    film: Film
    """What it looks like."""


def demo(
    *,
    task: tuple[str, ...] = (),
    rollouts: int = 16,
    seed: int = 0,
    out: Path = Path("assistmimic-demo"),
    no_video: bool = False,
    threads: int = 0,
    json: bool = False,
) -> None:
    """Play the policies that ship: how often they succeed, how near they are to the clip, how much they support.

    Takes less than a minute on 2 cores and needs no network. Of each task, the film shows the first rollout that
    succeeded (the first one if none did) beside the translucent reference.

    Args:
        task: Only these environments, e.g. SitToStand-v0; by default all that policies ship for.
        rollouts: Rollouts of each pair; they take turns through the clips.
        seed: Seed of the first rollout.
        out: Folder of the films; without an encoder (pip install 'assistmimic[video]') they are film strips (PNG).
        no_video: Make no films.
        threads: Threads of the physics; 0 means all CPUs. Results do not depend on it.
        json: Print one JSON object instead of a table; success_rate is that of the task.
    """
    from assistmimic_env.config import require

    require(rollouts >= 1, "--rollouts", rollouts, "at least 1: without rollouts there is no result")
    stages = _choose(task)
    if not no_video:
        _make_folder(out)
    shown: list[Shown] = []
    for policy, stage in stages.items():
        print(f"{_short(stage)}: {rollouts} rollouts of {policy} ...", file=sys.stderr)
        result = _measure(policy, stage, rollouts=rollouts, seed=seed, threads=threads, record=not no_video)
        film = Film() if no_video else _film(result, out / f"{_short(stage)}-{policy}.mp4")
        shown.append(Shown(policy=policy, stage=stage, result=result, film=film))
    if json:
        print(json_module.dumps(_report(shown), indent=2))
    else:
        _print(shown)
    for reason in dict.fromkeys(each.film.reason for each in shown if each.film.reason):
        print(f"assistmimic: {reason}", file=sys.stderr)


def _choose(tasks: Sequence[str]) -> dict[str, Stage]:
    """Name of each shipped pair of these tasks, or of all -> the environment on its cards."""
    import assistmimic_env
    from assistmimic_env.errors import ConfigError
    from assistmimic_env.resources import shipped_pairs

    from .stage import choose_stage

    wanted = {assistmimic_env.spec(task).id for task in tasks}
    stages = {name: choose_stage((name,), env=None, clips=(), held_out=False) for name in shipped_pairs()}
    tasks_that_ship = {stage.env for stage in stages.values()}
    if missing := sorted(wanted - tasks_that_ship):
        raise ConfigError(
            f"no policies ship for {missing[0]}, only for: {', '.join(sorted(tasks_that_ship))}. "
            f"Train some: assistmimic train {missing[0]}."
        )
    return {name: stage for name, stage in stages.items() if not wanted or stage.env in wanted}


def _make_folder(folder: Path) -> None:
    """Make sure that files can be written there before time is spent on them."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def _measure(policy: str, stage: Stage, *, rollouts: int, seed: int, threads: int, record: bool) -> Evaluation:
    from assistmimic_env.evaluation import evaluate
    from assistmimic_env.policy import load_pair
    from assistmimic_env.resources import shipped_pairs

    return evaluate(
        stage.env, load_pair(shipped_pairs()[policy]), name=policy, rollouts=rollouts, seed=seed, threads=threads,
        record=rollouts if record else 0, **stage.options,
    )  # fmt: skip


def _film(result: Evaluation, path: Path) -> Film:
    """Draw the first success, or the first rollout; without OpenGL, say so."""
    from assistmimic_env.errors import MissingDependencyError
    from assistmimic_env.recording import frames
    from assistmimic_env.rendering import write_video

    ((policy, recordings),) = result.recordings.items()
    success = result.per_rollout[policy]["task_success"]
    which = int(success.argmax())
    try:
        pictures = frames(recordings[which], width=WIDTH, height=HEIGHT, every=EVERY)
        written = write_video(path, pictures, fps=30.0 / EVERY)
    except MissingDependencyError as error:
        return Film(reason=f"no picture was made: {error}")
    caption = f"seed {result.seed + which}, {'a success' if success[which] else 'a failure'}"
    reason = f"film strips instead of videos: {written.reason}" if written.reason else ""
    return Film(path=written.path, caption=caption, reason=reason)


def _report(shown: Sequence[Shown]) -> dict[str, Any]:
    from assistmimic_env.quantities import UNITS

    return {"units": {name: UNITS[name] for name in COLUMNS}, "tasks": [_row(each) for each in shown]}


def _row(each: Shown) -> Mapping[str, Any]:
    report = each.result.to_json()
    metrics = report["policies"][each.policy]["metrics"]
    return {
        "task": each.stage.env,
        "policy": each.policy,
        "options": dict(each.stage.options),
        "rollouts": report["rollouts"],
        "seeds": report["seeds"],
        "success_rate": metrics["task_success"]["mean"],
        **{name: metrics[name] for name in COLUMNS},
        "film": None if each.film.path is None else str(each.film.path),
    }


def _print(shown: Sequence[Shown]) -> None:
    from .evaluate import print_table

    tables = [each.result.table(COLUMNS) for each in shown]
    heading = ["task", *tables[0][0]]
    print_table([heading, *([_short(each.stage), *table[1]] for each, table in zip(shown, tables, strict=True))])
    for film in (each.film for each in shown if each.film.path is not None):
        print(f"{film.path}  ({film.caption})")


def _short(stage: Stage) -> str:
    """The id of its environment without the namespace."""
    return stage.env.rsplit("/", 1)[-1]
