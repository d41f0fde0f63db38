"""`LIMITS`: what every generated clip keeps: feet, depths, reach, joints, speeds.

Measured by `quality` and here; whether physics can follow is measured with policies, see docs/gallery.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType

import numpy as np

from .. import rotations
from ..clip import PairClip
from ..quality import quality
from .poses import limits

__all__ = ["LIMITS", "UNITS", "broken", "measure", "worst"]

LIMITS: Mapping[str, float] = MappingProxyType(
    {
        "foot_slide": 0.07,
        "floor_depth": 0.02,
        "partner_depth": 0.05,
        "self_depth": 0.075,
        "seat_depth": 0.03,
        "contact_gap": 0.01,
        "joint_excess": 0.25,
        "joint_speed": 3.5,
        "joint_acceleration": 35.0,
    }
)
"""Fields of `ClipQuality`, and how far knees, elbows, wrists and collars are bent beyond their range: the most allowed.

The largest are rare: feet turn over their toes while somebody kneels, a hand reaches past a hip, an arm is pulled from
under the trunk. Recorded helpers reach 3 m/s and 35 m/s^2 (spec/data.md section 5)."""

UNITS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(LIMITS, "m") | {"joint_excess": "rad", "joint_speed": "m/s", "joint_acceleration": "m/s^2"}
)
"""Name -> unit."""


def measure(clip: PairClip) -> dict[str, float]:
    """The numbers that `LIMITS` bounds; -inf for the depth in furniture that is not there."""
    values = {**asdict(quality(clip)), "joint_excess": joint_excess(clip)}
    return {name: float(values[name]) for name in LIMITS}


def joint_excess(clip: PairClip) -> float:
    """How far the component of a rotation vector goes beyond the range it is solved in, worst joint and frame [rad]."""
    allowed = limits(clip.bodies[0])
    vector = rotations.to_rotation_vector(clip.local_rotation)
    return float(np.abs(vector - np.clip(vector, allowed.lower, allowed.upper)).max())


def worst(clips: Iterable[PairClip]) -> dict[str, float]:
    """The largest of each measurement over clips.

    Raises:
        ValueError: There is no clip.
    """
    measured = [measure(clip) for clip in clips]
    return {name: max(values[name] for values in measured) for name in LIMITS}


def broken(measured: Mapping[str, float]) -> dict[str, float]:
    """Those measurements that are beyond their limits."""
    return {name: value for name, value in measured.items() if value > LIMITS[name]}
