"""Acclaim's ASF skeletons and AMC motion, as CMU uses them (spec/data.md section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import kinematics, rotations
from ..errors import ClipError
from .rig import RigMotion, check_numbers
from .text_file import Line, read_lines

Array = NDArray[np.float64]

ROOT = "root"
MAX_BONES = 512
INCH = 0.0254

_ROOT_ORDER = ("tx", "ty", "tz", "rx", "ry", "rz")
_AXES = {"rx": 0, "ry": 1, "rz": 2}


@dataclass
class _Bone:
    direction: list[float] = field(default_factory=list)
    length: float = np.nan
    axis: list[float] = field(default_factory=list)
    dofs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class AsfSkeleton:
    """S bones, the root first, each of which begins where its parent ends."""

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    vectors: Array
    """From begin to end of each bone in the rest pose, shape (S, 3), in the file's unit."""
    axes: Array
    """Turn (S, 4) from the rest pose's axes to those about which a bone turns."""
    dofs: tuple[tuple[str, ...], ...]
    """What a line of motion holds for each bone, in order: of rx, ry, rz; the root first translates."""
    unit: float
    """Metres per unit: inches over the length in ``:units``."""


def fixed_axes(degrees: Array) -> Array:
    """Turns (..., 4) about the fixed x, then y, then z axis, from angles (..., 3) in degrees: R_z R_y R_x."""
    x, y, z = (rotations.from_axis_angle(np.eye(3)[i], np.radians(degrees[..., i])) for i in range(3))
    return rotations.multiply(z, rotations.multiply(y, x))


def read_asf(path: Path) -> AsfSkeleton:
    """Read a skeleton.

    Raises:
        ClipError: Missing, damaged, or with other conventions than CMU's; says the line.
        UntrustedFileError: Too large.
    """
    sections = _sections(read_lines(path))
    for name in (":units", ":root", ":bonedata", ":hierarchy"):
        if name not in sections:
            raise ClipError(f"{path}: no section {name}. The file looks truncated, or is no ASF skeleton.")
    unit = _unit(path, sections[":units"])
    _check_root(sections[":root"])
    bones = _bones(sections[":bonedata"])
    parents = _hierarchy(sections[":hierarchy"], bones)
    names = (ROOT, *parents)
    known = [bones[name] for name in names[1:]]
    return AsfSkeleton(
        bones=names,
        parents=(-1, *(names.index(parent) for parent in parents.values())),
        vectors=np.array([[0.0] * 3, *(np.array(bone.direction) * bone.length for bone in known)]),
        axes=fixed_axes(np.array([[0.0] * 3, *(bone.axis for bone in known)])),
        dofs=(_ROOT_ORDER, *(bone.dofs for bone in known)),
        unit=unit,
    )


def read_amc(path: Path, skeleton: AsfSkeleton) -> RigMotion:
    """Read a motion of a skeleton, in the file's unit.

    Bones turn about their own axes: G_bone = G_parent C M C^-1 with C = E(axis) and M = E(angles), E about the fixed
    x, y and z axes in that order.

    Raises:
        ClipError: Missing, damaged or truncated, or of another skeleton; says the line.
        UntrustedFileError: Too large.
    """
    angles, root = _motion_values(path, skeleton)
    turns = fixed_axes(angles)
    local = rotations.multiply(rotations.multiply(skeleton.axes, turns), rotations.conjugate(skeleton.axes))
    offsets = skeleton.vectors[np.maximum(skeleton.parents, 0)]
    position, rotation = kinematics.forward_kinematics(skeleton.parents, offsets, root, local)
    motion = RigMotion(
        joints=skeleton.bones, parents=skeleton.parents, offsets=offsets, position=position, rotation=rotation
    )
    check_numbers(str(path), motion)
    return motion


