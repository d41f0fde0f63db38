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
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mujoco
import numpy as np

from . import __version__, metrics, registry
from .clip import ROLES
from .config import CONTROL_DT, require
from .errors import ConfigError, PolicyError
from .metrics import Estimate, estimate_mean, estimate_rate
from .policy import Policy, policy_interface, write_atomically
from .vector import VectorEnv, by_role, stack_actions

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from .policy import Actor
    from .rendering import Ghost, Image
    from .scene import Setting
    from .simulation import PairSimulation, Transition

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ids = NDArray[np.intp]
    Pair = Mapping[str, Actor]

FORMAT: Final = "assistmimic-evaluation"
VERSION: Final = 1

UNITS: Final[Mapping[str, str]] = {
    "success_50": "rate",
    "success_25": "rate",
    "task_success": "rate",
    "survived": "share of the clip",
    "mpjpe": "m",
    "mpjpe_supporter": "m",
    "mpjpe_recipient": "m",
    "mpjpe_common": "m",
    "mpjpe_common_supporter": "m",
    "mpjpe_common_recipient": "m",
    "contact_force_supporter": "N",
    "contact_force_recipient": "N",
    "support_force": "N",
    "physics_error": "rate",
}
"""Name -> unit of everything that is reported.

``mpjpe``: mean distance of all bodies from the reference, up to and including the failing frame; ``_common``: over the
frames that all compared policies reached in the same rollout. ``contact_force``: sum over a person's bodies of the
partner's force on each; ``support_force``: the supporter's net upward force on the recipient, negative when pressing
down. Forces are those of the last physics step of each frame, averaged over the same frames as ``mpjpe``.
"""


