"""`Measured`: the joints of both people as one array, checked, on any clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec, get_body
from ..clip import MIN_FRAMES, ROLES
from ..errors import ClipError
from ..formats.take import Take
from .counterparts import origins, turns

__all__ = ["REQUIRED", "Measured", "filtered", "low_pass", "measured", "resampled"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

REQUIRED = tuple(
    side + part for side in ("L_", "R_") for part in ("Hip", "Knee", "Ankle", "Shoulder", "Elbow", "Wrist")
)
"""Joints without which a pose cannot be found."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Both people's joints in the order of a body; role 0 is the supporter."""

    fps: float
    body: BodySpec
    """Whose order this is; only names and order count."""
    joints: Array
    """World positions, shape (T, 2, J, 3) [m]; a joint is finite in all frames or, where not known, NaN in all."""
    rotation: Array
    """World rotations, shape (T, 2, J, 4), sign-continuous; NaN as above."""
    told: Mask
    """Which joints the source tells, shape (2, J); others may be placed later (`completion`)."""

    @property
    def told_joints(self) -> Array:
        """`joints` of people whose joints the source tells, without what was placed."""
        posed = np.array([[self.is_posed(role)] for role in range(2)])
        return np.where((self.told & ~posed)[..., None], self.joints, np.nan)

    @property
    def tells_joints(self) -> bool:
        """Whether both people are known by their joints."""
        return not (self.is_posed(0) or self.is_posed(1))

    def has_rotations(self, role: int) -> bool:
        """Whether the source knows how every body of this person is turned."""
        return bool(np.isfinite(self.rotation[0, role]).all())

    def is_posed(self, role: int) -> bool:
        """Whether this person is known by rotations, and by too few joints to do without them."""
        return not bool(self.told[role, self.body.indices(REQUIRED)].all())


def measured(take: Take, body: BodySpec, *, max_speed: float) -> Measured:
    """Check a take and bring its joints into a body's order (`counterparts`).

    Fingers and hands whose rotations are not known follow the hand or the wrist.

    Args:
        take: The take.
        body: Wanted order.
        max_speed: Joints may not be faster [m/s].

    Returns:
        The joints on the take's own clock.

    Raises:
        ClipError: Shapes differ, a needed joint is missing, a value is not finite, or a joint jumps; the message names
            person, joint and frame.
    """
    source = get_body(take.body)
    _check_shapes(take, source.num_bodies)
    joints = np.full((len(take.people[0].joints), 2, body.num_bodies, 3), np.nan)
    rotation = np.full((*joints.shape[:-1], 4), np.nan)
    places, turning = origins(body, source), turns(body, source)
    for role, person in enumerate(take.people):
        joints[:, role, list(places)] = person.joints[:, list(places.values())]
        if person.rotation is not None:
            rotation[:, role, list(turning)] = person.rotation[:, list(turning.values())]
    for index in np.concatenate([hand[1:] for hand in body.hands]):
        unknown = np.isnan(rotation[:, :, index]).all(axis=(0, 2))
        rotation[:, unknown, index] = rotation[:, unknown, body.parents[index]]
    _check_missing(take.name, body, joints, rotation)
    for what, values in (("joints", joints), ("rotation", rotation)):
        _check_finite(take.name, body, what, values)
    _check_speed(take, body, joints, max_speed)
    told = np.asarray(np.isfinite(joints).all(axis=(0, 3)))
    return Measured(fps=take.fps, body=body, joints=joints, rotation=_continuous(take.name, body, rotation), told=told)


def resampled(source: Measured, fps: float) -> Measured:
    """The same motion at another rate: positions linear, rotations on the shortest arc; a remainder is dropped.

    Args:
        source: Motion at any rate.
        fps: Wanted frames per second.

    Returns:
        The motion from the same first frame on; where frames of both clocks coincide they are equal.

    Raises:
        ClipError: Fewer than ten frames would remain.
    """
    last = len(source.joints) - 1
    count = int(np.floor(last / source.fps * fps + 1e-6)) + 1
    if count < MIN_FRAMES:
        raise ClipError(
            f"{last + 1} frames at {source.fps:g} fps last {last / source.fps:.2f} s, {count} frames at {fps:g} fps; "
            f"at least {MIN_FRAMES} are needed. Take a longer part or more frames per second."
        )
    frame = np.arange(count) * (source.fps / fps)
    frame = np.minimum(np.where(np.abs(frame - np.rint(frame)) < 1e-6, np.rint(frame), frame), last)
    low = np.minimum(frame.astype(np.intp), last - 1)
    blend = (frame - low)[:, None, None]
    joints = (1.0 - blend[..., None]) * source.joints[low] + blend[..., None] * source.joints[low + 1]
    rotation = rotations.slerp(source.rotation[low], source.rotation[low + 1], blend)
    return replace(source, fps=fps, joints=joints, rotation=rotation)


