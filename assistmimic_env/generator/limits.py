"""`LIMITS` and `EXCEPTIONS`: what generated clips keep: feet, depths, reach, joints, speeds.

Measured by `quality`. All clips that ship keep them; which of many seeds do not is in docs/results/generator_limits.md,
and `clips generate` tells it of each clip. Whether physics can follow is measured with policies, see docs/gallery.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import get_args

from ..clip import PairClip
from ..errors import ClipError
from ..quality import quality
from .parameters import Split

__all__ = ["EXCEPTIONS", "LIMITS", "UNITS", "Row", "Table", "broken", "limits_of", "measure", "table", "told"]

LIMITS: Mapping[str, float] = MappingProxyType(
    {
        "foot_slip": 0.005,
        "foot_slide": 0.005,
        "floor_depth": 0.005,
        "partner_depth": 0.015,
        "self_depth": 0.015,
        "seat_depth": 0.022,
        "supporter_furniture_depth": 0.005,
        "contact_gap": 0.005,
        "joint_excess": 0.1,
        "joint_speed": 1.5,
        "joint_acceleration": 10.0,
        "turn_speed": 4.0,
    }
)
"""Fields of `ClipQuality`: the most allowed, but for `EXCEPTIONS`.

Hands press 4 mm into what they hold, and arms lie against trunks; a thigh lies up to 22 mm in a hard seat (flesh gives,
capsules do not). Recorded helpers reach 3 m/s and 35 m/s^2 (spec/data.md section 5)."""

EXCEPTIONS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "assisted_rise": {"seat_depth": 0.03},
        "help_up": {
            "foot_slide": 0.07,  # ankles turn over toes that stay, while somebody kneels
            "foot_slip": 0.02,
            "floor_depth": 0.015,  # knees and toes of who kneels
            "partner_depth": 0.05,  # one arm under the other's, from the side
            "joint_excess": 1.6,  # who sits folds the thighs beside the trunk: hips 88 degrees beyond their range
            "joint_acceleration": 15.0,
        },
        "lay_to_sit": {
            "partner_depth": 0.025,
            "self_depth": 0.075,  # the lower arm, pulled from under the trunk
            "joint_excess": 0.6,  # its elbow
            "joint_acceleration": 20.0,
            "turn_speed": 12.0,
        },
        "supported_walk": {
            "partner_depth": 0.05,
            "self_depth": 0.035,  # hanging arms beside the hip
            "joint_speed": 3.5,  # swinging feet
            "joint_acceleration": 30.0,
        },
    }
)
"""Family -> wider limits of its own: what its motion needs, and what is not solved better yet."""

UNITS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(LIMITS, "m")
    | {"joint_excess": "rad", "joint_speed": "m/s", "joint_acceleration": "m/s^2", "turn_speed": "rad/s"}
)
"""Name -> unit."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement of a family's clips; JSON."""

    name: str
    unit: str
    limit: float
    worst: float | None
    """None where no clip has what is measured (furniture)."""
    clip: str
    """Name of the worst clip; empty without one."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What the clips of a family reach at worst; JSON."""

    clips: Mapping[str, int]
    """Split -> how many were measured."""
    rows: tuple[Row, ...]
    """One per limit."""
    beyond: Mapping[str, Mapping[str, float]]
    """Clips with measurements beyond their limits."""


def limits_of(family: str) -> Mapping[str, float]:
    """Limits of a family: `LIMITS` with its `EXCEPTIONS`."""
    return {**LIMITS, **EXCEPTIONS.get(family, {})}


def measure(clip: PairClip) -> dict[str, float]:
    """The numbers that `LIMITS` bounds; -inf for the depth in furniture that is not there."""
    values = asdict(quality(clip))
    return {name: float(values[name]) for name in LIMITS}


def broken(measured: Mapping[str, float], family: str) -> dict[str, float]:
    """Those measurements that are beyond the limits of a family."""
    allowed = limits_of(family)
    return {name: value for name, value in measured.items() if value > allowed[name]}


def told(beyond: Mapping[str, float], family: str) -> str:
    """What `broken` found, with units and limits, in a line; empty for nothing."""
    allowed = limits_of(family)
    return ", ".join(f"{name} {value:.3g} {UNITS[name]} (at most {allowed[name]:g})" for name, value in beyond.items())


def table(family: str, clips: Iterable[PairClip]) -> Table:
    """The worst of each measurement over clips beside its limit, and the clips that break one.

    Args:
        family: Whose limits.
        clips: At least one.

    Raises:
        ClipError: A clip is none of this family, or there is none.
    """
    measured: list[tuple[str, dict[str, float]]] = []
    counts: Counter[str] = Counter()
    for clip in clips:
        origin = clip.metadata.get("provenance") or {}
        if origin.get("generator") != f"assistmimic_env.generator.{family}":
            raise ClipError(f"clip '{clip.name}' was not generated as {family}; its limits say nothing about it.")
        measured.append((clip.name, measure(clip)))
        counts[clip.metadata["split"]] += 1
    if not measured:
        raise ClipError(f"there is no clip of {family} to measure.")
    return Table(
        clips={split: counts[split] for split in get_args(Split) if counts[split]},
        rows=tuple(_row(name, limit, measured) for name, limit in limits_of(family).items()),
        beyond={name: found for name, values in measured if (found := broken(values, family))},
    )


def _row(name: str, limit: float, measured: Sequence[tuple[str, Mapping[str, float]]]) -> Row:
    clip, values = max(measured, key=lambda one: one[1][name])
    if not math.isfinite(values[name]):
        return Row(name=name, unit=UNITS[name], limit=limit, worst=None, clip="")
    return Row(name=name, unit=UNITS[name], limit=limit, worst=values[name], clip=clip)
