"""The Gymnasium view: one role is controlled, the partner acts by itself."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from brought import clips_of
from gymnasium.utils.env_checker import check_env
from toys import make_env, pose_action, sent, standing_clip

from assistmimic_env import list_envs, make, make_single, rotations
from assistmimic_env.actuation import leading_target, servo_torque
from assistmimic_env.clip import ROLES
from assistmimic_env.errors import ActionError, ConfigError, MissingDependencyError, PolicyError
from assistmimic_env.policy import HoldPolicy, RandomPolicy, policy_interface, save_policy
from assistmimic_env.single import PARTNERS, SingleAgentEnv

IDS = [spec.id for spec in list_envs()]


def make_one(**options: Any) -> SingleAgentEnv:
    """A single-agent view of the standing clip unless ``clips`` says otherwise."""
    return make_single("AssistMimic/PullUp-v0", **{"clips": standing_clip(), **options})


# --- Conformance ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("partner", PARTNERS)
def test_environment_passes_gymnasiums_checker(id: str, role: str, partner: str) -> None:
    """With warnings as errors, which the whole test suite has; windows are tested apart."""
    env: Any = gymnasium.make(id, role=role, partner=partner, clips=clips_of(id), start_noise=1.0)
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_pictures_pass_gymnasiums_checker() -> None:
    """Through the wrapper that ``gymnasium.make`` adds, which checks what ``render`` returns."""
    env = gymnasium.make("AssistMimic/PullUp-v0", render_mode="rgb_array")
    env.reset(seed=0)
    try:
        picture: Any = env.render()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert picture.dtype == np.uint8
    assert env.unwrapped.metadata["render_fps"] == 30
    env.close()


def test_gymnasiums_statistics_wrapper_works() -> None:
    """It wants ``info["episode"]`` for itself; ours is ``outcome``."""
    env = gymnasium.wrappers.RecordEpisodeStatistics(make_one(partner="hold"))
    env.reset(seed=0, options={"frame": 87})
    results = [env.step(np.zeros(69, dtype=np.float32)) for _ in range(2)]
    info, total = results[-1][-1], sum(float(result[1]) for result in results)
    assert (info["episode"]["l"], info["outcome"]["length"]) == (2, 2)
    assert info["episode"]["r"] == pytest.approx(total)
    assert info["outcome"]["r"] == pytest.approx(total)


def test_gymnasiums_vector_environments_work() -> None:
    """Sub-environments are made from the id, seeded one by one, and reset themselves."""
    envs = gymnasium.make_vec(
        "AssistMimic/PullUp-v0", num_envs=2, vectorization_mode="sync", partner="hold", max_cycles=3
    )
    first, _ = envs.reset(seed=4)
    second, _ = make_single("AssistMimic/PullUp-v0", partner="hold", max_cycles=3).reset(seed=5)
    np.testing.assert_array_equal(first[1], second)
    observations = [envs.step(envs.action_space.sample())[0] for _ in range(5)]
    assert np.isfinite(observations).all()
    envs.close()


# --- What the controlled role gets ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_view_is_one_side_of_the_pair(role: str) -> None:
    """Same observation, reward, ends and info as in the pair when the partner acts the same."""
    pair = make_env(start_noise=1.0)
    view = SingleAgentEnv(make_env(start_noise=1.0), role=role, partner=HoldPolicy.zero(69))
    expected, _ = pair.reset(seed=0, options={"frame": 60})
    found, _ = view.reset(seed=0, options={"frame": 60})
    np.testing.assert_array_equal(found, expected[role])
    rng = np.random.default_rng(0)
    while pair.agents:
        action = {other: np.zeros(69) for other in ROLES}
        action[role] = rng.uniform(-0.2, 0.2, 69)
        everyone = pair.step(action)
        mine = view.step(action[role])
        np.testing.assert_array_equal(mine[0], everyone[0][role])
        expected_info = {name.replace("episode", "outcome"): value for name, value in everyone[4][role].items()}
        assert mine[1:] == (*(result[role] for result in everyone[1:4]), expected_info)


def test_seed_decides_everything() -> None:
    """The partner's random stream is started again with the seed, and goes on without one."""
    view = make_one(partner=RandomPolicy(69, seed=3), start_noise=1.0, termination_distance=np.inf)
    action = np.zeros(69)
    runs = []
    for _ in range(2):
        view.reset(seed=2, options={"frame": 0})
        runs.append([view.step(action)[0] for _ in range(5)])
    np.testing.assert_array_equal(runs[0], runs[1])
    view.reset(options={"frame": 0})
    assert not np.array_equal(view.step(action)[0], runs[0][0])


