"""The task: where episodes start and end, what counts as success, and that a state is all there is."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import pytest
from brought import clips_of
from toys import BODY, by_role, make_env, make_vec, pose_action, rising_clip, sent, standing_clip

from assistmimic_env import kinematics, list_envs, metrics, rotations, spec
from assistmimic_env import make_vec as make_bundled_vec
from assistmimic_env.clip import ROLES, PairClip
from assistmimic_env.config import EnvConfig, Impairment
from assistmimic_env.registry import resolve_clips
from assistmimic_env.simulation import PairSimulation
from assistmimic_env.vector import VectorEnv

IDS = [entry.id for entry in list_envs()]
Step = tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray, np.ndarray, dict[str, Any]]


def shaky_actions(vec: VectorEnv, rng: np.random.Generator, scale: float = 0.05) -> dict[str, np.ndarray]:
    """The reference's present pose with noise: episodes of all lengths."""
    action = pose_action(vec.simulation)
    return by_role(action + rng.normal(scale=scale, size=action.shape))


def assert_steps_equal(first: Step, second: Step) -> None:
    """Bit for bit, infos included."""
    for role in ROLES:
        np.testing.assert_array_equal(first[0][role], second[0][role])
        np.testing.assert_array_equal(first[1][role], second[1][role])
    np.testing.assert_array_equal(first[2], second[2])
    np.testing.assert_array_equal(first[3], second[3])
    assert first[4].keys() == second[4].keys()
    for name, values in first[4].get("episode", {}).items():
        np.testing.assert_array_equal(values, second[4]["episode"][name])


# --- Start ----------------------------------------------------------------------------------------------------


def test_episodes_start_all_over_all_clips() -> None:
    """Clips are drawn equally often, and every frame of a clip but the last is a start."""
    clips = [standing_clip(12, name="short"), standing_clip(42, name="long")]
    vec = make_vec(400, clips=clips)
    starts = np.array([], dtype=np.intp)
    shares = []
    for seed in (0, 1000, 2000):
        _, info = vec.reset(seed=seed)
        shares.append(np.mean(info["clip"] == 1))
        assert set(info["frame"][info["clip"] == 0]) == set(range(11))
        starts = np.concatenate([starts, info["frame"][info["clip"] == 1]])
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)
    assert set(starts) == set(range(41))
    quarters = np.histogram(starts, bins=4, range=(0, 41))[0] / len(starts)
    np.testing.assert_allclose(quarters, 0.25, atol=0.07)


def test_first_frame_is_a_start_option() -> None:
    _, info = make_vec(20, start="first").reset(seed=0)
    assert not info["frame"].any()


def test_reset_puts_people_on_the_reference() -> None:
    """Positions, rotations and generalised velocities of the drawn frame."""
    vec = make_vec(8, clips=rising_clip())
    vec.reset(seed=0)
    row = vec.reference.row(vec.simulation.clip, vec.simulation.frame)
    motion = vec.worlds.motion()
    np.testing.assert_allclose(motion.position, vec.reference.position[row], atol=1e-9)
    assert rotations.angle_between(motion.rotation, vec.reference.rotation[row]).max() < 1e-6
    np.testing.assert_array_equal(vec.worlds.qvel, vec.reference.qvel[row])


def test_late_start_leaves_one_step() -> None:
    """A start frame beyond the end is moved so that the episode has a step."""
    env = make_env()
    env.reset(seed=0, options={"frame": 10_000})
    assert env.simulation.frame == 88
    *_, truncated, _ = env.step(by_role(pose_action(env.simulation)[0]))
    assert truncated == {"supporter": True, "recipient": True}


