"""``Worlds``: N copies of a scene, stepped at once by MuJoCo's C thread pool.

The batch keeps one ``MjData`` per world (``persistent``): 8 % faster here than sharing them, and free of the
trap that a partial forward pass shows another world's contact forces (``spec/physics.md`` section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from .clip import ROLES
from .errors import ConfigError
from .scene import Scene

Array = NDArray[np.float64]
Ids = NDArray[np.intp]

_VEL, _NONE = mujoco.mjtStage.mjSTAGE_VEL, mujoco.mjtStage.mjSTAGE_NONE
_DIVERGED = [
    int(warning)
    for warning in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
    )
]
MAX_SPEED = 500.0
"""A component of ``qvel`` beyond this [m/s, rad/s] counts as divergence; random saturating targets stay below 50."""

_SERVO_FIELDS = ("kp", "kd", "torque_limits")


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Where all bodies are and how they move, world frame.

    Attributes:
        linear: Position [m], velocity [m/s] of the body origins and angular velocity [rad/s], stacked as in
            ``Reference.motion``, shape (..., 2, 3, J, 3).
        rotation: Unit quaternions, shape (..., 2, J, 4).
        matrix: The same as matrices, shape (..., 2, J, 3, 3).
    """

    linear: Array
    rotation: Array
    matrix: Array

    @property
    def position(self) -> Array:
        """Body origins, a view, shape (..., 2, J, 3) [m]."""
        return self.linear[..., 0, :, :]

    @property
    def velocity(self) -> Array:
        """Velocities of the body origins, a view, shape (..., 2, J, 3) [m/s]."""
        return self.linear[..., 1, :, :]

    @property
    def angular_velocity(self) -> Array:
        """A view, shape (..., 2, J, 3) [rad/s]."""
        return self.linear[..., 2, :, :]


@dataclass(frozen=True, kw_only=True)
class WorldsState:
    """Everything that decides how some worlds go on: write it back and they repeat bit for bit.

    Attributes:
        physics: MuJoCo's integration state, shape (n, S).
        variant: Scene variant, shape (n,).
        contact_force: Partner forces of the last substep, holds included, shape (n, 2, J, 3) [N].
        torque: Servo torques of the last substep, shape (n, 2, 3 (J - 1)) [N m].
        gain: Gain factors, shape (n, 2, J).
        torque_limit: Torque limits, shape (n, 2, J) [N m]; NaN: the body's own.
        mass_scale: Mass and inertia factors, shape (n, 2).

    The last three are ``None`` as long as no world's strength or mass was changed.
    """

    physics: Array
    variant: Ids
    contact_force: Array
    torque: Array
    gain: Array | None
    torque_limit: Array | None
    mass_scale: Array | None


def _quiet(message: str) -> None:
    """Divergence is reported per world by ``Worlds.step``, not on the console or in a log file."""


