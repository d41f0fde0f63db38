"""PHC's and AssistMimic's motion pickles: ``<seq>_caregiver`` and ``<seq>_recipient`` in one joblib file.

Each entry has ``pose_aa`` (SMPL's order and frames), ``trans`` or ``root_trans_offset``, ``fps``, and
``pose_quat_global`` (xyzw, MuJoCo's order), whose frames are SMPL's or upright: whichever agrees with ``pose_aa``
(spec/data.md section 3.3, spec/phc.md section 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..errors import ClipError
from .conventions import to_z_up, upright
from .finding import checked, files_below, safe_name
from .pickles import read_pickle
from .smpl import SmplMotion, smpl_people, split_poses, world_rotations
from .take import Format, Person, ReadOptions, Recording, Take

Array = NDArray[np.float64]
Frames = Literal["upright", "smpl"]

ROLES = ("caregiver", "recipient")
"""Supporter and recipient at the end of an entry's key."""

XYZW_TO_WXYZ = [3, 0, 1, 2]
SUFFIXES = (".pkl", ".joblib")

_AGREE = np.radians(1.0)
"""Largest angle between ``pose_aa`` and ``pose_quat_global``; both are float32 at worst."""


def _find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    recordings = [recording for file in files_below(path, SUFFIXES) for recording in _recordings(file)]
    return checked(path, recordings, "pickle (.pkl or .joblib) with entries <name>_caregiver and <name>_recipient")


def _recordings(file: Path) -> list[Recording]:
    """The pairs of a file, by the part of their keys that both people share."""
    keys = sorted(_entries(file))
    names = sorted({key.removesuffix(f"_{role}") for key in keys for role in ROLES if key.endswith(f"_{role}")})
    for name in names:
        lacking = [role for role in ROLES if f"{name}_{role}" not in keys]
        if lacking:
            raise ClipError(f"{file}: '{name}' has no entry '{name}_{lacking[0]}'. Both people are needed.")
    if not names:
        raise ClipError(
            f"{file}: no entry ends in _caregiver or _recipient; it holds {', '.join(keys[:5]) or 'nothing'}. "
            "A pickle of single people cannot become a pair."
        )
    return [Recording(name=safe_name(name), files=(file,), key=name) for name in names]


