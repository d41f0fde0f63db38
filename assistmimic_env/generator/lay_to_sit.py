"""Procedural motion of two people: from lying on the side on a bed to sitting on its edge.

The bed's edge is the line x = 0 and the recipient faces +x, head towards -y, lying on the right side with the lower
legs over the edge. Trunk and legs turn together about the lower thigh, which rolls on the mattress: the lower legs
sink while the trunk rises, the lower hand pushes until the trunk is over the pelvis. The supporter stands at the edge,
one hand holding the upper forearm, the other on the upper thigh near the knee. See spec/data.md section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec
from ..clip import Furniture, PairClip
from .clearance import PRESS
from .floor import (
    SIDES,
    Figure,
    Foot,
    Hold,
    Support,
    along,
    blend,
    course,
    figure_targets,
    flat_foot,
    hold_contacts,
    hold_targets,
    pulse,
    turned,
    wide_clearance,
)
from .motion import Motion, make_clip, origin
from .parameters import PEOPLE, Range, Split, check_ranges, draw, generator_of, pair_bodies
from .poses import PELVIS_SHARE, ankle_height, arms, bent, bone, radius, turns
from .timing import FPS, REST_FRAMES, minimum_jerk

__all__ = ["NAME", "RANGES", "TEST_RANGES", "TRAIN_RANGES", "LayToSitParameters", "lay_to_sit", "sample_parameters"]

Array = NDArray[Any]

NAME = "lay_to_sit"
VERSION = 1
"""Raised whenever the same parameters give another motion."""

_SUPPORTER, _RECIPIENT = range(2)
_LYING = 0.5 * np.pi  # roll of somebody on the right side
_PELVIS_TO_EDGE = 0.29  # [m], for a stature of 1.72 m
_BED_LENGTH, _BED_WIDTH = 2.0, 0.95

RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "bed_height": (0.38, 0.6),
        "rise_time": (3.0, 10.0),
        "distance": (0.3, 0.6),
        **PEOPLE,
        "hold_start": (0.0, 5.0),
        "hold_end": (0.5, 10.0),
    }
)
"""What `LayToSitParameters` accepts."""

TRAIN_RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "bed_height": (0.43, 0.48),
        "rise_time": (5.6, 6.6),
        "distance": (0.40, 0.44),
        "recipient_stature": (1.62, 1.82),
        "supporter_stature": (1.68, 1.86),
    }
)
"""Where the parameters of the train split are drawn from."""

TEST_RANGES: Mapping[str, tuple[Range, Range]] = MappingProxyType(
    {
        "bed_height": ((0.41, 0.425), (0.485, 0.51)),
        "rise_time": ((5.0, 5.5), (6.7, 7.4)),
    }
)
"""Held-out bands: each test clip has one of these parameters below or above the train split, the others inside it."""


@dataclass(frozen=True, kw_only=True)
class LayToSitParameters:
    """What varies between ways to sit up on a bed. Lengths in metres, masses in kilograms, times in seconds."""

    bed_height: float = 0.45
    """Top of the bed over the floor."""
    rise_time: float = 6.0
    """From the first movement to sitting."""
    distance: float = 0.42
    """From the bed's edge to the supporter's pelvis."""
    recipient_stature: float = 1.72
    recipient_mass: float = 70.0
    supporter_stature: float = 1.76
    supporter_mass: float = 76.0
    hold_start: float = 0.4
    """How long the first pose is held."""
    hold_end: float = 1.2
    """How long the last pose is held."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(NAME, self, RANGES)


