"""`ConversionSettings`: what can be chosen when a take becomes a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

__all__ = ["ConversionSettings"]


@dataclass(frozen=True, kw_only=True)
class ConversionSettings:
    """How a take becomes a clip.

    Raises:
        ConfigError: A value is out of its range.
    """

    fps: float = 30.0
    """Frames per second of the clip."""
    body: str | None = None
    """A name of `body.get_body`; None: the take's."""
    proportions: Literal["fitted", "default"] = "fitted"
    """Bone lengths of each person, or our body's own; with these, hands near the partner keep their relation to it."""
    stature: tuple[float | None, float | None] = (None, None)
    """Height of supporter and recipient on default proportions [m]; None: the body's."""
    furniture: Literal["infer", "none"] = "infer"
    """Seats and beds where the take knows none (`furniture.infer_furniture`)."""
    contacts: Literal["infer", "none"] = "infer"
    """Hands at the partner where the take knows none (`contacts.infer_contacts`)."""
    foot_lock: bool = True
    """Hold standing feet on one spot, and above the floor."""
    smooth: float | None = None
    """-3 dB frequency of a low-pass without delay over the source [Hz], for jittery sources; None: no filter."""
    steady: bool = False
    """Shift each person, slowly, so that standing feet rest on the floor: for generated motion, in which people glide,
    sink and float independently of each other. Recorded people keep their places."""
    separate: bool = False
    """Push the two people out of each other where they overlap by more than a centimetre."""
    max_speed: float = 12.0
    """A joint faster than this is taken for a glitch of the source [m/s]; recorded people stay below 3 to 5."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value, low, high in (
            ("fps", self.fps, 1.0, 1000.0),
            ("max_speed", self.max_speed, 0.1, 1e6),
            ("smooth", self.smooth, 0.1, 1000.0),
            ("stature[0]", self.stature[0], 0.5, 2.5),
            ("stature[1]", self.stature[1], 0.5, 2.5),
        ):
            if value is not None and not low <= value <= high:
                raise ConfigError(f"conversion: {name} is {value}, expected a value in [{low:g}, {high:g}].")
        for name, value, choices in (
            ("proportions", self.proportions, ("fitted", "default")),
            ("furniture", self.furniture, ("infer", "none")),
            ("contacts", self.contacts, ("infer", "none")),
        ):
            if value not in choices:
                raise ConfigError(f"conversion: {name} is {value!r}, expected one of: {', '.join(choices)}.")
        if self.proportions == "fitted" and self.stature != (None, None):
            raise ConfigError("conversion: a stature was given, but proportions are 'fitted'; choose 'default'.")
