"""Dynamic retargeting: hand targets that follow the partner's real body, and nothing else that does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import by_role, make_vec, pose_action, reaching_clip

from assistmimic_env import rotations
from assistmimic_env.actuation import limit_norm
from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.config import RetargetingConfig
from assistmimic_env.hands import ANCHORS, Hands, smoothstep
from assistmimic_env.reference import Reference, build_reference
from assistmimic_env.retargeting import Retargeting, _anchors, bent_arm, carried
from assistmimic_env.worlds import Motion

DYNAMIC = RetargetingConfig(mode="dynamic", max_shift=5.0)
ROW = np.array([12])
CLIP = np.array([0])


def made(clip: PairClip | None = None, config: RetargetingConfig = DYNAMIC) -> tuple[Reference, Retargeting]:
    reference = build_reference([reaching_clip() if clip is None else clip])
    return reference, Retargeting(reference, Hands([reference.clips[0].bodies]), config)


def motion_of(reference: Reference, row: np.ndarray = ROW) -> Motion:
    """People exactly on the reference; copies."""
    return Motion(
        linear=reference.motion[row].copy(),
        rotation=reference.rotation[row].copy(),
        matrix=reference.matrix[row].copy(),
    )


def moved(motion: Motion, role: int, offset: np.ndarray, turn: np.ndarray | None = None) -> Motion:
    """One person shifted, and turned about the world's z axis by a quaternion, as a whole."""
    linear, rotation, matrix = motion.linear.copy(), motion.rotation.copy(), motion.matrix.copy()
    if turn is not None:
        linear[:, role] = rotations.rotate(turn, linear[:, role])
        rotation[:, role] = rotations.multiply(turn, rotation[:, role])
        matrix[:, role] = rotations.to_matrix(rotation[:, role])
    linear[:, role, 0] += offset
    return Motion(linear=linear, rotation=rotation, matrix=matrix)


def test_nothing_moves_while_tracking_is_perfect() -> None:
    reference, retargeting = made()
    rows = np.arange(len(reference.rotation))
    shift = retargeting.shift(motion_of(reference, rows), np.zeros_like(rows), rows)
    np.testing.assert_allclose(shift.position, 0.0, atol=1e-14)


def test_targets_move_as_far_as_the_recipient_that_stays_upright() -> None:
    reference, retargeting = made()
    offset = np.array([0.05, -0.03, 0.02])
    shift = retargeting.shift(moved(motion_of(reference), 1, offset), CLIP, ROW)
    np.testing.assert_allclose(shift.position, np.broadcast_to(offset, (1, 2, 2, 3)), atol=1e-12)


def test_the_turn_of_the_anchor_counts() -> None:
    """A recipient that turns on the spot takes the hands along on a circle; a translation alone would not see it."""
    reference, retargeting = made()
    motion = motion_of(reference)
    turn = rotations.yaw_quaternion(0.3)
    turned = moved(motion, 1, np.zeros(3), turn)
    shift = retargeting.shift(turned, CLIP, ROW)
    hands = retargeting._hands.bodies
    expected = rotations.rotate(turn, motion.position[:, 0, hands]) - motion.position[:, 0, hands]
    np.testing.assert_allclose(shift.position, expected, atol=1e-12)
    anchor = retargeting._hands.anchors[retargeting.anchor[ROW[0], 0, 0]]
    translation = turned.position[0, 1, anchor] - motion.position[0, 1, anchor]
    assert np.linalg.norm(shift.position[0, 0, 0] - translation) > 0.01


def test_the_supporters_own_error_moves_nothing() -> None:
    reference, retargeting = made(config=replace(DYNAMIC, gate="hand"))
    shift = retargeting.shift(moved(motion_of(reference), 0, np.array([0.2, 0.1, -0.1])), CLIP, ROW)
    np.testing.assert_allclose(shift.position, 0.0, atol=1e-14)


@given(st.floats(-3.0, 3.0), st.floats(-5.0, 5.0), st.floats(-5.0, 5.0), st.integers(0, 2**32 - 1))
def test_the_world_may_be_turned_and_moved(yaw: float, x: float, y: float, seed: int) -> None:
    turn, offset = rotations.yaw_quaternion(yaw), np.array([x, y, 0.0])
    clip = reaching_clip()
    local = clip.local_rotation.copy()
    local[:, :, 0] = rotations.multiply(turn, local[:, :, 0])
    root = rotations.rotate(turn, clip.root_position) + offset
    elsewhere, there = made(replace(clip, root_position=root, local_rotation=local))
    reference, here = made(clip)
    rng = np.random.default_rng(seed)
    push, spin = 0.1 * rng.normal(size=3), rotations.from_rotation_vector(0.2 * rng.normal(size=3))
    first = moved(motion_of(reference), 1, push, spin)
    second = moved(motion_of(reference), 1, push, spin)
    for role in (0, 1):
        second = moved(second, role, offset, turn)
    expected = rotations.rotate(turn, here.shift(first, CLIP, ROW).position)
    np.testing.assert_allclose(there.shift(second, CLIP, ROW).position, expected, atol=1e-9)
    del elsewhere


