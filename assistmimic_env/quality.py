"""Is a clip fit for physics? Foot slide, penetration, joint ranges, speeds, balance and contact errors, measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import joint_ranges, rotations
from .body import BodySpec
from .capsules import Capsules, box_depth, capsules, closest_parameters, world_ends
from .clip import ROLES, Furniture, PairClip

__all__ = ["ClipQuality", "center_of_mass", "centers", "quality"]

Array = NDArray[Any]

_STANCE_HEIGHT = 0.02
"""A foot whose sole is lower than this stands [m]."""

_TOUCH_HEIGHT = 0.004
"""A point of a foot that is lower than this touches the floor [m]."""


@dataclass(frozen=True, kw_only=True)
class ClipQuality:
    """Measurements of a clip; lengths in metres, worst case over frames unless a field says otherwise."""

    foot_slide: float
    """Longest way of an ankle over the floor while its sole is on the floor."""
    foot_slip: float
    """Longest way that a touching point of a foot slips over the floor while it touches; 0 for feet that roll."""
    sole_height: float
    """Largest distance of a standing foot's lowest point from the floor, above or below."""
    floor_depth: float
    """How deep any shape reaches into the floor."""
    partner_depth: float
    """How deep the two people reach into each other."""
    self_depth: float
    """How deep arms and legs reach into other parts of the same person (neighbours within two joints apart)."""
    seat_depth: float
    """How deep the recipient reaches into the furniture."""
    supporter_furniture_depth: float
    """How deep the supporter reaches into the furniture."""
    contact_gap: float
    """Largest distance between the surfaces of bodies during their contact intervals."""
    joint_excess: float
    """How far a joint bends beyond what people can, see `joint_ranges` [rad]."""
    joint_speed: float
    """Fastest body origin [m/s]."""
    joint_acceleration: float
    """Largest acceleration of a body origin, second differences [m/s^2]."""
    turn_speed: float
    """Fastest turn of a body [rad/s]."""
    balance: float
    """Largest distance of a person's centre of mass from the middle of the ankles along the feet, last frame."""


def centers(body: BodySpec) -> Array:
    """Centre of mass of each body in its own frame, shape (J, 3) [m]."""
    mass, moment = np.zeros(body.num_bodies), np.zeros((body.num_bodies, 3))
    for geom in body.geoms:
        mass[geom.body] += geom.mass
        moment[geom.body] += 0.5 * geom.mass * (np.array(geom.start) + np.array(geom.end))
    return moment / np.maximum(mass, 1e-9)[:, None]


def center_of_mass(clip: PairClip) -> Array:
    """Centres of mass of both people, shape (T, 2, 3) [m]."""
    offset = np.stack([centers(body) for body in clip.bodies])
    share = np.stack([body.masses / body.mass for body in clip.bodies])
    return np.einsum("pj,tpjc->tpc", share, clip.position + rotations.rotate(clip.rotation, offset))


def quality(clip: PairClip) -> ClipQuality:
    """Measure a clip.

    Args:
        clip: Any two-person clip on a floor at height 0.

    Returns:
        The measurements.
    """
    shapes = capsules(clip.bodies)
    ends = world_ends(shapes, clip.position, rotations.to_matrix(clip.rotation))
    low = np.minimum(ends[0][..., 2], ends[1][..., 2]) - shapes.radius
    feet = clip.bodies[0].indices(("L_Ankle", "R_Ankle", "L_Toe", "R_Toe"))
    sole = low[:, np.isin(shapes.body, feet)]
    depth = _mutual_depth(clip, ends, shapes.radius)
    partner = shapes.person[:, None] < shapes.person[None, :]
    furniture = _furniture_depth(clip, ends, shapes.radius)
    speed = np.linalg.norm(np.diff(clip.position, axis=0), axis=-1) * clip.fps
    acceleration = np.linalg.norm(np.diff(clip.position, n=2, axis=0), axis=-1) * clip.fps**2
    return ClipQuality(
        foot_slide=_foot_slide(clip, shapes.person, shapes.body, low),
        foot_slip=_foot_slip(clip, shapes, ends, feet),
        sole_height=float(np.abs(sole[sole < _STANCE_HEIGHT]).max(initial=0.0)),
        floor_depth=float(-low.min()),
        partner_depth=float(depth[:, partner].max()),
        self_depth=float(depth[:, _self_pairs(clip, shapes.person, shapes.body)].max()),
        seat_depth=float(furniture[:, shapes.person == 1].max(initial=-np.inf)),
        supporter_furniture_depth=float(furniture[:, shapes.person == 0].max(initial=-np.inf)),
        contact_gap=_contact_gap(clip, shapes.person, shapes.body, depth),
        joint_excess=_joint_excess(clip),
        joint_speed=float(speed.max()),
        joint_acceleration=float(acceleration.max()),
        turn_speed=float(rotations.angle_between(clip.rotation[1:], clip.rotation[:-1]).max() * clip.fps),
        balance=_balance(clip),
    )


def _mutual_depth(clip: PairClip, ends: tuple[Array, Array], radius: Array) -> Array:
    """Overlap of every pair of shapes, shape (T, G, G) [m]; negative = clearance."""
    p0, p1 = (end[:, :, None] for end in ends)
    q0, q1 = (end[:, None, :] for end in ends)
    s, t = closest_parameters(p0, p1, q0, q1)
    gap = p0 + s[..., None] * (p1 - p0) - q0 - t[..., None] * (q1 - q0)
    return radius[:, None] + radius[None, :] - np.linalg.norm(gap, axis=-1)


