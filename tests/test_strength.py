"""Impairments, perturbations, and worlds between healthy and impaired."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import BODY, by_role, make_vec, pose_action

from assistmimic_env.config import IMPAIRMENTS, PERTURBATIONS, EnvConfig, Factors, Impairment, env_config
from assistmimic_env.errors import AssistMimicError
from assistmimic_env.strength import Strength, impaired, perturbed

NEEDS_HELP = IMPAIRMENTS["needs-help"]
WEAK = impaired(BODY, NEEDS_HELP)
HIP, KNEE, ELBOW = (BODY.index(f"L_{name}") for name in ("Hip", "Knee", "Elbow"))


def strength(impairment: Impairment = NEEDS_HELP) -> Strength:
    return Strength.of([(BODY, BODY)], [(BODY, impaired(BODY, impairment))], (Impairment(), impairment))


def test_the_presets_are_those_of_the_paper() -> None:
    """`spec/assistmimic.md` section 7."""
    interx, hhi = IMPAIRMENTS["interx"], IMPAIRMENTS["hhi"]
    assert interx.mass == hhi.mass == 0.7
    assert set(interx.gain) == {"Hip", "Knee", "Ankle", "Toe"} and set(interx.torque_limit.values()) == {80.0}
    assert set(hhi.gain) - set(interx.gain) == {"Torso", "Spine", "Chest"} and set(hhi.gain.values()) == {0.5}
    assert hhi.torque_limit == {
        "Hip": 20.0, "Knee": 80.0, "Ankle": 80.0, "Toe": 80.0, "Torso": 40.0, "Spine": 40.0, "Chest": 40.0
    }  # fmt: skip


def test_factors_multiply_the_impaired_value() -> None:
    for name, mass in (("mass-1.2", 0.84), ("mass-1.5", 1.05)):
        assert perturbed(WEAK, PERTURBATIONS[name].recipient, NEEDS_HELP).mass == pytest.approx(mass * BODY.mass)
    weaker = perturbed(WEAK, PERTURBATIONS["gain-0.5"].recipient, NEEDS_HELP)
    assert weaker.kp[HIP] == pytest.approx(0.25 * BODY.kp[HIP]) and weaker.kd[HIP] == pytest.approx(0.25 * BODY.kd[HIP])
    assert weaker.kp[ELBOW] == BODY.kp[ELBOW]
    everywhere = perturbed(WEAK, PERTURBATIONS["gain-0.5-both"].recipient, NEEDS_HELP)
    assert everywhere.kp[ELBOW] == 0.5 * BODY.kp[ELBOW] and everywhere.kp[HIP] == pytest.approx(0.25 * BODY.kp[HIP])
    hip = perturbed(WEAK, PERTURBATIONS["hip-torque-0.5"].recipient, NEEDS_HELP)
    assert hip.torque_limits[HIP] == 10.0 and hip.torque_limits[KNEE] == 40.0
    assert PERTURBATIONS["gain-0.5-both"].supporter.gain == {"*": 0.5}


def test_mass_changes_with_inertia() -> None:
    vec = make_vec(1, recipient={"mass": 0.7}, perturbation="mass-1.5")
    healthy = make_vec(1)
    j = BODY.num_bodies
    recipient = slice(1 + j, 1 + 2 * j)
    for field in ("body_mass", "body_inertia"):
        mine, plain = (getattr(env.worlds.scene.model, field)[recipient] for env in (vec, healthy))
        np.testing.assert_allclose(mine, 1.05 * plain, rtol=1e-9)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_strength_falls_with_difficulty(a: float, b: float) -> None:
    low, high = sorted((a, b))
    gain, limit = strength().at(np.array([low, high]), np.zeros(2, dtype=np.intp))
    assert (gain[0] >= gain[1] - 1e-12).all() and (limit[0] >= limit[1] - 1e-9).all()


def test_difficulty_goes_from_healthy_to_impaired() -> None:
    gain, limit = strength().at(np.array([0.0, 0.5, 1.0]), np.zeros(3, dtype=np.intp))
    np.testing.assert_allclose(limit[0, 1], BODY.torque_limits)
    np.testing.assert_allclose(limit[2, 1], WEAK.torque_limits)
    assert limit[1, 1, HIP] == pytest.approx(np.sqrt(BODY.torque_limits[HIP] * 20.0))
    np.testing.assert_allclose(gain[:, 1, HIP], [2.0, np.sqrt(2.0), 1.0])
    np.testing.assert_allclose(gain[:, 0], 1.0)
    np.testing.assert_allclose(gain[2], 1.0)


def limits_of(vec: object, world: int) -> np.ndarray:
    """Torque limits of the recipient's servos as the physics has them, shape (J - 1,)."""
    model, _ = vec.worlds.world_data(world)  # type: ignore[attr-defined]
    return model.actuator_forcerange[BODY.num_bodies - 1 : 2 * (BODY.num_bodies - 1), 1]


