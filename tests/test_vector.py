"""The vector environment: a batch of independent, repeatable worlds that reset themselves."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brought import clips_of
from toys import TOY_ID, by_role, make_env, make_vec, pose_action, rising_clip, sent, standing_clip

from assistmimic_env import list_envs, make
from assistmimic_env import make_vec as make_bundled_vec
from assistmimic_env.clip import ROLES
from assistmimic_env.errors import ActionError, AssistMimicError, ClipError, ConfigError, MissingDependencyError
from assistmimic_env.parallel import PairEnv
from assistmimic_env.vector import VectorEnv

IDS = [spec.id for spec in list_envs()]
STEPS = {"AssistMimic/PullUp-v0": 1000}
"""Of the comparisons with a single environment; 200 for the other ids."""


# --- Determinism ----------------------------------------------------------------------------------------------


def shaky(vec: VectorEnv, rng: np.random.Generator, scale: float = 0.05) -> np.ndarray:
    """Actions (N, 2, A): the reference's present pose with noise, so that episodes fail and succeed."""
    action = pose_action(vec.simulation)
    return action + rng.normal(scale=scale, size=action.shape)


@pytest.mark.parametrize("id", IDS)
def test_world_of_a_batch_is_a_single_environment_bit_for_bit(id: str) -> None:
    """World i of ``reset(seed=s)`` is ``make(id).reset(seed=s + i)``: all that it returns, and its state."""
    options = {"start_noise": 1.0, "termination_distance": 0.2}
    vec = make_bundled_vec(id, num_envs=3, threads=1, clips=clips_of(id), **options)
    threaded = make_bundled_vec(id, num_envs=3, threads=2, clips=clips_of(id), **options)
    world, rng, ends = 1, np.random.default_rng(0), 0
    env = make(id, clips=clips_of(id), **options)
    together, _ = vec.reset(seed=40)
    threaded.reset(seed=40)
    alone, _ = env.reset(seed=40 + world)
    steps = STEPS.get(id, 200)
    for _ in range(steps):
        assert_same_world(vec, env, together, alone, world)
        np.testing.assert_array_equal(vec.get_state().worlds.physics, threaded.get_state().worlds.physics)
        action = shaky(vec, rng)
        result, other = vec.step(by_role(action)), threaded.step(by_role(action))
        together, info = result[0], result[4]
        for role in ROLES:
            np.testing.assert_array_equal(together[role], other[0][role])
            np.testing.assert_array_equal(result[1][role], other[1][role])
        alone, reward, terminated, truncated, infos = env.step(by_role(action[world]))
        for role in ROLES:
            assert np.float32(reward[role]) == result[1][role][world]
            assert (terminated[role], truncated[role]) == (result[2][world], result[3][world])
        if not env.agents:
            ends += 1
            for role in ROLES:
                np.testing.assert_array_equal(info["final_observation"][role][world], alone[role])
            summary = {name: values[world] for name, values in info["episode"].items()}
            assert infos["recipient"]["episode"] == summary | {"r": summary["return_recipient"], "l": summary["length"]}
            alone, _ = env.reset()
    assert ends >= steps // 100


def assert_same_world(
    vec: VectorEnv, env: PairEnv, together: dict[str, np.ndarray], alone: dict[str, np.ndarray], world: int
) -> None:
    """Observations, joint state and physics are bitwise equal."""
    for role in ROLES:
        np.testing.assert_array_equal(together[role][world], alone[role])
    np.testing.assert_array_equal(vec.state()[world], env.state())
    np.testing.assert_array_equal(vec.get_state([world]).worlds.physics, env.get_state().worlds.physics)


def trajectory_hash(steps: int = 30) -> str:
    """Digest of everything that a few worlds of each environment return."""
    digest = hashlib.sha256()
    for id in IDS:
        vec = make_bundled_vec(id, num_envs=3, threads=2, clips=clips_of(id), start_noise=1.0)
        observation, _ = vec.reset(seed=11)
        rng = np.random.default_rng(0)
        for _ in range(steps):
            observation, reward, terminated, truncated, info = vec.step(by_role(shaky(vec, rng)))
            parts = [
                *observation.values(),
                *reward.values(),
                terminated,
                truncated,
                vec.state(),
                vec.get_state().worlds.physics,
            ]
            parts += [info["reward_terms"][name] for name in sorted(info["reward_terms"])]
            for part in parts:
                digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def test_processes_with_other_hash_seeds_see_the_same_worlds() -> None:
    """Nothing depends on the order of sets, on the process, or on its number of threads."""
    folder = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r}); import test_vector; print(test_vector.trajectory_hash())"
    runs = []
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed.replace("0", "2")}
        runs.append(subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True))
    found = {run.communicate(timeout=120)[0].strip() for run in runs}
    assert found == {trajectory_hash()}


