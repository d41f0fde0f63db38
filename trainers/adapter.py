"""`PairEnv`: our PettingZoo environment as RLlib's `MultiAgentEnv`.

RLlib's own PettingZoo wrapper orders the agents by a set and lets `__all__` disagree with itself; this one keeps the
order supporter, recipient and ends both agents together.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv

import assistmimic_env

ROLES = ("supporter", "recipient")
"""Agents, policies and modules, in this order everywhere."""


class PairEnv(MultiAgentEnv):
    """One world with two agents.

    Args:
        config: `{"id": environment id, "focus": share, **options of assistmimic_env.make}`; RLlib hands over an
            `EnvContext`, whose `worker_index` keeps the random streams of the env runners apart. With `focus` above 0
            that share of the episodes starts shortly before a recent failure, see `FailureFocus`.

    Observations are float32 arrays, rewards floats. Actions may leave [-1, 1], as a Gaussian does; they are clipped
    for the environment only. The info of an agent is empty until the episode ends and then holds `episode`.
    """

    policies = ROLES
    """Ids of the policies: each agent has one of its own."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        options = dict(config)
        self.worker_index = int(getattr(config, "worker_index", 0) or 0)
        self.focus = FailureFocus(share=float(options.pop("focus", 0.0)))
        self.env = self.make_env(options.pop("id"), options)
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
        self.focus.seed(seed)
        observations, _ = self.env.reset(seed=seed, options=self.focus.start() if options is None else options)
        return {role: observations[role] for role in ROLES}, {role: {} for role in ROLES}

    def step(
        self, action_dict: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """One control step of both agents."""
        actions = {role: np.clip(action_dict[role], -1.0, 1.0) for role in ROLES}
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        terminated = any(terminations.values())
        truncated = not terminated and any(truncations.values())
        if terminated:
            self.focus.learn(infos[ROLES[0]].get("episode"))
        return (
            {role: observations[role] for role in ROLES},
            {role: float(rewards[role]) for role in ROLES},
            dict.fromkeys((*ROLES, "__all__"), terminated),
            # RLlib 2.60 counts an episode of which every single agent truncated as terminated; `__all__` is enough.
            {**dict.fromkeys(ROLES, False), "__all__": truncated},
            {role: _episode(infos[role]) if terminated or truncated else {} for role in ROLES},
        )

    def render(self) -> np.ndarray | None:
        """The picture of the environment's own render mode."""
        return self.env.render()

    def close(self) -> None:
        """Release the environment."""
        self.env.close()


class FailureFocus:
    """Chooses where episodes start: more often shortly before the frames at which they lately failed.

    Reference-state initialisation spends most steps where tracking is easy; this spends them before the frames that
    decide how far a pair gets, and moves on when they are mastered. Half of the other episodes start at the first
    frame, since a pair that comes from there meets the hard frames in other states than the reference's (measured on
    the pull-up: without them a pair got from frame 25 to 105, but from frame 0 only to 70).

    Args:
        share: Share of the episodes that start before a failure; 0 leaves all starts to the environment.
        memory: Number of failures that are remembered of each clip. All clips that ever failed get the same share of
            these starts, so that one that cannot be mastered does not take them all.
    """

    LEAST, MOST = 8, 30
    """Control steps between such a start and the failure."""

    def __init__(self, *, share: float, memory: int = 16) -> None:
        self.share = share
        self._failures: defaultdict[int, deque[int]] = defaultdict(lambda: deque(maxlen=memory))
        self._random = np.random.default_rng()

    def seed(self, seed: int | None) -> None:
        """Start the random stream anew; without a seed it goes on."""
        if seed is not None:
            self._random = np.random.default_rng(seed)

    def learn(self, episode: Mapping[str, Any] | None) -> None:
        """Remember the end of an episode that failed."""
        if episode is not None and self.share > 0.0:
            self._failures[int(episode["clip"])].append(int(episode["start_frame"] + episode["length"]))

    def get_state(self) -> dict[int, list[int]]:
        """What is remembered: clip -> frames of failures, the oldest first."""
        return {clip: list(frames) for clip, frames in self._failures.items()}

    def set_state(self, failures: Mapping[int, Sequence[int]]) -> None:
        """Take over what `get_state` returned; of more than fits, the newest stay."""
        self._failures.clear()
        for clip, frames in failures.items():
            self._failures[clip].extend(frames)

    def start(self) -> dict[str, int] | None:
        """Reset options of the next episode; None leaves the choice to the environment."""
        if not self._failures:
            return None
        clip = list(self._failures)[self._random.integers(len(self._failures))]
        frame = self._failures[clip][self._random.integers(len(self._failures[clip]))]
        draw = self._random.random()
        if draw < self.share:
            return {"clip": clip, "frame": max(0, frame - int(self._random.integers(self.LEAST, self.MOST + 1)))}
        return {"clip": clip, "frame": 0} if draw < (1.0 + self.share) / 2.0 else None


def world_seed(seed: int | None, worker_index: int) -> int | None:
    """Mix the env runner into a seed.

    RLlib gives world i of env runner w the seed `s + w + i`, so that runner 2 would repeat the worlds of runner 1.
    """
    if seed is None:
        return None
    return int(np.random.SeedSequence([seed, worker_index]).generate_state(1)[0])


def _episode(info: Mapping[str, Any]) -> dict[str, Any]:
    return {"episode": dict(info["episode"])} if "episode" in info else {}
