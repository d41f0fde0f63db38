"""Inverse kinematics: damped least squares on ball-joint bodies, all frames of a motion at once.

The unknowns of a frame are, for each of the P people, the root position and one rotation vector per body (the root's
included), so ``n = P * (3 + 3 J)`` numbers (150 for two 24-body people). A step multiplies each local rotation on the
right, ``q <- q * exp(d)``: a body's tangent is expressed in its own frame. Residuals are *targets* (points, rotations,
relative points, distances, centre of mass) plus a pull to a rest pose, soft joint limits and temporal smoothness. All
weights multiply the residual (they are square roots of weights in the cost ``sum (weight * residual)^2``).

Each iteration is one Levenberg-Marquardt step: per-frame normal equations solved in a batch; with smoothness, frames
are coupled and the system is solved by conjugate gradients preconditioned with the per-frame inverse. Settings follow
spec/data.md section 5 (damping 1e-2, step limit 0.4 rad).

Shapes: T frames, P people, J bodies, K rows of a target. Units: metres and radians; world
frame, z up; quaternions wxyz.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .errors import ConfigError
from .ik_targets import (
    CenterOfMassTargets,
    ClearanceTargets,
    DistanceTargets,
    JointLimits,
    Points,
    PointTargets,
    RelativeTargets,
    RestPull,
    RotationTargets,
    State,
    Target,
    ancestor_mask,
    body_targets,
)

__all__ = [
    "CenterOfMassTargets",
    "ClearanceTargets",
    "DistanceTargets",
    "IkProblem",
    "IkResult",
    "IkSettings",
    "JointLimits",
    "PointTargets",
    "Points",
    "RelativeTargets",
    "RestPull",
    "RotationTargets",
    "State",
    "Target",
    "ancestor_mask",
    "body_targets",
    "solve",
]

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class IkProblem:
    """What to solve: bodies, a start pose and what the pose should fulfil."""

    parents: tuple[int, ...]
    """Parent of each body, -1 for the root."""
    offsets: Array
    """Bone offsets, shape (P, J, 3) or (J, 3) [m]."""
    root_position: Array
    """Start, shape (T, P, 3) [m]."""
    local_rotation: Array
    """Start, shape (T, P, J, 4)."""
    targets: tuple[Target, ...]
    """What the pose should fulfil."""
    rest: RestPull | None = None
    """Pull to a rest pose."""
    limits: JointLimits | None = None
    """Soft joint limits."""
    smoothness: float = 0.0
    """Weight of the second time difference of the root positions [1/m] and local rotations [1/rad] per frame^2."""

    def __post_init__(self) -> None:
        """Check the shapes, so that a mistake is named before it becomes a broadcasting error."""
        bodies = len(self.parents)
        rotation, root = self.local_rotation.shape, self.root_position.shape
        if self.offsets.shape[-2:] != (bodies, 3):
            shape = self.offsets.shape
            raise ConfigError(f"inverse kinematics: offsets have shape {shape}, expected (P, {bodies}, 3).")
        if len(rotation) != 4 or rotation[2:] != (bodies, 4) or root != (*rotation[:2], 3):
            raise ConfigError(
                f"inverse kinematics: start has root_position {root} and local_rotation {rotation}, expected (T, P, 3) "
                f"and (T, P, {bodies}, 4)."
            )


@dataclass(frozen=True, kw_only=True)
class IkSettings:
    """How to solve."""

    iterations: int = 60
    """Most Levenberg-Marquardt steps."""
    damping: float = 1e-2
    """First damping, a weight [1/m, 1/rad] on the step; it adapts to the success of the steps."""
    max_step: float = 0.4
    """Longest step of a component [rad, m]."""
    tolerance: float = 1e-4
    """A frame has converged when its largest accepted step component is below this [rad, m]."""
    gradient_steps: int = 30
    """Most conjugate-gradient steps per iteration when frames are coupled by smoothness."""


@dataclass(frozen=True, kw_only=True, eq=False)
class IkResult:
    """A solved motion."""

    root_position: Array
    """Shape (T, P, 3) [m]."""
    local_rotation: Array
    """Shape (T, P, J, 4), sign-continuous over time."""
    position: Array
    """World positions of the bodies, shape (T, P, J, 3) [m]."""
    rotation: Array
    """World rotations of the bodies, shape (T, P, J, 4)."""
    errors: tuple[Array, ...]
    """Unweighted error of each target, in the problem's order, shape (T, K) each [m or rad]."""
    cost: Array
    """Sum of the squared weighted residuals, shape (T,)."""
    iterations: int
    """Steps taken."""
    converged: Array
    """Frames whose last step was below the tolerance, shape (T,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _System:
    """Per-frame normal equations."""

    hessian: Array
    gradient: Array
    cost: Array


def _second_difference(values: Array) -> Array:
    """D2 over axis 0, shape (T, ...) -> (T - 2, ...)."""
    return values[2:] - 2.0 * values[1:-1] + values[:-2]


def _second_difference_transposed(values: Array) -> Array:
    """D2^T over axis 0, shape (T - 2, ...) -> (T, ...)."""
    out = np.zeros((len(values) + 2, *values.shape[1:]))
    out[2:] += values
    out[1:-1] -= 2.0 * values
    out[:-2] += values
    return out


def _acceleration(state: State) -> Array:
    """Second time difference of the unknowns, in the middle frame's tangent, shape (T - 2, n)."""
    middle = rotations.conjugate(state.local_rotation[1:-1])
    ahead = rotations.to_rotation_vector(rotations.multiply(middle, state.local_rotation[2:]))
    behind = rotations.to_rotation_vector(rotations.multiply(middle, state.local_rotation[:-2]))
    turn = (ahead + behind).reshape(*ahead.shape[:2], -1)
    both = np.concatenate([_second_difference(state.root_position), turn], axis=-1)
    return both.reshape(len(both), -1)


