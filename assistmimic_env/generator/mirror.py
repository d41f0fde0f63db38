"""The same motion with left and right exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..body import BodySpec
from ..clip import Contact, Furniture, PairClip
from .grips import opposite


def mirrored(clip: PairClip) -> PairClip:
    """Reflect a clip at the vertical plane y = 0.

    Args:
        clip: Two people whose left and right sides are built alike.

    Returns:
        The clip with exchanged sides, furniture and contacts included; the metadata is kept.
    """
    swap = _swapped(clip.bodies[0])
    return replace(
        clip,
        root_position=clip.root_position * (1.0, -1.0, 1.0),
        local_rotation=clip.local_rotation[:, :, swap] * (1.0, -1.0, 1.0, -1.0),
        furniture=tuple(_mirrored_box(item) for item in clip.furniture),
        contacts=tuple(_mirrored_contact(contact) for contact in clip.contacts),
    )


def _swapped(body: BodySpec) -> np.ndarray:
    return body.indices([opposite(name) for name in body.names])


def _mirrored_box(item: Furniture) -> Furniture:
    x, y, z = item.position
    return replace(item, position=(x, -y, z), yaw=-item.yaw)


def _mirrored_contact(contact: Contact) -> Contact:
    return replace(contact, body=opposite(contact.body), partner_body=opposite(contact.partner_body))
