"""Reward terms that users add: what they see, what they may return, and that they change nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from toys import BODY, by_role, make_env, make_vec, pose_action, reaching_clip, rising_clip

from assistmimic_env import reward_terms
from assistmimic_env.clip import ROLES
from assistmimic_env.config import RewardConfig
from assistmimic_env.errors import ConfigError
from assistmimic_env.reward_terms import RewardContext, register_reward_term, reward_term_names
from assistmimic_env.vector import VectorEnv


@pytest.fixture(autouse=True)
def own_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms registered by a test are gone after it."""
    monkeypatch.setattr(reward_terms._CATALOG, "_items", {})


def head_height(context: RewardContext) -> np.ndarray:
    return context.motion.position[:, :, context.body.index("Head"), 2]


def rewards_and_terms(vec: VectorEnv, steps: int = 40) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
    """Rewards (steps, N, 2) under the same shaky actions, and the terms of each step."""
    rng = np.random.default_rng(0)
    vec.reset(seed=0)
    rewards, terms = [], []
    for _ in range(steps):
        action = pose_action(vec.simulation)
        _, reward, _, _, info = vec.step(by_role(action + rng.normal(scale=0.05, size=action.shape)))
        rewards.append(np.stack([reward[role] for role in ROLES], axis=-1))
        terms.append(info["reward_terms"])
    return np.array(rewards), terms


def seen_contexts(steps: int = 3, **options: Any) -> tuple[VectorEnv, list[dict[str, np.ndarray]]]:
    """What a term sees in some steps: copies of all arrays, by name."""
    seen: list[dict[str, np.ndarray]] = []

    def spy(context: RewardContext) -> np.ndarray:
        arrays = {name: np.array(value) for name, value in vars(context).items() if isinstance(value, np.ndarray)}
        arrays["position"], arrays["target"] = np.array(context.motion.position), context.target.position
        arrays["error"] = np.array(context.tracking.body_error)
        seen.append(arrays)
        return np.zeros(context.torque.shape[:2])

    register_reward_term("spy", spy)
    vec = make_vec(2, reward={"extra": {"spy": 0.0}}, **options)
    rewards_and_terms(vec, steps)
    return vec, seen


def test_a_term_adds_its_weighted_value_and_is_reported() -> None:
    """Negative weights take away; the other terms stay what they are."""
    register_reward_term("head", head_height)
    base, _ = rewards_and_terms(make_vec())
    for weight in (0.25, -0.5):
        rewards, terms = rewards_and_terms(make_vec(reward={"extra": {"head": weight}}))
        head = np.array([step["head"] for step in terms])
        assert head.shape == rewards.shape
        assert head.min() > 0.5
        np.testing.assert_allclose(rewards, base + weight * head, atol=1e-6)
        assert set(terms[0]) == {"position", "rotation", "velocity", "angular_velocity", "power", "head"}


def test_without_weight_or_with_weight_zero_the_total_is_equal_bit_for_bit() -> None:
    """With the weight 0 the term is reported all the same."""
    register_reward_term("huge", lambda context: np.full(context.torque.shape[:2], 1e308))
    base, base_terms = rewards_and_terms(make_vec())
    rewards, terms = rewards_and_terms(make_vec(reward={"extra": {"huge": 0.0}}))
    np.testing.assert_array_equal(rewards, base)
    assert "huge" not in base_terms[0]
    assert terms[0]["huge"].tolist() == [[1e308, 1e308]] * 3


def test_terms_appear_in_the_infos_of_one_world_too() -> None:
    register_reward_term("head", head_height)
    env = make_env(reward={"extra": {"head": 1.0}})
    env.reset(seed=0)
    infos = env.step(by_role(pose_action(env.simulation)[0]))[-1]
    assert infos["recipient"]["reward_terms"]["head"] == pytest.approx(1.5, abs=0.2)


def test_the_context_holds_the_state_after_the_step() -> None:
    """Positions and errors agree with the target at the same time, and the frame with the row."""
    vec, seen = seen_contexts(clips=rising_clip(), start="first")
    for step, arrays in enumerate(seen, start=1):
        assert arrays["frame"].tolist() == [step, step]
        assert arrays["row"].tolist() == [step, step]
        np.testing.assert_array_equal(arrays["target"], vec.reference.position[arrays["row"]])
        np.testing.assert_allclose(
            np.linalg.norm(arrays["position"] - arrays["target"], axis=-1), arrays["error"], atol=1e-12
        )
    np.testing.assert_array_equal(seen[-1]["torque"], vec.worlds.torque)
    np.testing.assert_array_equal(seen[-1]["joint_velocity"], vec.worlds.qvel[..., 6:])


