"""Throughput as ratios against a limit measured in the same run.

Absolute steps per second differ between machines and hours; what the project can promise is how little its own
work adds to the physics. Full steps and bare physics are timed in alternating blocks.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from . import registry
from .clip import ROLES
from .simulation import PairSimulation
from .vector import VectorEnv

Array = NDArray[np.float64]

_OUTPUTS = ("xpos", "xquat", "xmat", "cvel", "subtree_com", "sensordata", "actuator_force")
_ACTION_NOISE = 0.03
_VEL = mujoco.mjtStage.mjSTAGE_VEL

METHOD: Mapping[str, Any] = {
    "recipient": "needs-help",
    "retargeting": {"mode": "dynamic"},
    "contact": {"weight": 0.3, "excess": 0.1},
    "reward": {"coupling": 0.5, "assist": 0.2},
}
"""Everything of the method that costs time in every step, the grip apart, which is physics."""

RANDOMISED: Mapping[str, Any] = {
    **METHOD,
    "start_noise": 1.0,
    "randomisation": {
        "mass": (0.9, 1.1), "gain": (0.8, 1.2), "torque_limit": (0.8, 1.2), "friction": (0.8, 1.2),
        "push_interval": 2.0, "latency": 1, "observation_noise": 0.01,
    },
}  # fmt: skip
"""And all of domain randomisation."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What is measured.

    Attributes:
        env_id: Environment.
        clips: Other motion than the environment's own, as for ``make``.
        body: Humanoid of all parts but the comparison of bodies, which is made where this is not ``smpl24``.
        num_envs: Worlds of the vector measurement.
        threads: Physics threads of the vector measurement.
        blocks: Alternations between full steps and bare physics.
        steps: Vector steps per block; the single world takes ten times as many.
        growth: Numbers of worlds of the growth curve.
    """

    env_id: str = "AssistMimic/PullUp-v0"
    clips: tuple[str, ...] = ()
    body: str = "smpl24"
    num_envs: int = 64
    threads: int = 2
    blocks: int = 8
    steps: int = 40
    growth: tuple[int, ...] = (1, 4, 16, 64, 256)

    def make_vec(self, num_envs: int, threads: int, **options: Any) -> VectorEnv:
        """Worlds of the environment, of the humanoid unless ``options`` say otherwise."""
        options = {"body": self.body, "clips": self.clips or None, **options}
        return registry.make_vec(self.env_id, num_envs=num_envs, threads=threads, **options)


def run_benchmark(
    config: BenchmarkConfig | None = None, *, log: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure everything.

    Args:
        config: What is measured.
        log: Receives a line before each part.

    Returns:
        A JSON-able report. ``vector_ratio`` and ``parallel_ratio``: full step against ``Batch.step`` with its
        default settings, 1 would be free (``ratio_to_persistent`` compares with a persistent batch, which is faster
        and what ``Worlds`` uses). ``vector_ratio_method`` and ``vector_ratio_randomised``: the first one with
        ``METHOD`` and with ``RANDOMISED``. ``humanoid_ratio``: steps per second and humanoid against Gymnasium's
        ``Humanoid-v5``. ``bodies``: steps per second of the humanoid, free and with frozen fingers, against those of
        ``smpl24``, or ``None``. ``growth``: time and memory per world against N. The raw numbers are beside them.
    """
    config = BenchmarkConfig() if config is None else config
    log(f"vector environment, {config.num_envs} worlds on {config.threads} threads")
    vector = _vector_ratio(config)
    log("the same with the method on, and with domain randomisation")
    method, randomised = (_vector_ratio(config, **options) for options in (METHOD, RANDOMISED))
    log("one world")
    parallel = _parallel_ratio(config)
    log("Gymnasium Humanoid-v5")
    humanoid = _humanoid_rate(steps=config.blocks * config.steps * 5)
    log(f"growth with the number of worlds: {', '.join(map(str, config.growth))}")
    growth = [_growth(config, worlds) for worlds in config.growth]
    bodies = None
    if config.body != "smpl24":
        log(f"{config.body} against smpl24")
        bodies = _compare_bodies(config)
    per_humanoid = 2.0 * parallel["steps_per_second"]
    return {
        "env_id": config.env_id,
        "body": config.body,
        "vector_ratio": vector["ratio"],
        "vector_ratio_method": method["ratio"],
        "vector_ratio_randomised": randomised["ratio"],
        "parallel_ratio": parallel["ratio"],
        "humanoid_ratio": None if humanoid is None else per_humanoid / humanoid,
        "vector": vector,
        "vector_method": method,
        "vector_randomised": randomised,
        "parallel": parallel,
        "humanoid_v5_steps_per_second": humanoid,
        "humanoid_steps_per_second": per_humanoid,
        "bodies": bodies,
        "growth": growth,
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "mujoco": mujoco.__version__},
    }


