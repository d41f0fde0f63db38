"""Supported walking: two people side by side, in step, the supporter's near hand at the recipient's near arm.

The recipient walks along a path (straight or turning) from standing to standing, the supporter beside. With both hands
the supporter's far hand holds the recipient's near forearm as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .. import ik, rotations
from ..body import BodySpec
from ..clip import ROLES, Contact, PairClip
from ..quality import centers
from .clearance import reach
from .gait import Gait
from .motion import Motion, make_clip, origin
from .parameters import PEOPLE, Range, Split, check_ranges, check_word, draw, generator_of, pair_bodies
from .poses import ankle_height, arms, bent, hand_center

Array = NDArray[Any]
Side = Literal["left", "right"]
Hands = Literal["one", "both"]

NAME = "supported_walk"
VERSION = 1
"""Raised whenever the same parameters give another motion."""

RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "step_length": (0.1, 0.4),
        "step_time": (0.6, 1.6),
        "steps": (3, 20),
        "turn": (-1.6, 1.6),
        "gap": (0.5, 0.7),
        **PEOPLE,
        "hold_start": (0.0, 5.0),
        "hold_end": (0.3, 10.0),
    }
)
"""What `SupportedWalkParameters` accepts."""

TRAIN_RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "step_length": (0.2, 0.28),
        "step_time": (0.65, 0.8),
        "turn": (-0.4, 0.4),
        "gap": (0.56, 0.6),
        "recipient_stature": (1.62, 1.82),
        "supporter_stature": (1.66, 1.86),
    }
)
"""Where the parameters of the train split are drawn from."""

TEST_RANGES: Mapping[str, tuple[Range, Range]] = MappingProxyType(
    {
        "step_length": ((0.15, 0.18), (0.3, 0.33)),
        "turn": ((-0.8, -0.5), (0.5, 0.8)),
        "recipient_stature": ((1.54, 1.60), (1.84, 1.90)),
    }
)
"""Held-out bands: each test clip has one of these parameters outside the train split, the others inside it."""

_STEPS = (5, 7)
_SUPPORTER, _RECIPIENT = range(2)
_FOOT_SPACING = 0.17
_TURNED = 0.35
"""How far the chest of a supporter with both hands at the recipient's arm turns to the recipient [rad]."""
_CROUCH = 0.965
"""Height of the pelvis over that of the rest pose: knees that are never straight."""