def _sections(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Lines by section, the section's own line first; comments left out."""
    sections: dict[str, list[Line]] = {}
    current: list[Line] = []
    for line in lines:
        word = line.words[0].lower()
        if word.startswith(":"):
            current = sections.setdefault(word, [])
        if not word.startswith("#"):
            current.append(line)
    return sections


def _unit(path: Path, lines: Sequence[Line]) -> float:
    values = {line.words[0].lower(): line for line in lines[1:]}
    if "length" not in values or values.get("angle", lines[0]).words[1:2] != ("deg",):
        raise ClipError(f"{path}: :units must give 'length' and 'angle deg'.")
    length = values["length"].numbers(1)[0]
    if not 1e-6 < length < 1e6:
        raise values["length"].error(f"a unit of length of {length:g} makes no sense.")
    return INCH / length


def _check_root(lines: Sequence[Line]) -> None:
    for line in lines[1:]:
        words = tuple(word.lower() for word in line.words)
        zero = words[0] in ("position", "orientation") and not any(line.numbers(3))
        if not zero and words not in (("order", *_ROOT_ORDER), ("axis", "xyz")):
            raise line.error("the root is not CMU's: expected order TX TY TZ RX RY RZ, axis XYZ, no offset, no turn.")


def _bones(lines: Sequence[Line]) -> dict[str, _Bone]:
    bones: dict[str, _Bone] = {}
    name, bone = "", _Bone()
    for line in lines[1:]:
        word = line.words[0].lower()
        if word == "begin":
            name, bone = "", _Bone()
        elif word == "name" and len(line.words) == 2:
            name = line.words[1]
        elif word == "end":
            if not name or name in bones or not bone.direction or len(bone.axis) != 3 or not np.isfinite(bone.length):
                raise line.error(f"bone {name!r} is not complete (name, direction, length, axis), or occurs twice.")
            bones[name] = bone
        else:
            _describe(bone, line, word)
        if len(bones) > MAX_BONES:
            raise line.error(f"more than {MAX_BONES} bones.")
    return bones


def _describe(bone: _Bone, line: Line, word: str) -> None:
    """One property of a bone; identity and limits are not needed."""
    if word == "direction":
        bone.direction = line.numbers(3)
    elif word == "length":
        bone.length = line.numbers(1)[0]
    elif word == "axis":
        if line.words[-1].lower() != "xyz":
            raise line.error(f"axis order {line.words[-1]!r}, expected XYZ.")
        bone.axis = Line(line.path, line.number, line.words[:-1]).numbers(3)
    elif word == "dof":
        bone.dofs = tuple(text.lower() for text in line.words[1:])
        if not set(bone.dofs) <= set(_AXES) or len(set(bone.dofs)) != len(bone.dofs):
            raise line.error(f"dof {' '.join(bone.dofs)[:40]!r}, expected some of rx, ry, rz.")


def _hierarchy(lines: Sequence[Line], bones: dict[str, _Bone]) -> dict[str, str]:
    """Bone -> its parent, parents first."""
    parents: dict[str, str] = {}
    for line in lines[1:]:
        if line.words in (("begin",), ("end",)):
            continue
        parent, *children = line.words
        for child in children:
            if child not in bones or child in parents or not (parent == ROOT or parent in parents):
                raise line.error(f"{child!r} under {parent!r}: unknown, twice, or before its parent.")
            parents[child] = parent
    if not parents:
        raise lines[0].error("no bones in the hierarchy. The file looks truncated.")
    return parents


def _motion_values(path: Path, skeleton: AsfSkeleton) -> tuple[Array, Array]:
    """Angles (T, S, 3) [degrees] and the root's places (T, 3)."""
    rows = {name: i for i, name in enumerate(skeleton.bones)}
    moving = {name for name, dofs in zip(skeleton.bones, skeleton.dofs, strict=True) if dofs}
    frames: list[dict[str, list[float]]] = []
    for line in read_lines(path):
        word = line.words[0]
        if word[0] in "#:":
            continue
        if len(line.words) == 1 and word.isdigit():
            _check_frame(line, frames, moving)
            frames.append({})
        elif not frames or word not in moving or word in frames[-1]:
            raise line.error(f"{word[:40]!r} is no moving bone of the skeleton, occurs twice, or has no frame number.")
        else:
            frames[-1][word] = line.numbers(len(skeleton.dofs[rows[word]]))
    if not frames or len(frames[-1]) < len(moving):
        raise ClipError(f"{path}: frame {len(frames)} is not complete. The file looks truncated.")
    values = {name: np.array([frame[name] for frame in frames]) for name in moving}
    angles = np.zeros((len(frames), len(rows), 3))
    for name in moving:
        turning = [(i, _AXES[dof]) for i, dof in enumerate(skeleton.dofs[rows[name]]) if dof in _AXES]
        angles[:, rows[name], [axis for _, axis in turning]] = values[name][:, [column for column, _ in turning]]
    return angles, values[ROOT][:, :3]


def _check_frame(line: Line, frames: Sequence[dict[str, list[float]]], moving: set[str]) -> None:
    if frames and len(frames[-1]) < len(moving):
        lacking = ", ".join(sorted(moving - set(frames[-1]))[:5])
        raise line.error(f"the frame before lacks {lacking}. The file looks damaged.")
    if int(line.words[0][:9]) != len(frames) + 1:
        raise line.error(f"frame number {line.words[0][:20]}, expected {len(frames) + 1}.")
