"""What somebody sits or lies on: boxes fitted to the motion.

A person rests where the pelvis is still, clear of the floor, low, and not above the feet (so they carry little). A
lying trunk gets a bed, else a seat. Rails cannot be seen in a motion: they come from the take.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..capsules import Capsules, box_depth, capsules, world_ends
from ..clip import ROLES, Furniture, FurnitureKind, PairClip
from ..quality import into_frame
from .intervals import intervals

__all__ = ["infer_furniture"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STILL = 0.15
"""The pelvis is slower than this [m/s]."""
_LOW = 0.8
"""... lower than this share of its standing height."""
_CLEAR = 0.15
"""... and at least this high above the floor, measured at its surface [m]."""
_BEHIND = 0.2
"""... and this far from the middle of the feet, horizontally [m]."""
_SHORTEST, _BRIDGE = 0.4, 0.3
"""Shortest rest and longest gap in one [s]."""
_LYING = np.deg2rad(55.0)
"""Trunks more inclined than this lie."""
_STOOL_HEIGHT = 0.55
"""Seats higher than this are stools [m]."""
_SEAT_BACK, _SEAT_HALF_WIDTH = 0.20, 0.22
"""A seat reaches this far behind the pelvis and to either side [m]."""
_THIGH_SHARE = 0.7
"""... and under this share of the thighs."""
_BED_MARGIN = 0.15
"""A bed reaches this far beyond the lying bodies [m]."""
_DEPTH = 0.01
"""Anybody may press this deep into furniture [m]."""
_LOWEST_TOP = 0.1
"""Boxes lower than this are no furniture [m]."""
_SEAT_FRONT = 0.04
"""A seat reaches at least this far before the pelvis [m]."""
_STRIP = 0.03
"""Width of the strips by which a seat is shortened at its front [m]."""
_LOWER = 0.02
"""A longer seat may be this much lower [m]."""


def infer_furniture(clip: PairClip) -> tuple[Furniture, ...]:
    """Boxes under people who sit or lie.

    Args:
        clip: The motion, without furniture.

    Returns:
        At most one seat or bed per person, as high as it fits under everybody in all frames.
    """
    boxes = []
    shapes = capsules(clip.bodies)
    ends = world_ends(shapes, clip.position, rotations.to_matrix(clip.rotation))
    for role in range(len(ROLES)):
        rest = _resting(clip, role, shapes, ends)
        if rest.any():
            box = _under(clip, role, rest)
            fitted = _fitted(box, shapes, ends)
            boxes += [] if fitted is None else [_named(fitted, role)]
    return tuple(boxes)


def _resting(clip: PairClip, role: int, shapes: Capsules, ends: tuple[Array, Array]) -> Mask:
    """When a person sits or lies on something, (T,)."""
    body, position = clip.bodies[role], clip.position[:, role]
    pelvis = position[:, 0]
    seat = (shapes.person == role) & (shapes.body == 0)
    surface = (np.minimum(ends[0][..., 2], ends[1][..., 2]) - shapes.radius)[:, seat].min(axis=1)
    feet = position[:, body.indices(("L_Ankle", "R_Ankle", "L_Toe", "R_Toe")), :2].mean(axis=1)
    speed = np.linalg.norm(clip.velocity[:, role, 0], axis=-1)
    rests = (
        (speed < _STILL)
        & (pelvis[:, 2] < _LOW * body.rest_height)
        & (surface > _CLEAR)
        & (np.linalg.norm(pelvis[:, :2] - feet, axis=-1) > _BEHIND)
    )
    out = np.zeros(len(rests), dtype=bool)
    for begin, end in intervals(rests, shortest=round(_SHORTEST * clip.fps), bridge=round(_BRIDGE * clip.fps)):
        out[begin:end] = True
    return out & rests


def _under(clip: PairClip, role: int, rest: Mask) -> Furniture:
    """A box up to the height of the resting pelvis, yet to be lowered."""
    body, position = clip.bodies[role], clip.position[rest, role]
    trunk = position[:, body.index("Chest")] - position[:, 0]
    lying = np.median(np.arccos(np.clip(trunk[:, 2] / np.linalg.norm(trunk, axis=-1), -1.0, 1.0))) > _LYING
    forward = position[:, body.indices(("L_Knee", "R_Knee"))].mean(axis=1) - position[:, 0]
    if lying:
        forward = position[:, 0] - position[:, body.index("Head")]
    yaw = float(np.arctan2(*np.median(forward[:, 1::-1], axis=0)))
    along = rotations.rotate(rotations.yaw_quaternion(-yaw), position)
    pelvis = np.median(along[:, 0], axis=0)
    names = ("Pelvis", "Head", "L_Shoulder", "R_Shoulder", "L_Knee", "R_Knee") if lying else ("Pelvis",)
    spots = np.median(along[:, body.indices(names)], axis=0)
    low, high = spots[:, :2].min(axis=0), spots[:, :2].max(axis=0)
    if lying:
        low, high = low - _BED_MARGIN, high + _BED_MARGIN
    else:
        reach = _THIGH_SHARE * np.median(np.linalg.norm(forward[:, :2], axis=-1))
        low = np.array([pelvis[0] - _SEAT_BACK, pelvis[1] - _SEAT_HALF_WIDTH])
        high = np.array([pelvis[0] + reach, pelvis[1] + _SEAT_HALF_WIDTH])
    return _box("bed" if lying else "seat", low, high, float(pelvis[2]), yaw)


def _box(kind: FurnitureKind, low: Array, high: Array, top: float, yaw: float) -> Furniture:
    """A box on the floor; corners in the frame turned by yaw."""
    middle = rotations.rotate(rotations.yaw_quaternion(yaw), np.array([*(0.5 * (low + high)), 0.5 * top]))
    x, y, z = (float(value) for value in middle)
    return Furniture(
        name=kind, kind=kind, size=(float(high[0] - low[0]), float(high[1] - low[1]), top), position=(x, y, z), yaw=yaw
    )


def _fitted(box: Furniture, shapes: Capsules, ends: tuple[Array, Array]) -> Furniture | None:
    """The longest box nearly as high as the shortest one, which only carries the pelvis: shanks need room."""
    boxes = [box]
    while box.kind == "seat" and boxes[-1].size[0] > _SEAT_BACK + _SEAT_FRONT + _STRIP:
        boxes.append(_shorter(boxes[-1]))
    fitted = [item for item in (_lowered(item, shapes, ends) for item in boxes) if item is not None]
    highest = max((item.size[2] for item in fitted), default=0.0)
    return next((item for item in fitted if item.size[2] > highest - _LOWER), None)


def _shorter(box: Furniture) -> Furniture:
    """The box without a strip at its front."""
    back = rotations.rotate(rotations.yaw_quaternion(box.yaw), np.array([-0.5 * _STRIP, 0.0, 0.0]))
    x, y, z = (float(value) for value in np.array(box.position) + back)
    return replace(box, size=(box.size[0] - _STRIP, *box.size[1:]), position=(x, y, z))


def _lowered(box: Furniture, shapes: Capsules, ends: tuple[Array, Array]) -> Furniture | None:
    """The box at the greatest height at which nobody presses deeper into it than allowed."""
    start, end = (into_frame(replace(box, position=(*box.position[:2], 0.0)), points) for points in ends)
    near = (np.minimum(np.abs(start), np.abs(end))[..., :2] < np.array(box.size[:2]) + 0.3).all(axis=-1).any(axis=0)
    start, end, radius = start[:, near], end[:, near], shapes.radius[near]
    low, high = 0.0, box.size[2]
    for _ in range(9):
        top = 0.5 * (low + high)
        shift = np.array([0.0, 0.0, 0.5 * top])
        depth = box_depth(start - shift, end - shift, radius, size=np.array([*box.size[:2], top]))
        low, high = (top, high) if depth.max(initial=-np.inf) < _DEPTH else (low, top)
    if low < _LOWEST_TOP:
        return None
    x, y, _ = box.position
    return replace(box, size=(*box.size[:2], low), position=(x, y, 0.5 * low))


def _named(box: Furniture, role: int) -> Furniture:
    kind: FurnitureKind = "stool" if box.kind == "seat" and box.size[2] > _STOOL_HEIGHT else box.kind
    return replace(box, kind=kind, name=f"{ROLES[role]}_{kind}")