def sample_parameters(seed: int, split: Split = "train") -> LayToSitParameters:
    """Draw parameters.

    Args:
        seed: Any non-negative number; the same seed gives the same parameters.
        split: ``"train"`` draws all parameters from `TRAIN_RANGES`; ``"test"`` moves one of them to `TEST_RANGES`.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    rng = generator_of(NAME, seed, split)
    return LayToSitParameters(**draw(rng, seed, split, train=TRAIN_RANGES, test=TEST_RANGES))


def lay_to_sit(*, seed: int = 0, split: Split = "train", parameters: LayToSitParameters | None = None) -> PairClip:
    """Generate an assisted way from side-lying to sitting on the edge of a bed.

    Args:
        seed: Draws the parameters; with given ``parameters`` only recorded.
        split: Family the parameters are drawn from.
        parameters: Instead of drawing.

    Returns:
        A clip at 30 fps: first pose held, rise, sitting held; the bed; contacts of the supporter's hands.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    chosen = parameters or sample_parameters(seed, split)
    plan = _Plan(parameters=chosen)
    clip = make_clip(
        plan.motion(),
        name=f"lay_to_sit_{split}_{seed:02d}" if parameters is None else "lay_to_sit",
        hold=(chosen.hold_start, chosen.hold_end),
        furniture=(_bed(chosen.bed_height),),
        metadata=origin(
            generator=NAME,
            version=VERSION,
            description="From lying on the side to sitting on the edge of a bed, held by a forearm and at the upper "
            "thigh (generated).",
            family="lay_to_sit/side_lying/both_hands/forearm_and_thigh",
            parameters=chosen,
            seed=seed if parameters is None else None,
            split=split,
        ),
    )
    return replace(clip, contacts=hold_contacts(plan.holds, offset=chosen.hold_start, duration=clip.duration))


def _bed(height: float) -> Furniture:
    return Furniture(
        name="bed",
        kind="bed",
        size=(_BED_WIDTH, _BED_LENGTH, height),
        position=(-0.5 * _BED_WIDTH, -0.1, 0.5 * height),
    )


# --- The plan -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Figures and hands over the solved frames."""

    parameters: LayToSitParameters

    @cached_property
    def bodies(self) -> tuple[BodySpec, BodySpec]:
        """Supporter, recipient."""
        return pair_bodies(self.parameters)

    @cached_property
    def phase(self) -> Array:
        """From 0 to 1 over the rise, shape (T,)."""
        frames = round(self.parameters.rise_time * FPS)
        return np.clip(np.arange(-REST_FRAMES, frames + REST_FRAMES + 1) / frames, 0.0, 1.0)

    @cached_property
    def figures(self) -> tuple[Figure, Figure]:
        return _supporter(self), _recipient(self)

    @cached_property
    def holds(self) -> tuple[Hold, ...]:
        """Left hands hold left forearms, and the supporter's right hand is on the upper thigh near the knee."""
        supporter, recipient = self.bodies
        return (
            Hold(
                person=_SUPPORTER,
                side="L_",
                partner_body="L_Elbow",
                place=along(recipient, "L_Wrist", 0.6),
                direction=(0.0, 0.0, -1.0),
            ),
            Hold(
                person=_RECIPIENT,
                side="L_",
                partner_body="L_Elbow",
                place=along(supporter, "L_Wrist", 0.6),
                direction=(0.0, 0.0, 1.0),
            ),
            Hold(
                person=_SUPPORTER,
                side="R_",
                partner_body="L_Hip",
                place=along(recipient, "L_Knee", 0.92),
                direction=(0.6, 0.0, 0.8),
            ),
        )

    def motion(self) -> Motion:
        time = np.zeros(len(self.phase))
        return Motion(
            bodies=self.bodies,
            root_position=np.stack([figure.pelvis for figure in self.figures], axis=1),
            local_rotation=np.stack([figure.pose for figure in self.figures], axis=1),
            targets=(*figure_targets(self.figures), *hold_targets(self.bodies, self.holds, time)),
            apart=wide_clearance(self.bodies),
        )


def _pelvis(body: BodySpec, height: float, roll: Array) -> Array:
    """Path of a pelvis that rolls on the lower (right) thigh lying on a bed's top, shape (T, 3) [m]."""
    thigh = radius(body, body.index("R_Hip")) - PRESS
    hip = _hip(body, "R_", np.zeros((len(roll), 3)), roll)
    rolled = np.stack(
        [
            np.full(len(roll), -_PELVIS_TO_EDGE * body.stature / 1.72),
            thigh * (_LYING - roll),
            np.full(len(roll), height + thigh),
        ],
        axis=-1,
    )
    return rolled - hip


