"""Hands at the partner's body, as contact intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import joint_kind
from ..capsules import Capsules, capsules, closest_parameters, world_ends
from ..clip import ROLES, Contact, PairClip
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
    distance = np.concatenate(
        [_distances(clip, shapes, slice(i, i + _BLOCK)) for i in range(0, clip.num_frames, _BLOCK)]
    )
    names = clip.bodies[0].names
    shortest, bridge = max(2, round(_SHORTEST * clip.fps)), round(_BRIDGE * clip.fps)
    found = []
    for role in range(len(ROLES)):
        for side in ("L_", "R_"):
            row = names.index(side + "Hand")
            nearest = distance[:, role, row].argmin(axis=-1)
            touching = distance[:, role, row].min(axis=-1) < _NEAR
            for partner in np.unique(nearest[touching]):
                runs = intervals(touching & (nearest == partner), shortest=shortest, bridge=bridge)
                found += [_contact(clip, role, row, int(partner), run) for run in runs]
    return tuple(found)


def _contact(clip: PairClip, role: int, hand: int, partner: int, run: tuple[int, int]) -> Contact:
    names = clip.bodies[0].names
    return Contact(
        role=ROLES[role],
        body=names[hand],
        partner_body=names[partner],
        start=run[0] / clip.fps,
        end=(run[1] - 1) / clip.fps,
    )


def _distances(clip: PairClip, shapes: Capsules, frames: slice) -> Array:
    """Distance between the surfaces of each hand and each body of the partner, (T, 2, J, J) [m]; inf elsewhere."""
    matrix = rotations.to_matrix(clip.rotation[frames])
    start, end = world_ends(shapes, clip.position[frames], matrix)
    names = clip.bodies[0].names
    out = np.full((len(matrix), 2, len(names), len(names)), np.inf)
    for role in range(2):
        mine = np.flatnonzero((shapes.person == role) & [joint_kind(names[b]) == "Hand" for b in shapes.body])
        other = np.flatnonzero(shapes.person != role)
        p0, p1 = start[:, mine, None], end[:, mine, None]
        q0, q1 = start[:, None, other], end[:, None, other]
        s, t = (parameter[..., None] for parameter in closest_parameters(p0, p1, q0, q1))
        gap = np.linalg.norm(p0 + s * (p1 - p0) - q0 - t * (q1 - q0), axis=-1)
        gap -= shapes.radius[mine, None] + shapes.radius[other]
        np.minimum.at(out, (slice(None), role, shapes.body[mine, None], shapes.body[other]), gap)
    return out
