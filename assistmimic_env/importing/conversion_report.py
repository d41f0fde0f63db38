"""`ConversionReport`: what a conversion did to a take, in numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..quality import ClipQuality

__all__ = ["ConversionReport"]


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """Differences between source and clip, both on the clip's clock and after the common shift; metres, seconds."""

    frames: int
    """Of the clip."""
    fps: float
    """Of the clip."""
    source_frames: int
    source_fps: float
    height_shift: float
    """Added to every height of both people [m]."""
    joint_error_mean: float
    """Distance between a body's origin and the source's joint, over all joints that the source tells and all frames.
    NaN where it tells rotations instead."""
    joint_error_p95: float
    hand_distance_change_mean: float
    """Change of the distance between a wrist and a partner's joint that are nearer than 0.5 m in the source. NaN where
    none are, or where it tells rotations instead."""
    hand_distance_change_p95: float
    hand_distance_before: float | None
    """Mean distance between the wrists and the nearest joint of the partner, in the source; over near frames only."""
    hand_distance_after: float | None
    """The same in the clip, over the same frames, or those near in the clip where the source tells rotations instead;
    None when no hand comes near."""
    foot_slide_before: float
    """Longest way of an ankle or toe joint from its spot while it stands, in the source."""
    foot_slide_after: float
    floor_depth: float
    """How deep any shape of the clip reaches into the floor; negative = clearance."""
    partner_depth_before: float
    """How deep the two people reach into each other before they are separated."""
    partner_depth_after: float
    furniture_depth: float | None
    """How deep anybody reaches into the furniture; None without."""
    stature: tuple[float, float]
    """Supporter, recipient."""
    mass: tuple[float, float]
    """Supporter, recipient [kg]."""
    milliseconds_per_person_frame: float
    """Wall time of fitting, filtering and solving."""
    quality: ClipQuality
    """What physics will meet."""
    notes: tuple[str, ...] = ()
    """What a user should know: what was inferred, what is missing, what looks wrong."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; what is not finite becomes None."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    """Replace tuples and numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
