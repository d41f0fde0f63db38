"""Dynamic reference retargeting: hand targets that keep their relative position to the partner's *real* body.

``spec/assistmimic.md`` section 3 with the repairs of section 12 (defects 7 and 8). For each hand and reference frame
an *anchor* is chosen among the partner's bodies (``hands.ANCHORS``). The reference hand, seen from the anchor, is
carried to where the anchor really is and how it is really turned; wrist and hand move by the difference, to the degree
that a smooth gate is open. Reference and simulation are compared at the same time; the difference is added to the goal
one step ahead and to the target of the reward alike. Termination and metrics keep the untouched reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .actuation import limit_norm
from .body import SIDES
from .config import CONTROL_DT, RetargetingConfig
from .hands import Hands, smoothstep
from .reference import Goal, Reference
from .worlds import Motion

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]

_OPEN_SHARE = 0.95


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far the hand targets of n worlds have moved.

    Attributes:
        position: Of the bodies of each hand, world frame, shape (n, 2 sides, B, 3) [m].
        elbow: Of the elbow, shape (n, 2 sides, 3) [m]; ``None`` without inverse kinematics of the arm.
        turn: World rotations to apply to upper arm and forearm, shape (n, 2 sides, 2, 4); ``None`` likewise.
    """

    position: Array
    elbow: Array | None = None
    turn: Array | None = None


class Retargeting:
    """Moves the hand targets of one role.

    Args:
        reference: The clips.
        hands: Whose hands.
        config: How.

    Attributes:
        anchor: Row in ``hands.anchors`` of the present and the neighbouring anchor, shape (F, 2 sides, 2).
        share: Weight of the neighbouring one, in [0, 0.5], shape (F, 2 sides).
        by_pelvis: Whether a clip's gate is the distance of the pelvises, shape (C,).
    """

    def __init__(self, reference: Reference, hands: Hands, config: RetargetingConfig) -> None:
        self._reference, self._hands, self._config = reference, hands, config
        body = reference.clips[0].bodies[0]
        self._arms = np.array([body.indices((f"{side}_Shoulder", f"{side}_Elbow")) for side in SIDES], dtype=np.intp)
        gap = reference_gap(reference, hands)
        blend = max(round(config.blend / CONTROL_DT), 0)
        tables = [
            _anchors(gap[first : first + length], margin=config.margin, blend=blend)
            for first, length in zip(reference.first, reference.length, strict=True)
        ]
        self.anchor = np.concatenate([anchor for anchor, _ in tables])
        self.share = np.concatenate([share for _, share in tables])
        nearest = gap.min(axis=-1)
        self._hand_gate = 1.0 - smoothstep(nearest, config.hand_near, config.hand_far)
        self.by_pelvis = np.array([self._stays_near(clip, nearest) for clip in range(len(reference.clips))])

    def _stays_near(self, clip: int, nearest: Array) -> bool:
        """Whether a clip's gate is the pelvises' distance."""
        if self._config.gate != "auto":
            return self._config.gate == "pelvis"
        rows = self._reference.first[clip] + np.arange(self._reference.length[clip])
        touching = (nearest[rows] < self._config.hand_near).any(axis=-1)
        pelvis = self._reference.position[rows][:, :, 0]
        near = np.linalg.norm(pelvis[:, 0] - pelvis[:, 1], axis=-1) < self._config.pelvis_near
        return bool(touching.any() and near[touching].mean() >= _OPEN_SHARE)

    def gate(self, motion: Motion, clip: Ids, row: Ids) -> Array:
        """How much the targets follow, in [0, 1], shape (n, 2 sides)."""
        root = motion.position[:, :, 0]
        offset = root[:, 0] - root[:, 1]
        distance = np.sqrt(np.einsum("ni,ni->n", offset, offset))
        pelvis = 1.0 - smoothstep(distance, self._config.pelvis_near, self._config.pelvis_far)
        return np.where(self.by_pelvis[clip][:, None], pelvis[:, None], self._hand_gate[row])

    def shift(self, motion: Motion, clip: Ids, row: Ids) -> Shift:
        """Compare n worlds with the reference of the same time.

        Args:
            motion: How the people move now.
            clip: Clips that are played, shape (n,).
            row: Reference rows of the present time, shape (n,).
        """
        hands, partner = self._hands, 1 - self._hands.role
        anchor = hands.anchors[self.anchor[row]]
        world = np.arange(len(row))[:, None, None]
        ref_position, ref_matrix = self._reference.position[row], self._reference.matrix[row]
        hand = ref_position[:, hands.role, hands.bodies]
        moved = carried(
            hand[:, :, None],
            ref_position[world, partner, anchor],
            ref_matrix[world, partner, anchor],
            motion.position[world, partner, anchor],
            motion.matrix[world, partner, anchor],
        )
        share = self.share[row][..., None, None]
        offset = (1.0 - share) * moved[:, :, 0] + share * moved[:, :, 1] - hand
        offset = self.gate(motion, clip, row)[..., None, None] * limit_norm(offset, self._config.max_shift)
        if not self._config.arm:
            return Shift(position=offset)
        return self._with_arm(offset, ref_position)

    def _with_arm(self, offset: Array, ref_position: Array) -> Shift:
        role, bodies, arms = self._hands.role, self._hands.bodies, self._arms
        shoulder, elbow = ref_position[:, role, arms[:, 0]], ref_position[:, role, arms[:, 1]]
        wrist = ref_position[:, role, bodies[:, 0]]
        new_elbow, new_wrist = bent_arm(shoulder, elbow, wrist, wrist + offset[:, :, 0])
        unreached = new_wrist - wrist - offset[:, :, 0]
        turn = [
            rotations.between(elbow - shoulder, new_elbow - shoulder),
            rotations.between(wrist - elbow, new_wrist - new_elbow),
        ]
        return Shift(position=offset + unreached[:, :, None], elbow=new_elbow - elbow, turn=np.stack(turn, axis=-2))

    def move(self, goal: Goal, shift: Shift) -> None:
        """Move a goal of n worlds in place."""
        role, hands, arms = self._hands.role, self._hands.bodies, self._arms
        position = goal.motion[:, :, 0]
        position[:, role, hands] += shift.position
        if shift.elbow is None or shift.turn is None:
            return
        position[:, role, arms[:, 1]] += shift.elbow
        turned = rotations.multiply(shift.turn, goal.rotation[:, role, arms])
        goal.rotation[:, role, arms] = turned
        goal.matrix[:, role, arms] = rotations.to_matrix(turned)
        goal.columns[:, role, arms] = rotations.tan_norm(turned).reshape(*turned.shape[:-1], 2, 3)

    def hand_positions(self, goal: Goal) -> Array:
        """Wrist and first knuckle of each hand of a goal of n worlds, shape (n, 4, 3) [m]."""
        return goal.motion[:, self._hands.role, 0, self._hands.bodies[:, :2].reshape(-1)]


