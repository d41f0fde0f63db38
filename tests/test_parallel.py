"""The PettingZoo view: conformance for every environment, and one clear behaviour where PettingZoo leaves it open."""

from __future__ import annotations

import copy
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from brought import clips_of
from pettingzoo import AECEnv
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, render_test
from pettingzoo.utils import parallel_to_aec
from toys import TOY_ID, by_role, make_env, pose_action, sent, standing_clip

from assistmimic_env import list_envs, make
from assistmimic_env.clip import ROLES
from assistmimic_env.errors import ActionError, ConfigError, MissingDependencyError
from assistmimic_env.parallel import RENDER_MODES, PairEnv

IDS = [spec.id for spec in list_envs()]


# --- Conformance ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", IDS)
def test_environment_passes_pettingzoos_conformance_test(id: str) -> None:
    """With warnings as errors, which the whole test suite has."""
    parallel_api_test(make(id, clips=clips_of(id)), num_cycles=300)


@pytest.mark.parametrize("id", IDS)
def test_environment_passes_pettingzoos_seed_test(id: str) -> None:
    parallel_seed_test(partial(make, id, clips=clips_of(id), start_noise=1.0), num_cycles=50)


@pytest.mark.filterwarnings("ignore:We recommend agents to be named:UserWarning")
@pytest.mark.parametrize("id", IDS)
def test_turn_based_view_passes_pettingzoos_conformance_test(id: str) -> None:
    """``parallel_to_aec`` needs nothing else from us."""
    api_test(parallel_to_aec(make(id, clips=clips_of(id))), num_cycles=60)


def test_turn_based_view_passes_pettingzoos_render_test() -> None:
    """Pictures are uint8 arrays of shape (H, W, 3)."""

    def turn_based(render_mode: str) -> AECEnv:
        env = parallel_to_aec(make_env(render_mode="rgb_array" if render_mode == "human" else render_mode))
        env.metadata = {**env.metadata, "render_modes": ["rgb_array"]}
        return env

    env = make_env(render_mode="rgb_array")
    env.reset(seed=0)
    try:
        env.render()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    env.close()
    render_test(turn_based)


# --- Agents, spaces, steps ------------------------------------------------------------------------------------


def test_spaces_are_the_same_object_each_time_and_sample_apart() -> None:
    """One per agent, as PettingZoo asks; equal, but with random streams of their own."""
    env = make_env()
    for role in ROLES:
        assert env.observation_space(role) is env.observation_space(role)
        assert env.action_space(role) is env.action_space(role)
    supporter, recipient = (env.action_space(role) for role in ROLES)
    assert supporter == recipient
    assert supporter is not recipient
    supporter.seed(1)
    recipient.seed(1)
    np.testing.assert_array_equal(supporter.sample(), recipient.sample())


def test_agents_are_in_a_fixed_order_and_leave_together() -> None:
    env = make_env(termination_distance=1e-6)
    assert env.possible_agents == ["supporter", "recipient"]
    assert env.agents == []
    env.reset(seed=0)
    assert env.agents == ["supporter", "recipient"]
    results = env.step(by_role(np.ones((2, 69))))
    assert env.agents == []
    assert all(list(result) == ["supporter", "recipient"] for result in results)
    assert results[2] == {"supporter": True, "recipient": True}
    assert results[3] == {"supporter": False, "recipient": False}


def test_steps_outside_an_episode_are_refused() -> None:
    """Before the first reset and after the end; without actions they do nothing, as PettingZoo's wrappers expect."""
    env = make_env(max_cycles=1)
    with pytest.raises(ConfigError, match="call reset"):
        env.step(by_role(np.zeros((2, 69))))
    env.reset(seed=0)
    env.step(by_role(np.zeros((2, 69))))
    with pytest.raises(ConfigError, match="call reset"):
        env.step(by_role(np.zeros((2, 69))))
    assert env.step({}) == ({}, {}, {}, {}, {})


def test_missing_agent_is_refused() -> None:
    env = make_env()
    env.reset(seed=0)
    with pytest.raises(ActionError, match="action of 'recipient' is missing"):
        env.step({"supporter": np.zeros(69)})


