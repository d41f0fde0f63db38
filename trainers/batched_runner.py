"""`BatchedEnvRunner`: an RLlib env runner that steps all its worlds at once.

RLlib's own runner spends about as long on bookkeeping per step and world as our physics; this one makes one forward
pass per policy and one call of the environment for all worlds, and hands out arrays (`RolloutChunk`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import ray
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils import force_list
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SAMPLE_TIMER,
    TIME_BETWEEN_SAMPLING,
    WEIGHTS_SEQ_NO,
)

from assistmimic_env.starts import begin
from assistmimic_env.vector import joint_state_of

from .adapter import world_seed
from .fragment import Fragment, Sizes
from .rollout import JOINT, RolloutChunk
from .runner_metrics import SampleLog, smoothing_window
from .schedule import EpisodeSchedule, taken_options

Observations = dict[str, NDArray[np.float32]]
Rows = dict[str, dict[str, NDArray[np.float32]]]


class BatchedEnvRunner(EnvRunner, Checkpointable):
    """Samples N worlds of one native vector environment.

    The configuration's `env` must have the static method `make_vec` of `adapter.PairEnv`; its `env_config` is that of
    `PairEnv`. Each of the vector environment's `agents` has the policy of its name. A remote runner gives the physics
    as many threads as it has CPUs; a local one gives it all CPUs.

    Of RLlib's callbacks it calls `on_environment_created` and `on_sample_end` (whose `samples` are chunks), not those
    of single episodes; what episodes were like stands in the metrics (`runner_metrics`).

    Args:
        config: The algorithm's configuration.
        **kwargs: `worker_index`, `num_workers`, `spaces` (for a runner without an environment), from RLlib.
    """

    config: Any  # an AlgorithmConfig; RLlib types its fields as optional

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self.spaces: dict[str, Any] = kwargs.get("spaces") or {}
        self._callbacks = [create() for create in force_list(self.config.callbacks_class)]
        self._weights_seq_no = 0
        self._finished_at: float | None = None
        self.env: Any = None
        if self.worker_index or self.config.create_env_on_local_worker or self.config.num_env_runners == 0:
            self.make_env()
        self.module: Any = None
        self.make_module()

    # --- what it is made of --------------------------------------------------------------------------------

    def make_env(self) -> None:
        """Make the vector environment anew; the next sample starts new episodes."""
        self.stop()
        options = dict(self.config.env_config)
        scheduled = taken_options(options)
        self.num_envs: int = self.config.num_envs_per_env_runner
        threads = max(1, int(self.config.num_cpus_per_env_runner)) if self.worker_index else 0
        env_id = options.pop("id")
        self.env = self.config.env.make_vec(env_id, options, num_envs=self.num_envs, threads=threads)
        self.schedule = EpisodeSchedule(self.env, scheduled, worlds=self.num_envs)
        self._observation: Observations = {}
        self._never_reset = True
        self._call("on_environment_created", env=self.env, env_context=self.config.env_config)

    def make_module(self) -> None:
        """Build the inference-only part of both policies."""
        spec = self.config.get_multi_rl_module_spec(spaces=self.get_spaces(), inference_only=True)
        for module_spec in spec.rl_module_specs.values():
            module_spec.inference_only = True
        self.module = spec.build()
        sizes = [module_spec.model_config.get("state_size", 0) for module_spec in spec.rl_module_specs.values()]
        self._state_size: int = max(sizes)

    def get_spaces(self) -> dict[str, Any]:
        """Spaces of the environment and, per role, of the policy."""
        if self.env is None:
            return self.spaces
        observation, action = self.env.observation_spaces, self.env.action_spaces
        everything = spaces.Dict(observation), spaces.Dict(action)
        pairs = {agent: (observation[agent], action[agent]) for agent in self.env.agents}
        return {INPUT_ENV_SPACES: everything, INPUT_ENV_SINGLE_SPACES: everything, **pairs}

    # --- sampling ------------------------------------------------------------------------------------------

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[RolloutChunk]:
        """Sample a number of steps or of episodes; by default one fragment of every world.

        Args:
            num_timesteps: At least so many control steps, over all worlds.
            num_episodes: At least so many episodes, all of them new; the next sample starts new ones again.
            explore: Whether to draw the actions or to take their means; by default as configured.
            random_actions: Draw actions uniformly from the action space instead of asking the policies.
            force_reset: Start new episodes in all worlds first.

        Returns:
            Chunks; one unless more steps or episodes were asked for than a fragment has.

        Raises:
            ValueError: This runner has no environment, or both steps and episodes were asked for.
        """
        if self.env is None:
            raise ValueError("this env runner has no environment: it only holds weights. Sample from the remote ones.")
        if num_timesteps is not None and num_episodes is not None:
            raise ValueError(f"{num_timesteps=} and {num_episodes=} were asked for; give one of them.")
        draw = bool(self.config.explore if explore is None else explore)
        decide = self._random_rows if random_actions else partial(self._policy_rows, explore=draw)
        self._log_start()
        log, chunks = SampleLog(), []
        with self.metrics.log_time(SAMPLE_TIMER), torch_threads(1), torch.no_grad():
            if force_reset or num_episodes is not None or not self._observation:
                self._reset()
            while steps := self._steps_left(log, num_timesteps, num_episodes):
                chunks.append(self._fragment(steps, decide, log, num_episodes))
            if num_episodes is not None:
                self._observation = {}
        episodes, runners = self.config.metrics_num_episodes_for_smoothing, self.config.num_env_runners
        log.difficulty = self.schedule.difficulty
        log.write(self.metrics, self.env.agents, smoothing=smoothing_window(episodes, runners))
        self._call("on_sample_end", samples=chunks)
        self._finished_at = time.perf_counter()
        return chunks

    def _steps_left(self, log: SampleLog, num_timesteps: int | None, num_episodes: int | None) -> int:
        """Length of the next fragment; 0 when there is enough."""
        length = self.config.get_rollout_fragment_length(self.worker_index or 0)
        if num_episodes is not None:
            return length if len(log.episodes) < num_episodes else 0
        wanted = length * self.num_envs if num_timesteps is None else num_timesteps
        return min(length, -(-(wanted - log.steps) // self.num_envs))

    def _fragment(
        self, steps: int, decide: Callable[[Observations], Rows], log: SampleLog, num_episodes: int | None
    ) -> RolloutChunk:
        """At most `steps` steps of every world, fewer when enough episodes ended."""
        fragment = Fragment.empty(self.num_envs, steps, self._sizes(), state_size=self._state_size)
        observation = self._observation
        for _ in range(steps):
            start = time.perf_counter()
            state = self.env.state() if self._state_size else None
            rows = decide(observation)
            decided = time.perf_counter()
            actions = {role: columns[Columns.ACTIONS] for role, columns in rows.items()}
            following, rewards, terminated, truncated, info = self.env.step(actions)
            log.add_step(self.num_envs, policy=decided - start, env=time.perf_counter() - decided)
            fragment.add(
                {
                    role: {Columns.OBS: observation[role], Columns.REWARDS: rewards[role], **columns}
                    for role, columns in rows.items()
                }
                | ({JOINT: {Columns.OBS: state}} if state is not None else {})
            )
            if "done" in info:
                self._end_episodes(fragment, terminated, truncated, info, following, log)
            self.schedule.record()
            observation = following
            if num_episodes is not None and len(log.episodes) >= num_episodes:
                break
        self._observation = observation
        return fragment.chunk(observation | ({JOINT: self.env.state()} if self._state_size else {}))

    def _policy_rows(self, observation: Observations, explore: bool) -> Rows:
        """Actions of both policies in all worlds, with what the learner needs to know about them."""
        rows: Rows = {}
        for role in self.env.agents:
            module, batch = self.module[role], {Columns.OBS: torch.from_numpy(observation[role])}
            if explore:
                inputs = module.forward_exploration(batch)[Columns.ACTION_DIST_INPUTS]
                distribution = module.get_exploration_action_dist_cls().from_logits(inputs)
                actions = distribution.sample()
                log_probability = distribution.logp(actions)
            else:
                inputs = module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS]
                actions = module.get_inference_action_dist_cls().from_logits(inputs).to_deterministic().sample()
                log_probability = torch.zeros(self.num_envs)
            rows[role] = {
                Columns.ACTIONS: actions.numpy(),
                Columns.ACTION_LOGP: log_probability.numpy(),
                Columns.ACTION_DIST_INPUTS: inputs.numpy(),
            }
        return rows

    def _random_rows(self, observation: Observations) -> Rows:
        """Uniform actions; their log-probability is that of the uniform distribution, the policies' inputs are 0."""
        rows: Rows = {}
        for role, size in self._sizes().items():
            actions = 2.0 * torch.rand(self.num_envs, size.action) - 1.0
            rows[role] = {
                Columns.ACTIONS: actions.numpy(),
                Columns.ACTION_LOGP: np.full(self.num_envs, -size.action * np.log(2.0), np.float32),
                Columns.ACTION_DIST_INPUTS: np.zeros((self.num_envs, size.distribution), np.float32),
            }
        return rows

    def _end_episodes(
        self,
        fragment: Fragment,
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        info: Mapping[str, Any],
        following: Observations,
        log: SampleLog,
    ) -> None:
        """Book the episodes that ended, and move the next ones to where the schedule wants them to start."""
        final = info["final_observation"]
        if self._state_size:  # its phase is 1 where the clip ended; where an episode failed it does not count
            phase, (supporter, recipient) = np.ones(self.num_envs, np.float32), self.env.agents
            final = final | {JOINT: joint_state_of(self.env.layout, final[supporter], final[recipient], phase)}
        fragment.end_episodes(terminated, truncated, final)
        worlds, summary = np.flatnonzero(info["done"]), info["episode"]
        log.add_episodes(worlds, summary)
        ended = {name: values[worlds] for name, values in summary.items()}
        self.schedule.learn(worlds, ended, terminated[worlds])
        starts = self.schedule.choose(worlds)
        if starts is not None:
            following.update(begin(self.env, worlds, starts))

    def _reset(self) -> None:
        """Start new episodes everywhere; the seed counts for the first time only."""
        seed = world_seed(self._seed, self.worker_index or 0) if self._never_reset else None
        self._never_reset = False
        self.schedule.seed(seed)
        self.schedule.begin(np.arange(self.num_envs))
        self._observation, _ = self.env.reset(seed=seed)

    def _sizes(self) -> dict[str, Sizes]:
        sizes = {}
        for role in self.env.agents:
            action = int(self.env.action_spaces[role].shape[0])
            observation = int(self.env.observation_spaces[role].shape[0])
            sizes[role] = Sizes(observation=observation, action=action, distribution=2 * action)
        return sizes

    # --- what RLlib asks for -------------------------------------------------------------------------------

    def get_metrics(self) -> Any:
        """Metrics since the last call."""
        return self.metrics.reduce()

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Weights and their number in the sequence of updates; worlds are not part of it."""
        state: dict[str, Any] = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(
                components=self._get_subcomponents(COMPONENT_RL_MODULE, components),
                not_components=self._get_subcomponents(COMPONENT_RL_MODULE, not_components),
                **kwargs,
            )
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over newer weights; without a sequence number, or with 0, any weights."""
        if COMPONENT_RL_MODULE in state:
            number = state.get(WEIGHTS_SEQ_NO, 0)
            if number == 0 or self._weights_seq_no < number:
                weights = state[COMPONENT_RL_MODULE]
                self.module.set_state(ray.get(weights) if isinstance(weights, ray.ObjectRef) else weights)
                self._weights_seq_no = number or self._weights_seq_no
        self.num_env_steps_sampled_lifetime = state.get(
            NUM_ENV_STEPS_SAMPLED_LIFETIME, self.num_env_steps_sampled_lifetime
        )

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments that make this runner again."""
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """The policies."""
        return [(COMPONENT_RL_MODULE, self.module)]

    def assert_healthy(self) -> None:
        """Raise an `AssertionError` unless this runner can sample."""
        if self.env is None or self.module is None:
            raise AssertionError(f"env runner {self.worker_index} has no environment or no policies.")

    def stop(self) -> None:
        """Release the environment."""
        if self.env is not None:
            self.env.close()

    def _log_start(self) -> None:
        if self._finished_at is not None:
            self.metrics.log_value(TIME_BETWEEN_SAMPLING, time.perf_counter() - self._finished_at)
        self.metrics.log_value(WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)

    def _call(self, name: str, **kwargs: Any) -> None:
        functions = getattr(self.config, f"callbacks_{name}")
        arguments = {"env_runner": self, "metrics_logger": self.metrics, **kwargs}
        make_callback(name, callbacks_objects=self._callbacks, callbacks_functions=functions, kwargs=arguments)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Use so many torch threads inside the context: small operations lose more by waiting than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
