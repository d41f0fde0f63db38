"""Parity with PHC on its reference vectors, beside that of observations, rewards and checkpoints in their own tests.

Product code needs no reference vectors; these tests do, and are left out where they are not at hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assistmimic_env import metrics, rotations
from assistmimic_env.actuation import action_scale, action_to_target
from assistmimic_env.body import get_body

torch = pytest.importorskip("torch")
pytest.importorskip("ray")

from assistmimic_trainers.advantage import generalized_advantage  # noqa: E402
from assistmimic_trainers.learner import excess, standardize, surrogate_loss  # noqa: E402

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "phc"
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not GOLDEN.is_dir(), reason="PHC's reference vectors are not beside the repository"),
]
HALF_TURNS = (3, 4, 5)
"""Rows whose angle is exactly pi: axis and angle up to sign."""
NO_HEADING = (3, 5, 6, 7)


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return {key: a.astype(np.float64) if a.dtype == np.float32 else a for key, a in arrays.items()}


def wxyz(quaternion: np.ndarray) -> np.ndarray:
    return np.roll(quaternion, 1, axis=-1)


def assert_close(ours: np.ndarray, theirs: np.ndarray, without: tuple[int, ...] = ()) -> None:
    rows = [row for row in range(len(theirs)) if row not in without]
    assert len(rows) > 40
    np.testing.assert_allclose(ours[rows], theirs[rows], atol=1e-5)


def test_rotations() -> None:
    v = golden("rotation_utils")
    q, other = wxyz(v["in_q"]), wxyz(v["in_q2"])
    assert_close(rotations.multiply(q, other), wxyz(v["out_quat_mul"]))
    assert_close(rotations.conjugate(q), wxyz(v["out_quat_conjugate"]))
    assert_close(rotations.rotate(q, v["in_v"]), v["out_my_quat_rotate"])
    assert_close(rotations.inverse_rotate(q, v["in_v"]), v["out_quat_rotate_inverse"])
    assert_close(rotations.tan_norm(q), v["out_quat_to_tan_norm"])
    assert_close(rotations.heading(q), v["out_calc_heading"], NO_HEADING)
    assert_close(rotations.heading_quaternion(q), wxyz(v["out_calc_heading_quat"]), NO_HEADING)
    assert_close(rotations.to_rotation_vector(q), v["out_quat_to_exp_map"], HALF_TURNS)
    axis = v["in_v"] / np.linalg.norm(v["in_v"], axis=-1, keepdims=True)  # PHC normalises, ours expects it
    assert_close(rotations.from_axis_angle(axis, v["in_angle"]), wxyz(v["out_quat_from_angle_axis"]))


def test_rotations_that_are_equal_up_to_sign() -> None:
    """A quaternion and its negative are one rotation."""
    v = golden("rotation_utils")
    q, other = wxyz(v["in_q"]), wxyz(v["in_q2"])
    pairs = {
        "out_slerp": rotations.slerp(q, other, v["in_t"][:, 0]),
        "out_exp_map_to_quat": rotations.from_rotation_vector(v["in_exp_map"]),
        "out_tan_norm_to_quat": q,
    }
    for name, ours in pairs.items():
        theirs = wxyz(v[name])
        sign = np.sign(np.sum(ours * theirs, axis=-1, keepdims=True))
        assert_close(ours * np.where(sign == 0.0, 1.0, sign), theirs, HALF_TURNS)


def test_servo_targets() -> None:
    """The shipped setting of PHC: pi for every component, 5 for the knees' flexion, no offset."""
    v, scale = golden("pd_action_24"), action_scale(get_body("smpl24"))
    np.testing.assert_allclose(scale.reshape(-1), v["out_scale_nolimit_bias0_up1_pdoff0"], atol=1e-5)
    assert not v["out_offset_nolimit_bias0_up1_pdoff0"].any()
    targets = action_to_target(v["in_action"], scale, "expmap").reshape(8, -1)
    np.testing.assert_allclose(targets, v["out_pd_target_nolimit_bias0_up1_pdoff0"], atol=1e-5)


@pytest.mark.parametrize("case", ["train_025_max", "eval_05_mean", "strict_05_max"])
def test_termination(case: str) -> None:
    """Mean and largest distance over PHC's reset bodies, ignored in the first step; every row decides alike."""
    v = golden("im_reset")
    bodies, limit = v[f"arg_ids_{case}"], 0.25 if "025" in case else 0.5
    if case.endswith("mean"):
        error = metrics.tracking_error(v["in_body_pos"], v["in_ref_pos"], bodies)
    else:
        error = metrics.body_error(v["in_body_pos"], v["in_ref_pos"])[:, bodies].max(axis=-1)
    failed = (error > limit) & (v["in_progress"] > 1)
    assert 0 < failed.sum() < len(failed)
    np.testing.assert_array_equal(failed, v[f"out_term_{case}_nocoll0"].astype(bool))
    np.testing.assert_array_equal(failed | v["in_pass_time"], v[f"out_reset_{case}_nocoll0"].astype(bool))


def test_advantages() -> None:
    """PHC's next values are free numbers; where a segment goes on, their difference to ours moves into the reward."""
    v = golden("ppo_pieces")
    rewards, values, following = (v[name][..., 0].T for name in ("in_rewards", "in_values", "in_next_values"))
    done = v["in_fdones"].T.astype(bool)
    ends = done.copy()
    ends[:, -1] = True
    shifted = np.concatenate([values[:, 1:], values[:, :1]], axis=1)
    rewards = rewards + 0.99 * np.where(ends, 0.0, following - shifted)
    lengths = np.diff(np.flatnonzero(ends.reshape(-1)), prepend=-1)
    ours = generalized_advantage(
        rewards.reshape(-1), values.reshape(-1), following[ends], lengths, gamma=0.99, lambda_=0.95
    )
    np.testing.assert_allclose(ours.reshape(done.shape).T, v["out_gae"][..., 0], rtol=1e-5, atol=1e-4)


def test_losses() -> None:
    v = {name: torch.from_numpy(np.asarray(array)) for name, array in golden("ppo_pieces").items()}
    np.testing.assert_allclose(excess(v["in_mu"]), v["out_bound_loss"], rtol=1e-5, atol=1e-4)
    ratio = torch.exp(v["in_old_logp"] - v["in_logp"])  # PHC's are negative log-probabilities
    np.testing.assert_allclose(surrogate_loss(ratio, v["in_adv"], 0.2), v["out_actor_loss"], rtol=1e-5, atol=1e-4)
    advantages = standardize((v["in_adv_returns"] - v["in_adv_values"])[:, 0])
    np.testing.assert_allclose(advantages, v["out_adv_norm"], rtol=1e-5, atol=1e-4)
