"""``Demand``: the joint torques that a clip asks of one person who gets no help, against what the person can give.

Inverse dynamics along the reference. The joint torques follow from the motion and from the forces of floor and
furniture; those are the smallest non-negative forces within the friction cone, at the points of the feet (and, while it
is near, of pelvis and thighs at the seat), that carry the motion of the root. What they cannot carry is reported as
``unsupported``: somebody else would have to. An estimate: people may load their feet in other ways, and need torque for
balance as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from .clip import ROLES
from .config import CONTROL_DT
from .simulation import PairSimulation

Array = NDArray[np.float64]

_FEET = ("L_Ankle", "L_Toe", "R_Ankle", "R_Toe")
_SEATED = ("Pelvis", "L_Hip", "R_Hip")
_NEAR = 0.03
_PAD = 0.03
_ITERATIONS = 4000
_EFFORT = 1e-5


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a clip asks of one person.

    Attributes:
        clip: Name of the clip.
        role: Whose torques.
        names: Joints, shape (J - 1,).
        torque: Size of each joint's torque, shape (T, J - 1) [N m].
        limit: What each joint can give, shape (J - 1,) [N m].
        seated: Whether the seat carries a part, shape (T,).
        unsupported: Force that neither floor nor furniture can give, shape (T,) [N].
    """

    clip: str
    role: str
    names: tuple[str, ...]
    torque: Array
    limit: Array
    seated: NDArray[np.bool_]
    unsupported: Array

    def exceeded(self) -> Mapping[str, Mapping[str, float]]:
        """Joints that are asked for more than they can give, the worst first.

        Returns:
            Joint -> ``limit`` and ``peak`` [N m], ``ratio``, and when: ``first``, ``last`` [s], ``share`` of the clip.
        """
        report: dict[str, dict[str, float]] = {}
        peak = self.torque.max(axis=0)
        for joint in np.argsort(-peak / self.limit):
            over = np.flatnonzero(self.torque[:, joint] > self.limit[joint])
            if over.size:
                report[self.names[joint]] = {
                    "limit": float(self.limit[joint]),
                    "peak": float(peak[joint]),
                    "ratio": float(peak[joint] / self.limit[joint]),
                    "first": float(over[0] * CONTROL_DT),
                    "last": float(over[-1] * CONTROL_DT),
                    "share": float(over.size / len(self.torque)),
                }
        return report


def demand(simulation: PairSimulation, clip: int = 0, role: str = "recipient") -> Demand:
    """Inverse dynamics of one person along a clip, with the impairment of the simulation.

    Args:
        simulation: Whose clips, bodies and impairments.
        clip: Index of the clip.
        role: Whose torques.
    """
    who = ROLES.index(role)
    model = simulation.scene.models[clip]
    body = simulation.scene.settings[clip].bodies[who]
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_ACTUATION)
    try:
        wrench, load, arms, seated = _dynamics(simulation, model, clip, who)
    finally:
        model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_ACTUATION)
    friction = simulation.config.physics.friction
    force = carrying_forces(wrench, arms[..., :6], friction=friction)
    carried = np.einsum("tpia,tpi->ta", arms, force)
    torque = (load - carried[:, 6:]).reshape(len(load), -1, 3)
    return Demand(
        clip=simulation.reference.clips[clip].name,
        role=role,
        names=body.names[1:],
        torque=np.linalg.norm(torque, axis=-1),
        limit=body.torque_limits[1:].copy(),
        seated=seated,
        unsupported=np.linalg.norm((wrench - carried[:, :6])[:, :3], axis=-1),
    )


def carrying_forces(wrench: Array, arms: Array, *, friction: float) -> Array:
    """Smallest forces within their friction cones that give a wrench, by projected gradients (Nesterov's).

    Args:
        wrench: Generalised force on the root, shape (T, 6).
        arms: How a force at each point acts on the root, shape (T, P, 3, 6); a point with zeros does not exist.
        friction: Largest ratio of horizontal to vertical force.

    Returns:
        World forces, shape (T, P, 3) [N].
    """
    hessian = np.einsum("tpia,tqja->tpiqj", arms, arms)
    frames, points = arms.shape[:2]
    hessian = hessian.reshape(frames, 3 * points, 3 * points)
    rate = 1.0 / (np.linalg.norm(hessian, ord=2, axis=(-2, -1)) + _EFFORT)[:, None, None]
    force = np.zeros((frames, points, 3))
    ahead, momentum = force, 1.0
    for _ in range(_ITERATIONS):
        error = np.einsum("tpia,tpi->ta", arms, ahead) - wrench
        gradient = np.einsum("tpia,ta->tpi", arms, error) + _EFFORT * ahead
        following = _in_cone(ahead - rate * gradient, friction)
        step = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = following + (momentum - 1.0) / step * (following - force)
        force, momentum = following, step
    return force


