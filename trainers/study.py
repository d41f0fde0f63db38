"""`study`: several ways to train (arms) with several seeds, compared at equal steps.

An arm is a method (`method.Method`) with a start. During a run the averaged policies are evaluated now and then: all
rollouts from the first frame, the same seeds for everybody. That gives curves that mean the same for every arm, which
the statistics of the training episodes do not, since those begin where a pair lately failed. Everybody is measured with
the observations and the grip of their own training, under the same impairment, against the untouched reference. A study
that was interrupted goes on where it was.

<folder>/<arm>-s<seed>/              one run each, with curve.json when it is complete
<folder>/study.json, study.png       the comparison
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import assistmimic_env
from assistmimic_env.errors import ConfigError
from assistmimic_env.evaluation import Evaluation, evaluate
from assistmimic_env.policy import FORMAT, VERSION, Policy, PolicyCard, load_pair
from assistmimic_env.vector import VectorEnv

from .cast import PAIR
from .export import policy_card, policy_tensors
from .method import FULL, Method
from .module import PolicyModule
from .plots import plot_study
from .run import ALONE, RunSettings, evaluation_options, learner_modules, start_run
from .training import Budget, write_json

QUANTITIES = (
    "task_success", "success_50", "survived", "mpjpe", "mpjpe_recipient", "mpjpe_supporter", "support_force"
)  # fmt: skip
"""What is compared, see `assistmimic_env.evaluation.UNITS`."""

FIRST_SEED = 10**6
"""First seed of the evaluations, far from those of the training."""

_STUDENT_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t, 97.5 %, for 1 to 9 degrees of freedom."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What is compared."""

    env_id: str
    """Environment."""
    arms: tuple[str, ...] = (FULL,)
    """What is compared, each as `method.Method.parse` reads it."""
    starts: tuple[str, ...] = ()
    """What training starts from, see `start.Start`; every arm from each. Empty: from what `run.default_start` says."""
    recipient: str | None = None
    """Impairment of the recipient by name, in training and evaluation; by default the environment's."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the environment, for every arm."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training."""
    steps: int = 200_000
    """Control steps of the pair, for every run."""
    points: int = 3
    """Evaluations per run, the start included and the end not."""
    rollouts: int = 32
    """Rollouts of each of these."""
    final_rollouts: int = 100
    """Rollouts of the evaluation at the end."""
    level: float = 0.9
    """Task success whose first time is reported."""
    ppo: Mapping[str, Any] = field(default_factory=lambda: {"num_envs_per_env_runner": 96})
    """Further keyword arguments of `assistmimic_ppo`, as plain values."""

    def protocol(self) -> dict[str, int]:
        """How much is trained and measured."""
        return {name: getattr(self, name) for name in ("steps", "points", "rollouts", "final_rollouts")}

    def settings(self) -> dict[str, RunSettings]:
        """The run of each arm, with the first seed; an arm is called by what it does not share with all others.

        Raises:
            ConfigError: There is nothing to compare, or two arms are the same.
        """
        pairs = list(itertools.product(self.arms, self.starts or (None,)))
        names = [self._name(arm, start) for arm, start in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not pairs or not self.seeds:
            problem = f"{', '.join(twice)} is named twice" if twice else "there is no arm or no seed"
            raise ConfigError(f"the study cannot be made: {problem}. Give different --arms, --starts and some --seeds.")
        return {
            name: Method.parse(arm).settings(
                self.env_id, init_from=start, recipient=self.recipient, options=self.options, ppo=self.ppo
            )
            for name, (arm, start) in zip(names, pairs, strict=True)
        }

    def _name(self, arm: str, start: str | None) -> str:
        if start is None or (len(self.starts) == 1 and len(self.arms) > 1):
            return arm
        return Path(start).stem if len(self.arms) == 1 else f"{arm}@{Path(start).stem}"


def study(config: StudyConfig, folder: Path, *, console: Console) -> Path:
    """Run what is missing, and compare.

    Args:
        config: What.
        folder: Where; runs that are complete there are kept.
        console: Where to show progress.

    Returns:
        The JSON file with the comparison.
    """
    arms = config.settings()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in arms}
    for seed, (name, settings) in itertools.product(config.seeds, arms.items()):
        run = _run(config, replace(settings, seed=seed), name, folder / f"{name}-s{seed}", console)
        runs[name].append(run)
    times = {arm: [first_time(run["points"], config.level) for run in each] for arm, each in runs.items()}
    report = {
        "format": "assistmimic-study", "version": 2, "config": asdict(config), **compare_runs(runs),
        "reached": times, "runs": runs,
    }  # fmt: skip
    path = write_json(folder / "study.json", report)
    plot_study(runs, folder / "study.png", title=config.env_id)
    return path


