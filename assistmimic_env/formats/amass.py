"""AMASS: one npz of SMPL, SMPL-H or SMPL-X parameters per person; z up, metres, the rate in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..archive import ArraySpec, read_archive
from ..errors import ClipError
from .pairing import common_length, describe_roles, find_pairs
from .smpl import SmplMotion, smpl_people, split_poses
from .take import Format, ReadOptions, Recording, Take

Array = NDArray[np.float64]

RATES = ("mocap_framerate", "mocap_frame_rate")
"""The rate's name, in the SMPL-H and in the SMPL-X edition."""

_NUMBERS = "fiu"
_ARRAYS = {
    "poses": ArraySpec(shape=(None, None)),
    "trans": ArraySpec(shape=(None, 3)),
    "betas": ArraySpec(required=False),
    "gender": ArraySpec(kinds="US", required=False),
    **{name: ArraySpec(kinds=_NUMBERS, required=False) for name in RATES},
}


def _find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    return find_pairs(path, options, ".npz")


def _read(recording: Recording, options: ReadOptions) -> Take:
    (first, fps), (second, rate) = (_motion(file, options) for file in recording.files)
    where = f"{recording.files[0]} and {recording.files[1].name}"
    if fps != rate:
        raise ClipError(f"{where}: {fps:g} and {rate:g} frames per second. A pair needs one clock: --fps.")
    if first.pose.shape[1] != second.pose.shape[1]:
        raise ClipError(f"{where}: one is SMPL, the other SMPL-H or SMPL-X. Use the same edition for both people.")
    frames, length = common_length(where, [len(first.pose), len(second.pose)])
    motions = (first.first(frames), second.first(frames))
    placed = smpl_people(where, motions, documented_up="z", fps=fps, options=options)
    return Take(
        name=recording.name,
        fps=fps,
        people=placed.people,
        body=placed.body,
        metadata={"genders": [motion.gender for motion in motions], "model": first.model},
        conventions={
            **placed.conventions,
            "rate": f"{'file' if options.fps is None else 'given'}: {fps:g}",
            "frames": length,
            "roles": describe_roles(options),
        },
    )


def _motion(path: Path, options: ReadOptions) -> tuple[SmplMotion, float]:
    """One person's parameters and their rate."""
    arrays = read_archive(path, expected=_ARRAYS, skip_others=True)
    pose, model = split_poses(str(path), arrays["poses"].astype(np.float64))
    motion = SmplMotion(
        pose=pose,
        trans=arrays["trans"].astype(np.float64),
        model=model,
        betas=arrays["betas"].astype(np.float64).ravel() if "betas" in arrays else None,
        gender=_text(arrays["gender"]) if "gender" in arrays else "neutral",
    )
    return motion, _rate(path, arrays, options)


def _text(value: NDArray[np.str_] | NDArray[np.bytes_]) -> str:
    return str(value.astype(np.str_).ravel()[0]) if value.size else "neutral"


def _rate(path: Path, arrays: dict[str, NDArray], options: ReadOptions) -> float:
    if options.fps is not None:
        return options.fps
    rates = [float(arrays[name].ravel()[0]) for name in RATES if name in arrays and arrays[name].size]
    if not rates:
        raise ClipError(f"{path}: has neither {' nor '.join(RATES)}. Give the rate of the file: --fps.")
    return rates[0]


AMASS = Format(
    name="amass",
    title="AMASS and other SMPL, SMPL-H or SMPL-X parameters, one npz per person",
    license="AMASS (registration; non-commercial, no redistribution)",
    obtain=(
        "Register at amass.is.tue.mpg.de and unpack a subset, for example CMU. Give one person's .npz with --partner\n"
        "and --supporter, or a folder with a pairs.csv (columns name, supporter, recipient). Takes of CMU's subjects\n"
        "18/19, 20/21, 22/23 and 33/34 find their partner by themselves. Your own SMPL files (--models FOLDER) add\n"
        "where the joints are."
    ),
    find=_find,
    read=_read,
)
"""Reader of ``assistmimic clips import amass``."""