def test_seeds_are_shared_between_batches_and_different_seeds_differ() -> None:
    """World 1 of seed 0 is world 0 of seed 1, and no two worlds are alike."""
    vec = make_vec(3, start_noise=1.0)
    first, _ = vec.reset(seed=0)
    second, _ = vec.reset(seed=1)
    np.testing.assert_array_equal(first["recipient"][1:], second["recipient"][:2])
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert not np.array_equal(first["recipient"][a], first["recipient"][b])


def test_reset_without_a_seed_goes_on_with_the_streams() -> None:
    """A second reset starts other episodes, and repeats when the seed is given again."""
    vec = make_vec(4, start_noise=1.0)
    runs = []
    for _ in range(2):
        first, _ = vec.reset(seed=3)
        second, _ = vec.reset()
        runs.append((first["supporter"], second["supporter"]))
        assert not np.array_equal(first["supporter"], second["supporter"])
    np.testing.assert_array_equal(runs[0], runs[1])


def test_environments_that_were_never_seeded_differ() -> None:
    starts = [make_vec(2, start_noise=1.0).reset()[0]["supporter"] for _ in range(2)]
    assert not np.array_equal(*starts)


# --- Autoreset ------------------------------------------------------------------------------------------------


def test_ended_worlds_start_their_next_episode_within_the_step() -> None:
    """Observation and previous action are the new episode's; the others go on; keys of ends come with ends only."""
    vec = make_vec(3, start_noise=0.5)
    vec.reset(seed=0, options={"frame": np.array([10, 88, 10])})
    action = by_role(pose_action(vec.simulation))
    observation, reward, terminated, truncated, info = vec.step(action)
    assert vec.metadata["autoreset_mode"] == "same_step"
    np.testing.assert_array_equal(truncated, [False, True, False])
    assert not terminated.any()
    np.testing.assert_array_equal(info["done"], truncated)
    block = vec.layout["previous_action"]
    for role in ROLES:
        assert not observation[role][1, block].any()
        assert info["final_observation"][role][1, block].any()
        assert observation[role][0, block].any()
        assert reward[role][1] > 0.3
    np.testing.assert_array_equal(vec.simulation.steps, [1, 0, 1])
    vec.reset(options={"frame": 10})
    *_, info = vec.step(action)
    assert not {"done", "final_observation", "episode"} & set(info)


def test_returned_arrays_do_not_change_later() -> None:
    """What a step returned stays as it was while the worlds go on: learners keep references."""
    vec = make_vec(3, start_noise=1.0)
    kept: list[Any] = [vec.reset(seed=0)]
    rng = np.random.default_rng(0)
    for _ in range(4):
        kept.append(vec.step(by_role(shaky(vec, rng, 0.2))))
        kept.append(vec.state())
    saved = pickle.dumps(kept)
    for _ in range(4):
        vec.step(by_role(shaky(vec, rng, 0.2)))
    vec.reset()
    assert pickle.dumps(kept) == saved


def test_actions_are_clipped_and_not_changed() -> None:
    """Actions outside [-1, 1] act as the nearest ones inside; the caller's arrays stay."""
    vec, twin = make_vec(2), make_vec(2)
    vec.reset(seed=0)
    twin.reset(seed=0)
    action = np.random.default_rng(0).normal(scale=2.0, size=(2, 2, 69))
    given = action.copy()
    found, expected = vec.step(by_role(given)), twin.step(by_role(np.clip(action, -1.0, 1.0)))
    np.testing.assert_array_equal(given, action)
    np.testing.assert_array_equal(found[0]["recipient"], expected[0]["recipient"])


