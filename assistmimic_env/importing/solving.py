"""Poses of both people that follow joint targets: each alone, then, where they must heed each other, together.

Frames are independent: every frame starts at, and is pulled to, a first pose that is smooth where the joints are. So
blocks of frames can be solved one after the other without seams, in little memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec, joint_kind
from ..capsules import capsules
from ..ik import IkProblem, IkResult, IkSettings, solve
from ..ik_targets import (
    ClearanceTargets,
    Points,
    PointTargets,
    RelativeTargets,
    RestPull,
    RotationTargets,
    Target,
    ancestor_mask,
)
from .measured import filtered

__all__ = ["Goal", "Motion", "separated", "solve_pair", "solve_people"]

Array = NDArray[np.float64]

_WEIGHT = {"Pelvis": 0.5, "Torso": 0.3, "Spine": 0.3, "Chest": 0.4, "Neck": 0.4, "Thorax": 0.3}
"""Weight of joints that lie elsewhere in other skeletons; 1 for the others (spec/data.md section 5)."""
_FOOT_WEIGHT, _FLAT_WEIGHT = 3.0, 0.3
_REST_WEIGHT, _KNOWN_REST_WEIGHT = 0.03, 0.1
"""Pull to the first pose, guessed from joints or known from the source's rotations [1/rad]."""
_NEAR = 0.6
"""A hand keeps its relation to joints of the partner that are nearer than this in the source [m]."""
_NEAR_WEIGHT = 4.0
_CLEARANCE_WEIGHT = 2.0
_DEPTH = 0.01
"""People may press this deep into each other [m]."""
_BLOCK, _PAIR_BLOCK = 96, 48
"""Frames that are solved at once; one person, both."""
_ROUNDS, _CUTOFF = 8, 3.0
"""People are pushed apart so many times, each time without what changes faster than this from frame to frame [Hz]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Goal:
    """What both people should do in T frames."""

    position: Array
    """Joints, shape (T, 2, J, 3) [m]; NaN where there is no target."""
    flat: Array
    """World rotation of flat feet (ankle bodies), shape (T, 2, J, 4); NaN where a foot is not flat."""
    feet: NDArray[np.intp]
    """Bodies of the feet, shape (F,)."""
    known: tuple[bool, bool]
    """Whose rotations the source knows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """Poses of both people."""

    root_position: Array
    """Shape (T, 2, 3) [m]."""
    local_rotation: Array
    """Shape (T, 2, J, 4)."""


def solve_people(bodies: Sequence[BodySpec], goal: Goal, first: Motion, *, iterations: int = 3) -> Motion:
    """Each person alone.

    Args:
        bodies: Supporter, recipient.
        goal: Targets.
        first: First poses (`pose.first_pose`).
        iterations: Steps of the solver.

    Returns:
        The poses.
    """
    root, local = np.empty_like(first.root_position), first.local_rotation.copy()
    tree = _Tree.needed(bodies[0], goal)
    for role, body in enumerate(bodies):
        for block in _blocks(len(root), _BLOCK):
            part = slice(role, role + 1)
            targets = _targets(goal, block, (role,), tree)
            result = _solved((body,), tree, first, block, part, targets, goal.known[part], iterations)
            root[block, part], local[block, part, tree.rows] = result.root_position, result.local_rotation
    return Motion(root_position=root, local_rotation=local)


def solve_pair(
    bodies: Sequence[BodySpec],
    goal: Goal,
    first: Motion,
    *,
    keep_relations: bool,
    separate: bool = False,
    iterations: int = 4,
) -> Motion:
    """Both people together, starting where each alone ended.

    Args:
        bodies: Supporter, recipient.
        goal: Targets.
        first: Poses of `solve_people`.
        keep_relations: Hands keep their displacement from near joints of the partner.
        separate: Bodies are pushed out of each other.
        iterations: Steps of the solver.

    Returns:
        The poses.
    """
    root, local = np.empty_like(first.root_position), first.local_rotation.copy()
    tree = _Tree.whole(bodies[0]) if separate else _Tree.needed(bodies[0], goal)
    for block in _blocks(len(root), _PAIR_BLOCK):
        targets = _targets(goal, block, (0, 1), tree)
        if keep_relations:
            targets += _relations(goal, block, tree)
        if separate:
            targets += (_clearance(bodies),)
        result = _solved(bodies, tree, first, block, slice(0, 2), targets, goal.known, iterations)
        root[block], local[block][:, :, tree.rows] = result.root_position, result.local_rotation
    return Motion(root_position=root, local_rotation=local)