def test_the_context_holds_contact_forces() -> None:
    """Of people who push each other."""
    vec, seen = seen_contexts(20, clips=reaching_clip(), termination_distance=np.inf)
    assert seen[0]["contact_force"].shape == (2, 2, BODY.num_bodies, 3)
    assert max(np.abs(arrays["contact_force"]).max() for arrays in seen) > 1.0
    np.testing.assert_array_equal(seen[-1]["contact_force"], vec.worlds.contact_force)


def test_the_context_holds_this_action_and_the_last() -> None:
    """Clipped; 0 before the first of an episode, also of one that began within a step."""
    _, seen = seen_contexts(30, clips=rising_clip(sitting=2, rising=5, upright=5))
    frames = np.array([arrays["frame"] for arrays in seen])
    for before, arrays, restarted in zip(seen, seen[1:], np.diff(frames, axis=0) != 1, strict=False):
        expected = np.where(restarted[:, None, None], 0.0, before["action"])
        np.testing.assert_array_equal(arrays["previous_action"], expected)
    assert not seen[0]["previous_action"].any()
    assert (np.diff(frames, axis=0) != 1).any()
    assert np.abs(seen[0]["action"]).max() <= 1.0


@pytest.mark.parametrize("name", ["motion.position", "tracking.body_error", "contact_force", "action", "frame"])
def test_a_term_cannot_write_into_the_simulation(name: str) -> None:
    def vandal(context: RewardContext) -> np.ndarray:
        value: Any = context
        for part in name.split("."):
            value = getattr(value, part)
        value[...] = 0
        return np.zeros((3, 2))

    register_reward_term("vandal", vandal)
    vec = make_vec(reward={"extra": {"vandal": 1.0}})
    vec.reset(seed=0)
    with pytest.raises(ValueError, match="read-only"):
        vec.step(by_role(pose_action(vec.simulation)))


def test_a_term_keeps_its_value_when_it_returned_a_view() -> None:
    """Reported terms do not change with the next step."""
    register_reward_term("view", lambda context: context.torque[:, :, 0])
    _, terms = rewards_and_terms(make_vec(reward={"extra": {"view": 0.0}}), 2)
    assert (terms[0]["view"] != terms[1]["view"]).all()


def test_a_world_that_diverges_gets_no_reward_whatever_the_term_says() -> None:
    """Neither NaN nor a bonus; the others keep theirs."""

    def bonus(context: RewardContext) -> np.ndarray:
        speed = np.abs(context.joint_velocity).max(axis=(1, 2))
        return np.where(speed > 100.0, np.nan, 1.0)[:, None].repeat(2, axis=1)

    register_reward_term("bonus", bonus)
    vec = make_vec(reward={"extra": {"bonus": 1.0}})
    vec.reset(seed=0)
    vec.worlds.qvel[1, 0, 10] = 1e7
    _, reward, _, _, info = vec.step(by_role(pose_action(vec.simulation)))
    assert info["physics_error"].tolist() == [False, True, False]
    assert reward["recipient"][1] == 0.0
    assert info["reward_terms"]["bonus"].tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
    assert (reward["recipient"][[0, 2]] > 1.0).all()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda context: np.zeros(3), r"'bad' has the shape \(3,\), expected \(3, 2\)"),
        (lambda context: 1.0, r"'bad' has the shape \(\), expected \(3, 2\)"),
        (lambda context: np.array([[0, 0], [0, np.nan], [0, 0]]), "'bad' is nan for the recipient of world 1"),
        (lambda context: np.array([[np.inf, 0], [0, 0], [0, 0]]), "'bad' is inf for the supporter of world 0"),
    ],
)  # fmt: skip
def test_a_term_must_return_finite_numbers_per_world_and_role(function: Callable[..., Any], message: str) -> None:
    register_reward_term("bad", function)
    vec = make_vec(reward={"extra": {"bad": 1.0}})
    vec.reset(seed=0)
    with pytest.raises(ConfigError, match=message):
        vec.step(by_role(pose_action(vec.simulation)))


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: register_reward_term("head", head_height), "reward term 'head' is registered already"),
        (lambda: register_reward_term("power", head_height), "would hide the field 'power' of RewardConfig"),
        (lambda: register_reward_term("three", 3), "'three' is 3, expected a function of a context"),
        (lambda: make_vec(reward={"extra": {"haed": 1.0}}), r"'haed' is not known. Did you mean 'head'\?"),
        (lambda: RewardConfig(extra={"head": np.nan}), r"reward.extra\['head'\] is nan, expected a finite weight"),
        (lambda: RewardConfig(extra={"head": "1"}), r"reward.extra\['head'\] is '1', expected a finite weight"),
        (lambda: RewardConfig(extra=["head"]), r"reward.extra is \['head'\], expected a mapping"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_with_what_exists(attempt: Callable[[], object], message: str) -> None:
    register_reward_term("head", head_height)
    with pytest.raises(ConfigError, match=message):
        attempt()


def test_registered_terms_are_listed() -> None:
    register_reward_term("head", head_height)
    assert reward_term_names() == ("head",)
