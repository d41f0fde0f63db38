"""`quickstart`: from a clip to a trained pair, a comparison on fixed seeds, a learning curve and a video."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import assistmimic_env
from assistmimic_env.errors import MissingDependencyError
from assistmimic_env.evaluation import Evaluation, compare, frames
from assistmimic_env.policy import load_pair
from assistmimic_env.rendering import write_video

from .feedforward import WarmStart
from .options import merged
from .plots import plot_learning_curve
from .progress import read_records
from .run import TRAINING_OPTIONS, RunResult, RunSettings, evaluation_options, read_settings, resume_run, start_run
from .start import FEEDFORWARD, StartSettings
from .training import Budget, write_json

PAIRS = ("random", "start", "trained")
"""What the evaluation compares: random weights, what PPO starts from, the trained pair."""

EVALUATION_SEED = 10**6
"""First seed of the evaluation, far from those of the training."""


@dataclass(frozen=True, kw_only=True)
class QuickstartBudget:
    """How much a quickstart does."""

    steps: int
    """Control steps of PPO, all worlds together."""
    train_seconds: float
    """Longest PPO time [s]."""
    feedforward: WarmStart
    """The feed-forward stage."""
    rollouts: int
    """Rollouts per pair in the evaluation."""
    worlds: int
    """Worlds of the training, all in one process."""
    picture: tuple[int, int]
    """Width and height of the video [pixels]."""


BUDGETS: Mapping[str, QuickstartBudget] = {
    "full": QuickstartBudget(
        steps=500_000,
        train_seconds=600.0,
        feedforward=WarmStart(),
        rollouts=100,
        worlds=96,
        picture=(854, 480),
    ),
    "smoke": QuickstartBudget(
        steps=8_192,
        train_seconds=30.0,
        feedforward=WarmStart(samples=4096, epochs=6),
        rollouts=16,
        worlds=32,
        picture=(480, 270),
    ),
}
"""full: under 15 minutes on 2 cores; smoke: under 2 minutes, everything once."""


@dataclass(frozen=True, kw_only=True)
class QuickstartResult:
    """What a quickstart left behind."""

    folder: Path
    """The run."""
    results: Path
    """JSON with settings, times and the evaluation."""
    curve: Path
    """Learning curve, PNG."""
    film: Path | None
    """MP4, or a PNG film strip without an encoder; None without OpenGL."""
    finished: bool
    """Whether PPO spent its budget; False if the user stopped it."""


def quickstart(
    env_id: str,
    folder: Path,
    *,
    budget: str = "full",
    seed: int = 0,
    steps: int | None = None,
    resume: bool = False,
    ppo: Mapping[str, Any] | None = None,
    init_from: str = FEEDFORWARD,
    env_options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> QuickstartResult:
    """Start, PPO, evaluation, learning curve, video.

    Args:
        env_id: Environment.
        folder: Folder of the run.
        budget: Key of `BUDGETS`.
        seed: Seed of everything random.
        steps: Control steps of PPO instead of the budget's; also lifts its time limit.
        resume: Continue the run in the folder.
        ppo: Further keyword arguments of `assistmimic_ppo`, as plain values.
        init_from: What PPO starts from, see `start.Start`.
        env_options: Of the environment, such as other clips.
        console: Where to show progress; standard output by default.
    """
    start = time.monotonic()
    console = console or Console()
    plan = BUDGETS[budget]
    limit = Budget(steps=plan.steps, seconds=plan.train_seconds) if steps is None else Budget(steps=steps)
    if resume:
        settings = read_settings(folder)
        run = resume_run(folder, budget=limit, console=console)
    else:
        settings = quickstart_settings(
            env_id, plan, seed=seed, ppo=ppo or {}, init_from=init_from, env_options=env_options or {}
        )
        run = start_run(settings, folder, budget=limit, console=console)
    console.print(f"Evaluation: {', '.join(PAIRS)}, {plan.rollouts} rollouts each ...")
    evaluation = evaluate_pairs(settings, folder, rollouts=plan.rollouts)
    results = save_results(settings, run, evaluation, folder, seconds=time.monotonic() - start)
    show_table(evaluation, console)
    curve = draw_curve(evaluation, folder, settings.env_id)
    film = make_film(evaluation, folder / "trained.mp4", size=plan.picture, console=console)
    minutes = (time.monotonic() - start) / 60
    console.print(
        f"\n{results}\n{curve}\n{film or 'no video'}\n{minutes:.1f} minutes.", highlight=False, soft_wrap=True
    )
    return QuickstartResult(folder=folder, results=results, curve=curve, film=film, finished=run.finished)


def quickstart_settings(
    env_id: str,
    plan: QuickstartBudget,
    *,
    seed: int,
    ppo: Mapping[str, Any],
    init_from: str,
    env_options: Mapping[str, Any],
) -> RunSettings:
    """The run of a quickstart."""
    return RunSettings(
        env_id=assistmimic_env.spec(env_id).id,
        seed=seed,
        env_options=merged(TRAINING_OPTIONS, env_options),
        ppo={"num_env_runners": 0, "num_envs_per_env_runner": plan.worlds, **ppo},
        init_from=init_from,
        start=StartSettings(feedforward=plan.feedforward),
    )


def evaluate_pairs(settings: RunSettings, folder: Path, *, rollouts: int) -> Evaluation:
    """Compare the pairs of a run on the same seeds; the first rollout of the trained pair is kept for the film."""
    pairs = {name: load_pair(folder / "policies" / name) for name in PAIRS}
    return compare(
        settings.env_id, pairs, rollouts=rollouts, seed=EVALUATION_SEED, record=1, num_worlds=rollouts,
        **evaluation_options(settings),
    )  # fmt: skip


def save_results(
    settings: RunSettings, run: RunResult, evaluation: Evaluation, folder: Path, *, seconds: float
) -> Path:
    """Write `results.json`; nothing is drawn before."""
    records = read_records(folder / "progress.jsonl")
    last = records[-1] if records else {}
    content = {
        "format": "assistmimic-quickstart",
        "version": 1,
        "settings": settings.to_json(),
        "start": dict(run.report),
        "training": {
            "finished": run.finished,
            **{key: last.get(key) for key in ("iteration", "steps", "seconds", "fraction", "mpjpe", "task_success")},
        },
        "claims": claims(evaluation),
        "seconds": round(seconds, 1),
        "evaluation": evaluation.to_json(),
    }
    return write_json(folder / "results.json", content)


def claims(evaluation: Evaluation) -> dict[str, Any]:
    """What the quickstart must show, and whether it did."""
    survived = {name: evaluation.summary[name]["survived"] for name in PAIRS}
    random, start, trained = (survived[name] for name in PAIRS)
    return {
        "survived": {name: estimate.to_json() for name, estimate in survived.items()},
        "trained_survives_twice_random": bool(trained.mean >= 2 * random.mean and trained.low > random.high),
        "trained_survives_longer_than_start": bool(trained.low > start.high),
    }


def show_table(evaluation: Evaluation, console: Console) -> None:
    """Print the main figures, one column per pair."""
    title, *names = (row[0] for row in evaluation.table())
    table = Table(title, *names)
    for quantity in zip(*(row[1:] for row in evaluation.table()), strict=True):
        table.add_row(*quantity)
    console.print(table, markup=False)


def draw_curve(evaluation: Evaluation, folder: Path, env_id: str) -> Path:
    """Draw `learning_curve.png`."""
    levels = {name: evaluation.summary[name]["survived"].mean for name in PAIRS}
    records = read_records(folder / "progress.jsonl")
    return plot_learning_curve(records, folder / "learning_curve.png", title=f"{env_id}, {folder.name}", levels=levels)


def make_film(evaluation: Evaluation, path: Path, *, size: tuple[int, int], console: Console) -> Path | None:
    """Draw the first rollout of the trained pair beside the reference; None where nothing can be drawn."""
    width, height = size
    try:
        written = write_video(path, frames(evaluation.recordings["trained"][0], width=width, height=height))
    except MissingDependencyError as error:
        console.print(f"No picture was made: {error}", markup=False)
        return None
    if written.reason:
        console.print(f"A film strip instead of a video: {written.reason}", markup=False)
    return written.path
