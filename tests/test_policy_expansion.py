"""Policies on wider observations: what they do stays the same, and what they do not know does not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from assistmimic_env.errors import PolicyError
from assistmimic_env.policy import Mixture, Policy, PolicyCard
from assistmimic_env.policy_expansion import expand, known_columns

NARROW = {"own": (0, 2), "goal": (2, 5)}
WIDE = {"goal": (0, 3), "partner": (3, 7), "own": (7, 9)}
INTERFACE = {"observation_layout": WIDE}


def make_policy(mixture: Mixture | None = None) -> Policy:
    random = np.random.default_rng(0)
    card = PolicyCard(
        role="any",
        observation_layout=NARROW,
        observation_size=5,
        action_size=2,
        activation="tanh",
        hidden=(4,),
        normalizer_epsilon=1e-5,
        normalizer_clip=5.0,
        actuation={"law": "so3"},
        body="smpl24",
        control_dt=1 / 30,
        provenance={},
        mixture=mixture,
    )
    tensors: dict[str, Any] = {}
    for name, shape in card.tensor_shapes().items():
        values = random.normal(size=shape).astype(np.float32)
        tensors[name] = np.abs(values) if name.endswith("variance") else values
    return Policy(card=card, tensors=tensors)


@pytest.mark.parametrize(
    "mixture", [None, Mixture(primitives=2, hidden=(3,), activation="relu", ending="silu", softmax=False)]
)
def test_a_widened_policy_acts_as_before_and_ignores_the_rest(mixture: Mixture | None) -> None:
    policy, random = make_policy(mixture), np.random.default_rng(1)
    wide = expand(policy, INTERFACE)
    observation = random.normal(size=(6, 9))
    known = np.concatenate([observation[:, 7:9], observation[:, 0:3]], axis=1)
    np.testing.assert_allclose(wide.act(observation), policy.act(known), atol=1e-6)
    other = observation.copy()
    other[:, 3:7] = 1e3
    np.testing.assert_array_equal(wide.act(other), wide.act(observation))


def test_a_policy_that_knows_everything_is_returned_as_it_is() -> None:
    policy = make_policy()
    assert expand(policy, {"observation_layout": NARROW}) is policy


def test_columns_follow_the_blocks_by_name() -> None:
    np.testing.assert_array_equal(known_columns(make_policy(), WIDE), [7, 8, 0, 1, 2])


def test_all_blocks_that_an_environment_lacks_are_named() -> None:
    with pytest.raises(PolicyError, match=r"own \(2 numbers, the environment has none\), goal \(3 .* has 4\)"):
        expand(make_policy(), {"observation_layout": {"goal": (0, 4)}})
