"""`sampled_path`: a motion that the physics can do, found by trying many servo targets at once.

A recorded or generated motion is not exactly what bodies, servos and contacts can do, and a regulator designed along it
fails where they differ most: when the weight goes onto one leg. So many worlds follow the clip at once, window by
window: each adds a random offset to the targets of a regulator, constant during the window; those nearest to the
reference at its end survive, and the next window starts from them (Liu et al. 2010, Sampling-based contact-rich motion
control). The best last survivor and its ancestors are one motion without gaps, with the targets that make it.
People who are alone have survivors of their own; those who can touch survive as a pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assistmimic_env import rotations
from assistmimic_env.body import joint_kind
from assistmimic_env.config import CONTROL_DT
from assistmimic_env.simulation import PairSimulation

if TYPE_CHECKING:
    from .regulator import Regulator

Array = NDArray[np.float64]
Ids = NDArray[np.intp]

ROLES = np.arange(2)
FEET = ("Ankle", "Toe")


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a path is searched."""

    samples: int = 512
    """Worlds."""
    survivors: int = 64
    """How many of them go on after a window, with samples / survivors children each."""
    window: int = 3
    """Control steps with one offset."""
    offset: float = 0.12
    """Standard deviation of the offsets of legs [rad]; half for the trunk, 0.3 for shoulders and toes, 0 elsewhere."""
    offset_factors: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5)
    """Of which every sample draws one: most offsets are harmful, small ones less."""
    offset_weight: float = 0.02
    """Cost of the squares of the offsets, in units of their deviations, summed."""
    position: float = 0.05
    """Root-mean-square distance of all bodies from the reference that costs 1 [m]."""
    feet: float = 0.04
    """The same of ankles and toes, on top [m]."""
    feet_angle: float = 0.28
    """The same of their rotations [rad]."""
    root_angle: float = 0.14
    """The same of the root's rotation [rad]."""
    mass_position: float = 0.02
    """The same of the centre of mass [m]."""
    mass_velocity: float = 0.14
    """The same of its velocity [m/s]."""


def sampled_path(simulation: PairSimulation, base: Regulator, config: SamplingConfig, *, seed: int = 0) -> Regulator:
    """Search all clips, one after the other.

    Args:
        simulation: `config.samples` worlds; their states are overwritten.
        base: What the offsets are added to.
        config: The search.
        seed: Seed of the offsets.

    Returns:
        A path without feedback, with the targets that make it: each of its states leads to the next.
    """
    search = Search(simulation, base, config, seed=seed)
    path = {name: getattr(base, name).copy() for name in ("qpos", "qvel", "target")}
    for clip in range(len(simulation.reference.clips)):
        rows, states = search.follow(clip)
        for name, values in zip(path, states, strict=True):
            path[name][rows] = values
    return replace(base, **path, gain=np.zeros_like(base.gain), offset=np.zeros_like(base.offset))


