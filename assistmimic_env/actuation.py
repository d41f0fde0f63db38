"""From actions to servo targets, and the two servo laws as formulas.

An action is one number in [-1, 1] per degree of freedom; scaled as in PHC it is the rotation vector
("exponential map") that a joint is asked to take (``spec/phc.md`` section 3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .body import BodySpec, joint_kind
from .config import ActuationLaw
from .frames import BodyFrames, from_upright, to_upright

Array = NDArray[np.float64]

KNEE_FLEXION_SCALE = 5.0
"""Scale of the knees' y component in PHC's action map [rad]: flexion, in SMPL's frames twist; all others have pi."""

TARGET_LIMIT = 3.0
"""Largest norm of an ``so3`` target [rad]. The orientation servo takes the shortest arc, so a target
beyond pi would drive the joint backwards."""


def action_scale(body: BodySpec) -> Array:
    """Radians per unit of action, shape (J - 1, 3): PHC's map; the same numbers in both kinds of body frames."""
    scale = np.full((body.num_joints, 3), np.pi)
    knees = [i for i, name in enumerate(body.names[1:]) if joint_kind(name) == "Knee"]
    scale[knees, 1] = KNEE_FLEXION_SCALE
    return scale


def limit_norm(vector: Array, limit: float = TARGET_LIMIT) -> Array:
    """Shorten vectors (..., 3), such as rotation vectors, to a norm of at most ``limit``, keeping their direction."""
    norm = np.sqrt(np.einsum("...i,...i->...", vector, vector))[..., None]
    return vector * (limit / np.maximum(norm, max(limit, 1e-12)))


def action_to_target(action: Array, scale: Array, law: ActuationLaw, frames: BodyFrames = "upright") -> Array:
    """Servo targets of clipped actions.

    Args:
        action: Shape (..., 3 (J - 1)), clipped to [-1, 1] here.
        scale: ``action_scale(body)``, shape (J - 1, 3) [rad].
        law: ``so3`` limits each joint's target to a norm below pi; ``expmap`` leaves it, as PHC does.
        frames: Body frames in whose axes the action is.

    Returns:
        Rotation vectors in our body frames, shape (..., J - 1, 3) [rad].
    """
    target = to_upright(np.clip(action, -1.0, 1.0).reshape(*action.shape[:-1], *scale.shape) * scale, frames)
    return limit_norm(target) if law == "so3" else target


def target_to_action(target: Array, scale: Array, frames: BodyFrames = "upright") -> Array:
    """The inverse of `action_to_target`: actions (..., 3 (J - 1)) for rotation vectors (..., J - 1, 3); not clipped."""
    return (from_upright(target, frames) / scale).reshape(*target.shape[:-2], -1)


def leading_target(target: Array, velocity: Array, lag: Array) -> Array:
    """Targets ahead of a motion by what a servo lags behind it, so that following it needs no other torque.

    Args:
        target: Rotation vectors of the joints, shape (..., J - 1, 3) [rad].
        velocity: Child-frame angular velocities, shape (..., J - 1, 3) [rad/s].
        lag: kd / kp of each joint, shape (J - 1,) [s].

    Returns:
        Rotation vectors with a norm of at most ``TARGET_LIMIT``, shape (..., J - 1, 3) [rad].
    """
    ahead = rotations.from_rotation_vector(lag[:, None] * velocity)
    return limit_norm(rotations.to_rotation_vector(rotations.multiply(rotations.from_rotation_vector(target), ahead)))


def servo_torque(
    law: ActuationLaw, target: Array, rotation: Array, velocity: Array, kp: Array, kd: Array, limit: Array
) -> Array:
    """What the simulated servos do, as a formula (``spec/physics.md`` section 4); the oracle of its tests.

    Args:
        law: ``so3``: kp log(q^-1 exp(target)) - kd w inside a bound of its norm; ``expmap``:
            kp (target - log q) - kd w, bounded per component.
        target: Rotation vectors, shape (..., 3) [rad].
        rotation: Joint rotations, shape (..., 4).
        velocity: Child-frame angular velocities, shape (..., 3) [rad/s].
        kp: Stiffness, shape (...) [N m/rad].
        kd: Damping, shape (...) [N m s/rad].
        limit: Torque bound, shape (...) [N m].

    Returns:
        Torques in the child frame, shape (..., 3) [N m].
    """
    kp, kd, limit = (np.asarray(value)[..., None] for value in (kp, kd, limit))
    if law == "expmap":
        return np.clip(kp * (target - rotations.to_rotation_vector(rotation)) - kd * velocity, -limit, limit)
    error = rotations.multiply(rotations.conjugate(rotation), rotations.from_rotation_vector(target))
    torque = kp * rotations.to_rotation_vector(error) - kd * velocity
    norm = np.linalg.norm(torque, axis=-1, keepdims=True)
    return torque * np.minimum(1.0, limit / np.maximum(norm, 1e-12))
