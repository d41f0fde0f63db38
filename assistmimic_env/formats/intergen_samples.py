"""What InterHuman's files and the outputs of models trained on them hold, told apart by their shapes.

Processed files: 62 joints x 3, then 51 x 6 rotations. Samples: 22 joints x 3, their differences to the next frame, 21 x
6 rotations, 4 foot contacts (spec/data.md section 3.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from .arrays import check_finite
from .smpl import SMPL_ORDER

Array = NDArray[np.float64]

PROCESSED, SAMPLE = 492, 262
"""Numbers per person and frame of processed files and of samples."""

_JOINTS, _TURNS = 22, 21
_POSITIONS = slice(0, 3 * _JOINTS)
_STEPS = slice(66, 132)
_SAMPLE_TURNS = slice(132, 258)
_PROCESSED_TURNS = slice(186, 312)

_SAME_STEPS = 0.05
"""Root mean square [m] within which positions and their differences agree."""
_UNIT_COLUMN = 0.25
"""The same for lengths of the columns of rotation matrices."""
_BONE = (0.12, 0.8)
"""Lengths of thighs and shanks [m]."""
_LIMBS = tuple(
    (f"{side}_{upper}", f"{side}_{lower}") for upper, lower in (("Hip", "Knee"), ("Knee", "Ankle")) for side in "LR"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """Two people over T frames, in the source's world."""

    positions: Array
    """SMPL's first 22 joints, shape (T, 2, 22, 3)."""
    six: Array | None = None
    """Six numbers per rotation of joints 1 to 21, shape (T, 2, 21, 6); None where there are positions only."""


def of_processed(frames: Array) -> Motion:
    """Take apart processed files (T, 2, 492)."""
    return _taken_apart(frames, _PROCESSED_TURNS)


def of_sample(frames: Array) -> Motion:
    """Take apart a sample in metres (T, 2, 262)."""
    return _taken_apart(frames, _SAMPLE_TURNS)


def arranged(where: str, array: NDArray[Any]) -> Array:
    """Bring an array into the order time, person, the rest; zeros that fill up its end are dropped.

    Args:
        where: For messages.
        array: Samples of shape (T, 524), (T, 2, 262) or (2, T, 262), or positions of shape (T, 2, 22, 3) or
            (2, T, 22, 3); axes of length 1 before these are ignored.

    Returns:
        Shape (T, 2, 262) or (T, 2, 22, 3).

    Raises:
        ClipError: Another shape, fewer than ten frames, or NaN.
    """
    shape = array.shape
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2 and array.shape[1] == 2 * SAMPLE:
        array = array.reshape(-1, 2, SAMPLE)
    if array.shape[2:] not in ((SAMPLE,), (_JOINTS, 3)) or 2 not in array.shape[:2]:
        raise ClipError(
            f"{where}: shape {shape}; expected a sample of two people (T, {2 * SAMPLE}), (T, 2, {SAMPLE}) or "
            f"(2, T, {SAMPLE}), or positions (T, 2, {_JOINTS}, 3) or (2, T, {_JOINTS}, 3)."
        )
    array = array if array.shape[1] == 2 else np.swapaxes(array, 0, 1)
    used = np.flatnonzero(np.any(array != 0.0, axis=tuple(range(1, array.ndim))))
    return check_finite(where, array[: used[-1] + 1 if len(used) else 0])


def in_metres(where: str, sample: Array, statistics: tuple[Array, Array] | None) -> tuple[Array, str]:
    """Undo the normalisation of a sample that has one.

    Args:
        where: For messages.
        sample: Shape (T, 2, 262).
        statistics: Mean and standard deviation (262,) of the user's model, if they are there.

    Returns:
        The sample in metres, and what was found (for `Take.conventions`).

    Raises:
        ClipError: It is no motion in metres, and the statistics are missing or do not make it one.
    """
    problem = _problem(sample)
    if problem is None:
        return sample, "detected: not normalised"
    if statistics is None:
        raise ClipError(
            f"{where}: {problem}; the sample looks normalised. Put the model's mean.npy and std.npy (or "
            f"global_mean.npy and global_std.npy), {SAMPLE} numbers each, beside it."
        )
    mean, deviation = statistics
    sample = sample * deviation + mean
    problem = _problem(sample)
    if problem is not None:
        raise ClipError(
            f"{where}: with the mean and the standard deviation beside it, {problem}. Are they this model's?"
        )
    return sample, "detected: normalised, undone with the mean and standard deviation beside it"


def _taken_apart(frames: Array, turns: slice) -> Motion:
    count = len(frames)
    return Motion(
        positions=frames[..., _POSITIONS].reshape(count, 2, _JOINTS, 3),
        six=frames[..., turns].reshape(count, 2, _TURNS, 6),
    )


def _problem(sample: Array) -> str | None:
    """Why a sample cannot be a motion in metres: three things that it says twice must agree."""
    motion = of_sample(sample)
    steps = sample[:-1, :, _STEPS] - np.diff(sample[..., _POSITIONS], axis=0)
    if _rms(steps) > _SAME_STEPS:
        return f"positions and their differences disagree by {_rms(steps):.2g} m"
    columns = np.linalg.norm(sample[..., _SAMPLE_TURNS].reshape(-1, 3, 2), axis=1)
    if _rms(columns - 1.0) > _UNIT_COLUMN:
        return f"columns of rotations are {_rms(columns - 1.0):.2g} off unit length"
    ends = [[SMPL_ORDER.index(name) for name in limb] for limb in _LIMBS]
    bones = [np.median(np.linalg.norm(np.diff(motion.positions[..., pair, :], axis=-2), axis=-1)) for pair in ends]
    if not _BONE[0] < min(bones) <= max(bones) < _BONE[1]:
        return f"thighs and shanks measure {min(bones):.2g} to {max(bones):.2g} m"
    return None


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
