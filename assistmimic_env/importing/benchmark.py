"""The retargeting table: errors and cost of conversions whose source is known."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..body import get_body
from ..clip import PairClip, load_clip
from ..cmu_joints import measured_joints
from ..cmu_source import RATE, read_source
from ..formats.take import Person, Take
from .conversion import convert_take
from .settings import ConversionSettings

__all__ = ["clip_take", "cmu_take", "retargeting_table"]

_CLIPS = ("sit_to_stand/train_00", "sit_to_stand/test_00", "pull_up")


def clip_take(clip: PairClip, *, rotations: bool = False) -> Take:
    """A clip as a source that knows nothing but joint positions.

    Args:
        clip: Any clip.
        rotations: The source also knows the rotations and bones.

    Returns:
        The take, without furniture and contacts.
    """
    first, second = (
        Person(
            joints=clip.position[:, role],
            rotation=clip.rotation[:, role] if rotations else None,
            offsets=clip.offsets[role] if rotations else None,
            mass=float(clip.masses[role]) if rotations else None,
        )
        for role in range(2)
    )
    return Take(name=clip.name.replace("/", "_"), fps=clip.fps, people=(first, second), body=clip.body)


def cmu_take(folder: str | os.PathLike[str]) -> Take:
    """The recording behind the clip ``pull_up``, as measured: both people's joints at 120 frames per second.

    Args:
        folder: Where ``22_01_keyframes.txt``, ``23_01_keyframes.txt`` and ``skeletons.json`` are.

    Returns:
        The take of the frames in which both have key frames.

    Raises:
        ClipError: A file is missing or malformed.
    """
    performers, body = read_source(folder).performers, get_body()
    begin = max(performer.frames[0] for performer in performers)
    end = min(performer.frames[-1] for performer in performers)
    frame = np.arange(np.ceil(begin), np.floor(end) + 1.0)
    first, second = (Person(joints=measured_joints(body, performer, *performer.at(frame))) for performer in performers)
    return Take(name="cmu_22_23_01", fps=RATE, people=(first, second))


def retargeting_table(cmu: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """Errors and cost on positions-only sources, on fitted bodies, our proportions and other statures.

    Args:
        cmu: Folder of the CMU key frames; None: only clips that ship with the package.

    Returns:
        One row per source and body; lengths in millimetres.
    """
    takes = [clip_take(load_clip(name)) for name in _CLIPS]
    takes += [] if cmu is None else [cmu_take(cmu)]
    bodies = {
        "fitted": ConversionSettings(),
        "default, 1.75 m": ConversionSettings(proportions="default"),
        "default, 1.60 / 1.85 m": ConversionSettings(proportions="default", stature=(1.60, 1.85)),
    }
    return [_row(take, label, settings) for take in takes for label, settings in bodies.items()]


def _row(take: Take, label: str, settings: ConversionSettings) -> dict[str, Any]:
    report = convert_take(take, settings).report
    lengths = {
        "joint_error_mean": report.joint_error_mean,
        "joint_error_p95": report.joint_error_p95,
        "hand_change_mean": report.hand_distance_change_mean,
        "hand_change_p95": report.hand_distance_change_p95,
        "foot_slide_before": report.foot_slide_before,
        "foot_slide_after": report.foot_slide_after,
    }
    row: dict[str, Any] = {"source": take.name, "body": label, "frames": report.frames}
    row |= {f"{key}_mm": round(1000.0 * value, 2) for key, value in lengths.items()}
    return row | {"ms_per_person_frame": round(report.milliseconds_per_person_frame, 2)}