def test_each_world_may_be_at_another_level_from_its_next_reset_on() -> None:
    vec = make_vec(3, recipient="needs-help")
    vec.simulation.difficulty = np.array([0.0, 1.0, 0.5])
    np.testing.assert_allclose(limits_of(vec, 0), WEAK.torque_limits[1:])
    vec.reset(seed=0)
    np.testing.assert_allclose(limits_of(vec, 0), BODY.torque_limits[1:])
    np.testing.assert_allclose(limits_of(vec, 1), WEAK.torque_limits[1:])
    assert limits_of(vec, 2)[HIP - 1] == pytest.approx(np.sqrt(BODY.torque_limits[HIP] * 20.0))


def test_full_difficulty_is_the_configured_world_bit_for_bit() -> None:
    plain, levelled = (make_vec(2, recipient="needs-help") for _ in range(2))
    levelled.simulation.difficulty = 0.3
    levelled.reset(seed=5)
    levelled.simulation.difficulty = 1.0
    states = []
    for vec in (plain, levelled):
        vec.reset(seed=0, options={"frame": 0})
        states.append([vec.step(by_role(pose_action(vec.simulation)))[0]["recipient"] for _ in range(5)])
    np.testing.assert_array_equal(states[0], states[1])


def test_a_saved_world_keeps_its_level() -> None:
    vec = make_vec(2, recipient="needs-help")
    vec.simulation.difficulty = np.array([0.2, 0.7])
    vec.reset(seed=0)
    state = vec.get_state()
    other = make_vec(2, recipient="needs-help")
    other.reset(seed=1)
    other.set_state(state)
    np.testing.assert_array_equal(other.simulation.difficulty, [0.2, 0.7])
    for world in range(2):
        np.testing.assert_array_equal(limits_of(other, world), limits_of(vec, world))


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: env_config(recipient="need-help"), "recipient is 'need-help'.*Did you mean 'needs-help'"),
        (lambda: env_config(perturbation="mass-2"), "perturbation is 'mass-2', expected one of"),
        (lambda: Impairment(mass=0.0), "impairment.mass is 0.0"),
        (lambda: Impairment(torque_limit={"Hip": -1.0}), "torque_limit.*-1.0"),
        (lambda: env_config(recipient={"gain": 0.5}), "impairment.gain is 0.5, expected a mapping"),
        (lambda: env_config(recipient={"gain": {"Hip": "weak"}}), "impairment.gain.'Hip'. is 'weak'"),
        (lambda: env_config(recipient={"mass": float("nan")}), "impairment.mass is nan"),
        (lambda: Factors(mass=-1.0), "factors.mass is -1.0"),
        (lambda: make_vec(1, recipient={"torque_limit": {"Hips": 20.0}}), "joint 'Hips'.*Did you mean 'Hip'"),
        (lambda: make_vec(1, perturbation={"recipient": {"gain": {"Leg": 0.5}}}), "perturbation names the joint 'Leg'"),
        (lambda: env_config(perturbation={"patient": {}}), "no option 'patient'"),
    ],
)
def test_impossible_impairments_are_refused(attempt: Callable[[], object], message: str) -> None:
    with pytest.raises(AssistMimicError, match=message):
        attempt()


def test_a_config_comes_back_from_plain_values() -> None:
    from dataclasses import asdict

    config = env_config(recipient="hhi", perturbation="gain-0.5-both", retargeting="dynamic", contact={"weight": 0.3})
    assert env_config(EnvConfig(), **asdict(config)) == config