class Worlds:
    """N worlds of one scene.

    Args:
        scene: What every world contains.
        num_worlds: N.
        threads: C threads; 0 means all CPUs. Results do not depend on it.
    """

    def __init__(self, scene: Scene, num_worlds: int, *, threads: int = 0) -> None:
        if num_worlds < 1:
            raise ConfigError(f"num_worlds is {num_worlds}, expected at least 1.")
        if threads < 0:
            raise ConfigError(f"threads is {threads}, expected 0 (all CPUs) or more.")
        mujoco.set_mju_user_warning(_quiet)
        self.scene = scene
        self.num_worlds = num_worlds
        self.num_bodies = scene.body.num_bodies
        self.variant = np.zeros(num_worlds, dtype=np.intp)
        self._batch = Batch(scene.model, num_worlds, nthread=threads, persistent=True)
        self._substeps = scene.physics.substeps
        self._people = slice(1, 1 + 2 * self.num_bodies)
        self._servos = 6 * (self.num_bodies - 1)
        self._hold_rows = self._index_holds()
        self._bind()
        self._varying = {name: (self._batch.expand(name), rows) for name, rows in scene.varying.items()}
        self._gain: Array | None = None
        self._torque_limit: Array | None = None
        self._mass_scale: Array | None = None
        self._allocate()
        self._new_state = self._batch.state[0].copy()
        self._batch.forward()
        self._read_forces(slice(None))

    def _bind(self) -> None:
        bind = self._batch.bind
        self._qpos, self._qvel, self._ctrl = bind("qpos"), bind("qvel"), bind("ctrl")
        self._xpos, self._xquat, self._xmat = bind("xpos"), bind("xquat"), bind("xmat")
        self._cvel, self._com = bind("cvel"), bind("subtree_com")
        self._sensors, self._force = bind("sensordata"), bind("actuator_force")
        self._sites = bind("site_xpos")
        self._hold_ends = np.array([self._ends(index) for index in range(self.num_holds)], dtype=np.intp).reshape(-1, 2)

    def _index_holds(self) -> tuple[Ids, Ids]:
        """Role and body of both ends of each hold, shapes (holds, 2)."""
        names = self.scene.body
        roles = [(ROLES.index(role), 1 - ROLES.index(role)) for role, _, _ in self.scene.holds]
        bodies = [(names.index(body), names.index(partner)) for _, body, partner in self.scene.holds]
        return np.array(roles, dtype=np.intp).reshape(-1, 2), np.array(bodies, dtype=np.intp).reshape(-1, 2)

    def _allocate(self) -> None:
        n, j = self.num_worlds, self.num_bodies
        self.contact_force = np.zeros((n, 2, j, 3))
        self.torque = np.zeros((n, 2, 3 * (j - 1)))

    # --- reading ---------------------------------------------------------------------------------------

    @property
    def qvel(self) -> Array:
        """Generalised velocities, a view, shape (N, 2, 3 + 3 J); angular parts are in body frames."""
        return self._qvel.reshape(self.num_worlds, 2, -1)

    def motion(self, ids: Ids | slice = slice(None)) -> Motion:
        """Body states now. ``cvel`` is moved from the tree's centre of mass to the body origins."""
        cvel, matrix = self._rows(self._cvel, ids), self._rows(self._xmat, ids)
        linear = np.empty((len(cvel), 2, 3, self.num_bodies, 3))
        position, velocity, angular = linear[:, :, 0], linear[:, :, 1], linear[:, :, 2]
        position[:], velocity[:], angular[:] = self._rows(self._xpos, ids), cvel[..., 3:], cvel[..., :3]
        arm = position - self._com[ids][:, [1, 1 + self.num_bodies], None]
        velocity[..., 0] += angular[..., 1] * arm[..., 2] - angular[..., 2] * arm[..., 1]
        velocity[..., 1] += angular[..., 2] * arm[..., 0] - angular[..., 0] * arm[..., 2]
        velocity[..., 2] += angular[..., 0] * arm[..., 1] - angular[..., 1] * arm[..., 0]
        return Motion(
            linear=linear, rotation=self._rows(self._xquat, ids), matrix=matrix.reshape(*matrix.shape[:-1], 3, 3)
        )

    def _rows(self, field: Array, ids: Ids | slice) -> Array:
        """The two people's rows of a per-body field, shape (n, 2, J, k); a view where ``ids`` is a slice."""
        rows = field[ids, self._people]
        return rows.reshape(len(rows), 2, self.num_bodies, -1)

    def generalised_state(self) -> tuple[Array, Array]:
        """Copies of ``qpos``, shape (N, 2, 3 + 4 J), and ``qvel``, shape (N, 2, 3 + 3 J), as `reset` takes them."""
        return self._qpos.reshape(self.num_worlds, 2, -1).copy(), self.qvel.copy()

    @property
    def controls(self) -> Array:
        """Controls of the last step, or of a later reset: servo targets, then holds; a copy, shape (N, nu)."""
        return self._ctrl.copy()

    @property
    def num_holds(self) -> int:
        """Number of holds of the scene."""
        return len(self.scene.holds)

    def hold_gap(self) -> Array:
        """Vector from the hand's to the partner's end of each hold, shape (N, holds, 3) [m]."""
        return self._sites[:, self._hold_ends[:, 1]] - self._sites[:, self._hold_ends[:, 0]]

    def _ends(self, index: int) -> list[int]:
        """Sites at the two ends of a hold (MuJoCo numbers sites by body)."""
        model = self.scene.model
        first = model.tendon_adr[index]
        return [int(site) for site in model.wrap_objid[first : first + 2]]

    def _read_forces(self, ids: Ids | slice) -> None:
        """Contact sensors report the force on the partner; the force on the own body is the negative.

        A hold pulls its two ends together; that is force of the partner too.
        """
        self.contact_force[ids] = -self._sensors[ids].reshape(-1, *self.contact_force.shape[1:])
        self.torque[ids] = self._force[ids, : self._servos].reshape(-1, *self.torque.shape[1:])
        if self.num_holds:
            gap = self.hold_gap()[ids]
            length = np.sqrt(np.einsum("nhi,nhi->nh", gap, gap))
            pull = gap * (-self._force[ids, self._servos :] / np.maximum(length, 1e-9))[..., None]
            roles, bodies = self._hold_rows
            rows = self.contact_force[ids]
            ends: tuple[Any, Any] = tuple((slice(None), roles[:, end], bodies[:, end]) for end in (0, 1))
            np.add.at(rows, ends[0], pull)
            np.add.at(rows, ends[1], -pull)
            self.contact_force[ids] = rows

    # --- acting ----------------------------------------------------------------------------------------

    def step(self, targets: Array, holding: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Advance all worlds by one control step.

        Args:
            targets: Rotation vectors of the servos, shape (N, 2, 3 (J - 1)) [rad].
            holding: Which hands hold, shape (N, holds); by default none.

        Returns:
            Worlds that diverged, shape (N,): MuJoCo gave up (they hold the default pose now) or something moves
            faster than ``MAX_SPEED``. They must be reset; all others are untouched by them.
        """
        self._ctrl[:, : self._servos] = targets.reshape(self.num_worlds, -1)
        self._ctrl[:, self._servos :] = 0.0 if holding is None else holding
        self._batch.step(nstep=self._substeps, stage=_VEL)
        self._read_forces(slice(None))
        runaway = np.abs(self._qvel).max(axis=1) > MAX_SPEED
        return runaway | self._batch.warning[:, _DIVERGED, 1].any(axis=1)

    def reset(self, ids: Ids, qpos: Array, qvel: Array, targets: Array, variant: Ids | None = None) -> None:
        """Put some worlds into a given state; contact forces and torques become those of that state.

        Args:
            ids: Worlds, shape (n,).
            qpos: Shape (n, 2, 3 + 4 J): root position, root and joint quaternions.
            qvel: Shape (n, 2, 3 + 3 J): root velocity (world frame), angular velocities (body frames).
            targets: Servo targets, shape (n, 2, 3 (J - 1)) [rad].
            variant: Scene variants, shape (n,); by default unchanged.
        """
        if variant is not None:
            self._set_variant(ids, variant)
        self._clear(ids)
        self._qpos[ids] = qpos.reshape(len(ids), -1)
        self._qvel[ids] = qvel.reshape(len(ids), -1)
        self._ctrl[ids, : self._servos] = targets.reshape(len(ids), -1)
        self._batch.forward(ids=np.sort(ids))
        self._read_forces(ids)

    def _clear(self, ids: Ids) -> None:
        """Back to the state of a new world; only those with warnings need MuJoCo's slower reset, which clears them."""
        warned = ids[self._batch.warning[ids, :, 1].any(axis=1)]
        if warned.size:
            self._batch.reset(ids=np.sort(warned), stage=_NONE)
        self._batch.state[ids] = self._new_state

    def _set_variant(self, ids: Ids, variant: Ids) -> None:
        changed = self.variant[ids] != variant
        if not changed.any():
            return
        for live, rows in self._varying.values():
            live[ids[changed]] = rows[variant[changed]]
        self.variant[ids] = variant
        ids = ids[changed]
        if self._gain is not None and self._torque_limit is not None:
            self._write_servos(ids, self._gain[ids], self._torque_limit[ids])
        if self._mass_scale is not None:
            self.set_mass_scale(ids, self._mass_scale[ids])

    # --- per-world strength ------------------------------------------------------------------------------

    def set_strength(self, ids: Ids, *, gain: Array, torque_limit: Array) -> None:
        """Change servo gains and torque limits of some worlds; takes effect at the next step.

        Args:
            ids: Worlds, shape (n,).
            gain: Factors of kp and kd, shape (n, 2, J); column 0 (the root) is ignored.
            torque_limit: Shape (n, 2, J) [N m]; NaN: the body's own.
        """
        if self._gain is None or self._torque_limit is None:
            shape = (self.num_worlds, 2, self.num_bodies)
            self._gain, self._torque_limit = np.ones(shape), np.full(shape, np.nan)
        self._gain[ids], self._torque_limit[ids] = gain, torque_limit
        self._write_servos(ids, self._gain[ids], self._torque_limit[ids])

    def _write_servos(self, ids: Ids, gain: Array, torque_limit: Array) -> None:
        per_joint = 1 if self.scene.actuation == "so3" else 3
        people = [self.scene.settings[variant].bodies for variant in self.variant[ids]]
        kp, kd, own = (np.array([[getattr(b, name) for b in pair] for pair in people]) for name in _SERVO_FIELDS)

        def per_actuator(values: Array) -> Array:
            return np.repeat(values[:, :, 1:], per_joint, axis=2).reshape(len(ids), -1)

        expand = self._batch.expand
        gainprm, biasprm, forcerange = (expand(f"actuator_{name}") for name in ("gainprm", "biasprm", "forcerange"))
        scaled, limit = per_actuator(kp * gain), per_actuator(np.where(np.isnan(torque_limit), own, torque_limit))
        servos = slice(scaled.shape[1])
        gainprm[ids, servos, 0], biasprm[ids, servos, 1] = scaled, -scaled
        biasprm[ids, servos, 2] = -per_actuator(kd * gain)
        forcerange[ids, servos, 1] = limit
        if per_joint == 3:
            forcerange[ids, servos, 0] = -limit

    def set_mass_scale(self, ids: Ids, scale: Array) -> None:
        """Multiply masses *and* inertias of some worlds; costs about 2 ms per world (``mj_setConst``).

        Args:
            ids: Worlds, shape (n,).
            scale: Factors relative to the scene variant, shape (n, 2).
        """
        if self._mass_scale is None:
            self._mass_scale = np.ones((self.num_worlds, 2))
        self._mass_scale[ids] = scale
        people, rows = self._people, np.repeat(scale, self.num_bodies, axis=1)
        models = [self.scene.models[v] for v in self.variant[ids]]
        mass, inertia = self._batch.expand("body_mass"), self._batch.expand("body_inertia")
        mass[ids, people] = np.stack([m.body_mass[people] for m in models]) * rows
        inertia[ids, people] = np.stack([m.body_inertia[people] for m in models]) * rows[..., None]
        self._batch.set_const(ids=np.sort(ids))

    # --- saving ----------------------------------------------------------------------------------------

    def get_state(self, ids: Ids) -> WorldsState:
        """Copy the state of some worlds."""
        return WorldsState(
            physics=self._batch.state[ids].copy(),
            variant=self.variant[ids].copy(),
            contact_force=self.contact_force[ids].copy(),
            torque=self.torque[ids].copy(),
            gain=None if self._gain is None else self._gain[ids].copy(),
            torque_limit=None if self._torque_limit is None else self._torque_limit[ids].copy(),
            mass_scale=None if self._mass_scale is None else self._mass_scale[ids].copy(),
        )

    def set_state(self, state: WorldsState, ids: Ids) -> None:
        """Write a state back, also into other worlds than it was taken from."""
        self._set_variant(ids, state.variant)
        self._restore_people(state, ids)
        self._batch.reset(ids=np.sort(ids), stage=_NONE)
        self._batch.state[ids] = state.physics
        self._batch.forward(ids=np.sort(ids))
        self.contact_force[ids], self.torque[ids] = state.contact_force, state.torque

    def _restore_people(self, state: WorldsState, ids: Ids) -> None:
        """Strengths and masses of a saved state; ``None`` is the scene's own."""
        if state.gain is not None and state.torque_limit is not None:
            self.set_strength(ids, gain=state.gain, torque_limit=state.torque_limit)
        elif self._gain is not None:
            self.set_strength(ids, gain=np.ones(()), torque_limit=np.full((), np.nan))
        scale = np.ones((len(ids), 2)) if state.mass_scale is None else state.mass_scale
        present = np.ones((len(ids), 2)) if self._mass_scale is None else self._mass_scale[ids]
        changed = (scale != present).any(axis=1)
        if changed.any():
            self.set_mass_scale(ids[changed], scale[changed])

    def world_data(self, world: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Model and forwarded data of one world, for rendering and debugging; copies."""
        model = self._batch.get_model(world)
        data = self._batch.get_data(world)
        mujoco.mj_forward(model, data)
        return model, data
