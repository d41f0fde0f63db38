"""Domain randomisation: pushes, friction, latency, sensor noise, and bodies that differ between worlds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from toys import BODY, by_role, make_vec, pose_action

from assistmimic_env.config import CONTROL_DT, RandomisationConfig
from assistmimic_env.disturbances import Disturbances
from assistmimic_env.layout import build_layout
from assistmimic_env.random import Streams
from assistmimic_env.vector import VectorEnv

LAYOUT = build_layout(BODY)
EVERYTHING = {
    "mass": (0.8, 1.2),
    "gain": (0.7, 1.3),
    "torque_limit": (0.6, 1.4),
    "supporter_gain": (0.9, 1.1),
    "friction": (0.5, 1.5),
    "push_interval": 0.3,
    "latency": 2,
    "observation_noise": 0.02,
}


def drawn(**options: Any) -> Disturbances:
    return Disturbances(RandomisationConfig(**options), LAYOUT)


def play(vec: VectorEnv, steps: int = 6) -> np.ndarray:
    observations = []
    for _ in range(steps):
        observation, *_ = vec.step(by_role(pose_action(vec.simulation)))
        observations.append(np.stack(list(observation.values()), axis=1))
    return np.array(observations)


def test_nothing_is_drawn_while_everything_is_off() -> None:
    off, streams = drawn(), Streams(np.arange(3))
    before = streams.get_state(np.arange(3)).copy()
    ids = np.arange(3)
    assert off.pushes(streams, ids) is None
    for factors, shape in zip(off.strength(streams, ids), ((3, 2), (3,)), strict=True):
        np.testing.assert_array_equal(factors, np.ones(shape))
    np.testing.assert_array_equal(off.latency(streams, ids), 0)
    observation = np.ones((3, 2, LAYOUT.size), np.float32)
    np.testing.assert_array_equal(off.sense(streams, ids, observation), observation)
    np.testing.assert_array_equal(streams.get_state(ids), before)


def test_draws_stay_within_their_ranges_and_fill_them() -> None:
    streams, ids = Streams(np.arange(4000)), np.arange(4000)
    disturbances = drawn(**EVERYTHING)
    mass, friction = disturbances.bodies(streams, ids)
    gain, limit = disturbances.strength(streams, ids)
    for values, (low, high) in zip(
        (mass, friction, gain[:, 0], gain[:, 1], limit),
        ((0.8, 1.2), (0.5, 1.5), (0.9, 1.1), (0.7, 1.3), (0.6, 1.4)),
        strict=True,
    ):
        assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
    assert set(disturbances.latency(streams, ids)) == {0, 1, 2}


def test_pushes_come_as_often_as_configured_and_have_no_preferred_direction() -> None:
    streams, ids = Streams(np.arange(50_000)), np.arange(50_000)
    push = drawn(push_interval=1.0, push_speed=0.5).pushes(streams, ids)
    assert push is not None
    speed = np.linalg.norm(push, axis=-1)
    assert (speed > 0.0).mean() == pytest.approx(CONTROL_DT, rel=0.05)
    assert speed.max() <= 0.5
    assert np.abs(push[speed > 0.0].mean(axis=0)).max() < 0.02


def test_a_push_changes_the_velocity_by_as_much_at_once() -> None:
    vec = make_vec(2)
    vec.reset(seed=0)
    before = vec.worlds.qvel.copy()
    vec.worlds.push(np.array([[[0.3, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, -0.2]]]))
    change = vec.worlds.qvel - before
    np.testing.assert_allclose(change[0, 0, :2], [0.3, 0.0])
    np.testing.assert_allclose(change[1, 1, :2], [0.0, -0.2])
    assert np.count_nonzero(change) == 2


def test_noise_leaves_contact_flags_and_bounds_alone() -> None:
    streams, ids = Streams(np.arange(200)), np.arange(200)
    clean = np.zeros((200, 2, LAYOUT.size), np.float32)
    noisy = drawn(observation_noise=0.1).sense(streams, ids, clean)
    flags = np.r_[LAYOUT["hand_contact"], LAYOUT["partner_hand_contact"]]
    np.testing.assert_array_equal(noisy[..., flags], 0.0)
    rest = np.delete(noisy, flags, axis=-1)
    assert rest.std() == pytest.approx(0.1, rel=0.01) and abs(rest.mean()) < 1e-3
    assert (np.abs(noisy) <= LAYOUT.bounds).all()


def test_a_delayed_world_does_what_it_was_told_before() -> None:
    """With a delay of one step the first action acts in the second step; until then the start's own target does."""
    vec, late = make_vec(1), make_vec(1, randomisation={"latency": 1})
    seed = next(s for s in range(50) if late.reset(seed=s) and late.simulation._book.delay[0] == 1)
    for env in (vec, late):
        env.reset(seed=seed, options={"frame": 0})
        env.simulation._book.delay[:] = 1 if env is late else 0
    action = pose_action(vec.simulation)
    wild = action + 0.3
    start = vec.simulation.reference.target[0].reshape(2, -1)
    late.step(by_role(wild))
    np.testing.assert_allclose(late.worlds.controls[0, : start.size].reshape(2, -1), start, atol=1e-12)
    late.step(by_role(action))
    vec.step(by_role(wild))
    np.testing.assert_array_equal(late.worlds.controls, vec.worlds.controls)


