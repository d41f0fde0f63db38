"""Reading the key frames of the CMU takes 22_01 and 23_01, and playing them back at any frame.

The folder holds ``22_01_keyframes.txt``, ``23_01_keyframes.txt`` (a frame number and 62 channels per line: root
position, then Z-Y-X Euler angles in degrees) and ``skeletons.json`` (joints, parents, offsets, unit).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kinematics, rotations
from .errors import ClipError

Array = NDArray[np.float64]

SUBJECTS = ("22", "23")
"""A, who pulls, and B, who sits."""

RATE = 120.0
"""Source frames per second."""

_FILES = ("22_01_keyframes.txt", "23_01_keyframes.txt", "skeletons.json")
_MAX_BYTES = 2**20
_MAX_JOINTS = 64
_TURNING = (
    "Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "RightUpLeg", "RightLeg", "RightFoot", "RightToeBase",
    "LowerBack", "Spine", "Spine1", "Neck", "Neck1", "Head", "LeftArm", "LeftForeArm", "LeftHand", "RightArm",
    "RightForeArm", "RightHand",
)  # fmt: skip
_TWIST_ONLY = ("LeftHand", "RightHand")
_COLUMNS = 4 + 3 * (len(_TURNING) - len(_TWIST_ONLY)) + len(_TWIST_ONLY)

_WORLD = rotations.from_matrix(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]))
"""Source world (y up) to ours (z up): (x, y, z) -> (x, -z, y)."""

_FRAME = rotations.from_matrix(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
"""Our body axes (forward, left, up) in the source's (left, up, forward)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Performer:
    """One person's key frames on their own skeleton of S joints."""

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    """(S, 3) joint positions in the parent's frame, source axes [m]."""
    frames: Array
    """(K,) source frame numbers of the key frames, increasing."""
    root: Array
    """(K, 3) root position, source axes [m]."""
    rotation: Array
    """(K, S, 4) local rotations, sign-continuous."""

    def index(self, joint: str) -> int:
        """Index of a joint by its source name."""
        return self.joints.index(joint)

    def at(self, frame: Array) -> tuple[Array, Array]:
        """World pose at any source frames, by natural cubic splines through the key frames.

        Args:
            frame: Frame numbers, shape (T,), within the key frames.

        Returns:
            Positions (T, S, 3) [m] and rotations (T, S, 4) in our world (z up) with our body axes (x forward,
            y left, z up in the T-pose).
        """
        keys = len(self.frames)
        stacked = np.concatenate([self.root, self.rotation.reshape(keys, -1)], axis=-1)
        values = natural_spline(self.frames, stacked, frame)
        local = rotations.normalize(values[:, 3:].reshape(len(frame), -1, 4))
        position, rotation = kinematics.forward_kinematics(self.parents, self.offsets, values[:, :3], local)
        return rotations.rotate(_WORLD, position), rotations.multiply(rotations.multiply(_WORLD, rotation), _FRAME)

    def parent(self, joint: str) -> str:
        """Name of a joint's parent."""
        return self.joints[self.parents[self.index(joint)]]

    def rest_position(self, joint: str) -> Array:
        """Position of a joint in the T-pose from the root, our body axes, shape (3,) [m]."""
        total, index = np.zeros(3), self.index(joint)
        while index > 0:
            total, index = total + self.offsets[index], self.parents[index]
        return rotations.inverse_rotate(_FRAME, total)


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Both performers (A, B) and the hashes of the files they were read from."""

    performers: tuple[Performer, Performer]
    sha256: Mapping[str, str]


def natural_spline(knots: Array, values: Array, time: Array) -> Array:
    """Cubic spline with zero second derivative at both ends.

    Args:
        knots: Increasing times, shape (K,), K >= 3.
        values: Values at the knots, shape (K, C).
        time: Where to evaluate, shape (T,), clamped to the knots.

    Returns:
        Values, shape (T, C).
    """
    gap = np.diff(knots)
    slope = np.diff(values, axis=0) / gap[:, None]
    system = np.eye(len(knots))
    inner = np.arange(1, len(knots) - 1)
    system[inner, inner - 1], system[inner, inner + 1] = gap[:-1], gap[1:]
    system[inner, inner] = 2.0 * (gap[:-1] + gap[1:])
    right = np.zeros_like(values)
    right[1:-1] = 6.0 * np.diff(slope, axis=0)
    curve = np.linalg.solve(system, right)
    time = np.clip(time, knots[0], knots[-1])
    low = np.clip(np.searchsorted(knots, time, side="right") - 1, 0, len(knots) - 2)
    h = gap[low][:, None]
    b = (time - knots[low])[:, None] / h
    a = 1.0 - b
    bend = ((a**3 - a) * curve[low] + (b**3 - b) * curve[low + 1]) * h**2 / 6.0
    return a * values[low] + b * values[low + 1] + bend


def read_source(folder: str | os.PathLike[str]) -> Source:
    """Read the key frames of both performers.

    Args:
        folder: Where ``22_01_keyframes.txt``, ``23_01_keyframes.txt`` and ``skeletons.json`` are.

    Returns:
        Both performers.

    Raises:
        ClipError: A file is missing or malformed.
    """
    folder = Path(folder)
    texts = {name: _read_text(folder / name) for name in _FILES}
    skeletons = _read_json(folder / _FILES[2], texts[_FILES[2]])
    first, second = (
        _performer(folder / name, texts[name], skeletons, subject)
        for subject, name in zip(SUBJECTS, _FILES[:2], strict=True)
    )
    hashes = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    return Source(performers=(first, second), sha256=hashes)


def _read_text(path: Path) -> bytes:
    if not path.is_file():
        raise ClipError(f"{path}: no such file. Give the folder that holds {', '.join(_FILES)}.")
    with path.open("rb") as stream:
        text = stream.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ClipError(f"{path}: larger than {_MAX_BYTES} bytes, too large for key frames.")
    return text


def _read_json(path: Path, text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ClipError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(value, dict):
        raise ClipError(f"{path}: holds a JSON {type(value).__name__}, expected an object.")
    return value


def _performer(path: Path, text: bytes, skeletons: Mapping[str, Any], subject: str) -> Performer:
    joints, parents, offsets, unit = _skeleton(path.with_name(_FILES[2]), skeletons, subject)
    table = _table(path, text)
    turns = np.zeros((len(table), len(joints), 4))
    turns[..., 0] = 1.0
    column = 4
    for joint in _TURNING:
        width = 1 if joint in _TWIST_ONLY else 3
        turns[:, joints.index(joint)] = _euler(table[:, column : column + width])
        column += width
    turns = rotations.continuous(turns)
    root = table[:, 1:4] * unit
    return Performer(
        joints=joints,
        parents=parents,
        offsets=offsets,
        frames=table[:, 0],
        root=root,
        rotation=rotations.continuous(turns),
    )


def _skeleton(
    path: Path, data: Mapping[str, Any], subject: str
) -> tuple[tuple[str, ...], tuple[int, ...], Array, float]:
    try:
        joints = tuple(str(name) for name in data["joints"][:_MAX_JOINTS])
        above, table, unit = data["parents"], data["offsets_units"][subject], float(data["unit_m"])
        parents = tuple(joints.index(above[joint]) if joint in above else -1 for joint in joints)
        units = np.array([table.get(joint, (0.0, 0.0, 0.0)) for joint in joints], dtype=np.float64)
        kinematics.levels(parents)
        units = units.reshape(len(joints), 3)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClipError(f"{path}: not a skeleton of subject {subject} ({type(error).__name__}: {error}).") from error
    missing = [joint for joint in _TURNING if joint not in joints]
    if missing or not np.isfinite([unit, *units.ravel()]).all():
        problem = f"missing joint(s) {', '.join(missing)}" if missing else "bone lengths that are not finite"
        raise ClipError(f"{path}: subject {subject} has {problem}.")
    return joints, parents, units * unit, unit


def _table(path: Path, text: bytes) -> Array:
    try:
        lines = [line for line in text.decode().splitlines() if line.strip() and not line.startswith("#")]
        table = np.array([[float(value) for value in line.split()] for line in lines], dtype=np.float64)
    except ValueError as error:
        raise ClipError(f"{path}: not a table of numbers ({error}). The file looks damaged.") from error
    if table.ndim != 2 or table.shape[1] != _COLUMNS or len(table) < 3 or not np.isfinite(table).all():
        raise ClipError(f"{path}: has shape {table.shape}, expected at least 3 rows of {_COLUMNS} finite numbers.")
    if (np.diff(table[:, 0]) <= 0.0).any():
        raise ClipError(f"{path}: frame numbers must increase.")
    return table


def _euler(degrees: Array) -> Array:
    """Intrinsic Z-Y-X angles (K, 3), or X alone (K, 1), to quaternions (K, 4)."""
    angles = np.radians(degrees)
    turn = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), angles[:, -1])
    if angles.shape[1] == 1:
        return turn
    turn = rotations.multiply(rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), angles[:, 1]), turn)
    return rotations.multiply(rotations.from_axis_angle(np.array([0.0, 0.0, 1.0]), angles[:, 0]), turn)
