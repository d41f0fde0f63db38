"""The retargeting table: errors and cost of conversions whose source is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..body import body_names, get_body
from ..clip import PairClip, load_clip
from ..cmu_joints import measured_joints
from ..cmu_source import RATE, read_source
from ..formats.take import Person, Take
from ..trunk import PLACED
from .conversion import convert_take
from .measured import measured, resampled
from .measures import hand_change, joint_errors
from .settings import ConversionSettings

__all__ = ["clip_take", "cmu_take", "posed_take", "retargeting_table", "rig_take"]

Array = NDArray[np.float64]

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


def rig_take(take: Take) -> Take:
    """The same, as rigs know it whose pelvis, spine and collars lie elsewhere than ours (CMU, OptiTrack)."""
    body = get_body(take.body)
    elsewhere = body.indices((*PLACED, "Torso", "Spine"))
    first, second = (replace(person, joints=person.joints.copy()) for person in take.people)
    for person in (first, second):
        person.joints[:, elsewhere] = np.nan
    return replace(take, people=(first, second))


def posed_take(clip: PairClip) -> Take:
    """A clip as a source that knows rotations and the way of the pelvis, but no bones: SMPL without model files."""
    take = clip_take(clip, rotations=True)
    first, second = (
        replace(person, joints=np.where(np.arange(clip.bodies[0].num_bodies)[:, None] == 0, person.joints, np.nan))
        for person in take.people
    )
    return replace(take, people=(replace(first, offsets=None), replace(second, offsets=None)))


def retargeting_table(
    cmu: str | os.PathLike[str] | None = None,
    *,
    repeats: int = 3,
    log: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Errors and cost of conversions whose truth is known.

    Args:
        cmu: Folder of the CMU key frames; None: only clips that ship with the package.
        repeats: Conversions per row; the fastest one's time counts, as other programs only slow down.
        log: Told what is measured next.

    Returns:
        One row per source, what it knows, bones and humanoid. Lengths in millimetres, against all joints of the source,
        told or not; None where it has none.
    """
    truths = [(clip_take(load_clip(name)), posed_take(load_clip(name))) for name in _CLIPS]
    sources = [("joints", take, take) for take, _ in truths] + [("rotations", posed, take) for take, posed in truths]
    if cmu is not None:
        recorded = cmu_take(cmu)
        sources += [("joints", recorded, recorded), ("joints of a rig", rig_take(recorded), recorded)]
    rows = []
    for knows, take, truth in sources:
        for bones, settings in _BONES.items():
            if knows == "joints" or bones == "fitted":
                log(f"{take.name}, {knows}, {bones}")
                rows += [
                    _row(take, truth, knows, bones, replace(settings, body=body), repeats) for body in body_names()
                ]
    return rows


_BONES = {
    "fitted": ConversionSettings(),
    "ours, 1.75 m": ConversionSettings(proportions="default"),
    "ours, 1.60 / 1.85 m": ConversionSettings(proportions="default", stature=(1.60, 1.85)),
}


def _row(take: Take, truth: Take, knows: str, bones: str, settings: ConversionSettings, repeats: int) -> dict[str, Any]:
    made = [convert_take(take, settings) for _ in range(repeats)]
    clip, report = made[0].clip, made[0].report
    joints = _truth(truth, clip) + np.array(clip.metadata["provenance"]["shift"])
    errors, hands = joint_errors(clip.position, joints), hand_change(clip.bodies[0], clip.position, joints).change
    lengths = {
        "joint_error_mean": errors.mean(),
        "joint_error_p95": np.percentile(errors, 95),
        "hand_change_mean": hands.mean(),
        "hand_change_p95": np.percentile(hands, 95),
        "foot_slide_before": report.foot_slide_before,
        "foot_slide_after": report.foot_slide_after,
    }
    row = {"source": take.name, "knows": knows, "bones": bones, "body": clip.body, "frames": report.frames}
    row |= {f"{key}_mm": round(1000.0 * float(value), 2) for key, value in lengths.items()}
    fastest = min(one.report.milliseconds_per_person_frame for one in made)
    return row | {"ms_per_person_frame": round(fastest, 2)}


def _truth(take: Take, clip: PairClip) -> Array:
    """Joints (T, 2, J, 3) of a take that knows them, at the clip's rate and in its order."""
    source = measured(take, clip.bodies[0], max_speed=np.inf)
    return resampled(source, clip.fps).joints
