"""Procedural motion of two people: assisted sit-to-stand from the front, the side or behind.

A motion is planned as minimum-jerk paths of a few things that matter (pelvis, trunk lean, centre of mass, feet, hands
on the partner) and solved for both people and all frames at once; how people hold each other is a `holds.Hold`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..clip import PairClip
from .holds import GripName, Hands, Side
from .parameters import Range, Split, check_sample
from .seated_motion import seated_clip
from .seated_parameters import SeatedParameters, draw_seated

NAME = "assisted_rise"
"""Of the family."""

VERSION = 1
"""Raised whenever the same parameters give another motion."""

TRAIN_RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "seat_height": (0.44, 0.52),
        "distance": (-0.02, 0.02),
        "time": (2.2, 2.8),
        "lean": (0.6, 0.8),
        "foot_spacing": (0.18, 0.26),
        "recipient_stature": (1.62, 1.82),
        "supporter_stature": (1.66, 1.86),
    }
)
"""Where the parameters of the train split are drawn from."""

TEST_RANGES: Mapping[str, tuple[Range, Range]] = MappingProxyType(
    {
        "seat_height": ((0.41, 0.43), (0.54, 0.57)),
        "recipient_stature": ((1.54, 1.60), (1.84, 1.90)),
        "time": ((1.8, 2.1), (3.0, 3.4)),
    }
)
"""Held-out bands: each test clip has one of these parameters below or above the train split, the others inside it."""


def sample_parameters(
    seed: int,
    split: Split = "train",
    *,
    side: Side | None = None,
    hands: Hands | None = None,
    grip: GripName | None = None,
) -> SeatedParameters:
    """Draw parameters.

    Args:
        seed: Any non-negative number; the same arguments give the same parameters.
        split: ``"train"`` draws all parameters from `TRAIN_RANGES`; ``"test"`` moves one of them to `TEST_RANGES`.
        side: Where the supporter stands; None draws it.
        hands: How many hands the supporter uses; None draws it.
        grip: What is held; None draws it.

    Returns:
        The parameters.

    Raises:
        ConfigError: Unknown split, negative seed, or no such hold.
    """
    return draw_seated(NAME, seed, split, train=TRAIN_RANGES, test=TEST_RANGES, side=side, hands=hands, grip=grip)


def assisted_rise(
    *,
    seed: int = 0,
    split: Split = "train",
    side: Side | None = None,
    hands: Hands | None = None,
    grip: GripName | None = None,
    parameters: SeatedParameters | None = None,
) -> PairClip:
    """Generate an assisted sit-to-stand.

    Args:
        seed: Draws the parameters; unused with given ``parameters``.
        split: Where the parameters are drawn from.
        side: Where the supporter stands; None draws it.
        hands: How many hands the supporter uses; None draws it.
        grip: What is held; None draws it.
        parameters: Instead of drawing.

    Returns:
        A clip at 30 fps: first pose held, rise, standing held; a seat under the recipient; contacts of the hands.

    Raises:
        ConfigError: Unknown split, negative seed, or no such hold.
    """
    check_sample(NAME, seed, split)
    return seated_clip(
        parameters or sample_parameters(seed, split, side=side, hands=hands, grip=grip),
        lowering=False,
        family=NAME,
        version=VERSION,
        seed=seed if parameters is None else None,
        split=split,
    )
