"""`convert_take`: a take on our bodies and our clock, as a clip."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec, get_body
from ..clip import ROLES, Furniture, PairClip
from ..formats.take import Take
from ..quality import quality
from .completion import completed
from .contacts import infer_contacts
from .conversion_report import ConversionReport
from .fitting import figures, people
from .furniture import infer_furniture
from .measured import Measured, low_pass, measured, resampled
from .measures import hand_change, joint_errors
from .placing import pair_shift
from .pose import first_pose
from .settings import ConversionSettings
from .solving import Goal, Motion, separated, solve_pair, solve_people
from .stance import clear_of_floor, foot_indices, planted, slide, sole_drop, standing, steadied

__all__ = ["Conversion", "ConversionReport", "ConversionSettings", "convert_take"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Bodies = tuple[BodySpec, BodySpec]

CONVERTER = "assistmimic_env.importing 2"
"""Name and version of this conversion; a change of its result raises the version."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Conversion:
    """A clip and what was done to get it."""

    clip: PairClip
    report: ConversionReport


@dataclass(frozen=True, kw_only=True, eq=False)
class _Placed:
    """The source on the clip's clock and place, with both bodies."""

    source: Measured
    bodies: Bodies
    stands: Mask
    """When feet stand, (T, 2, F)."""
    shift: Array
    """What was added to all positions, (3,) [m]."""


def convert_take(take: Take, settings: ConversionSettings | None = None) -> Conversion:
    """Put a take on our bodies.

    Both people keep their places to each other: one shift for both (floor at height 0, origin between the feet), and no
    turn; only ``steady`` shifts each person alone. Where the source knows all rotations and the own bones, the pose is
    taken over; else it follows the joints.

    Args:
        take: What a file says.
        settings: See `ConversionSettings`.

    Returns:
        The clip and its report.

    Raises:
        ClipError: Joints are missing, not finite, or jump; or the take is too short.
        ConfigError: There is no such body.
    """
    settings = settings or ConversionSettings()
    begin = time.perf_counter()
    placed = _placed(take, settings)
    alone, motion = _solved(placed, settings)
    spent = time.perf_counter() - begin
    clip = _clip(take, settings, placed, motion)
    cost = 1000.0 * spent / (len(ROLES) * clip.num_frames)
    before = replace(clip, root_position=alone.root_position, local_rotation=alone.local_rotation)
    return Conversion(clip=clip, report=_report(take, placed, clip, before, cost))


def _placed(take: Take, settings: ConversionSettings) -> _Placed:
    """Check, filter, resample, fit bodies, and shift."""
    base = get_body(take.body if settings.body is None else settings.body)
    source = measured(take, base, max_speed=settings.max_speed)
    if settings.smooth is not None:
        source = low_pass(source, settings.smooth)
    source = resampled(source, settings.fps)
    guessed = figures(take, source, base, settings)
    source = completed(source, guessed)
    stands = standing(source.joints[:, :, foot_indices(base)], source.fps)
    bodies = people(take, source, stands, guessed, base, settings)
    shift = pair_shift(bodies, source.joints, stands)
    source = replace(source, joints=source.joints + shift)
    if settings.steady:
        source = replace(source, joints=source.joints + _gliding(source, bodies, stands))
    return _Placed(source=source, bodies=bodies, stands=stands, shift=shift)


def _gliding(source: Measured, bodies: Bodies, stands: Mask) -> Array:
    """What stops both people's gliding over the floor, shape (T, 2, 1, 3) [m]."""
    feet = source.joints[:, :, foot_indices(bodies[0])]
    shifts = [steadied(feet[:, role], stands[:, role], sole_drop(body), source.fps) for role, body in enumerate(bodies)]
    return np.stack(shifts, axis=1)[:, :, None]


def _solved(placed: _Placed, settings: ConversionSettings) -> tuple[Motion, Motion]:
    """Poses of each alone, and with regard to each other (the same where neither is asked for)."""
    goal, first = _goal(placed, settings), _first(placed)
    alone = solve_people(placed.bodies, goal, first)
    fixed = settings.proportions == "default"
    both = solve_pair(placed.bodies, goal, alone, keep_relations=True) if fixed else alone
    if settings.separate:
        both = separated(placed.bodies, goal, both, keep_relations=fixed, fps=settings.fps)
    return alone, both


def _first(placed: _Placed) -> Motion:
    source = placed.source
    poses = [
        first_pose(body, source.joints[:, role], source.rotation[:, role]) for role, body in enumerate(placed.bodies)
    ]
    root, local = (np.stack(parts, axis=1) for parts in zip(*poses, strict=True))
    return Motion(root_position=root, local_rotation=local)


def _goal(placed: _Placed, settings: ConversionSettings) -> Goal:
    """Measured joints, with feet that stand on their spots; placed fingers follow their known rotations."""
    source, body = placed.source, placed.bodies[0]
    position, feet = source.joints.copy(), foot_indices(body)
    flat = np.full((*position.shape[:-1], 4), np.nan)
    beyond_wrists = np.concatenate([hand[1:] for hand in body.hands])
    for role, own in enumerate(placed.bodies):
        position[:, role, beyond_wrists[~source.told[role, beyond_wrists]]] = np.nan
        if settings.foot_lock:
            stands, drop = placed.stands[:, role], sole_drop(own)
            way = planted(position[:, role, feet], stands, drop, source.fps)
            position[:, role, feet] = clear_of_floor(way, drop)
            _flatten(flat[:, role], position[:, role], feet, stands)
    known = source.has_rotations(0), source.has_rotations(1)
    return Goal(position=position, flat=flat, feet=feet, known=known)


