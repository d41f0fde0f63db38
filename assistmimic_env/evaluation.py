"""Rollouts of policies on fixed seeds, and a report of them that does not flatter anybody.

Every rollout starts at the first frame of a clip with seeded start noise, so all policies of a comparison meet the same
starts. Logs end at the failure; errors are reported up to it and over the horizon that all compared policies reached.

    result = compare("AssistMimic/PullUp-v0", {"warm": load_pair("warm"), "trained": load_pair("best")}, record=1)
    result.save("evaluation.json")
    write_video("trained.mp4", frames(result.recordings["trained"][0]))
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mujoco
import numpy as np

from . import __version__, metrics, registry
from .clip import ROLES
from .config import RandomisationConfig, env_config, require
from .errors import ConfigError, PolicyError
from .metrics import Estimate, estimate_mean, estimate_rate
from .policy import Policy, policy_interface, write_atomically
from .policy_expansion import expand
from .quantities import QUANTITIES, RATE, UNITS
from .recording import Film, Recording, frames
from .rollout_log import RolloutLog, Trace
from .vector import VectorEnv, by_role, stack_actions

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from .policy import Actor
    from .simulation import PairSimulation

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ids = NDArray[np.intp]
    Pair = Mapping[str, Actor]

__all__ = ["Evaluation", "compare", "evaluate", "frames", "record"]

FORMAT: Final = "assistmimic-evaluation"
VERSION: Final = 2

TASK_OPTIONS: Final = ("body", "supporter", "recipient", "perturbation", "solo", "judged")
"""What must be the same for all pairs of a comparison, or their numbers mean different things."""

_COLUMNS: Final = (
    "survived", "success_50", "success_25", "task_success", "mpjpe", "mpjpe_common", "support_force"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of `evaluate` or `compare`.

    Attributes:
        env: Id of the environment.
        seed: Seed of the first rollout; rollout i has ``seed + i``.
        start_noise: Scale of the start noise.
        failure_distance: Mean error at which logs end [m].
        clips: Names of the clips; rollout i plays clip ``i % len(clips)``.
        config: The environment's settings; of the first pair where pairs have options of their own.
        logs: Name of a pair of policies -> its rollouts.
        actors: Name of a pair -> role -> where its policy comes from.
        own_options: Name of a pair -> options of the environment that only its worlds had.
        recordings: Name of a pair -> poses of its first rollouts, as many as asked for.
    """

    env: str
    seed: int
    start_noise: float
    failure_distance: float
    clips: tuple[str, ...]
    config: Mapping[str, Any]
    logs: Mapping[str, RolloutLog]
    actors: Mapping[str, Mapping[str, str]]
    own_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recordings: Mapping[str, tuple[Recording, ...]] = field(default_factory=dict)

    @property
    def rollouts(self) -> int:
        """Number of rollouts of each pair."""
        return len(next(iter(self.logs.values())).seed)

    @cached_property
    def per_rollout(self) -> Mapping[str, dict[str, Array | Bools]]:
        """Name of a pair -> quantity -> one number per rollout, shape (R,)."""
        logs, distance = self.logs.values(), self.failure_distance
        horizon = metrics.common_horizon([log.frames(distance) for log in logs])
        common = np.all([metrics.success(log.tracking_error, log.length) for log in logs], axis=0)
        return {
            name: log.per_rollout(failure_distance=distance, horizon=horizon, common=common)
            for name, log in self.logs.items()
        }

    @cached_property
    def summary(self) -> Mapping[str, dict[str, Estimate]]:
        """Name of a pair -> quantity -> estimate with its 95 % interval (Wilson's for rates, bootstrap for means)."""
        return {
            name: {
                quantity: estimate_rate(values) if UNITS[quantity] == RATE else estimate_mean(values)
                for quantity, values in quantities.items()
            }
            for name, quantities in self.per_rollout.items()
        }

    @cached_property
    def differences(self) -> Mapping[str, dict[str, Estimate]]:
        """Name of each pair but the first -> quantity -> its difference to the first pair on the same seeds."""
        first, *others = self.per_rollout
        return {
            name: {
                quantity: estimate_mean(np.subtract(values, self.per_rollout[first][quantity], dtype=np.float64))
                for quantity, values in self.per_rollout[name].items()
            }
            for name in others
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything but poses and per-frame logs as one JSON object (NaN becomes null)."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "env": self.env,
            "rollouts": self.rollouts,
            "seeds": [self.seed, self.seed + self.rollouts - 1],
            "start_noise": self.start_noise,
            "failure_distance": self.failure_distance,
            "confidence": 0.95,
            "units": dict(UNITS),
            "clips": list(self.clips),
            "config": json_value(self.config),
            "versions": versions(),
            "policies": {name: self._pair_json(name) for name in self.logs},
        }

    def _pair_json(self, name: str) -> dict[str, Any]:
        differences = self.differences.get(name)
        return {
            "actors": dict(self.actors[name]),
            "own_options": json_value(self.own_options.get(name, {})),
            "metrics": _estimates_json(self.summary[name]),
            **({} if differences is None else {"difference_to_first": _estimates_json(differences)}),
            "per_rollout": {
                "clip": self.logs[name].clip.tolist(),
                **{quantity: json_value(values) for quantity, values in self.per_rollout[name].items()},
            },
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `to_json` to a file, which appears whole or not at all; do this before anything is rendered."""
        return save_json(path, self.to_json())

    def table(self, columns: Sequence[str] = _COLUMNS) -> list[list[str]]:
        """Return figures as rows of text, headings first: mean and 95 % interval.

        Args:
            columns: Names of `quantities.QUANTITIES`.
        """
        rows = [["policy", *(QUANTITIES[name].heading for name in columns)]]
        for pair, estimates in self.summary.items():
            rows.append([pair, *(QUANTITIES[name].text(estimates[name]) for name in columns)])
        return rows


def evaluate(env: str | VectorEnv, policies: Pair, *, name: str = "policy", **settings: Any) -> Evaluation:
    """Measure one pair of policies.

    Args:
        env: Id of an environment, or a vector environment whose clips and settings are used.
        policies: Role -> policy (anything with ``act``).
        name: What to call the pair.
        **settings: Keyword arguments of `compare`.

    Returns:
        The result.
    """
    return compare(env, {name: policies}, **settings)


def compare(
    env: str | VectorEnv,
    pairs: Mapping[str, Pair],
    *,
    rollouts: int = 100,
    seed: int = 0,
    start_noise: float = 1.0,
    failure_distance: float = metrics.FAILURE_DISTANCE,
    record: int = 0,
    num_worlds: int = 64,
    threads: int = 0,
    own_options: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Evaluation:
    """Measure several pairs of policies on the same seeds.

    Args:
        env: Id of an environment, or a vector environment whose clips and settings are used, but for its domain
            randomisation.
        pairs: Name -> role -> policy (anything with ``act``; ``reset()`` is called first where it exists).
        rollouts: Rollouts per pair; rollout i plays clip ``i % clips``.
        seed: Seed of the first rollout.
        start_noise: Scale of the noise of the start state.
        failure_distance: Mean error at which a rollout ends [m], at least 0.5 so that SR@0.5 can be measured.
        record: Number of first rollouts whose poses are kept, for `frames`.
        num_worlds: Rollouts simulated at once. Results repeat exactly for the same value.
        threads: C threads of the physics; 0 means all CPUs. Results do not depend on it.
        own_options: Name of a pair -> options that only its worlds have, e.g. what it observes; they come before
            those of the environment. Options that decide what the task is must be the same for all.
        **options: Options of the environment, as for ``make_vec``; only with an id.

    Returns:
        The result.

    Raises:
        ConfigError: A setting cannot work.
        PolicyError: A policy is missing or does not fit the environment.
        ActionError: A policy returns something that is no action.
    """
    require(rollouts >= 1, "rollouts", rollouts, "at least 1")
    require(num_worlds >= 1, "num_worlds", num_worlds, "at least 1")
    require(len(pairs) >= 1, "pairs", dict(pairs), "at least one pair of policies")
    needed = f"at least {metrics.FAILURE_DISTANCE} m, or SR@0.5 could not be measured"
    require(failure_distance >= metrics.FAILURE_DISTANCE, "failure_distance", failure_distance, needed)
    protocol = {"start": "first", "start_noise": start_noise, "termination_distance": failure_distance}
    own = {name: dict((own_options or {}).get(name, {})) for name in pairs}
    stages = _stages(env, own, min(num_worlds, rollouts), threads, protocol, options)
    fitting = {name: _fit_pair(stages[name].simulation, name, pair) for name, pair in pairs.items()}
    seeds = seed + np.arange(rollouts)
    results = {name: _roll_out(stages[name].simulation, pair, seeds, record) for name, pair in fitting.items()}
    first = next(iter(stages.values()))
    return Evaluation(
        env=first.name,
        seed=seed,
        start_noise=start_noise,
        failure_distance=failure_distance,
        clips=tuple(clip.name for clip in first.reference.clips),
        config=asdict(first.config),
        logs={name: log for name, (log, _) in results.items()},
        actors={name: {role: _origin(pair[role]) for role in ROLES} for name, pair in pairs.items()},
        own_options=own,
        recordings={name: recordings for name, (_, recordings) in results.items()},
    )


def record(env: str | VectorEnv, policies: Pair, *, seed: int = 0, **settings: Any) -> Recording:
    """Keep the poses of one rollout.

    Args:
        env: Id of an environment, or a vector environment whose clips and settings are used.
        policies: Role -> policy.
        seed: Seed of the rollout.
        **settings: Further keyword arguments of `compare`.

    Returns:
        The poses, for `frames`.
    """
    result = evaluate(env, policies, rollouts=1, seed=seed, record=1, **settings)
    return result.recordings["policy"][0]


def versions() -> dict[str, str]:
    """Versions of everything that decides the numbers, and the kind of machine."""
    found = {"assistmimic": __version__, "mujoco": mujoco.__version__, "numpy": np.__version__}
    return {**found, "python": platform.python_version(), "machine": platform.machine()}


def save_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> Path:
    """Write a JSON file that appears whole or not at all; missing folders are created."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    return path


def json_value(value: Any) -> Any:
    """Arrays as lists, mappings as objects, numbers that are not finite as null."""
    if isinstance(value, np.ndarray):
        return json_value(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _stages(
    env: str | VectorEnv,
    own: Mapping[str, Mapping[str, Any]],
    num_worlds: int,
    threads: int,
    protocol: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, VectorEnv]:
    """Worlds for each pair; pairs with the same options share them."""
    made: dict[str, VectorEnv] = {}
    stages: dict[str, VectorEnv] = {}
    for name, mine in own.items():
        key = json.dumps(mine, sort_keys=True, default=str)
        if key not in made:
            made[key] = _prepare(env, num_worlds, threads, {**mine, **protocol}, options)
        stages[name] = made[key]
    _check_same_task(stages)
    return stages


def _prepare(
    env: str | VectorEnv, num_worlds: int, threads: int, protocol: Mapping[str, Any], options: Mapping[str, Any]
) -> VectorEnv:
    """Make the worlds; they are never reset by themselves."""
    if isinstance(env, str):
        vec = registry.make_vec(env, num_envs=num_worlds, threads=threads, **{**options, **protocol})
    elif options:
        raise ConfigError(
            f"options {', '.join(options)} were given beside an environment; pass an id to change options."
        )
    else:
        config = env_config(replace(env.config, randomisation=RandomisationConfig()), **protocol)
        vec = VectorEnv(env.reference.clips, num_worlds, config=config, threads=threads, name=env.name)
    vec.simulation.auto_reset = False
    return vec


def _check_same_task(stages: Mapping[str, VectorEnv]) -> None:
    first, *others = stages
    for name, option in ((name, option) for name in others for option in TASK_OPTIONS):
        found, expected = (getattr(stages[which].config, option) for which in (name, first))
        if found != expected:
            raise ConfigError(
                f"'{first}' and '{name}' cannot be compared: their {option} differs ({expected} and {found}). "
                f"Evaluate them apart, or give both the same {option}."
            )


def _fit_pair(simulation: PairSimulation, name: str, pair: Pair) -> dict[str, Actor]:
    """Check the policies of a pair; blocks of the observation that one does not know get zero weights."""
    law = simulation.config.actuation
    interface = policy_interface(
        layout=simulation.layout, body=simulation.body, actuation=law, frames=simulation.config.frames
    )
    fitting: dict[str, Actor] = {}
    for role in ROLES:
        actor = pair.get(role)
        if actor is None:
            raise PolicyError(f"pair '{name}' has no policy for the {role}; it has {', '.join(pair) or 'none'}.")
        if isinstance(actor, Policy):
            actor = expand(actor, interface)
            actor.check(interface, action_size=simulation.body.num_dofs, role=role)
        fitting[role] = actor
    return fitting


def _roll_out(
    simulation: PairSimulation, pair: Pair, seeds: Ids, record: int
) -> tuple[RolloutLog, tuple[Recording, ...]]:
    """Play all rollouts of one pair, as many at once as there are worlds."""
    for role in ROLES:
        if hasattr(pair[role], "reset"):
            pair[role].reset()  # type: ignore[attr-defined]
    clips = np.arange(len(seeds)) % len(simulation.reference.length)
    frames = int(simulation.reference.length[clips].max()) - 1
    logs: list[RolloutLog] = []
    recordings: list[Recording] = []
    for first in range(0, len(seeds), simulation.num_worlds):
        chosen = slice(first, first + simulation.num_worlds)
        seed, clip = seeds[chosen], clips[chosen]
        film = Film(simulation, int(np.clip(record - first, 0, len(seed))))
        trace = _play(simulation, pair, seed, clip, frames, film)
        logs.append(RolloutLog.of(trace, simulation, seed=seed, clip=clip))
        recordings.extend(film.recordings())
    return RolloutLog.join(logs), tuple(recordings)


def _play(simulation: PairSimulation, pair: Pair, seed: Ids, clip: Ids, frames: int, film: Film) -> Trace:
    """Play one rollout in each of the first worlds; the others repeat the last one and are not recorded."""
    everyone = np.arange(simulation.num_worlds)
    going, which = everyone < len(seed), np.minimum(everyone, len(seed) - 1)
    simulation.seed(seed[which])
    observation = simulation.reset(everyone, clip=clip[which], frame=np.zeros_like(everyone))
    trace = Trace(simulation, frames)
    film.take(going)
    for frame in range(frames):
        actions = {role: pair[role].act(values) for role, values in by_role(observation).items()}
        transition = simulation.step(stack_actions(actions, (simulation.num_worlds, simulation.body.num_dofs)))
        trace.write(frame, going, transition)
        film.take(going & ~transition.physics_error)
        going = going & ~(transition.terminated | transition.truncated)
        if not going.any():
            break
        observation = transition.observation
    return trace


def _origin(actor: Actor) -> str:
    return actor.source if isinstance(actor, Policy) else type(actor).__name__


def _estimates_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {quantity: estimate.to_json() for quantity, estimate in estimates.items()}