def test_both_roles_have_the_same_rule() -> None:
    """The recipient's hands in the exchanged clip move as the supporter's do."""
    clip = reaching_clip()
    exchanged = replace(
        clip,
        root_position=clip.root_position[:, ::-1],
        local_rotation=clip.local_rotation[:, ::-1],
        offsets=clip.offsets[::-1],
        masses=clip.masses[::-1],
    )
    reference, supporter = made(clip)
    other = build_reference([exchanged])
    recipient = Retargeting(other, Hands([other.clips[0].bodies], role=1), DYNAMIC)
    offset = np.array([0.04, 0.02, -0.03])
    first = supporter.shift(moved(motion_of(reference), 1, offset), CLIP, ROW)
    second = recipient.shift(moved(motion_of(other), 0, offset), CLIP, ROW)
    np.testing.assert_allclose(first.position, second.position, atol=1e-12)


def test_a_shift_is_limited_and_the_gate_closes_with_the_distance() -> None:
    reference, retargeting = made(config=replace(DYNAMIC, max_shift=0.1, gate="pelvis"))
    gates, sizes = [], []
    for away in np.linspace(0.0, 2.0, 21):
        motion = moved(motion_of(reference), 1, np.array([away, 0.0, 0.0]))
        gates.append(retargeting.gate(motion, CLIP, ROW)[0, 0])
        sizes.append(np.linalg.norm(retargeting.shift(motion, CLIP, ROW).position, axis=-1).max())
    assert gates[0] == 1.0 and gates[-1] == 0.0 and np.all(np.diff(gates) <= 0.0)
    assert max(sizes) <= 0.1 + 1e-12 and sizes[-1] == 0.0


def test_the_gate_is_chosen_per_clip() -> None:
    """Sit-to-stand stays within pelvis reach; in the pull-up people hold hands at arm's length."""
    sitting, pulling = (made(load_clip(name))[1] for name in ("sit_to_stand/train_00", "pull_up"))
    assert sitting.by_pelvis.all() and not pulling.by_pelvis.any()
    reference, pulling = made(load_clip("pull_up"))
    clasp = np.arange(5, 40)
    gate = pulling.gate(motion_of(reference, clasp), np.zeros_like(clasp), clasp)
    distance = np.linalg.norm(reference.position[clasp, 0, 0] - reference.position[clasp, 1, 0], axis=-1)
    assert (gate[:, 1] == 1.0).all() and distance.max() > DYNAMIC.pelvis_near
    hand = [ANCHORS[index] for index in pulling.anchor[clasp, 1, 0]]
    assert set(hand) == {"R_Hand"}


def test_anchors_are_kept_by_the_margin_and_change_smoothly() -> None:
    time = np.arange(40)
    gap = np.full((40, 2, 3), 1.0)
    gap[:, 0, 0], gap[:, 0, 1] = 0.10, 0.10 + 0.02 * np.sin(time)
    flickering, _ = _anchors(gap, margin=0.0, blend=0)
    kept, share = _anchors(gap, margin=0.05, blend=9)
    assert len(np.unique(flickering[:, 0, 0])) == 2
    assert (kept[:, 0, 0] == 0).all() and (share == 0.0).all()
    gap[20:, 0, 1] = 0.0
    anchor, share = _anchors(gap, margin=0.05, blend=10)
    weight = np.where(anchor[:, 0, 0] == 1, 1.0 - share[:, 0], np.where(anchor[:, 0, 1] == 1, share[:, 0], 0.0))
    assert weight[0] == 0.0 and weight[-1] == 1.0
    assert (np.diff(weight) >= 0.0).all() and np.diff(weight).max() < 0.15
    assert share.min() >= 0.0 and share.max() <= 0.5


def test_the_arm_keeps_its_bones_and_reaches_what_it_can() -> None:
    rng = np.random.default_rng(0)
    shoulder, elbow, wrist, target = rng.normal(size=(4, 200, 3))
    new_elbow, new_wrist = bent_arm(shoulder, elbow, wrist, target)
    upper, fore = np.linalg.norm(elbow - shoulder, axis=-1), np.linalg.norm(wrist - elbow, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(new_elbow - shoulder, axis=-1), upper, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(new_wrist - new_elbow, axis=-1), fore, rtol=1e-6)
    distance = np.linalg.norm(target - shoulder, axis=-1)
    within = (distance < upper + fore - 1e-5) & (distance > np.abs(upper - fore) + 1e-5)
    assert 20 < within.sum() < 200
    np.testing.assert_allclose(new_wrist[within], target[within], atol=1e-9)
    same_elbow, same_wrist = bent_arm(shoulder, elbow, wrist, wrist)
    np.testing.assert_allclose(same_elbow, elbow, atol=1e-4)
    np.testing.assert_allclose(same_wrist, wrist, atol=2e-6)