def _recipient(plan: _Plan) -> Figure:
    """Turns from the side to sitting: the chest leads, the pelvis follows, the lower legs sink."""
    body, phase, frames = plan.bodies[_RECIPIENT], plan.phase, len(plan.phase)
    roll = course(phase, _LYING, (0.28, 0.85, 0.0))
    chest = course(phase, _LYING - 0.12, (0.05, 0.7, 0.0))
    head = course(phase, 1.25, (0.0, 0.6, 0.0))
    legs = course(phase, 1.3, (0.1, 0.8, 0.0))
    pelvis = _pelvis(body, plan.parameters.bed_height, roll)
    lean = course(phase, 0.15, (0.1, 0.5, 0.25), (0.6, 1.0, 0.08))
    sitting = pelvis[:, 1]
    return Figure(
        body=body,
        pelvis=pelvis,
        pelvis_weight=(5.0, 5.0, 8.0),
        turns={
            "Pelvis": turned(roll=roll),
            "Chest": rotations.multiply(turned(roll=chest), turned(pitch=lean)),
            "Head": rotations.multiply(turned(roll=head), turned(pitch=0.3 * lean)),
        },
        turn_weight={"Pelvis": (4.0, 1.5, 4.0), "Chest": (2.0, 1.0, 1.0), "Head": (0.5, 0.4, 0.5)},
        feet=_hanging_feet(plan, pelvis, roll, legs),
        foot_weight=5.0,
        balance=np.stack([np.full(frames, np.nan), sitting, np.full(frames, np.nan)], axis=-1),
        balance_weight=np.stack([np.zeros(frames), course(phase, 0.0, (0.45, 0.65, 3.0)), np.zeros(frames)], axis=-1),
        pose=_recipient_pose(body, phase, roll),
        supports=(*_arms(plan), *_knees(body, pelvis, roll)),
    )


def _hanging_feet(plan: _Plan, pelvis: Array, roll: Array, legs: Array) -> tuple[Foot, Foot]:
    """Feet at the end of horizontal thighs and of shanks that turn about them; on the floor at the end, if they can."""
    body = plan.bodies[_RECIPIENT]
    thigh, shank = bone(body, "L_Knee"), bone(body, "L_Ankle")
    feet = []
    down = rotations.rotate(turned(roll=legs), np.broadcast_to([0.0, 0.0, -shank], pelvis.shape))
    for side in SIDES:
        ankle = _hip(body, side, pelvis, roll) + np.array([thigh, 0.0, 0.0]) + down
        ankle[:, 2] = np.maximum(ankle[:, 2], ankle_height(body))
        feet.append(Foot(ankle=ankle, rotation=turned(roll=legs)))
    return feet[0], feet[1]


def _knees(body: BodySpec, pelvis: Array, roll: Array) -> tuple[Support, ...]:
    """Thighs lie level on the bed, towards its edge."""
    forward = np.array([bone(body, "L_Knee"), 0.0, 0.0])
    return tuple(Support(body=side + "Knee", position=_hip(body, side, pelvis, roll) + forward) for side in SIDES)


def _hip(body: BodySpec, side: str, pelvis: Array, roll: Array) -> Array:
    """Path of a hip joint, shape (T, 3) [m]."""
    offset = np.broadcast_to(body.offsets[body.index(side + "Hip")], pelvis.shape)
    return pelvis + rotations.rotate(turned(roll=roll), offset)


