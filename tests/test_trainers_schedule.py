"""Starts and curriculum where RLlib samples: both samplers, and checkpoints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")

from test_trainers_fast import WORLDS, make_config, make_runner  # noqa: E402
from toys import TOY_ID, make_vec, pose_action, standing_clip  # noqa: E402

from assistmimic_env.errors import ConfigError, UnknownOptionError  # noqa: E402
from assistmimic_trainers.adapter import ROLES, PairEnv  # noqa: E402
from assistmimic_trainers.checkpoint import SCHEDULE, CheckpointStore  # noqa: E402
from assistmimic_trainers.cluster import ray_session  # noqa: E402
from assistmimic_trainers.schedule import EpisodeSchedule, merged, taken_options  # noqa: E402
from assistmimic_trainers.solo import SoloEnv  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns about its own deprecations

CLIPS = [standing_clip(20, name="a"), standing_clip(26, name="b")]
EASY = {"clips": CLIPS, "physics": "fast", "termination_distance": 0.5}
ONE = np.zeros(1, dtype=np.intp)


def follow_the_reference(runner: Any) -> None:
    """Let the runner act as somebody who can."""

    def rows(observation: Any, explore: bool) -> Any:
        action = pose_action(runner.env.simulation).astype(np.float32)
        zeros = np.zeros(len(action), np.float32)
        inputs = np.zeros((len(action), 2 * action.shape[-1]), np.float32)
        columns = {role: action[:, index] for index, role in enumerate(ROLES)}
        return {
            role: {"actions": values, "action_logp": zeros, "action_dist_inputs": inputs}
            for role, values in columns.items()
        }

    runner._policy_rows = rows


def summary(*, clip: int = 0, success: bool = True, length: int = 10) -> dict[str, np.ndarray]:
    values = {"clip": clip, "start_frame": 0, "length": length, "success_50": success}
    return {name: np.array([value]) for name, value in values.items()}


def test_options_of_the_schedule_are_taken_out_of_those_of_the_environment() -> None:
    options = {"focus": 0.5, "clips": CLIPS, "curriculum": True}
    assert taken_options(options) == {"focus": 0.5, "curriculum": True}
    assert options == {"clips": CLIPS}


def test_nothing_is_chosen_where_there_is_nothing_to_choose() -> None:
    """One clip without focus, or equal weights, or somebody else's environment: the environment starts by itself."""
    one, two = make_vec(2), make_vec(2, clips=CLIPS)
    assert EpisodeSchedule(one, {}, worlds=2).choose(ONE) is None
    assert EpisodeSchedule(two, {"clip_weights": False}, worlds=2).choose(ONE) is None
    assert EpisodeSchedule(SimpleNamespace(), {"focus": 0.5}, worlds=2).choose(ONE) is None
    assert EpisodeSchedule(two, {}, worlds=2).choose(ONE) is not None


def test_without_focus_weighted_clips_start_as_the_environment_does() -> None:
    """Anywhere, or all at the first frame."""
    anywhere = EpisodeSchedule(make_vec(2, clips=CLIPS), {}, worlds=2)
    first = EpisodeSchedule(make_vec(2, clips=CLIPS, start="first"), {}, worlds=2)
    worlds = np.zeros(200, dtype=np.intp)
    assert len(set(anywhere.choose(worlds).frame.tolist())) > 18  # type: ignore[union-attr]
    assert not first.choose(worlds).frame.any()  # type: ignore[union-attr]


def test_worlds_are_reset_once_per_episode() -> None:
    """Where the sampler chooses the start the environment does not reset by itself, until it is released."""
    runner = make_runner(focus=0.5, env_options={**EASY, "termination_distance": 0.05})
    resets, reset = [], runner.env.simulation.reset
    runner.env.simulation.reset = lambda ids, **options: resets.extend(ids) or reset(ids, **options)
    chunk = runner.sample()[0]
    ended = int((chunk.terminated | chunk.truncated).sum())
    assert len(resets) == WORLDS + ended > WORLDS
    runner.schedule.release()
    assert runner.env.simulation.auto_reset
    chunk = runner.sample()[0]
    assert len(resets) == WORLDS + ended + int((chunk.terminated | chunk.truncated).sum())


def test_physical_starts_come_from_the_runners_own_successes() -> None:
    """Episodes that succeed fill the bank; all later ones begin in its states."""
    runner = make_runner(focus=0.0, physical_starts=1.0, env_options=EASY)
    follow_the_reference(runner)
    runner.sample(num_timesteps=WORLDS * 60)
    sampler, simulation = runner.schedule.sampler, runner.env.simulation
    assert len(sampler.bank) > 5
    stored = {row.tobytes() for row in sampler.bank.get_state()["state"]}
    starts, reset = [], runner.env.reset_worlds

    def watched(ids: np.ndarray, **options: Any) -> Any:
        observations = reset(ids, **options)
        starts.extend(simulation.physical_state(ids).pack())
        return observations

    runner.env.reset_worlds = watched
    runner.sample(num_timesteps=WORLDS * 30)
    assert len(starts) > WORLDS
    assert sum(row.tobytes() in stored for row in starts) > len(starts) // 2  # others were stored meanwhile


def test_single_people_have_no_physical_starts() -> None:
    options = {"env_options": {"clips": CLIPS}, "env_class": SoloEnv, "physical_starts": 0.25}
    with pytest.raises(ConfigError, match=r"physical_starts is 0\.25"):
        make_runner(**options)
    runner = make_runner(**{**options, "physical_starts": 0.0, "focus": 0.5})
    runner.sample()
    assert runner.schedule.sampler.failure_rate.shape == (2,)