def _flatten(flat: Array, position: Array, feet: NDArray[np.intp], stands: Mask) -> None:
    """Write (in place) the rotation of feet whose ankle and toe both stand: level, along the foot."""
    for ankle, toe in ((0, 1), (2, 3)):
        both = stands[:, ankle] & stands[:, toe]
        along = position[both, feet[toe]] - position[both, feet[ankle]]
        flat[both, feet[ankle]] = rotations.yaw_quaternion(np.arctan2(along[:, 1], along[:, 0]))


def _clip(take: Take, settings: ConversionSettings, placed: _Placed, motion: Motion) -> PairClip:
    """The clip with its furniture and contacts."""
    bodies = placed.bodies
    clip = PairClip(
        name=take.name,
        fps=settings.fps,
        body=bodies[0].name,
        offsets=np.stack([body.offsets for body in bodies]),
        masses=np.array([body.mass for body in bodies]),
        root_position=motion.root_position,
        local_rotation=motion.local_rotation,
        contacts=take.contacts,
        furniture=tuple(_shifted(item, placed.shift) for item in take.furniture),
        metadata=_metadata(take, settings, placed),
    )
    if settings.furniture == "infer" and not clip.furniture:
        clip = replace(clip, furniture=infer_furniture(clip))
    if settings.contacts == "infer" and not clip.contacts:
        clip = replace(clip, contacts=infer_contacts(clip))
    return clip


def _shifted(item: Furniture, shift: Array) -> Furniture:
    x, y, z = (float(value) for value in np.array(item.position) + shift)
    return replace(item, position=(x, y, z))


def _metadata(take: Take, settings: ConversionSettings, placed: _Placed) -> Mapping[str, Any]:
    provenance = {
        **take.metadata.get("provenance", {}),
        "converter": CONVERTER,
        "source_fps": take.fps,
        "shift": [round(float(value), 6) for value in placed.shift],
        "proportions": settings.proportions,
        "conventions": dict(take.conventions),
    }
    return {**take.metadata, "provenance": provenance}


def _report(take: Take, placed: _Placed, clip: PairClip, before: PairClip, cost: float) -> ConversionReport:
    joints, told, body = placed.source.joints, placed.source.told_joints, placed.bodies[0]
    errors = joint_errors(clip.position, told)
    hands = hand_change(body, clip.position, told)
    after = hands.after if placed.source.tells_joints else hand_change(body, clip.position, clip.position).after
    feet = foot_indices(body)
    found = quality(clip)
    apart = quality(before).partner_depth if before.root_position is not clip.root_position else found.partner_depth
    return ConversionReport(
        frames=clip.num_frames,
        fps=clip.fps,
        source_frames=len(take.people[0].joints),
        source_fps=take.fps,
        height_shift=float(placed.shift[2]),
        joint_error_mean=_mean(errors),
        joint_error_p95=_p95(errors),
        hand_distance_change_mean=_mean(hands.change),
        hand_distance_change_p95=_p95(hands.change),
        hand_distance_before=float(hands.before.mean()) if len(hands.before) else None,
        hand_distance_after=float(after.mean()) if len(after) else None,
        foot_slide_before=slide(joints[:, :, feet], placed.stands),
        foot_slide_after=slide(clip.position[:, :, feet], placed.stands),
        floor_depth=found.floor_depth,
        partner_depth_before=apart,
        partner_depth_after=found.partner_depth,
        furniture_depth=max(found.seat_depth, found.supporter_furniture_depth) if clip.furniture else None,
        stature=(placed.bodies[0].stature, placed.bodies[1].stature),
        mass=(placed.bodies[0].mass, placed.bodies[1].mass),
        milliseconds_per_person_frame=cost,
        quality=found,
        notes=_notes(take, placed, clip),
    )


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else np.nan


def _p95(values: Array) -> float:
    return float(np.percentile(values, 95)) if len(values) else np.nan


def _notes(take: Take, placed: _Placed, clip: PairClip) -> tuple[str, ...]:
    """What a user should know."""
    notes = []
    for role, name in enumerate(ROLES):
        missing = ~placed.source.told[role]
        if placed.source.is_posed(role):
            notes.append(_about_bones(take, role, placed.bodies[role]))
        elif missing.any():
            names = np.array(placed.bodies[0].names)[missing]
            notes.append(f"{name}: not measured, so guessed: {', '.join(names)}")
        if not placed.stands[:, role].any():
            notes.append(f"{name}: no foot ever stands")
        if not 1.2 < placed.bodies[role].stature < 2.2:
            notes.append(f"{name}: {placed.bodies[role].stature:.2f} m tall; is the unit of length right?")
    if clip.furniture and not take.furniture:
        notes.append(f"furniture inferred: {', '.join(item.name for item in clip.furniture)}")
    if clip.contacts and not take.contacts:
        notes.append(f"{len(clip.contacts)} contacts inferred")
    return tuple(notes)


def _about_bones(take: Take, role: int, body: BodySpec) -> str:
    """What it means that a source tells rotations, but not where joints are."""
    if take.people[role].offsets is not None:
        return f"{ROLES[role]}: joints follow from the source's rotations and bones"
    return (
        f"{ROLES[role]}: the source has rotations, but no bones, so they are our body's, {body.stature:.2f} m tall; "
        "hands may miss the partner by centimetres (the person's own bones: --models)"
    )