def _in_cone(force: Array, friction: float) -> Array:
    """Nearest forces with 0 <= horizontal <= friction x vertical, (..., 3) -> (..., 3)."""
    horizontal = np.sqrt(force[..., 0] ** 2 + force[..., 1] ** 2)
    vertical = force[..., 2]
    inside = horizontal <= friction * vertical
    reach = np.maximum((vertical + friction * horizontal) / (1.0 + friction**2), 0.0)
    scale = np.where(inside, 1.0, friction * reach / np.maximum(horizontal, 1e-12))
    return np.stack([force[..., 0] * scale, force[..., 1] * scale, np.where(inside, vertical, reach)], axis=-1)


def _dynamics(
    simulation: PairSimulation, model: mujoco.MjModel, clip: int, who: int
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Wrench on the root (T, 6), joint loads (T, 3 (J - 1)), arms of the points (T, P, 3, nv of one), seated (T,)."""
    reference, j = simulation.reference, simulation.body.num_bodies
    rows = reference.first[clip] + np.arange(reference.length[clip])
    qpos, qvel = reference.qpos[rows].reshape(len(rows), -1), reference.qvel[rows].reshape(len(rows), -1)
    qacc = np.gradient(qvel, CONTROL_DT, axis=0)
    data = mujoco.MjData(model)
    size = 3 + 3 * j
    mine = slice(who * size, (who + 1) * size)
    points = [(geom, end) for name in (*_FEET, *_SEATED) for geom in _geoms(model, who, j, name) for end in (-1.0, 1.0)]
    feet = sum(len(_geoms(model, who, j, name)) * 2 for name in _FEET)
    forces, arms = np.empty((len(rows), size)), np.zeros((len(rows), len(points), 3, size))
    seated = np.zeros(len(rows), dtype=np.bool_)
    jacobian = np.empty((3, model.nv))
    for frame in range(len(rows)):
        data.qpos[:], data.qvel[:], data.qacc[:] = qpos[frame], qvel[frame], qacc[frame]
        mujoco.mj_inverse(model, data)
        forces[frame] = data.qfrc_inverse[mine]
        for index, (geom, end) in enumerate(points):
            matrix = data.geom_xmat[geom].reshape(3, 3)
            point = data.geom_xpos[geom] + end * model.geom_size[geom, 1] * matrix[:, 2]
            point[2] -= model.geom_size[geom, 0]
            if not _supported(simulation, clip, point, seat=index >= feet):
                continue
            seated[frame] |= index >= feet
            mujoco.mj_jac(model, data, jacobian, None, point, model.geom_bodyid[geom])
            arms[frame, index] = jacobian[:, mine]
    return forces[:, :6], forces[:, 6:], arms, seated


def _geoms(model: mujoco.MjModel, who: int, bodies: int, name: str) -> list[int]:
    body = model.body(f"{ROLES[who]}_{name}").id
    return [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] == body]


def _supported(simulation: PairSimulation, clip: int, point: Array, *, seat: bool) -> bool:
    """Whether the lowest point of a capsule's end rests on the floor, or on a piece of furniture."""
    if not seat:
        return bool(point[2] < _PAD)
    for item in simulation.scene.settings[clip].furniture:
        cos, sin = np.cos(item.yaw), np.sin(item.yaw)
        x, y = point[:2] - np.array(item.position[:2])
        local = np.abs([cos * x + sin * y, cos * y - sin * x])
        above = point[2] - (item.position[2] + 0.5 * item.size[2])
        if (local <= 0.5 * np.array(item.size[:2]) + _NEAR).all() and abs(above) < _NEAR:
            return True
    return False