def start_errors(scale: float, worlds: int = 300) -> dict[str, np.ndarray]:
    """Start states relative to the reference, each (N, 2, ...)."""
    vec = make_vec(worlds, start_noise=scale)
    vec.reset(seed=3)
    motion, reference = vec.worlds.motion(), vec.reference
    row = reference.row(vec.simulation.clip, vec.simulation.frame)
    own = kinematics.local_from_global(BODY.parents, motion.rotation)
    ref = kinematics.local_from_global(BODY.parents, reference.rotation[row])
    turn = rotations.to_rotation_vector(rotations.multiply(rotations.conjugate(ref), own))
    push = vec.worlds.qvel - reference.qvel[row]
    return {
        "root_position": (motion.position - reference.position[row])[:, :, 0],
        "root_rotation": turn[:, :, 0],
        "joint_angle": turn[:, :, 1:],
        "root_velocity": push[..., :3],
        "root_spin": push[..., 3:6],
        "joint_velocity": push[..., 6:],
    }


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_start_noise_has_the_documented_standard_deviations(scale: float) -> None:
    """Times the scale, without bias; the two people's noises are independent. Only contacts move heights, a little."""
    errors, noise = start_errors(scale), EnvConfig().noise
    for name in ("root_rotation", "joint_angle", "root_velocity", "joint_velocity"):
        expected = scale * getattr(noise, name)
        assert errors[name].std() == pytest.approx(expected, rel=0.08), name
        assert np.abs(errors[name].mean()) < 0.1 * expected
    assert errors["root_position"][..., :2].std() == pytest.approx(scale * noise.root_position, rel=0.08)
    assert np.abs(errors["root_position"][..., 2]).max() < 0.03 * scale
    np.testing.assert_allclose(errors["root_spin"], 0.0, atol=1e-12)
    supporter, recipient = errors["joint_velocity"].swapaxes(0, 1).reshape(2, -1)
    assert abs(np.corrcoef(supporter, recipient)[0, 1]) < 0.03


def test_without_start_noise_nobody_is_moved() -> None:
    for name, error in start_errors(0.0, worlds=5).items():
        np.testing.assert_allclose(error, 0.0, atol=1e-6, err_msg=name)


# --- End ------------------------------------------------------------------------------------------------------


def test_clip_end_truncates_with_the_true_last_observation() -> None:
    """The batch resets itself in the same step and keeps what a single world sees last."""
    vec, env = make_vec(2, start_noise=1.0), make_env(start_noise=1.0)
    vec.reset(seed=5, options={"frame": 85})
    env.reset(seed=5, options={"frame": 85})
    for _ in range(3):
        action = pose_action(vec.simulation)
        _, _, terminated, truncated, _ = vec.step(by_role(action))
        env.step(by_role(action[0]))
        assert not (terminated | truncated).any()
    action = pose_action(vec.simulation)
    observation, _, terminated, truncated, info = vec.step(by_role(action))
    last, *_ = env.step(by_role(action[0]))
    assert truncated.all()
    assert not terminated.any()
    for role in ROLES:
        np.testing.assert_array_equal(info["final_observation"][role][0], last[role])
        assert not np.array_equal(observation[role][0], last[role])
    np.testing.assert_array_equal(info["episode"]["length"], 4)
    np.testing.assert_array_equal(info["episode"]["fraction"], 1.0)
    np.testing.assert_array_equal(info["episode"]["start_frame"], 85)


def test_sixteen_bodies_decide_failure() -> None:
    """The paper's: elbows, wrists, hands and toes are exempt (spec/assistmimic.md section 4)."""
    exempt = {f"{side}_{name}" for side in "LR" for name in ("Elbow", "Wrist", "Hand", "Toe")}
    assert set(metrics.RESET_BODIES) == set(BODY.names) - exempt
    assert len(metrics.RESET_BODIES) == 16


def test_episode_fails_when_the_mean_error_of_either_person_passes_the_limit() -> None:
    """Compared with a plain mean over the reset bodies, in many worlds, at every step."""
    limit, worlds, failures = 0.1, 16, set()
    simulation = PairSimulation(
        [standing_clip()], worlds, EnvConfig(termination_distance=limit), threads=1, auto_reset=False
    )
    simulation.seed(np.arange(worlds))
    simulation.reset(np.arange(worlds), frame=np.full(worlds, 10))
    rng = np.random.default_rng(0)
    weak = np.array([[0.3, 0.0], [0.0, 0.3]])[np.arange(worlds) % 2]
    for _ in range(40):
        noise = weak[:, :, None] * rng.normal(size=(worlds, 2, 69))
        result = simulation.step(pose_action(simulation) + noise)
        position = simulation.worlds.motion().position
        ref = simulation.reference.position[simulation.reference.row(simulation.clip, simulation.frame)]
        distance = np.linalg.norm(position - ref, axis=-1)
        mean = np.mean([distance[..., BODY.index(name)] for name in metrics.RESET_BODIES], axis=0)
        np.testing.assert_allclose(result.tracking.tracking_error, mean)
        np.testing.assert_array_equal(result.terminated, (mean > limit).any(axis=-1))
        failures |= {tuple(row) for row in mean > limit}
    assert {(True, False), (False, True)} <= failures


