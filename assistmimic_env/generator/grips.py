"""`Grip`: a hand that holds the partner at a place of the partner's own body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ik
from ..body import BodySpec
from ..clip import ROLES, Contact
from .clearance import reach
from .poses import hand_center

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Grip:
    """One hand on one of the partner's bodies."""

    person: int
    """Who holds: 0 = supporter, 1 = recipient."""
    hand: str
    """Which hand, such as ``"L_Hand"``."""
    body: str
    """The partner's body."""
    fraction: float
    """Where along the axis of the body's capsule; 0 and 1 are its ends."""
    direction: tuple[float, float, float]
    """From the axis to the hand in the partner body's frame; a unit vector.

    An arm's frame turns with it: in a hanging arm x points forward, and z outwards; of a bent forearm x is its upper
    side, z its outer one.
    """


def mirrored_pair(
    *, person: int, hand: str, body: str, fraction: float, direction: tuple[float, float, float]
) -> tuple[Grip, Grip]:
    """A grip and its mirror image, with the other hand on the partner's other side.

    Args:
        person: As in `Grip`.
        hand: As in `Grip`.
        body: As in `Grip`; a body of the middle is held at both sides.
        fraction: As in `Grip`.
        direction: As in `Grip`.
    """
    x, y, z = direction
    other = opposite(body)
    far = 1.0 - fraction if other == body else fraction
    return (
        Grip(person=person, hand=hand, body=body, fraction=fraction, direction=direction),
        Grip(person=person, hand=opposite(hand), body=other, fraction=far, direction=(x, -y, z)),
    )


def opposite(body: str) -> str:
    """The body on the other side; bodies of the middle are their own."""
    sides = {"L_": "R_", "R_": "L_"}
    return sides[body[:2]] + body[2:] if body[:2] in sides else body


def hand_targets(grips: Sequence[Grip], bodies: tuple[BodySpec, BodySpec]) -> tuple[ik.Target, ...]:
    """Hands touch the partner firmly, on about the planned side.

    Args:
        grips: At least one.
        bodies: Supporter, recipient.
    """
    person = [grip.person for grip in grips]
    hand = [bodies[grip.person].index(grip.hand) for grip in grips]
    held = [bodies[1 - grip.person].index(grip.body) for grip in grips]
    center = np.array([hand_center(bodies[grip.person], grip.hand[:2]) for grip in grips])
    axis = np.array([_axis_point(bodies[1 - grip.person], grip) for grip in grips])
    distance = np.array(
        [
            reach(bodies[grip.person], mine, bodies[1 - grip.person], theirs)
            for grip, mine, theirs in zip(grips, hand, held, strict=True)
        ]
    )
    place = axis + distance[:, None] * np.array([grip.direction for grip in grips])
    points = ik.Points(person=person, body=hand, offset=center)
    partner = [1 - one for one in person]
    return (
        ik.DistanceTargets(
            points=points, others=ik.Points(person=partner, body=held, offset=axis), distance=distance, weight=6.0
        ),
        ik.RelativeTargets(points=points, others=ik.Points(person=partner, body=held, offset=place), weight=1.5),
    )


def contacts(grips: Sequence[Grip], duration: float) -> tuple[Contact, ...]:
    """All grips, during a whole clip.

    Args:
        grips: Who holds what.
        duration: Of the clip [s].
    """
    return tuple(
        Contact(role=ROLES[grip.person], body=grip.hand, partner_body=grip.body, start=0.0, end=duration)
        for grip in grips
    )


def _axis_point(body: BodySpec, grip: Grip) -> Array:
    """Where the hand is, on the axis of the held body's first capsule, in the body's frame, shape (3,) [m]."""
    geom = next(geom for geom in body.geoms if geom.body == body.index(grip.body))
    start, end = np.array(geom.start), np.array(geom.end)
    return start + grip.fraction * (end - start)
