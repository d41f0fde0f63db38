"""Names of joints: of CMU's ASF skeletons, and what BVH files call the joints of a person."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import ClipError
from .rig import RigNames

_SIDES = ("L_", "R_")

ASF_ORIGINS = {
    "Neck": "upperneck", "Head": "head",
    **{
        side + body: side[0].lower() + bone
        for side in _SIDES
        for body, bone in (
            ("Hip", "femur"), ("Knee", "tibia"), ("Ankle", "foot"), ("Toe", "toes"),
            ("Shoulder", "humerus"), ("Elbow", "radius"), ("Wrist", "wrist"),
        )
    },
}  # fmt: skip
"""Our body -> the bone that begins at its origin (the same joints as in the BVH edition of the takes)."""

ASF_TURNS = {
    **ASF_ORIGINS,
    "Pelvis": "root", "Torso": "lowerback", "Spine": "upperback", "Chest": "thorax",
    "L_Thorax": "lclavicle", "R_Thorax": "rclavicle", "L_Hand": "lwrist", "R_Hand": "rwrist",
}  # fmt: skip

_PARTS = {
    "Hip": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "Knee": ("leg", "lowerleg", "shin", "calf", "tibia", "knee"),
    "Ankle": ("foot", "ankle"),
    "Toe": ("toebase", "toes", "toe", "ball"),
    "Shoulder": ("arm", "upperarm", "uparm", "humerus", "shoulder"),
    "Elbow": ("forearm", "lowerarm", "lowarm", "elbow", "radius"),
    "Wrist": ("hand", "wrist"),
}
"""What the joints of one side are called; the first name that a rig has counts."""

_COLLARS = ("shoulder", "collar", "clavicle")
_MIDDLE = {"Pelvis": ("hips", "hip", "pelvis"), "Neck": ("neck1", "neck"), "Head": ("head",)}
_WORDS = {"L_": ("left", "l"), "R_": ("right", "r")}
_NAMESPACE = re.compile(r"^.*:|^mixamorig\d*", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[^a-z0-9]", re.ASCII)


def asf_names(where: str, bones: Sequence[str]) -> RigNames:
    """Names of a CMU skeleton.

    Raises:
        ClipError: Bones are missing.
    """
    missing = sorted({*ASF_ORIGINS.values(), *ASF_TURNS.values()} - set(bones))
    if missing:
        raise ClipError(f"{where}: no bone called {', '.join(missing)}. It has: {', '.join(bones)[:600]}.")
    return RigNames(origin=ASF_ORIGINS, turn=ASF_TURNS)


def bvh_names(where: str, joints: Sequence[str], parents: Sequence[int]) -> RigNames:
    """Find a person's joints in any rig by their usual names: prefixes, sides before or behind, no case.

    Args:
        where: For messages.
        joints: The rig's names.
        parents: Index of each joint's parent.

    Raises:
        ClipError: Joints are missing; lists the names looked for, and those that there are.
    """
    known = {_PUNCTUATION.sub("", _NAMESPACE.sub("", joint).lower()): joint for joint in reversed(joints)}
    wanted = {body: list(names) for body, names in _MIDDLE.items()}
    wanted |= {side + body: _sided(side, names) for side in _SIDES for body, names in _PARTS.items()}
    found = {body: known[name] for body, names in wanted.items() for name in reversed(names) if name in known}
    missing = [f"{body} ({' or '.join(names[:4])})" for body, names in wanted.items() if body not in found]
    if missing:
        raise ClipError(f"{where}: no joint for {'; '.join(missing)}. It has: {', '.join(joints)[:600]}.")
    if len(set(found.values())) < len(found):
        raise ClipError(f"{where}: one joint stands for two of our bodies. It has: {', '.join(joints)[:600]}.")
    trunk = _between(where, joints, parents, found["Pelvis"], found["Neck"])
    turn = {**found, "Torso": trunk[0], "Spine": trunk[len(trunk) // 2], "Chest": trunk[-1]}
    for side in _SIDES:
        collar = next((known[name] for name in _sided(side, _COLLARS) if name in known), trunk[-1])
        turn[f"{side}Thorax"] = trunk[-1] if collar == found[f"{side}Shoulder"] else collar
        turn[f"{side}Hand"] = found[f"{side}Wrist"]
    return RigNames(origin={body: joint for body, joint in found.items() if body != "Pelvis"}, turn=turn)


def _sided(side: str, names: Sequence[str]) -> list[str]:
    return [text for name in names for word in _WORDS[side] for text in (word + name, name + word)]


def _between(where: str, joints: Sequence[str], parents: Sequence[int], low: str, high: str) -> list[str]:
    """The joints of the spine between hips and neck, lowest first; the hips where there are none."""
    chain, index = [], parents[joints.index(high)]
    while index >= 0 and joints[index] != low:
        chain.append(joints[index])
        index = parents[index]
    if index < 0:
        raise ClipError(f"{where}: {high} does not hang on {low}. The hierarchy is not a person's.")
    spine = [joint for joint in reversed(chain) if "neck" not in joint.lower()]
    return spine or [low]