def _arms(plan: _Plan) -> tuple[Support, ...]:
    """What the recipient's arms do.

    The lower forearm and palm push on the bed before the chest until the trunk is up; then the hand comes down on the
    thigh. The upper forearm is held out to the supporter.
    """
    body, phase, top = plan.bodies[_RECIPIENT], plan.phase, plan.parameters.bed_height
    scale = body.stature / 1.72
    bed, lap = top + radius(body, body.index("R_Elbow")) - PRESS, top + 0.25 * scale
    away = (0.5, 0.85)
    lift = course(phase, bed, (0.2, 0.5, bed + 0.16 * scale), (*away, lap)) + 0.05 * pulse(phase, *away)
    x, frames = -_PELVIS_TO_EDGE * scale, len(phase)
    wrist = np.stack(
        [course(phase, x + 0.23 * scale, (*away, x + 0.2)), course(phase, -0.24 * scale, (*away, 0.12)), lift], axis=-1
    )
    elbow = np.stack(
        [
            np.full(frames, x + 0.22 * scale),
            course(phase, -0.5 * scale, (0.15, 0.5, -0.3 * scale)),
            course(phase, bed + 0.008, (0.15, 0.5, bed + 0.25 * scale)),
        ],
        axis=-1,
    )
    shoulder = np.broadcast_to([np.nan, np.nan, top + radius(body, body.index("R_Shoulder"))], (frames, 3))
    palm = bone(body, "R_Hand")
    knuckles = course(phase, bed, (0.2, 0.5, bed + 0.08 * scale))
    fingers = np.stack(
        [wrist[:, 0], course(phase, -0.24 * scale + palm, (0.2, 0.5, -0.24 * scale + 0.3 * palm)), knuckles], axis=-1
    )
    held = np.stack(
        [
            course(phase, 0.0, (0.1, 0.8, 0.06)),
            course(phase, -0.36 * scale, (0.1, 0.75, 0.1)),
            course(phase, top + 0.38 * scale, (0.1, 0.75, top + 0.44 * scale)),
        ],
        axis=-1,
    )
    return (
        Support(body="R_Wrist", position=wrist, weight=course(phase, 10.0, (*away, 3.0))),
        Support(body="R_Hand", position=fingers, weight=course(phase, 10.0, (0.5, 0.6, 0.0))),
        Support(body="R_Elbow", position=elbow, weight=course(phase, 6.0, (0.3, 0.7, 0.0))),
        Support(body="R_Shoulder", position=shoulder, weight=course(phase, 6.0, (0.02, 0.22, 0.0))),
        Support(body="L_Wrist", position=held, weight=2.0),
    )


def _recipient_pose(body: BodySpec, phase: Array, roll: Array) -> Array:
    folded = turns(body, {"L_Hip": (0.0, -_LYING, 0.0), "L_Knee": (0.0, _LYING, 0.0)})
    lying = arms(body, folded, flexion=1.3, abduction=0.2, elbow=1.2)
    sitting = arms(body, folded, flexion=0.4, abduction=0.15, elbow=0.7)
    pose = blend(lying, (sitting, minimum_jerk((phase - 0.45) / 0.5)))
    pose[:, 0] = turned(roll=roll)
    return pose


def _supporter(plan: _Plan) -> Figure:
    """Stands beside the recipient's waist, bent down with a knee bend, and straightens a little."""
    p, body, phase = plan.parameters, plan.bodies[_SUPPORTER], plan.phase
    frames, scale = len(phase), body.stature / 1.76
    up = minimum_jerk((phase - 0.1) / 0.8)
    lean = 0.75 - 0.3 * up
    height = (0.84 + 0.08 * up) * body.rest_height
    place, yaw = np.array([p.distance, -0.2]), np.pi
    y = place[1] + course(phase, 0.0, (0.2, 0.9, 0.06))
    feet = place + np.array([[0.06, -0.2], [0.06, 0.2]]) * scale
    balance = feet[:, 0].mean() - 0.028 * p.supporter_stature
    return Figure(
        body=body,
        pelvis=np.stack([np.full(frames, place[0] + 0.12), y, height], axis=-1),
        pelvis_weight=(0.1, 0.5, 1.5),
        turns={
            name: turned(yaw=yaw, pitch=share * lean)
            for name, share in (("Pelvis", PELVIS_SHARE), ("Chest", 1.0), ("Head", 0.6))
        },
        feet=(
            flat_foot(body, feet[0], yaw=yaw + 0.14, frames=frames),
            flat_foot(body, feet[1], yaw=yaw - 0.14, frames=frames),
        ),
        balance=np.stack([np.full(frames, balance), y, np.full(frames, np.nan)], axis=-1),
        balance_weight=(2.0, 2.0, 0.0),
        pose=_supporter_pose(body, lean, up, yaw=yaw),
    )


def _supporter_pose(body: BodySpec, lean: Array, up: Array, *, yaw: float) -> Array:
    ends = []
    for frame, knee in ((0, 0.8), (-1, 0.4)):
        own = float(lean[frame])
        pose = bent(body, lean=own, hip=0.5 * knee + 0.3 * own, knee=knee)
        pose = arms(body, pose, flexion=1.1, abduction=0.25, elbow=0.5)
        pose[0] = rotations.multiply(turned(yaw=yaw), pose[0])
        ends.append(pose)
    return rotations.slerp(ends[0], ends[1], up[:, None])