def test_infinite_distance_switches_failing_off() -> None:
    vec = make_vec(4, termination_distance=np.inf)
    vec.reset(seed=0, options={"frame": 0})
    rng = np.random.default_rng(0)
    steps = [vec.step({role: rng.uniform(-1, 1, (4, 69)) for role in ROLES}) for _ in range(89)]
    assert not any(step[2].any() for step in steps)
    assert not any(step[3].any() for step in steps[:-1])
    assert steps[-1][3].all()
    assert not steps[-1][4]["episode"]["success_50"].all()


def test_failure_in_the_last_step_is_no_truncation() -> None:
    """An episode ends in one way only."""
    vec = make_vec(1, termination_distance=1e-9)
    vec.reset(seed=0, options={"frame": 88})
    _, _, terminated, truncated, info = vec.step(by_role(np.ones((1, 2, 69))))
    assert (terminated[0], truncated[0]) == (True, False)
    assert not info["episode"]["success_50"][0]


def test_episode_summary_adds_up() -> None:
    """Return, length and MPJPE are those of the steps taken."""
    vec = make_vec(1, start="first", start_noise=1.0, termination_distance=0.2)
    vec.reset(seed=1)
    rng, returns, errors, length = np.random.default_rng(1), dict.fromkeys(ROLES, 0.0), [], 0
    while True:
        _, reward, terminated, truncated, info = vec.step(shaky_actions(vec, rng, 0.1))
        returns = {role: returns[role] + reward[role][0] for role in ROLES}
        errors.append(info["body_error"].mean())
        length += 1
        if terminated[0] or truncated[0]:
            break
    episode = {name: values[0] for name, values in info["episode"].items()}
    assert terminated[0]
    assert episode["length"] == length
    assert episode["fraction"] == pytest.approx((length - 1) / 89)  # it failed in the last one
    assert episode["mpjpe"] == pytest.approx(np.mean(errors))
    for role in ROLES:
        assert episode[f"return_{role}"] == pytest.approx(returns[role], abs=1e-5)


def test_step_limit_truncates_and_is_no_success() -> None:
    """An episode that was cut short did not survive to the end of the clip."""
    env = make_env(max_cycles=5)
    env.reset(seed=0, options={"frame": 0})
    steps = [env.step(by_role(pose_action(env.simulation)[0])) for _ in range(5)]
    _, _, terminated, truncated, infos = steps[-1]
    assert truncated["supporter"]
    assert not terminated["supporter"]
    episode = infos["supporter"]["episode"]
    assert (episode["length"], episode["success_50"], episode["task_success"]) == (5, False, False)
    assert not env.agents


# --- Success --------------------------------------------------------------------------------------------------


def play(vec: VectorEnv, *, recipient: str) -> dict[str, Any]:
    """Summary of an episode from the first frame: the recipient follows the reference or keeps its first pose."""
    vec.reset(seed=0, options={"frame": 0})
    first = pose_action(vec.simulation)
    while True:
        action = pose_action(vec.simulation)
        if recipient == "holds":
            action[:, 1] = first[:, 1]
        _, _, terminated, truncated, info = vec.step(by_role(action))
        if terminated[0] or truncated[0]:
            return {name: values[0] for name, values in info["episode"].items()}


@pytest.mark.parametrize("distance", [np.inf, 0.5])
def test_recipient_that_stays_seated_passes_the_papers_success_but_not_the_task(distance: float) -> None:
    """The reference stands up; the seated recipient is 0.3 m away on average, and 0.2 m too low."""
    episode = play(make_vec(1, clips=rising_clip(), termination_distance=distance), recipient="holds")
    assert episode["fraction"] == 1.0
    assert episode["success_50"]
    assert not episode["success_25"]
    assert not episode["task_success"]


def of_every_clip(id: str, **options: Any) -> VectorEnv:
    """One world per clip of an environment, held-out ones included, at its first frame."""
    clips = resolve_clips(id, clips_of(id)) + resolve_clips(id, spec(id).held_out)
    vec = make_bundled_vec(id, num_envs=len(clips), clips=clips, threads=2, **options)
    vec.reset(seed=0, options={"clip": np.arange(len(clips)), "frame": 0})
    return vec


