"""Procedural motion of two people: lowering to a seat, supported from the front, the side or behind.

The recipient stands before the seat and sits down slowly: the way of a sit-to-stand backwards, which is balanced in
every frame. How people hold each other is a `holds.Hold`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..clip import PairClip
from . import assisted_rise as rising
from .holds import GripName, Hands, Side
from .parameters import Range, Split, check_sample
from .seated_motion import seated_clip
from .seated_parameters import SeatedParameters, draw_seated

NAME = "sit_down"
"""Of the family."""

VERSION = 1
"""Raised whenever the same parameters give another motion."""

TRAIN_RANGES: Mapping[str, Range] = MappingProxyType({**rising.TRAIN_RANGES, "time": (2.6, 3.4)})
"""Where the parameters of the train split are drawn from."""

TEST_RANGES: Mapping[str, tuple[Range, Range]] = MappingProxyType(
    {**rising.TEST_RANGES, "time": ((2.1, 2.4), (3.7, 4.2))}
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


def sit_down(
    *,
    seed: int = 0,
    split: Split = "train",
    side: Side | None = None,
    hands: Hands | None = None,
    grip: GripName | None = None,
    parameters: SeatedParameters | None = None,
) -> PairClip:
    """Generate a supported lowering to a seat.

    Args:
        seed: Draws the parameters; unused with given ``parameters``.
        split: Where the parameters are drawn from.
        side: Where the supporter stands; None draws it.
        hands: How many hands the supporter uses; None draws it.
        grip: What is held; None draws it.
        parameters: Instead of drawing.

    Returns:
        A clip at 30 fps: standing held, lowering, seated pose held; the seat; contacts of the hands.

    Raises:
        ConfigError: Unknown split, negative seed, or no such hold.
    """
    check_sample(NAME, seed, split)
    return seated_clip(
        parameters or sample_parameters(seed, split, side=side, hands=hands, grip=grip),
        lowering=True,
        family=NAME,
        version=VERSION,
        seed=seed if parameters is None else None,
        split=split,
    )
