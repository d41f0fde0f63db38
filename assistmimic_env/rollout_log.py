"""``RolloutLog``: what happened in some rollouts, frame by frame, and the quantities that follow from it.

``Trace`` records the worlds while they run, with one copy of each array per frame; ``RolloutLog.of`` turns it into
errors, contacts and forces per frame, all worlds and frames at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from . import metrics, pose_errors, touch
from .body import joint_kind
from .clip import ROLES
from .config import CONTROL_DT
from .quantities import TORQUE_GROUPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .body import BodySpec
    from .simulation import PairSimulation, Transition

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ids = NDArray[np.intp]

GRAVITY: Final = 9.81
"""[m/s^2]"""


class Trace:
    """Records N worlds over up to T frames after the first; NaN where nothing was measured.

    Args:
        simulation: The worlds, just reset.
        frames: T.

    Attributes:
        position: Body positions, the first frame included, shape (N, T + 1, 2, J, 3) [m].
        force: Force of the partner on each body, shape (N, T, 2, J, 3) [N].
        torque: Norm of the recipient's torque at each joint, shape (N, T, J - 1) [N m].
        com: The recipient's centre of mass, shape (N, T, 3) [m].
        tracking_error: Mean error of the 16 reset bodies, shape (N, T, 2) [m].
        height_error: Recipient's pelvis and head against their reference heights, shape (N, T) [m].
        mass: What the recipient weighs in this world, shape (N,) [kg].
        physics_error: The world diverged, shape (N,).
    """

    def __init__(self, simulation: PairSimulation, frames: int) -> None:
        worlds, bodies = simulation.num_worlds, simulation.body.num_bodies
        self._simulation = simulation
        self.position = np.full((worlds, frames + 1, 2, bodies, 3), np.nan)
        self.force = np.full((worlds, frames, 2, bodies, 3), np.nan)
        self.torque = np.full((worlds, frames, bodies - 1), np.nan)
        self.com = np.full((worlds, frames, 3), np.nan)
        self.tracking_error = np.full((worlds, frames, 2), np.nan)
        self.height_error = np.full((worlds, frames), np.nan)
        self.mass = simulation.worlds.mass[:, 1]
        self.physics_error = np.zeros(worlds, np.bool_)
        self.position[:, 0] = simulation.worlds.motion().position

    @property
    def frames(self) -> int:
        """T."""
        return self.height_error.shape[1]

    def write(self, frame: int, going: Bools, transition: Transition) -> None:
        """Record one frame of the worlds that are still going; a diverged world measures nothing.

        Args:
            frame: Frames since the first, minus one.
            going: Which worlds, shape (N,).
            transition: Result of the control step that led here.
        """
        ids, worlds = np.flatnonzero(going & ~transition.physics_error), self._simulation.worlds
        torque = worlds.torque[ids, 1].reshape(len(ids), -1, 3)
        self.position[ids, frame + 1] = worlds.motion(ids).position
        self.force[ids, frame] = transition.contact_force[ids]
        self.torque[ids, frame] = touch.magnitude(torque)
        self.com[ids, frame] = worlds.centre_of_mass[ids, 1]
        self.tracking_error[ids, frame] = transition.tracking.tracking_error[ids]
        self.height_error[ids, frame] = transition.tracking.height_error[ids]
        self.physics_error |= going & transition.physics_error


@dataclass(frozen=True, kw_only=True)
class RolloutLog:
    """What happened in R rollouts of one pair of policies; NaN after a failure or past the end of a clip.

    Attributes:
        seed: Seed of each rollout, shape (R,).
        clip: Index of its clip, shape (R,).
        length: Frames of its clip without the first, at which it starts, shape (R,).
        mass: What the recipient weighs in it, shape (R,) [kg].
        physics_error: The world diverged, shape (R,).
        tracking_error: Mean error of the 16 reset bodies, shape (R, T, 2) [m].
        height_error: Recipient's pelvis and head against their reference heights, shape (R, T) [m].
        errors: Name -> error per frame and role, shape (R, T, 2): those of `pose_errors.mpjpe` [m],
            ``velocity_error`` [m/s] and ``acceleration_error`` [m/s^2].
        touching: Which hands touch the partner, shape (R, T, 2 roles, 2 sides).
        expected: Which hands do so in the clip, same shape.
        contact_force: Sum of the partner's forces on a person's bodies, shape (R, T, 2) [N].
        support_force: Net upward force of the supporter on the recipient, shape (R, T, 1) [N].
        region_force: Force on the recipient's regions (``touch.REGIONS``), shape (R, T, 6) [N].
        torque: Norm of all of the recipient's torques, then the largest of each of ``TORQUE_GROUPS``,
            shape (R, T, 7) [N m].
        com: The recipient's centre of mass, shape (R, T, 3) [m].
    """

    seed: Ids
    clip: Ids
    length: Ids
    mass: Array
    physics_error: Bools
    tracking_error: Array
    height_error: Array
    errors: Mapping[str, Array]
    touching: Bools
    expected: Bools
    contact_force: Array
    support_force: Array
    region_force: Array
    torque: Array
    com: Array

    @classmethod
    def of(cls, trace: Trace, simulation: PairSimulation, *, seed: Ids, clip: Ids) -> RolloutLog:
        """The log of the first R worlds of a trace.

        Args:
            trace: What was recorded.
            simulation: Where.
            seed: Shape (R,).
            clip: Shape (R,).
        """
        rows, reference, body = slice(len(seed)), simulation.reference, simulation.body
        when = np.arange(trace.frames + 1)
        ref_rows = reference.row(clip[:, None], when)
        expected = np.concatenate([touch.expected_touch(one) for one in reference.clips])
        force = trace.force[rows]
        return cls(
            seed=seed,
            clip=clip,
            length=reference.length[clip] - 1,
            mass=trace.mass[rows],
            physics_error=trace.physics_error[rows],
            tracking_error=trace.tracking_error[rows],
            height_error=trace.height_error[rows],
            errors=_pose_errors(trace.position[rows], reference.position[ref_rows], body),
            touching=touch.touch(force, touch.hand_bodies(body)),
            expected=expected[ref_rows[:, 1:]],
            contact_force=touch.magnitude(force).sum(axis=-1),
            support_force=force[:, :, 1, :, 2].sum(axis=-1)[..., None],
            region_force=touch.region_force(force[:, :, 1], body),
            torque=_torques(trace.torque[rows], body),
            com=trace.com[rows],
        )

    @classmethod
    def join(cls, logs: Sequence[RolloutLog]) -> RolloutLog:
        """Several logs of equally many frames, one after the other."""
        joined = {
            item.name: np.concatenate([getattr(log, item.name) for log in logs])
            for item in fields(cls)
            if item.name != "errors"
        }
        errors = {name: np.concatenate([log.errors[name] for log in logs]) for name in logs[0].errors}
        return cls(**joined, errors=errors)

    def frames(self, failure_distance: float) -> Ids:
        """Frames over which each rollout is judged, shape (R,): until the failure, that frame included."""
        survived = metrics.survived_frames(self.tracking_error, self.length, threshold=failure_distance)
        return metrics.evaluated_frames(survived, self.length)

    def per_rollout(self, *, failure_distance: float, horizon: Ids, common: Bools) -> dict[str, Array | Bools]:
        """All reported quantities of every rollout.

        Args:
            failure_distance: Mean error above which an agent has failed [m].
            horizon: Frames that all compared policies reached, shape (R,).
            common: Rollouts in which all compared policies succeeded, shape (R,).

        Returns:
            Name (see ``quantities.QUANTITIES``) -> shape (R,).
        """
        frames = self.frames(failure_distance)
        return {
            **self._success(failure_distance),
            **self._errors(frames, horizon),
            **self._contact(frames),
            **self._strength(frames, common),
            **self._comfort(frames),
        }

    def _success(self, failure_distance: float) -> dict[str, Array | Bools]:
        error, length = self.tracking_error, self.length
        return {
            "survived": metrics.survived_frames(error, length, threshold=failure_distance) / length,
            "success_50": metrics.success(error, length),
            "success_25": metrics.success(error, length, threshold=metrics.STRICT_DISTANCE),
            "task_success": metrics.task_success(error, self.height_error, length, control_dt=CONTROL_DT),
            "physics_error": self.physics_error,
        }

    def _errors(self, frames: Ids, horizon: Ids) -> dict[str, Array]:
        means = {name: metrics.mean_over_frames(values, frames) for name, values in self.errors.items()}
        means["mpjpe_common"] = metrics.mean_over_frames(self.errors["mpjpe"], horizon)
        found: dict[str, Array] = {}
        for name, mean in means.items():
            found |= {name: mean.mean(axis=-1)} | _by_role(name, mean)
        return found

    def _contact(self, frames: Ids) -> dict[str, Array]:
        judged = np.arange(self.touching.shape[1]) < frames[:, None]
        judged &= np.isfinite(self.height_error)
        found: dict[str, Array] = {}
        for name, rate in (("contact_precision", touch.precision), ("contact_recall", touch.recall)):
            touching, expected = (flags.reshape(*judged.shape, -1) for flags in (self.touching, self.expected))
            found[name] = rate(touching, expected, judged)
            each = [rate(self.touching[:, :, i], self.expected[:, :, i], judged) for i in range(len(ROLES))]
            found |= _by_role(name, np.stack(each, axis=-1))
        support = metrics.mean_over_frames(self.support_force, frames)[:, 0]
        return {
            **found,
            **_by_role("contact_force", metrics.mean_over_frames(self.contact_force, frames)),
            "support_force": support,
            "weight_share": support / (self.mass * GRAVITY),
        }

    def _strength(self, frames: Ids, common: Bools) -> dict[str, Array]:
        peak = metrics.max_over_frames(self.torque, frames)
        names = ("max_torque", *(f"max_torque_{group}" for group in TORQUE_GROUPS))
        return {
            **{name: peak[:, column] for column, name in enumerate(names)},
            "com_std": np.where(common, metrics.spread_over_frames(self.com, frames), np.nan),
            "com_std_xy": np.where(common, metrics.spread_over_frames(self.com[..., :2], frames), np.nan),
        }

    def _comfort(self, frames: Ids) -> dict[str, Array]:
        peak = metrics.max_over_frames(self.region_force, frames)
        mean = metrics.mean_over_frames(self.region_force, frames)
        return {
            f"force_{kind}_{region}": values[:, column]
            for kind, values in (("peak", peak), ("mean", mean))
            for column, region in enumerate(touch.REGIONS)
        }


def _by_role(name: str, values: Array) -> dict[str, Array]:
    return {f"{name}_{role}": values[..., index] for index, role in enumerate(ROLES)}


def _pose_errors(position: Array, ref_position: Array, body: BodySpec) -> dict[str, Array]:
    """Errors per frame after the first, name -> (R, T, 2); NaN where a position they need was not measured."""
    measured = np.isfinite(position[:, 1:, 0, 0, 0])
    hands = np.concatenate(body.hands)
    found = pose_errors.mpjpe(position[:, 1:][measured], ref_position[:, 1:][measured], hands)
    errors = {name: _spread_out(values, measured) for name, values in found.items()}
    errors["velocity_error"] = pose_errors.velocity_error(position, ref_position, dt=CONTROL_DT)
    late = pose_errors.acceleration_error(position, ref_position, dt=CONTROL_DT)
    errors["acceleration_error"] = np.concatenate([np.full_like(late[:, :1], np.nan), late], axis=1)
    return errors


def _spread_out(values: Array, measured: Bools) -> Array:
    """Values of the measured frames, shape (n, 2), at their places, shape (R, T, 2)."""
    placed = np.full((*measured.shape, values.shape[-1]), np.nan)
    placed[measured] = values
    return placed


def _torques(torque: Array, body: BodySpec) -> Array:
    """Norm over all joints, then the largest of each group; (R, T, J - 1) to (R, T, 1 + groups)."""
    kinds = [joint_kind(name) for name in body.names[1:]]
    columns = [np.sqrt(np.einsum("rtj,rtj->rt", torque, torque))]
    members = ([kind in group for kind in kinds] for group in TORQUE_GROUPS.values())
    columns.extend(torque[..., chosen].max(axis=-1) for chosen in members)
    return np.stack(columns, axis=-1)
