"""``on_body``: a clip on another humanoid, one whose hands have other bodies.

All bodies up to the wrists keep their bones and turns. ``Hand`` of ``smpl24`` begins at the knuckles, where the four
fingers of ``smpl52`` begin: they take its turn and stay straight, and it takes that of the middle finger. The thumb
stays at rest. So a clip that goes to fingers and back is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .body import BodySpec, get_body, joint_kind
from .clip import Contact, PairClip
from .errors import ClipError

Array = NDArray[np.float64]

TURNS: Mapping[str, str] = {
    "Index1": "Hand", "Middle1": "Hand", "Pinky1": "Hand", "Ring1": "Hand", "Hand": "Middle1"
}  # fmt: skip
"""Kind of body -> the kind whose turn it takes where the clip does not have it."""

_KNUCKLE = ("Hand", "Middle1")
"""Kinds of bodies that begin at the middle knuckle."""


def on_body(clip: PairClip, name: str) -> PairClip:
    """The same motion on another humanoid.

    Args:
        clip: The motion.
        name: One of ``body.body_names()``.

    Returns:
        The clip itself if it was made for that body. Otherwise one with the same masses, and up to the wrists the same
        bones, turns and contacts; its hands are as large as the clip's, with flat, relaxed fingers. Contacts of the
        body that holds (``BodySpec.grasps``) and of bodies that do not exist there become those of the one that holds.

    Raises:
        ClipError: The two humanoids differ in more than their hands.
        ConfigError: There is no such body.
    """
    if name == clip.body:
        return clip
    source, target = get_body(clip.body), get_body(name)
    _require_same_trunk(clip, source, target)
    shared = [body for body in target.names if body in source.names]
    to, of = target.indices(shared), source.indices(shared)
    rotation = np.zeros((clip.num_frames, 2, target.num_bodies, 4))
    rotation[..., 0] = 1.0
    rotation[:, :, to] = clip.local_rotation[:, :, of]
    for index, body in enumerate(target.names):
        turning = body[:2] + TURNS.get(joint_kind(body), "")
        if body not in shared and turning in source.names:
            rotation[:, :, index] = clip.local_rotation[:, :, source.index(turning)]
    offsets = np.stack([_hands_offsets(bones, source, target) for bones in clip.offsets])
    offsets[:, to] = clip.offsets[:, of]
    return replace(
        clip,
        body=name,
        offsets=offsets,
        local_rotation=rotation,
        contacts=tuple(_contact(contact, source, target) for contact in clip.contacts),
    )


def _require_same_trunk(clip: PairClip, source: BodySpec, target: BodySpec) -> None:
    """Raise unless both have the same bodies on the same parents up to the wrists."""

    def trunk(body: BodySpec) -> set[tuple[str, str]]:
        beyond = np.concatenate([hand[1:] for hand in body.hands])
        kept = (i for i in range(body.num_bodies) if i not in beyond)
        return {(body.names[i], body.names[body.parents[i]] if i else "") for i in kept}

    differences = sorted({body for body, _ in trunk(source) ^ trunk(target)})
    if differences:
        raise ClipError(
            f"the clip '{clip.name}' was made for the body '{source.name}', which differs from '{target.name}' in more "
            f"than the hands: {', '.join(differences)}. Pass body='{source.name}', or clips made for '{target.name}'."
        )


def _hands_offsets(bones: Array, source: BodySpec, target: BodySpec) -> Array:
    """Offsets (J', 3) [m] of a humanoid whose hands are as large as those of a person with some bones (J, 3)."""
    offsets = target.offsets.copy()
    for ours, theirs in zip(source.hands, target.hands, strict=True):
        old, new = (_knuckle(body, hand) for body, hand in ((source, ours), (target, theirs)))
        offsets[theirs] *= np.linalg.norm(bones[old]) / np.linalg.norm(target.offsets[new])
        offsets[new] = bones[old]
    return offsets


def _knuckle(body: BodySpec, hand: NDArray[np.intp]) -> int:
    """The body of a hand that begins at the middle knuckle."""
    return int(next(index for index in hand if joint_kind(body.names[index]) in _KNUCKLE))


def _contact(contact: Contact, source: BodySpec, target: BodySpec) -> Contact:
    body, partner_body = (_named(name, source, target) for name in (contact.body, contact.partner_body))
    return replace(contact, body=body, partner_body=partner_body)


def _named(name: str, source: BodySpec, target: BodySpec) -> str:
    """A body's name in the other humanoid."""
    index = source.index(name)
    for grasp, hand, holding in zip(source.grasps, source.hands, target.grasps, strict=True):
        if index == grasp.body or (index in hand and name not in target.names):
            return target.names[holding.body]
    return name