def test_bad_actions_are_refused() -> None:
    view = make_one(role="recipient")
    view.reset(seed=0)
    with pytest.raises(ActionError, match=r"'recipient' has shape \(3,\), expected \(69,\)"):
        view.step(np.zeros(3))
    with pytest.raises(ActionError, match="'recipient' holds NaN"):
        view.step(np.full(69, np.nan))


def test_step_before_reset_is_refused() -> None:
    with pytest.raises(ConfigError, match="call reset"):
        make_one().step(np.zeros(69))


# --- Partners -------------------------------------------------------------------------------------------------


def partner_actions(view: SingleAgentEnv, steps: int) -> np.ndarray:
    """What the partner did, from the previous-action block of its observation, shape (steps, 69)."""
    block, role = view.layout["previous_action"], ROLES.index(view.partner_role)
    actions = []
    for _ in range(steps):
        view.step(pose_action(view.pair.simulation)[0, 1 - role])
        actions.append(view.pair.simulation.observation[0, role, block])
    return np.array(actions)


def test_holding_partner_keeps_asking_for_the_pose_it_started_in() -> None:
    view = make_one(partner="hold")
    for frame in (10, 40):
        view.reset(seed=0, options={"frame": frame})
        expected = pose_action(view.pair.simulation)[0, 0]
        np.testing.assert_allclose(partner_actions(view, 5), np.tile(expected, (5, 1)), atol=1e-6)


def test_replaying_partner_asks_for_the_reference_ahead_of_its_servos_lag() -> None:
    """The target is the next reference pose, turned on by its velocity times kd / kp."""
    view = make_one(partner="replay")
    view.reset(seed=0, options={"frame": 10})
    simulation = view.pair.simulation
    found = partner_actions(view, 5)
    poses = np.array([pose_action(simulation, frame)[0, 0] for frame in range(11, 16)])
    shoulder = 3 * (simulation.body.index("L_Shoulder") - 1)
    velocity = simulation.reference.qvel[11:16, 0, 6 + shoulder]
    np.testing.assert_allclose(found[:, shoulder], poses[:, shoulder] + 0.1 * velocity / np.pi, atol=1e-5)
    still = np.delete(np.arange(69), [shoulder, 3 * (simulation.body.index("R_Shoulder") - 1)])
    np.testing.assert_allclose(found[:, still], poses[:, still], atol=1e-6)


def test_leading_target_needs_no_torque_to_follow_a_motion() -> None:
    """Spring and damper of the orientation servo cancel at a joint that is where and as fast as it should be."""
    rng = np.random.default_rng(0)
    target, velocity = 0.5 * rng.normal(size=(23, 3)), rng.normal(size=(23, 3))
    ahead = leading_target(target, velocity, np.full(23, 0.1))
    rotation, kp = rotations.from_rotation_vector(target), np.full(23, 500.0)
    torque = servo_torque("so3", ahead, rotation, velocity, kp, 0.1 * kp, np.full(23, 1e3))
    np.testing.assert_allclose(torque, 0.0, atol=1e-9)


def test_replaying_partner_follows_the_reference_more_closely_than_a_holding_one() -> None:
    """Standing with swinging arms, over the whole clip."""
    errors = {}
    for partner in PARTNERS:
        view = make_one(partner=partner, termination_distance=np.inf)
        view.reset(seed=0, options={"frame": 0})
        total, hand = 0.0, view.pair.simulation.body.index("L_Hand")
        for frame in range(1, 90):
            view.step(pose_action(view.pair.simulation)[0, 1])
            position = view.pair.simulation.worlds.motion().position[0, 0, hand]
            total += float(np.linalg.norm(position - view.pair.reference.position[frame, 0, hand]))
        errors[partner] = total / 89
    assert errors["replay"] < 0.8 * errors["hold"]