def test_worlds_are_a_pool_of_masses_and_frictions() -> None:
    vec = make_vec(4, randomisation={"mass": (0.8, 1.2), "friction": (0.5, 1.5)})
    vec.reset(seed=0)
    models = [vec.worlds.world_data(world)[0] for world in range(4)]
    j = BODY.num_bodies
    masses = np.array([model.body_mass[1 + j : 1 + 2 * j].sum() for model in models]) / BODY.mass
    assert len(np.unique(masses.round(6))) == 4 and masses.min() >= 0.8 and masses.max() <= 1.2
    np.testing.assert_allclose([model.body_mass[1 : 1 + j].sum() for model in models], BODY.mass)
    assert len({round(float(model.geom_friction[0, 0]), 6) for model in models}) == 4
    vec.reset()
    again = vec.worlds.world_data(2)[0].body_mass[1 + j : 1 + 2 * j].sum() / BODY.mass
    assert again == pytest.approx(masses[2])


def test_one_world_and_many_are_disturbed_alike() -> None:
    """World i of many equals a single world with its seed, bit for bit, with everything on."""
    many, single = make_vec(3, randomisation=EVERYTHING), make_vec(1, randomisation=EVERYTHING)
    many.reset(seed=10)
    single.reset(seed=12)
    np.testing.assert_array_equal(play(many)[:, 2], play(single)[:, 0])


def test_a_saved_world_goes_on_the_same() -> None:
    vec = make_vec(2, randomisation=EVERYTHING)
    vec.reset(seed=0)
    play(vec, 3)
    state = vec.get_state()
    expected = play(vec)
    vec.reset(seed=99)
    vec.set_state(state)
    np.testing.assert_array_equal(play(vec), expected)


def test_a_recipient_on_rails_follows_the_reference_exactly() -> None:
    vec = make_vec(2, kinematic_recipient=True)
    vec.reset(seed=0, options={"frame": 0})
    observation, info = {}, {}
    for _ in range(10):
        observation, _, _, _, info = vec.step(by_role(0.0 * pose_action(vec.simulation)))
        np.testing.assert_allclose(info["body_error"][:, 1], 0.0, atol=1e-9)
    assert info["body_error"][:, 0].max() > 0.01
    error = observation["recipient"][:, vec.layout["goal_velocity_error"]]
    assert np.abs(error).max() < 0.5


def test_without_partner_observations_the_partner_is_invisible() -> None:
    vec, blind = make_vec(1), make_vec(1, partner_observations=False)
    seen, hidden = (env.reset(seed=0)[0]["supporter"][0] for env in (vec, blind))
    changed = {name for name in vec.layout.sizes if (seen[vec.layout[name]] != hidden[vec.layout[name]]).any()}
    assert changed and all(name.startswith("partner_") for name in changed)
    for name in vec.layout.sizes:
        if name.startswith("partner_"):
            np.testing.assert_array_equal(hidden[vec.layout[name]], 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mass": (1.2, 0.8)}, r"randomisation.mass is \(1.2, 0.8\)"),
        ({"latency": 9}, "randomisation.latency is 9"),
        ({"push_interval": -1.0}, "randomisation.push_interval"),
        ({"friction": 2.0}, "randomisation.friction is 2.0, expected two factors"),
    ],
)
def test_impossible_ranges_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_vec(1, randomisation=options)