def _feed_forward(simulation: PairSimulation) -> Array:
    """Actions that ask for the reference's next pose, for every reference row, shape (F, 2, A)."""
    return simulation.actions_for(simulation.reference.target)


def _vector_ratio(config: BenchmarkConfig, **options: Any) -> dict[str, float]:
    env = config.make_vec(config.num_envs, config.threads, **options)
    env.reset(seed=0)

    def step(action: Array) -> float:
        by_role = {role: action[:, index].astype(np.float32) for index, role in enumerate(ROLES)}
        start = time.perf_counter()
        env.step(by_role)
        return time.perf_counter() - start

    return _measure(env.simulation, step, threads=config.threads, steps=config.steps, blocks=config.blocks)


def _parallel_ratio(config: BenchmarkConfig) -> dict[str, float]:
    env = registry.make(config.env_id, body=config.body, clips=config.clips or None)
    env.reset(seed=0)

    def step(action: Array) -> float:
        if not env.agents:
            env.reset()
        by_role = {role: action[0, index].astype(np.float32) for index, role in enumerate(ROLES)}
        start = time.perf_counter()
        env.step(by_role)
        return time.perf_counter() - start

    return _measure(env.simulation, step, threads=1, steps=10 * config.steps, blocks=config.blocks)


def _measure(
    simulation: PairSimulation, step: Callable[[Array], float], *, threads: int, steps: int, blocks: int
) -> dict[str, float]:
    """Alternate blocks of full steps with bare physics on the states and actions just recorded."""
    rng = np.random.default_rng(0)
    actions, everyone = _feed_forward(simulation), np.arange(simulation.num_worlds)
    plain, kept = (_BarePhysics(simulation, threads, persistent=persistent) for persistent in (False, True))
    full: list[float] = []
    bare: list[float] = []
    bare_persistent: list[float] = []
    for _ in range(blocks + 1):
        recorded = []
        for _ in range(steps):
            row = simulation.reference.row(simulation.clip, simulation.frame + 1)
            action = actions[row] + rng.normal(scale=_ACTION_NOISE, size=(len(row), *actions.shape[1:]))
            state = simulation.worlds.get_state(everyone).physics
            full.append(step(action))
            recorded.append((state, simulation.worlds.controls))
        bare += [plain.time_step(state, controls) for state, controls in recorded]
        bare_persistent += [kept.time_step(state, controls) for state, controls in recorded]
    ratio = _ratio(full[steps:], bare[steps:], simulation.num_worlds)
    return {**ratio, "ratio_to_persistent": float(np.mean(bare_persistent[steps:]) / np.mean(full[steps:]))}


def _ratio(full: list[float], bare: list[float], worlds: int) -> dict[str, float]:
    """Means over the same recorded steps; a ratio of 1 would mean that nothing but physics takes time."""
    return {
        "ratio": float(np.mean(bare) / np.mean(full)),
        "ratio_of_medians": float(np.median(bare) / np.median(full)),
        "steps_per_second": float(worlds / np.mean(full)),
        "bare_steps_per_second": float(worlds / np.mean(bare)),
        "step_ms": float(1e3 * np.mean(full)),
        "bare_step_ms": float(1e3 * np.mean(bare)),
        "steps": float(len(full)),
    }