def test_the_curriculum_weakens_people_while_they_succeed() -> None:
    """Level 0 before the first episode; after successes it rises, and the worlds that start then are weaker."""
    env_options = {**EASY, "clips": [standing_clip(10)], "recipient": "needs-help"}
    settings = {"window": 4, "step": 0.5}
    runner = make_runner(focus=0.5, curriculum=settings, env_options=env_options)
    follow_the_reference(runner)
    simulation = runner.env.simulation
    assert not simulation.difficulty.any()
    runner.sample(num_timesteps=WORLDS)
    healthy = strength(simulation)
    for _ in range(10):
        runner.sample()
    assert runner.schedule.difficulty == 1.0
    np.testing.assert_array_equal(simulation.difficulty, 1.0)
    knee = simulation.body.index("L_Knee")
    assert strength(simulation)[:, knee - 1].max() == pytest.approx(40.0)
    assert healthy[:, knee - 1].min() > 200.0
    assert runner.get_metrics()["task"]["difficulty"].peek() == 1.0


def strength(simulation: Any) -> np.ndarray:
    """The recipient's torque limits in every world, shape (N, J - 1) [N m]."""
    limit = simulation.worlds._batch.expand("actuator_forcerange")[:, :, 1]
    joints = simulation.body.num_bodies - 1
    return np.array(limit[:, joints : 2 * joints])


def test_without_a_curriculum_people_are_as_configured() -> None:
    runner = make_runner()
    runner.sample()
    assert runner.schedule.curriculum is None
    np.testing.assert_array_equal(runner.env.simulation.difficulty, 1.0)
    assert runner.get_metrics()["task"]["difficulty"].peek() == 1.0
    with pytest.raises(UnknownOptionError, match="curriculum has no option 'windows'"):
        make_runner(curriculum={"windows": 3})


def test_the_stock_environment_starts_and_weakens_too() -> None:
    """Successes of one world: stored states, rising levels, the level in the episode's numbers."""
    options = {**EASY, "recipient": "needs-help", "physical_starts": 1.0, "curriculum": {"window": 2, "step": 0.25}}
    env = PairEnv({"id": TOY_ID, **options})
    env.reset(seed=0)
    assert env.env.simulation.difficulty[0] == 0.0
    levels = []
    while len(levels) < 8:
        action = pose_action(env.env.simulation)[0]
        *_, truncated, infos = env.step({role: action[index] for index, role in enumerate(ROLES)})
        if truncated["__all__"]:
            levels.append(infos["recipient"]["episode"]["difficulty"])
            env.reset()
    assert levels == [0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0]
    bank = env.schedule.sampler.bank.get_state()  # type: ignore[union-attr]
    start = env.env.simulation.physical_state(ONE).pack()[0]
    assert any(np.array_equal(row, start) for row in bank["state"])
    assert env.env.simulation.difficulty[0] == 1.0


def test_states_of_several_runners_become_one() -> None:
    """Failures of both; of the curricula the one that is least far; runners without worlds say nothing."""
    schedules = [
        EpisodeSchedule(make_vec(1, clips=CLIPS), {"focus": 0.5, "curriculum": {"window": 1}}, worlds=1)
        for _ in range(2)
    ]
    for times, schedule in zip((3, 1), schedules, strict=True):
        schedule.learn(ONE, summary(clip=1, length=5 * times, success=False), np.array([True]))
        for _ in range(times):
            schedule.begin(ONE)
            schedule.learn(ONE, summary(), np.array([False]))
    state = merged([{}, *(schedule.get_state() for schedule in schedules)])
    restored = EpisodeSchedule(make_vec(1, clips=CLIPS), {"focus": 0.5, "curriculum": True}, worlds=1)
    restored.set_state(state)
    assert restored.sampler.failures == {1: [15, 5]}  # type: ignore[union-attr]
    assert restored.difficulty == 0.1
    assert restored._simulation.difficulty[0] == 0.1
    assert merged([{}]) == {}


def test_a_checkpoint_brings_states_and_level_back(tmp_path: Path) -> None:
    """All that a schedule learnt, in a file without pickles."""
    options = {**EASY, "clips": [standing_clip(10)]}
    chosen = {"physical_starts": 0.5, "curriculum": {"window": 2, "threshold": 0.1, "retreat": 0.0}, "focus": 0.25}
    with ray_session(num_cpus=2, learner_threads=1):
        algorithm = make_config(env_options=options, **chosen).build_algo()
        store = CheckpointStore(folder=tmp_path)
        try:
            follow_the_reference(algorithm.env_runner)
            results = [algorithm.train() for _ in range(3)]
            runner: Any = algorithm.env_runner
            before = runner.schedule
            store.save(algorithm)
        finally:
            algorithm.stop()
        assert before.difficulty > 0.0
        assert results[-1]["env_runners"]["task"]["difficulty"] == before.difficulty
        with np.load(store.latest() / SCHEDULE, allow_pickle=False) as arrays:
            assert len(arrays["bank_state"]) == len(before.sampler.bank) > 0
        restored = store.load()
        try:
            other: Any = restored.env_runner
            after = other.schedule
            for name, values in before.get_state().items():
                np.testing.assert_array_equal(after.get_state()[name], values)
            np.testing.assert_array_equal(other.env.simulation.difficulty, before.difficulty)
        finally:
            restored.stop()
