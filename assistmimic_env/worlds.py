"""``Worlds``: N copies of a scene, stepped at once by MuJoCo's C thread pool.

The batch keeps one ``MjData`` per world (``persistent``): 8 % faster here than sharing them, and free of the
trap that a partial forward pass shows another world's contact forces (``spec/physics.md`` section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from .errors import ConfigError
from .scene import Scene, hold_ends

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

_OPEN = 1e4
"""Control of a hold that does not pull [m]: no distance and no speed reaches it."""

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
        friction_scale: Factors of all sliding friction, shape (n,).
        hold_point: Where the holds pull in the partner's bodies, shape (n, holds, 3) [m].

    The last five are ``None`` as long as no world's strength, mass, friction or hold was changed.
    """

    physics: Array
    variant: Ids
    contact_force: Array
    torque: Array
    gain: Array | None
    torque_limit: Array | None
    mass_scale: Array | None
    friction_scale: Array | None
    hold_point: Array | None


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
        self._bind()
        self._hold_ends, self._hold_rows, self._hold_sum = self._index_holds()
        self._varying = {name: (self._batch.expand(name), rows) for name, rows in scene.varying.items()}
        self._gain: Array | None = None
        self._torque_limit: Array | None = None
        self._mass_scale: Array | None = None
        self._friction_scale: Array | None = None
        self._hold_sites: Array | None = None
        self._allocate()
        self._ctrl[:, self._servos :] = _OPEN
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

    def _index_holds(self) -> tuple[Ids, Ids, Array]:
        """Sites and MuJoCo bodies at both ends of each hold, (holds, 2) each, and what sums them up per body.

        The last is 1 at the hand and -1 at the partner's body, shape (2 J, holds). MuJoCo numbers sites by body.
        """
        model, count = self.scene.model, self.num_holds
        sites = hold_ends(model, count)
        bodies = model.site_bodyid[sites].astype(np.intp)
        total = np.zeros((2 * self.num_bodies, count))
        for end, sign in enumerate((1.0, -1.0)):
            total[bodies[:, end] - 1, np.arange(count)] = sign
        return sites, bodies, total

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

    @property
    def centre_of_mass(self) -> Array:
        """Centres of mass of both people, shape (N, 2, 3) [m]."""
        return self._com[:, [1, 1 + self.num_bodies]]

    @property
    def mass(self) -> Array:
        """What both people really weigh in each world, shape (N, 2) [kg]."""
        people = np.array([model.body_mass[self._people].reshape(2, -1).sum(axis=-1) for model in self.scene.models])
        mass = people[self.variant]
        return mass if self._mass_scale is None else mass * self._mass_scale

    def _rows(self, field: Array, ids: Ids | slice) -> Array:
        """The two people's rows of a per-body field, shape (n, 2, J, k); a view where ``ids`` is a slice."""
        rows = field[ids, self._people]
        return rows.reshape(len(rows), 2, self.num_bodies, -1)

    def generalised_state(self, ids: Ids | slice = slice(None)) -> tuple[Array, Array]:
        """Copies of ``qpos``, shape (n, 2, 3 + 4 J), and ``qvel``, shape (n, 2, 3 + 3 J), as `reset` takes them."""
        return self._qpos.reshape(self.num_worlds, 2, -1)[ids].copy(), self.qvel[ids].copy()

    @property
    def controls(self) -> Array:
        """Controls of the last step, or of a later reset: servo targets, then hold lengths; a copy, shape (N, nu)."""
        return self._ctrl.copy()

    @property
    def num_holds(self) -> int:
        """Number of holds of the scene."""
        return len(self.scene.holds)

    def hold_gap(self) -> Array:
        """Vector from the hand's to the partner's end of each hold, shape (N, holds, 3) [m]."""
        return self._sites[:, self._hold_ends[:, 1]] - self._sites[:, self._hold_ends[:, 0]]

    def hold_distance(self) -> Array:
        """Distance of the two ends of each hold, shape (N, holds) [m]."""
        gap = self.hold_gap()
        return np.sqrt(np.einsum("nhi,nhi->nh", gap, gap))

    @property
    def hold_lengths(self) -> Array:
        """Lengths beyond which the holds pull, a copy, shape (N, holds) [m]; inf: open."""
        lengths = self._ctrl[:, self._servos :]
        return np.where(lengths < _OPEN, lengths, np.inf)

    @property
    def hold_tension(self) -> Array:
        """How strongly each hold pulled in the last substep, shape (N, holds) [N]."""
        return -self._force[:, self._servos :]

    def hands_in_partner(self) -> Array:
        """The hand's end of each hold in the frame of the partner's body, shape (N, holds, 3) [m]."""
        rows = self._hold_rows[:, 1]
        arm = self._sites[:, self._hold_ends[:, 0]] - self._xpos[:, rows]
        return np.einsum("nhji,nhj->nhi", self._xmat[:, rows].reshape(*arm.shape, 3), arm)

    def _read_forces(self, ids: Ids | slice) -> None:
        """Contact sensors report the force on the partner; the force on the own body is the negative.

        A hold pulls its two ends together; that is force of the partner too.
        """
        self.contact_force[ids] = -self._sensors[ids].reshape(-1, *self.contact_force.shape[1:])
        self.torque[ids] = self._force[ids, : self._servos].reshape(-1, *self.torque.shape[1:])
        if self.num_holds:
            pull = self.hold_gap()[ids] * (self.hold_tension / np.maximum(self.hold_distance(), 1e-9))[ids, :, None]
            self.contact_force[ids] += (self._hold_sum @ pull).reshape(-1, *self.contact_force.shape[1:])

    # --- acting ----------------------------------------------------------------------------------------

    def step(
        self,
        targets: Array,
        hold_lengths: Array | None = None,
        led: tuple[Array, Array] | None = None,
    ) -> NDArray[np.bool_]:
        """Advance all worlds by one control step.

        Args:
            targets: Rotation vectors of the servos, shape (N, 2, 3 (J - 1)) [rad].
            hold_lengths: Lengths beyond which the holds pull, shape (N, holds) [m]; inf: open, and so by default.
            led: Where the recipient is put before every substep and after the last, shape (substeps + 1, N, 3 + 4 J)
                and (substeps + 1, N, 3 + 3 J); by default it moves by itself.

        Returns:
            Worlds that diverged, shape (N,): MuJoCo gave up (they hold the default pose now) or something moves
            faster than ``MAX_SPEED``. They must be reset; all others are untouched by them.
        """
        self._ctrl[:, : self._servos] = targets.reshape(self.num_worlds, -1)
        self._ctrl[:, self._servos :] = _OPEN if hold_lengths is None else np.minimum(hold_lengths, _OPEN)
        if led is None:
            self._batch.step(nstep=self._substeps, stage=_VEL)
            self._read_forces(slice(None))
        else:
            self._step_led(*led)
        runaway = np.abs(self._qvel).max(axis=1) > MAX_SPEED
        return runaway | self._batch.warning[:, _DIVERGED, 1].any(axis=1)

    def _step_led(self, qpos: Array, qvel: Array) -> None:
        """One control step in which the recipient is moved, not simulated; forces are those of the last substep."""
        recipient_qpos, recipient_qvel = (
            field.reshape(self.num_worlds, 2, -1)[:, 1] for field in (self._qpos, self._qvel)
        )
        for substep in range(self._substeps + 1):
            recipient_qpos[:], recipient_qvel[:] = qpos[substep], qvel[substep]
            if substep < self._substeps:
                self._batch.step(nstep=1, stage=_VEL)
        self._read_forces(slice(None))
        self._batch.forward()

    def attach(self, world: Ids, hold: Ids, point: Array) -> None:
        """Move the partner's end of some holds, of which world i's is hold i.

        Args:
            world: Worlds, shape (n,).
            hold: Holds, shape (n,).
            point: In the frame of the partner's body, shape (n, 3) [m].
        """
        self._hold_sites = sites = self._batch.expand("site_pos")
        sites[world, self._hold_ends[hold, 1]] = point

    def push(self, velocity: Array) -> None:
        """Add to the horizontal velocities of the roots, shape (N, 2, 2) [m/s]."""
        self.qvel[..., :2] += velocity

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

    @property
    def varies_strength(self) -> bool:
        """Whether the strength of any world was ever changed."""
        return self._gain is not None

    def set_friction_scale(self, ids: Ids, scale: Array) -> None:
        """Multiply the sliding friction of all geoms of some worlds.

        Args:
            ids: Worlds, shape (n,).
            scale: Factors relative to the scene, shape (n,).
        """
        if self._friction_scale is None:
            self._friction_scale = np.ones(self.num_worlds)
        self._friction_scale[ids] = scale
        friction = self._batch.expand("geom_friction")
        friction[ids, :, 0] = self.scene.model.geom_friction[:, 0] * scale[:, None]

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
            friction_scale=None if self._friction_scale is None else self._friction_scale[ids].copy(),
            hold_point=None if self._hold_sites is None else self._hold_sites[ids][:, self._hold_ends[:, 1]],
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
        if state.friction_scale is not None:
            self.set_friction_scale(ids, state.friction_scale)
        elif self._friction_scale is not None:
            self.set_friction_scale(ids, np.ones(len(ids)))
        if state.hold_point is not None:
            self._hold_sites = sites = self._batch.expand("site_pos")
            sites[ids[:, None], self._hold_ends[:, 1]] = state.hold_point
        scale = np.ones((len(ids), 2)) if state.mass_scale is None else state.mass_scale
        present = np.ones((len(ids), 2)) if self._mass_scale is None else self._mass_scale[ids]
        changed = (scale != present).any(axis=1)
        if changed.any():
            self.set_mass_scale(ids[changed], scale[changed])

    def world_data(self, world: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Model and forwarded data of one world, for rendering and debugging; copies. Open holds are not drawn."""
        model = self._batch.get_model(world)
        model.tendon_rgba[np.isinf(self.hold_lengths[world]), 3] = 0.0
        data = self._batch.get_data(world)
        mujoco.mj_forward(model, data)
        return model, data
