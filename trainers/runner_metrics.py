"""What a batched env runner reports: RLlib's keys, logged once per sample instead of once per step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.utils.metrics import (
    ENV_STEP_TIMER,
    EPISODE_AGENT_RETURN_MEAN,
    EPISODE_LEN_MAX,
    EPISODE_LEN_MEAN,
    EPISODE_LEN_MIN,
    EPISODE_MODULE_RETURN_MEAN,
    EPISODE_RETURN_MAX,
    EPISODE_RETURN_MEAN,
    EPISODE_RETURN_MIN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    NUM_MODULE_STEPS_SAMPLED_LIFETIME,
    RLMODULE_INFERENCE_TIMER,
)

from .callbacks import DIFFICULTY, TASK, WINDOW

Summary = Mapping[str, float]
"""The numbers of one episode that ended: `return_<role>`, `length` and whatever else the environment reports."""


@dataclass(kw_only=True)
class SampleLog:
    """What happened during one sample."""

    steps: int = 0
    """Control steps of all worlds."""
    vector_steps: int = 0
    """Steps of the vector environment."""
    env_seconds: float = 0.0
    """Time in the environment [s]."""
    policy_seconds: float = 0.0
    """Time in the policies [s]."""
    difficulty: float = 1.0
    """Level of the impairment at the end of the sample; 1: as configured."""
    episodes: list[Summary] = field(default_factory=list)
    """Episodes that ended."""

    def add_step(self, worlds: int, *, policy: float, env: float) -> None:
        """Count one step of all worlds and the time it took in the policies and in the environment [s]."""
        self.steps += worlds
        self.vector_steps += 1
        self.policy_seconds += policy
        self.env_seconds += env

    def add_episodes(self, worlds: NDArray[np.intp], summary: Mapping[str, NDArray[Any]]) -> None:
        """Keep the summaries of the worlds whose episode ended; the arrays are (N,)."""
        rows = zip(*(values[worlds].tolist() for values in summary.values()), strict=True)
        self.episodes.extend(dict(zip(summary, map(float, row), strict=True)) for row in rows)

    def write(self, metrics: Any, roles: Sequence[str], *, smoothing: int) -> None:
        """Hand everything to RLlib's metrics logger.

        Args:
            metrics: The env runner's `MetricsLogger`.
            roles: Agents; each has the policy of its name.
            smoothing: Number of episodes that this runner's episode means cover.
        """
        self._write_steps(metrics, roles)
        metrics.log_value(ENV_STEP_TIMER, self.env_seconds / max(self.vector_steps, 1))
        metrics.log_value(RLMODULE_INFERENCE_TIMER, self.policy_seconds / max(self.vector_steps, 1))
        metrics.log_value((TASK, DIFFICULTY), self.difficulty, window=1)
        for episode in self.episodes[-smoothing:]:  # means over a window: earlier episodes would fall out of it again
            _write_returns(metrics, roles, episode, smoothing)
        for episode in self.episodes[-WINDOW:]:
            for name, value in episode.items():
                metrics.log_value((TASK, name), value, window=WINDOW)

    def _write_steps(self, metrics: Any, roles: Sequence[str]) -> None:
        counts: dict[Any, int] = {NUM_ENV_STEPS_SAMPLED: self.steps, NUM_EPISODES: len(self.episodes)}
        lifetime: dict[Any, int] = {NUM_EPISODES_LIFETIME: len(self.episodes)}
        for role in roles:
            counts |= {(NUM_AGENT_STEPS_SAMPLED, role): self.steps, (NUM_MODULE_STEPS_SAMPLED, role): self.steps}
            lifetime[NUM_AGENT_STEPS_SAMPLED_LIFETIME, role] = self.steps
            lifetime[NUM_MODULE_STEPS_SAMPLED_LIFETIME, role] = self.steps
        for key, value in counts.items():
            metrics.log_value(key, value, reduce="sum")
        for key, value in lifetime.items():
            metrics.log_value(key, value, reduce="lifetime_sum")
        metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, self.steps, reduce="lifetime_sum", with_throughput=True)


def smoothing_window(episodes: int, env_runners: int) -> int:
    """Episodes per env runner, so that all together cover the number the configuration asks for."""
    return max(1, math.ceil(episodes / max(env_runners, 1)))


def _write_returns(metrics: Any, roles: Sequence[str], episode: Summary, window: int) -> None:
    returns = {role: episode[f"return_{role}"] for role in roles}
    total, length = sum(returns.values()), episode["length"]
    means: dict[Any, float] = {EPISODE_LEN_MEAN: length, EPISODE_RETURN_MEAN: total}
    for role, value in returns.items():
        means |= {(EPISODE_AGENT_RETURN_MEAN, role): value, (EPISODE_MODULE_RETURN_MEAN, role): value}
    for key, value in means.items():
        metrics.log_value(key, value, window=window)
    for key, value in {EPISODE_LEN_MIN: length, EPISODE_RETURN_MIN: total}.items():
        metrics.log_value(key, value, reduce="min", window=window)
    for key, value in {EPISODE_LEN_MAX: length, EPISODE_RETURN_MAX: total}.items():
        metrics.log_value(key, value, reduce="max", window=window)
