"""One training run in one folder: start, PPO, checkpoints, exported policies.

<folder>/run.json            what was asked for; `resume_run` reads it back
<folder>/policies/random     networks with random weights
<folder>/policies/start      what PPO starts from (`start`)
<folder>/policies/trained    after PPO
<folder>/checkpoints         resumable; pickles, for trusted runs only
<folder>/progress.jsonl      one line per update; tensorboard/ holds the same
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

import assistmimic_env
from assistmimic_env.errors import CheckpointError, ConfigError, PolicyError
from assistmimic_env.policy import TrainedIn

from .cast import PAIR, SOLO, Cast
from .cluster import quiet_logs, ray_session, require_files
from .distillation import Distillation
from .distillation_learner import distilled
from .export import export_policies
from .module import ModuleConfig, PolicyModule, blank_module
from .ppo import assistmimic_ppo
from .start import FEEDFORWARD, PRIOR, RANDOM, Start, StartSettings, random_modules
from .training import Budget, Watch, lost_work, resume, train, write_json

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm
    from ray.rllib.algorithms.ppo import PPOConfig

    from assistmimic_env.simulation import PairSimulation

    from .progress import ProgressRecord

TRAINING_OPTIONS: Mapping[str, Any] = {"termination_distance": 0.5, "start_noise": 1.0}
"""The training ends episodes where the evaluation does, and starts them with the same noise."""

ALONE_OPTIONS: Mapping[str, Any] = {"solo": True, "judged": "recipient", "partner_observations": False}
"""The recipient alone: the two pass through each other, and what becomes of the supporter does not count."""

ALONE = "alone"
"""Folder of a first stage in which the recipient is alone, below that of the run."""


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
    """Networks and normalisers; sizes of a policy to start from come before these."""
    init_from: str = FEEDFORWARD
    """The start: `prior`, `feedforward`, `random`, or exported policies, see `start.Start`."""
    start: StartSettings = field(default_factory=StartSettings)
    """Settings of the starts that are made, not read."""
    solo: bool = False
    """Train one single-person tracker on all people of the clips, each alone, instead of a pair."""
    trained: tuple[str, ...] = ()
    """Policies that are trained; the others keep what they start with. Empty: all."""
    residual: bool = False
    """Train what is added to the start, which stays as it is, see `ModuleConfig.residual`."""
    alone_first: bool = False
    """Train the recipient alone for half of the budget, then only `trained`, beside what became of the recipient."""
    distillation: Distillation | None = None
    """Specialists to learn from before PPO, or instead of it; None: PPO only."""
    learner_threads: int = 2
    """Torch threads of the learner; the env runners are idle while it works."""

    @property
    def cast(self) -> Cast:
        """Who is trained."""
        return SOLO if self.solo else PAIR

    @property
    def environment(self) -> TrainedIn:
        """What the cards of the policies say they were trained in."""
        alone = {"solo": True} if self.solo else {}
        return TrainedIn.of(self.env_id, {**self.env_options, **alone})

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunSettings:
        """Read back `to_json`; unknown keys are ignored."""
        known = {item.name for item in fields(cls)}
        chosen = {key: value for key, value in values.items() if key in known}
        chosen["module"] = ModuleConfig.from_dict(chosen["module"])
        chosen["start"] = StartSettings.from_dict(chosen["start"])
        chosen["trained"] = tuple(chosen.get("trained", ()))
        taught = chosen.get("distillation")
        chosen["distillation"] = None if taught is None else Distillation.from_dict(taught)
        return cls(**chosen)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended."""

    finished: bool
    """Whether its budget was spent; False if the user stopped it."""
    report: Mapping[str, Any]
    """What the start says of itself; empty when there was none in this part of the run."""
    modules: Mapping[str, PolicyModule]
    """The trained modules, policy -> module, critics included."""


@dataclass(frozen=True, kw_only=True)
class RunStage:
    """One of the runs that follow each other in what is asked for as one run."""

    settings: RunSettings
    """What it does; never in stages itself."""
    folder: Path
    """Where."""
    share: float = 1.0
    """Its share of the budget."""


def stages(settings: RunSettings, folder: Path) -> tuple[RunStage, ...]:
    """The runs that make up a run, in their order: one, or two with `RunSettings.alone_first`."""
    if not settings.alone_first:
        return (RunStage(settings=settings, folder=folder),)
    options = {**settings.env_options, **ALONE_OPTIONS}
    alone = replace(settings, alone_first=False, trained=("recipient",), env_options=options)
    trained = str(folder / ALONE / "policies" / "trained")
    return (
        RunStage(settings=alone, folder=folder / ALONE, share=0.5),
        RunStage(settings=replace(settings, alone_first=False, init_from=trained), folder=folder, share=0.5),
    )


