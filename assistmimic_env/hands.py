"""``Hands``: where a person's hands are with respect to the partner's body.

A hand is the middle of its fingers (``BodySpec.grasps``); what it may hold or support are the *anchors*, a restricted
set of the partner's bodies (no head, no feet: ``spec/assistmimic.md`` section 2.4, with pelvis and hands for clasps and
lifts from the seat).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .body import BodySpec

Array = NDArray[np.float64]
Ids = NDArray[np.intp]

ANCHORS = (
    "Pelvis", "Torso", "Spine", "Chest", "Neck",
    "L_Thorax", "L_Shoulder", "L_Elbow", "L_Wrist", "L_Hand", "L_Knee",
    "R_Thorax", "R_Shoulder", "R_Elbow", "R_Wrist", "R_Hand", "R_Knee",
)  # fmt: skip
"""Bodies of the partner that a hand may hold or support."""


class Hands:
    """The two hands of one role and the anchors of the partner.

    Args:
        people: Bodies of both people of each variant of the scene.
        role: Whose hands: 0 supporter, 1 recipient.

    Attributes:
        role: Whose hands.
        anchors: Body index of each anchor, shape (K,).
        bodies: Body indices of each hand, wrist first, shape (2, B).
    """

    def __init__(self, people: Sequence[tuple[BodySpec, BodySpec]], role: int = 0) -> None:
        body = people[0][0]
        self.role = role
        self.anchors = np.array([body.index(name) for name in ANCHORS if name in body.names], dtype=np.intp)
        self.bodies = np.stack(body.hands)
        self._holding = np.array([grasp.body for grasp in body.grasps], dtype=np.intp)
        own = [pair[role].grasps for pair in people]
        partner = [_axes(pair[1 - role], self.anchors) for pair in people]
        self._point = np.array([[grasp.point for grasp in grasps] for grasps in own], dtype=np.float64)
        self._own_radius = np.array([[grasp.radius for grasp in grasps] for grasps in own], dtype=np.float64)
        self._start, self._end, self._radius = (np.stack(column) for column in zip(*partner, strict=True))

    def gap(self, position: Array, matrix: Array, variant: Ids) -> Array:
        """Distance between the surfaces of the hands and of each anchor; negative where they overlap.

        Args:
            position: World positions of all bodies, shape (n, 2, J, 3) [m].
            matrix: Their rotations, shape (n, 2, J, 3, 3).
            variant: Whose bodies they are, shape (n,).

        Returns:
            Shape (n, 2 sides, K) [m].
        """
        hand, anchors, partner = self._holding, self.anchors, 1 - self.role
        point = position[:, self.role, hand] + _turned(matrix[:, self.role, hand], self._point[variant])
        turn, origin = matrix[:, partner, anchors], position[:, partner, anchors]
        start, end = origin + _turned(turn, self._start[variant]), origin + _turned(turn, self._end[variant])
        along, reach = end - start, point[:, :, None] - start[:, None]
        length = np.maximum(np.einsum("nki,nki->nk", along, along), 1e-12)
        share = np.clip(np.einsum("nski,nki->nsk", reach, along) / length[:, None], 0.0, 1.0)
        away = reach - share[..., None] * along[:, None]
        distance = np.sqrt(np.einsum("nski,nski->nsk", away, away))
        return distance - self._radius[variant][:, None] - self._own_radius[variant][..., None]


def _axes(body: BodySpec, chosen: Ids) -> tuple[Array, Array, Array]:
    """Ends (k, 3) [m] and radii (k,) [m] of the axes of some bodies (``BodySpec.axis``), in their frames."""
    start, end, radius = zip(*(body.axis(int(index)) for index in chosen), strict=True)
    return np.stack(start), np.stack(end), np.array(radius)


def _turned(matrix: Array, vector: Array) -> Array:
    """(..., 3, 3) times (..., 3)."""
    return np.einsum("...ij,...j->...i", matrix, vector)


def smoothstep(value: Array, low: float, high: float) -> Array:
    """0 below ``low``, 1 above ``high``, with a continuous derivative between."""
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