@dataclass(frozen=True, kw_only=True)
class SupportedWalkParameters:
    """What varies between supported walks. Lengths [m], masses [kg], times [s], angles [rad]."""

    side: Side = "left"
    """Where the supporter walks, seen from the recipient."""
    hands: Hands = "one"
    """The supporter's near hand only, or both."""
    steps: int = 6
    """Steps of each person; the last one closes the feet."""
    step_length: float = 0.25
    step_time: float = 0.75
    turn: float = 0.0
    """How far the path turns to the left."""
    gap: float = 0.58
    """Between the two people's middles."""
    recipient_stature: float = 1.72
    recipient_mass: float = 70.0
    supporter_stature: float = 1.76
    supporter_mass: float = 76.0
    hold_start: float = 0.3
    """How long the first pose is held."""
    hold_end: float = 0.8
    """How long the last pose is held."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_word(NAME, "side", self.side, get_args(Side))
        check_word(NAME, "hands", self.hands, get_args(Hands))
        check_ranges(NAME, self, RANGES)


def sample_parameters(seed: int, split: Split = "train") -> SupportedWalkParameters:
    """Draw parameters.

    Args:
        seed: Any non-negative number; even seeds walk on the left, every other pair of seeds holds with both hands.
        split: ``"train"`` draws all parameters from `TRAIN_RANGES`; ``"test"`` moves one of them to `TEST_RANGES`.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    rng = generator_of(NAME, seed, split, 3)
    drawn = draw(rng, seed, split, train=TRAIN_RANGES, test=TEST_RANGES)
    return SupportedWalkParameters(
        side=get_args(Side)[seed % 2],
        hands=get_args(Hands)[seed // 2 % 2],
        steps=int(rng.integers(_STEPS[0], _STEPS[1] + 1)),
        **drawn,
    )


def supported_walk(
    *, seed: int = 0, split: Split = "train", parameters: SupportedWalkParameters | None = None
) -> PairClip:
    """Generate a supported walk, side by side.

    Args:
        seed: Draws the parameters; with given ``parameters`` only recorded.
        split: Family the parameters are drawn from.
        parameters: Instead of drawing.

    Returns:
        A clip at 30 fps: standing, walking, standing; contacts of the holding hands during the whole clip.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    chosen = parameters or sample_parameters(seed, split)
    plan = _Plan(parameters=chosen)
    clip = make_clip(
        _motion(plan),
        name=f"{NAME}_{split}_{seed:02d}" if parameters is None else NAME,
        hold=(chosen.hold_start, chosen.hold_end),
        metadata=origin(
            generator=NAME,
            version=VERSION,
            description=f"Supported walking: the supporter walks on the recipient's {chosen.side} and holds the near "
            f"arm with {chosen.hands} hand{'s' if chosen.hands == 'both' else ''} (generated).",
            family=f"{NAME}/{chosen.side}/{chosen.hands}_hand{'s' if chosen.hands == 'both' else ''}/arm",
            parameters=chosen,
            seed=seed if parameters is None else None,
            split=split,
        ),
    )
    return replace(clip, contacts=_contacts(plan, clip))


@dataclass(frozen=True, kw_only=True)
class _Plan:
    parameters: SupportedWalkParameters

    @cached_property
    def bodies(self) -> tuple[BodySpec, BodySpec]:
        """Supporter, recipient."""
        return pair_bodies(self.parameters)

    @property
    def sign(self) -> float:
        """1 with the supporter on the left, -1 on the right."""
        return 1.0 if self.parameters.side == "left" else -1.0

    @cached_property
    def gaits(self) -> tuple[Gait, Gait]:
        """The supporter walks beside the path of the recipient."""
        p = self.parameters
        first, second = (
            Gait(
                steps=p.steps,
                step_time=p.step_time,
                step_length=p.step_length,
                turn=p.turn,
                beside=beside,
                width=_FOOT_SPACING,
                ankle_height=ankle_height(body),
                pendulum=0.54 * body.stature,
            )
            for body, beside in zip(self.bodies, (self.sign * p.gap, 0.0), strict=True)
        )
        return first, second

    @property
    def near(self) -> tuple[str, str]:
        """Sides of the near arms: the supporter's, the recipient's."""
        return ("R_", "L_") if self.parameters.side == "left" else ("L_", "R_")


def _motion(plan: _Plan) -> Motion:
    root = np.stack(
        [
            np.concatenate([gait.center_of_mass, np.full((len(gait.time), 1), _CROUCH * body.rest_height)], axis=-1)
            for gait, body in zip(plan.gaits, plan.bodies, strict=True)
        ],
        axis=1,
    )
    return Motion(
        bodies=plan.bodies,
        root_position=root,
        local_rotation=_guess(plan),
        targets=(*_feet(plan), *_trunks(plan, root), _balance(plan), *_hands(plan), _elbow(plan)),
    )


def _guess(plan: _Plan) -> Array:
    """Standing with slightly bent knees, the holding arms bent, shape (T, 2, J, 4)."""
    both = []
    for one, (body, gait, near) in enumerate(zip(plan.bodies, plan.gaits, plan.near, strict=True)):
        standing = bent(body, lean=0.05, hip=0.3, knee=0.5)
        hanging = arms(body, standing, flexion=0.0, abduction=0.15, elbow=0.25)
        holding = arms(body, standing, flexion=0.35 if one == _SUPPORTER else 0.1, abduction=0.3, elbow=1.45)
        pose = hanging.copy()
        used = ("L_", "R_") if one == _SUPPORTER and plan.parameters.hands == "both" else (near,)
        for side in used:
            for part in ("Shoulder", "Elbow"):
                pose[body.index(side + part)] = holding[body.index(side + part)]
        frames = np.repeat(pose[None], len(gait.time), axis=0)
        frames[:, 0] = rotations.multiply(rotations.yaw_quaternion(gait.heading), frames[:, 0])
        both.append(frames)
    return np.stack(both, axis=1)


def _feet(plan: _Plan) -> tuple[ik.Target, ...]:
    """Ankles where the gait has them, soles level."""
    rows = [(one, body.index(side + "Ankle")) for one, body in enumerate(plan.bodies) for side in ("L_", "R_")]
    person, ankle = np.array(rows).T
    points = ik.Points(person=person, body=ankle)
    position = np.concatenate([gait.feet[0] for gait in plan.gaits], axis=1)
    yaw = np.concatenate([gait.feet[1] for gait in plan.gaits], axis=1)
    return (
        ik.PointTargets(points=points, position=position, weight=20.0),
        ik.RotationTargets(bodies=points, rotation=rotations.yaw_quaternion(yaw), weight=5.0),
    )


def _trunks(plan: _Plan, root: Array) -> tuple[ik.Target, ...]:
    """Pelvis at its height, and pelvis, chest and head upright along the heading."""
    names, leans, shares = ("Pelvis", "Chest", "Head"), (0.03, 0.06, 0.02), (0.1, 1.0, 0.5)
    person, body, turn = [], [], []
    for one, (spec, gait) in enumerate(zip(plan.bodies, plan.gaits, strict=True)):
        aside = -plan.sign * _TURNED if one == _SUPPORTER and plan.parameters.hands == "both" else 0.0
        for name, lean, share in zip(names, leans, shares, strict=True):
            pitch = rotations.from_rotation_vector(np.array([0.0, lean, 0.0]))
            turn.append(rotations.multiply(rotations.yaw_quaternion(gait.heading + share * aside), pitch))
            person.append(one)
            body.append(spec.index(name))
    height = root.copy()
    height[..., :2] = np.nan
    roots = ik.Points(person=[_SUPPORTER, _RECIPIENT], body=0)
    return (
        ik.PointTargets(points=roots, position=height, weight=4.0),
        ik.RotationTargets(bodies=ik.Points(person=person, body=body), rotation=np.stack(turn, axis=1), weight=1.5),
    )


def _balance(plan: _Plan) -> ik.Target:
    """Centres of mass as the gaits have them."""
    over = np.stack([gait.center_of_mass for gait in plan.gaits], axis=1)
    return ik.CenterOfMassTargets(
        person=[_SUPPORTER, _RECIPIENT],
        mass=np.stack([body.masses for body in plan.bodies]),
        offset=np.stack([centers(body) for body in plan.bodies]),
        position=np.concatenate([over, np.full((*over.shape[:2], 1), np.nan)], axis=-1),
        weight=8.0,
    )


@dataclass(frozen=True, kw_only=True)
class _Grip:
    """The supporter's hand on the recipient's near arm."""

    hand: str
    arm: str
    fraction: float
    """Along the arm's bone."""
    direction: tuple[float, float, float]
    """From the arm's axis to the hand: forward, towards the supporter, up."""


def _grips(plan: _Plan) -> tuple[_Grip, ...]:
    mine, theirs = plan.near
    far = "L_" if mine == "R_" else "R_"
    near = _Grip(hand=mine, arm=theirs + "Shoulder", fraction=0.7, direction=(-0.5, 0.4, -0.77))
    if plan.parameters.hands == "one":
        return (near,)
    return near, _Grip(hand=far, arm=theirs + "Elbow", fraction=0.75, direction=(0.55, 0.5, -0.67))


def _hands(plan: _Plan) -> tuple[ik.Target, ...]:
    """Holding hands touch the arm, on the planned side of it."""
    supporter, recipient = plan.bodies
    grips = _grips(plan)
    hand = [supporter.index(grip.hand + "Hand") for grip in grips]
    arm = [recipient.index(grip.arm) for grip in grips]
    end = {"Shoulder": "Elbow", "Elbow": "Wrist"}
    along = [grip.fraction * recipient.offsets[recipient.index(grip.arm[:2] + end[grip.arm[2:]])] for grip in grips]
    distance = np.array([reach(supporter, h, recipient, a) for h, a in zip(hand, arm, strict=True)])
    local = distance[:, None] * np.array([grip.direction for grip in grips]) * (1.0, plan.sign, 1.0)
    local /= np.linalg.norm([grip.direction for grip in grips], axis=-1, keepdims=True)
    turn = rotations.yaw_quaternion(plan.gaits[_RECIPIENT].heading)[:, None]
    points = ik.Points(
        person=[_SUPPORTER] * len(grips), body=hand, offset=np.array([hand_center(supporter, g.hand) for g in grips])
    )
    others = ik.Points(person=[_RECIPIENT] * len(grips), body=arm, offset=np.array(along))
    return (
        ik.DistanceTargets(points=points, others=others, distance=distance, weight=6.0),
        ik.RelativeTargets(points=points, others=others, displacement=rotations.rotate(turn, local), weight=1.0),
    )


def _elbow(plan: _Plan) -> ik.Target:
    """The recipient's near hand is held in front of the body."""
    body, near = plan.bodies[_RECIPIENT], plan.near[_RECIPIENT]
    turn = rotations.yaw_quaternion(plan.gaits[_RECIPIENT].heading)[:, None]
    ahead = (
        np.array([[0.38 if plan.parameters.hands == "both" else 0.33, plan.sign * 0.19, 0.12]]) * body.stature / 1.75
    )
    return ik.RelativeTargets(
        points=ik.Points(person=[_RECIPIENT], body=[body.index(near + "Wrist")]),
        others=ik.Points(person=[_RECIPIENT], body=[0]),
        displacement=rotations.rotate(turn, ahead),
        weight=1.0,
    )


def _contacts(plan: _Plan, clip: PairClip) -> tuple[Contact, ...]:
    return tuple(
        Contact(role=ROLES[_SUPPORTER], body=grip.hand + "Hand", partner_body=grip.arm, start=0.0, end=clip.duration)
        for grip in _grips(plan)
    )