class Recorder:
    """A partner that remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def act(self, observation: np.ndarray) -> np.ndarray:
        self.seen.append(observation)
        return np.zeros(69, np.float32)


def test_policy_partner_sees_its_own_observation() -> None:
    """Including the first of each episode."""
    recorder = Recorder()
    view = SingleAgentEnv(make_env(), role="recipient", partner=recorder)
    pair = make_env()
    for seed in (0, 1):
        expected, _ = pair.reset(seed=seed, options={"frame": 10})
        view.reset(seed=seed, options={"frame": 10})
        for _ in range(3):
            action = pose_action(pair.simulation)[0, 1]
            view.step(action)
            np.testing.assert_array_equal(recorder.seen[-1], expected["supporter"])
            expected, *_ = pair.step({"supporter": np.zeros(69), "recipient": action})


def save(folder: Path, role: str, **changes: Any) -> Path:
    """An exported policy that fits the toy environment unless changed; its action is its bias, 0.1."""
    pair = make_env()
    size, body = pair.layout.size, pair.simulation.body
    interface = policy_interface(layout=pair.layout, body=body, actuation="so3")
    card = {
        **interface,
        "role": role,
        "observation_size": size,
        "action_size": 69,
        "activation": "tanh",
        "hidden": [2],
        "normalizer": {"epsilon": 1e-5, "clip": 5.0},
        "provenance": {},
        **changes,
    }
    shapes = {"actor.0.weight": (2, size), "actor.0.bias": (2,), "actor.1.weight": (69, 2), "log_std": (69,)}
    tensors = {name: np.zeros(shape) for name, shape in shapes.items()}
    tensors |= {
        "actor.1.bias": np.full(69, 0.1),
        "normalizer.mean": np.zeros(size),
        "normalizer.variance": np.ones(size),
    }
    save_policy(folder / role, tensors, card)
    return folder / role


def test_exported_policy_can_be_the_partner(tmp_path: Path) -> None:
    """By its stem, its file, or the folder of a pair, from which the partner's half is taken."""
    for role in ROLES:
        save(tmp_path, role)
    for path in (tmp_path / "supporter", str(tmp_path / "supporter.json"), tmp_path):
        view = make_one(role="recipient", partner=path)
        view.reset(seed=0, options={"frame": 10})
        np.testing.assert_allclose(partner_actions(view, 2), 0.1)


def test_partner_policy_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """The other role's, another body's, or none."""
    stem = save(tmp_path, "supporter")
    with pytest.raises(PolicyError, match="role"):
        make_one(role="supporter", partner=stem)
    with pytest.raises(PolicyError, match="no such file"):
        make_one(partner=tmp_path / "nobody")
    save(tmp_path / "other", "supporter", body="smpl52")
    with pytest.raises(PolicyError, match="smpl52"):
        make_one(partner=tmp_path / "other" / "supporter")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"role": "helper"}, "role is 'helper'. Roles: supporter, recipient"),
        ({"role": "recipent"}, "Did you mean 'recipient'"),
        ({"partner": "repaly"}, "partner is 'repaly'. Did you mean 'replay'"),
        ({"partner": 5}, "partner is 5, expected 'hold', 'replay', an object with act"),
        ({"partner": None}, "partner is None"),
    ],
)
def test_unknown_role_and_partner_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_one(**options)


@pytest.mark.parametrize("copied", [copy.deepcopy, sent], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("partner", ["hold", "replay", RandomPolicy(69)], ids=["hold", "replay", "random"])
def test_copies_go_on_where_the_original_is(copied: Any, partner: Any) -> None:
    """The partner acts in the copied world, not in the old one."""
    view = make_one(partner=partner, start_noise=1.0, termination_distance=np.inf)
    view.reset(seed=0, options={"frame": 20})
    view.step(pose_action(view.pair.simulation)[0, 1])
    twin = copied(view)
    for _ in range(8):
        action = pose_action(view.pair.simulation)[0, 1]
        found, expected = twin.step(action), view.step(action)
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1:] == expected[1:]


def test_pair_can_be_wrapped_directly() -> None:
    """``SingleAgentEnv(make(...))`` is ``make_single(...)``."""
    first = SingleAgentEnv(make("AssistMimic/SitToStand-v0"), role="supporter").reset(seed=1)[0]
    np.testing.assert_array_equal(first, make_single("AssistMimic/SitToStand-v0", role="supporter").reset(seed=1)[0])
