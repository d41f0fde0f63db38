"""Ways to hold somebody who rises or sits down: side, hands and grip, with the stance and the arms they need.

The recipient faces +x, the ankles at x = 0; a supporter at the side is at the left (y > 0), and one who uses one hand
holds the left arm. Numbers are for a way of 0.40 m from the seat to standing and people of usual size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from .grips import Grip, mirrored_pair

Side = Literal["front", "side", "behind"]
Hands = Literal["one_hand", "both_hands"]
GripName = Literal["forearm", "upper_arm", "shoulder", "under_arms"]
Key = tuple[Side, Hands, GripName]
Pair = tuple[float, float]

_SUPPORTER, _RECIPIENT = range(2)


@dataclass(frozen=True, kw_only=True)
class Stance:
    """Where the supporter stands and how the weight shifts; pairs of points and numbers are for seat and standing."""

    facing: float
    """Yaw of the pelvis [rad]."""
    pelvis: tuple[Pair, Pair]
    """x, y [m]."""
    center: tuple[Pair, Pair]
    """x, y of the centre of mass [m]."""
    ankles: tuple[Pair, Pair]
    """x, y of the left and the right ankle [m]."""
    toes: tuple[float, float]
    """Yaw of the left and the right foot relative to ``facing`` [rad]."""
    lean: Pair
    """Of the trunk, forward [rad]."""
    height: Pair
    """Of the pelvis, relative to upright standing."""
    away: Pair
    """Unit vector away from the recipient, x, y."""
    follows: bool
    """Stays beside or behind the recipient, whose way depends on the body and the seat."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """How an arm is carried; pairs are for seat and standing [rad]."""

    flexion: Pair
    """Of the upper arm, forward from hanging."""
    abduction: Pair
    elbow: Pair


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One way to hold somebody."""

    stance: Stance
    grips: tuple[Grip, ...]
    arms: tuple[tuple[Arm, Arm], tuple[Arm, Arm]]
    """Of (supporter, recipient), left and right."""
    level: tuple[str, ...] = ()
    """Sides of the recipient's forearms that stay level, such as ``"L_"``."""
    words: str
    """For descriptions: from where, and what is held."""


_FREE = Arm(flexion=(0.20, 0.05), abduction=(0.26, 0.18), elbow=(0.9, 0.30))
_HANGING = Arm(flexion=(-0.10, 0.0), abduction=(0.30, 0.20), elbow=(0.35, 0.30))
_LINKED = Arm(flexion=(0.40, 0.25), abduction=(0.45, 0.42), elbow=(1.0, 0.8))
_HELD = Arm(flexion=(0.30, 0.20), abduction=(0.20, 0.18), elbow=(1.1, 1.2))
_REACHING = Arm(flexion=(0.9, 0.7), abduction=(0.2, 0.2), elbow=(0.5, 0.9))
_OUTSIDE = Arm(flexion=(0.9, 0.85), abduction=(0.45, 0.45), elbow=(0.5, 1.0))
_FORWARD = Arm(flexion=(0.75, 0.5), abduction=(0.2, 0.2), elbow=(0.6, 1.1))


def _front(distance: float, *, lean: Pair = (0.58, 0.10)) -> Stance:
    """Facing the recipient, one foot beside the recipient's and one behind."""
    center = distance - 0.13
    return Stance(
        facing=np.pi,
        pelvis=((distance, 0.0), (distance, 0.0)),
        center=((center, 0.01), (center + 0.03, 0.01)),
        ankles=((distance + 0.04, -0.15), (distance - 0.20, 0.17)),
        toes=(0.14, -0.14),
        lean=lean,
        height=(0.93, 0.98),
        away=(1.0, 0.0),
        follows=False,
    )


_BESIDE = Stance(
    facing=-0.6,
    pelvis=((-0.30, 0.59), (-0.14, 0.56)),
    center=((-0.18, 0.55), (-0.10, 0.55)),
    ankles=((0.02, 0.65), (-0.32, 0.51)),
    toes=(0.35, 0.1),
    lean=(0.40, 0.08),
    height=(0.94, 0.98),
    away=(0.0, 1.0),
    follows=True,
)
_BESIDE_AND_BACK = Stance(
    facing=-0.6,
    pelvis=((-0.42, 0.46), (-0.22, 0.41)),
    center=((-0.27, 0.42), (-0.18, 0.41)),
    ankles=((-0.07, 0.52), (-0.42, 0.39)),
    toes=(0.35, 0.1),
    lean=(0.40, 0.08),
    height=(0.94, 0.98),
    away=(0.0, 1.0),
    follows=True,
)
_ASTRIDE = Stance(
    facing=0.0,
    pelvis=((-0.84, 0.0), (-0.55, 0.0)),
    center=((-0.62, 0.0), (-0.52, 0.0)),
    ankles=((-0.46, 0.33), (-0.76, -0.33)),
    toes=(0.35, -0.35),
    lean=(0.5, 0.10),
    height=(0.92, 0.955),
    away=(-1.0, 0.0),
    follows=True,
)

