"""Procedural motion of two people: helping somebody up from the floor.

The recipient half-kneels, kneels on the heels or sits on the floor, facing +x with the front foot at x = 0, and stands
up (`floor_starts`). The supporter bends down, takes the forearms from the front or an upper arm from the side, and
straightens. See spec/data.md section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec
from ..clip import PairClip
from .floor import (
    Figure,
    Hold,
    along,
    figure_targets,
    flat_foot,
    hold_contacts,
    hold_targets,
    turned,
    wide_clearance,
)
from .floor_starts import KNEELING, from_kneeling, from_sitting
from .motion import Motion, make_clip, origin
from .parameters import PEOPLE, Range, Split, check_ranges, check_word, draw, generator_of, pair_bodies
from .poses import PELVIS_SHARE, arms, bent
from .timing import FPS, REST_FRAMES, minimum_jerk

__all__ = ["NAME", "RANGES", "TEST_RANGES", "TRAIN_RANGES", "HelpUpParameters", "help_up", "sample_parameters"]

Array = NDArray[Any]
Start = Literal["half_kneeling", "kneeling", "sitting"]
Place = Literal["front", "side"]
Lead = Literal["left", "right"]

NAME = "help_up"
VERSION = 1
"""Raised whenever the same parameters give another motion."""

_SUPPORTER, _RECIPIENT = range(2)

RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "rise_time": (2.0, 8.0),
        "distance": (0.4, 0.85),
        "foot_spacing": (0.12, 0.45),
        **PEOPLE,
        "hold_start": (0.0, 5.0),
        "hold_end": (0.5, 10.0),
    }
)
"""What `HelpUpParameters` accepts."""

TRAIN_RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "rise_time": (4.6, 5.4),
        "recipient_stature": (1.62, 1.82),
        "supporter_stature": (1.66, 1.86),
    }
)
"""Where the parameters of the train split are drawn from."""

TEST_RANGES: Mapping[str, tuple[Range, Range]] = MappingProxyType(
    {
        "recipient_stature": ((1.56, 1.61), (1.83, 1.88)),
        "rise_time": ((4.2, 4.55), (5.5, 6.0)),
    }
)
"""Held-out bands: each test clip has one of these parameters below or above the train split, the others inside it."""

_FOOT_SPACING: Mapping[Start, Range] = {
    "half_kneeling": (0.26, 0.3),
    "kneeling": (0.26, 0.3),
    "sitting": (0.34, 0.38),
}
_DISTANCE: Mapping[Place, Range] = {"front": (0.70, 0.76), "side": (0.48, 0.52)}
_DISTANCE_SITTING: Mapping[Place, Range] = {"front": (0.70, 0.76), "side": (0.60, 0.64)}
_LASTS: Mapping[Start, float] = {"half_kneeling": 1.0, "kneeling": 2.0, "sitting": 1.0}
"""Stages of a start: the whole motion takes as many times `rise_time`."""


@dataclass(frozen=True, kw_only=True)
class HelpUpParameters:
    """What varies between ways to be helped up. Lengths in metres, masses in kilograms, times in seconds."""

    start: Start = "half_kneeling"
    """How the recipient begins."""
    place: Place = "front"
    """Where the supporter stands: in front, both forearms held; at the side of the rear leg, a hand under the upper
    arm."""
    lead: Lead = "left"
    """The recipient's front foot; after sitting only the supporter's side depends on it."""
    rise_time: float = 5.0
    """From half-kneeling or sitting to standing; from kneeling the whole motion takes twice as long."""
    distance: float = 0.72
    """From the recipient's front ankle to the supporter's pelvis: forwards, or sideways from the middle."""
    foot_spacing: float = 0.28
    """Between the recipient's ankles."""
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
        for name, allowed in (("start", Start), ("place", Place), ("lead", Lead)):
            check_word(NAME, name, getattr(self, name), get_args(allowed))
        check_ranges(NAME, self, RANGES)


