"""Inverse kinematics: derivatives against finite differences, reachable targets, contacts, limits, smoothness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from assistmimic_env import ik, rotations
from assistmimic_env.body import smpl24
from assistmimic_env.capsules import capsules
from assistmimic_env.errors import ConfigError
from assistmimic_env.kinematics import forward_kinematics

BODY = smpl24()
J = BODY.num_bodies


def make_state(frames: int = 3, people: int = 2, scale: float = 0.5, seed: int = 0) -> ik.State:
    """A random pose of some people."""
    rng = np.random.default_rng(seed)
    return ik.State(
        parents=BODY.parents,
        offsets=np.stack([smpl24(stature=1.7 + 0.1 * one).offsets for one in range(people)]),
        ancestors=ik.ancestor_mask(BODY.parents),
        root_position=rng.normal(size=(frames, people, 3)),
        local_rotation=rotations.from_rotation_vector(scale * rng.normal(size=(frames, people, J, 3))),
    )


def make_targets() -> dict[str, ik.Target]:
    """One of each kind, all with nonzero residuals on `make_state`."""
    rng = np.random.default_rng(1)
    points = ik.Points(person=[0, 1, 1], body=[18, 4, 13], offset=rng.normal(size=(3, 3)) * 0.1)
    others = ik.Points(person=[1, 0, 1], body=[15, 0, 7], offset=[0.0, 0.05, -0.1])
    nan_position = rng.normal(size=(3, 3, 3))
    nan_position[1, 2] = np.nan
    mass, offset = np.broadcast_to(BODY.masses, (2, J)), rng.normal(size=(2, J, 3)) * 0.1
    turn = rotations.from_rotation_vector(rng.normal(size=(3, 2, 3)))
    shapes, ends = capsules((BODY, BODY)), ([3, 12, 25, 18], [40, 30, 33, 2])
    return {
        "points": ik.PointTargets(points=points, position=nan_position, weight=[1.0, 2.0, 0.5]),
        "rotations": ik.RotationTargets(
            bodies=ik.Points(person=[0, 1], body=[11, 3]), rotation=turn, weight=[[1, 1, 0], [1, 2, 3.0]]
        ),
        "relative": ik.RelativeTargets(points=points, others=others, displacement=0.1, weight=0.7),
        "distance": ik.DistanceTargets(points=points, others=others, distance=np.array([0.1, 5.0, np.nan])),
        "minimum": ik.DistanceTargets(points=points, others=others, distance=np.array([9.0, 9.0, 0.0]), minimum=True),
        "clearance": ik.ClearanceTargets(shapes=shapes.rows(ends[0]), others=shapes.rows(ends[1]), margin=2.0),
        "center": ik.CenterOfMassTargets(person=[0, 1], mass=mass, offset=offset, position=np.zeros((2, 3))),
    }


def finite_differences(state: ik.State, function: Callable[[ik.State], np.ndarray], step: float = 1e-6) -> np.ndarray:
    """Central differences of a (T, m) function by the unknowns, shape (T, m, n)."""
    columns = []
    for unknown in range(state.size):
        move = np.zeros((len(state.root_position), state.size))
        move[:, unknown] = step
        columns.append((function(state.moved(move)) - function(state.moved(-move))) / (2 * step))
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("name", list(make_targets()))
def test_target_jacobian_is_the_derivative_of_the_residual(name: str) -> None:
    """Every kind of target agrees with central differences."""
    state, target = make_state(), make_targets()[name]
    residual, jacobian = target.rows(state)
    assert np.abs(residual).max() > 0.1
    np.testing.assert_allclose(jacobian, finite_differences(state, lambda s: target.rows(s)[0]), atol=2e-8)


@pytest.mark.parametrize("kind", ["rest", "limits"])
def test_joint_term_blocks_are_the_derivative_of_the_residual(kind: str) -> None:
    """Rest pull and limits depend on a body's own tangent only, with the right block."""
    state = make_state(frames=2)
    rest = ik.RestPull(local_rotation=make_state(frames=2, seed=5).local_rotation, weight=np.full((J, 3), [1, 2, 3.0]))
    term = {"rest": rest, "limits": ik.JointLimits(lower=np.full((J, 3), -0.2), upper=np.full((J, 3), 0.1))}[kind]
    _, block = term.blocks(state)
    numeric = finite_differences(state, lambda s: term.blocks(s)[0].reshape(2, -1))
    numeric = numeric.reshape(2, 2, J, 3, 2, 3 + 3 * J)[..., 3:].reshape(2, 2, J, 3, 2, J, 3)
    own = np.einsum("tpjapjb->tpjab", numeric)
    np.testing.assert_allclose(block, own, atol=2e-8)
    np.testing.assert_allclose(np.abs(numeric).sum(), np.abs(own).sum(), rtol=1e-6)


