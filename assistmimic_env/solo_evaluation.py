"""How well one single-person tracker follows every person of every clip, each alone.

The worlds are those of a pair in which nobody touches the partner (``solo``), so that a failure can be told apart by
person. Rollouts start at the first frame with seeded noise and go on to the clip's end; the measures are those of
``evaluation``, of one person instead of two.

    results = evaluate_alone(Policy.load("tracker"), clips=("pull_up",))
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from . import metrics, registry
from .clip import ROLES, bundled_clips, is_held_out
from .config import CONTROL_DT, require
from .metrics import Estimate, estimate_mean, estimate_rate
from .policy import Policy
from .policy_expansion import fitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .policy import Actor
    from .simulation import PairSimulation

    Array = NDArray[np.float64]
    Ids = NDArray[np.intp]

ENV_ID: Final = "AssistMimic/SitToStand-v0"
"""Lends body and servos; clips are given."""

UNITS: Final[Mapping[str, str]] = {
    "task_success": "rate", "success_50": "rate", "survived": "share of the clip", "mpjpe": "m"
}  # fmt: skip
"""Name -> unit of what is reported; see ``docs/environment.md``. ``mpjpe`` is taken until the failing frame."""


@dataclass(frozen=True, kw_only=True)
class PersonResult:
    """One person of one clip, over all rollouts.

    Attributes:
        clip: Name of the clip.
        role: Who of the two.
        metrics: Name (see ``UNITS``) -> estimate with its 95 % interval.
    """

    clip: str
    role: str
    metrics: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "clip": self.clip,
            "role": self.role,
            **{name: estimate.to_json() for name, estimate in self.metrics.items()},
        }


def training_clips() -> tuple[str, ...]:
    """Bundled clips that a single-person tracker is trained on."""
    return tuple(clip for clip in bundled_clips() if not is_held_out(clip))


def held_out_clips() -> tuple[str, ...]:
    """Bundled clips that it never sees."""
    return tuple(clip for clip in bundled_clips() if is_held_out(clip))


def evaluate_alone(
    tracker: Actor,
    *,
    clips: Sequence[str],
    rollouts: int = 32,
    seed: int = 0,
    start_noise: float = 1.0,
    threads: int = 0,
    **options: Any,
) -> tuple[PersonResult, ...]:
    """Measure a tracker on every person of some clips.

    Args:
        tracker: A policy; one that knows only some blocks of the observation is widened.
        clips: Names of bundled clips, or files.
        rollouts: Per clip.
        seed: Seed of the first rollout of each clip.
        start_noise: Scale of the noise of the start state.
        threads: C threads of the physics; 0 means all CPUs. Results do not depend on it.
        **options: Further options of the environment, as for ``make_vec``.

    Returns:
        Two results per clip, the supporter's first.

    Raises:
        PolicyError: The policy does not fit.
    """
    require(rollouts >= 1, "rollouts", rollouts, "at least 1")
    protocol = {"solo": True, "start": "first", "start_noise": start_noise, "termination_distance": float("inf")}
    worlds = rollouts * len(clips)
    vec = registry.make_vec(ENV_ID, num_envs=worlds, threads=threads, clips=tuple(clips), **{**options, **protocol})
    simulation = vec.simulation
    simulation.auto_reset = False
    tracker = fitted(tracker, simulation) if isinstance(tracker, Policy) else tracker
    simulation.seed(seed + np.arange(worlds) // len(clips))
    clip = np.arange(worlds) % len(clips)
    length = simulation.reference.length[clip] - 1
    error, height, body = _play(simulation, tracker, clip, length)
    names = [one.name for one in simulation.reference.clips]
    results = []
    for index, role in itertools.product(range(len(clips)), range(len(ROLES))):
        chosen = clip == index
        measured = _estimates(error[chosen, :, role], height[chosen, :, role], body[chosen, :, role], length[chosen])
        results.append(PersonResult(clip=names[index], role=ROLES[role], metrics=measured))
    return tuple(results)


def mean_of(results: Sequence[PersonResult], name: str) -> float:
    """Mean of one measure over people, each counting once."""
    return float(np.mean([result.metrics[name].mean for result in results]))


def _play(simulation: PairSimulation, tracker: Actor, clip: Ids, length: Ids) -> tuple[Array, Array, Array]:
    """Errors of every person, each of shape (rollouts, frames, 2) [m]; NaN past the end and after a divergence."""
    everyone = np.arange(simulation.num_worlds)
    error, height, body = np.full((3, len(clip), int(length.max()), 2), np.nan)
    heights = simulation.body.indices(metrics.HEIGHT_BODIES)
    observation = simulation.reset(everyone, clip=clip, frame=np.zeros_like(everyone))
    going = np.ones(len(clip), np.bool_)
    for frame in range(int(length.max())):
        transition = simulation.step(tracker.act(observation))
        measured = np.flatnonzero(going & ~transition.physics_error)
        position = simulation.worlds.motion(measured).position
        row = simulation.reference.row(clip[measured], simulation.frame[measured])
        error[measured, frame] = transition.tracking.tracking_error[measured]
        body[measured, frame] = transition.tracking.body_error[measured].mean(axis=-1)
        height[measured, frame] = metrics.height_error(position, simulation.reference.position[row], heights)
        ended = transition.terminated | transition.truncated
        going &= ~ended
        if ended.any():
            simulation.reset(np.flatnonzero(ended))  # waits in another episode, unmeasured
        observation = simulation.observation
    return error, height, body


def _estimates(error: Array, height: Array, body: Array, length: Ids) -> dict[str, Estimate]:
    """Measures of one person from errors of shape (rollouts, frames)."""
    alone = error[..., None]
    survived = metrics.survived_frames(alone, length)
    mpjpe = metrics.mean_over_frames(body[..., None], metrics.evaluated_frames(survived, length))[:, 0]
    return {
        "task_success": estimate_rate(metrics.task_success(alone, height, length, control_dt=CONTROL_DT)),
        "success_50": estimate_rate(metrics.success(alone, length)),
        "survived": estimate_mean(survived / length),
        "mpjpe": estimate_mean(mpjpe),
    }
