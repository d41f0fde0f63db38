"""What an evaluation reports: name, unit, meaning, and how a person wants to see it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from .clip import ROLES
from .metrics import Estimate
from .pose_errors import FRAMES, PARTS
from .touch import REGIONS

RATE: Final = "rate"
"""Unit of flags; their interval is Wilson's, that of all others a bootstrap."""

TORQUE_GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "hip": ("Hip",),
        "knee": ("Knee",),
        "ankle": ("Ankle",),
        "trunk": ("Torso", "Spine", "Chest"),
        "shoulder": ("Thorax", "Shoulder"),
        "elbow": ("Elbow",),
    }
)
"""Group of the recipient's joints -> their kinds."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """Something that is measured once per rollout.

    Attributes:
        unit: SI unit, or ``rate``, or ``share``.
        meaning: One line for people.
        title: Short heading.
        scale: Factor from the SI unit to the one shown.
        shown: The unit shown.
        digits: Digits after the point that are shown.
    """

    unit: str
    meaning: str
    title: str
    scale: float = 1.0
    shown: str = ""
    digits: int = 0

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} [{self.shown or self.unit}]"

    def text(self, estimate: Estimate) -> str:
        """Mean and 95 % interval; a dash where nothing was measured."""
        mean, low, high = (self._number(value) for value in (estimate.mean, estimate.low, estimate.high))
        if not mean:
            return "-"
        return f"{mean} ({low} to {high})" if low else mean

    def _number(self, value: float) -> str:
        return f"{round(self.scale * value, self.digits) + 0.0:.{self.digits}f}" if math.isfinite(value) else ""


def _percent(title: str, meaning: str, unit: str = RATE) -> Quantity:
    return Quantity(unit=unit, meaning=meaning, title=title, scale=100.0, shown="%")


def _length(title: str, meaning: str) -> Quantity:
    return Quantity(unit="m", meaning=meaning, title=title, scale=1000.0, shown="mm")


def _newton(title: str, meaning: str) -> Quantity:
    return Quantity(unit="N", meaning=meaning, title=title)


def _torque(title: str, meaning: str) -> Quantity:
    return Quantity(unit="N m", meaning=meaning, title=title)


def _with_roles(name: str, quantity: Quantity) -> dict[str, Quantity]:
    """A quantity of both people's mean, and of each."""
    return {name: quantity} | {
        f"{name}_{role}": replace(
            quantity, meaning=f"{quantity.meaning}; {role} only", title=f"{quantity.title}, {role}"
        )
        for role in ROLES
    }


def _errors() -> dict[str, Quantity]:
    frames = {
        "mpjpe": ("MPJPE", "mean distance from the reference"),
        "mpjpe_root": ("MPJPE root", "mean distance after moving the pelvis to the reference's"),
        "mpjpe_pa": ("MPJPE PA", "mean distance after the best move, turn and scaling of each person (Procrustes)"),
    }
    parts = {"": "all bodies", "_body": "without wrists and hands", "_hands": "wrists and hands"}
    found: dict[str, Quantity] = {}
    for frame in FRAMES:
        for part in PARTS:
            title = f"{frames[frame][0]}{part.replace('_', ' ')}"
            found |= _with_roles(frame + part, _length(title, f"{frames[frame][1]}, {parts[part]}"))
    found |= _with_roles(
        "mpjpe_common", _length("MPJPE common", "MPJPE over the frames that all compared policies reached")
    )
    velocity, acceleration = "mean difference of velocities", "mean difference of accelerations"
    found |= _with_roles(
        "velocity_error", Quantity(unit="m/s", meaning=f"{velocity} from the reference", title="velocity", digits=2)
    )
    return found | _with_roles(
        "acceleration_error",
        Quantity(unit="m/s^2", meaning=f"{acceleration} from the reference", title="acceleration", digits=1),
    )


_SUCCESS: Final = {
    "survived": _percent("survived", "share of the clip before the failure", "share"),
    "success_50": _percent("SR@0.5", "nobody's mean error of 16 bodies passed 0.5 m (the paper's success)"),
    "success_25": _percent("SR@0.25", "nobody's mean error of 16 bodies passed 0.25 m"),
    "task_success": _percent(
        "task success",
        "SR@0.5, and the recipient's pelvis and head within 0.15 m of their reference height over the last 0.5 s",
    ),
    "physics_error": _percent("diverged", "the simulation blew up; such a rollout has failed"),
}

_CONTACT: Final = {
    **_with_roles(
        "contact_precision",
        _percent("contact precision", "share of the hands' touches that the clip expects", "share"),
    ),
    **_with_roles("contact_recall", _percent("contact recall", "share of the expected touches that happened", "share")),
    **{
        f"contact_force_{role}": _newton(f"force on {role}", f"partner's force, summed over the {role}'s bodies")
        for role in ROLES
    },
    "support_force": _newton("support", "net upward force of the supporter on the recipient; negative: pressed down"),
    "weight_share": _percent(
        "weight carried", "net upward force of the supporter on the recipient over the recipient's real weight", "share"
    ),
}

_STRENGTH: Final = {
    "max_torque": _torque("max torque", "largest norm over all of the recipient's servo torques"),
    **{
        f"max_torque_{group}": _torque(
            f"max {group} torque", f"largest torque of one of the recipient's {group} joints"
        )
        for group in TORQUE_GROUPS
    },
    "com_std": Quantity(
        unit="m",
        meaning="spread of the recipient's centre of mass; only rollouts in which all compared policies succeed",
        title="COM spread",
        scale=1000.0,
        shown="mm",
    ),
    "com_std_xy": Quantity(
        unit="m", meaning="COM spread without the height", title="COM spread xy", scale=1000.0, shown="mm"
    ),
}

_COMFORT: Final = {
    f"force_{kind}_{region}": _newton(
        f"{kind} on {region}",
        f"{'largest' if kind == 'peak' else 'mean'} force of the supporter on the recipient's {region}",
    )
    for kind in ("peak", "mean")
    for region in REGIONS
}

QUANTITIES: Final[Mapping[str, Quantity]] = MappingProxyType(
    {**_SUCCESS, **_errors(), **_CONTACT, **_STRENGTH, **_COMFORT}
)
"""Name -> what is reported of each rollout. Errors and forces are taken over the frames up to and including the failing
one; forces are those of the last physics step of each frame. Errors are against the untouched reference."""

UNITS: Final[Mapping[str, str]] = MappingProxyType({name: item.unit for name, item in QUANTITIES.items()})
"""Name -> unit."""

TABLES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Success": ("success_50", "success_25", "task_success", "survived"),
        "Tracking": ("mpjpe", "mpjpe_common", "mpjpe_root", "mpjpe_pa", "mpjpe_body", "mpjpe_hands"),
        "Motion": ("mpjpe_supporter", "mpjpe_recipient", "velocity_error", "acceleration_error"),
        "Contact": ("contact_precision", "contact_recall", "support_force", "weight_share"),
        "Strength and balance": ("max_torque", "max_torque_hip", "max_torque_knee", "com_std", "com_std_xy"),
        "Comfort of the recipient": tuple(f"force_peak_{region}" for region in REGIONS),
    }
)
"""Heading -> the quantities of one table; the JSON has all."""

MAIN: Final = ("task_success", "success_50", "mpjpe_common", "weight_share")
"""The figures to look at first."""