@dataclass(frozen=True, kw_only=True)
class RolloutLog:
    """What happened in R rollouts of one pair of policies; NaN after a failure or past the end of a clip.

    Attributes:
        seed: Seed of each rollout, shape (R,).
        clip: Index of its clip, shape (R,).
        length: Frames of its clip without the first, at which it starts, shape (R,).
        tracking_error: Mean error of the 16 reset bodies, shape (R, T, 2) [m].
        body_error: Mean error of all bodies, shape (R, T, 2) [m].
        height_error: Recipient's pelvis and head against their reference heights, shape (R, T) [m].
        contact_force: Sum of the partner's forces on a person's bodies, shape (R, T, 2) [N].
        support_force: Net upward force of the supporter on the recipient, shape (R, T, 1) [N].
        physics_error: The world diverged, shape (R,).
    """

    seed: Ids
    clip: Ids
    length: Ids
    tracking_error: Array
    body_error: Array
    height_error: Array
    contact_force: Array
    support_force: Array
    physics_error: Bools

    def frames(self, failure_distance: float) -> Ids:
        """Frames over which each rollout is judged, shape (R,): until the failure, that frame included."""
        survived = metrics.survived_frames(self.tracking_error, self.length, threshold=failure_distance)
        return metrics.evaluated_frames(survived, self.length)

    def per_rollout(self, *, failure_distance: float, horizon: Ids) -> dict[str, Array | Bools]:
        """All reported quantities of every rollout.

        Args:
            failure_distance: Mean error above which an agent has failed [m].
            horizon: Frames that all compared policies reached, shape (R,).

        Returns:
            Name (see ``UNITS``) -> shape (R,).
        """
        error, length = self.tracking_error, self.length
        frames = self.frames(failure_distance)
        mpjpe = metrics.mean_over_frames(self.body_error, frames)
        common = metrics.mean_over_frames(self.body_error, horizon)
        contact = metrics.mean_over_frames(self.contact_force, frames)
        return {
            "success_50": metrics.success(error, length),
            "success_25": metrics.success(error, length, threshold=metrics.STRICT_DISTANCE),
            "task_success": metrics.task_success(error, self.height_error, length, control_dt=CONTROL_DT),
            "survived": metrics.survived_frames(error, length, threshold=failure_distance) / length,
            "mpjpe": mpjpe.mean(axis=-1),
            **{f"mpjpe_{role}": mpjpe[:, index] for index, role in enumerate(ROLES)},
            "mpjpe_common": common.mean(axis=-1),
            **{f"mpjpe_common_{role}": common[:, index] for index, role in enumerate(ROLES)},
            **{f"contact_force_{role}": contact[:, index] for index, role in enumerate(ROLES)},
            "support_force": metrics.mean_over_frames(self.support_force, frames)[:, 0],
            "physics_error": self.physics_error,
        }


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The poses of one rollout, until its end.

    Attributes:
        setting: Who and what is in the scene.
        position: World positions, shape (F, 2, J, 3) [m].
        rotation: World rotations, shape (F, 2, J, 4).
        ref_position: Reference positions, shape (F, 2, J, 3) [m].
        ref_rotation: Reference rotations, shape (F, 2, J, 4).
    """

    setting: Setting
    position: Array
    rotation: Array
    ref_position: Array
    ref_rotation: Array


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of `evaluate` or `compare`.

    Attributes:
        env: Id of the environment.
        seed: Seed of the first rollout; rollout i has ``seed + i``.
        start_noise: Scale of the start noise.
        failure_distance: Mean error at which logs end [m].
        clips: Names of the clips; rollout i plays clip ``i % len(clips)``.
        config: The environment's settings.
        logs: Name of a pair of policies -> its rollouts.
        actors: Name of a pair -> role -> where its policy comes from.
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
    recordings: Mapping[str, tuple[Recording, ...]] = field(default_factory=dict)

    @property
    def rollouts(self) -> int:
        """Number of rollouts of each pair."""
        return len(next(iter(self.logs.values())).seed)

    @cached_property
    def per_rollout(self) -> Mapping[str, dict[str, Array | Bools]]:
        """Name of a pair -> quantity -> one number per rollout, shape (R,)."""
        horizon = metrics.common_horizon([log.frames(self.failure_distance) for log in self.logs.values()])
        distance = self.failure_distance
        return {name: log.per_rollout(failure_distance=distance, horizon=horizon) for name, log in self.logs.items()}

    @cached_property
    def summary(self) -> Mapping[str, dict[str, Estimate]]:
        """Name of a pair -> quantity -> estimate with its 95 % interval (Wilson's for rates, bootstrap for means)."""
        return {
            name: {
                quantity: estimate_rate(values) if UNITS[quantity] == "rate" else estimate_mean(values)
                for quantity, values in quantities.items()
            }
            for name, quantities in self.per_rollout.items()
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
            "config": _json_value(self.config),
            "versions": _versions(),
            "policies": {
                name: {
                    "actors": dict(self.actors[name]),
                    "metrics": {quantity: estimate.to_json() for quantity, estimate in self.summary[name].items()},
                    "per_rollout": {
                        "clip": self.logs[name].clip.tolist(),
                        **{quantity: _json_value(values) for quantity, values in self.per_rollout[name].items()},
                    },
                }
                for name in self.logs
            },
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `to_json` to a file, which appears whole or not at all; do this before anything is rendered."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n").encode())
        return path

    def table(self) -> list[list[str]]:
        """Return the main figures as rows of text, headings first: mean and 95 % interval."""
        columns = {
            "survived": ("survived", 100.0, "%"),
            "SR@0.5": ("success_50", 100.0, "%"),
            "SR@0.25": ("success_25", 100.0, "%"),
            "task success": ("task_success", 100.0, "%"),
            "MPJPE": ("mpjpe", 1000.0, "mm"),
            "MPJPE common": ("mpjpe_common", 1000.0, "mm"),
            "support": ("support_force", 1.0, "N"),
        }
        rows = [["policy", *(f"{title} [{unit}]" for title, (_, _, unit) in columns.items())]]
        for name, estimates in self.summary.items():
            rows.append([name, *(_cell(estimates[quantity], scale) for quantity, scale, _ in columns.values())])
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
    **options: Any,
) -> Evaluation:
    """Measure several pairs of policies on the same seeds.

    Args:
        env: Id of an environment, or a vector environment whose clips and settings are used.
        pairs: Name -> role -> policy (anything with ``act``; ``reset()`` is called first where it exists).
        rollouts: Rollouts per pair; rollout i plays clip ``i % clips``.
        seed: Seed of the first rollout.
        start_noise: Scale of the noise of the start state.
        failure_distance: Mean error at which a rollout ends [m], at least 0.5 so that SR@0.5 can be measured.
        record: Number of first rollouts whose poses are kept, for `frames`.
        num_worlds: Rollouts simulated at once. Results repeat exactly for the same value.
        threads: C threads of the physics; 0 means all CPUs. Results do not depend on it.
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
    vec = _prepare(env, min(num_worlds, rollouts), threads, protocol, options)
    _check_pairs(vec.simulation, pairs)
    seeds = seed + np.arange(rollouts)
    results = {name: _roll_out(vec.simulation, pair, seeds, record) for name, pair in pairs.items()}
    return Evaluation(
        env=vec.name,
        seed=seed,
        start_noise=start_noise,
        failure_distance=failure_distance,
        clips=tuple(clip.name for clip in vec.reference.clips),
        config=asdict(vec.config),
        logs={name: log for name, (log, _) in results.items()},
        actors={name: {role: _origin(pair[role]) for role in ROLES} for name, pair in pairs.items()},
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


def frames(
    recording: Recording, *, width: int = 854, height: int = 480, ghost: Ghost = "beside", samples: int = 0
) -> Iterator[Image]:
    """Draw a recording, one picture per control step (30 per second).

    Args:
        recording: What to draw.
        width: Picture width [pixels].
        height: Picture height [pixels].
        ghost: Where the translucent reference goes, see `rendering.PairRenderer`.
        samples: Samples per pixel: 0 is fast, 4 is smooth.

    Yields:
        Pictures, shape (height, width, 3).

    Raises:
        MissingDependencyError: There is no off-screen OpenGL (when the first picture is asked for).
    """
    from .rendering import PairRenderer

    setting = recording.setting
    with PairRenderer(
        setting.bodies, setting.furniture, width=width, height=height, ghost=ghost, samples=samples
    ) as renderer:
        references = zip(recording.ref_position, recording.ref_rotation, strict=True)
        for position, rotation, reference in zip(recording.position, recording.rotation, references, strict=True):
            yield renderer.frame(position, rotation, reference=reference)


class _Film:
    """Collects the poses of the first worlds of a simulation while they last."""

    def __init__(self, simulation: PairSimulation, count: int) -> None:
        self._simulation = simulation
        self._worlds = np.arange(count)
        self._poses: list[list[tuple[Array, ...]]] = [[] for _ in range(count)]

    def take(self, going: Bools) -> None:
        """Keep the present poses of the worlds that are still going, shape (N,)."""
        worlds = self._worlds[going[: len(self._worlds)]]
        if not worlds.size:
            return
        simulation, reference = self._simulation, self._simulation.reference
        motion = simulation.worlds.motion(worlds)
        row = reference.row(simulation.clip[worlds], simulation.frame[worlds])
        poses = (motion.position, motion.rotation, reference.position[row], reference.rotation[row])
        for index, world in enumerate(worlds):
            self._poses[world].append(tuple(pose[index].copy() for pose in poses))

    def recordings(self) -> tuple[Recording, ...]:
        """What was kept, one recording per world."""
        made = []
        for world, poses in enumerate(self._poses):
            arrays = [np.stack(column) for column in zip(*poses, strict=True)]
            keys = ("position", "rotation", "ref_position", "ref_rotation")
            setting = self._simulation.scene.settings[self._simulation.clip[world]]
            made.append(Recording(setting=setting, **dict(zip(keys, arrays, strict=True))))
        return tuple(made)


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
        clips, config = env.reference.clips, replace(env.config, **protocol)
        vec = VectorEnv(clips, num_worlds, config=config, threads=threads, name=env.name)
    vec.simulation.auto_reset = False
    return vec


def _check_pairs(simulation: PairSimulation, pairs: Mapping[str, Pair]) -> None:
    config = simulation.config
    interface = policy_interface(layout=simulation.layout, body=simulation.body, actuation=config.actuation)
    for name, pair in pairs.items():
        for role in ROLES:
            actor = pair.get(role)
            if actor is None:
                raise PolicyError(f"pair '{name}' has no policy for the {role}; it has {', '.join(pair) or 'none'}.")
            if isinstance(actor, Policy):
                actor.check(interface, action_size=simulation.body.num_dofs, role=role)


def _roll_out(
    simulation: PairSimulation, pair: Pair, seeds: Ids, record: int
) -> tuple[RolloutLog, tuple[Recording, ...]]:
    """Play all rollouts of one pair, as many at once as there are worlds."""
    for role in ROLES:
        if hasattr(pair[role], "reset"):
            pair[role].reset()  # type: ignore[attr-defined]
    log = _empty_log(simulation, seeds)
    recordings: list[Recording] = []
    for first in range(0, len(seeds), simulation.num_worlds):
        rollouts = first + np.arange(simulation.num_worlds)
        film = _Film(simulation, int(np.clip(record - first, 0, min(simulation.num_worlds, len(seeds) - first))))
        _play(simulation, pair, log, rollouts, film)
        recordings.extend(film.recordings())
    return log, tuple(recordings)


def _empty_log(simulation: PairSimulation, seeds: Ids) -> RolloutLog:
    lengths = simulation.reference.length
    clip = np.arange(len(seeds)) % len(lengths)
    shape = (len(seeds), int(lengths[clip].max()) - 1)
    return RolloutLog(
        seed=seeds,
        clip=clip,
        length=lengths[clip] - 1,
        tracking_error=np.full((*shape, 2), np.nan),
        body_error=np.full((*shape, 2), np.nan),
        height_error=np.full(shape, np.nan),
        contact_force=np.full((*shape, 2), np.nan),
        support_force=np.full((*shape, 1), np.nan),
        physics_error=np.zeros(len(seeds), np.bool_),
    )


def _play(simulation: PairSimulation, pair: Pair, log: RolloutLog, rollouts: Ids, film: _Film) -> None:
    """Play one rollout in each world; worlds beyond the last rollout repeat it and are not logged."""
    going = rollouts < len(log.seed)
    chosen = np.minimum(rollouts, len(log.seed) - 1)
    everyone = np.arange(simulation.num_worlds)
    simulation.seed(log.seed[chosen])
    observation = simulation.reset(everyone, clip=log.clip[chosen], frame=np.zeros_like(everyone))
    film.take(going)
    for frame in range(log.height_error.shape[1]):
        actions = {role: pair[role].act(values) for role, values in by_role(observation).items()}
        transition = simulation.step(stack_actions(actions, (simulation.num_worlds, simulation.body.num_dofs)))
        _write(log, rollouts, frame, going, transition)
        film.take(going & ~transition.physics_error)
        going = going & ~(transition.terminated | transition.truncated)
        if not going.any():
            return
        observation = transition.observation


def _write(log: RolloutLog, rollouts: Ids, frame: int, going: Bools, transition: Transition) -> None:
    """Log one frame of the worlds that are still going; a diverged world measures nothing."""
    measured = going & ~transition.physics_error
    rows, tracking, force = rollouts[measured], transition.tracking, transition.contact_force[measured]
    log.tracking_error[rows, frame] = tracking.tracking_error[measured]
    log.body_error[rows, frame] = tracking.body_error[measured].mean(axis=-1)
    log.height_error[rows, frame] = tracking.height_error[measured]
    log.contact_force[rows, frame] = np.linalg.norm(force, axis=-1).sum(axis=-1)
    log.support_force[rows, frame, 0] = force[:, 1, :, 2].sum(axis=-1)
    log.physics_error[rollouts[going & transition.physics_error]] = True


def _origin(actor: Actor) -> str:
    return actor.source if isinstance(actor, Policy) else type(actor).__name__


def _versions() -> dict[str, str]:
    versions = {"assistmimic": __version__, "mujoco": mujoco.__version__, "numpy": np.__version__}
    return {**versions, "python": platform.python_version(), "machine": platform.machine()}


def _json_value(value: Any) -> Any:
    """Arrays as lists, mappings as objects, numbers that are not finite as null."""
    if isinstance(value, np.ndarray):
        return _json_value(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _cell(estimate: Estimate, scale: float) -> str:
    if not np.isfinite(estimate.mean):
        return "-"
    mean, low, high = (_rounded(scale * value) for value in (estimate.mean, estimate.low, estimate.high))
    return mean if not np.isfinite(estimate.low) else f"{mean} ({low} to {high})"


def _rounded(value: float) -> str:
    return str(round(value)) if np.isfinite(value) else ""
