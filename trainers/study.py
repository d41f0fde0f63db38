"""`study`: the same training from several starts and seeds, compared at equal steps.

During a run the averaged policies are evaluated now and then: all rollouts from the first frame, the same seeds for
everybody. That gives curves that mean the same for every start, which the statistics of the training episodes do not,
since those begin where a pair lately failed. A study that was interrupted goes on where it was.

<folder>/<start>-s<seed>/            one run each, with curve.json when it is complete
<folder>/study.json, study.png       the comparison
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import assistmimic_env
from assistmimic_env.evaluation import Evaluation, evaluate
from assistmimic_env.policy import FORMAT, VERSION, Policy, PolicyCard, load_pair
from assistmimic_env.vector import VectorEnv

from .cast import PAIR
from .export import policy_card, policy_tensors
from .module import PolicyModule
from .plots import plot_study
from .run import RunSettings, learner_modules, start_run
from .training import Budget, write_json

QUANTITIES = ("task_success", "success_50", "survived", "mpjpe")
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
    starts: tuple[str, ...] = ("random", "feedforward", "prior")
    """What training starts from, see `start.Start`; differences are to the first."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training."""
    steps: int = 200_000
    """Control steps of the pair, for every run."""
    points: int = 5
    """Evaluations per run, the start included and the end not."""
    rollouts: int = 32
    """Rollouts of each of these."""
    final_rollouts: int = 100
    """Rollouts of the evaluation at the end."""
    ppo: Mapping[str, Any] = field(default_factory=lambda: {"num_envs_per_env_runner": 96})
    """Further keyword arguments of `assistmimic_ppo`, as plain values."""


def study(config: StudyConfig, folder: Path, *, console: Console) -> Path:
    """Run what is missing, and compare.

    Args:
        config: What.
        folder: Where; runs that are complete there are kept.
        console: Where to show progress.

    Returns:
        The JSON file with the comparison.
    """
    runs: dict[str, list[dict[str, Any]]] = {start: [] for start in config.starts}
    for seed, start in itertools.product(config.seeds, config.starts):
        runs[start].append(_run(config, start, seed, folder / f"{Path(start).stem}-s{seed}", console))
    report = {"format": "assistmimic-study", "version": 1, "config": asdict(config), **compare_runs(runs), "runs": runs}
    path = write_json(folder / "study.json", report)
    plot_study(runs, folder / "study.png", title=config.env_id)
    return path


def compare_runs(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Means over seeds with 95 % intervals of Student's t, and paired differences to the first start.

    Args:
        runs: Start -> its runs in the order of the seeds, each with `final`, quantity -> mean over the rollouts.
    """
    first = next(iter(runs))
    finals = {
        start: {name: np.array([run["final"][name] for run in each], float) for name in QUANTITIES}
        for start, each in runs.items()
    }
    return {
        "final": {start: {name: interval(values) for name, values in each.items()} for start, each in finals.items()},
        "difference": {
            f"{start} - {first}": {name: interval(values - finals[first][name]) for name, values in each.items()}
            for start, each in finals.items()
            if start != first
        },
    }


def interval(values: np.ndarray) -> dict[str, float | None]:
    """Mean of a few values, and its 95 % interval; no interval for a single one."""
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return {"mean": mean, "low": None, "high": None}
    half = _STUDENT_975[min(n - 2, len(_STUDENT_975) - 1)] * float(values.std(ddof=1)) / math.sqrt(n)
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _run(config: StudyConfig, start: str, seed: int, folder: Path, console: Console) -> dict[str, Any]:
    done = folder / "curve.json"
    if done.is_file():
        return json.loads(done.read_text())
    if folder.exists():
        folder = _retired(folder)
    console.print(f"{start}, seed {seed}", highlight=False)
    settings = RunSettings(env_id=config.env_id, seed=seed, init_from=start, ppo=config.ppo)
    curve = _Curve(config)
    began = time.monotonic()
    result = start_run(settings, folder, budget=Budget(steps=config.steps), console=console, watch=curve.watch)
    if not result.finished:
        raise KeyboardInterrupt
    seconds = time.monotonic() - began - curve.seconds
    before = curve.measure(load_pair(folder / "policies" / "start"), config.rollouts)
    final = curve.measure(load_pair(folder / "policies" / "trained"), config.final_rollouts)
    points = [{"steps": 0, "seconds": 0.0, **before}, *curve.points]
    report = {"start": start, "seed": seed, "seconds": round(seconds, 1), "points": points, "final": final}
    write_json(folder / "curve.json", report)
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
    """

    def __init__(self, config: StudyConfig) -> None:
        self._config = config
        self.points: list[dict[str, float]] = []
        self.seconds = 0.0
        self._env: VectorEnv = assistmimic_env.make_vec(config.env_id, num_envs=1)

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