def summaries(vec: VectorEnv, step: Callable[[VectorEnv], Step]) -> dict[str, np.ndarray]:
    """Summary of the first episode of each world."""
    found: dict[str, np.ndarray] = {}
    ended = np.zeros(vec.num_envs, dtype=bool)
    while not ended.all():
        info = step(vec)[4]
        for name, values in info.get("episode", {}).items():
            new = info["done"] & ~ended
            found[name] = np.where(new, values, found.get(name, values))
        ended |= info.get("done", False)
    return found


@pytest.mark.parametrize("id", IDS)
def test_recipient_that_stays_seated_never_succeeds_at_the_task(id: str) -> None:
    """In every clip of every environment, though nobody is failed on the way."""
    vec = of_every_clip(id, termination_distance=np.inf)
    first = pose_action(vec.simulation)

    def step(vec: VectorEnv) -> Step:
        action = pose_action(vec.simulation)
        action[:, 1] = first[:, 1]
        return vec.step(by_role(action))

    found = summaries(vec, step)
    np.testing.assert_array_equal(found["fraction"], 1.0)
    assert not found["task_success"].any()


@pytest.mark.parametrize("id", IDS)
def test_people_who_move_like_the_reference_succeed_at_the_task(id: str) -> None:
    """Put back onto the reference before each step, they pass by all measures in every clip."""
    vec = of_every_clip(id)

    def step(vec: VectorEnv) -> Step:
        reference, ids = vec.reference, np.arange(vec.num_envs)
        row = reference.row(vec.simulation.clip, vec.simulation.frame)
        target = reference.target[row].reshape(vec.num_envs, 2, -1)
        vec.worlds.reset(ids, reference.qpos[row], reference.qvel[row], target)
        return vec.step(by_role(pose_action(vec.simulation)))

    found = summaries(vec, step)
    for name in ("success_50", "success_25", "task_success"):
        assert found[name].all(), name
    assert found["mpjpe"].max() < 0.05


def test_recipient_that_stays_seated_fails_at_the_default_distance() -> None:
    episode = play(make_vec(1, clips=rising_clip()), recipient="holds")
    assert episode["fraction"] < 1.0
    assert not episode["success_50"]


def test_tracking_to_the_end_is_success_in_all_ways() -> None:
    episode = play(make_vec(1), recipient="follows")
    assert episode["success_50"]
    assert episode["success_25"]
    assert episode["task_success"]


@pytest.mark.parametrize(
    ("raised", "settled"), [((30, 44), True), ((30, 45), False), ((50, 51), False), ((59, 60), False)]
)
def test_only_the_last_half_second_decides_settling(raised: tuple[int, int], settled: bool) -> None:
    """The recipient stands still while its reference is 0.2 m higher in some of 60 frames; the last 16 count."""
    clip = standing_clip(60)
    root = clip.root_position.copy()
    root[slice(*raised), 1, 2] += 0.2
    episode = play(make_vec(1, clips=replace(clip, root_position=root)), recipient="holds")
    assert episode["success_50"]
    assert episode["task_success"] == settled


# --- Divergence -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e12])
def test_diverged_world_ends_alone(poison: float) -> None:
    """Reward 0, the last good observation, a new episode; all other worlds do not notice."""
    vec, twin = make_vec(4, start_noise=1.0), make_vec(4, start_noise=1.0)
    before, _ = vec.reset(seed=0, options={"frame": 20})
    twin.reset(seed=0, options={"frame": 20})
    others = np.array([0, 1, 3])
    for step in range(30):
        action = by_role(pose_action(vec.simulation))
        if step == 3:
            vec.worlds.qvel[2] = poison
        found, expected = vec.step(action), twin.step(action)
        if step == 3:
            observation, reward, terminated, truncated, info = found
            np.testing.assert_array_equal(info["physics_error"], [False, False, True, False])
            np.testing.assert_array_equal(terminated, info["physics_error"])
            assert not truncated.any()
            for role in ROLES:
                assert reward[role][2] == 0.0
                np.testing.assert_array_equal(info["final_observation"][role][2], before[role][2])
                assert np.isfinite(observation[role]).all()
            assert not info["episode"]["success_50"][2]
            assert all(np.isfinite(values).all() for values in info["episode"].values())
            assert all(np.isfinite(values).all() for values in info["reward_terms"].values())
        else:
            assert not found[4]["physics_error"].any()
        before = found[0]
        for role in ROLES:
            np.testing.assert_array_equal(found[0][role][others], expected[0][role][others])
            np.testing.assert_array_equal(found[1][role][others], expected[1][role][others])