def test_smoothness_gradient_is_the_derivative_of_its_cost() -> None:
    """The approximated curvature of the smoothness term still comes with its true gradient, to first order."""
    calm = make_state(frames=1)
    state = ik.State(
        parents=calm.parents,
        offsets=calm.offsets,
        ancestors=calm.ancestors,
        root_position=np.repeat(calm.root_position, 5, axis=0),
        local_rotation=np.repeat(calm.local_rotation, 5, axis=0),
    ).moved(0.02 * np.random.default_rng(0).normal(size=(5, calm.size)))
    problem = ik.IkProblem(
        parents=state.parents,
        offsets=state.offsets,
        root_position=state.root_position,
        local_rotation=state.local_rotation,
        targets=(),
        smoothness=1.0,
    )
    gradient = ik._linearize(problem, state).gradient
    step = np.random.default_rng(1).normal(size=gradient.shape)
    ahead, behind = (ik._linearize(problem, state.moved(sign * 1e-5 * step)).cost.sum() for sign in (1, -1))
    assert (ahead - behind) / 4e-5 == pytest.approx(float(np.sum(gradient * step)), rel=0.02)


@pytest.mark.parametrize("people", [1, 2])
def test_random_reachable_targets_are_recovered_below_a_millimetre(people: int) -> None:
    """From a T-pose with the right heading, all bodies of random poses are found."""
    goal = make_state(frames=20, people=people, scale=0.35, seed=2)
    start = np.zeros_like(goal.local_rotation)
    start[..., 0] = 1.0
    problem = ik.IkProblem(
        parents=BODY.parents,
        offsets=goal.offsets,
        root_position=goal.root_position,
        local_rotation=start,
        targets=(ik.body_targets(goal.position),),
    )
    result = ik.solve(problem)
    assert np.linalg.norm(result.position - goal.position, axis=-1).max() < 1e-3
    assert result.errors[0].max() < 1e-3


def test_result_is_the_forward_kinematics_of_its_rotations() -> None:
    """Positions and rotations of the result belong together, and quaternions are unit and continuous."""
    goal = make_state(frames=4, scale=0.3)
    problem = ik.IkProblem(
        parents=BODY.parents,
        offsets=goal.offsets,
        root_position=goal.root_position,
        local_rotation=make_state(frames=4, scale=0.1).local_rotation,
        targets=(ik.body_targets(goal.position),),
        smoothness=0.05,
    )
    result = ik.solve(problem, ik.IkSettings(iterations=10))
    offsets = np.broadcast_to(goal.offsets, (4, 2, J, 3))
    position, _ = forward_kinematics(BODY.parents, offsets, result.root_position, result.local_rotation)
    np.testing.assert_allclose(position, result.position, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(result.local_rotation, axis=-1), 1.0, atol=1e-12)
    assert (np.sum(result.local_rotation[1:] * result.local_rotation[:-1], axis=-1) > 0).all()


def standing_pair(frames: int = 1) -> dict:
    """Two people in T-poses facing each other at 0.7 m, as keyword arguments of a problem."""
    rotation = np.zeros((frames, 2, J, 4))
    rotation[..., 0] = 1.0
    rotation[:, 1, 0] = rotations.from_rotation_vector(np.array([0.0, 0.0, np.pi]))
    root = np.broadcast_to([[0.0, 0.0, BODY.rest_height], [0.7, 0.0, BODY.rest_height]], (frames, 2, 3))
    return {"parents": BODY.parents, "offsets": BODY.offsets, "root_position": root, "local_rotation": rotation}


def test_contact_closes_on_the_moving_partner() -> None:
    """A hand reaches a point on the partner's shoulder while both are pulled to their rest pose."""
    pair = standing_pair()
    contact = ik.RelativeTargets(
        points=ik.Points(person=0, body=BODY.index("L_Hand")), others=ik.Points(person=1, body=BODY.index("R_Shoulder"))
    )
    rest = ik.RestPull(local_rotation=pair["local_rotation"], weight=0.003)
    result = ik.solve(ik.IkProblem(**pair, targets=(contact,), rest=rest))
    assert result.errors[0].max() < 2e-3


