"""``Topology``: what a humanoid consists of, whatever its size: bodies, tree, shapes, shares of mass, servos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from . import anthropometry as human

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
        grip: Kind of body that holds the partner: the ``Wrist``, which carries the palm, or a body beyond it.
    """

    parents: Mapping[str, str]
    offsets: Callable[[], Array]
    geoms: Callable[[tuple[str, ...], Array, Array], tuple[Geom, ...]]
    segment_mass: Mapping[str, float] = field(default_factory=lambda: human.SEGMENT_MASS)
    joints: Mapping[str, Joints] = field(default_factory=lambda: JOINTS)
    grip: str = "Hand"

    @property
    def names(self) -> tuple[str, ...]:
        """Bodies in order, J of them."""
        return tuple(self.parents)


def mirrored_name(name: str) -> str:
    """Name of the same body on the other side (itself on the midline)."""
    sides = {"L_": "R_", "R_": "L_"}
    return sides.get(name[:2], name[:2]) + name[2:]


def joint_kind(name: str) -> str:
    """A body's name without its side: the key of gains, limits and impairments."""
    return name[2:] if name[:2] in ("L_", "R_") else name


def capsule(body: int, start: Array, end: Array, mass: float, radius: float | None = None) -> Geom:
    """A capsule around an axis in a body's frame.

    Args:
        body: Index of the body.
        start: First end of the axis, shape (3,) [m].
        end: Second end [m].
        mass: Mass [kg].
        radius: Radius [m]; by default that of a mass of tissue.
    """
    if radius is None:
        radius = _capsule_radius(mass / human.TISSUE_DENSITY, float(np.linalg.norm(end - start)))
    return Geom(body=body, kind="capsule", start=_point(start), end=_point(end), radius=radius, mass=mass)


def _point(vector: Array) -> Point:
    x, y, z = (float(value) for value in vector)
    return x, y, z


def _capsule_radius(volume: float, length: float) -> float:
    """Radius [m] of the capsule of this volume [m^3] around an axis of this length [m]."""
    roots = np.roots([4.0 / 3.0 * np.pi, np.pi * length, 0.0, -volume])
    return float(max(roots.real[np.abs(roots.imag) < 1e-9]))