def start_run(
    settings: RunSettings, folder: Path, *, budget: Budget, console: Console, watch: Watch = lambda *_: None
) -> RunResult:
    """Train a new pair.

    Args:
        settings: What to do.
        folder: Where; must not hold a run yet.
        budget: When to stop.
        console: Where to show progress.
        watch: See `training.train`.
    """
    if (folder / "run.json").exists():
        raise ConfigError(f"{folder} holds a run already. Continue it with --resume {folder}, or give another --out.")
    if settings.residual and settings.init_from == RANDOM:
        raise ConfigError("a residual run adds to what it starts from; random weights are no policy to add to.")
    if settings.alone_first:
        return _start_in_stages(settings, folder, budget=budget, console=console, watch=watch)
    quiet_logs()
    start = Start.of(settings.init_from, settings.cast)
    settings = with_start_options(settings)
    simulation = make_simulation(settings)
    module = start.module_config(settings.module, settings.cast, simulation)
    made = (folder / "policies" / "start").absolute()
    paths = start.paths or {name: str(made / name) for name in settings.cast.roles}
    with _session(settings):
        report = _first_policies(settings, start, module, folder, simulation, console)
        needed = {*paths.values(), *(settings.distillation.policies if settings.distillation else ())}
        require_files([f"{path}{suffix}" for path in needed for suffix in (".json", ".safetensors")])
        write_json(folder / "run.json", settings.to_json())
        algorithm = ppo_config(settings, module, paths).build_algo()
        finished, modules = _train_and_export(settings, algorithm, folder, simulation, budget, console, watch)
    return RunResult(finished=finished, report=report, modules=modules)


def resume_run(folder: Path, *, budget: Budget, console: Console, watch: Watch = lambda *_: None) -> RunResult:
    """Continue a run from its newest checkpoint; says how much was lost.

    Args:
        folder: The run. Its checkpoint is a pickle: resume only runs you trust.
        budget: When to stop, what was trained before included.
        console: Where to show progress.
        watch: See `training.train`.
    """
    settings = read_settings(folder)
    with _session(settings):
        algorithm = resume(folder)
        steps, seconds = lost_work(folder, algorithm)
        console.print(
            f"Resuming {folder} at update {algorithm.iteration} (its checkpoint is a pickle, which is trusted); "
            f"{steps:,} steps were lost, {seconds:.0f} s of training.",
            highlight=False,
            soft_wrap=True,
        )
        simulation = make_simulation(settings)
        finished, modules = _train_and_export(settings, algorithm, folder, simulation, budget, console, watch)
    return RunResult(finished=finished, report={}, modules=modules)


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


def ppo_config(settings: RunSettings, module: ModuleConfig, paths: Mapping[str, str]) -> PPOConfig:
    """The PPO configuration of a run.

    Args:
        settings: The run.
        module: Networks and normalisers, from `Start.module_config`.
        paths: Policy -> exported policy to start from.
    """
    config = assistmimic_ppo(
        settings.env_id,
        env_options=settings.env_options,
        module=replace(module, residual=settings.residual),
        init_from=paths,
        seed=settings.seed,
        env_class=settings.cast.env_class,
        trained=settings.trained,
        **settings.ppo,
    )
    return config if settings.distillation is None else distilled(config, settings.distillation)


def with_start_options(settings: RunSettings) -> RunSettings:
    """The same run, with the options of the environment that the policies it starts from expect."""
    expected = Start.of(settings.init_from, settings.cast).env_options()
    return replace(settings, env_options={**expected, **settings.env_options})


def evaluation_options(settings: RunSettings) -> dict[str, Any]:
    """Options of the environment in which the policies of a run are measured.

    They are the run's own, so that a policy is measured with the observations, the grip and the impairment it was
    trained for; but where episodes start and end is up to the evaluation, the recipient is always simulated, and
    nothing is randomised.
    """
    chosen, unmeasured = with_start_options(settings).env_options, ("kinematic_recipient", "randomisation")
    return {name: value for name, value in chosen.items() if name not in (*TRAINING_OPTIONS, *unmeasured)}


def default_start(settings: RunSettings) -> str:
    """What a pair starts from unless the user says otherwise: the shipped prior where it fits the environment."""
    try:
        Start.of(PRIOR, settings.cast).module_config(settings.module, settings.cast, make_simulation(settings))
    except PolicyError:
        return FEEDFORWARD
    return PRIOR