def _entries(file: Path) -> Mapping[str, Any]:
    status = file.stat()
    return _remembered(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _remembered(file: Path, time: int, size: int) -> Mapping[str, Any]:
    """The last file that was read: it holds many pairs, and each is read by itself."""
    entries = read_pickle(file)
    if not isinstance(entries, dict) or not all(isinstance(key, str) for key in entries):
        raise ClipError(f"{file}: holds a {type(entries).__name__}, expected a dictionary of motions by name.")
    return entries


def _entry(recording: Recording, role: str) -> tuple[str, Mapping[str, Any]]:
    """One person's entry, and where it is, for messages."""
    file, key = recording.files[0], f"{recording.key}_{role}"
    entry = _entries(file).get(key)
    if not isinstance(entry, dict):
        raise ClipError(f"{file}: '{key}' is {'missing' if entry is None else 'no dictionary'}, expected a motion.")
    return f"{file}, '{key}'", entry


def _read(recording: Recording, options: ReadOptions) -> Take:
    parts = [_entry(recording, role) for role in ROLES]
    where = f"{recording.files[0]}, '{recording.key}'"
    motions = [_motion(place, entry) for place, entry in parts]
    rates = {_rate(place, entry, options) for place, entry in parts}
    lengths = [len(motion.pose) for motion in motions]
    if len(rates) != 1 or len(set(lengths)) != 1:
        raise ClipError(f"{where}: {lengths} frames at {sorted(rates)} per second; both people need one clock.")
    fps = rates.pop()
    placed = smpl_people(where, (motions[0], motions[1]), documented_up="z", fps=fps, options=options)
    frames = [_stored_frames(place, entry, motion) for (place, entry), motion in zip(parts, motions, strict=True)]
    stored = [_pelvis(place, entry, options) for place, entry in parts]
    first, second = (_at(person, pelvis) for person, pelvis in zip(placed.people, stored, strict=True))
    known = all(pelvis is not None for pelvis in stored)
    return Take(
        name=recording.name,
        fps=fps,
        people=(first, second),
        body=placed.body,
        metadata={"genders": [motion.gender for motion in motions], "sequence": recording.key},
        conventions={
            **placed.conventions,
            **({"pelvis": "file: root_trans_offset"} if known else {}),
            "rate": f"{'file' if options.fps is None else 'given'}: {fps:g}",
            "frames": f"detected: {' and '.join(frames)} quaternions",
            "roles": "file: caregiver supports recipient",
        },
    )


def _motion(where: str, entry: Mapping[str, Any]) -> SmplMotion:
    """Parameters of one entry; ``root_trans_offset`` stands in for a missing translation."""
    pose, model = split_poses(where, _array(where, entry, "pose_aa"))
    model = "smplx" if model == "smplh" else model  # PHC stores SMPL-X without jaw and eyes
    keys = [key for key in ("trans_orig", "trans", "root_trans_offset") if key in entry]
    if not keys:
        raise ClipError(f"{where}: has neither trans nor root_trans_offset.")
    betas = _array(where, entry, "beta").ravel() if entry.get("beta") is not None else None
    gender = entry.get("gender")
    trans = _array(where, entry, keys[0])
    motion = SmplMotion(pose=pose, trans=trans, model=model, betas=betas)
    return replace(motion, gender=gender) if isinstance(gender, str) else motion


def _array(where: str, entry: Mapping[str, Any], key: str) -> Array:
    value = np.asarray(entry.get(key))
    if value.dtype.kind not in "fiu" or value.ndim == 0:
        raise ClipError(
            f"{where}: '{key}' is missing or no array of numbers. It has: {', '.join(map(str, entry))[:200]}."
        )
    return value.astype(np.float64)


def _rate(where: str, entry: Mapping[str, Any], options: ReadOptions) -> float:
    rate = options.fps if options.fps is not None else entry.get("fps")
    if not isinstance(rate, int | float | np.number) or isinstance(rate, bool):
        raise ClipError(f"{where}: 'fps' is missing. Give the rate of the file: --fps.")
    return float(rate)


def _pelvis(where: str, entry: Mapping[str, Any], options: ReadOptions) -> Array | None:
    """Where the pelvis of the file's own body is (T, 3) in the z-up world, if the file says so."""
    if entry.get("root_trans_offset") is None or options.unit not in (None, "m"):
        return None
    values = _array(where, entry, "root_trans_offset")
    if values.ndim != 2 or values.shape[1] != 3 or not np.isfinite(values).all():
        raise ClipError(f"{where}: 'root_trans_offset' has shape {values.shape}; expected (frames, 3) finite numbers.")
    return to_z_up(values, options.up or "z")


def _at(person: Person, pelvis: Array | None) -> Person:
    """The person moved so that the pelvis is where the file says."""
    if pelvis is None:
        return person
    if len(pelvis) != len(person.joints):
        raise ClipError(f"root_trans_offset has {len(pelvis)} frames, pose_aa has {len(person.joints)}.")
    return replace(person, joints=person.joints + (pelvis - person.joints[:, 0])[:, None])


def _stored_frames(where: str, entry: Mapping[str, Any], motion: SmplMotion) -> str:
    """Whose frames ``pose_quat_global`` has, by its agreement with ``pose_aa``; AssistMimic reads both.

    Raises:
        ClipError: Neither agrees: another order of quaternions or bodies, or another motion.
    """
    if entry.get("pose_quat_global") is None:
        return "no"
    stored = _array(where, entry, "pose_quat_global")
    expected = world_rotations(motion.pose, "z")
    if stored.shape != expected.shape:
        raise ClipError(f"{where}: 'pose_quat_global' has shape {stored.shape}, 'pose_aa' makes it {expected.shape}.")
    turn = stored[..., XYZW_TO_WXYZ]
    readings: dict[Frames, Array] = {"upright": turn, "smpl": upright(turn)}
    worst = {name: float(rotations.angle_between(expected, value).max()) for name, value in readings.items()}
    best: Frames = "upright" if worst["upright"] <= worst["smpl"] else "smpl"
    if not worst[best] <= _AGREE:
        degrees = np.degrees(worst[best])
        raise ClipError(
            f"{where}: 'pose_quat_global' and 'pose_aa' differ by up to {degrees:.0f} degrees, in upright frames and "
            "in SMPL's. Expected quaternions x, y, z, w in MuJoCo's order of bodies."
        )
    return best


PHC = Format(
    name="phc",
    title="PHC's and AssistMimic's motion pickles with <name>_caregiver and <name>_recipient",
    license="of the motion in the pickle (AMASS, Inter-X: non-commercial, no redistribution)",
    obtain=(
        "One joblib file, as AssistMimic trains on: a dictionary with the entries <name>_caregiver and\n"
        "<name>_recipient, each with pose_aa, trans or root_trans_offset, pose_quat_global and fps. It is read\n"
        "without running anything."
    ),
    find=_find,
    read=_read,
)
"""Reader of ``assistmimic clips import phc``."""