def test_diverged_single_world_ends_and_can_be_reset() -> None:
    """The environment is as good as new afterwards, bit for bit."""
    env, fresh = make_env(), make_env()
    last, _ = env.reset(seed=0)
    env.simulation.worlds.qvel[:] = np.nan
    final, reward, terminated, _, infos = env.step(by_role(np.zeros((2, 69))))
    assert reward == {"supporter": 0.0, "recipient": 0.0}
    assert terminated["recipient"]
    assert infos["supporter"]["physics_error"]
    np.testing.assert_array_equal(final["recipient"], last["recipient"])
    env.reset(seed=7)
    fresh.reset(seed=7)
    for _ in range(5):
        action = by_role(pose_action(env.simulation)[0])
        np.testing.assert_array_equal(env.step(action)[0]["supporter"], fresh.step(action)[0]["supporter"])


# --- Save and restore -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [0, 7, 40])
def test_restored_worlds_continue_bit_for_bit(when: int) -> None:
    """Physics, bookkeeping and random streams: new episodes after the restored one are the same too."""
    vec, rng = make_vec(4, start_noise=1.0), np.random.default_rng(0)
    vec.reset(seed=0)
    for _ in range(when):
        vec.step(shaky_actions(vec, rng))
    state = sent(vec.get_state())
    actions, steps = [], []
    for _ in range(60):
        actions.append(shaky_actions(vec, rng))
        steps.append(vec.step(actions[-1]))
    assert sum(step[2].any() or step[3].any() for step in steps) > 3
    vec.set_state(state)
    for action, expected in zip(actions, steps, strict=True):
        assert_steps_equal(vec.step(action), expected)


def test_state_of_some_worlds_continues_in_others_and_alone() -> None:
    """World 0 goes on in world 2 and in a single environment; world 1 keeps its own fate."""
    options, rng = {"start_noise": 1.0, "termination_distance": np.inf}, np.random.default_rng(0)
    vec, env = make_vec(3, **options), make_env(**options)
    vec.reset(seed=0, options={"frame": 10})
    for _ in range(5):
        vec.step(shaky_actions(vec, rng, 0.01))
    state = vec.get_state([0])
    observation = vec.set_state(state, [2])
    alone = env.set_state(state)
    np.testing.assert_array_equal(observation["recipient"][2], observation["recipient"][0])
    np.testing.assert_array_equal(alone["recipient"], observation["recipient"][0])
    for _ in range(30):
        action = pose_action(vec.simulation)
        found = vec.step(by_role(action))[0]
        alone = env.step(by_role(action[0]))[0]
        for role in ROLES:
            np.testing.assert_array_equal(found[role][2], found[role][0])
            np.testing.assert_array_equal(alone[role], found[role][0])
            assert not np.array_equal(found[role][1], found[role][0])


def test_saved_state_does_not_change_while_the_worlds_go_on() -> None:
    vec = make_vec(2)
    vec.reset(seed=0, options={"frame": 10})
    state = vec.get_state()
    saved = pickle.dumps(state)
    for _ in range(3):
        vec.step(by_role(pose_action(vec.simulation)))
    assert pickle.dumps(state) == saved


# --- Impairments ----------------------------------------------------------------------------------------------

DERIVED = {"body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0", "actuator_acc0", "light_poscom0"}
"""What MuJoCo computes from masses."""


def model_of(**options: Any) -> mujoco.MjModel:
    """The compiled model of the standing clip's scene."""
    return PairSimulation([standing_clip(12)], 1, EnvConfig(**options), threads=1).scene.model


def differing(first: mujoco.MjModel, second: mujoco.MjModel) -> set[str]:
    """Names of array fields of two models that are not equal."""
    names = [name for name in dir(first) if not name.startswith("_")]
    arrays = {name: getattr(first, name) for name in names if isinstance(getattr(first, name), np.ndarray)}
    return {name for name, array in arrays.items() if not np.array_equal(array, getattr(second, name))}


def bodies_of(model: mujoco.MjModel, role: str) -> list[int]:
    return [index for index in range(model.nbody) if model.body(index).name.startswith(f"{role}_")]


