"""Single people for a single-person tracker: pair worlds without touch, each seen as two of them.

A world in which the two pass through each other (`solo=True`) is two independent people in the physics of the pair, so
that a tracker learns on the very bodies, servos and furniture it will act with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

import assistmimic_env
from assistmimic_env.policy import policy_interface
from assistmimic_env.simulation import PairSimulation, Transition
from assistmimic_env.vector import VectorEnv, episode_summary

TRACKER = "tracker"
"""The one agent, and the one policy: both roles of all worlds share it."""

Floats = NDArray[np.float32]
Ids = NDArray[np.intp]


class SoloVectorEnv:
    """N pair worlds as 2 N single people under one policy; person 2 w + r plays role r of world w.

    A person observes the first two groups of the layout (`self`, `goal`: PHC's observation). A failure ends the
    episode of both people of a world; for the one who did not fail it is cut (truncated), not failed.

    Args:
        vec: Worlds made with `solo=True`.
    """

    agents = (TRACKER,)

    def __init__(self, vec: VectorEnv) -> None:
        self.vec = vec
        self.num_envs = 2 * vec.num_envs
        self._size = single_person_size(vec.simulation)
        role = vec.agents[0]  # the spaces of both are equal
        whole = vec.observation_spaces[role]
        single = spaces.Box(whole.low[: self._size], whole.high[: self._size], dtype=np.float32)
        self.observation_spaces = {TRACKER: single}
        self.action_spaces = {TRACKER: vec.action_spaces[role]}

    @property
    def simulation(self) -> PairSimulation:
        """The worlds."""
        return self.vec.simulation

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, Floats], dict[str, Any]]:
        """Start everywhere; as `VectorEnv.reset`."""
        self.vec.reset(seed=seed)
        return self._observed(self.simulation.observation), {}

    def reset_worlds(self, ids: Ids, *, clip: Ids, frame: Ids, state: None = None) -> dict[str, Floats]:
        """Start the worlds of some people again, where the first of the two wants to; all observations."""
        worlds, first = np.unique(ids // 2, return_index=True)
        self.simulation.reset(worlds, clip=clip[first], frame=frame[first])
        return self._observed(self.simulation.observation)

    def step(self, actions: Mapping[str, Floats]) -> tuple[Any, ...]:
        """One control step; everything as in `VectorEnv.step`, per person."""
        transition = self.simulation.step(actions[TRACKER].reshape(self.vec.num_envs, 2, -1))
        done = np.repeat(transition.terminated | transition.truncated, 2)
        limit = self.simulation.config.termination_distance
        failed = (transition.tracking.tracking_error > limit) | transition.physics_error[:, None]
        terminated = failed.reshape(-1) & done
        observation, reward = self._observed(transition.observation), {TRACKER: transition.reward.reshape(-1)}
        return observation, reward, terminated, done & ~terminated, self._info(transition, done)

    def close(self) -> None:
        """Free what the worlds hold."""
        self.vec.close()

    def _observed(self, observation: Floats) -> dict[str, Floats]:
        """(N, 2, D) -> (2 N, single-person size)."""
        return {TRACKER: np.ascontiguousarray(observation[..., : self._size]).reshape(self.num_envs, -1)}

    def _info(self, transition: Transition, done: NDArray[np.bool_]) -> dict[str, Any]:
        worlds = transition.episodes.world
        if not worlds.size:
            return {}
        final = transition.observation.copy()
        final[worlds] = transition.final_observation
        summary = episode_summary(transition.episodes)
        returns = np.stack([summary.pop("return_supporter"), summary.pop("return_recipient")], axis=1)
        episode = {name: self._spread(worlds, np.stack([values, values], axis=1)) for name, values in summary.items()}
        episode[f"return_{TRACKER}"] = self._spread(worlds, returns)
        return {"done": done, "final_observation": self._observed(final), "episode": episode}

    def _spread(self, worlds: Ids, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """(E, 2) of the worlds that ended -> (2 N,)."""
        out = np.zeros((self.vec.num_envs, 2), dtype=values.dtype)
        out[worlds] = values
        return out.reshape(-1)


class SoloEnv:
    """What `assistmimic_ppo` needs of an environment class to train a single-person tracker, batched only."""

    policies = (TRACKER,)

    @staticmethod
    def make_vec(env_id: str, options: dict[str, Any], *, num_envs: int, threads: int) -> SoloVectorEnv:
        """So many people; an odd one gets a partner."""
        vec = assistmimic_env.make_vec(env_id, num_envs=-(-num_envs // 2), threads=threads, solo=True, **options)
        return SoloVectorEnv(vec)


def single_person_size(simulation: PairSimulation) -> int:
    """How many leading numbers of an observation are about the own body and its reference."""
    return simulation.layout["partner"].start


def tracker_interface(simulation: PairSimulation) -> dict[str, Any]:
    """What the card of a single-person tracker says about its environment."""
    layout = simulation.layout
    blocks = {name: layout[name] for name in layout.sizes if layout[name].stop <= single_person_size(simulation)}
    config = simulation.config
    return policy_interface(layout=blocks, body=simulation.body, actuation=config.actuation, frames=config.frames)