class _BarePhysics:
    """Nothing but ``Batch.step`` of the same model, with sensors and outputs, from recorded states."""

    def __init__(self, simulation: PairSimulation, threads: int, *, persistent: bool) -> None:
        self._substeps = simulation.scene.physics.substeps
        self._batch = Batch(simulation.scene.model, simulation.num_worlds, nthread=threads, persistent=persistent)
        self._ctrl = self._batch.bind("ctrl")
        for name in _OUTPUTS:
            self._batch.bind(name)

    def time_step(self, state: Array, controls: Array) -> float:
        """Seconds of one control step of all worlds."""
        self._batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE)
        self._batch.state[:] = state
        self._batch.forward()
        self._ctrl[:] = controls
        start = time.perf_counter()
        self._batch.step(nstep=self._substeps, stage=_VEL)
        return time.perf_counter() - start


def _humanoid_rate(*, steps: int) -> float | None:
    """Steps per second of Gymnasium's ``Humanoid-v5`` with random actions; ``None`` where it cannot be made."""
    import gymnasium

    try:
        env = gymnasium.make("Humanoid-v5")
    except (gymnasium.error.Error, ImportError):
        return None
    env.reset(seed=0)
    env.action_space.seed(0)
    elapsed = 0.0
    for _ in range(steps):
        action = env.action_space.sample()
        start = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(action)
        elapsed += time.perf_counter() - start
        if terminated or truncated:
            env.reset()
    env.close()
    return steps / elapsed


def _growth(config: BenchmarkConfig, worlds: int) -> dict[str, float]:
    gc.collect()
    before = _resident_bytes()
    env = config.make_vec(worlds, min(config.threads, worlds))
    env.reset(seed=0)
    actions = _feed_forward(env.simulation)
    elapsed = [_timed_step(env, actions) for _ in range(max(8, 1024 // worlds))]
    return {
        "num_envs": worlds,
        "microseconds_per_world_step": float(1e6 * np.mean(elapsed[2:]) / worlds),
        "megabytes_per_world": (_resident_bytes() - before) / worlds / 2**20,
    }


def _compare_bodies(config: BenchmarkConfig) -> dict[str, dict[str, float]]:
    """Full steps of the humanoid, with free and with frozen fingers, in blocks that alternate with ``smpl24``."""
    options: dict[str, dict[str, Any]] = {"smpl24": {"body": "smpl24"}} | {
        f"{config.body}, {fingers}": {"body": config.body, "fingers": fingers} for fingers in ("free", "frozen")
    }
    envs = {name: config.make_vec(config.num_envs, config.threads, **chosen) for name, chosen in options.items()}
    actions = {name: _feed_forward(env.simulation) for name, env in envs.items()}
    elapsed: dict[str, list[float]] = {name: [] for name in envs}
    for env in envs.values():
        env.reset(seed=0)
    for _ in range(config.blocks + 1):
        for name, env in envs.items():
            elapsed[name] += [_timed_step(env, actions[name]) for _ in range(config.steps)]
    seconds = {name: float(np.mean(times[config.steps :])) for name, times in elapsed.items()}
    return {
        name: {"steps_per_second": config.num_envs / mean, "over_smpl24": seconds["smpl24"] / mean}
        for name, mean in seconds.items()
    }


def _timed_step(env: VectorEnv, actions: Array) -> float:
    row = env.simulation.reference.row(env.simulation.clip, env.simulation.frame + 1)
    by_role = {role: actions[row, index].astype(np.float32) for index, role in enumerate(ROLES)}
    start = time.perf_counter()
    env.step(by_role)
    return time.perf_counter() - start


def _resident_bytes() -> float:
    """Resident memory of this process; NaN where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError):
        return float("nan")
    return float(pages * os.sysconf("SC_PAGESIZE"))


def format_report(report: dict[str, Any]) -> str:
    """The report as indented JSON."""
    return json.dumps(report, indent=2)