def test_with_the_arm_the_goal_is_a_pose_that_a_body_can_take() -> None:
    reference, retargeting = made(config=replace(DYNAMIC, arm=True))
    motion = moved(motion_of(reference), 1, np.array([-0.05, 0.02, -0.04]))
    shift, goal = retargeting.shift(motion, CLIP, ROW), reference.goal(ROW)
    retargeting.move(goal, shift)
    body = reference.clips[0].bodies[0]
    for side in "LR":
        for parent, child in (("Shoulder", "Elbow"), ("Elbow", "Wrist")):
            a, b = body.index(f"{side}_{parent}"), body.index(f"{side}_{child}")
            bone = goal.motion[0, 0, 0, b] - goal.motion[0, 0, 0, a]
            np.testing.assert_allclose(bone, goal.matrix[0, 0, a] @ body.offsets[b], atol=1e-6)
    np.testing.assert_allclose(goal.matrix, rotations.to_matrix(goal.rotation), atol=1e-12)
    np.testing.assert_allclose(goal.motion[0, 1], reference.motion[ROW[0], 1], atol=0.0)


def test_points_are_carried_with_unchanged_coordinates() -> None:
    rng = np.random.default_rng(1)
    before, after = (rotations.to_matrix(rotations.normalize(rng.normal(size=4))) for _ in range(2))
    origin, there, point = rng.normal(size=(3, 3))
    result = carried(point[None], origin, before, there, after)[0]
    np.testing.assert_allclose(after.T @ (result - there), before.T @ (point - origin), atol=1e-12)


@given(st.lists(st.floats(-10.0, 10.0), min_size=3, max_size=3), st.floats(0.0, 2.0))
def test_limited_vectors_keep_their_direction(vector: list[float], most: float) -> None:
    offset = np.array(vector)
    result = limit_norm(offset, most)
    assert np.linalg.norm(result) <= most + 1e-9
    if np.linalg.norm(offset) <= most:
        np.testing.assert_allclose(result, offset, atol=1e-12)


@given(st.floats(-1.0, 2.0), st.floats(-1.0, 2.0))
def test_smoothstep_is_monotone_and_bounded(a: float, b: float) -> None:
    low, high = sorted((a, b))
    first, second = smoothstep(np.array([low, high]), 0.1, 0.9)
    assert 0.0 <= first <= second <= 1.0


# --- in the simulation ----------------------------------------------------------------------------------------


def rolled_out(**options: Any) -> tuple[Any, dict[str, np.ndarray], dict[str, Any]]:
    vec = make_vec(2, clips=reaching_clip(), recipient={"torque_limit": {"*": 20.0}}, **options)
    vec.reset(seed=3, options={"frame": 0})
    rng, observation, info = np.random.default_rng(0), {}, {}
    for _ in range(12):
        action = pose_action(vec.simulation) + 0.05 * rng.normal(size=(2, 2, vec.simulation.body.num_dofs))
        observation, _, _, _, info = vec.step(by_role(action))
    return vec, observation, info


def test_goal_and_reward_use_the_moved_target_termination_and_metrics_do_not() -> None:
    _, plain, before = rolled_out()
    vec, observation, after = rolled_out(retargeting="dynamic")
    shift = vec.simulation.shift.position
    assert np.linalg.norm(shift, axis=-1).max() > 0.01
    np.testing.assert_array_equal(before["body_error"], after["body_error"])
    np.testing.assert_array_equal(before["tracking_error"], after["tracking_error"])
    np.testing.assert_array_equal(before["height_error"], after["height_error"])
    terms = [info["reward_terms"]["position"] for info in (before, after)]
    assert (terms[0][:, 0] != terms[1][:, 0]).all()
    np.testing.assert_array_equal(terms[0][:, 1], terms[1][:, 1])
    layout, body = vec.layout, vec.simulation.body
    for block in ("goal_position_error", "goal_position"):
        change = (observation["supporter"] - plain["supporter"])[:, layout[block]].reshape(2, -1, 3)
        hands = vec.simulation._retargeting._hands.bodies
        np.testing.assert_allclose(np.linalg.norm(change[:, hands], axis=-1), np.linalg.norm(shift, axis=-1), atol=1e-5)
        others = np.setdiff1d(np.arange(body.num_bodies), hands)
        np.testing.assert_array_equal(change[:, others], 0.0)
    for block in ("goal_position_error", "goal_position", "goal_rotation", "self"):
        np.testing.assert_array_equal(observation["recipient"][:, layout[block]], plain["recipient"][:, layout[block]])


def test_one_world_and_many_move_their_targets_alike() -> None:
    many, _, _ = rolled_out(retargeting={"mode": "dynamic", "arm": True})
    shift = many.simulation.shift
    single = many.simulation._shift(np.array([1]), many.worlds.motion(np.array([1])))
    np.testing.assert_array_equal(single.position[0], shift.position[1])
    np.testing.assert_array_equal(single.turn[0], shift.turn[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "dynamics"}, "retargeting.mode is 'dynamics'"),
        ({"pelvis_near": 2.0}, "retargeting.pelvis_near is 2.0"),
        ({"max_shift": -1.0}, "retargeting.max_shift is -1.0"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_vec(1, retargeting=options)
