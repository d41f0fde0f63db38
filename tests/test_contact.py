"""The contact-promoting reward: what pays, what does not, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import BODY, by_role, make_vec, pose_action, reaching_clip, standing_clip

from assistmimic_env import rewards
from assistmimic_env.clip import ROLES
from assistmimic_env.config import ContactConfig, RewardConfig
from assistmimic_env.contact import contact_terms, nearness, supporting_force
from assistmimic_env.hands import ANCHORS, Hands
from assistmimic_env.reference import build_reference
from assistmimic_env.tracking import Tracker
from assistmimic_env.worlds import Motion

CONFIG = ContactConfig(weight=1.0, excess=1.0)
NEAR, ZERO = np.ones(2), np.zeros(2)


def reward_of(gap: float, force: float) -> float:
    vector = np.array([[0.0, 0.0, force], [0.0, 0.0, force]])
    return float(contact_terms(np.full(2, gap), NEAR, vector, CONFIG)[0])


def test_hovering_earns_nothing_however_close() -> None:
    assert reward_of(0.0, 0.0) == 0.0


@given(st.floats(0.0, 1e4), st.floats(0.0, 1e4))
def test_more_force_earns_more_until_it_saturates(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0.0 <= reward_of(0.0, low) <= reward_of(0.0, high) <= 1.0
    if low >= CONFIG.force:
        assert reward_of(0.0, low) == 1.0


@given(st.floats(-0.1, 1.0), st.floats(-0.1, 1.0))
def test_closer_earns_more(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert reward_of(high, 50.0) <= reward_of(low, 50.0) <= 1.0


def test_pressing_down_is_no_support_and_pulling_is() -> None:
    np.testing.assert_allclose(
        supporting_force(np.array([[0.0, 0.0, -80.0], [30.0, 40.0, -80.0], [0.0, 60.0, 80.0]])), [0.0, 50.0, 100.0]
    )


def test_force_beyond_the_limit_costs_up_to_one() -> None:
    sizes = np.array([CONFIG.limit, 1.5 * CONFIG.limit, 10.0 * CONFIG.limit])
    force = np.zeros((3, 2, 3))
    force[:, :, 2] = -sizes[:, None]
    np.testing.assert_allclose(contact_terms(np.zeros((3, 2)), np.ones((3, 2)), force, CONFIG)[1], [0.0, 0.5, 1.0])


@given(st.floats(-0.1, 1.0), st.floats(-0.1, 1.0))
def test_a_hand_is_near_in_both_worlds_or_not_at_all(gap: float, ref_gap: float) -> None:
    near = float(nearness(np.array(gap), np.array(ref_gap), CONFIG))
    assert 0.0 <= near <= 1.0
    assert near == float(nearness(np.array(ref_gap), np.array(gap), CONFIG))
    if max(gap, ref_gap) >= CONFIG.far:
        assert near == 0.0
    if max(gap, ref_gap) <= CONFIG.near:
        assert near == 1.0


# --- the mask -------------------------------------------------------------------------------------------------


def tracked(weight: np.ndarray | None, error: dict[str, float]) -> np.ndarray:
    """Imitation terms (1, 2, 4) when some bodies of the supporter are off by an error in every respect."""
    reference = build_reference([standing_clip()])
    row = np.array([7])
    linear, rotation = reference.motion[row].copy(), reference.rotation[row].copy()
    for name, size in error.items():
        linear[0, 0, :, BODY.index(name)] += size
        rotation[0, 0, BODY.index(name)] = [0.8, 0.6, 0.0, 0.0]
    motion = Motion(linear=linear, rotation=rotation, matrix=reference.matrix[row])
    return Tracker(reference, BODY, RewardConfig()).track(motion, row, weight=weight).terms


def test_a_masked_error_has_exactly_no_effect() -> None:
    weight = np.ones((1, 2, BODY.num_bodies))
    weight[0, 0, BODY.indices(("L_Wrist", "L_Hand"))] = 0.0
    clean = tracked(weight, {})
    np.testing.assert_array_equal(tracked(weight, {"L_Wrist": 0.3, "L_Hand": -2.0}), clean)
    assert (tracked(weight, {"R_Hand": 0.3})[0, 0] < clean[0, 0]).all()
    assert (tracked(None, {"L_Hand": 0.3})[0, 0] < tracked(None, {})[0, 0]).all()


def test_half_a_mask_halves_the_weight_and_a_full_weight_is_the_plain_mean() -> None:
    error = np.random.default_rng(0).normal(size=(5, 3, 6, 3))
    np.testing.assert_allclose(rewards.weighted_mean_square(error, np.ones((5, 6))), rewards.mean_square(error))
    one = np.zeros((1, 1, 2, 3))
    one[..., 0, 0] = 3.0
    assert rewards.weighted_mean_square(one, np.array([[0.5, 1.0]]))[0, 0] == pytest.approx(0.5 * 9.0 / 4.5)


# --- hands ----------------------------------------------------------------------------------------------------


def test_gaps_are_distances_between_surfaces() -> None:
    reference = build_reference([standing_clip(gap=2.0)])
    hands = Hands([reference.clips[0].bodies])
    position, matrix = reference.position[:1].copy(), reference.matrix[:1]
    geoms = {geom.body: geom for geom in reversed(BODY.geoms)}
    hand, chest = BODY.index("L_Hand"), BODY.index("Chest")
    middle = 0.5 * (np.array(geoms[hand].start) + np.array(geoms[hand].end))
    point = position[0, 0, hand] + matrix[0, 0, hand] @ middle
    target = position[0, 1, chest] + matrix[0, 1, chest] @ np.array(geoms[chest].start)
    position[0, 1] += point - target + np.array([0.0, 0.0, 0.4])
    gap = hands.gap(position, matrix, np.array([0]))[0, 0, ANCHORS.index("Chest")]
    assert gap == pytest.approx(0.4 - geoms[hand].radius - geoms[chest].radius, abs=1e-9)


def test_people_that_exchange_their_roles_have_the_same_gaps() -> None:
    reference = build_reference([reaching_clip()])
    bodies = [reference.clips[0].bodies]
    rows = np.array([3])
    gaps = [
        Hands(bodies, role=role).gap(
            reference.position[rows][:, order], reference.matrix[rows][:, order], np.array([0])
        )
        for role, order in ((0, [0, 1]), (1, [1, 0]))
    ]
    np.testing.assert_array_equal(gaps[0], gaps[1])


# --- in the simulation ----------------------------------------------------------------------------------------


def rewards_of(steps: int = 15, **options: Any) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    vec = make_vec(2, clips=reaching_clip(), **options)
    vec.reset(seed=0, options={"frame": 0})
    rng = np.random.default_rng(0)
    collected, info = [], {}
    for _ in range(steps):
        action = pose_action(vec.simulation) + 0.03 * rng.normal(size=(2, 2, vec.simulation.body.num_dofs))
        _, reward, _, _, info = vec.step(by_role(action))
        collected.append(np.stack([reward[role] for role in ROLES], axis=-1))
    return np.array(collected), info["reward_terms"], info


def test_weight_zero_changes_no_bit() -> None:
    plain, terms, _ = rewards_of()
    zero = {"contact": {"weight": 0.0, "excess": 0.0}, "reward": {"assist": 0.0, "coupling": 0.0}}
    same, same_terms, _ = rewards_of(**zero)
    np.testing.assert_array_equal(plain, same)
    assert terms.keys() == same_terms.keys()


def test_the_total_is_made_of_its_terms() -> None:
    options = {"contact": {"weight": 0.3, "excess": 0.1}, "reward": {"assist": 0.2, "coupling": 0.5}}
    total, terms, info = rewards_of(**options)
    config = RewardConfig()
    own = sum(getattr(config, name) * terms[name] for name in rewards.IMITATION_TERMS) - config.power * terms["power"]
    own = own + 0.3 * terms["contact"] - 0.1 * terms["excess"] + 0.2 * terms["assist"]
    own[:, 0] = 0.5 * own[:, 0] + 0.5 * own[:, 1]
    np.testing.assert_allclose(total[-1], own, atol=1e-6)
    assert (terms["contact"][:, 0] > 0.0).any(), "the reaching people push each other's shoulders"
    np.testing.assert_array_equal(terms["contact"][:, 1], 0.0)
    np.testing.assert_array_equal(terms["assist"][:, 0], terms["assist"][:, 1])
    np.testing.assert_allclose(terms["assist"][:, 1], np.exp(-config.assist_scale * info["height_error"] ** 2))


def test_far_hands_track_as_before() -> None:
    """Two metres apart nobody is near: the same reward, to rounding."""
    found = []
    for options in ({}, {"contact": {"weight": 0.5, "excess": 0.5}}):
        env = make_vec(1, clips=standing_clip(gap=2.0), **options)
        env.reset(seed=0, options={"frame": 0})
        rewarded = [env.step(by_role(0.9 * pose_action(env.simulation)))[1] for _ in range(5)]
        found.append([[reward[role][0] for role in ROLES] for reward in rewarded])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_only_the_force_between_the_two_counts() -> None:
    """A supporter whose hands press on nobody gets no contact reward, whatever else touches them."""
    _, terms, info = rewards_of(solo=True, contact={"weight": 0.3})
    assert np.abs(info["contact_force"]).max() == 0.0
    np.testing.assert_array_equal(terms["contact"], 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "contact.weight is -1.0"),
        ({"near": 0.5}, "contact.near is 0.5"),
        ({"force": 300.0}, "contact.force is 300.0"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_vec(1, contact=options)
