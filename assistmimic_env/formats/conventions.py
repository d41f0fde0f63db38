"""Axes, units, rates and body frames of other people's files, turned into ours; checked, never guessed.

SMPL's body frames are +x left, +y up, +z forward; ours +x forward, +y left, +z up. A y-up world becomes z-up by
(x, y, z) -> (x, -z, y) (spec/data.md section 3.7).
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..errors import ClipError
from .take import Unit, Up

Array = NDArray[np.float64]
Rows = NDArray[np.intp] | list[int]

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
"""Metres per unit of length."""

_Y_TO_Z = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])
_SMPL_TO_UPRIGHT = np.array([0.5, 0.5, 0.5, 0.5])
"""Rotation that turns SMPL's body axes into ours: x -> y, y -> z, z -> x."""

_STATURES = (1.0, 2.4)
_FASTEST = 15.0
"""Median over the frames of the fastest joint [m/s] that a person may have."""


def to_z_up(points: Array, up: Up) -> Array:
    """World points or vectors (..., 3) of a y-up or z-up world in a z-up one."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1) if up == "y" else points


def rotation_to_z_up(rotation: Array, up: Up) -> Array:
    """World rotations (..., 4) of a y-up or z-up world in a z-up one; the bodies' own frames stay."""
    return rotations.multiply(_Y_TO_Z, rotation) if up == "y" else rotation


def upright(rotation: Array) -> Array:
    """World rotations (..., 4) of bodies with SMPL's frames, of the same bodies with ours."""
    return rotations.multiply(rotation, rotations.conjugate(_SMPL_TO_UPRIGHT))


def from_upright(rotation: Array) -> Array:
    """The inverse of `upright`."""
    return rotations.multiply(rotation, _SMPL_TO_UPRIGHT)


def detect_up(joints: Array, low: Rows, high: Rows) -> Up | None:
    """Which axis people's bodies rise along.

    Args:
        joints: Positions, shape (T, P, K, 3), any unit.
        low: Rows of joints at the feet.
        high: Rows of joints at head or neck.

    Returns:
        ``"y"`` or ``"z"`` when on average feet are clearly below heads along it (twice as far as along any other axis);
        None for people who lie, or who point elsewhere.
    """
    rise = np.nanmean(joints[..., high, :].mean(axis=-2) - joints[..., low, :].mean(axis=-2), axis=(0, 1))
    along = int(np.argmax(np.abs(rise)))
    others = np.delete(np.abs(rise), along).max()
    if along == 0 or rise[along] <= 0.0 or rise[along] < 2.0 * others:
        return None
    return "y" if along == 1 else "z"


def settle_up(where: str, joints: Array, low: Rows, high: Rows, *, documented: Up | None, given: Up | None) -> Up:
    """The vertical axis: what the user says, else what is documented, unless the data contradict it.

    Raises:
        ClipError: The data stand along another axis than documented, or nothing tells and nobody was asked.
    """
    if given is not None:
        return given
    found = detect_up(joints, low, high)
    if documented is not None:
        if found not in (None, documented):
            raise ClipError(
                f"{where}: people stand along +{found}, but this format has +{documented} up. "
                f"If the file was converted, say so: --up {found}. To insist: --up {documented}."
            )
        return documented
    if found is None:
        raise ClipError(f"{where}: the vertical axis cannot be told from the data. Give it: --up y or --up z.")
    return found


def settle_unit(where: str, length: float, *, documented: Unit | None, given: Unit | None) -> Unit:
    """The unit of length: what the user says, else what is documented, unless nobody is that tall.

    Args:
        where: For messages.
        length: Sum of a person's bones from ankle to head, in the source's unit.
        documented: The format's unit.
        given: The user's.

    Raises:
        ClipError: The length is no person's in the documented unit, or fits no unit and nobody was asked.
    """
    if given is not None:
        return given
    low, high = _STATURES
    fitting = [unit for unit in get_args(Unit) if low <= length * METRES[unit] <= high]
    if documented is not None:
        if documented not in fitting:
            hint = f" Is it in {fitting[0]}? Then say so: --unit {fitting[0]}." if fitting else ""
            raise ClipError(
                f"{where}: ankle to head measures {length * METRES[documented]:.3g} m along the bones, "
                f"expected {low:g} to {high:g} m.{hint}"
            )
        return documented
    if len(fitting) != 1:
        raise ClipError(f"{where}: a length of {length:.3g} tells no unit. Give it: --unit m, cm, mm or inch.")
    return fitting[0]


def check_fps(where: str, fps: float, joints: Array) -> None:
    """Refuse a rate at which people would move impossibly fast.

    Args:
        where: For messages.
        fps: Frames per second.
        joints: Positions, shape (T, ..., 3) [m].

    Raises:
        ClipError: Out of [1, 1000], or the median over frames of the fastest joint is above 15 m/s.
    """
    if not 1.0 <= fps <= 1000.0:
        raise ClipError(f"{where}: {fps:g} frames per second, expected 1 to 1000.")
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1).reshape(len(joints) - 1, -1)
    fastest = float(np.median(np.nanmax(steps, axis=1))) * fps if len(joints) > 1 else 0.0
    if fastest > _FASTEST:
        raise ClipError(
            f"{where}: at {fps:g} frames per second joints move at {fastest:.0f} m/s, nobody is faster than "
            f"{_FASTEST:g}. Give the rate of the file: --fps."
        )


def settle_fps(where: str, joints: Array, *, documented: float | None, given: float | None) -> float:
    """The frame rate: what the user says, else what is documented, unless nobody is that fast.

    Args:
        where: For messages.
        joints: Positions, shape (T, ..., 3) [m].
        documented: The format's, or the file's.
        given: The user's.

    Raises:
        ClipError: Nothing tells the rate, or people would move impossibly fast at it.
    """
    fps = documented if given is None else given
    if fps is None:
        raise ClipError(f"{where}: the frame rate is not in the file. Give it: --fps.")
    check_fps(where, fps, joints)
    return fps


def settled_by(documented: object, given: object) -> str:
    """How a convention was settled: "given", "documented" or "detected"."""
    if given is not None:
        return "given"
    return "detected" if documented is None else "documented"