def reference_gap(reference: Reference, hands: Hands) -> Array:
    """``Hands.gap`` in all rows of the reference, shape (F, 2 sides, K) [m]."""
    clip = np.repeat(np.arange(len(reference.clips)), reference.length)
    return hands.gap(reference.position, reference.matrix, clip)


def carried(point: Array, ref_origin: Array, ref_matrix: Array, origin: Array, matrix: Array) -> Array:
    """Carry points along with a frame that moved.

    Args:
        point: Points, shape (..., B, 3) [m].
        ref_origin: Where the frame was, shape (..., 3) [m].
        ref_matrix: How it was turned, shape (..., 3, 3).
        origin: Where it is.
        matrix: How it is turned.

    Returns:
        The points with unchanged coordinates in the frame, shape (..., B, 3) [m].
    """
    seen = (point - ref_origin[..., None, :]) @ ref_matrix
    return origin[..., None, :] + seen @ np.swapaxes(matrix, -1, -2)


def bent_arm(shoulder: Array, elbow: Array, wrist: Array, target: Array) -> tuple[Array, Array]:
    """Two-bone inverse kinematics in the arm's own plane.

    Args:
        shoulder: Shape (..., 3) [m].
        elbow: Shape (..., 3) [m].
        wrist: Shape (..., 3) [m].
        target: Where the wrist should be, shape (..., 3) [m].

    Returns:
        New elbow and wrist; the wrist is the target, or the nearest point within reach. Bone lengths are kept.
    """
    upper, fore = (np.linalg.norm(bone, axis=-1, keepdims=True) for bone in (elbow - shoulder, wrist - elbow))
    reach = target - shoulder
    length = np.linalg.norm(reach, axis=-1, keepdims=True)
    distance = np.clip(length, np.abs(upper - fore) + 1e-6, upper + fore - 1e-6)
    along = reach / np.maximum(length, 1e-9)
    pole = (elbow - shoulder) - np.sum((elbow - shoulder) * along, axis=-1, keepdims=True) * along
    height = np.linalg.norm(pole, axis=-1, keepdims=True)
    helper = np.cross(along, np.where(np.abs(along[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    pole = np.where(height > 1e-6, pole / np.maximum(height, 1e-9), helper / np.linalg.norm(helper, axis=-1)[..., None])
    foot = (upper**2 - fore**2 + distance**2) / (2.0 * distance)
    rise = np.sqrt(np.maximum(upper**2 - foot**2, 0.0))
    return shoulder + foot * along + rise * pole, shoulder + distance * along


def _anchors(gap: Array, *, margin: float, blend: int) -> tuple[Ids, Array]:
    """Anchors of one clip, kept until another body is nearer by a margin, with the next one mixed in at a change.

    Args:
        gap: Shape (T, 2 sides, K) [m].
        margin: Hysteresis [m].
        blend: Frames over which a change takes place.

    Returns:
        Present and neighbouring anchor, shape (T, 2, 2), and the neighbour's weight, shape (T, 2).
    """
    frames, sides = gap.shape[:2]
    present = np.empty((frames, sides), dtype=np.intp)
    held = gap[0].argmin(axis=-1)
    side = np.arange(sides)
    for frame in range(frames):
        nearest = gap[frame].argmin(axis=-1)
        held = np.where(gap[frame, side, nearest] < gap[frame, side, held] - margin, nearest, held)
        present[frame] = held
    neighbour, share = present.copy(), np.zeros((frames, sides))
    half = 0.5 * blend
    for frame, column in np.argwhere(present[1:] != present[:-1]):
        window = np.arange(max(0, frame + 1 - int(half)), min(frames, frame + 1 + int(half)))
        weight = 0.5 * (1.0 - np.abs(window - (frame + 0.5)) / (half + 0.5))
        stronger = weight > share[window, column]
        other = np.where(window <= frame, present[frame + 1, column], present[frame, column])
        share[window[stronger], column] = weight[stronger]
        neighbour[window[stronger], column] = other[stronger]
    return np.stack([present, neighbour], axis=-1), share