def sample_parameters(
    seed: int, split: Split = "train", *, start: Start | None = None, place: Place | None = None
) -> HelpUpParameters:
    """Draw parameters.

    Args:
        seed: Any non-negative number; six in a row have all starts and places.
        split: ``"train"`` draws all parameters from `TRAIN_RANGES`; ``"test"`` moves one of them to `TEST_RANGES`.
        start: By default the seed's.
        place: By default the seed's.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    rng = generator_of(NAME, seed, split)
    words: dict[str, Any] = {
        "start": get_args(Start)[seed % 3] if start is None else start,
        "place": get_args(Place)[seed // 3 % 2] if place is None else place,
        "lead": get_args(Lead)[int(rng.integers(2))],
    }
    if (words["start"], words["place"]) == ("kneeling", "side"):
        words["lead"] = "right"  # with the left foot first, the held elbow passes through the supporter's hip
    ranges = {
        **TRAIN_RANGES,
        "foot_spacing": _FOOT_SPACING[words["start"]],
        "distance": (_DISTANCE_SITTING if words["start"] == "sitting" else _DISTANCE)[words["place"]],
    }
    drawn = draw(rng, seed, split, train=ranges, test=TEST_RANGES)
    return HelpUpParameters(**words, **drawn)


def help_up(*, seed: int = 0, split: Split = "train", parameters: HelpUpParameters | None = None) -> PairClip:
    """Generate a help-up from the floor.

    Args:
        seed: Draws the parameters; with given ``parameters`` only recorded.
        split: Family the parameters are drawn from.
        parameters: Instead of drawing.

    Returns:
        A clip at 30 fps: first pose held, rise, standing held; contacts of the hands during the whole clip.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    chosen = parameters or sample_parameters(seed, split)
    plan = _Plan(parameters=chosen)
    grip = "both_hands/forearms" if chosen.place == "front" else "one_hand/under_arm"
    clip = make_clip(
        plan.motion(),
        name=f"help_up_{split}_{seed:02d}" if parameters is None else "help_up",
        hold=(chosen.hold_start, chosen.hold_end),
        metadata=origin(
            generator=NAME,
            version=VERSION,
            description=_description(chosen),
            family=f"help_up/{chosen.start}/{chosen.place}/{grip}",
            parameters=chosen,
            seed=seed if parameters is None else None,
            split=split,
        ),
    )
    return replace(clip, contacts=hold_contacts(plan.holds, offset=chosen.hold_start, duration=clip.duration))


def _description(parameters: HelpUpParameters) -> str:
    start = {"half_kneeling": "half-kneeling", "kneeling": "kneeling on the heels", "sitting": "sitting on the floor"}
    way = {"front": "from the front, holding both forearms", "side": "from the side, a hand under the upper arm"}
    return f"Help up from {start[parameters.start]}, {way[parameters.place]} (generated)."


# --- The plan -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Figures and hands over the solved frames."""

    parameters: HelpUpParameters

    @cached_property
    def bodies(self) -> tuple[BodySpec, BodySpec]:
        """Supporter, recipient."""
        return pair_bodies(self.parameters)

    @cached_property
    def stage(self) -> Array:
        """See `floor_starts`, shape (T,)."""
        lasts = _LASTS[self.parameters.start]
        frames = round(self.parameters.rise_time * lasts * FPS)
        phase = np.clip(np.arange(-REST_FRAMES, frames + REST_FRAMES + 1) / frames, 0.0, 1.0)
        return 1.0 - lasts * (1.0 - phase)

    @property
    def lead(self) -> int:
        return 1 if self.parameters.lead == "left" else -1

    @cached_property
    def figures(self) -> tuple[Figure, Figure]:
        p, body = self.parameters, self.bodies[_RECIPIENT]
        if p.start == "sitting":
            recipient = from_sitting(body, self.stage, spacing=p.foot_spacing)
        else:
            recipient = from_kneeling(body, self.stage, lead=self.lead, spacing=p.foot_spacing)
        return _supporter(self), recipient

    @cached_property
    def holds(self) -> tuple[Hold, ...]:
        return _front_holds(self.bodies) if self.parameters.place == "front" else _side_holds(self.bodies, -self.lead)

    def motion(self) -> Motion:
        time = np.zeros(len(self.stage))
        return Motion(
            bodies=self.bodies,
            root_position=np.stack([figure.pelvis for figure in self.figures], axis=1),
            local_rotation=np.stack([figure.pose for figure in self.figures], axis=1),
            targets=(*figure_targets(self.figures), *hold_targets(self.bodies, self.holds, time)),
            apart=wide_clearance(self.bodies),
        )