def make_simulation(settings: RunSettings, num_worlds: int = 1, **options: Any) -> PairSimulation:
    """Worlds of a run, for its start; also checks the environment's id and options before anything else starts."""
    noise = settings.start.feedforward.start_noise
    alone = {"solo": True} if settings.solo else {}
    chosen = {**settings.env_options, "start_noise": noise, **alone, **options}
    return assistmimic_env.make_vec(settings.env_id, num_envs=num_worlds, **chosen).simulation


def learner_modules(algorithm: Any) -> dict[str, PolicyModule]:
    """Copies of the learners' modules, policy -> module, also from remote learners."""
    state = algorithm.learner_group.get_state(components="learner/rl_module")["learner"]["rl_module"]
    modules = {}
    for name, spec in algorithm.config.rl_module_spec.rl_module_specs.items():
        arrays = state[name]
        sizes = len(arrays["normalizer.mean"]), len(arrays["log_std"])
        modules[name] = blank_module(*sizes, {**spec.model_config, "init_from": None})
        modules[name].set_state(arrays)
    return modules


def _start_in_stages(
    settings: RunSettings, folder: Path, *, budget: Budget, console: Console, watch: Watch
) -> RunResult:
    """The recipient alone below `folder / ALONE`, then the run itself, which starts from the result."""
    half = replace(budget, steps=budget.steps // 2, seconds=budget.seconds / 2)
    alone, supporter = stages(settings, folder)
    console.print("First stage: the recipient alone.")
    last: list[ProgressRecord] = []

    def first(algorithm: Algorithm, record: ProgressRecord) -> None:
        last[:] = [record]
        watch(algorithm, record)

    def second(algorithm: Algorithm, record: ProgressRecord) -> None:
        before = last[0]
        total = replace(record, steps=before.steps + record.steps, seconds=before.seconds + record.seconds)
        watch(algorithm, total)

    result = start_run(alone.settings, alone.folder, budget=half, console=console, watch=first)
    if not result.finished:
        console.print(
            f"The first stage was stopped. Finish it with --resume {alone.folder}, then train with "
            f"--baseline frozen-partner --init-from {supporter.settings.init_from}",
            highlight=False,
            soft_wrap=True,
        )
        return result
    console.print("Second stage: the supporter.")
    return start_run(supporter.settings, supporter.folder, budget=half, console=console, watch=second)


def _first_policies(
    settings: RunSettings,
    start: Start,
    module: ModuleConfig,
    folder: Path,
    simulation: PairSimulation,
    console: Console,
) -> dict[str, Any]:
    """Export the random policies and those that PPO starts from; what the start says of itself."""
    cast, seed = settings.cast, settings.seed
    export_policies(
        random_modules(module, cast, simulation, seed=seed),
        folder / "policies" / "random",
        cast=cast,
        interface=cast.interface(simulation),
        provenance={"method": "random weights", "seed": seed},
        environment=settings.environment,
    )
    console.print(f"Start: {settings.init_from} ...", highlight=False, soft_wrap=True)
    modules, report = start.modules(
        module,
        cast,
        partial(make_simulation, settings),
        settings=settings.start,
        seed=seed,
        log=partial(console.print, highlight=False, soft_wrap=True),
    )
    export_policies(
        modules,
        folder / "policies" / "start",
        cast=cast,
        interface=cast.interface(simulation),
        provenance={"method": start.word, **start.paths, "seed": seed, **report},
        environment=settings.environment,
    )
    if report:
        samples, seconds = report["samples"], report["seconds"]
        console.print(f"Made from {samples:,} states in {seconds:.0f} s.", highlight=False)
    return report


def _train_and_export(
    settings: RunSettings,
    algorithm: Algorithm,
    folder: Path,
    simulation: PairSimulation,
    budget: Budget,
    console: Console,
    watch: Watch = lambda *_: None,
) -> tuple[bool, dict[str, PolicyModule]]:
    try:
        finished = train(algorithm, folder, budget=budget, console=console, watch=watch)
        modules = learner_modules(algorithm)
        export_policies(
            modules,
            folder / "policies" / "trained",
            cast=settings.cast,
            interface=settings.cast.interface(simulation),
            provenance={
                "method": f"{'distillation' if settings.distillation else 'PPO'}, averaged weights",
                "run": folder.name,
                "iteration": algorithm.iteration,
                "clips": [clip.name for clip in simulation.reference.clips],
            },
            environment=settings.environment,
            averaged=True,
        )
    finally:
        algorithm.stop()
    return finished, modules


def _session(settings: RunSettings) -> Any:
    processes = int(settings.ppo.get("num_env_runners", 0)) + int(settings.ppo.get("num_learners", 0))
    return ray_session(num_cpus=processes, learner_threads=settings.learner_threads)