def _joint_columns(people: int, bodies: int) -> Array:
    """Column of each joint tangent component, shape (P, J, 3)."""
    return np.arange(people * (3 + 3 * bodies)).reshape(people, -1)[:, 3:].reshape(people, bodies, 3)


def _linearize(problem: IkProblem, state: State) -> _System:
    """Residuals and Gauss-Newton matrices at a pose; smoothness adds to gradient and cost only (see `_step`)."""
    frames, people, bodies, _ = state.local_rotation.shape
    system = _System(
        hessian=np.zeros((frames, state.size, state.size)),
        gradient=np.zeros((frames, state.size)),
        cost=np.zeros(frames),
    )
    for target in problem.targets:
        residual, rows = target.rows(state)
        system.hessian[...] += np.swapaxes(rows, 1, 2) @ rows
        system.gradient[...] += (residual[:, None] @ rows)[:, 0]
        system.cost[...] += np.sum(residual**2, axis=-1)
    columns = _joint_columns(people, bodies)
    for pull in (problem.rest, problem.limits):
        if pull is not None:
            residual, block = pull.blocks(state)
            transposed = np.swapaxes(block, -1, -2)
            system.hessian[:, columns[..., :, None], columns[..., None, :]] += transposed @ block
            system.gradient[:, columns] += (transposed @ residual[..., None])[..., 0]
            system.cost[...] += np.sum(residual**2, axis=(1, 2, 3))
    if _coupled(problem):
        residual = problem.smoothness * _acceleration(state)
        system.gradient[...] += problem.smoothness * _second_difference_transposed(residual)
        system.cost[1:-1] += np.sum(residual**2, axis=-1)
    return system


def _coupled(problem: IkProblem) -> bool:
    """Whether frames depend on each other."""
    return problem.smoothness > 0 and len(problem.root_position) > 2


def _step(problem: IkProblem, system: _System, damping: Array, settings: IkSettings) -> Array:
    """Solve the damped normal equations, shape (T, n); frames are coupled through D2^T D2 when there is smoothness."""
    size = system.gradient.shape[-1]
    matrix = system.hessian + (damping**2)[:, None, None] * np.eye(size)
    if not _coupled(problem):
        return np.linalg.solve(matrix, -system.gradient[..., None])[..., 0]
    smooth = problem.smoothness**2
    diagonal = _second_difference_transposed(_second_difference(np.eye(len(matrix)))).diagonal()
    inverse = np.linalg.inv(matrix + (smooth * diagonal)[:, None, None] * np.eye(size))

    def apply(vector: Array) -> Array:
        coupling = smooth * _second_difference_transposed(_second_difference(vector))
        return (matrix @ vector[..., None])[..., 0] + coupling

    return _conjugate_gradients(apply, inverse, -system.gradient, settings.gradient_steps)


