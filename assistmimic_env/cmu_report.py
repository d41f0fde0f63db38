"""How far the bundled real clip is from the recording it was made from."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from itertools import product

import numpy as np
from numpy.typing import NDArray

from . import cmu_plan as plan
from .clip import PairClip
from .cmu_joints import JOINTS
from .cmu_source import read_source
from .errors import ClipError
from .quality import ClipQuality, quality

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_NEAR = 0.5
"""Hand and partner joint count as near below this recorded distance [m]."""


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """Differences from the recording over the played frames, then what physics will meet; millimetres.

    *Edited* are the joints that were moved on purpose (see the clip's metadata): arms while their hands touch or rest
    on the thigh, and A's left leg until it lands.
    """

    joint_error_mean: float
    """All recorded joints."""
    joint_error_p95: float
    kept_joint_error_mean: float
    """Recorded joints without the edited ones."""
    kept_joint_error_p95: float
    hand_distance_change_mean: float
    """Change of the distance between a wrist and a partner's joint nearer than 0.5 m, edited arms left out."""
    hand_distance_change_p95: float
    clasp_distance_change: float
    """Mean change of the distance between the clasping wrists: how far the snap moved them."""
    planted_foot_slide: float
    """Longest way of an ankle from its spot while its foot is planned to stand."""
    quality: ClipQuality
    """What physics will meet [m, m/s]."""

    def __str__(self) -> str:
        """One line per measurement."""
        q = self.quality
        own = [f"{item.name:28} {getattr(self, item.name):7.1f} mm" for item in fields(self) if item.name != "quality"]
        lengths = ("floor_depth", "partner_depth", "self_depth", "seat_depth", "contact_gap", "balance")
        own += [f"{name:28} {1000.0 * getattr(q, name):7.1f} mm" for name in lengths]
        own.append(f"{'joint_speed':28} {q.joint_speed:7.2f} m/s")
        own.append(f"{'joint_acceleration':28} {q.joint_acceleration:7.1f} m/s^2")
        return "\n".join(own)


def report(clip: PairClip, folder: str | os.PathLike[str]) -> ConversionReport:
    """Compare a converted clip with its source.

    Args:
        clip: Result of :func:`assistmimic_env.cmu.convert`.
        folder: The key frames it was made from.

    Returns:
        The differences.

    Raises:
        ClipError: A source file is missing or malformed, or the clip has another timeline.
    """
    take = plan.place(read_source(folder))
    if clip.num_frames != len(take.frame):
        raise ClipError(f"clip '{clip.name}' has {clip.num_frames} frames, a conversion has {len(take.frame)}.")
    edited = _edited(take)
    span = slice(round(plan.HOLD * plan.FPS), take.played)
    error = 1000.0 * np.linalg.norm(clip.position - take.joints, axis=-1)[span]
    recorded = np.isfinite(error)
    kept = error[recorded & ~edited[span]]
    change, clasp = _hand_changes(clip, take, edited, span)
    return ConversionReport(
        joint_error_mean=float(error[recorded].mean()),
        joint_error_p95=float(np.percentile(error[recorded], 95)),
        kept_joint_error_mean=float(kept.mean()),
        kept_joint_error_p95=float(np.percentile(kept, 95)),
        hand_distance_change_mean=float(change.mean()),
        hand_distance_change_p95=float(np.percentile(change, 95)),
        clasp_distance_change=float(clasp.mean()),
        planted_foot_slide=_planted_slide(clip, take),
        quality=quality(clip),
    )


def _edited(take: plan.Take) -> Mask:
    """Which joints were moved on purpose, (N, 2, J)."""
    body = take.bodies[0]
    moved = np.zeros((len(take.frame), 2, body.num_bodies), dtype=bool)
    clasped, held = take.clasp > 0.0, take.support > 0.0
    for role, side, when in (
        (0, "R_", clasped),
        (1, "R_", clasped),
        (0, "L_", held),
        (1, "L_", np.ones_like(held)),
    ):
        for part in ("Shoulder", "Elbow", "Wrist"):
            moved[:, role, body.index(side + part)] |= when
    waiting = take.frame < plan.STANCES[0].settled if plan.STANCES[0].settled is not None else np.zeros_like(held)
    for part in ("Hip", "Knee", "Ankle", "Toe"):
        moved[:, 0, body.index("L_" + part)] |= waiting
    return moved


def _hand_changes(clip: PairClip, take: plan.Take, edited: Mask, span: slice) -> tuple[Array, Array]:
    """Changes of near wrist-to-partner distances [mm]: unedited pairs, and the clasping wrists while they touch."""
    body = take.bodies[0]
    wrists = body.indices(("L_Wrist", "R_Wrist"))
    joints = body.indices(JOINTS)
    kept = []
    for role, wrist in product(range(2), wrists):
        ours, theirs = (
            np.linalg.norm(position[span, role, wrist, None] - position[span, 1 - role][:, joints], axis=-1)
            for position in (clip.position, take.joints)
        )
        use = (theirs < _NEAR) & ~edited[span, role, wrist, None] & ~edited[span, 1 - role][:, joints]
        kept.append(np.abs(ours - theirs)[use])
    right = body.index("R_Wrist")
    ours, theirs = (
        np.linalg.norm(position[span, 0, right] - position[span, 1, right], axis=-1)
        for position in (clip.position, take.joints)
    )
    return 1000.0 * np.concatenate(kept), 1000.0 * np.abs(ours - theirs)[take.clasp[span] > 0.99]


def _planted_slide(clip: PairClip, take: plan.Take) -> float:
    """Longest way of a planted ankle from its spot [mm]."""
    longest = 0.0
    for stance in plan.STANCES:
        planted = (stance.weight(take.frame) > 0.999) & (take.after == 0.0)
        ankle = clip.position[planted, stance.role, take.bodies[0].index(stance.side + "Ankle"), :2]
        longest = max(longest, float(np.linalg.norm(ankle - np.median(ankle, axis=0), axis=-1).max()))
    return 1000.0 * longest
