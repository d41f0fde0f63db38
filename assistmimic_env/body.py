"""``BodySpec``: a humanoid's bodies, bones, capsules, masses, servo gains and torque limits.

The default ``smpl24`` has the bodies and degrees of freedom of PHC's 24-body humanoid, in its order
(``spec/phc.md`` section 2.1), with our own proportions (``anthropometry``). Frames are upright: in the
rest pose, a T-pose, every body frame is x forward, y left, z up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import anthropometry as human
from .catalog import Catalog
from .errors import ConfigError, did_you_mean

Array = NDArray[np.float64]
Point = tuple[float, float, float]

ARMATURE = 0.1
"""Rotor inertia of every joint [kg m^2]; why not less: ``spec/physics.md`` section 5."""


@dataclass(frozen=True, kw_only=True)
class Geom:
    """One collision shape, fixed to a body.

    Attributes:
        body: Index of the body that carries it.
        kind: ``"sphere"`` (``start`` is the centre, ``end`` equals it) or ``"capsule"``.
        start: First end of the axis, body frame [m].
        end: Second end of the axis, body frame [m].
        radius: Radius [m].
        mass: Mass [kg]; the inertia follows from the shape.
    """

    body: int
    kind: Literal["sphere", "capsule"]
    start: Point
    end: Point
    radius: float
    mass: float


@dataclass(frozen=True, kw_only=True)
class Joints:
    """Servo gains and torque limits of one kind of joint (PHC's gains, human-like limits)."""

    kp: float
    torque_limit: float

    @property
    def kd(self) -> float:
        """Derivative gain [N m s/rad]: a tenth of ``kp``, as in PHC."""
        return self.kp / 10.0


JOINTS: Mapping[str, Joints] = {  # spec/physics.md, table at the top: kp [N m/rad], limit [N m]
    "Hip": Joints(kp=800.0, torque_limit=250.0),
    "Knee": Joints(kp=800.0, torque_limit=250.0),
    "Ankle": Joints(kp=800.0, torque_limit=150.0),
    "Toe": Joints(kp=500.0, torque_limit=50.0),
    "Torso": Joints(kp=1000.0, torque_limit=300.0),
    "Spine": Joints(kp=1000.0, torque_limit=300.0),
    "Chest": Joints(kp=1000.0, torque_limit=300.0),
    "Neck": Joints(kp=500.0, torque_limit=60.0),
    "Head": Joints(kp=500.0, torque_limit=60.0),
    "Thorax": Joints(kp=500.0, torque_limit=150.0),
    "Shoulder": Joints(kp=500.0, torque_limit=150.0),
    "Elbow": Joints(kp=500.0, torque_limit=100.0),
    "Wrist": Joints(kp=300.0, torque_limit=40.0),
    "Hand": Joints(kp=300.0, torque_limit=20.0),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Topology:
    """What a humanoid consists of, whatever its size.

    Attributes:
        parents: Body -> its parent, parents before children; the first is the root, whose parent is ``""``. The
            environments need the names of ``smpl24`` that observations, metrics and grips refer to; ``L_`` and ``R_``
            begin the names of mirrored bodies.
        offsets: Joint positions in the parent's frame, rest pose, as fractions of the stature, shape (J, 3).
        geoms: Collision shapes from the names, offsets [m] and masses [kg] of a humanoid of some size.
        segment_mass: Kind of body (its name without side) -> share of the body mass; both sides count.
        joints: Kind of body -> servo of its joint.
    """

    parents: Mapping[str, str]
    offsets: Callable[[], Array]
    geoms: Callable[[tuple[str, ...], Array, Array], tuple[Geom, ...]]
    segment_mass: Mapping[str, float] = field(default_factory=lambda: human.SEGMENT_MASS)
    joints: Mapping[str, Joints] = field(default_factory=lambda: JOINTS)

    @property
    def names(self) -> tuple[str, ...]:
        """Bodies in order, J of them."""
        return tuple(self.parents)


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


def mirrored_name(name: str) -> str:
    """Name of the same body on the other side (itself on the midline)."""
    sides = {"L_": "R_", "R_": "L_"}
    return sides.get(name[:2], name[:2]) + name[2:]


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


# --- The 24-body topology -------------------------------------------------------------------------------

_SMPL24_PARENTS: Mapping[str, str] = {
    "Pelvis": "",
    "L_Hip": "Pelvis", "L_Knee": "L_Hip", "L_Ankle": "L_Knee", "L_Toe": "L_Ankle",
    "R_Hip": "Pelvis", "R_Knee": "R_Hip", "R_Ankle": "R_Knee", "R_Toe": "R_Ankle",
    "Torso": "Pelvis", "Spine": "Torso", "Chest": "Spine", "Neck": "Chest", "Head": "Neck",
    "L_Thorax": "Chest", "L_Shoulder": "L_Thorax", "L_Elbow": "L_Shoulder", "L_Wrist": "L_Elbow",
    "L_Hand": "L_Wrist",
    "R_Thorax": "Chest", "R_Shoulder": "R_Thorax", "R_Elbow": "R_Shoulder", "R_Wrist": "R_Elbow",
    "R_Hand": "R_Wrist",
}  # fmt: skip


def _smpl24_offsets() -> Array:
    """Rest offsets of the left side and the midline, mirrored to the right; fractions of stature."""
    to_shoulders = human.TRUNK - human.HIP_DROP - human.TORSO_RISE - human.SPINE_RISE - human.CHEST_RISE
    collar_rise = 0.85 * to_shoulders
    left: Mapping[str, Point] = {
        "Pelvis": (0.0, 0.0, 0.0),
        "L_Hip": (0.0, human.HIP_HALF_WIDTH, -human.HIP_DROP),
        "L_Knee": (0.0, 0.0, -human.THIGH),
        "L_Ankle": (0.0, 0.0, -human.SHANK),
        "L_Toe": (human.BALL, 0.0, -(1.0 - _TOE_RADIUS) * human.ANKLE_HEIGHT),
        "Torso": (0.0, 0.0, human.TORSO_RISE),
        "Spine": (0.0, 0.0, human.SPINE_RISE),
        "Chest": (0.0, 0.0, human.CHEST_RISE),
        "Neck": (0.0, 0.0, to_shoulders + human.NECK_RISE),
        "Head": (0.0, 0.0, human.HEAD_RISE),
        "L_Thorax": (0.0, human.COLLAR_HALF_WIDTH, collar_rise),
        "L_Shoulder": (0.0, human.SHOULDER_HALF_WIDTH - human.COLLAR_HALF_WIDTH, to_shoulders - collar_rise),
        "L_Elbow": (0.0, human.UPPER_ARM, 0.0),
        "L_Wrist": (0.0, human.FOREARM, 0.0),
        "L_Hand": (0.0, human.PALM, 0.0),
    }
    mirror = np.array([1.0, -1.0, 1.0])
    return np.array([left[n] if n in left else mirror * left[mirrored_name(n)] for n in _SMPL24_PARENTS])


_TOE_RADIUS = 0.35  # of the ankle height
_FOOT_RADIUS = 0.42  # of the ankle height


def _smpl24_geoms(names: tuple[str, ...], offsets: Array, masses: Array) -> tuple[Geom, ...]:
    """Capsules along the bones; radii from the segment masses, feet from the height of the ankle."""
    index = {name: i for i, name in enumerate(names)}
    height = float(np.linalg.norm(offsets[index["L_Knee"]]) + np.linalg.norm(offsets[index["L_Ankle"]]))
    height /= human.THIGH + human.SHANK  # the stature that these legs belong to

    def capsule(name: str, start: Array, end: Array, radius: float | None = None) -> Geom:
        mass = float(masses[index[name]])
        if radius is None:
            radius = _capsule_radius(mass / human.TISSUE_DENSITY, float(np.linalg.norm(end - start)))
        return Geom(body=index[name], kind="capsule", start=_point(start), end=_point(end), radius=radius, mass=mass)

    def across(name: str, half_width: float, centre: Array) -> Geom:
        side = np.array([0.0, half_width * height, 0.0])
        return capsule(name, centre - side, centre + side)

    geoms = [
        across("Pelvis", 0.035, np.zeros(3)),
        across("Torso", 0.030, 0.5 * offsets[index["Spine"]]),
        across("Spine", 0.030, 0.5 * offsets[index["Chest"]]),
        across("Chest", 0.040, 0.35 * offsets[index["Neck"]]),
        capsule("Neck", 0.1 * offsets[index["Head"]], 0.9 * offsets[index["Head"]]),
        _head(index["Head"], float(masses[index["Head"]])),
    ]
    for side in ("L_", "R_"):
        bone = {name: offsets[index[side + name]] for name in ("Knee", "Ankle", "Shoulder", "Elbow", "Wrist", "Hand")}
        geoms += [
            capsule(side + "Hip", 0.15 * bone["Knee"], 0.9 * bone["Knee"]),
            capsule(side + "Knee", 0.1 * bone["Ankle"], 0.9 * bone["Ankle"]),
            *_foot(side, index, offsets, height, capsule),
            capsule(side + "Thorax", 0.2 * bone["Shoulder"], 0.8 * bone["Shoulder"]),
            capsule(side + "Shoulder", 0.1 * bone["Elbow"], 0.9 * bone["Elbow"]),
            capsule(side + "Elbow", 0.1 * bone["Wrist"], 0.9 * bone["Wrist"]),
            capsule(side + "Wrist", 0.2 * bone["Hand"], 0.9 * bone["Hand"]),
            capsule(side + "Hand", 0.1 * bone["Hand"], 0.75 * human.FINGERS / human.PALM * bone["Hand"]),
        ]
    return tuple(sorted(geoms, key=lambda geom: geom.body))


def _foot(
    side: str,
    index: Mapping[str, int],
    offsets: Array,
    height: float,
    capsule: Callable[[str, Array, Array, float], Geom],
) -> tuple[Geom, Geom]:
    """One capsule from heel to ball, one across the toes; both touch the sole."""
    ankle = human.ANKLE_HEIGHT * height
    toe = offsets[index[side + "Toe"]]
    sole = min(-ankle, float(toe[2]) - _TOE_RADIUS * ankle)
    radius = _FOOT_RADIUS * ankle
    # A round end touches the floor at its centre only: half its radius stands for the pad of the heel. With less,
    # the rest pose falls backwards at 90 Hz.
    heel = np.array([0.5 * radius - human.HEEL * height, 0.0, sole + radius])
    ball = np.array([float(toe[0]), 0.0, sole + radius])
    breadth = np.array([0.0, human.FOOT_HALF_BREADTH * height - _TOE_RADIUS * ankle, 0.0])
    centre = np.array([0.016 * height, 0.0, sole + _TOE_RADIUS * ankle - float(toe[2])])
    return (
        capsule(side + "Ankle", heel, ball, radius),
        capsule(side + "Toe", centre - breadth, centre + breadth, _TOE_RADIUS * ankle),
    )


def _head(body: int, mass: float) -> Geom:
    radius = float(np.cbrt(3.0 * mass / (4.0 * np.pi * human.TISSUE_DENSITY)))
    centre = (0.1 * radius, 0.0, radius)
    return Geom(body=body, kind="sphere", start=centre, end=centre, radius=radius, mass=mass)


def _point(vector: Array) -> Point:
    x, y, z = (float(value) for value in vector)
    return x, y, z


def _capsule_radius(volume: float, length: float) -> float:
    """Radius [m] of the capsule of this volume [m^3] around an axis of this length [m]."""
    roots = np.roots([4.0 / 3.0 * np.pi, np.pi * length, 0.0, -volume])
    return float(max(roots.real[np.abs(roots.imag) < 1e-9]))


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
    )


def joint_kind(name: str) -> str:
    """A body's name without its side: the key of gains, limits and impairments."""
    return name[2:] if name[:2] in ("L_", "R_") else name


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
    ):
        if culprits:
            raise ConfigError(f"body '{name}': {problem}: {', '.join(culprits)}.")
    share = sum(topology.segment_mass[joint_kind(n)] for n in names)
    if abs(share - 1.0) > 1e-3:
        raise ConfigError(f"body '{name}': the shares of segment_mass sum to {share:.4f} over all bodies, expected 1.")
    return topology


_SMPL24 = Topology(parents=_SMPL24_PARENTS, offsets=_smpl24_offsets, geoms=_smpl24_geoms)
_CATALOG: Catalog[Topology] = Catalog("body", "assistmimic.bodies", read=_read_topology, items={"smpl24": _SMPL24})
