"""The batched sampler and its learner connector, against RLlib's own sampler and connectors."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")

from ray.rllib.env.multi_agent_episode import MultiAgentEpisode  # noqa: E402
from ray.rllib.utils.minibatch_utils import ShardEpisodesIterator  # noqa: E402
from test_trainers_ppo import PointPair, PointPairEnv  # noqa: E402
from test_trainers_ppo import make_config as make_point_config  # noqa: E402
from toys import TOY_ID, make_vec, sent, standing_clip  # noqa: E402

from assistmimic_env.errors import ConfigError  # noqa: E402
from assistmimic_env.vector import joint_state_of  # noqa: E402
from assistmimic_trainers.adapter import ROLES, world_seed  # noqa: E402
from assistmimic_trainers.advantage import generalized_advantage  # noqa: E402
from assistmimic_trainers.batched_runner import BatchedEnvRunner, torch_threads  # noqa: E402
from assistmimic_trainers.checkpoint import SCHEDULE, CheckpointStore  # noqa: E402
from assistmimic_trainers.cluster import ray_session  # noqa: E402
from assistmimic_trainers.learner import LearnerOptions, matmul_precision  # noqa: E402
from assistmimic_trainers.module import ModuleConfig  # noqa: E402
from assistmimic_trainers.ppo import PairEnvRunner, assistmimic_ppo  # noqa: E402
from assistmimic_trainers.rollout import JOINT, RolloutChunk, concatenate  # noqa: E402
from assistmimic_trainers.schedule import DEFAULTS, FAILURES_PER_WORLD  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns about its own deprecations

WORLDS, STEPS, OBSERVATION, ACTION = 4, 8, 3, 2


def make_config(**overrides: Any) -> Any:
    """PPO on two standing people who tremble: episodes fail, reach the end of the clip and get cut."""
    env_options = {"clips": standing_clip(14), "physics": "fast", "termination_distance": 0.2, "start_noise": 1.0}
    chosen: dict[str, Any] = {
        "env_options": env_options,
        "num_env_runners": 0,
        "num_envs_per_env_runner": WORLDS,
        "rollout_fragment_length": STEPS,
        "minibatch_size": 16,
        "num_epochs": 2,
        "focus": 0.0,
        "module": ModuleConfig(hidden=(16,), critic_hidden=(16,), log_std=0.0),
    }
    return assistmimic_ppo(TOY_ID, **{**chosen, **overrides})


def make_runner(**overrides: Any) -> BatchedEnvRunner:
    return BatchedEnvRunner(config=make_config(**overrides), worker_index=0)


def make_chunk(lengths: list[int], *, seed: int = 0) -> RolloutChunk:
    """Random rows; every third segment terminated, every third truncated."""
    random, kinds = np.random.default_rng(seed), np.arange(len(lengths)) % 3
    rows = sum(lengths)

    def numbers(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    return RolloutChunk(
        columns={role: {"obs": numbers(rows, OBSERVATION), "rewards": numbers(rows)} for role in ROLES},
        bootstrap={role: numbers(len(lengths), OBSERVATION) for role in ROLES},
        lengths=np.array(lengths),
        terminated=kinds == 0,
        truncated=kinds == 1,
    )


def episodes_of(chunk: RolloutChunk) -> list[MultiAgentEpisode]:
    """The segments of a chunk as RLlib's episodes."""
    stops = np.cumsum(chunk.lengths)
    return [
        MultiAgentEpisode(
            observations=_steps(chunk, "obs", start, stop, index),
            actions=_steps(chunk, "actions", start, stop),
            rewards=_steps(chunk, "rewards", start, stop),
            infos=[{role: {} for role in ROLES} for _ in range(stop - start + 1)],
            extra_model_outputs=[
                {
                    role: {name: chunk.columns[role][name][row] for name in ("action_logp", "action_dist_inputs")}
                    for role in ROLES
                }
                for row in range(start, stop)
            ],
            terminateds=dict.fromkeys((*ROLES, "__all__"), bool(chunk.terminated[index])),
            truncateds=dict.fromkeys((*ROLES, "__all__"), bool(chunk.truncated[index])),
            len_lookback_buffer=0,
            agent_to_module_mapping_fn=lambda agent, *_, **__: agent,
        )
        for index, (start, stop) in enumerate(zip(stops - chunk.lengths, stops, strict=True))
    ]


