"""Distances between the collision capsules of bodies (a sphere is a capsule whose ends coincide)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .body import BodySpec

__all__ = ["Capsules", "box_depth", "capsules", "closest_parameters", "world_ends"]

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Capsules:
    """The collision shapes of one or more people as arrays, G rows."""

    person: Array
    """Whose, shape (G,)."""
    body: Array
    """Which body, shape (G,)."""
    start: Array
    """First end of the axis in the body frame, shape (G, 3) [m]."""
    end: Array
    """Second end of the axis in the body frame, shape (G, 3) [m]."""
    radius: Array
    """Shape (G,) [m]."""

    def rows(self, index: Array | list[int]) -> Capsules:
        """Some of the rows, by integer index or mask."""
        return Capsules(**{name: getattr(self, name)[index] for name in self.__dataclass_fields__})


def capsules(bodies: Sequence[BodySpec]) -> Capsules:
    """Collect the collision shapes of people.

    Args:
        bodies: One body per person.

    Returns:
        All shapes, person by person.
    """
    rows = [(person, geom) for person, body in enumerate(bodies) for geom in body.geoms]
    return Capsules(
        person=np.array([person for person, _ in rows]),
        body=np.array([geom.body for _, geom in rows]),
        start=np.array([geom.start for _, geom in rows]),
        end=np.array([geom.end for _, geom in rows]),
        radius=np.array([geom.radius for _, geom in rows]),
    )


def world_ends(shapes: Capsules, position: Array, matrix: Array) -> tuple[Array, Array]:
    """World positions of the ends of the axes.

    Args:
        shapes: G capsules.
        position: World positions of the bodies, shape (..., P, J, 3) [m].
        matrix: World rotations of the bodies, shape (..., P, J, 3, 3).

    Returns:
        Starts and ends, shape (..., G, 3) each [m].
    """
    origin = position[..., shapes.person, shapes.body, :]
    turn = matrix[..., shapes.person, shapes.body, :, :]
    return origin + (turn @ shapes.start[..., None])[..., 0], origin + (turn @ shapes.end[..., None])[..., 0]


def closest_parameters(p0: Array, p1: Array, q0: Array, q1: Array) -> tuple[Array, Array]:
    """Where two segments come closest (C. Ericson, "Real-Time Collision Detection", section 5.1.9).

    Args:
        p0: Start of the first segment, shape (..., 3) [m].
        p1: Its end.
        q0: Start of the second segment.
        q1: Its end.

    Returns:
        Parameters in [0, 1] along the first and the second segment, shape (...) each.
    """
    along, other, gap = p1 - p0, q1 - q0, p0 - q0
    a, e = np.sum(along**2, axis=-1) + 1e-12, np.sum(other**2, axis=-1) + 1e-12
    b, c, f = np.sum(along * other, axis=-1), np.sum(along * gap, axis=-1), np.sum(other * gap, axis=-1)
    denominator = a * e - b * b
    parallel = denominator < 1e-9 * a * e
    s = np.where(parallel, 0.5, np.clip((b * f - c * e) / np.where(parallel, 1.0, denominator), 0.0, 1.0))
    t = np.clip((b * s + f) / e, 0.0, 1.0)
    return np.clip((b * t - c) / a, 0.0, 1.0), t


def box_depth(start: Array, end: Array, radius: Array, *, size: Array, samples: int = 9) -> Array:
    """How deep capsules reach into an axis-aligned box at the origin, by sampling their axes.

    Args:
        start: First ends in the box frame, shape (..., G, 3) [m].
        end: Second ends, shape (..., G, 3) [m].
        radius: Shape (G,) [m].
        size: Full extents of the box, shape (3,) [m].
        samples: Points per axis.

    Returns:
        Depth, shape (..., G) [m]; negative = clearance.
    """
    fraction = np.linspace(0.0, 1.0, samples)[:, None]
    point = start[..., None, :] + fraction * (end - start)[..., None, :]
    outside = np.abs(point) - 0.5 * np.asarray(size)
    distance = np.linalg.norm(np.maximum(outside, 0.0), axis=-1) + np.minimum(outside.max(axis=-1), 0.0)
    return radius - distance.min(axis=-1)