def separated(bodies: Sequence[BodySpec], goal: Goal, first: Motion, *, keep_relations: bool, fps: float) -> Motion:
    """Both people pushed out of each other, smoothly.

    Frames are solved alone, and where limbs cross, neighbouring frames leave each other to different sides: of each
    solution only what changes slowly is taken, and the next one starts there.

    Args:
        bodies: Supporter, recipient.
        goal: Targets.
        first: Poses that overlap.
        keep_relations: See `solve_pair`.
        fps: Frames per second.

    Returns:
        The poses; where the two demands contradict each other, some overlap stays.
    """
    motion = first
    for _ in range(_ROUNDS):
        apart = solve_pair(bodies, goal, motion, keep_relations=keep_relations, separate=True, iterations=2)
        shift = filtered(apart.root_position - motion.root_position, fps, _CUTOFF)
        turn = rotations.multiply(rotations.conjugate(motion.local_rotation), apart.local_rotation)
        turn = filtered(np.where(turn[..., :1] < 0.0, -turn, turn), fps, _CUTOFF)
        motion = Motion(
            root_position=motion.root_position + shift,
            local_rotation=rotations.multiply(motion.local_rotation, rotations.normalize(turn)),
        )
    return motion


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tree:
    """The bodies that move in the solver, K of J; those beyond keep their turns, such as fingers nobody measured."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rows: NDArray[np.intp]
    """Their indices in the whole body, shape (K,)."""

    @classmethod
    def whole(cls, body: BodySpec) -> _Tree:
        return cls.of(body, np.arange(body.num_bodies))

    @classmethod
    def needed(cls, body: BodySpec, goal: Goal) -> _Tree:
        """Bodies with a target, and what carries them."""
        wanted = np.isfinite(goal.position[..., 0]).any(axis=(0, 1)) | np.isfinite(goal.flat[..., 0]).any(axis=(0, 1))
        return cls.of(body, np.flatnonzero(ancestor_mask(body.parents)[wanted].any(axis=0)))

    @classmethod
    def of(cls, body: BodySpec, rows: NDArray[np.intp]) -> _Tree:
        place = {int(row): index for index, row in enumerate(rows)} | {-1: -1}
        parents = tuple(place[body.parents[row]] for row in rows)
        return cls(names=tuple(body.names[row] for row in rows), parents=parents, rows=rows)


def _blocks(frames: int, size: int) -> list[slice]:
    return [slice(begin, min(begin + size, frames)) for begin in range(0, frames, size)]


def _solved(
    bodies: Sequence[BodySpec],
    tree: _Tree,
    first: Motion,
    block: slice,
    people: slice,
    targets: tuple[Target, ...],
    known: tuple[bool, ...],
    iterations: int,
) -> IkResult:
    local = first.local_rotation[block, people][:, :, tree.rows]
    weight = np.where(known, _KNOWN_REST_WEIGHT, _REST_WEIGHT)[:, None, None]
    problem = IkProblem(
        parents=tree.parents,
        offsets=np.stack([body.offsets[tree.rows] for body in bodies]),
        root_position=first.root_position[block, people],
        local_rotation=local,
        targets=targets,
        rest=RestPull(local_rotation=local, weight=weight),
    )
    return solve(problem, IkSettings(iterations=iterations, tolerance=1e-3))


def _targets(goal: Goal, block: slice, roles: tuple[int, ...], tree: _Tree) -> tuple[Target, ...]:
    """Joint positions, and flat feet where any are."""
    position, flat = (values[block, roles][:, :, tree.rows] for values in (goal.position, goal.flat))
    weight = np.array([_WEIGHT.get(joint_kind(name), 1.0) for name in tree.names])
    weight[np.isin(tree.rows, goal.feet)] = _FOOT_WEIGHT
    person, joint = np.nonzero(np.isfinite(position).any(axis=(0, 3)))
    targets: tuple[Target, ...] = (
        PointTargets(
            points=Points(person=person, body=joint), position=position[:, person, joint], weight=weight[joint]
        ),
    )
    person, joint = np.nonzero(np.isfinite(flat).any(axis=(0, 3)))
    if len(person):
        bodies = Points(person=person, body=joint)
        targets += (RotationTargets(bodies=bodies, rotation=flat[:, person, joint], weight=_FLAT_WEIGHT),)
    return targets


def _relations(goal: Goal, block: slice, tree: _Tree) -> tuple[Target, ...]:
    """Displacements of hands from the partner's joints, stronger the nearer they are in the source."""
    position = goal.position[block][:, :, tree.rows]
    hands = [i for i, name in enumerate(tree.names) if joint_kind(name) in ("Wrist", "Hand")]
    hands = [i for i in hands if np.isfinite(position[0, :, i]).all()]
    others = np.flatnonzero(np.isfinite(position[0]).all(axis=(0, 2)))
    rows = np.array(list(product((0, 1), hands, others)))
    role, hand, other = rows.T
    displacement = position[:, role, hand] - position[:, 1 - role, other]
    weight = _NEAR_WEIGHT * np.clip(1.0 - np.linalg.norm(displacement, axis=-1) / _NEAR, 0.0, 1.0)
    used = weight.any(axis=0)
    if not used.any():
        return ()
    return (
        RelativeTargets(
            points=Points(person=role[used], body=hand[used]),
            others=Points(person=1 - role[used], body=other[used]),
            displacement=displacement[:, used],
            weight=weight[:, used],
        ),
    )


def _clearance(bodies: Sequence[BodySpec]) -> ClearanceTargets:
    """Every shape of one person against every shape of the other."""
    shapes = capsules(bodies)
    one, other = np.flatnonzero(shapes.person == 0), np.flatnonzero(shapes.person == 1)
    first, second = (grid.ravel() for grid in np.meshgrid(one, other, indexing="ij"))
    return ClearanceTargets(
        shapes=shapes.rows(first), others=shapes.rows(second), margin=-_DEPTH, weight=_CLEARANCE_WEIGHT
    )
