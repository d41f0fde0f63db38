"""``PairEnv``: one world as a PettingZoo ``ParallelEnv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from .clip import ROLES, PairClip
from .config import CONTROL_DT, EnvConfig, require
from .errors import ConfigError, did_you_mean
from .layout import Layout
from .reference import Reference
from .simulation import PairSimulation, SimulationState, Transition
from .vector import (
    agent_spaces,
    episode_summary,
    joint_state,
    joint_state_space,
    seed_streams,
    stack_actions,
    start_options,
)

if TYPE_CHECKING:
    from .viewing import View

Observation = NDArray[np.float32]
RENDER_MODES = ("rgb_array", "human")


class PairEnv(ParallelEnv[str, Observation, NDArray[np.floating]]):
    """A supporter and a recipient in one world.

    ``info[agent]`` of a step holds ``reward_terms`` (name -> number, before weighting), ``tracking_error`` [m],
    ``physics_error``, and at the end of an episode ``episode`` (see ``VectorEnv``; with the agent's return and the
    length also as ``r`` and ``l``, the names of Gymnasium's statistics, which Stable-Baselines3 reads). That of
    ``reset`` is empty, because TorchRL takes a key in it for a number that every step reports; ``simulation`` knows
    ``clip`` and ``frame``.

    Args:
        clips: Motion to track; every episode plays one of them.
        config: The task.
        render_mode: ``None``, ``"rgb_array"`` (``render`` returns a picture) or ``"human"`` (a window).
        max_cycles: Truncate episodes after this many steps; ``None``: only at the end of the clip.
        name: Name for messages, usually the environment's id.
    """

    metadata = {  # noqa: RUF012 - PettingZoo declares an instance variable
        "name": "assistmimic_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": round(1.0 / CONTROL_DT),
        "is_parallelizable": True,
    }

    def __init__(
        self,
        clips: Sequence[PairClip],
        *,
        config: EnvConfig | None = None,
        render_mode: str | None = None,
        max_cycles: int | None = None,
        name: str = "AssistMimic",
    ) -> None:
        if render_mode is not None and render_mode not in RENDER_MODES:
            hint = did_you_mean(str(render_mode), RENDER_MODES)
            raise ConfigError(f"render_mode is {render_mode!r}.{hint} Modes: None, {', '.join(RENDER_MODES)}.")
        require(max_cycles is None or max_cycles >= 1, "max_cycles", max_cycles, "None or at least 1")
        self.name = name
        self.config = EnvConfig() if config is None else config
        self.render_mode = render_mode
        self.simulation = PairSimulation(clips, 1, self.config, threads=1, auto_reset=False)
        self.max_cycles = max_cycles
        self.possible_agents = list(ROLES)
        self.agents: list[str] = []
        observation_space, action_space = agent_spaces(self.simulation)
        self._observation_spaces = {role: _copy(observation_space) for role in ROLES}
        self._action_spaces = {role: _copy(action_space) for role in ROLES}
        self.state_space = joint_state_space(self.simulation)
        self._view: View | None = None
        self._seeded = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and deepcopy: the same environment made again, in the same state; windows stay behind."""
        arguments = {
            "clips": self.reference.clips,
            "config": self.config,
            "render_mode": self.render_mode,
            "max_cycles": self.max_cycles,
            "name": self.name,
        }
        kept = ("agents", "_seeded", "_observation_spaces", "_action_spaces")
        return _remade, (type(self), arguments, self.get_state(), {name: getattr(self, name) for name in kept})

    @property
    def max_cycles(self) -> int | None:
        """Truncate episodes after this many steps; ``None``: only at the end of the clip."""
        return self.simulation.max_steps

    @max_cycles.setter
    def max_cycles(self, value: int | None) -> None:
        self.simulation.max_steps = value

    def observation_space(self, agent: str) -> spaces.Box:
        """Space of one agent's observation: finite bounds per block, see ``layout``."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """Space of one agent's action: [-1, 1] per degree of freedom."""
        return self._action_spaces[agent]

    @property
    def layout(self) -> Layout:
        """Name -> slice of the observation."""
        return self.simulation.layout

    @property
    def reference(self) -> Reference:
        """The clips at the control rate."""
        return self.simulation.reference

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Start an episode.

        Args:
            seed: Restart the random stream; without it the stream goes on.
            options: ``clip`` (name or index) and ``frame`` fix what is drawn otherwise, ``state`` (a
                ``PhysicalState``) is where to start instead of on the reference; other keys are ignored.

        Returns:
            Observations and (empty) infos by agent.
        """
        seed_streams(self.simulation, seed, first=not self._seeded)
        self._seeded = True
        clip, frame, state = start_options(self.simulation, options)
        observation = self.simulation.reset(np.arange(1), clip=clip, frame=frame, state=state)
        self.agents = list(ROLES)
        if self.render_mode == "human":
            self.render()
        return self._by_agent(observation[0]), {role: {} for role in ROLES}

    def step(
        self, actions: Mapping[str, NDArray[np.floating]]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Advance by one control step; both agents end together.

        Raises:
            ActionError: An agent is missing or unknown, or an action has a wrong shape, type or value.
        """
        if not self.agents:
            if actions:
                raise ConfigError("the episode has ended (or not begun): call reset() before step().")
            return {}, {}, {}, {}, {}
        action = stack_actions(actions, (self.simulation.body.num_dofs,))
        transition = self.simulation.step(action[None])
        terminated = bool(transition.terminated[0])
        truncated = bool(transition.truncated[0])
        infos = self._infos(transition)
        if terminated or truncated:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return (
            self._by_agent(transition.observation[0]),
            {role: float(transition.reward[0, index]) for index, role in enumerate(ROLES)},
            dict.fromkeys(ROLES, terminated),
            dict.fromkeys(ROLES, truncated),
            infos,
        )

    def _infos(self, transition: Transition) -> dict[str, dict[str, Any]]:
        ended = episode_summary(transition.episodes).items() if transition.episodes.world.size else ()
        summary = {name: values[0].item() for name, values in ended}
        infos = {}
        for index, role in enumerate(ROLES):
            info: dict[str, Any] = {
                "reward_terms": {name: float(term[0, index]) for name, term in transition.terms.items()},
                "tracking_error": float(transition.tracking.tracking_error[0, index]),
                "physics_error": bool(transition.physics_error[0]),
            }
            if summary:
                info["episode"] = {**summary, "r": summary[f"return_{role}"], "l": summary["length"]}
            infos[role] = info
        return infos

    def _by_agent(self, observation: Observation) -> dict[str, Observation]:
        return {role: observation[index].copy() for index, role in enumerate(ROLES)}

    def state(self) -> Observation:
        """Joint state of both people for centralised critics, shape (S,); see ``vector.joint_state``."""
        return joint_state(self.simulation)[0]

    def get_state(self) -> SimulationState:
        """Copy all that decides how this world goes on."""
        return self.simulation.get_state(np.arange(1))

    def set_state(self, state: SimulationState) -> dict[str, Observation]:
        """Continue bit for bit from a saved state, also one of a ``VectorEnv``'s world.

        Returns:
            The current observations by agent.
        """
        self.simulation.set_state(state, np.arange(1))
        self.agents = list(ROLES)
        return self._by_agent(self.simulation.observation[0])

    def render(self) -> NDArray[np.uint8] | None:
        """A picture (``rgb_array``), or ``None`` after drawing into a window (``human``).

        Raises:
            ConfigError: The environment was made without a render mode.
        """
        from .viewing import WorldCamera, WorldWindow

        if self.render_mode is None:
            raise ConfigError("render() needs a render mode: make(..., render_mode='rgb_array') or 'human'.")
        if self._view is None:
            self._view = (WorldCamera if self.render_mode == "rgb_array" else WorldWindow)(self.simulation)
        return self._view.frame(0)

    def close(self) -> None:
        """Free the renderer or close the window."""
        if self._view is not None:
            self._view.close()
            self._view = None


def _remade(kind: type[PairEnv], arguments: dict[str, Any], state: SimulationState, kept: dict[str, Any]) -> PairEnv:
    env = kind(**arguments)
    env.set_state(state)
    env.__dict__.update(kept)
    return env


def _copy(space: spaces.Box) -> spaces.Box:
    """An equal space with a random stream of its own."""
    return spaces.Box(space.low, space.high, dtype=np.float32)