def compare_runs(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals of Student's t, and paired differences to the first arm.

    Args:
        runs: Arm -> its runs in the order of the seeds, each with `final`, quantity -> mean over the rollouts.
    """
    first = next(iter(runs))
    finals = {
        arm: {name: np.array([run["final"][name] for run in each], float) for name in QUANTITIES}
        for arm, each in runs.items()
    }
    return {
        "final": {arm: {name: interval(values) for name, values in each.items()} for arm, each in finals.items()},
        "difference": {
            f"{arm} - {first}": {name: interval(values - finals[first][name]) for name, values in each.items()}
            for arm, each in finals.items()
            if arm != first
        },
    }


def first_time(points: Sequence[Mapping[str, float]], level: float) -> dict[str, float] | None:
    """Steps of the pair and time of training [s] at the first evaluation with at least this task success; or None."""
    reached = (point for point in points if point["task_success"] >= level)
    return next(({"steps": point["steps"], "seconds": point["seconds"]} for point in reached), None)


def interval(values: np.ndarray) -> dict[str, float | None]:
    """Mean of a few values, and its 95 % interval; no interval for a single one."""
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return {"mean": mean, "low": None, "high": None}
    half = _STUDENT_975[min(n - 2, len(_STUDENT_975) - 1)] * float(values.std(ddof=1)) / math.sqrt(n)
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _run(config: StudyConfig, settings: RunSettings, name: str, folder: Path, console: Console) -> dict[str, Any]:
    asked = json.loads(json.dumps({"settings": settings.to_json(), "protocol": config.protocol()}))
    done = folder / "curve.json"
    if done.is_file():
        return _checked(json.loads(done.read_text()), asked, done)
    if folder.exists():
        folder = _retired(folder)
    console.print(f"{name}, seed {settings.seed}", highlight=False)
    curve = _Curve(config, settings)
    began = time.monotonic()
    result = start_run(settings, folder, budget=Budget(steps=config.steps), console=console, watch=curve.watch)
    if not result.finished:
        raise KeyboardInterrupt
    seconds = time.monotonic() - began - curve.seconds
    begun = folder / ALONE if settings.alone_first else folder
    before = curve.measure(load_pair(begun / "policies" / "start"), config.rollouts)
    final = curve.measure(load_pair(folder / "policies" / "trained"), config.final_rollouts)
    points = [{"steps": 0, "seconds": 0.0, **before}, *curve.points]
    report = {"arm": name, "seed": settings.seed, "seconds": round(seconds, 1), "points": points, "final": final}
    write_json(folder / "curve.json", {**report, **asked})
    return {**report, **asked}


def _checked(report: dict[str, Any], asked: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The report of a run that is complete, if it is the one that is asked for."""
    for part, values in asked.items():
        found = report.get(part, {})
        if wrong := sorted(name for name in values.keys() | found.keys() if values.get(name) != found.get(name)):
            raise ConfigError(f"{path} is a run with other settings ({', '.join(wrong)}). Give another --out.")
    return report


def _retired(folder: Path) -> Path:
    """Move a run that did not complete out of the way."""
    for number in itertools.count(1):
        if not (other := folder.with_name(f"{folder.name}.incomplete-{number}")).exists():
            folder.rename(other)
            break
    return folder


class _Curve:
    """Evaluates a run now and then.

    Args:
        config: How often and how much.
        settings: The run; its policies are measured in its own environment.
    """

    def __init__(self, config: StudyConfig, settings: RunSettings) -> None:
        self._config = config
        self.points: list[dict[str, float]] = []
        self.seconds = 0.0
        self._env: VectorEnv = assistmimic_env.make_vec(config.env_id, num_envs=1, **evaluation_options(settings))

    def watch(self, algorithm: Any, record: Any) -> None:
        """Evaluate when the next point is reached."""
        if record.steps < (len(self.points) + 1) * self._config.steps / self._config.points:
            return
        start = time.monotonic()
        measured = self.measure(self._policies(learner_modules(algorithm)), self._config.rollouts)
        self.points.append({"steps": record.steps, "seconds": round(record.seconds, 1), **measured})
        self.seconds += time.monotonic() - start

    def measure(self, pair: Mapping[str, Policy], rollouts: int) -> dict[str, float]:
        """Means over rollouts from the first frame."""
        result: Evaluation = evaluate(self._env, pair, rollouts=rollouts, seed=FIRST_SEED, num_worlds=rollouts)
        return {name: float(result.summary["policy"][name].mean) for name in QUANTITIES}

    def _policies(self, modules: Mapping[str, PolicyModule]) -> dict[str, Policy]:
        interface = PAIR.interface(self._env.simulation)
        policies = {}
        for role, module in modules.items():
            card = policy_card(module, role=role, interface=interface, provenance={})
            policies[role] = Policy(
                card=PolicyCard.from_json({"format": FORMAT, "version": VERSION, **card}),
                tensors=policy_tensors(module, averaged=True),
                source=role,
            )
        return policies