def _steps(chunk: RolloutChunk, name: str, start: int, stop: int, segment: int | None = None) -> list[dict[str, Any]]:
    steps = [{role: chunk.columns[role][name][row] for role in ROLES} for row in range(start, stop)]
    return steps if segment is None else [*steps, {role: chunk.bootstrap[role][segment] for role in ROLES}]


def make_learner(runner: BatchedEnvRunner, **overrides: Any) -> Any:
    return make_config(**overrides).build_learner(spaces=runner.get_spaces())


def train_batch(learner: Any, episodes: list[Any]) -> dict[str, dict[str, Any]]:
    return learner._learner_connector(
        rl_module=learner.module, batch={}, episodes=episodes, shared_data={}, metrics=learner.metrics
    )


@pytest.fixture(scope="module")
def runner() -> BatchedEnvRunner:
    return make_runner()


@pytest.fixture(scope="module")
def chunk(runner: BatchedEnvRunner) -> RolloutChunk:
    """Three fragments that follow one another."""
    return concatenate([runner.sample()[0] for _ in range(3)])


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    with ray_session(num_cpus=2, learner_threads=1):
        yield


# --- against the stock path ---------------------------------------------------------------------------------


def test_samples_the_same_trajectory_as_the_stock_runner() -> None:
    """One world, equal seeds and weights: observations, mean actions and rewards, over several episodes.

    Means, because RLlib draws the actions of the two roles in an order that changes with Python's hash seed.
    """
    options = {"clips": standing_clip(30), "termination_distance": 0.1, "start_noise": 1.0}
    config = {"num_envs_per_env_runner": 1, "rollout_fragment_length": 60, "env_options": options}
    batched = make_runner(**config)
    stock = PairEnvRunner(config=make_config(**config, sampler="stock"), worker_index=0)
    stock.set_state(batched.get_state())
    (chunk,), episodes = batched.sample(explore=False), stock.sample(explore=False)
    assert [len(episode) for episode in episodes] == chunk.lengths.tolist()
    assert [episode.is_terminated for episode in episodes] == chunk.terminated.tolist()
    assert chunk.terminated.any()
    assert chunk.truncated.any()
    for role in ROLES:
        agents = [episode.agent_episodes[role] for episode in episodes]
        expected = {
            "obs": [agent.get_observations(slice(0, len(agent))) for agent in agents],
            "actions": [agent.get_actions() for agent in agents],
            "rewards": [agent.get_rewards() for agent in agents],
            "action_dist_inputs": [agent.get_extra_model_outputs("action_dist_inputs") for agent in agents],
        }
        for name, pieces in expected.items():
            np.testing.assert_array_equal(chunk.columns[role][name], np.concatenate(pieces), err_msg=name)
        last = [agent.get_observations(-1) for agent in agents]
        np.testing.assert_array_equal(chunk.bootstrap[role], last)


def test_train_batch_equals_that_of_the_stock_connectors(runner: BatchedEnvRunner, chunk: RolloutChunk) -> None:
    """Equal rollouts in both pipelines: equal columns, value targets, old values and standardised advantages."""
    assert chunk.terminated.any()
    assert chunk.truncated.any()
    assert not (chunk.terminated | chunk.truncated).all()
    batched, stock = make_learner(runner), make_learner(runner, sampler="stock")
    stock.module.set_state(batched.module.get_state())
    actual, expected = train_batch(batched, [chunk]), train_batch(stock, episodes_of(chunk))
    for role in ROLES:
        assert set(actual[role]) == set(expected[role])
        for name, column in expected[role].items():
            np.testing.assert_allclose(actual[role][name], column, rtol=1e-4, atol=2e-5, err_msg=f"{role} {name}")
        assert len(actual[role]["advantages"]) == len(chunk)
        moments = batched._finish.moments[role, "normalizer"], stock._finish.moments[role, "normalizer"]
        np.testing.assert_allclose(moments[0].squares, moments[1].squares)


