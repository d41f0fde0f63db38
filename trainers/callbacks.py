"""What an episode was like, as RLlib metrics."""

from __future__ import annotations

from typing import Any

from ray.rllib.callbacks.callbacks import RLlibCallback

TASK = "task"
"""Metrics of the environment stand under `env_runners/task/<name>`."""

DIFFICULTY = "difficulty"
"""Name of the metric that says how impaired people are, 1: as configured (`schedule`)."""

WINDOW = 200
"""Number of episodes that the reported means cover."""


class EpisodeMetrics(RLlibCallback):
    """Log the numbers of the `episode` info: fraction survived, MPJPE, successes, length."""

    def on_episode_end(self, *, episode: Any, metrics_logger: Any, **kwargs: Any) -> None:
        """Called by an env runner when both agents ended."""
        for agent in episode.agent_episodes.values():
            summary = agent.get_infos(-1).get("episode")
            if summary is not None:
                metrics_logger.log_dict(_numbers(summary), key=TASK, window=WINDOW)
                return


def _numbers(summary: dict[str, Any]) -> dict[str, float]:
    """All but Gymnasium's short names, which repeat one agent's return and the length."""
    return {name: float(value) for name, value in summary.items() if name not in ("r", "l")}
