"""One training run in one folder: warm start, PPO, checkpoints, exported policies.

<folder>/run.json            what was asked for; `resume_run` reads it back
<folder>/policies/random     networks with random weights
<folder>/policies/warm       after the warm start (absent without it)
<folder>/policies/trained    after PPO
<folder>/checkpoints         resumable; pickles, for trusted runs only
<folder>/progress.jsonl      one line per update; tensorboard/ holds the same
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

import assistmimic_env
from assistmimic_env.errors import CheckpointError, ConfigError

from .adapter import ROLES
from .cluster import quiet_logs, ray_session
from .export import export_pair, interface_of
from .feedforward import WarmStart, warm_start
from .module import ModuleConfig, PolicyModule, blank_module
from .ppo import assistmimic_ppo
from .training import Budget, lost_steps, resume, train, write_json

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm
    from ray.rllib.algorithms.ppo import PPOConfig

    from assistmimic_env.simulation import PairSimulation

WARM_START_WORLDS = 128
"""Worlds that make the samples of the warm start."""

TRAINING_OPTIONS: Mapping[str, Any] = {"termination_distance": 0.5, "start_noise": 1.0}
"""The training ends episodes where the evaluation does, and starts them with the same noise."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What a run does; all of it is in `run.json`."""

    env_id: str
    """Environment."""
    seed: int = 0
    """Seed of worlds, networks and exploration."""
    env_options: Mapping[str, Any] = field(default_factory=lambda: dict(TRAINING_OPTIONS))
    """Options of `assistmimic_env.make`, as plain values."""
    ppo: Mapping[str, Any] = field(default_factory=dict)
    """Further keyword arguments of `assistmimic_ppo`, as plain values."""
    module: ModuleConfig = field(default_factory=ModuleConfig)
    """Networks and normalisers."""
    warm_start: WarmStart | None = field(default_factory=WarmStart)
    """The warm start; None starts from random weights or from `init_from`."""
    init_from: str | None = None
    """Folder of exported policies to start from, instead of a warm start."""
    learner_threads: int = 2
    """Torch threads of the learner; the env runners are idle while it works."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunSettings:
        """Read back `to_json`; unknown keys are ignored."""
        known = {item.name for item in fields(cls)}
        chosen = {key: value for key, value in values.items() if key in known}
        chosen["module"] = ModuleConfig.from_dict(chosen["module"])
        if chosen["warm_start"] is not None:
            chosen["warm_start"] = WarmStart(**chosen["warm_start"])
        return cls(**chosen)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended."""

    finished: bool
    """Whether its budget was spent; False if the user stopped it."""
    report: Mapping[str, Any]
    """The warm start's report; empty when there was none in this part of the run."""


def start_run(settings: RunSettings, folder: Path, *, budget: Budget, console: Console) -> RunResult:
    """Train a new pair.

    Args:
        settings: What to do.
        folder: Where; must not hold a run yet.
        budget: When to stop.
        console: Where to show progress.
    """
    if (folder / "run.json").exists():
        raise ConfigError(f"{folder} holds a run already. Continue it with --resume {folder}, or give another --out.")
    quiet_logs()
    torch.set_num_threads(settings.learner_threads)
    simulation = reference_simulation(settings)
    write_json(folder / "run.json", settings.to_json())
    report, start = _first_policies(settings, folder, simulation, console)
    config = ppo_config(settings, start)
    with _session(config, settings):
        algorithm = config.build_algo()
        finished = _train_and_export(algorithm, folder, simulation, budget, console)
    return RunResult(finished=finished, report=report)


def resume_run(folder: Path, *, budget: Budget, console: Console) -> RunResult:
    """Continue a run from its newest checkpoint; says how much was lost.

    Args:
        folder: The run. Its checkpoint is a pickle: resume only runs you trust.
        budget: When to stop, what was trained before included.
        console: Where to show progress.
    """
    settings = read_settings(folder)
    with ray_session(num_cpus=_runners(settings), learner_threads=settings.learner_threads):
        algorithm = resume(folder)
        lost = lost_steps(folder, algorithm)
        console.print(f"Resuming {folder} at update {algorithm.iteration}; {lost:,} steps were lost.", highlight=False)
        finished = _train_and_export(algorithm, folder, reference_simulation(settings), budget, console)
    return RunResult(finished=finished, report={})


