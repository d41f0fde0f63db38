"""Hands at the partner's body, as contact intervals."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec
from ..capsules import Capsules, capsules, closest_parameters, world_ends
from ..clip import ROLES, Contact, PairClip
from ..ik_targets import ancestor_mask
from .intervals import intervals

__all__ = ["infer_contacts"]

Array = NDArray[np.float64]

_NEAR = 0.04
"""Surfaces of a hand and the partner that are nearer than this count as touching [m]; recorded hands have thickness."""
_SHORTEST, _BRIDGE = 0.2, 0.15
"""Shortest contact and longest gap in one [s]."""
_BLOCK = 256


def infer_contacts(clip: PairClip) -> tuple[Contact, ...]:
    """Intervals in which a hand is at a body of the partner, the nearest one at each instant.

    Args:
        clip: The motion.

    Returns:
        Contacts of at least 0.2 s, by role, hand and beginning.
    """
    shapes = capsules(clip.bodies)
    body = clip.bodies[0]
    shortest, bridge = max(2, round(_SHORTEST * clip.fps)), round(_BRIDGE * clip.fps)
    found = []
    for role, side in product(range(len(ROLES)), ("L_", "R_")):
        hand = _hand(body, side)
        distance = _distances(clip, shapes, role, hand)
        nearest = distance.argmin(axis=-1)
        touching = distance.min(axis=-1) < _NEAR
        for partner in np.unique(nearest[touching]):
            runs = intervals(touching & (nearest == partner), shortest=shortest, bridge=bridge)
            found += [_contact(clip, role, hand[0], int(partner), run) for run in runs]
    return tuple(found)


def _hand(body: BodySpec, side: str) -> list[int]:
    """Bodies of a hand; the first one names it. Without a hand body: the wrist's, which is the palm, and fingers."""
    if side + "Hand" in body.names:
        return [body.index(side + "Hand")]
    wrist = body.index(side + "Wrist")
    return [int(i) for i in np.flatnonzero(ancestor_mask(body.parents)[:, wrist])]


def _contact(clip: PairClip, role: int, hand: int, partner: int, run: tuple[int, int]) -> Contact:
    names = clip.bodies[0].names
    return Contact(
        role=ROLES[role],
        body=names[hand],
        partner_body=names[partner],
        start=run[0] / clip.fps,
        end=(run[1] - 1) / clip.fps,
    )


def _distances(clip: PairClip, shapes: Capsules, role: int, hand: list[int]) -> Array:
    """Distance between the surfaces of a hand and of each body of the partner, (T, J) [m]; inf without shapes."""
    mine = shapes.rows((shapes.person == role) & np.isin(shapes.body, hand))
    theirs = shapes.rows(shapes.person != role)
    blocks = [slice(i, i + _BLOCK) for i in range(0, clip.num_frames, _BLOCK)]
    gap = np.concatenate([_gaps(clip, mine, theirs, block) for block in blocks])
    out = np.full((clip.num_frames, clip.bodies[0].num_bodies), np.inf)
    for body in np.unique(theirs.body):
        out[:, body] = gap[:, theirs.body == body].min(axis=1)
    return out


def _gaps(clip: PairClip, mine: Capsules, theirs: Capsules, frames: slice) -> Array:
    """Distance of each of the partner's shapes to the nearest of the hand's, (T, G) [m]."""
    matrix = rotations.to_matrix(clip.rotation[frames])
    p0, p1 = (end[:, :, None] for end in world_ends(mine, clip.position[frames], matrix))
    q0, q1 = (end[:, None] for end in world_ends(theirs, clip.position[frames], matrix))
    s, t = (parameter[..., None] for parameter in closest_parameters(p0, p1, q0, q1))
    distance = np.linalg.norm(p0 + s * (p1 - p0) - q0 - t * (q1 - q0), axis=-1)
    return (distance - mine.radius[:, None] - theirs.radius).min(axis=1)
