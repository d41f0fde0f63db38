"""`PairEnv`: our PettingZoo environment as RLlib's `MultiAgentEnv`.

RLlib's own PettingZoo wrapper orders the agents by a set and lets `__all__` disagree with itself; this one keeps the
order supporter, recipient and ends both agents together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv

import assistmimic_env

from .callbacks import DIFFICULTY
from .schedule import EpisodeSchedule, taken_options

ROLES = ("supporter", "recipient")
"""Agents, policies and modules, in this order everywhere."""

_WORLD = np.zeros(1, dtype=np.intp)
"""The one world."""


class PairEnv(MultiAgentEnv):
    """One world with two agents.

    Args:
        config: `{"id": environment id, **options of assistmimic_env.make}` and the keys of `schedule.DEFAULTS`, which
            say where episodes start and how impaired people are; RLlib hands over an `EnvContext`, whose
            `worker_index` keeps the random streams of the env runners apart.

    Observations are float32 arrays, rewards floats. Actions may leave [-1, 1], as a Gaussian does; they are clipped
    for the environment only. The info of an agent is empty until the episode ends and then holds `episode`.
    """

    policies = ROLES
    """Ids of the policies: each agent has one of its own."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        options = dict(config)
        self.worker_index = int(getattr(config, "worker_index", 0) or 0)
        scheduled = taken_options(options)
        self.env = self.make_env(options.pop("id"), options)
        self.schedule = EpisodeSchedule(self.env, scheduled, worlds=1)
        self.agents = self.possible_agents = list(ROLES)
        self.observation_spaces: dict[str, gymnasium.Space] = {role: self.env.observation_space(role) for role in ROLES}
        self.action_spaces: dict[str, gymnasium.Space] = {role: self.env.action_space(role) for role in ROLES}
        super().__init__()

    @staticmethod
    def make_env(env_id: str, options: dict[str, Any]) -> Any:
        """The PettingZoo parallel environment to wrap."""
        return assistmimic_env.make(env_id, **options)

    @staticmethod
    def make_vec(env_id: str, options: dict[str, Any], *, num_envs: int, threads: int) -> Any:
        """The native vector environment that the batched env runner steps instead."""
        return assistmimic_env.make_vec(env_id, num_envs=num_envs, threads=threads, **options)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode; the seed RLlib gives counts worlds inside one env runner."""
        seed = world_seed(seed, self.worker_index)
        self.schedule.seed(seed)
        self.schedule.begin(_WORLD)
        observations, _ = self.env.reset(seed=seed, options=self._start() if options is None else options)
        return {role: observations[role] for role in ROLES}, {role: {} for role in ROLES}

    def _start(self) -> dict[str, Any] | None:
        """Reset options of the next episode; `None` leaves it to the environment."""
        starts = self.schedule.choose(_WORLD)
        return starts and {"clip": int(starts.clip[0]), "frame": int(starts.frame[0]), "state": starts.state}

    def step(
        self, action_dict: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """One control step of both agents."""
        actions = {role: np.clip(action_dict[role], -1.0, 1.0) for role in ROLES}
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        terminated = any(terminations.values())
        truncated = not terminated and any(truncations.values())
        if terminated or truncated:
            self._learn(infos, terminated)
        else:
            self.schedule.record()
        return (
            {role: observations[role] for role in ROLES},
            {role: float(rewards[role]) for role in ROLES},
            dict.fromkeys((*ROLES, "__all__"), terminated),
            # RLlib 2.60 counts an episode of which every single agent truncated as terminated; `__all__` is enough.
            {**dict.fromkeys(ROLES, False), "__all__": truncated},
            {role: self._episode(infos[role]) if terminated or truncated else {} for role in ROLES},
        )

    def _learn(self, infos: Mapping[str, Any], failed: bool) -> None:
        episode = infos[ROLES[0]].get("episode", {})
        summary = {name: np.array([value]) for name, value in episode.items()}
        self.schedule.learn(_WORLD, summary, np.array([failed]))

    def _episode(self, info: Mapping[str, Any]) -> dict[str, Any]:
        return {"episode": {**info["episode"], DIFFICULTY: self.schedule.difficulty}} if "episode" in info else {}

    def render(self) -> np.ndarray | None:
        """The picture of the environment's own render mode."""
        return self.env.render()

    def close(self) -> None:
        """Release the environment."""
        self.env.close()


def world_seed(seed: int | None, worker_index: int) -> int | None:
    """Mix the env runner into a seed.

    RLlib gives world i of env runner w the seed `s + w + i`, so that runner 2 would repeat the worlds of runner 1.
    """
    if seed is None:
        return None
    return int(np.random.SeedSequence([seed, worker_index]).generate_state(1)[0])
