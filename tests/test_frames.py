"""Body frames: renaming axes is turning them, and everything that sees or acts in them agrees."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from toys import reaching_clip

from assistmimic_env.actuation import action_scale, action_to_target, target_to_action
from assistmimic_env.body import get_body
from assistmimic_env.config import env_config
from assistmimic_env.errors import ConfigError
from assistmimic_env.frames import from_upright, to_upright
from assistmimic_env.policy import StillPolicy
from assistmimic_env.simulation import PairSimulation

BASE = Rotation.from_quat([0.5, 0.5, 0.5, 0.5])
"""Turns SMPL's axes into ours: (x, y, z) -> (z, x, y)."""


def simulation(**options: object) -> PairSimulation:
    """Two worlds at different times of a clip."""
    made = PairSimulation([reaching_clip()], 2, env_config(**options), threads=1)
    ids = np.arange(2)
    made.reset(ids, clip=np.zeros(2, dtype=np.intp), frame=np.array([5, 20]))
    return made


def test_left_up_forward_becomes_forward_left_up() -> None:
    np.testing.assert_array_equal(to_upright(np.array([1.0, 2.0, 3.0])), [3.0, 1.0, 2.0])
    np.testing.assert_array_equal(from_upright(np.array([3.0, 1.0, 2.0])), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(to_upright(np.arange(3.0), "upright"), np.arange(3.0))


def test_renaming_the_axes_is_the_base_rotation() -> None:
    vector, other = np.random.default_rng(0).normal(size=(2, 5, 3))
    turn = Rotation.from_rotvec(other)
    np.testing.assert_allclose(to_upright(vector), BASE.apply(vector), atol=1e-12)
    np.testing.assert_allclose(from_upright(turn.as_matrix()), (turn * BASE).as_matrix(), atol=1e-12)
    local = BASE * Rotation.from_rotvec(vector) * BASE.inv()
    np.testing.assert_allclose(Rotation.from_rotvec(to_upright(vector)).as_matrix(), local.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("law", ["so3", "expmap"])
def test_actions_in_smpls_frames_are_undone_by_their_inverse(law: str) -> None:
    scale = action_scale(get_body("smpl24"))
    action = 0.3 * np.random.default_rng(0).uniform(-1.0, 1.0, (4, scale.size))
    target = action_to_target(action, scale, law, "smpl")  # type: ignore[arg-type]
    np.testing.assert_allclose(target_to_action(target, scale, "smpl"), action, atol=1e-12)


def test_the_fast_axis_of_the_knee_is_its_twist_in_smpls_frames() -> None:
    """The y component: flexion in ours, z in ours when it is SMPL's (``spec/phc.md`` section 3)."""
    body = get_body("smpl24")
    scale, knee = action_scale(body), body.index("L_Knee") - 1
    action = np.zeros(scale.shape)
    action[knee] = 1.0
    np.testing.assert_allclose(action_to_target(action.ravel(), scale, "expmap")[knee], [np.pi, 5.0, np.pi])
    np.testing.assert_allclose(action_to_target(action.ravel(), scale, "expmap", "smpl")[knee], [np.pi, np.pi, 5.0])


def test_only_blocks_with_body_axes_differ() -> None:
    """Equal physics; positions, velocities and rotation errors do not depend on how body frames lie."""
    ours, smpl = simulation(), simulation(frames="smpl")
    differing = {
        name
        for name in ours.layout.sizes
        if not np.array_equal(ours.observation[..., ours.layout[name]], smpl.observation[..., ours.layout[name]])
    }
    assert differing == {"body_rotation", "goal_rotation", "partner_rotation", "partner_tilt", "partner_from_wrists"}


def test_equal_targets_give_equal_physics_in_both_frames() -> None:
    ours, smpl = simulation(), simulation(frames="smpl")
    for each in (ours, smpl):
        each.step(each.actions_for(each.reference.target[each.reference.row(each.clip, each.frame)]))
    np.testing.assert_allclose(ours.worlds.motion().position, smpl.worlds.motion().position, atol=1e-9)


def test_a_still_person_holds_the_pose_in_both_frames() -> None:
    targets = []
    for each in (simulation(), simulation(frames="smpl")):
        still = StillPolicy(each.layout, each.body.parents, each.action_scale)
        targets.append(each.targets_of(still.act(each.observation[:, 0]).astype(np.float64)))
    np.testing.assert_allclose(targets[0], targets[1], atol=1e-5)


def test_unknown_frames_are_refused() -> None:
    with pytest.raises(ConfigError, match="frames"):
        simulation(frames="y-up")