def _conjugate_gradients(apply: _Operator, inverse: Array, right: Array, steps: int) -> Array:
    """Solve ``apply(x) = right`` over all frames, preconditioned with per-frame inverses (T, n, n)."""
    solution = np.zeros_like(right)
    residual = right.copy()
    preconditioned = (inverse @ residual[..., None])[..., 0]
    direction = preconditioned.copy()
    energy = first = float(np.sum(residual * preconditioned))
    for _ in range(steps):
        if energy <= 1e-8 * first:
            break
        image = apply(direction)
        length = energy / float(np.sum(direction * image))
        solution += length * direction
        residual -= length * image
        preconditioned = (inverse @ residual[..., None])[..., 0]
        last, energy = energy, float(np.sum(residual * preconditioned))
        direction = preconditioned + (energy / last) * direction
    return solution


class _Operator(Protocol):
    def __call__(self, vector: Array) -> Array: ...


def _compared(problem: IkProblem, cost: Array) -> Array:
    """The cost by which a frame's step is judged: its own, or everybody's when frames are coupled."""
    return np.full_like(cost, cost.sum()) if _coupled(problem) else cost


def _chosen(old: _System, new: _System, frames: Array) -> _System:
    """The new equations where the mask (T,) is True, else the old ones."""
    if frames.all():
        return new
    return _System(
        hessian=np.where(frames[:, None, None], new.hessian, old.hessian),
        gradient=np.where(frames[:, None], new.gradient, old.gradient),
        cost=np.where(frames, new.cost, old.cost),
    )


def _continuous(rotation: Array) -> Array:
    """Sign-continuous over time (axis 0); the first has w >= 0."""
    turns = rotations.continuous(rotation)
    return np.where(turns[:1, ..., :1] < 0, -turns, turns)


def solve(problem: IkProblem, settings: IkSettings | None = None) -> IkResult:
    """Find the poses of all people in all frames that fulfil the targets best.

    Args:
        problem: Bodies, start pose, targets.
        settings: Iterations, damping, step limit.

    Returns:
        The solved motion with its errors.

    Raises:
        ConfigError: Shapes of the problem do not fit together.
    """
    settings = settings or IkSettings()
    bodies = len(problem.parents)
    people = problem.root_position.shape[1]
    state = State(
        parents=problem.parents,
        offsets=np.broadcast_to(problem.offsets, (people, bodies, 3)),
        ancestors=ancestor_mask(problem.parents),
        root_position=np.asarray(problem.root_position, dtype=float),
        local_rotation=rotations.normalize(np.asarray(problem.local_rotation, dtype=float)),
    )
    state, system, converged, iterations = _iterate(problem, state, settings)
    return IkResult(
        root_position=state.root_position,
        local_rotation=_continuous(state.local_rotation),
        position=state.position,
        rotation=state.rotation,
        errors=tuple(target.error(state) for target in problem.targets),
        cost=system.cost,
        iterations=iterations,
        converged=converged,
    )


def _iterate(problem: IkProblem, state: State, settings: IkSettings) -> tuple[State, _System, Array, int]:
    """Levenberg-Marquardt: keep steps that lower the cost and damp less, drop the others and damp more."""
    system = _linearize(problem, state)
    damping = np.full(len(state.root_position), settings.damping)
    converged = np.zeros(len(damping), dtype=bool)
    iteration = 0
    while iteration < settings.iterations and not converged.all():
        iteration += 1
        step = _step(problem, system, damping, settings)
        largest = np.max(np.abs(step), axis=-1, keepdims=True)
        step *= np.minimum(1.0, settings.max_step / np.maximum(largest, 1e-12))
        trial = state.moved(step)
        new = _linearize(problem, trial)
        better = _compared(problem, new.cost) <= _compared(problem, system.cost)
        state, system = state.merged(trial, better), _chosen(system, new, better)
        converged = largest[:, 0] < settings.tolerance
        damping = np.clip(np.where(better, 0.4 * damping, 5.0 * damping), 1e-5, 1e3)
    return state, system, converged, iteration