class Search:
    """One search through the worlds of a simulation; arguments as for `sampled_path`."""

    def __init__(self, simulation: PairSimulation, base: Regulator, config: SamplingConfig, *, seed: int) -> None:
        self._simulation, self._base, self._config = simulation, base, config
        self._groups = base.gain.shape[1]
        self._random = np.random.default_rng(seed)
        names = simulation.body.names
        self._deviation = config.offset * np.repeat([_SHARES.get(joint_kind(name), 0.0) for name in names[1:]], 3)
        self._feet = [i for i, name in enumerate(names) if joint_kind(name) in FEET]
        self._mass_position, self._mass_velocity = _mass_path(simulation)
        self._children = config.samples // config.survivors

    def follow(self, clip: int) -> tuple[Ids, tuple[Array, ...]]:
        """Rows of a clip, and qpos, qvel and targets there, shape (T, 2, ...) each."""
        reference, worlds, size = self._simulation.reference, self._simulation.worlds, self._config.samples
        first, length = reference.first[clip], int(reference.length[clip])
        rows, everyone = first + np.arange(length), np.arange(size)
        begin = reference.qpos[first], reference.qvel[first], self._base.target[first]
        state = tuple(np.repeat(values[None], size, axis=0) for values in begin)
        history: list[list[tuple[Array, ...]]] = []
        parents: list[Ids] = []
        for start in range(0, length - 1, self._config.window):
            qpos, qvel, target = state
            worlds.reset(everyone, qpos, qvel, target, np.full(size, clip))
            steps, cost = self._window(clip, rows[start : min(start + self._config.window, length - 1)])
            state = (*worlds.generalised_state(), steps[-1][2])
            chosen = self._survivors(cost)
            history.append([tuple(values[chosen, ROLES] for values in step) for step in steps])
            parents.append(chosen // self._children)
            state = tuple(np.repeat(values[chosen, ROLES], self._children, axis=0) for values in state)
        return rows, self._ancestors(history, parents, tuple(values[0] for values in state))

    def _window(self, clip: int, rows: Ids) -> tuple[list[tuple[Array, ...]], Array]:
        """Advance all samples; states and targets before every step, and the cost afterwards, shape (samples, 2)."""
        config, worlds, size = self._config, self._simulation.worlds, self._config.samples
        factor = self._random.choice(np.array(config.offset_factors), size=(size, 2, 1))
        drawn = factor * self._random.normal(size=(size, 2, self._deviation.size)) * (self._deviation > 0.0)
        drawn[:: self._children] = 0.0  # one child of each survivor goes on as it is
        steps, before = [], worlds.centre_of_mass
        for row in rows:
            qpos, qvel = worlds.generalised_state()
            target = self._base.targets_at(row, qpos, qvel) + drawn * self._deviation
            steps.append((qpos, qvel, target))
            before = worlds.centre_of_mass
            worlds.step(target, self._simulation.hold_lengths(np.full(size, clip), np.full(size, row + 1)))
        cost = self._cost(rows[-1] + 1, before) + config.offset_weight * np.square(drawn).sum(axis=-1)
        return steps, np.where(np.isfinite(cost), cost, np.inf)

    def _cost(self, row: int, before: Array) -> Array:
        """How far all samples are from a row of the reference, shape (samples, 2)."""
        config, worlds, reference = self._config, self._simulation.worlds, self._simulation.reference
        motion, mass = worlds.motion(), worlds.centre_of_mass
        square = np.square(motion.position - reference.motion[row, :, 0]).sum(axis=-1)
        angle = np.square(rotations.angle_between(motion.rotation, reference.rotation[row]))
        velocity = (mass - before) / CONTROL_DT - self._mass_velocity[row]
        return (
            square.mean(axis=-1) / config.position**2
            + square[..., self._feet].mean(axis=-1) / config.feet**2
            + angle[..., self._feet].mean(axis=-1) / config.feet_angle**2
            + angle[..., 0] / config.root_angle**2
            + np.square(mass - self._mass_position[row]).sum(axis=-1) / config.mass_position**2
            + np.square(velocity).sum(axis=-1) / config.mass_velocity**2
        )

    def _survivors(self, cost: Array) -> Ids:
        """The nearest of all, best first, but of each family at most half, shape (survivors, 2)."""
        cost = cost.reshape(len(cost), self._groups, -1).sum(axis=-1)
        family = cost.reshape(-1, self._children, self._groups)
        ranks = np.argsort(np.argsort(family, axis=1), axis=1)
        kept = np.where(ranks < max(self._children // 2, 1), family, np.inf).reshape(cost.shape)
        chosen = np.argsort(kept, axis=0)[: self._config.survivors]
        return np.broadcast_to(chosen, (len(chosen), 2))

    def _ancestors(
        self, history: list[list[tuple[Array, ...]]], parents: list[Ids], last: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        """From the best survivors at the end back to the first row."""
        found, who = [last], np.zeros(2, np.intp)
        for steps, parent in zip(reversed(history), reversed(parents), strict=True):
            found += [tuple(values[who, ROLES] for values in step) for step in reversed(steps)]
            who = parent[who, ROLES]
        return tuple(np.stack(values) for values in zip(*reversed(found), strict=True))


_SHARES = {
    **dict.fromkeys(("Hip", "Knee", "Ankle"), 1.0),
    **dict.fromkeys(("Torso", "Spine", "Chest"), 0.5),
    **dict.fromkeys(("Toe", "Thorax", "Shoulder"), 0.3),
}
"""Deviations of the offsets of joints, relative to the configured one; 0 of all others."""


def _mass_path(simulation: PairSimulation) -> tuple[Array, Array]:
    """Centres of mass along the reference and their velocities, shape (F, 2, 3) each [m, m/s]."""
    reference, worlds = simulation.reference, simulation.worlds
    position, velocity = np.empty((2, len(reference.qpos), 2, 3))
    for clip, (first, length) in enumerate(zip(reference.first, reference.length, strict=True)):
        rows = first + np.arange(length)
        for part in np.array_split(rows, -(-length // simulation.num_worlds)):
            ids = np.arange(len(part))
            target = reference.target[part].reshape(len(part), 2, -1)
            worlds.reset(ids, reference.qpos[part], reference.qvel[part], target, np.full(len(part), clip))
            position[part] = worlds.centre_of_mass[: len(part)]
        velocity[rows] = np.gradient(position[rows], CONTROL_DT, axis=0)
    return position, velocity