def test_mass_factor_scales_masses_and_inertias_of_that_person_only() -> None:
    base, weak = model_of(), model_of(recipient=Impairment(mass=0.7))
    assert differing(base, weak) - DERIVED == {"body_mass", "body_inertia"}
    theirs, others = bodies_of(base, "recipient"), bodies_of(base, "supporter")
    assert len(theirs) == len(others) == 24
    for name in ("body_mass", "body_inertia"):
        np.testing.assert_allclose(getattr(weak, name)[theirs], 0.7 * getattr(base, name)[theirs])
        np.testing.assert_array_equal(getattr(weak, name)[others], getattr(base, name)[others])


def test_gains_and_torque_limits_change_for_the_named_joints_only() -> None:
    base = model_of()
    weak = model_of(supporter=Impairment(gain={"Hip": 0.5}, torque_limit={"Knee": 60.0}))
    assert differing(base, weak) - DERIVED == {"actuator_gainprm", "actuator_biasprm", "actuator_forcerange"}
    for index in range(len(base.actuator_gainprm)):
        name = base.actuator(index).name
        factor = 0.5 if name in ("supporter_L_Hip", "supporter_R_Hip") else 1.0
        np.testing.assert_allclose(weak.actuator_gainprm[index], factor * base.actuator_gainprm[index])
        np.testing.assert_allclose(weak.actuator_biasprm[index], factor * base.actuator_biasprm[index])
        limit = 60.0 if name in ("supporter_L_Knee", "supporter_R_Knee") else base.actuator_forcerange[index, 1]
        assert weak.actuator_forcerange[index, 1] == limit


def test_star_names_all_other_joints() -> None:
    base, weak = model_of(), model_of(recipient=Impairment(gain={"Hip": 1.0, "*": 0.25}))
    for index in range(len(base.actuator_gainprm)):
        name = base.actuator(index).name
        factor = 0.25 if name.startswith("recipient") and not name.endswith("Hip") else 1.0
        assert weak.actuator_gainprm[index, 0] == pytest.approx(factor * base.actuator_gainprm[index, 0])


def test_simulated_torques_respect_the_limits() -> None:
    """Under saturating targets every joint of the impaired person stays inside its bound."""
    vec = make_vec(2, recipient=Impairment(torque_limit={"*": 15.0}), termination_distance=np.inf)
    vec.reset(seed=0)
    rng, strongest = np.random.default_rng(0), np.zeros(2)
    for _ in range(15):
        vec.step({role: rng.uniform(-1, 1, (2, 69)) for role in ROLES})
        norms = np.linalg.norm(vec.worlds.torque.reshape(2, 2, 23, 3), axis=-1)
        strongest = np.maximum(strongest, norms.max(axis=(0, 2)))
    assert strongest[1] == pytest.approx(15.0, abs=1e-6)
    assert 100.0 < strongest[0] <= BODY.torque_limits.max() + 1e-6


def test_actuation_laws_differ_and_both_hold_a_pose() -> None:
    """PHC's component-wise servos track a standing pose as well as the orientation servos."""
    for law in ("so3", "expmap"):
        vec = make_vec(1, actuation=law)
        vec.reset(seed=0, options={"frame": 0})
        steps = [vec.step(by_role(pose_action(vec.simulation))) for _ in range(60)]
        assert not any(step[2].any() for step in steps)
        assert steps[-1][4]["tracking_error"].max() < 0.1


def test_several_clips_with_other_people_share_one_simulation() -> None:
    """Each world has the bodies and furniture of the clip it plays, now and after a change of clip."""
    clips: list[PairClip] = [standing_clip(), rising_clip()]
    vec = make_vec(4, clips=clips, termination_distance=np.inf)
    vec.reset(seed=0, options={"clip": np.array([0, 1, 0, 1]), "frame": 3})
    alone = [make_env(clips=clip, termination_distance=np.inf) for clip in clips]
    for env in alone:
        env.reset(seed=0, options={"frame": 3})
    for _ in range(20):
        action = pose_action(vec.simulation)
        found = vec.step(by_role(action))[0]
        for index, env in enumerate(alone):
            expected = env.step(by_role(action[index]))[0]
            np.testing.assert_allclose(found["recipient"][index], expected["recipient"], atol=1e-4)
            np.testing.assert_array_equal(found["recipient"][index], found["recipient"][index + 2])