def _self_pairs(clip: PairClip, person: Array, body: Array) -> Array:
    """Pairs of shapes of one person with an arm or a leg in them, more than two joints apart, shape (G, G)."""
    spec = clip.bodies[0]
    distance = _joint_distance(spec.parents)
    limbs = [name for name in spec.names if name[:2] in ("L_", "R_") and "Thorax" not in name]
    limb = np.isin(body, spec.indices(limbs))
    apart = distance[body[:, None], body[None, :]] > 2
    return (person[:, None] == person[None, :]) & apart & (limb[:, None] | limb[None, :])


def _joint_distance(parents: tuple[int, ...]) -> Array:
    """Number of joints between bodies, shape (J, J)."""
    count = len(parents)
    distance = np.full((count, count), count)
    np.fill_diagonal(distance, 0)
    for body, parent in enumerate(parents):
        if parent >= 0:
            distance[body, :body] = distance[parent, :body] + 1
            distance[:body, body] = distance[body, :body]
    return distance


def _foot_slide(clip: PairClip, person: Array, body: Array, low: Array) -> float:
    """Longest horizontal way of an ankle from where its stance began."""
    longest = 0.0
    for one in range(len(ROLES)):
        for side in ("L_", "R_"):
            ankle = clip.bodies[one].index(side + "Ankle")
            stands = low[:, (person == one) & (body == ankle)].min(axis=1) < _STANCE_HEIGHT
            begins = np.flatnonzero(stands & ~np.concatenate([[False], stands[:-1]]))
            if len(begins) == 0:
                continue
            anchor = begins[np.maximum(np.searchsorted(begins, np.arange(len(stands)), side="right") - 1, 0)]
            way = clip.position[:, one, ankle, :2] - clip.position[anchor, one, ankle, :2]
            longest = max(longest, float(np.linalg.norm(way[stands], axis=-1).max()))
    return longest


def _foot_slip(clip: PairClip, shapes: Capsules, ends: tuple[Array, Array], feet: Array) -> float:
    """Way of the material points under both ends of the feet's shapes, summed while they touch the floor."""
    sole = np.isin(shapes.body, feet)
    person, body = shapes.person[sole], shapes.body[sole]
    origin, turn = clip.position[:, person, body], clip.rotation[:, person, body]
    longest = 0.0
    for end in ends:
        point = end[:, sole] - shapes.radius[sole, None] * (0.0, 0.0, 1.0)
        local = rotations.inverse_rotate(turn, point - origin)
        moved = origin[1:] + rotations.rotate(turn[1:], local[:-1]) - point[:-1]
        way = np.linalg.norm(moved[..., :2], axis=-1)
        touches = (point[1:, :, 2] < _TOUCH_HEIGHT) & (point[:-1, :, 2] < _TOUCH_HEIGHT)
        total = np.cumsum(np.where(touches, way, 0.0), axis=0)
        before = np.maximum.accumulate(np.where(touches, 0.0, total), axis=0)
        longest = max(longest, float((total - before).max()))
    return longest


def _joint_excess(clip: PairClip) -> float:
    """Worst joint of both people, worst frame [rad]."""
    found = (
        joint_ranges.excess(body, clip.position[:, one], clip.rotation[:, one]) for one, body in enumerate(clip.bodies)
    )
    return max(float(angle.max()) for joints in found for angle in joints.values())


def _furniture_depth(clip: PairClip, ends: tuple[Array, Array], radius: Array) -> Array:
    """Depth of each shape in the furniture, shape (T, G) [m]; -inf without furniture."""
    depth = np.full(ends[0].shape[:2], -np.inf)
    for item in clip.furniture:
        start, end = (into_frame(item, points) for points in ends)
        depth = np.maximum(depth, box_depth(start, end, radius, size=np.array(item.size)))
    return depth


def into_frame(item: Furniture, points: Array) -> Array:
    """World points (..., 3) in the frame of a piece of furniture."""
    turn = rotations.yaw_quaternion(-item.yaw)
    return rotations.rotate(turn, points - np.array(item.position))


def _contact_gap(clip: PairClip, person: Array, body: Array, depth: Array) -> float:
    """Largest distance between the surfaces of the nearest shapes of contacting bodies; 0 without contacts."""
    time = np.arange(clip.num_frames) / clip.fps
    worst = 0.0
    for contact in clip.contacts:
        one = ROLES.index(contact.role)
        mine = (person == one) & (body == clip.bodies[one].index(contact.body))
        other = (person == 1 - one) & (body == clip.bodies[1 - one].index(contact.partner_body))
        during = (time >= contact.start - 1e-9) & (time <= contact.end + 1e-9)
        worst = max(worst, float((-depth[during][:, mine][:, :, other].max(axis=(1, 2))).max(initial=0.0)))
    return worst


def _balance(clip: PairClip) -> float:
    """Horizontal distance of the centre of mass from the middle of ankles and toes, worst person, last frame [m]."""
    feet = clip.bodies[0].indices(("L_Ankle", "R_Ankle", "L_Toe", "R_Toe"))
    middle = clip.position[-1][:, feet, :2].mean(axis=1)
    return float(np.linalg.norm(center_of_mass(clip)[-1, :, :2] - middle, axis=-1).max())
