"""``BodySpec``: a humanoid's bodies, bones, capsules, masses, servo gains and torque limits.

The default ``smpl24`` has the bodies and degrees of freedom of PHC's 24-body humanoid, ``smpl52`` those of its
humanoid with fingers; both have our own proportions (``anthropometry``). Frames are upright: in the rest pose, a
T-pose with flat hands, every body frame is x forward, y left, z up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import anthropometry as human
from .body_smpl24 import SMPL24
from .body_smpl52 import SMPL52
from .catalog import Catalog
from .errors import ConfigError, did_you_mean
from .topology import ARMATURE, JOINTS, Geom, Joints, Point, Topology, joint_kind, mirrored_name

__all__ = [
    "ARMATURE", "JOINTS", "SIDES", "BodySpec", "Geom", "Grasp", "Joints", "Point", "Topology", "body_names", "get_body",
    "joint_kind", "mirrored_name", "register_body", "smpl24",
]  # fmt: skip

Array = NDArray[np.float64]
Ids = NDArray[np.intp]

SIDES = ("L", "R")
"""Order of the hands everywhere."""


@dataclass(frozen=True, kw_only=True)
class Grasp:
    """Where a hand holds.

    Attributes:
        body: Index of the body that holds.
        point: Middle of the fingers at rest, without the thumb, in that body's frame [m].
        radius: Half the thickness of the hand: distance of the point from what is held, when they touch [m].
    """

    body: int
    point: Point
    radius: float


def _frozen(values: object) -> Array:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, kw_only=True, eq=False)
class BodySpec:
    """A humanoid of J bodies, each but the root on a ball joint.

    Attributes:
        name: Topology, a key of ``body_names()``.
        names: Body names, J of them; row 0 is the root.
        parents: Index of each body's parent, -1 for the root.
        offsets: Joint positions in the parent's frame, shape (J, 3) [m]; row 0 is zero.
        masses: Body masses, shape (J,) [kg].
        geoms: Collision shapes.
        kp: Servo stiffness, shape (J,) [N m/rad]; 0 for the root.
        kd: Servo damping, shape (J,) [N m s/rad].
        torque_limits: Bound of the torque's norm, shape (J,) [N m].
        armature: Rotor inertia of every joint [kg m^2].
        grip: Kind of body that holds the partner.
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    masses: Array
    geoms: tuple[Geom, ...] = field(repr=False)
    kp: Array = field(repr=False)
    kd: Array = field(repr=False)
    torque_limits: Array = field(repr=False)
    armature: float = ARMATURE
    grip: str = "Hand"

    @property
    def num_bodies(self) -> int:
        """J."""
        return len(self.names)

    @property
    def num_joints(self) -> int:
        """Ball joints, J - 1."""
        return len(self.names) - 1

    @property
    def num_dofs(self) -> int:
        """Actuated degrees of freedom, 3 (J - 1): also the number of controls and the action size."""
        return 3 * self.num_joints

    @property
    def mass(self) -> float:
        """Total mass [kg]."""
        return float(self.masses.sum())

    @cached_property
    def rest_positions(self) -> Array:
        """Joint positions in the rest pose with the root at the origin, shape (J, 3) [m]."""
        positions = np.zeros((self.num_bodies, 3))
        for body, parent in enumerate(self.parents[1:], start=1):
            positions[body] = positions[parent] + self.offsets[body]
        return _frozen(positions)

    @cached_property
    def rest_height(self) -> float:
        """Height of the root with the soles of the rest pose on the floor [m]."""
        return -min(self._extent(geom, lowest=True) for geom in self.geoms)

    @cached_property
    def stature(self) -> float:
        """Height of the rest pose, soles to vertex [m]."""
        return self.rest_height + max(self._extent(geom, lowest=False) for geom in self.geoms)

    def _extent(self, geom: Geom, *, lowest: bool) -> float:
        ends = (geom.start[2], geom.end[2])
        height = min(ends) - geom.radius if lowest else max(ends) + geom.radius
        return float(self.rest_positions[geom.body, 2] + height)

    def index(self, name: str) -> int:
        """Index of a body.

        Raises:
            ConfigError: This humanoid has no such body.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise ConfigError(
                f"body '{name}' is not part of {self.name}.{did_you_mean(name, self.names)} "
                f"It has: {', '.join(self.names)}."
            ) from None

    def indices(self, names: Iterable[str]) -> NDArray[np.intp]:
        """Indices of several bodies."""
        return np.array([self.index(name) for name in names], dtype=np.intp)

    @cached_property
    def hands(self) -> tuple[Ids, Ids]:
        """Indices of the bodies of the left and the right hand: the wrist, which carries the palm, and all beyond."""
        left, right = (self._beyond(self.index(f"{side}_Wrist")) for side in SIDES)
        return left, right

    @cached_property
    def grasps(self) -> tuple[Grasp, Grasp]:
        """Where the left and the right hand hold: the body ``grip`` of each, at the middle of the fingers."""
        left, right = (self._grasp(self.index(f"{side}_{self.grip}")) for side in SIDES)
        return left, right

    def carrier(self, name: str) -> str:
        """The body that takes part in a hold for another one: the palm for a finger, else the body itself."""
        index = self.index(name)
        for grasp in self.grasps:
            if index in self._beyond(grasp.body):
                return self.names[grasp.body]
        return name

    def _beyond(self, root: int) -> Ids:
        """A body and all that hangs on it, in order."""
        found = [root]
        for body in range(root + 1, self.num_bodies):
            if self.parents[body] in found:
                found.append(body)
        return np.array(found, dtype=np.intp)

    def axis(self, body: int) -> tuple[Array, Array, float]:
        """What a body is touched along: ends (3,) of its first capsule's axis, in its frame [m], and the radius [m].

        The axis of a palm whose fingers are other bodies goes on to where it holds.
        """
        geom = next(geom for geom in self.geoms if geom.body == body)
        palm = next((g for g in self.grasps if g.body == body and joint_kind(self.names[body]) == "Wrist"), None)
        return np.array(geom.start), np.array(geom.end if palm is None else palm.point), geom.radius

    def _grasp(self, body: int) -> Grasp:
        """At the middle of the geoms beyond the palm, weighted by mass."""
        beyond = [b for b in self._beyond(body) if not joint_kind(self.names[b]).startswith(("Wrist", "Thumb"))]
        geoms = [geom for geom in self.geoms if geom.body in beyond]
        mass = np.array([geom.mass for geom in geoms])
        weight = mass / mass.sum()
        origin = [self.rest_positions[geom.body] - self.rest_positions[body] for geom in geoms]
        middle = np.array([0.5 * (np.array(geom.start) + np.array(geom.end)) for geom in geoms]) + origin
        x, y, z = (float(value) for value in weight @ middle)
        radius = next(geom.radius for geom in self.geoms if geom.body == body)
        return Grasp(body=body, point=(x, y, z), radius=radius)

    def with_offsets(self, offsets: Array, *, mass: float | None = None) -> BodySpec:
        """The same humanoid on other bones; capsules and inertias follow.

        Args:
            offsets: Joint positions in the parent's frame, shape (J, 3) [m].
            mass: Total mass [kg]; by default unchanged.
        """
        other = _build(self.name, np.asarray(offsets, dtype=np.float64), self.mass if mass is None else mass)
        return replace(other, kp=self.kp, kd=self.kd, torque_limits=self.torque_limits, armature=self.armature)

    def scaled(self, *, stature: float | None = None, mass: float | None = None) -> BodySpec:
        """The same proportions at another stature [m] and mass [kg] (by default: same body mass index)."""
        factor = 1.0 if stature is None else stature / self.stature
        mass = self.mass * factor**2 if mass is None else mass
        # The head grows with the mass, not with the bones: stature is affine in the scale of the bones.
        shorter, taller = (self.with_offsets(self.offsets * factor * scale, mass=mass) for scale in (1.0, 1.05))
        wanted = self.stature if stature is None else stature
        scale = 1.0 + 0.05 * (wanted - shorter.stature) / (taller.stature - shorter.stature)
        return self.with_offsets(self.offsets * factor * scale, mass=mass)

    def fit(self, joints: Array, *, mass: float | None = None) -> BodySpec:
        """Fit the bone lengths to a performer.

        A bone's length is the median over time of the distance between its ends; left and right share
        their mean. A body that was not measured takes the scale of the measured chain it lies on, or the
        performer's overall scale.

        Args:
            joints: Measured joint positions, shape (T, J, 3) [m]; NaN where a body was not measured.
            mass: Total mass [kg]; by default this body mass index at the fitted size.

        Raises:
            ConfigError: The shape is wrong or no bone was measured.
        """
        joints = np.asarray(joints, dtype=np.float64)
        if joints.ndim != 3 or joints.shape[1:] != (self.num_bodies, 3):
            raise ConfigError(f"joints have shape {joints.shape}, {self.name} needs (frames, {self.num_bodies}, 3).")
        scales = self._mirrored(self._bone_scales(joints))
        if np.isnan(scales).all():
            raise ConfigError("no two connected joints were measured: there is no bone length to fit.")
        overall = float(np.nanmedian(scales))
        factor = np.where(np.isnan(scales), overall, scales)[:, None]
        return self.with_offsets(self.offsets * factor, mass=self.mass * overall**2 if mass is None else mass)

    def _bone_scales(self, joints: Array) -> Array:
        measured = np.asarray(np.isfinite(joints).all(axis=(0, 2)))
        scales = np.full(self.num_bodies, np.nan)
        for body in np.flatnonzero(measured):
            chain, ancestor = [int(body)], self.parents[body]
            while ancestor >= 0 and not measured[ancestor]:
                chain.append(ancestor)
                ancestor = self.parents[ancestor]
            if ancestor < 0:
                continue
            length = np.median(np.linalg.norm(joints[:, body] - joints[:, ancestor], axis=-1))
            rest = np.linalg.norm(self.rest_positions[body] - self.rest_positions[ancestor])
            open_bones = [bone for bone in chain if np.isnan(scales[bone])]
            scales[open_bones] = length / rest
        return scales

    def _mirrored(self, scales: Array) -> Array:
        twin = [self.index(mirrored_name(name)) for name in self.names]
        pair = np.stack([scales, scales[twin]])
        count = np.isfinite(pair).sum(axis=0)
        return np.where(count > 0, np.nansum(pair, axis=0) / np.maximum(count, 1), np.nan)


def body_names() -> tuple[str, ...]:
    """Names ``get_body`` understands."""
    return _CATALOG.names()


def register_body(name: str, topology: Topology) -> None:
    """Add a humanoid; also by an entry point of the group ``assistmimic.bodies``.

    Args:
        name: For ``get_body``, ``make(..., body=name)`` and clips.
        topology: How it is built, or a function that returns that.

    Raises:
        ConfigError: The name is taken, or the topology does not hold together.
    """
    _CATALOG.add(name, topology)


def get_body(name: str = "smpl24", *, stature: float = human.STATURE, mass: float = human.MASS) -> BodySpec:
    """A humanoid by name.

    Args:
        name: One of ``body_names()``.
        stature: Height, soles to vertex [m], in [0.5, 2.5].
        mass: Total mass [kg], in [10, 300].

    Raises:
        ConfigError: Unknown name, or a size no human has.
    """
    topology = _CATALOG.find(name)
    if not 0.5 <= stature <= 2.5:
        raise ConfigError(f"stature is {stature} m, expected a value in [0.5, 2.5].")
    if not 10.0 <= mass <= 300.0:
        raise ConfigError(f"mass is {mass} kg, expected a value in [10, 300].")
    return _sized(name, topology, stature, mass)


@lru_cache(maxsize=256)
def _sized(name: str, topology: Topology, stature: float, mass: float) -> BodySpec:
    return _build(name, topology.offsets() * stature, mass).scaled(stature=stature, mass=mass)


def smpl24(*, stature: float = human.STATURE, mass: float = human.MASS) -> BodySpec:
    """The 24-body humanoid in PHC's body order, see ``get_body``."""
    return get_body("smpl24", stature=stature, mass=mass)


