"""`Cell`: one training of fixed steps and what is measured of it, in a folder named by a hash of all that decides it.

<folder>/<key>/cell.json      what the key stands for
<folder>/<key>/run.json, ...  the run (`run`); `trained.json` when its steps are spent
<folder>/<key>/result.json    what was measured; the cell is done

A cell that is begun goes on from its checkpoint, which is a pickle: use only folders you trust.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import platform
import shutil
import time
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from assistmimic_env.evaluation import evaluate, versions
from assistmimic_env.grid import GRIDS, evaluate_grid
from assistmimic_env.policy import load_pair
from assistmimic_env.registry import resolve_clips

from .checkpoint import POINTER
from .learner import LearnerOptions
from .ppo import assistmimic_ppo
from .progress import ProgressRecord, read_records
from .run import ALONE_OPTIONS, RunSettings, RunStage, evaluation_options, resume_run, stages, start_run
from .start import Start
from .study import FIRST_SEED
from .training import Budget, Watch, write_json
from .training_range import ALONE_CONDITION, training_environment

FORMAT, VERSION = "assistmimic-cell", 1

_POLICY = "policy"
"""What the pair is called in its evaluation."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured of a trained pair."""

    rollouts: int
    """Rollouts under each condition, the same seeds for every cell."""
    conditions: tuple[str, ...] = GRIDS["paper"]
    """Conditions of both people together; the recipient alone comes on top."""
    seed: int = FIRST_SEED
    """Seed of the first rollout."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All conditions."""
        return (*self.conditions, ALONE_CONDITION)

    @property
    def total(self) -> int:
        """Rollouts under all conditions together."""
        return self.rollouts * len(self.columns)

    def measure(self, settings: RunSettings, policies: Path) -> dict[str, Any]:
        """Evaluate the pair that a run has trained: condition -> quantity -> estimate, as plain values.

        Args:
            settings: The run; its policies act in its own environment.
            policies: Folder of the pair.
        """
        pair, options = load_pair(policies), evaluation_options(settings)
        shared = {"rollouts": self.rollouts, "seed": self.seed, "num_worlds": min(64, self.rollouts)}
        grid = evaluate_grid(settings.env_id, {_POLICY: pair}, conditions=self.conditions, **shared, **options)
        alone = evaluate(settings.env_id, pair, name=_POLICY, **shared, **{**options, **ALONE_OPTIONS})
        return {
            condition: {name: estimate.to_json() for name, estimate in result.summary[_POLICY].items()}
            for condition, result in {**grid.evaluations, ALONE_CONDITION: alone}.items()
        }


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of fixed steps, and its measurement."""

    arm: str
    """What it is called; decides nothing."""
    settings: RunSettings = field(repr=False)
    """The training."""
    steps: int
    """Control steps of the pair."""
    protocol: Protocol
    """The measurement."""

    @cached_property
    def config(self) -> dict[str, Any]:
        """All that decides the result, as plain values: settings, their defaults, steps, protocol, versions, data."""
        everything = {
            "settings": self.settings.to_json(),
            "defaults": _defaults(self.settings),
            "steps": self.steps,
            "protocol": asdict(self.protocol),
            "versions": {name: versions()[name] for name in ("assistmimic", "mujoco")},
            "data": _data(self.settings),
        }
        return json.loads(json.dumps(everything))

    @cached_property
    def key(self) -> str:
        """Hash of `config`."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()[:16]

    def result(self, folder: Path) -> dict[str, Any] | None:
        """What was measured, if the cell is done.

        Args:
            folder: Where the cells are.
        """
        path = folder / self.key / "result.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def steps_done(self, folder: Path) -> int:
        """Control steps trained so far."""
        return sum(_steps_done(stage) for stage in stages(self.settings, folder / self.key))

    def run(
        self, folder: Path, *, console: Console, deadline: float = math.inf, watch: Watch = lambda *_: None
    ) -> dict[str, Any] | None:
        """Do what is missing of it.

        Args:
            folder: Where the cells are.
            console: Where to show progress.
            deadline: When training stops, to be continued another time, by `time.monotonic` [s].
            watch: See `training.train`.

        Returns:
            The result; None if the time was not enough.

        Raises:
            KeyboardInterrupt: The user stopped the training; it is saved.
        """
        mine = folder / self.key
        write_json(mine / "cell.json", {"arm": self.arm, **self.config})
        trained = []
        for stage in stages(self.settings, mine):
            told = _train(stage, self.steps, deadline, console, watch)
            if told is None:
                return None
            trained.append(told)
        began = time.monotonic()
        conditions = self.protocol.measure(self.settings, mine / "policies" / "trained")
        result = {
            "format": FORMAT,
            "version": VERSION,
            "key": self.key,
            "arm": self.arm,
            "seed": self.settings.seed,
            "steps": sum(told["steps"] for told in trained),
            "seconds": {
                "training": round(sum(told["seconds"] for told in trained), 1),
                "evaluation": round(time.monotonic() - began, 1),
            },
            "machine": machine(),
            "versions": versions(),
            "config": self.config,
            "conditions": conditions,
        }
        write_json(mine / "result.json", result)
        return result


