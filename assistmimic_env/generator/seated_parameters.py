"""What varies between motions from and to a seat, and how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import ConfigError, did_you_mean
from .holds import HOLDS, GripName, Hands, Hold, Key, Side
from .parameters import PEOPLE, Range, Split, check_ranges, draw, generator_of

RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "seat_height": (0.36, 0.65),
        "time": (1.2, 6.0),
        "lean": (0.3, 0.9),
        "foot_spacing": (0.12, 0.34),
        "distance": (-0.06, 0.08),
        **PEOPLE,
        "hold_start": (0.0, 5.0),
        "hold_end": (0.5, 10.0),
    }
)
"""What `SeatedParameters` accepts."""


@dataclass(frozen=True, kw_only=True)
class SeatedParameters:
    """One way from or to a seat. Lengths in metres, masses in kilograms, times in seconds."""

    side: Side = "front"
    """Where the supporter stands: before, beside or behind the recipient."""
    hands: Hands = "both_hands"
    """How many hands the supporter uses."""
    grip: GripName = "forearm"
    """What is held; the combinations with `side` and `hands` are the keys of `holds.HOLDS`."""
    mirror: bool = False
    """A supporter at the side stands at the recipient's right instead of left; one hand holds the right arm."""
    seat_height: float = 0.46
    """Top of the seat over the floor, planned; the furniture's box is fitted to the solved pose within 1.5 cm."""
    time: float = 2.4
    """Between the seat and standing."""
    lean: float = 0.7
    """Largest forward lean of the recipient's trunk [rad]."""
    foot_spacing: float = 0.2
    """Between the recipient's ankles."""
    distance: float = 0.0
    """How much farther away than usual the supporter stands."""
    recipient_stature: float = 1.72
    recipient_mass: float = 70.0
    supporter_stature: float = 1.76
    supporter_mass: float = 76.0
    hold_start: float = 0.3
    """How long the first pose is held."""
    hold_end: float = 1.2
    """How long the last pose is held."""

    def __post_init__(self) -> None:
        """Check the hold and the ranges."""
        _ = self.chosen
        check_ranges("generator", self, RANGES)

    @property
    def key(self) -> Key:
        """Which hold."""
        return (self.side, self.hands, self.grip)

    @property
    def chosen(self) -> Hold:
        """The hold."""
        (key,) = matching_holds(side=self.side, hands=self.hands, grip=self.grip)
        return HOLDS[key]


def matching_holds(
    *, side: Side | None = None, hands: Hands | None = None, grip: GripName | None = None
) -> tuple[Key, ...]:
    """Keys of the holds that have what is asked for; None stands for anything.

    Args:
        side: Where the supporter stands.
        hands: How many hands.
        grip: What is held.

    Raises:
        ConfigError: There is none.
    """
    asked = (side, hands, grip)
    found = tuple(key for key in HOLDS if all(a is None or a == b for a, b in zip(asked, key, strict=True)))
    if not found:
        wanted = "/".join("*" if word is None else str(word) for word in asked)
        names = ["/".join(key) for key in HOLDS]
        raise ConfigError(
            f"generator: there is no hold {wanted} (side/hands/grip).{did_you_mean(wanted, names)} "
            f"Holds: {', '.join(names)}."
        )
    return found


def draw_seated(
    name: str,
    seed: int,
    split: Split,
    *,
    train: Mapping[str, Range],
    test: Mapping[str, tuple[Range, Range]],
    side: Side | None = None,
    hands: Hands | None = None,
    grip: GripName | None = None,
) -> SeatedParameters:
    """Draw parameters of a family.

    Args:
        name: Of the family, for errors.
        seed: Any non-negative number; the same arguments give the same parameters. Holds take turns.
        split: ``"train"`` draws all parameters from ``train``; ``"test"`` moves one of them to ``test``.
        train: Ranges.
        test: Bands below and above some of them.
        side: Where the supporter stands; None is any.
        hands: How many hands; None is any.
        grip: What is held; None is any.

    Returns:
        The parameters, rounded to a millimetre, 0.1 kg, 0.01 s.

    Raises:
        ConfigError: Unknown split, negative seed, or no such hold.
    """
    rng = generator_of(name, seed, split)
    drawn = draw(rng, seed, split, train=train, test=test)
    keys = matching_holds(side=side, hands=hands, grip=grip)
    side, hands, grip = keys[seed % len(keys)]
    mirror = bool(rng.integers(2))
    return SeatedParameters(side=side, hands=hands, grip=grip, mirror=mirror, **drawn)
