"""`assistmimic distill`: several specialists become one pair of policies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import tyro

from .train import STOPPED, new_folder

STEPS = 2_000_000
"""Control steps by default."""


def distill(
    *,
    specialist: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    env: str = "AssistMimic/SitToStand-v0",
    method: Literal["dagger", "dagger-ppo"] = "dagger-ppo",
    steps: int = STEPS,
    clips: tuple[str, ...] = (),
    init_from: str | None = None,
    option: tuple[str, ...] = (),
    seed: int = 0,
    out: Path | None = None,
    resume: Path | None = None,
    env_runners: int | None = None,
    envs_per_runner: int | None = None,
    learners: int | None = None,
    checkpoint_seconds: float = 60.0,
) -> int:
    """Distil several specialists into one pair of policies (DAgger, then PPO).

    Example: assistmimic distill --specialist runs/low --specialist runs/high --env SitToStand-v0 --out runs/all

    The environment plays the clips of all specialists; at first the specialist of the clip acts, then more and more the
    students, who learn what the specialist would have done. Ctrl-C finishes the running update and saves.

    Args:
        specialist: A teacher, once for each: a run or the folder of an exported pair, whose clips are those it was
            trained on, or FOLDER=CLIP,CLIP. Also a single policy that plays both roles, or `prior`.
        env: Environment id (list them: assistmimic info).
        method: dagger: imitation only. dagger-ppo: PPO goes on once the critics explain the returns.
        steps: Control steps of the pair; the stages are spread over them.
        clips: Clips to play; by default those of all specialists.
        init_from: What the students start from, as for train; by default prior where it fits, or feedforward.
        option: Further options of the environment, such as physics=fast (values are JSON); by default those with which
            the specialists were trained.
        seed: Seed of worlds, networks and exploration.
        out: Folder of the run; by default a new one below `runs`.
        resume: Continue the run in this folder. Its checkpoints are pickles: resume only runs you trust.
        env_runners: Processes that simulate; 0 simulates in this one and is the default.
        envs_per_runner: Worlds per process; by default 96.
        learners: Processes that learn; 0 learns in this one and is the default.
        checkpoint_seconds: Time between two checkpoints; a crash loses what came after the last one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve a busy machine
    from rich.console import Console

    import assistmimic_env
    from assistmimic_trainers.distillation_start import distillation_settings
    from assistmimic_trainers.options import read_options
    from assistmimic_trainers.run import resume_run, start_run
    from assistmimic_trainers.training import Budget

    console = Console()
    limit = Budget(steps=steps, checkpoint_seconds=checkpoint_seconds)
    if resume is not None:
        folder, finished = resume, resume_run(resume, budget=limit, console=console).finished
    else:
        spec = assistmimic_env.spec(env)
        given = {"num_env_runners": env_runners, "num_envs_per_env_runner": envs_per_runner, "num_learners": learners}
        settings = distillation_settings(
            specialist,
            spec.id,
            steps=steps,
            ppo_stage=method == "dagger-ppo",
            clips=clips,
            init_from=init_from,
            options=read_options(option),
            ppo={name: value for name, value in given.items() if value is not None},
            seed=seed,
        )
        folder = out or new_folder(Path("runs"), "generalist")
        console.print(f"{spec.id}, {len(specialist)} specialists, run {folder}", highlight=False, soft_wrap=True)
        finished = start_run(settings, folder, budget=limit, console=console).finished
    console.print(f"{folder / 'policies' / 'trained'}", highlight=False, soft_wrap=True)
    if not finished:
        console.print(f"Stopped. Continue with: assistmimic distill --resume {folder} --steps {steps}", highlight=False)
    return 0 if finished else STOPPED
