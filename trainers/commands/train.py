"""`assistmimic train`: the quickstart, or training on any environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from rich.console import Console

STOPPED = 130
"""Exit code when the user stopped the training; everything is saved."""

STEPS = 2_000_000
"""Control steps by default."""


def train(
    what: Annotated[str, tyro.conf.Positional],
    *,
    budget: Literal["full", "smoke"] = "full",
    env_id: str = "AssistMimic/PullUp-v0",
    steps: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    resume: Path | None = None,
    init_from: str | None = None,
    method: Literal["full", "tracking"] = "full",
    ablate: tuple[str, ...] = (),
    baseline: str | None = None,
    clips: tuple[str, ...] = (),
    recipient: str | None = None,
    option: tuple[str, ...] = (),
    ppo: tuple[str, ...] = (),
    env_runners: int | None = None,
    envs_per_runner: int | None = None,
    learners: int | None = None,
    checkpoint_seconds: float = 60.0,
) -> int:
    """Train a supporter and a recipient with PPO.

    Example: assistmimic train AssistMimic/SitToStand-v0 --recipient needs-help --ablate retargeting contact-reward

    `assistmimic train quickstart` goes the whole way: start, PPO, evaluation of the random, the starting and the
    trained pair on the same seeds, learning curve, video; it has settings of its own. With an environment id it trains
    with the full method and exports.
    Ctrl-C finishes the running update and saves; `--resume runs/NAME` continues. RAY_ADDRESS uses a running cluster.

    Args:
        what: `quickstart`, or an environment id (list them: assistmimic info).
        budget: Of the quickstart: full (under 15 minutes on 2 cores) or smoke (under 2 minutes).
        env_id: Environment of the quickstart.
        steps: Control steps of the pair; by default 2 million, or those of the quickstart's budget.
        seed: Seed of worlds, networks and exploration.
        out: Folder of the run; by default a new one below `runs`.
        resume: Continue the run in this folder. Its checkpoints are pickles: resume only runs you trust.
        init_from: What both policies start from: `prior` (the single-person tracker that ships), `feedforward`
            (regression onto the next reference pose), `regulator` (taught by a regulator of the pair, which takes some
            minutes per clip to design), `random`, a policy such as import-phc writes, or the folder of a pair. By
            default prior where it fits, and feedforward in the quickstart, whose clip nobody can follow alone.
        method: full, or tracking: imitation only, everything else as the environment has it.
        ablate: Leave these out: retargeting, contact-reward, coupling, assist, grip, partner-obs, curriculum,
            physical-starts, weight-init (random weights, no feed-forward stage), feedforward.
        baseline: Train otherwise: sequential, kinematic-recipient, frozen-partner, residual, feedforward-start,
            recipient-alone.
        clips: Other motion: names of bundled clips or of their folders, clip files, or folders of files.
        recipient: Impairment of the recipient: none, interx, hhi, needs-help; by default the environment's.
        option: Further options of the environment, such as physics=fast or contact.weight=0.5 (values are JSON).
        ppo: Settings of PPO in place of the method's, such as curriculum.start=0 or learning_rate=1e-5.
        env_runners: Processes that simulate; 0 simulates in this one and is the default, best on one small machine.
        envs_per_runner: Worlds per process; by default 96, or 32 for the smoke budget.
        learners: Processes that learn; 0 learns in this one and is the default.
        checkpoint_seconds: Time between two checkpoints; a crash loses what came after the last one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve a busy machine
    from rich.console import Console

    import assistmimic_env
    from assistmimic_env.errors import ConfigError
    from assistmimic_trainers.method import TRACKING, Method
    from assistmimic_trainers.options import env_options
    from assistmimic_trainers.ppo import ppo_options
    from assistmimic_trainers.quickstart import quickstart
    from assistmimic_trainers.run import resume_run, start_run
    from assistmimic_trainers.start import FEEDFORWARD, PARTS
    from assistmimic_trainers.training import Budget

    console = Console()
    quick = what == "quickstart"
    spec = assistmimic_env.spec(env_id if quick else what)
    folder = resume or out or new_folder(Path("runs"), "quickstart" if quick else spec.id.rsplit("/", 1)[-1])
    given = {"num_env_runners": env_runners, "num_envs_per_env_runner": envs_per_runner, "num_learners": learners}
    updates = {**ppo_options(ppo), **{name: value for name, value in given.items() if value is not None}}
    console.print(f"{spec.id}, seed {seed}, run {folder}", highlight=False, soft_wrap=True)
    limit = Budget(steps=steps or STEPS, checkpoint_seconds=checkpoint_seconds)
    if quick:
        beyond = {"--ablate": set(ablate) - set(PARTS), "--baseline": baseline, "--recipient": recipient}
        if changed := [name for name, value in {**beyond, "--option": option, "--ppo": ppo}.items() if value]:
            raise ConfigError(f"the quickstart has settings of its own, without {', '.join(changed)}. Train {env_id}.")
        result = quickstart(
            spec.id, folder, budget=budget, seed=seed, steps=steps, resume=resume is not None, ppo=updates,
            init_from=Method(base=TRACKING, ablated=ablate).start(init_from or FEEDFORWARD),
            env_options=env_options((), clips=clips), console=console,
        )  # fmt: skip
        return _exit_code(result.finished, folder, what, console)
    if resume is not None:
        finished = resume_run(resume, budget=limit, console=console).finished
    else:
        chosen = Method(base=method, ablated=ablate, baseline=baseline)
        settings = chosen.settings(
            spec.id, init_from=init_from, recipient=recipient, options=env_options(option, clips=clips),
            ppo=updates, seed=seed,
        )  # fmt: skip
        finished = start_run(settings, folder, budget=limit, console=console).finished
    console.print(f"{folder / 'policies' / 'trained'}", highlight=False, soft_wrap=True)
    return _exit_code(finished, folder, what, console)


def new_folder(parent: Path, name: str) -> Path:
    """A folder that does not exist yet: `name`, `name-2`, ..."""
    number = 1
    while (folder := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def _exit_code(finished: bool, folder: Path, what: str, console: Console) -> int:
    if finished:
        return 0
    console.print(
        f"Stopped. Continue with: assistmimic train {what} --resume {folder}", highlight=False, soft_wrap=True
    )
    return STOPPED