def machine() -> dict[str, Any]:
    """This computer, for a result."""
    return {"platform": platform.platform(), "processor": _processor(), "cpus": os.cpu_count()}


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _train(stage: RunStage, steps: int, deadline: float, console: Console, watch: Watch) -> dict[str, Any] | None:
    """Start or continue one stage of a run of some steps; its steps and seconds when they are spent."""
    done = stage.folder / "trained.json"
    if done.is_file():
        return json.loads(done.read_text())
    last: list[ProgressRecord] = []

    def see(algorithm: Any, record: ProgressRecord) -> None:
        last[:] = [record]
        watch(algorithm, record)

    goal, left = int(steps * stage.share), deadline - time.monotonic()
    spent = max((record["seconds"] for record in read_records(stage.folder / "progress.jsonl")), default=0.0)
    if (stage.folder / "checkpoints" / POINTER).is_file():
        budget = Budget(steps=goal, seconds=spent + left)
        result = resume_run(stage.folder, budget=budget, console=console, watch=see)
    else:
        _clear(stage.folder)
        budget = Budget(steps=goal, seconds=left)
        result = start_run(stage.settings, stage.folder, budget=budget, console=console, watch=see)
    if not result.finished:
        raise KeyboardInterrupt
    if last[0].steps < goal:
        return None
    told = {"steps": last[0].steps, "seconds": last[0].seconds}
    write_json(done, told)
    return told


def _steps_done(stage: RunStage) -> int:
    records = read_records(stage.folder / "progress.jsonl")
    return records[-1]["steps"] if records and (stage.folder / "checkpoints" / POINTER).is_file() else 0


def _clear(folder: Path) -> None:
    """Remove what a run left that was killed before its first checkpoint."""
    for name in ("policies", "checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("run.json", "progress.jsonl"):
        (folder / name).unlink(missing_ok=True)


def _defaults(settings: RunSettings) -> dict[str, Any]:
    """What a run does not set itself, so that a changed default makes another cell."""
    parameters = inspect.signature(assistmimic_ppo).parameters
    return {
        "environment": asdict(training_environment(settings)),
        "ppo": {name: item.default for name, item in parameters.items() if isinstance(item.default, int | float | str)},
        "learner": LearnerOptions().to_dict(),
    }


def _data(settings: RunSettings) -> dict[str, str]:
    """Hashes of the motion and of the policies that a run starts from."""
    stems = Start.of(settings.init_from, settings.cast).paths
    start = {name: _file_hash(Path(f"{stem}.safetensors")) for name, stem in stems.items()}
    clips = settings.env_options.get("clips")
    return {**start, "clips": _clips_hash(settings.env_id, tuple(clips) if isinstance(clips, list) else clips)}


@cache
def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def _clips_hash(env_id: str, clips: str | tuple[str, ...] | None) -> str:
    total = hashlib.sha256()
    for clip in resolve_clips(env_id, clips):
        for array in (clip.offsets, clip.masses, clip.root_position, clip.local_rotation):
            total.update(array.tobytes())
        total.update(repr((clip.name, clip.fps, clip.furniture, clip.contacts)).encode())
    return total.hexdigest()[:16]