def test_results_are_plain_and_belong_to_one_agent() -> None:
    """Floats, bools and dictionaries of their own, so that wrappers may change them."""
    env = make_env()
    _, infos = env.reset(seed=0, options={"frame": 88})
    assert infos == {"supporter": {}, "recipient": {}}  # TorchRL's wrapper can do without, but not with text
    assert infos["supporter"] is not infos["recipient"]
    observations, rewards, terminated, truncated, infos = env.step(by_role(pose_action(env.simulation)[0]))
    for role in ROLES:
        assert type(rewards[role]) is float
        assert type(terminated[role]) is bool
        assert type(truncated[role]) is bool
        assert observations[role].dtype == np.float32
        assert set(infos[role]["reward_terms"]) == {"position", "rotation", "velocity", "angular_velocity", "power"}
        own = (infos[role]["episode"].pop("r"), infos[role]["episode"].pop("l"))
        assert own == (infos[role]["episode"][f"return_{role}"], infos[role]["episode"]["length"])
    assert infos["supporter"]["episode"] == infos["recipient"]["episode"]
    assert infos["supporter"]["episode"] is not infos["recipient"]["episode"]
    assert all(type(value) in (bool, int, float) for value in infos["supporter"]["episode"].values())


def test_observations_do_not_change_later() -> None:
    env = make_env()
    first, _ = env.reset(seed=0, options={"frame": 10})
    saved = {role: values.copy() for role, values in first.items()}
    env.step(by_role(pose_action(env.simulation)[0]))
    for role in ROLES:
        np.testing.assert_array_equal(first[role], saved[role])


def test_step_limit_may_be_set_later() -> None:
    """PettingZoo's own tests do so."""
    env = make_env()
    env.max_cycles = 2
    env.reset(seed=0, options={"frame": 0})
    action = by_role(pose_action(env.simulation)[0])
    assert not env.step(action)[3]["supporter"]
    assert env.step(action)[3]["supporter"]


# --- Copies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, sent, partial(sent, dump=cloudpickle.dumps)],
    ids=["deepcopy", "pickle", "cloudpickle"],
)
def test_copies_go_on_where_the_original_is(copied: Callable[[PairEnv], PairEnv]) -> None:
    """In the middle of an episode, and over its end; the original goes its own way."""
    env = make_env(start_noise=1.0)
    env.reset(seed=0, options={"frame": 75})
    env.step(by_role(pose_action(env.simulation)[0]))
    twin = copied(env)
    assert twin.agents == env.agents
    for _ in range(40):
        action = by_role(pose_action(env.simulation)[0] + 0.02)
        found, expected = twin.step(action), env.step(action)
        np.testing.assert_array_equal(found[0]["recipient"], expected[0]["recipient"])
        assert found[1:] == expected[1:]
        if not env.agents:
            np.testing.assert_array_equal(twin.reset()[0]["supporter"], env.reset()[0]["supporter"])


def test_copy_of_an_environment_that_was_not_reset_needs_a_reset() -> None:
    twin = copy.deepcopy(make_env())
    assert twin.agents == []
    np.testing.assert_array_equal(twin.reset(seed=3)[0]["supporter"], make_env().reset(seed=3)[0]["supporter"])


@pytest.mark.parametrize("dump", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_constructors_can_be_sent_to_other_processes(dump: Callable[[Any], bytes]) -> None:
    """With everything a user may pass: clips, configs, impairments."""
    weak = {"mass": 0.7, "gain": {"Hip": 0.5}}
    creator = partial(make, TOY_ID, clips=standing_clip(), recipient=weak, physics="fast")
    found, expected = (one().reset(seed=1)[0]["recipient"] for one in (sent(creator, dump), creator))
    np.testing.assert_array_equal(found, expected)


# --- Rendering ------------------------------------------------------------------------------------------------


def test_unknown_render_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'rgb_array'"):
        make_env(render_mode="rgb-array")
    assert set(RENDER_MODES) == set(PairEnv.metadata["render_modes"])


def test_rendering_without_a_mode_is_refused() -> None:
    env = make_env()
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="render_mode='rgb_array'"):
        env.render()


def test_window_without_a_display_is_one_clear_error() -> None:
    """MuJoCo's viewer would end the process."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import toys\n"
    code += "try: toys.make_env(render_mode='human').reset(seed=0)\n"
    code += "except toys.registry.AssistMimicError as error: print(error)\n"
    code = code.replace("toys.registry.AssistMimicError", "__import__('assistmimic_env').AssistMimicError")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no window can be opened here" in done.stdout
    assert "render_mode='rgb_array'" in done.stdout


@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="no virtual display is installed")
def test_window_follows_the_worlds_and_the_process_ends_well() -> None:
    """On a virtual display: it opens, changes its scene with the clip, and closes, by itself if need be."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import toys, numpy as np\n"
    code += "env = toys.make_env(render_mode='human', clips=[toys.standing_clip(), toys.rising_clip()])\n"
    code += "for clip in (0, 1): env.reset(seed=0, options={'clip': clip}); env.step(toys.by_role(np.zeros((2, 69))))\n"
    code += "assert env.render() is None; print('shown')"
    done = subprocess.run(
        ["xvfb-run", "-a", sys.executable, "-W", "error", "-c", code],  # noqa: S607 - wherever it is installed
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == ("shown", 0), done.stderr
