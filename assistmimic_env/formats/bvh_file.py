"""BVH files: a hierarchy of joints with offsets and channels, then one line of channel values per frame."""

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

MAX_JOINTS = 512

_AXES = {"X": 0, "Y": 1, "Z": 2}
_KINDS = ("position", "rotation")


@dataclass(frozen=True, kw_only=True, eq=False)
class BvhFile:
    """What a BVH file holds; lengths in the file's unit."""

    motion: RigMotion
    fps: float
    """1 / frame time, as a whole number where it is one but for rounding."""


@dataclass
class _Tree:
    """The hierarchy as it is read."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[tuple[str, ...]] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    """Joints whose braces are open, innermost last."""


def read_bvh(path: Path) -> BvhFile:
    """Read a BVH file of one person.

    Rotations follow each other in the order of their channels about the turned axes (``Z Y X``: R_z R_y R_x), in
    degrees. Position channels take the place of the joint's offset.

    Raises:
        ClipError: Missing, damaged or truncated; says the line.
        UntrustedFileError: Too large.
    """
    lines = read_lines(path)
    start = next((i for i, line in enumerate(lines) if line.words[0].upper() == "MOTION"), None)
    if lines[0].words[0].upper() != "HIERARCHY" or start is None:
        raise ClipError(f"{path}: not a BVH file: no {'MOTION' if start is None else 'HIERARCHY'}. Is it truncated?")
    tree = _hierarchy(lines[1:start], lines[start])
    frames, fps = _header(path, lines[start + 1 : start + 3])
    values = _values(path, lines[start + 3 :], frames, sum(map(len, tree.channels)))
    motion = _posed(tree, values)
    check_numbers(str(path), motion)
    return BvhFile(motion=motion, fps=fps)


def _hierarchy(lines: Sequence[Line], end: Line) -> _Tree:
    tree = _Tree()
    for line in lines:
        _declare(tree, line)
    if tree.open or not tree.names:
        raise end.error("the hierarchy before it is not complete. The file looks damaged.")
    late = [name for name, offset in zip(tree.names, tree.offsets, strict=True) if not offset]
    if late:
        raise end.error(f"joint {late[0]!r} has no OFFSET.")
    return tree


def _declare(tree: _Tree, line: Line) -> None:
    """One line of the hierarchy."""
    words = line.words
    word = words[0].upper()
    if word in ("ROOT", "JOINT", "END"):
        _open_joint(tree, line, word)
    elif word == "}" and len(words) == 1 and tree.open:
        tree.open.pop()
    elif word == "OFFSET" and tree.open:
        tree.offsets[tree.open[-1]] = line.numbers(3)
    elif word == "CHANNELS" and tree.open:
        tree.channels[tree.open[-1]] = _channels(line)
    elif words != ("{",):
        raise line.error(f"{' '.join(words)[:60]!r} is not expected in the hierarchy.")


def _open_joint(tree: _Tree, line: Line, word: str) -> None:
    words = line.words[:-1] if line.words[-1] == "{" else line.words
    if (word == "ROOT") == bool(tree.open) or (word == "ROOT" and tree.names):
        raise line.error("a second ROOT, or a JOINT outside of one; expected one person's tree of joints.")
    if len(tree.names) >= MAX_JOINTS:
        raise line.error(f"more than {MAX_JOINTS} joints.")
    name = f"{tree.names[tree.open[-1]]}_end{len(tree.names)}" if word == "END" else " ".join(words[1:])
    if not name or name in tree.names:
        raise line.error(f"joint {name!r} has no name or the name of another.")
    tree.names.append(name)
    tree.parents.append(tree.open[-1] if tree.open else -1)
    tree.offsets.append([])
    tree.channels.append(())
    tree.open.append(len(tree.names) - 1)


def _channels(line: Line) -> tuple[str, ...]:
    channels = line.words[2:]
    known = all(text[:1].upper() in _AXES and text[1:].lower() in _KINDS for text in channels)
    if not known or line.words[1:2] != (str(len(channels)),) or len(set(channels)) != len(channels):
        raise line.error("expected CHANNELS, their number, and as many of Xposition ... Zrotation.")
    return tuple(text[0].upper() + text[1:].lower() for text in channels)


def _header(path: Path, lines: Sequence[Line]) -> tuple[int, float]:
    """Number of frames and frames per second."""
    if len(lines) < 2 or lines[0].words[0].lower() != "frames:" or tuple(map(str.lower, lines[1].words[:2])) != (
        "frame", "time:",
    ):  # fmt: skip
        raise ClipError(f"{path}: expected 'Frames: N' and 'Frame Time: seconds' after MOTION. Is it truncated?")
    frames, step = lines[0].numbers(1)[0], lines[1].numbers(1, start=2)[0]
    if not 1e-3 <= step <= 10.0 or frames != int(frames) or frames < 1:
        raise lines[1].error(f"{frames:g} frames of {step:g} s each are not a motion.")
    rate = 1.0 / step
    return int(frames), float(round(rate)) if abs(rate - round(rate)) < 1e-3 * rate else rate


def _values(path: Path, lines: Sequence[Line], frames: int, count: int) -> Array:
    """Channel values, shape (frames, count)."""
    if len(lines) != frames:
        raise ClipError(f"{path}: {len(lines)} lines of motion, {frames} were announced. The file looks truncated.")
    for line in lines:
        if len(line.words) != count:
            raise line.error(f"{len(line.words)} channel values, the hierarchy declares {count}. Is it truncated?")
    return np.array([line.numbers(count, start=0) for line in lines])


def _posed(tree: _Tree, values: Array) -> RigMotion:
    """World poses of all joints from the channels."""
    offsets = np.array(tree.offsets)
    places = np.broadcast_to(offsets, (len(values), *offsets.shape)).copy()
    local = kinematics.identity(len(values), len(tree.names))
    column = 0
    for joint, channels in enumerate(tree.channels):
        for channel in channels:
            axis = _AXES[channel[0]]
            if channel.endswith("position"):
                places[:, joint, axis] = values[:, column]
            else:
                turn = rotations.from_axis_angle(np.eye(3)[axis], np.radians(values[:, column]))
                local[:, joint] = rotations.multiply(local[:, joint], turn)
            column += 1
    position, rotation = kinematics.forward_kinematics(tree.parents, places, places[:, 0], local)
    rest = np.concatenate([np.zeros((1, 3)), offsets[1:]])
    return RigMotion(
        joints=tuple(tree.names), parents=tuple(tree.parents), offsets=rest, position=position, rotation=rotation
    )