def test_log_probabilities_are_those_of_the_gaussian_that_drew_the_actions(chunk: RolloutChunk) -> None:
    for role in ROLES:
        columns = chunk.columns[role]
        mean, log_std = np.split(columns["action_dist_inputs"].astype(np.float64), 2, axis=-1)
        density = -0.5 * ((columns["actions"] - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
        np.testing.assert_allclose(columns["action_logp"], density.sum(axis=-1), rtol=1e-5)


# --- chunks -------------------------------------------------------------------------------------------------


def test_segments_follow_one_another_in_every_world(chunk: RolloutChunk) -> None:
    """A segment that was cut goes on where the next fragment of its world begins."""
    first = make_runner()
    one, two = first.sample()[0], first.sample()[0]
    stops = np.cumsum(one.lengths)
    last = stops % STEPS == 0
    running = last & ~one.terminated & ~one.truncated
    assert last.sum() == WORLDS
    assert running.any()
    for role in ROLES:
        begin = two.columns[role]["obs"].reshape(WORLDS, STEPS, -1)[:, 0]
        np.testing.assert_array_equal(one.bootstrap[role][running], begin[running[last]])
        ended = last & ~running
        assert not np.array_equal(one.bootstrap[role][ended], begin[ended[last]]) or not ended.any()


def test_only_the_last_step_of_a_fragment_cuts_a_segment(chunk: RolloutChunk) -> None:
    cut = ~(chunk.terminated | chunk.truncated)
    assert np.all(np.cumsum(chunk.lengths)[cut] % STEPS == 0)
    assert chunk.lengths.min() >= 1
    assert len(chunk) == chunk.lengths.sum() == 3 * WORLDS * STEPS == chunk.agent_steps() / 2


def test_actions_in_a_chunk_are_not_clipped(chunk: RolloutChunk) -> None:
    assert np.abs(chunk.columns["recipient"]["actions"]).max() > 1.5


@pytest.mark.parametrize("stop", [1, 5, 7, 11, 12])
def test_two_slices_hold_what_the_chunk_holds(stop: int) -> None:
    whole = make_chunk([5, 4, 3])
    left, right = whole[:stop], whole.slice(slice(stop, None), len_lookback_buffer=1)
    assert (len(left), len(right)) == (stop, 12 - stop)
    for role in ROLES:
        for name, column in whole.columns[role].items():
            parts = left.columns[role][name], right.columns[role][name]
            np.testing.assert_array_equal(np.concatenate(parts), column)
    assert left.lengths.sum() == stop
    if stop in (5, 12):
        assert left.terminated[0]
        return
    assert not left.terminated[-1]
    assert not left.truncated[-1]
    np.testing.assert_array_equal(left.bootstrap["supporter"][-1], whole.columns["supporter"]["obs"][stop])
    np.testing.assert_array_equal(right.bootstrap["supporter"], whole.bootstrap["supporter"][-len(right.lengths) :])


def test_learners_share_every_row_once() -> None:
    """RLlib's own shards for three learners."""
    chunks = [make_chunk([5, 4, 3], seed=1), make_chunk([8, 2], seed=2)]
    shards = list(ShardEpisodesIterator(list(chunks), 3, len_lookback_buffer=1))
    assert [sum(map(len, shard)) for shard in shards] == [7, 7, 8]
    rows = np.concatenate([concatenate(shard).columns["recipient"]["obs"] for shard in shards])
    expected = concatenate(chunks).columns["recipient"]["obs"]
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(expected, axis=0))


def test_a_chunk_survives_the_journey_to_another_process() -> None:
    copy = sent(make_chunk([2, 3]))
    np.testing.assert_array_equal(copy.bootstrap["supporter"], make_chunk([2, 3]).bootstrap["supporter"])


# --- advantages ---------------------------------------------------------------------------------------------


def naive_advantage(
    rewards: np.ndarray, values: np.ndarray, following: float, gamma: float, trace: float
) -> np.ndarray:
    """One segment, as in the paper: discounted sum of all later temporal differences."""
    after = [*values[1:], following]
    delta = [r + gamma * b - v for r, v, b in zip(rewards, values, after, strict=True)]
    count = len(delta)
    return np.array([sum((gamma * trace) ** (k - i) * delta[k] for k in range(i, count)) for i in range(count)])


def test_advantages_equal_the_definition_on_ragged_segments() -> None:
    random, lengths = np.random.default_rng(3), np.array([1, 7, 3, 7, 1, 12])
    rewards, values = random.normal(size=(2, lengths.sum()))
    following = random.normal(size=len(lengths)) * [1, 0, 1, 1, 0, 1]
    actual = generalized_advantage(rewards, values, following, lengths, gamma=0.97, lambda_=0.9)
    pieces = zip(*(np.split(a, np.cumsum(lengths)[:-1]) for a in (rewards, values)), following, strict=True)
    expected = [naive_advantage(r, v, b, 0.97, 0.9) for r, v, b in pieces]
    np.testing.assert_allclose(actual, np.concatenate(expected), rtol=1e-12)


def test_only_termination_makes_the_value_after_the_end_zero(runner: BatchedEnvRunner, chunk: RolloutChunk) -> None:
    """The target of a segment's last row is its reward plus, unless it terminated, the discounted value after it."""
    learner = make_learner(runner, gamma=0.9)
    (connector,) = [piece for piece in learner._learner_connector.connectors if hasattr(piece, "gamma")]
    batch = connector(rl_module=learner.module, episodes=[chunk])
    for role in ROLES:
        after = learner.module[role].compute_values({"obs": torch.from_numpy(chunk.bootstrap[role])})
        last = np.cumsum(chunk.lengths) - 1
        expected = chunk.columns[role]["rewards"][last] + 0.9 * np.where(chunk.terminated, 0.0, after.detach())
        np.testing.assert_allclose(batch[role]["value_targets"][last], expected, atol=1e-6)


# --- the runner ---------------------------------------------------------------------------------------------


def test_asking_for_episodes_starts_new_ones_before_and_after() -> None:
    runner = make_runner()
    runner.sample()
    chunks = runner.sample(num_episodes=6, explore=False)
    ended = sum(int((chunk.terminated | chunk.truncated).sum()) for chunk in chunks)
    assert 6 <= ended < 6 + WORLDS
    assert runner.get_metrics()["num_episodes"].peek() >= 6
    first = chunks[0].columns["supporter"]
    np.testing.assert_array_equal(first["actions"], first["action_dist_inputs"][:, : first["actions"].shape[1]])
    assert not runner._observation


def test_asking_for_steps_gives_at_least_so_many(runner: BatchedEnvRunner) -> None:
    chunks = runner.sample(num_timesteps=2 * WORLDS * STEPS + 5, random_actions=True)
    assert [len(chunk) for chunk in chunks] == [WORLDS * STEPS, WORLDS * STEPS, 2 * WORLDS]
    assert np.abs(chunks[0].columns["supporter"]["actions"]).max() <= 1.0
    with pytest.raises(ValueError, match="give one of them"):
        runner.sample(num_timesteps=1, num_episodes=1)


def test_metrics_count_steps_and_episodes_and_describe_them() -> None:
    runner = make_runner(num_envs_per_env_runner=8, rollout_fragment_length=12)
    (chunk,) = runner.sample()
    ended = int((chunk.terminated | chunk.truncated).sum())
    metrics = runner.get_metrics()
    assert metrics["num_env_steps_sampled"].peek() == 96
    assert metrics["num_module_steps_sampled"]["recipient"].peek() == 96
    assert metrics["num_episodes"].peek() == ended > 0
    assert 0.0 <= metrics["task"]["fraction"].peek() <= 1.0
    agents = metrics["agent_episode_returns_mean"]
    total = agents["supporter"].peek() + agents["recipient"].peek()
    assert metrics["episode_return_mean"].peek() == pytest.approx(total)
    assert metrics["episode_len_min"].peek() <= metrics["episode_len_mean"].peek() <= metrics["episode_len_max"].peek()


def test_returns_in_the_metrics_are_those_of_the_rewards() -> None:
    runner = make_runner()
    chunks = runner.sample(num_episodes=1)
    chunk, metrics = concatenate(chunks), runner.get_metrics()
    done = np.flatnonzero(chunk.terminated | chunk.truncated)
    stops = np.cumsum(chunk.lengths)
    sums = [chunk.columns["supporter"]["rewards"][stops[i] - chunk.lengths[i] : stops[i]].sum() for i in done]
    assert metrics["agent_episode_returns_mean"]["supporter"].peek() == pytest.approx(np.mean(sums), rel=1e-4)


def test_older_weights_do_not_replace_newer_ones() -> None:
    runner = make_runner()
    state = runner.get_state()
    old = {**state["rl_module"]["supporter"]}
    new = {**old, "log_std": old["log_std"] + 1.0}
    modules = {**state["rl_module"]}
    runner.set_state({"rl_module": {**modules, "supporter": new}, "weights_seq_no": 3})
    runner.set_state({"rl_module": modules, "weights_seq_no": 2})
    assert float(runner.module["supporter"].log_std.detach()[0]) == 1.0
    assert runner.get_state()["weights_seq_no"] == 3
    runner.set_state({"rl_module": modules, "weights_seq_no": 0})
    assert float(runner.module["supporter"].log_std.detach()[0]) == 0.0


def test_focused_starts_lie_shortly_before_failures() -> None:
    """With a focus of 1 every start after the first failure is drawn before one; the chunk sees the moved start."""
    runner = make_runner(
        focus=1.0, num_envs_per_env_runner=2, env_options={"clips": standing_clip(60), "termination_distance": 0.1}
    )
    runner.sample(num_timesteps=60)
    failures = [frame for frames in runner.schedule.sampler.failures.values() for frame in frames]
    assert failures
    starts = runner.env.simulation.frame - runner.env.simulation.steps
    assert all(any(start == max(0, f - lag) for f in failures for lag in range(8, 31)) for start in starts)
    np.testing.assert_array_equal(runner._observation["supporter"], runner.env.simulation.observation[:, 0])


def test_worlds_of_another_runner_differ() -> None:
    one, two = make_runner(), BatchedEnvRunner(config=make_config(), worker_index=2)
    starts = [r.sample()[0].columns["supporter"]["obs"][0] for r in (one, two)]
    assert not np.array_equal(*starts)
    assert two.env.threads == 1


def test_a_runner_without_environment_holds_weights_only() -> None:
    spaces = make_runner().get_spaces()
    runner = BatchedEnvRunner(config=make_config(num_env_runners=1), worker_index=0, spaces=spaces)
    assert runner.module["supporter"] is not None
    assert not hasattr(runner.module["supporter"], "critic")
    with pytest.raises(ValueError, match="no environment"):
        runner.sample()


def test_the_backward_pass_in_half_precision_gives_nearly_the_same_gradient() -> None:
    """On CPUs without bfloat16 products it gives the same one; either way the setting ends with the context."""
    random = torch.Generator().manual_seed(0)
    rows, weight = (torch.randn(256, 512, generator=random) for _ in range(2))
    exact = rows.T @ weight
    before = torch.backends.mkldnn.matmul.fp32_precision
    with matmul_precision("bf16"):
        rounded = rows.T @ weight
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    assert (rounded - exact).norm() < 0.01 * exact.norm()
    assert torch.equal(rows.T @ weight, exact)


def test_torch_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_bare_environment_gives_what_the_chunk_holds() -> None:
    """Replaying the recorded actions in a vector environment with the same seed repeats observations and rewards."""
    runner = make_runner()
    (chunk,) = runner.sample()
    options = {key: value for key, value in runner.config.env_config.items() if key not in ("id", *DEFAULTS)}
    env = make_vec(WORLDS, **options)
    observation, _ = env.reset(seed=world_seed(runner._seed, 0))
    column = {role: {n: c.reshape(WORLDS, STEPS, -1) for n, c in chunk.columns[role].items()} for role in ROLES}
    for step in range(STEPS):
        for role in ROLES:
            np.testing.assert_array_equal(observation[role], column[role]["obs"][:, step])
        observation, reward, *_ = env.step({role: column[role]["actions"][:, step] for role in ROLES})
        np.testing.assert_array_equal(reward["recipient"], column["recipient"]["rewards"][:, step, 0])


# --- the algorithm ------------------------------------------------------------------------------------------


def test_algorithm_trains_restores_and_goes_on(session: None, tmp_path: Path) -> None:
    """Exact step counts, synchronised weights, a checkpoint that restores everything, evaluation by episodes."""
    algorithm = make_config().build_algo()
    store = CheckpointStore(folder=tmp_path)
    try:
        algorithm.train()
        result = algorithm.train()
        assert result["env_runners"]["num_env_steps_sampled_lifetime"] == 2 * WORLDS * STEPS
        assert 0.0 < result["env_runners"]["task"]["fraction"] <= 1.0
        learner = algorithm.learner_group._learner.module["recipient"]
        state = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
        assert torch.equal(algorithm.env_runner.module["recipient"].actor[0].weight, learner.actor[0].weight)
        assert float(learner.normalizer.count[0]) == 2 * WORLDS * STEPS
        store.save(algorithm)
    finally:
        algorithm.stop()
    restored: Any = store.load()
    try:
        module = restored.learner_group._learner.module["recipient"]
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, state[name]), name
        assert torch.equal(restored.env_runner.module["recipient"].actor[0].weight, state["actor.0.weight"])
        result = restored.train()
        assert result["training_iteration"] == 3
        assert result["env_runners"]["num_env_steps_sampled_lifetime"] == 3 * WORLDS * STEPS
    finally:
        restored.stop()