# --- Interface ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", IDS)
def test_shapes_types_and_spaces(id: str) -> None:
    """As documented, for every environment."""
    vec = make_bundled_vec(id, num_envs=2, threads=1, clips=clips_of(id))
    observation, _ = vec.reset(seed=0)
    for _ in range(3):
        for role in ROLES:
            assert observation[role].shape == (2, vec.layout.size)
            assert observation[role].dtype == np.float32
            assert all(vec.observation_spaces[role].contains(row) for row in observation[role])
        state = vec.state()
        assert state.dtype == np.float32
        assert all(vec.state_space.contains(row) for row in state)
        action = {role: np.stack([vec.action_spaces[role].sample()] * 2) for role in ROLES}
        observation, reward, terminated, truncated, _ = vec.step(action)
        assert reward["supporter"].shape == terminated.shape == truncated.shape == (2,)
        assert (reward["supporter"].dtype, terminated.dtype, truncated.dtype) == (np.float32, np.bool_, np.bool_)


def test_state_holds_both_agents_and_the_phase() -> None:
    """For centralised critics: own blocks of both, the recipient seen by the supporter, where in the clip."""
    vec = make_vec(2)
    observation, _ = vec.reset(seed=0, options={"frame": np.array([0, 44])})
    state, layout = vec.state(), vec.layout
    own = [observation[role][:, layout[name]] for role in ROLES for name in ("self", "goal", "contact_force")]
    shared = observation["supporter"][:, layout["partner_position"]]
    np.testing.assert_array_equal(state[:, :-1], np.concatenate([*own, shared], axis=-1))
    np.testing.assert_allclose(state[:, -1], [0.0, 44 / 89], atol=1e-7)


BAD_ACTIONS: dict[str, tuple[Any, str]] = {
    "missing agent": ({"supporter": np.zeros((2, 69))}, "action of 'recipient' is missing"),
    "unknown agent": (
        {"supporter": np.zeros((2, 69)), "recipent": np.zeros((2, 69))},
        "no agent 'recipent'. Did you mean 'recipient'",
    ),
    "wrong shape": (
        {"supporter": np.zeros((2, 69)), "recipient": np.zeros(69)},
        r"'recipient' has shape \(69,\), expected \(2, 69\)",
    ),
    "text": ({"supporter": np.full((2, 69), "a"), "recipient": np.zeros((2, 69))}, "'supporter' has the type"),
    "complex": ({"supporter": np.zeros((2, 69)), "recipient": np.zeros((2, 69), complex)}, "has the type complex128"),
    "nan": ({"supporter": np.zeros((2, 69)), "recipient": np.full((2, 69), np.nan)}, "'recipient' holds NaN or inf"),
    "infinity": ({"supporter": np.full((2, 69), np.inf), "recipient": np.zeros((2, 69))}, "'supporter' holds NaN"),
    "ragged": ({"supporter": [[0.0], [0.0, 1.0]], "recipient": np.zeros((2, 69))}, "'supporter'"),
    "nothing": ({"supporter": None, "recipient": np.zeros((2, 69))}, "'supporter'"),
    "no dictionary": (np.zeros((2, 2, 69)), "actions are a ndarray, expected a dictionary"),
}