def read_settings(folder: Path) -> RunSettings:
    """What a run was asked to do.

    Raises:
        CheckpointError: The folder holds no run.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no run (no run.json). Give --resume the folder of a run.")
    try:
        return RunSettings.from_json(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}). Start a new run.") from error


def ppo_config(settings: RunSettings, start: Path | None) -> PPOConfig:
    """The PPO configuration of a run.

    Args:
        settings: The run.
        start: Folder of the pair to start from; None for random weights.
    """
    count = settings.warm_start.samples if settings.warm_start else 0
    return assistmimic_ppo(
        settings.env_id,
        env_options=settings.env_options,
        module=replace(settings.module, init_count=float(count)),
        init_from={role: str((start / role).absolute()) for role in ROLES} if start else None,
        seed=settings.seed,
        **settings.ppo,
    )


def reference_simulation(settings: RunSettings) -> PairSimulation:
    """Worlds for the warm start, which also check the environment's id and options before anything else starts."""
    noise = settings.warm_start.start_noise if settings.warm_start else 0.0
    options = {**settings.env_options, "start_noise": noise}
    return assistmimic_env.make_vec(settings.env_id, num_envs=WARM_START_WORLDS, **options).simulation


def learner_modules(algorithm: Any) -> dict[str, PolicyModule]:
    """Copies of the learners' modules, role -> module, also from remote learners."""
    state = algorithm.learner_group.get_state(components="learner/rl_module")["learner"]["rl_module"]
    specs = algorithm.config.rl_module_spec.rl_module_specs
    modules = {}
    for role in ROLES:
        arrays = state[role]
        model_config = ModuleConfig.from_dict(specs[role].model_config)
        sizes = len(arrays["normalizer.mean"]), len(arrays["log_std"])
        modules[role] = blank_module(*sizes, replace(model_config, init_from=None).to_dict())
        modules[role].set_state(arrays)
    return modules


def _first_policies(
    settings: RunSettings, folder: Path, simulation: PairSimulation, console: Console
) -> tuple[dict[str, Any], Path | None]:
    """Export the random pair, make the warm-started one; its report, and the folder to start from."""
    interface, sizes = interface_of(simulation), (simulation.layout.size, simulation.body.num_dofs)
    torch.manual_seed(settings.seed)
    blank = {role: blank_module(*sizes, replace(settings.module, init_from=None).to_dict()) for role in ROLES}
    provenance = {"method": "random weights", "seed": settings.seed}
    export_pair(blank, folder / "policies" / "random", interface=interface, provenance=provenance)
    if settings.init_from is not None:
        return {}, Path(settings.init_from)
    if settings.warm_start is None:
        return {}, None
    console.print("Warm start: regression onto the reference feed-forward ...")
    target = folder / "policies" / "warm"
    report = warm_start(simulation, target, config=settings.module, settings=settings.warm_start, seed=settings.seed)
    seconds = report["sampling_seconds"] + report["fitting_seconds"]
    console.print(f"Warm start: {report['samples']:,} states per role in {seconds:.0f} s.", highlight=False)
    return report, target


def _train_and_export(
    algorithm: Algorithm, folder: Path, simulation: PairSimulation, budget: Budget, console: Console
) -> bool:
    try:
        finished = train(algorithm, folder, budget=budget, console=console)
        provenance = {"method": "PPO, averaged weights", "run": folder.name, "iteration": algorithm.iteration}
        export_pair(
            learner_modules(algorithm),
            folder / "policies" / "trained",
            interface=interface_of(simulation),
            provenance=provenance,
            averaged=True,
        )
    finally:
        algorithm.stop()
    return finished


def _session(config: Any, settings: RunSettings) -> Any:
    return ray_session(num_cpus=config.num_env_runners + config.num_learners, learner_threads=settings.learner_threads)


def _runners(settings: RunSettings) -> int:
    return int(settings.ppo.get("num_env_runners", 0)) + int(settings.ppo.get("num_learners", 0))