@pytest.mark.slow
def test_a_killed_runner_comes_back_with_the_learners_weights(session: None) -> None:
    algorithm = make_config(num_env_runners=2, num_envs_per_env_runner=2).build_algo()
    try:
        algorithm.train()
        (first, *_) = algorithm.env_runner_group.foreach_env_runner(lambda _: os.getpid(), local_env_runner=False)
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            algorithm.train()
            if algorithm.env_runner_group.num_healthy_remote_workers() == 2 and (
                algorithm.env_runner_group.num_remote_worker_restarts() == 1
            ):
                break
        algorithm.train()
        weights = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: (os.getpid(), runner.module["supporter"].actor[0].weight.detach().numpy()),
            local_env_runner=False,
        )
        assert len(weights) == 2
        assert first not in [pid for pid, _ in weights]
        expected = algorithm.learner_group._learner.module["supporter"].actor[0].weight.detach().numpy()
        for _, weight in weights:
            np.testing.assert_array_equal(weight, expected)
    finally:
        algorithm.stop()


@pytest.mark.slow
def test_two_learners_stay_equal(session: None) -> None:
    algorithm = make_config(num_learners=2).build_algo()
    try:
        algorithm.train()
        result = algorithm.train()

        def weights(learner: Any) -> dict[str, np.ndarray]:
            return learner.module["supporter"].unwrapped().get_state()

        states = [r.get() for r in algorithm.learner_group.foreach_learner(weights)]
        assert result["env_runners"]["num_env_steps_sampled_lifetime"] == 2 * WORLDS * STEPS
        for name, array in states[0].items():
            np.testing.assert_array_equal(array, states[1][name], err_msg=name)
        assert float(states[0]["normalizer.count"][0]) == 2 * WORLDS * STEPS
    finally:
        algorithm.stop()