def _supporter(plan: _Plan) -> Figure:
    """Bends down over staggered feet and straightens, in front of the recipient or beside."""
    p, body, stage = plan.parameters, plan.bodies[_SUPPORTER], plan.stage
    scale = body.stature / 1.76
    low, deep = {"half_kneeling": (0.86, 0.5), "kneeling": (0.80, 0.65), "sitting": (0.68, 0.9)}[p.start]
    first = 0.2 if p.start == "sitting" else 0.1
    up = minimum_jerk((stage - first) / (0.95 - first))
    if p.start == "kneeling":
        up = 0.35 * minimum_jerk((stage - KNEELING) / 0.6) + 0.65 * up
    height = (low + (0.975 - low) * up) * body.rest_height
    lean = deep + (0.12 - deep) * up
    if p.place == "front":
        place, yaw = np.array([p.distance, 0.0]), np.pi
    else:
        place, yaw = np.array([-0.12, -plan.lead * p.distance]), plan.lead * 0.7
    turn = turned(yaw=yaw)
    local = np.array([[-0.04, 0.15], [0.16, -0.15]]) * scale
    middle = local.mean(axis=0) + np.array([0.028 * p.supporter_stature, 0.0])
    world = [place + rotations.rotate(turn, np.array([*point, 0.0]))[:2] for point in (*local, middle)]
    frames = len(stage)
    pelvis = np.stack([np.full(frames, place[0]), np.full(frames, place[1]), height], axis=-1)
    balance = np.stack([np.full(frames, world[2][0]), np.full(frames, world[2][1]), np.full(frames, np.nan)], axis=-1)
    return Figure(
        body=body,
        pelvis=pelvis,
        pelvis_weight=(0.1, 0.1, 1.5),
        turns={
            name: turned(yaw=yaw, pitch=share * lean)
            for name, share in (("Pelvis", PELVIS_SHARE), ("Chest", 1.0), ("Head", 0.6))
        },
        feet=(
            flat_foot(body, world[0], yaw=yaw + 0.14, frames=frames),
            flat_foot(body, world[1], yaw=yaw - 0.14, frames=frames),
        ),
        balance=balance,
        balance_weight=(4.0, 3.0, 0.0),
        pose=_supporter_pose(body, lean, up, yaw=yaw),
    )


def _supporter_pose(body: BodySpec, lean: Array, up: Array, *, yaw: float) -> Array:
    """Between bent down and upright, shape (T, J, 4)."""
    ends = []
    for frame, knee in ((0, 1.1), (-1, 0.15)):
        own = float(lean[frame])
        pose = bent(body, lean=own, hip=0.5 * knee + 0.3 * own, knee=knee)
        pose = arms(body, pose, flexion=0.9, abduction=0.15, elbow=0.4 if frame == 0 else 1.0)
        pose[0] = rotations.multiply(turned(yaw=yaw), pose[0])
        ends.append(pose)
    return rotations.slerp(ends[0], ends[1], up[:, None])


def _front_holds(bodies: tuple[BodySpec, BodySpec]) -> tuple[Hold, ...]:
    """People hold each other's forearms, the supporter from below, the recipient from above."""
    other = {"L_": "R_", "R_": "L_"}
    return tuple(
        Hold(
            person=person,
            side=side,
            partner_body=other[side] + "Elbow",
            place=along(bodies[1 - person], other[side] + "Wrist", 0.6),
            direction=(0.0, 0.0, 1.0 if person == _RECIPIENT else -1.0),
        )
        for person in (_SUPPORTER, _RECIPIENT)
        for side in ("L_", "R_")
    )


def _side_holds(bodies: tuple[BodySpec, BodySpec], side: int) -> tuple[Hold, ...]:
    """The hand next to the recipient is under the upper arm.

    Args:
        bodies: Supporter, recipient.
        side: 1 if the supporter is on the recipient's left, -1 on the right.
    """
    held, near = ("L_", "R_") if side > 0 else ("R_", "L_")
    return (
        Hold(
            person=_SUPPORTER,
            side=near,
            partner_body=held + "Shoulder",
            place=along(bodies[_RECIPIENT], held + "Elbow", 0.6),
            direction=(0.0, 0.0, -1.0),
        ),
    )