def test_minimum_distance_pushes_apart_and_never_pulls() -> None:
    """Points closer than asked move away; points farther than asked stay."""
    pair = standing_pair()
    roots = {"points": ik.Points(person=0, body=0), "others": ik.Points(person=1, body=0), "minimum": True}
    for asked, expected in ((0.9, 0.9), (0.5, 0.7)):
        target = ik.DistanceTargets(**roots, distance=np.array([asked]))
        found = ik.solve(ik.IkProblem(**pair, targets=(target,))).root_position[0]
        assert np.linalg.norm(found[1] - found[0]) == pytest.approx(expected, abs=1e-3)


def test_limits_bend_the_elbow_the_allowed_way() -> None:
    """A hand target reachable with a straight arm bent either way is met without over-extension."""
    pair = standing_pair()
    pair |= {key: pair[key][:, :1] for key in ("root_position", "local_rotation")}
    elbow, hand = BODY.index("L_Elbow"), BODY.index("L_Hand")
    lower, upper = np.full((J, 3), -np.inf), np.full((J, 3), np.inf)
    lower[elbow], upper[elbow] = (-0.02, -0.02, -2.6), (0.02, 0.02, 0.0)
    start = forward_kinematics(BODY.parents, BODY.offsets, pair["root_position"], pair["local_rotation"])[0][:, 0, hand]
    target = ik.PointTargets(
        points=ik.Points(person=[0, 0], body=[hand, 0]),
        position=np.stack([start - np.array([0.0, 0.2, 0.0]), pair["root_position"][:, 0]], axis=1),
    )
    limits = ik.JointLimits(lower=lower, upper=upper, weight=1.0)
    result = ik.solve(ik.IkProblem(**pair, targets=(target,), limits=limits))
    bend = rotations.to_rotation_vector(result.local_rotation[0, 0, elbow])
    assert result.errors[0].max() < 5e-3
    assert (bend > lower[elbow] - 0.03).all() and (bend < upper[elbow] + 0.03).all()


def test_smoothness_removes_noise_of_the_targets() -> None:
    """Noisy targets of a slow motion give a motion with far smaller accelerations, still on the targets' mean."""
    frames = 24
    pair = standing_pair(frames)
    turn = np.linspace(0, 1, frames)[:, None] * [0.0, 0.0, -1.0]
    moved = pair["local_rotation"].copy()
    moved[:, :, BODY.index("L_Elbow")] = rotations.from_rotation_vector(turn)[:, None]
    goal = forward_kinematics(BODY.parents, BODY.offsets, pair["root_position"], moved)[0]
    noisy = goal + 0.01 * np.random.default_rng(0).normal(size=goal.shape)
    targets, settings = (ik.body_targets(noisy),), ik.IkSettings(iterations=15)
    rough, smooth = (
        ik.solve(ik.IkProblem(**pair, targets=targets, smoothness=weight), settings) for weight in (0.0, 3.0)
    )
    jerk = [np.abs(np.diff(one.position, n=2, axis=0)).mean() for one in (rough, smooth)]
    assert jerk[1] < 0.1 * jerk[0]
    error = [np.linalg.norm(one.position - goal, axis=-1).mean() for one in (rough, smooth)]
    assert error[1] < error[0]


def test_untracked_targets_do_not_influence_the_pose() -> None:
    """NaN positions are the same as no target."""
    pair = standing_pair()
    position = np.full((1, 2, J, 3), np.nan)
    position[0, 0, 0] = [0.1, 0.2, 1.0]
    result = ik.solve(ik.IkProblem(**pair, targets=(ik.body_targets(position),)))
    np.testing.assert_allclose(result.root_position[0, 0], [0.1, 0.2, 1.0], atol=1e-6)
    np.testing.assert_array_equal(result.root_position[0, 1], pair["root_position"][0, 1])


def test_wrong_shapes_are_named() -> None:
    """The message holds the shapes received and expected."""
    pair = standing_pair()
    with pytest.raises(ConfigError, match=r"root_position \(1, 2, 2\)"):
        ik.IkProblem(**{**pair, "root_position": pair["root_position"][..., :2]}, targets=())
    target = ik.PointTargets(points=ik.Points(person=0, body=0), position=np.zeros((1, 3)), weight=[1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ConfigError, match=r"weight has shape \(4,\)"):
        ik.solve(ik.IkProblem(**pair, targets=(target,)))
