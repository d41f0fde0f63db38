"""Who touches whom, how hard, and whether the clip says so.

A *hand* is one side's wrist and all bodies beyond it. The clip expects it to touch while a contact names a body of it
at either end of the contact; in the simulation it touches while the partner's force on one of its bodies exceeds
``TOUCH_FORCE``. The two are compared frame by frame, hand by hand. Which body of the partner is touched is not
compared: contact sensors report the partner as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from .body import SIDES, joint_kind
from .clip import ROLES
from .observer import TOUCH_FORCE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .body import BodySpec
    from .clip import PairClip

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ids = NDArray[np.intp]

REGIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "head": ("Head", "Neck"),
        "trunk": ("Torso", "Spine", "Chest", "Thorax"),
        "arms": ("Shoulder", "Elbow"),
        "hands": (),
        "pelvis": ("Pelvis",),
        "legs": ("Hip", "Knee", "Ankle", "Toe"),
    }
)
"""Region of a person -> kinds of its bodies; ``hands`` are those of `hand_bodies`."""

_TIME_TOLERANCE = 1e-6


def hand_bodies(body: BodySpec) -> Ids:
    """Indices of the bodies of each hand, wrist first, shape (2 sides, B)."""
    return np.stack(body.hands)


def expected_touch(clip: PairClip) -> Bools:
    """When the clip says that hands touch the partner.

    Args:
        clip: The clip.

    Returns:
        Flags of each frame, shape (frames, 2 roles, 2 sides).
    """
    time = np.arange(clip.num_frames) / clip.fps
    flags = np.zeros((clip.num_frames, len(ROLES), len(SIDES)), np.bool_)
    body = clip.bodies[0]
    hands = hand_bodies(body)
    for contact in clip.contacts:
        during = (contact.start - _TIME_TOLERANCE <= time) & (time <= contact.end + _TIME_TOLERANCE)
        role = ROLES.index(contact.role)
        for person, name in ((role, contact.body), (1 - role, contact.partner_body)):
            for side in np.flatnonzero((hands == body.index(name)).any(axis=-1)):
                flags[during, person, side] = True
    return flags


def touch(force: ArrayLike, hands: Ids) -> Bools:
    """Which hands touch the partner.

    Args:
        force: Force of the partner on each body, shape (..., bodies, 3) [N].
        hands: Bodies of each hand, from `hand_bodies`, shape (2, B).

    Returns:
        Flags, shape (..., 2 sides); False where the force is NaN.
    """
    return np.any(magnitude(np.asarray(force)[..., hands, :]) > TOUCH_FORCE, axis=-1)


def precision(touching: ArrayLike, expected: ArrayLike, measured: ArrayLike) -> Array:
    """Share of the touches of a rollout that the clip expects.

    Args:
        touching: Which hands touch, shape (..., frames, hands).
        expected: Which hands should, same shape.
        measured: Frames that count, shape (..., frames).

    Returns:
        Rates, shape (...); NaN where no hand touched.
    """
    return _share(np.asarray(expected, np.bool_), np.asarray(touching, np.bool_), measured)


def recall(touching: ArrayLike, expected: ArrayLike, measured: ArrayLike) -> Array:
    """Share of the touches expected by the clip that happened; arguments as for `precision`.

    Returns:
        Rates, shape (...); NaN where the clip expects no touch.
    """
    return _share(np.asarray(touching, np.bool_), np.asarray(expected, np.bool_), measured)


def region_force(force: ArrayLike, body: BodySpec) -> Array:
    """Force of the partner on each region of a person: the sum of the magnitudes on its bodies.

    Args:
        force: Force of the partner on each body, shape (..., bodies, 3) [N].
        body: Names of the bodies.

    Returns:
        In the order of `REGIONS`, shape (..., 6) [N].
    """
    kinds = [joint_kind(name) for name in body.names]
    members = np.array([[kind in region for kind in kinds] for region in REGIONS.values()], np.float64)
    hands = hand_bodies(body)
    members[:, hands] = 0.0
    members[tuple(REGIONS).index("hands"), hands] = 1.0
    return magnitude(force) @ members.T


def magnitude(force: ArrayLike) -> Array:
    """Lengths of vectors, shape (..., 3) to (...)."""
    force = np.asarray(force, np.float64)
    return np.sqrt(np.einsum("...i,...i->...", force, force))


def _share(flags: Bools, of: Bools, measured: ArrayLike) -> Array:
    """Share of the flags ``of``, over frames and hands, for which ``flags`` is set too."""
    counted = of & np.asarray(measured, np.bool_)[..., None]
    total, hits = counted.sum(axis=(-2, -1)), (counted & flags).sum(axis=(-2, -1))
    return np.divide(hits, total, out=np.full(total.shape, np.nan), where=total > 0)
