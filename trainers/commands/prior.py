"""`assistmimic prior`: the single-person tracker that both roles start from."""

from __future__ import annotations

import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .pairs import PRIOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assistmimic_env.solo_evaluation import PersonResult


def train(
    *,
    clips: tuple[str, ...] = (),
    steps: int = 3_000_000,
    seed: int = 0,
    out: Path | None = None,
    resume: Path | None = None,
    init_from: str = "regulator",
    env_runners: int = 0,
) -> int:
    """Train a single-person tracker on every person of the clips, each alone.

    First a linear-quadratic regulator along each reference teaches the network (about a minute per clip on 2 cores),
    then PPO.

    Leaves <run>/policies/trained/tracker.{safetensors,json} for --init-from, and Humanoid.pth beside them: the same
    network in PHC's checkpoint format. Ctrl-C finishes the running update and saves.

    Args:
        clips: Names of bundled clips or folders, clip files, or folders of them; by default all bundled ones but those
            that are held out.
        steps: Control steps of one person.
        seed: Seed of worlds, networks and exploration.
        out: Folder of the run; by default a new one below `runs`.
        resume: Continue the run in this folder. Its checkpoints are pickles: resume only runs you trust.
        init_from: What PPO starts from: `regulator`, `feedforward`, `random`, or a single-person policy.
        env_runners: Processes that simulate; 0 simulates in this one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve a busy machine
    from rich.console import Console

    from assistmimic_env.policy import Policy
    from assistmimic_trainers.phc.writing import write_checkpoint
    from assistmimic_trainers.prior import prior_settings
    from assistmimic_trainers.run import resume_run, start_run
    from assistmimic_trainers.solo import TRACKER
    from assistmimic_trainers.training import Budget

    from .train import STOPPED, new_folder

    console = Console()
    folder = resume or out or new_folder(Path("runs"), "prior")
    limit = Budget(steps=steps)
    if resume is not None:
        result = resume_run(folder, budget=limit, console=console)
    else:
        settings = prior_settings(clips=clips, seed=seed, init_from=init_from, ppo={"num_env_runners": env_runners})
        result = start_run(settings, folder, budget=limit, console=console)
    if not result.finished:
        console.print(f"Stopped. Continue with: assistmimic prior train --resume {folder}", soft_wrap=True)
        return STOPPED
    trained = folder / "policies" / "trained"
    written = write_checkpoint(Policy.load(trained / TRACKER), trained / "Humanoid.pth", module=result.modules[TRACKER])
    console.print(f"{trained / TRACKER}.safetensors\n{written}", highlight=False, soft_wrap=True)
    return 0


def evaluate(
    policy: Annotated[str, tyro.conf.Positional] = PRIOR,
    *,
    clips: tuple[str, ...] = (),
    recipient: str = "none",
    rollouts: int = 32,
    seed: int = 0,
    start_noise: float = 1.0,
    threads: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Measure a tracker on every person of every clip, each alone: success, survival and MPJPE per clip and role.

    Example: assistmimic prior eval runs/prior/policies/trained/tracker

    Args:
        policy: A policy (either of its two files, or their stem); by default the one that ships with the package.
        clips: Names of bundled clips or clip files; by default all bundled ones, first those that training saw.
        recipient: Impairment of the recipients: none, interx, hhi, needs-help.
        rollouts: Rollouts per clip.
        seed: Seed of the first rollout.
        start_noise: Scale of the noise of the start state; 0 starts exactly on the reference.
        threads: Threads of the physics; 0 means all CPUs. Results do not depend on it.
        out: Write the result to this JSON file.
        json: Print one JSON object instead of tables.
    """
    from assistmimic_env.policy import Policy
    from assistmimic_env.solo_evaluation import evaluate_alone, held_out_clips, training_clips

    from .pairs import policy_stem

    chosen = {"given": clips} if clips else {"training": training_clips(), "held out": held_out_clips()}
    tracker = Policy.load(policy_stem(policy))
    results = {
        name: evaluate_alone(
            tracker,
            clips=group,
            rollouts=rollouts,
            seed=seed,
            start_noise=start_noise,
            threads=threads,
            actuation=str(tracker.card.actuation["law"]),
            recipient=recipient,
        )
        for name, group in chosen.items()
    }
    report = {
        "policy": policy,
        "recipient": recipient,
        "rollouts": rollouts,
        "seed": seed,
        "start_noise": start_noise,
        **_report(results),
    }
    text = json_module.dumps(report, indent=2)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"{text}\n", encoding="utf-8")
    if json:
        print(text)
    else:
        for name, group in results.items():
            _print_table(name, group)


def export_phc(policy: Annotated[str, tyro.conf.Positional] = PRIOR, *, out: Path = Path("Humanoid.pth")) -> None:
    """Write a single-person tracker in PHC's checkpoint format, with a new critic.

    Args:
        policy: A policy (either of its two files, or their stem); by default the one that ships with the package.
        out: The file to write.
    """
    from assistmimic_env.policy import Policy
    from assistmimic_trainers.phc.writing import write_checkpoint

    from .pairs import policy_stem

    print(write_checkpoint(Policy.load(policy_stem(policy)), out))


def _report(results: dict[str, tuple[PersonResult, ...]]) -> dict[str, Any]:
    from assistmimic_env.solo_evaluation import UNITS, mean_of

    return {
        "units": dict(UNITS),
        "groups": {
            name: {
                "mean": {quantity: mean_of(group, quantity) for quantity in UNITS},
                "people": [result.to_json() for result in group],
            }
            for name, group in results.items()
        },
    }


def _print_table(name: str, results: Sequence[PersonResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    from assistmimic_env.solo_evaluation import mean_of

    table = Table(
        "clip", "person", "task success [%]", "SR@0.5 [%]", "survived [%]", "MPJPE [mm]", title=f"{name} clips"
    )
    scales = {"task_success": 100.0, "success_50": 100.0, "survived": 100.0, "mpjpe": 1000.0}
    for result in results:
        cells = [f"{scale * result.metrics[key].mean:.0f}" for key, scale in scales.items()]
        table.add_row(result.clip, result.role, *cells)
    table.add_row("mean", "", *(f"{scale * mean_of(results, key):.0f}" for key, scale in scales.items()))
    Console(markup=False).print(table)