def _build(name: str, offsets: Array, mass: float) -> BodySpec:
    topology = _CATALOG.find(name)
    names = topology.names
    if offsets.shape != (len(names), 3) or not np.isfinite(offsets).all():
        raise ConfigError(f"offsets of {name} must be finite, shape ({len(names)}, 3); got shape {offsets.shape}.")
    masses = _frozen([mass * topology.segment_mass[joint_kind(n)] for n in names])
    joints = [Joints(kp=0.0, torque_limit=0.0), *(topology.joints[joint_kind(n)] for n in names[1:])]
    return BodySpec(
        name=name,
        names=names,
        parents=tuple(names.index(p) if p else -1 for p in topology.parents.values()),
        offsets=_frozen(offsets),
        masses=masses,
        geoms=topology.geoms(names, offsets, masses),
        kp=_frozen([j.kp for j in joints]),
        kd=_frozen([j.kd for j in joints]),
        torque_limits=_frozen([j.torque_limit for j in joints]),
        grip=topology.grip,
    )


def _read_topology(name: str, found: Any) -> Topology:
    """Check a topology that was added, or the function that returns it."""
    topology = found() if callable(found) else found
    if not isinstance(topology, Topology):
        raise ConfigError(f"body '{name}' is {topology!r}, expected a Topology.")
    names, kinds = topology.names, {joint_kind(n) for n in topology.names}
    late = [n for i, n in enumerate(names) if topology.parents[n] not in (names[:i] if i else ("",))]
    lone = [n for n in names if mirrored_name(n) not in names]
    for problem, culprits in (
        ("a parent must come before its children, and the root has the parent ''", late),
        ("a body has no twin on the other side", lone),
        ("segment_mass lacks a kind", sorted(kinds - set(topology.segment_mass))),
        ("joints lacks a kind", sorted({joint_kind(n) for n in names[1:]} - set(topology.joints))),
        ("hands need the kind", sorted({"Wrist", topology.grip} - kinds)),
    ):
        if culprits:
            raise ConfigError(f"body '{name}': {problem}: {', '.join(culprits)}.")
    share = sum(topology.segment_mass[joint_kind(n)] for n in names)
    if abs(share - 1.0) > 1e-3:
        raise ConfigError(f"body '{name}': the shares of segment_mass sum to {share:.4f} over all bodies, expected 1.")
    return topology


_CATALOG: Catalog[Topology] = Catalog(
    "body", "assistmimic.bodies", read=_read_topology, items={"smpl24": SMPL24, "smpl52": SMPL52}
)