@pytest.mark.parametrize("case", BAD_ACTIONS)
def test_bad_actions_are_refused_and_change_nothing(case: str) -> None:
    """One message that names the agent; the worlds wait for a good action."""
    vec, twin = make_vec(2), make_vec(2)
    vec.reset(seed=0)
    twin.reset(seed=0)
    actions, message = BAD_ACTIONS[case]
    with pytest.raises(ActionError, match=message):
        vec.step(actions)
    good = by_role(pose_action(vec.simulation))
    np.testing.assert_array_equal(vec.step(good)[0]["supporter"], twin.step(good)[0]["supporter"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_actions_may_have_any_real_type(dtype: type) -> None:
    vec = make_vec(2)
    vec.reset(seed=0)
    vec.step({role: np.ones((2, 69), dtype) for role in ROLES})


def test_clip_and_frame_can_be_chosen_per_world() -> None:
    vec = make_vec(3, clips=[standing_clip(), rising_clip()])
    _, info = vec.reset(seed=0, options={"clip": np.array([1, 0, 1]), "frame": np.array([5, 6, 7]), "other": "ignored"})
    np.testing.assert_array_equal(info["clip"], [1, 0, 1])
    np.testing.assert_array_equal(info["frame"], [5, 6, 7])
    _, info = vec.reset(options={"clip": "rising", "frame": 2})
    np.testing.assert_array_equal(info["clip"], 1)
    np.testing.assert_array_equal(info["frame"], 2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"clip": "risin"}, ClipError, "no clip 'risin'. Did you mean 'rising'"),
        ({"clip": 2}, ConfigError, "clip is 2, expected 0 to 1"),
        ({"clip": -1}, ConfigError, "clip is -1"),
        ({"clip": np.array([0, 1])}, ConfigError, "expected an integer or 3 of them"),
        ({"frame": 1.5}, ConfigError, "frame is 1.5"),
        ({"frame": -3}, ConfigError, "expected 0 or more"),
        ({"frame": "first"}, ConfigError, "frame is 'first'"),
    ],
)
def test_bad_reset_options_are_refused(options: dict[str, Any], error: type[AssistMimicError], message: str) -> None:
    vec = make_vec(3, clips=[standing_clip(), rising_clip()])
    with pytest.raises(error, match=message):
        vec.reset(seed=0, options=options)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", True])
def test_bad_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(ConfigError, match="seed is"):
        make_vec(1).reset(seed=seed)


def test_large_seeds_work() -> None:
    """Gymnasium and NumPy hand out seeds of 64 and 128 bits."""
    vec = make_vec(2)
    for seed in (2**63, 2**64 - 1, 2**127, np.int64(3)):
        vec.reset(seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("options", "message"), [({"num_envs": 0}, "at least 1"), ({"threads": -1}, "threads is -1")])
def test_bad_sizes_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_vec(**{"num_envs": 1, **options})


@pytest.mark.parametrize("ids", [[3], [-1]])
def test_worlds_that_do_not_exist_are_refused(ids: list[int]) -> None:
    vec = make_vec(3)
    with pytest.raises(ConfigError, match="there are 0 to 2"):
        vec.get_state(ids)
    with pytest.raises(ConfigError, match="there are 0 to 2"):
        vec.render(ids[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, sent], ids=["deepcopy", "pickle"])
def test_copies_go_on_where_the_original_is(copied: Any) -> None:
    """Bit for bit, random streams included, and without touching the original."""
    vec, rng = make_vec(2, start_noise=1.0), np.random.default_rng(0)
    vec.reset(seed=0)
    for _ in range(3):
        vec.step(by_role(shaky(vec, rng)))
    twin = copied(vec)
    assert twin.name == TOY_ID
    for _ in range(40):
        action = by_role(shaky(vec, rng, 0.1))
        found, expected = twin.step(action), vec.step(action)
        np.testing.assert_array_equal(found[0]["recipient"], expected[0]["recipient"])
        np.testing.assert_array_equal(found[2] | found[3], expected[2] | expected[3])


def test_rendering_does_not_disturb_the_worlds() -> None:
    """A picture per step, of worlds with other furniture in turn, or none: the same trajectory; so after closing."""
    clips, options = [standing_clip(), rising_clip()], {"clip": np.array([0, 1]), "frame": 5}
    vec, twin = (make_vec(2, start_noise=1.0, clips=clips) for _ in range(2))
    vec.reset(seed=0, options=options)
    twin.reset(seed=0, options=options)
    for step in range(4):
        try:
            picture = vec.render(step % 2)
        except MissingDependencyError as error:
            pytest.skip(str(error))
        assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
        action = by_role(pose_action(vec.simulation))
        np.testing.assert_array_equal(vec.step(action)[0]["recipient"], twin.step(action)[0]["recipient"])
    vec.close()
    vec.close()
    assert vec.step(by_role(pose_action(vec.simulation)))[0].keys() == set(ROLES)


def test_single_environment_is_the_batch_of_one() -> None:
    """Also in the names of things."""
    vec, env = make_vec(1), make_env()
    assert vec.layout == env.layout
    assert vec.state_space == env.state_space
    for role in ROLES:
        assert vec.observation_spaces[role] == env.observation_space(role)
        assert vec.action_spaces[role] == env.action_space(role)