class PointPairs:
    """The toy of `test_trainers_ppo` as a vector environment that resets within the step."""

    agents = ROLES

    def __init__(self, num_envs: int) -> None:
        self.worlds = [PointPair() for _ in range(num_envs)]
        observation, action = self.worlds[0].spaces
        self.returns = {role: np.zeros(num_envs) for role in ROLES}
        self.observation_spaces, self.action_spaces = dict.fromkeys(ROLES, observation), dict.fromkeys(ROLES, action)

    def reset(self, *, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return _stack([world.reset(seed=seed + index)[0] for index, world in enumerate(self.worlds)]), {}

    def step(self, actions: dict[str, np.ndarray]) -> tuple[Any, ...]:
        results = [
            world.step({role: np.clip(actions[role][index], -1.0, 1.0) for role in ROLES})
            for index, world in enumerate(self.worlds)
        ]
        final, rewards = _stack([result[0] for result in results]), _stack([result[1] for result in results])
        terminated = np.array([any(result[2].values()) for result in results])
        truncated = np.array([any(result[3].values()) for result in results]) & ~terminated
        done = terminated | truncated
        self.returns = {role: self.returns[role] + rewards[role] for role in ROLES}
        if not done.any():
            return final, rewards, terminated, truncated, {}
        length = np.array([world.time for world in self.worlds])
        episode = {"length": length, **{f"return_{role}": self.returns[role] for role in ROLES}}
        self.returns = {role: np.where(done, 0.0, self.returns[role]) for role in ROLES}
        first = [w.reset()[0] if d else r[0] for w, d, r in zip(self.worlds, done, results, strict=True)]
        info = {"done": done, "final_observation": final, "episode": episode}
        return _stack(first), rewards, terminated, truncated, info

    def close(self) -> None:
        return None


def _stack(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    return {role: np.array([row[role] for row in rows], np.float32) for role in ROLES}


class BatchedPointPairEnv(PointPairEnv):
    @staticmethod
    def make_vec(env_id: str, options: dict[str, Any], *, num_envs: int, threads: int) -> PointPairs:
        return PointPairs(num_envs)


@pytest.mark.slow
def test_both_roles_learn_the_toy(session: None) -> None:
    """As they do with RLlib's sampler (`test_trainers_ppo`), in the same number of steps."""
    algorithm = make_point_config(
        num_envs_per_env_runner=8,
        rollout_fragment_length=48,
        minibatch_size=128,
        sampler="batched",
        env_class=BatchedPointPairEnv,
    ).build_algo()
    try:
        results = [algorithm.train()["env_runners"]["episode_return_mean"] for _ in range(30)]
    finally:
        algorithm.stop()
    assert results[-1] > 16.0 > results[0]  # of 24 possible


def test_a_centralised_critic_sees_the_joint_state_of_every_row(runner: BatchedEnvRunner) -> None:
    """Column by column what `env.state()` gives, the true last state included where the clip ended."""
    state_size = runner.env.state_space.shape[0]
    central = make_runner(module=ModuleConfig(hidden=(16,), critic_hidden=(16,), log_std=0.0, state_size=state_size))
    chunk = concatenate([central.sample()[0] for _ in range(3)])
    assert chunk.roles == ROLES
    assert chunk.truncated.any()
    rows = chunk.columns[JOINT]["obs"]
    supporter, recipient = (chunk.columns[role]["obs"] for role in ROLES)
    np.testing.assert_array_equal(rows, joint_state_of(central.env.layout, supporter, recipient, rows[:, -1]))
    last = chunk.bootstrap[JOINT][chunk.truncated]
    assert (last[:, -1] == 1.0).all()
    supporter, recipient = (chunk.bootstrap[role][chunk.truncated] for role in ROLES)
    end = np.ones(len(last), np.float32)
    np.testing.assert_array_equal(last, joint_state_of(central.env.layout, supporter, recipient, end))


def test_a_centralised_critic_learns_and_its_statistics_move() -> None:
    state_size = make_runner().env.state_space.shape[0]
    network = ModuleConfig(hidden=(16,), critic_hidden=(16,), log_std=0.0, state_size=state_size)
    runner = make_runner(module=network)
    learner = make_learner(runner, module=network)
    module = learner.module["recipient"].unwrapped()
    before = module.critic.layers[0].weight.detach().clone()
    assert before.shape[1] == state_size
    chunk = runner.sample()[0]
    learner.update(episodes=[chunk], timesteps={"num_env_steps_sampled_lifetime": 0}, num_epochs=1, minibatch_size=16)
    assert not torch.equal(module.critic.layers[0].weight, before)
    assert float(module.state_normalizer.count[0]) == len(chunk)
    assert not any(name.startswith(("critic", "state_normalizer")) for name in runner.module["recipient"].get_state())


def test_the_stock_sampler_has_no_joint_state() -> None:
    with pytest.raises(ConfigError, match=r"module\.state_size is 7"):
        make_config(sampler="stock", module=ModuleConfig(state_size=7))


@pytest.mark.parametrize("scope", ["batch", "minibatch"])
def test_advantages_are_normalised_over_the_chosen_rows(scope: str, runner: BatchedEnvRunner) -> None:
    """A constant added to all advantages of a minibatch changes nothing when each is normalised by itself."""
    learner = make_learner(runner, learner=LearnerOptions(advantage_normalization=scope))  # type: ignore[arg-type]
    batch = train_batch(learner, [runner.sample()[0]])["supporter"]
    module = learner.module["supporter"].unwrapped()

    def loss(shift: float) -> float:
        moved = {**batch, "advantages": batch["advantages"] + shift}
        forward = module.forward_train({"embeddings": batch["embeddings"]})
        return float(
            learner.compute_loss_for_module(
                module_id="supporter", config=learner.config, batch=moved, fwd_out=forward
            ).detach()
        )

    changed = abs(loss(3.0) - loss(0.0))
    assert changed < 1e-5 if scope == "minibatch" else changed > 1.0


@pytest.mark.parametrize("runners", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_checkpoint_remembers_where_episodes_failed(session: None, runners: int, tmp_path: Path) -> None:
    """All runners of a restored algorithm know what all runners had seen."""
    options = {"clips": standing_clip(60), "termination_distance": 0.1}
    algorithm = make_config(focus=0.5, num_env_runners=runners, env_options=options).build_algo()
    store = CheckpointStore(folder=tmp_path)
    try:
        for _ in range(4):
            algorithm.train()
        store.save(algorithm)
    finally:
        algorithm.stop()

    def failures_of(runner: Any) -> dict[int, list[int]] | None:  # local: it goes to processes without this file
        return runner.schedule.sampler.failures if runner.env else None

    with np.load(store.latest() / SCHEDULE, allow_pickle=False) as arrays:
        saved = arrays["failures"][:, 1].tolist()
    assert saved
    restored = store.load()
    try:
        states = restored.env_runner_group.foreach_env_runner(failures_of)
        kept = {0: saved[-FAILURES_PER_WORLD * WORLDS :]}
        assert [state for state in states if state is not None] == [kept] * max(runners, 1)
    finally:
        restored.stop()
