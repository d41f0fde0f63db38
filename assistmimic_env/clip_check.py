"""`check`: is a clip fit for physics? Each measurement of `quality` against two limits, and what to do beyond them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .clip import PairClip
from .quality import ClipQuality, quality

__all__ = ["LIMITS", "Finding", "Level", "Limit", "Verdict", "check"]

Level = Literal["fine", "doubtful", "unfit"]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How far one measurement may go."""

    name: str
    """Field of ``ClipQuality``, or ``floor_gap``: how far above the floor the lowest shape stays."""
    meaning: str
    """What it is, in a line."""
    unit: str
    fine: float
    """Up to here nothing is said."""
    fit: float
    """Up to here a clip is usable; beyond it physics cannot follow."""
    remedy: str
    """What to do."""

    def level(self, value: float) -> Level:
        """Judge one value."""
        if not value > self.fine:
            return "fine"
        return "doubtful" if value <= self.fit else "unfit"


_PENETRATION = "Import with --separate, or with --proportions fitted."

LIMITS = (
    Limit(
        name="foot_slide",
        meaning="way of an ankle while its sole is on the floor",
        unit="m",
        fine=0.08,
        fit=0.40,
        remedy="Check the rate (--fps) and the unit (--unit); import again to hold standing feet.",
    ),
    Limit(
        name="floor_depth",
        meaning="depth in the floor",
        unit="m",
        fine=0.02,
        fit=0.06,
        remedy="Check the vertical axis (--up) and the unit (--unit); cut frames in which somebody leaves the floor.",
    ),
    Limit(
        name="floor_gap",
        meaning="height of the lowest point over the floor",
        unit="m",
        fine=0.02,
        fit=0.06,
        remedy="Nobody ever stands on the floor: check --up and --unit, or shift both people down together.",
    ),
    Limit(
        name="partner_depth",
        meaning="depth of the people in each other",
        unit="m",
        fine=0.03,
        fit=0.08,
        remedy=_PENETRATION,
    ),
    Limit(
        name="self_depth",
        meaning="depth of arms and legs in the same person",
        unit="m",
        fine=0.04,
        fit=0.10,
        remedy="The body is broader than the recorded one: import with --proportions fitted, or lower its mass.",
    ),
    Limit(
        name="seat_depth",
        meaning="depth of the recipient in the furniture",
        unit="m",
        fine=0.03,
        fit=0.08,
        remedy="Lower the furniture or move it back; --furniture none leaves it out.",
    ),
    Limit(
        name="supporter_furniture_depth",
        meaning="depth of the supporter in the furniture",
        unit="m",
        fine=0.02,
        fit=0.05,
        remedy="Make the furniture smaller on the supporter's side; --furniture none leaves it out.",
    ),
    Limit(
        name="contact_gap",
        meaning="gap between bodies that should touch",
        unit="m",
        fine=0.04,
        fit=0.12,
        remedy="The hand does not reach: import with --proportions fitted, or correct the clip's contact intervals.",
    ),
    Limit(
        name="joint_speed",
        meaning="fastest joint",
        unit="m/s",
        fine=4.0,
        fit=8.0,
        remedy="Check the rate of the source (--fps); import with --smooth 6, or cut the glitch.",
    ),
    Limit(
        name="joint_acceleration",
        meaning="largest acceleration of a joint",
        unit="m/s^2",
        fine=45.0,
        fit=150.0,
        remedy="The motion jumps: import with --smooth 6, or cut the frames where it does.",
    ),
)
"""Recorded people who help each other stay below 3 m/s and 35 m/s^2 (spec/data.md section 5); the bundled clips are
all fit (docs/motion.md lists the remarks). The other lengths are shares of a hand's size: bodies are capsules
about 4 cm thick at the wrist, so that what overlaps by more has passed through."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One measurement, judged."""

    limit: Limit
    value: float
    level: Level

    def __str__(self) -> str:
        limit = self.limit
        return f"{limit.name} {self.value:.3g} {limit.unit} (at most {limit.fit:g}; fine up to {limit.fine:g})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What physics will think of a clip."""

    name: str
    quality: ClipQuality
    findings: tuple[Finding, ...]
    """One per limit, in the order of ``LIMITS``."""

    @property
    def level(self) -> Level:
        """The worst of the findings."""
        levels = {finding.level for finding in self.findings}
        return "unfit" if "unfit" in levels else "doubtful" if "doubtful" in levels else "fine"

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """Everything that is not fine, the worst first."""
        return tuple(finding for level in ("unfit", "doubtful") for finding in self.findings if finding.level == level)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not measured (furniture that is not there) is None."""
        remarks = [
            {"name": one.limit.name, "value": one.value, "fine": one.limit.fine, "fit": one.limit.fit,
             "unit": one.limit.unit, "level": one.level, "remedy": one.limit.remedy}
            for one in self.remarks
        ]  # fmt: skip
        values = {key: value if math.isfinite(value) else None for key, value in asdict(self.quality).items()}
        return {"name": self.name, "level": self.level, "remarks": remarks, "quality": values}


def check(clip: PairClip) -> Verdict:
    """Judge a clip.

    Args:
        clip: Any two-person clip on a floor at height 0.

    Returns:
        The verdict; ``level`` is ``"unfit"`` where at least one limit is broken.
    """
    measured = quality(clip)
    values = {**asdict(measured), "floor_gap": -measured.floor_depth}
    findings = tuple(
        Finding(limit=limit, value=values[limit.name], level=limit.level(values[limit.name])) for limit in LIMITS
    )
    return Verdict(name=clip.name, quality=measured, findings=findings)