_FOREARMS = (
    *mirrored_pair(person=_SUPPORTER, hand="R_Hand", body="L_Elbow", fraction=0.5, direction=(-0.8, 0.0, -0.6)),
    *mirrored_pair(person=_RECIPIENT, hand="L_Hand", body="R_Elbow", fraction=0.5, direction=(0.8, 0.0, 0.6)),
)
_UPPER_ARMS = (
    *mirrored_pair(person=_SUPPORTER, hand="R_Hand", body="L_Shoulder", fraction=0.5, direction=(-0.8, 0.0, -0.6)),
    *mirrored_pair(person=_RECIPIENT, hand="L_Hand", body="R_Shoulder", fraction=0.5, direction=(0.3, 0.0, 0.954)),
)
_RIBS_FROM_FRONT = (
    *mirrored_pair(person=_SUPPORTER, hand="R_Hand", body="Chest", fraction=1.0, direction=(0.5, 0.866, 0.0)),
    *mirrored_pair(person=_RECIPIENT, hand="L_Hand", body="R_Shoulder", fraction=0.5, direction=(0.3, 0.0, 0.954)),
)
_RIBS_FROM_BEHIND = mirrored_pair(
    person=_SUPPORTER, hand="L_Hand", body="Chest", fraction=1.0, direction=(-0.45, 0.893, 0.0)
)
_NEAR_UPPER_ARM = Grip(person=_SUPPORTER, hand="R_Hand", body="L_Shoulder", fraction=0.7, direction=(-0.5, 0.0, 0.866))
_NEAR_FOREARM = Grip(person=_SUPPORTER, hand="L_Hand", body="L_Elbow", fraction=0.6, direction=(-0.894, 0.0, 0.447))
_NEAR_FOREARM_BY_NEAR_HAND = replace(_NEAR_FOREARM, hand="R_Hand")
_FAR_SHOULDER = Grip(person=_SUPPORTER, hand="R_Hand", body="R_Shoulder", fraction=0.1, direction=(-0.8, 0.0, 0.6))
_NEAR_ARM_FROM_FRONT = Grip(
    person=_SUPPORTER, hand="L_Hand", body="L_Shoulder", fraction=0.7, direction=(0.0, 0.0, 1.0)
)


def _hold(
    stance: Stance,
    grips: tuple[Grip, ...],
    words: str,
    *,
    supporter: tuple[Arm, Arm],
    recipient: tuple[Arm, Arm],
    level: tuple[str, ...] = (),
) -> Hold:
    return Hold(stance=stance, grips=grips, arms=(supporter, recipient), level=level, words=words)


HOLDS: Mapping[Key, Hold] = MappingProxyType(
    {
        ("front", "both_hands", "forearm"): _hold(
            _front(0.70, lean=(0.50, 0.10)),
            _FOREARMS,
            "from the front, both hands under the forearms",
            supporter=(_REACHING, _REACHING),
            recipient=(_REACHING, _REACHING),
        ),
        ("front", "both_hands", "upper_arm"): _hold(
            _front(0.64),
            _UPPER_ARMS,
            "from the front, both hands under the upper arms",
            supporter=(_REACHING, _REACHING),
            recipient=(_OUTSIDE, _OUTSIDE),
        ),
        ("front", "both_hands", "under_arms"): _hold(
            _front(0.58),
            _RIBS_FROM_FRONT,
            "from the front, both hands at the ribs under the arms",
            supporter=(_REACHING, _REACHING),
            recipient=(_OUTSIDE, _OUTSIDE),
        ),
        ("front", "one_hand", "forearm"): _hold(
            _front(0.70, lean=(0.50, 0.10)),
            (_FOREARMS[0], _FOREARMS[2]),
            "from the front, one hand under a forearm",
            supporter=(_HANGING, _REACHING),
            recipient=(_REACHING, _FREE),
        ),
        ("front", "one_hand", "upper_arm"): _hold(
            _front(0.64),
            (_UPPER_ARMS[0], _UPPER_ARMS[2]),
            "from the front, one hand under an upper arm",
            supporter=(_HANGING, _REACHING),
            recipient=(_OUTSIDE, _FREE),
        ),
        ("side", "both_hands", "shoulder"): _hold(
            _BESIDE_AND_BACK,
            (_FAR_SHOULDER, _NEAR_ARM_FROM_FRONT),
            "from the side, one arm around the back to the far shoulder, the other hand at the near upper arm",
            supporter=(_FORWARD, _OUTSIDE),
            recipient=(_FREE, _FREE),
        ),
        ("side", "one_hand", "upper_arm"): _hold(
            _BESIDE,
            (_NEAR_UPPER_ARM,),
            "from the side, one hand behind the near upper arm",
            supporter=(_HANGING, _FORWARD),
            recipient=(_LINKED, _FREE),
        ),
        ("side", "one_hand", "forearm"): _hold(
            _BESIDE,
            (_NEAR_FOREARM_BY_NEAR_HAND,),
            "from the side, one hand under the near forearm",
            supporter=(_HANGING, _FORWARD),
            recipient=(_HELD, _FREE),
            level=("L_",),
        ),
        ("side", "both_hands", "forearm"): _hold(
            _BESIDE,
            (_NEAR_UPPER_ARM, _NEAR_FOREARM),
            "from the side, one hand behind the near upper arm, the other under the forearm",
            supporter=(_FORWARD, _FORWARD),
            recipient=(_HELD, _FREE),
            level=("L_",),
        ),
        ("behind", "both_hands", "under_arms"): _hold(
            _ASTRIDE,
            _RIBS_FROM_BEHIND,
            "from behind, astride the stool, both hands at the ribs under the arms",
            supporter=(_FORWARD, _FORWARD),
            recipient=(_FREE, _FREE),
        ),
    }
)
"""What can be asked for, by (side, hands, grip)."""
