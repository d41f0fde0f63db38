"""Rewards: equal to PHC's, in [0, 1], best at perfect tracking, and every term can be switched off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import by_role, make_vec, pose_action

from assistmimic_env import rewards, rotations
from assistmimic_env.config import RewardConfig
from assistmimic_env.rewards import IMITATION_TERMS, imitation_reward

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "phc" / "im_reward_24.npz"
STATE = ("pos", "rot", "vel", "ang_vel")
SIZES = st.floats(0.0, 50.0)


def random_state(seed: int, batch: tuple[int, ...] = (4,), bodies: int = 24) -> list[np.ndarray]:
    """Position, rotation, velocity and angular velocity of some bodies."""
    rng = np.random.default_rng(seed)
    rotation = rotations.normalize(rng.normal(size=(*batch, bodies, 4)))
    return [rng.normal(size=(*batch, bodies, 3)), rotation, *rng.normal(size=(2, *batch, bodies, 3))]


@pytest.mark.skipif(not GOLDEN.is_file(), reason="PHC's reference vectors are not beside the repository")
def test_imitation_reward_equals_phc() -> None:
    """Total and the four terms, all rows."""
    with np.load(GOLDEN) as file:
        arrays = {name: file[name] for name in file.files}
    state = [arrays[f"in_{who}_{name}"].astype(np.float64) for who in ("body", "ref") for name in STATE]
    state[1], state[5] = (np.roll(state[index], 1, axis=-1) for index in (1, 5))
    total, terms = imitation_reward(*state)
    np.testing.assert_allclose(total, arrays["out_reward"], atol=1e-4)
    np.testing.assert_allclose(terms, arrays["out_reward_raw"], atol=1e-4)


def test_formula_on_one_body() -> None:
    """Means over bodies and components: an error of 0.3 m along one of three axes counts a third of its square."""
    still = [np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0, 0.0]]), np.zeros((1, 3)), np.zeros((1, 3))]
    off = [np.array([[0.3, 0.0, 0.0]]), rotations.from_rotation_vector(np.array([[0.0, 0.2, 0.0]])), *still[2:]]
    off[2], off[3] = np.array([[0.0, 2.0, 0.0]]), np.array([[0.0, 0.0, 3.0]])
    total, terms = imitation_reward(*off, *still)
    expected = np.exp([-100 * 0.09 / 3, -10 * 0.04, -0.1 * 4 / 3, -0.1 * 9 / 3])
    np.testing.assert_allclose(terms, expected)
    np.testing.assert_allclose(total, np.dot([0.5, 0.3, 0.1, 0.1], expected))


@given(seed=st.integers(0, 2**32 - 1), bodies=st.sampled_from([1, 24, 52]), scale=SIZES)
def test_terms_are_between_zero_and_one(seed: int, bodies: int, scale: float) -> None:
    """However wrong the pose is; quaternions may have either sign."""
    own, ref = random_state(seed, bodies=bodies), random_state(seed + 1, bodies=bodies)
    own[0], own[2], own[3] = (scale * own[index] for index in (0, 2, 3))
    total, terms = imitation_reward(*own, *ref)
    assert terms.shape == (4, 4)
    assert np.all((terms >= 0.0) & (terms <= 1.0))
    assert np.all((total >= 0.0) & (total <= 1.0))
    flipped = imitation_reward(own[0], -own[1], own[2], own[3], *ref)[1]
    np.testing.assert_allclose(flipped, terms, atol=1e-9)


def test_perfect_tracking_earns_one() -> None:
    state = random_state(0)
    total, terms = imitation_reward(*state, *state)
    np.testing.assert_allclose(terms, 1.0, atol=1e-12)
    np.testing.assert_allclose(total, 1.0, atol=1e-12)


@pytest.mark.parametrize("term", range(4), ids=IMITATION_TERMS)
def test_terms_fall_as_their_error_grows_and_only_then(term: int) -> None:
    """A larger error of one quantity lowers its own term and no other."""
    ref = random_state(1, batch=())
    rng, values = np.random.default_rng(2), []
    direction = rng.normal(size=(24, 3))
    for size in np.linspace(0.0, 0.5, 12):
        own = list(ref)
        turn = rotations.from_rotation_vector(size * direction)
        own[term] = rotations.multiply(turn, ref[1]) if term == 1 else ref[term] + size * direction
        values.append(imitation_reward(*own, *ref)[1])
    assert np.all(np.diff(np.array(values)[:, term]) < 0.0)
    np.testing.assert_allclose(np.delete(np.array(values), term, axis=1), 1.0, atol=1e-12)


def test_batch_is_its_rows() -> None:
    own, ref = random_state(3, (2, 3)), random_state(4, (2, 3))
    total, terms = imitation_reward(*own, *ref)
    one_total, one_terms = imitation_reward(*(array[1, 2] for array in (*own, *ref)))
    assert (total.shape, terms.shape) == ((2, 3), (2, 3, 4))
    np.testing.assert_allclose(one_total, total[1, 2])
    np.testing.assert_allclose(one_terms, terms[1, 2])


@pytest.mark.parametrize("name", IMITATION_TERMS)
def test_weight_zero_is_as_if_the_term_did_not_exist(name: str) -> None:
    """Bit for bit: the sum of the other weighted terms, however badly the term itself does."""
    terms, config = np.random.default_rng(5).uniform(size=(100, 4)), RewardConfig(**{name: 0.0})
    index = IMITATION_TERMS.index(name)
    others = [(getattr(config, other), terms[:, i]) for i, other in enumerate(IMITATION_TERMS) if i != index]
    expected = np.zeros(100)
    for weight, values in others:
        expected = expected + weight * values
    np.testing.assert_array_equal(rewards.weigh(terms, config), expected)
    worse = terms.copy()
    worse[:, index] = 0.0
    np.testing.assert_array_equal(rewards.weigh(worse, config), expected)


def test_sensitivities_change_their_own_term_only() -> None:
    own, ref = random_state(6), random_state(7)
    own[0] = ref[0] + 0.05
    terms = imitation_reward(*own, *ref)[1]
    sharper = imitation_reward(*own, *ref, config=replace(RewardConfig(), position_scale=200.0))[1]
    np.testing.assert_allclose(sharper[:, 0], terms[:, 0] ** 2)
    np.testing.assert_array_equal(sharper[:, 1:], terms[:, 1:])


def test_power_is_the_sum_of_absolute_products() -> None:
    """Braking costs as much as driving."""
    torque, velocity = np.array([[10.0, -20.0], [0.0, 5.0]]), np.array([[2.0, 3.0], [9.0, 0.0]])
    np.testing.assert_allclose(rewards.joint_power(torque, velocity), [80.0, 0.0])


def rollout(weights: RewardConfig, steps: int = 20) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rewards (T, N, 2) and terms of shaky tracking; the same motion for all weights."""
    vec = make_vec(3, reward=weights, termination_distance=np.inf, start_noise=1.0)
    vec.reset(seed=0, options={"frame": 20})
    rng, totals, terms = np.random.default_rng(0), [], []
    for _ in range(steps):
        action = pose_action(vec.simulation)
        _, reward, _, _, info = vec.step(by_role(action + rng.normal(scale=0.05, size=action.shape)))
        totals.append(np.stack([reward[role] for role in vec.agents], axis=-1))
        terms.append(info["reward_terms"])
    return np.array(totals), {name: np.array([term[name] for term in terms]) for name in terms[0]}


def test_environment_reward_is_the_weighted_sum_of_its_named_terms() -> None:
    """The info of a step explains its reward, and power is subtracted."""
    weights = RewardConfig(position=0.4, rotation=0.3, velocity=0.2, angular_velocity=0.1, power=3e-5)
    total, terms = rollout(weights)
    assert set(terms) == {*IMITATION_TERMS, "power"}
    expected = sum(getattr(weights, name) * terms[name] for name in IMITATION_TERMS) - weights.power * terms["power"]
    np.testing.assert_allclose(total, expected, rtol=1e-6, atol=1e-6)
    assert terms["power"].min() > 0.0


def test_weights_change_the_reward_and_nothing_else() -> None:
    """With power at weight 0 the reward is bitwise the imitation reward; terms do not move."""
    total, terms = rollout(RewardConfig())
    free, same_terms = rollout(RewardConfig(power=0.0))
    for name, values in terms.items():
        np.testing.assert_array_equal(values, same_terms[name])
    stacked = np.stack([terms[name] for name in IMITATION_TERMS], axis=-1)
    np.testing.assert_array_equal(free, rewards.weigh(stacked, RewardConfig()).astype(np.float32))
    assert np.all(total < free)