def low_pass(source: Measured, cutoff: float) -> Measured:
    """Filter the motion over time without delay (Gaussian, ends mirrored through their end points).

    Args:
        source: Motion at any rate.
        cutoff: Frequency at which half of the power passes [Hz].

    Returns:
        The filtered motion.
    """
    joints, rotation = (filtered(values, source.fps, cutoff) for values in (source.joints, source.rotation))
    return replace(source, joints=joints, rotation=rotations.normalize(rotation))


def filtered(values: Array, fps: float, cutoff: float) -> Array:
    """Values whose first axis is time without what changes faster than a frequency, see `low_pass`.

    Args:
        values: Shape (T, ...).
        fps: Frames per second.
        cutoff: Frequency at which half of the power passes [Hz].
    """
    sigma = fps * np.sqrt(np.log(2.0)) / (2.0 * np.pi * cutoff)
    radius = min(int(np.ceil(4.0 * sigma)), len(values) - 1)
    weight = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weight /= weight.sum()
    before = 2.0 * values[0] - values[radius:0:-1]
    after = 2.0 * values[-1] - values[-2 : -radius - 2 : -1]
    padded = np.concatenate([before, values, after])
    return sum((w * padded[i : i + len(values)] for i, w in enumerate(weight)), start=np.zeros(values.shape))


def _check_shapes(take: Take, bodies: int) -> None:
    frames = len(take.people[0].joints)
    for role, person in zip(ROLES, take.people, strict=True):
        shapes: list[tuple[str, Array, tuple[int, ...]]] = [("joints", person.joints, (frames, bodies, 3))]
        if person.rotation is not None:
            shapes.append(("rotation", person.rotation, (frames, bodies, 4)))
        if person.offsets is not None:
            shapes.append(("offsets", person.offsets, (bodies, 3)))
        for key, values, expected in shapes:
            if values.shape != expected:
                raise ClipError(
                    f"take '{take.name}', {role}: {key} has shape {values.shape}, expected {expected} "
                    f"(body '{take.body}'; both people have equally many frames)."
                )
    if frames < 2 or not np.isfinite(take.fps) or take.fps <= 0:
        raise ClipError(f"take '{take.name}': {frames} frames at {take.fps:g} fps; there is no motion in it.")


def _check_missing(name: str, body: BodySpec, joints: Array, rotation: Array) -> None:
    """The limbs' joints are known, or else the pelvis and how every body is turned."""
    lost = np.asarray(np.isnan(joints).all(axis=(0, 3)))
    unknown = np.asarray(np.isnan(rotation).all(axis=(0, 3)))
    for role, who in enumerate(ROLES):
        if not (unknown[role].any() or lost[role, 0]):
            continue
        missing = np.array(REQUIRED)[lost[role, body.indices(REQUIRED)]]
        if len(missing):
            raise ClipError(
                f"take '{name}', {who}: no {', '.join(missing)}. Needed are: {', '.join(REQUIRED)}; or the pelvis and "
                "the rotations of all bodies."
            )


def _check_finite(name: str, body: BodySpec, what: str, values: Array) -> None:
    """A joint is known in all frames or in none."""
    bad = ~np.isfinite(values)
    bad &= ~np.isnan(values).all(axis=(0, 3), keepdims=True)
    if bad.any():
        frame, role, joint, _ = (int(i) for i in np.argwhere(bad)[0])
        raise ClipError(
            f"take '{name}', {ROLES[role]}: {what} of {body.names[joint]} in frame {frame} is not finite "
            f"({int(bad.any(axis=(1, 2, 3)).sum())} such frames). Cut them off or fill the gap before importing."
        )


def _check_speed(take: Take, body: BodySpec, joints: Array, limit: float) -> None:
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * take.fps
    fast = speed > limit
    if fast.any():
        frame, role, joint = (int(i) for i in np.argwhere(fast)[0])
        raise ClipError(
            f"take '{take.name}', {ROLES[role]}: {body.names[joint]} moves at {speed[frame, role, joint]:.1f} m/s from "
            f"frame {frame} to {frame + 1} of the source, expected at most {limit:g} m/s. A glitch of the recording, "
            f"or wrong units or frames per second ({take.fps:g})?"
        )


def _continuous(name: str, body: BodySpec, rotation: Array) -> Array:
    """Unit quaternions whose consecutive frames lie in one half-space."""
    length = np.linalg.norm(rotation, axis=-1)
    off = np.abs(length - 1.0) > 1e-2
    if off.any():
        frame, role, joint = (int(i) for i in np.argwhere(off)[0])
        raise ClipError(
            f"take '{name}', {ROLES[role]}: rotation of {body.names[joint]} in frame {frame} has length "
            f"{length[frame, role, joint]:.3g}, expected unit quaternions (w, x, y, z)."
        )
    return rotations.continuous(rotation / length[..., None])
