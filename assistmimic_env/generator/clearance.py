"""Nobody reaches into anybody: pairs of shapes that are kept apart while a motion is solved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ik
from ..body import BodySpec, joint_kind
from ..capsules import Capsules, capsules
from ..clip import ROLES
from .poses import radius

Array = NDArray[Any]

PRESS = 0.004
"""How deep touching bodies and seats press into each other [m]."""

_CLEAR_OF_PARTNER = ("Hip", "Knee", "Thorax", "Shoulder", "Elbow", "Wrist", "Hand")
_WAIST = ("Pelvis", "Torso", "Spine")
_TRUNK = ("Pelvis", "Torso", "Spine", "Chest", "Neck", "Head")


def reach(body: BodySpec, part: int, other: BodySpec, other_part: int) -> float:
    """Distance between the middles of two people's shapes that touch, pressed together by `PRESS` [m].

    Args:
        body: One person.
        part: Index of a body of hers.
        other: The other person.
        other_part: Index of a body of his.
    """
    return radius(body, part) + radius(other, other_part) - PRESS


def clearance(bodies: tuple[BodySpec, BodySpec], *, weight: float = 3.0, arms: bool = False) -> tuple[ik.Target, ...]:
    """Nobody reaches into the partner, forearms stay out of the own trunk; grips may press by `PRESS`.

    Args:
        bodies: Supporter, recipient.
        weight: Between the two people [1/m]; the own body's is 2, or 5 with ``arms``.
        arms: Forearms stay out of the own thighs and upper arms out of the own waist, too.
    """
    shapes = capsules(bodies)
    kind = np.array([joint_kind(bodies[0].names[body]) for body in shapes.body])
    limb, trunk = np.isin(kind, _CLEAR_OF_PARTNER), np.isin(kind, _TRUNK)
    mine, theirs = (shapes.person == ROLES.index(role) for role in ROLES)
    between = np.argwhere((mine & (limb | trunk))[:, None] & (theirs & (limb | trunk))[None, :])
    forearm = np.isin(kind, ("Elbow", "Wrist", "Hand"))
    pairs = forearm[:, None] & trunk[None, :]
    if arms:
        pairs |= forearm[:, None] & (kind == "Hip")[None, :]
        pairs |= (kind == "Shoulder")[:, None] & np.isin(kind, _WAIST)[None, :]
    own = np.argwhere(pairs & (shapes.person[:, None] == shapes.person[None, :]))
    return (
        _apart(shapes, between, margin=-PRESS, weight=weight),
        _apart(shapes, own, margin=0.0, weight=5.0 if arms else 2.0),
    )


def _apart(shapes: Capsules, pairs: Array, *, margin: float, weight: float) -> ik.ClearanceTargets:
    return ik.ClearanceTargets(
        shapes=shapes.rows(pairs[:, 0]), others=shapes.rows(pairs[:, 1]), margin=margin, weight=weight
    )
