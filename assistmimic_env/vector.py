"""``VectorEnv``: N worlds as one environment with dictionaries of arrays; the native view of the simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from .clip import ROLES, PairClip
from .config import CONTROL_DT, EnvConfig
from .episodes import Episodes
from .errors import ActionError, ClipError, ConfigError, did_you_mean
from .layout import Layout
from .reference import Reference
from .simulation import PairSimulation, SimulationState, Transition
from .state_bank import PhysicalState
from .worlds import Worlds

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]
Observations = dict[str, Floats]
Info = dict[str, Any]


class VectorEnv:
    """N worlds in which a supporter and a recipient track a clip, stepped at once.

    Both roles share the end of an episode. Autoreset happens within the same step: where an episode ended, the
    returned observation is the first of the next episode and ``info["final_observation"]`` holds the true last.

    ``info`` of ``step``:

    | key | content |
    |-|-|
    | `reward_terms` | name -> (N, 2), before weighting; `power` in watts |
    | `tracking_error`, `body_error` | (N, 2) mean over the 16 reset bodies, (N, 2, J) [m] |
    | `height_error` | (N,) the recipient's pelvis and head against their reference heights [m] |
    | `contact_force` | (N, 2, J, 3) force of the partner on each body [N] |
    | `physics_error` | (N,) the world diverged in this step |
    | `done` | (N,) an episode ended (only in steps with such a world, as the keys below) |
    | `final_observation` | role -> (N, D), valid where `done` |
    | `episode` | name -> (N,), valid where `done`: `return_supporter`, `return_recipient`, `length`, `fraction`, `mpjpe` [m], `success_50`, `success_25`, `task_success`, `clip`, `start_frame` |

    Args:
        clips: Motion to track; every episode plays one of them.
        num_envs: N.
        config: The task.
        threads: C threads of the physics; 0 means all CPUs. Results do not depend on it.
        name: Name for messages, usually the environment's id.
    """  # noqa: E501 - a table row cannot be wrapped

    agents = ROLES
    control_dt = CONTROL_DT
    metadata: Mapping[str, Any] = {"autoreset_mode": "same_step", "render_fps": round(1.0 / CONTROL_DT)}

    def __init__(
        self,
        clips: Sequence[PairClip],
        num_envs: int,
        *,
        config: EnvConfig | None = None,
        threads: int = 0,
        name: str = "AssistMimic",
    ) -> None:
        self.name = name
        self.config = EnvConfig() if config is None else config
        self.num_envs = num_envs
        self.threads = threads
        self.simulation = PairSimulation(clips, num_envs, self.config, threads=threads)
        observation_space, action_space = agent_spaces(self.simulation)
        self.observation_spaces = dict.fromkeys(ROLES, observation_space)
        self.action_spaces = dict.fromkeys(ROLES, action_space)
        self.state_space = joint_state_space(self.simulation)
        self._view: Any = None
        self._seeded = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and deepcopy: the same environment made again, in the same state; pictures are not copied."""
        arguments = {"config": self.config, "threads": self.threads, "name": self.name}
        return _remade, (type(self), self.reference.clips, self.num_envs, arguments, self.get_state(), self._seeded)

    @property
    def layout(self) -> Layout:
        """Name -> slice of the observation."""
        return self.simulation.layout

    @property
    def reference(self) -> Reference:
        """The clips at the control rate."""
        return self.simulation.reference

    @property
    def worlds(self) -> Worlds:
        """The physics."""
        return self.simulation.worlds

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Observations, Info]:
        """Start a new episode in every world.

        Args:
            seed: World i draws from the stream of ``seed + i``; without it the streams go on (or start at
                random the first time).
            options: ``clip`` (name, index, or an index per world) and ``frame`` (or one per world) fix what is
                drawn otherwise; ``state`` as in ``reset_worlds``. Other keys are ignored, as PettingZoo's conformance
                test expects.

        Returns:
            Observations, role -> (N, D), and an info dictionary.
        """
        seed_streams(self.simulation, seed, first=not self._seeded)
        self._seeded = True
        clip, frame, state = start_options(self.simulation, options)
        observation = self.simulation.reset(np.arange(self.num_envs), clip=clip, frame=frame, state=state)
        return by_role(observation), {"clip": self.simulation.clip.copy(), "frame": self.simulation.frame.copy()}

    def reset_worlds(
        self,
        ids: Ids | Sequence[int],
        *,
        clip: Ids | None = None,
        frame: Ids | None = None,
        state: PhysicalState | None = None,
    ) -> Observations:
        """Start a new episode in some worlds only.

        Args:
            ids: Worlds, shape (n,).
            clip: Index of the clip of each, shape (n,); drawn by default.
            frame: First frame of each, shape (n,), clamped so that one step remains; by default as configured.
            state: Simulated states to start in at these frames (``simulation.physical_state``); by default the
                reference.

        Returns:
            The current observations of all worlds, role -> (N, D).

        Raises:
            ConfigError: A world that does not exist, or a state that does not fit.
        """
        self.simulation.reset(self._ids(ids), clip=clip, frame=frame, state=state)
        return by_role(self.simulation.observation)

    def step(
        self, actions: Mapping[str, NDArray[np.floating]]
    ) -> tuple[Observations, Observations, Bools, Bools, Info]:
        """Advance every world by one control step.

        Args:
            actions: Role -> (N, A), clipped to [-1, 1].

        Returns:
            Observations (role -> (N, D)), rewards (role -> (N,)), terminated (N,), truncated (N,), info.

        Raises:
            ActionError: An agent is missing or unknown, or an action has a wrong shape, type or value.
        """
        transition = self.simulation.step(
            stack_actions(actions, (self.num_envs, self.action_spaces[ROLES[0]].shape[0]))
        )
        return (
            by_role(transition.observation),
            by_role(transition.reward),
            transition.terminated,
            transition.truncated,
            self._info(transition),
        )

    def _info(self, transition: Transition) -> Info:
        tracking = transition.tracking
        info: Info = {
            "reward_terms": transition.terms,
            "tracking_error": tracking.tracking_error,
            "body_error": tracking.body_error,
            "height_error": tracking.height_error,
            "contact_force": transition.contact_force,
            "physics_error": transition.physics_error,
        }
        ended = transition.episodes.world
        if ended.size:
            info["done"] = transition.terminated | transition.truncated
            final = np.zeros_like(transition.observation)
            final[ended] = transition.final_observation
            info["final_observation"] = by_role(final)
            info["episode"] = {
                name: self._spread(ended, values) for name, values in episode_summary(transition.episodes).items()
            }
        return info

    def _spread(self, ended: Ids, values: NDArray[np.generic]) -> NDArray[np.generic]:
        out = np.zeros(self.num_envs, dtype=values.dtype)
        out[ended] = values
        return out

    def state(self) -> Floats:
        """Joint state of both people for centralised critics, shape (N, S); see ``joint_state``."""
        return joint_state(self.simulation)

    def get_state(self, ids: Ids | Sequence[int] | None = None) -> SimulationState:
        """Copy all that decides how some worlds (by default all) go on."""
        return self.simulation.get_state(self._ids(ids))

    def set_state(self, state: SimulationState, ids: Ids | Sequence[int] | None = None) -> Observations:
        """Continue some worlds (by default all) bit for bit from a saved state.

        Returns:
            The current observations of all worlds, role -> (N, D).
        """
        self.simulation.set_state(state, self._ids(ids))
        return by_role(self.simulation.observation)

    def _ids(self, ids: Ids | Sequence[int] | None) -> Ids:
        chosen = np.arange(self.num_envs) if ids is None else np.asarray(ids, dtype=np.intp)
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < self.num_envs):
            raise ConfigError(
                f"worlds {chosen.min()} to {chosen.max()} were asked for, there are 0 to {self.num_envs - 1}."
            )
        return chosen

    def render(self, world: int = 0) -> NDArray[np.uint8]:
        """Picture of one world with the reference as a translucent ghost, shape (H, W, 3)."""
        from .viewing import WorldCamera

        if self._view is None:
            self._view = WorldCamera(self.simulation)
        return self._view.frame(int(self._ids([world])[0]))

    def close(self) -> None:
        """Free the renderer; the environment stays usable."""
        if self._view is not None:
            self._view.close()
            self._view = None


def _remade(
    kind: type[VectorEnv],
    clips: Sequence[PairClip],
    num_envs: int,
    arguments: dict[str, Any],
    state: SimulationState,
    seeded: bool,
) -> VectorEnv:
    env = kind(clips, num_envs, **arguments)
    env.set_state(state)
    env._seeded = seeded
    return env


# --- Shared by all views ------------------------------------------------------------------------------------


def agent_spaces(simulation: PairSimulation) -> tuple[spaces.Box, spaces.Box]:
    """Observation and action space of one agent in one world; equal for both roles."""
    bounds, size = simulation.layout.bounds, simulation.body.num_dofs
    return spaces.Box(-bounds, bounds, dtype=np.float32), spaces.Box(-1.0, 1.0, (size,), dtype=np.float32)


_STATE_GROUPS = ("self", "goal")


def joint_state_space(simulation: PairSimulation) -> spaces.Box:
    """Space of ``joint_state`` in one world."""
    bounds, layout = simulation.layout.bounds, simulation.layout
    own = np.concatenate([bounds[layout[name]] for name in (*_STATE_GROUPS, "contact_force")])
    shared = np.concatenate([bounds[layout["partner_position"]], np.array([1.0], dtype=np.float32)])
    bounds = np.concatenate([own, own, shared])
    return spaces.Box(-bounds, bounds, dtype=np.float32)


def joint_state(simulation: PairSimulation) -> Floats:
    """What a centralised critic sees now, shape (N, S); see ``joint_state_of``."""
    supporter, recipient = simulation.observation[:, 0], simulation.observation[:, 1]
    return joint_state_of(simulation.layout, supporter, recipient, clip_phase(simulation))


def joint_state_of(layout: Layout, supporter: Floats, recipient: Floats, phase: Floats) -> Floats:
    """Joint state of both people, shape (..., S).

    Both agents' ``self``, ``goal`` and ``contact_force`` blocks (supporter first), the recipient's bodies in the
    supporter's frame, and the phase of the clip.

    Args:
        layout: Name -> slice of an observation.
        supporter: The supporter's observation, shape (..., D).
        recipient: The recipient's observation, shape (..., D).
        phase: How much of the clip is over, in [0, 1], shape (...).
    """
    own = [person[..., layout[name]] for person in (supporter, recipient) for name in (*_STATE_GROUPS, "contact_force")]
    shared = [supporter[..., layout["partner_position"]], phase[..., None].astype(np.float32)]
    return np.concatenate([*own, *shared], axis=-1)


def clip_phase(simulation: PairSimulation) -> Floats:
    """How much of its clip is over in each world, in [0, 1], shape (N,)."""
    return (simulation.frame / (simulation.reference.length[simulation.clip] - 1)).astype(np.float32)


def by_role(array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """(N, 2, ...) -> role -> (N, ...)."""
    return {role: np.ascontiguousarray(array[:, index]) for index, role in enumerate(ROLES)}


def episode_summary(episodes: Episodes) -> dict[str, NDArray[np.generic]]:
    """The numbers reported at the end of an episode, name -> (E,)."""
    returns = {f"return_{role}": episodes.returns[:, index] for index, role in enumerate(ROLES)}
    names = ("length", "fraction", "mpjpe", "success_50", "success_25", "task_success", "clip", "start_frame")
    return {**returns, **{name: getattr(episodes, name) for name in names}}


def seed_streams(simulation: PairSimulation, seed: int | None, *, first: bool) -> None:
    """World i gets the stream of ``seed + i``; without a seed streams go on, or start at random."""
    if seed is None and not first:
        return
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(2))
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError(f"seed is {seed!r}, expected a non-negative integer.")
    offsets = np.arange(simulation.num_worlds, dtype=np.uint64)
    simulation.seed(np.uint64(int(seed) % 2**64) + offsets)


def start_options(
    simulation: PairSimulation, options: Mapping[str, Any] | None
) -> tuple[Ids | None, Ids | None, PhysicalState | None]:
    """Clip and frame per world and the state from reset options; ``None`` where they are to be drawn."""
    options = {} if options is None else options
    clip, frame = options.get("clip"), options.get("frame")
    names = [c.name for c in simulation.reference.clips]
    if isinstance(clip, str):
        if clip not in names:
            raise ClipError(
                f"this environment has no clip '{clip}'.{did_you_mean(clip, names)} Clips: {', '.join(names)}."
            )
        clip = names.index(clip)
    state = options.get("state")
    if state is not None and not isinstance(state, PhysicalState):
        raise ConfigError(
            f"reset option state is a {type(state).__name__}, expected a PhysicalState of `physical_state`."
        )
    return _per_world(simulation, "clip", clip, len(names)), _per_world(simulation, "frame", frame, None), state


def _per_world(simulation: PairSimulation, name: str, value: Any, count: int | None) -> Ids | None:
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.ndim > 1 or (array.ndim == 1 and len(array) != simulation.num_worlds):
        raise ConfigError(f"reset option {name} is {value!r}, expected an integer or {simulation.num_worlds} of them.")
    if (array < 0).any() or (count is not None and (array >= count).any()):
        upper = "" if count is None else f" to {count - 1}"
        raise ConfigError(f"reset option {name} is {value!r}, expected 0{upper or ' or more'}.")
    return np.broadcast_to(array.astype(np.intp), simulation.num_worlds)


def stack_actions(actions: Mapping[str, Any], shape: tuple[int, ...]) -> NDArray[np.floating]:
    """Check the two agents' actions and stack them, role -> ``shape`` to (N, 2, A).

    Raises:
        ActionError: Naming the agent, what was found and what is expected.
    """
    if not isinstance(actions, Mapping):
        raise ActionError(f"actions are a {type(actions).__name__}, expected a dictionary {{role: array}}.")
    for agent in actions:
        if agent not in ROLES:
            raise ActionError(
                f"there is no agent '{agent}'.{did_you_mean(str(agent), ROLES)} Agents: {', '.join(ROLES)}."
            )
    out = np.empty((*shape[:-1], 2, shape[-1]))
    for index, role in enumerate(ROLES):
        if role not in actions:
            raise ActionError(f"the action of '{role}' is missing; both agents act in every step.")
        out[..., index, :] = _checked_action(role, actions[role], shape)
    if not np.isfinite(out).all():
        broken = [role for index, role in enumerate(ROLES) if not np.isfinite(out[..., index, :]).all()]
        raise ActionError(f"the action of '{broken[0]}' holds NaN or infinity; expected finite numbers in [-1, 1].")
    return out


def _checked_action(role: str, action: Any, shape: tuple[int, ...]) -> NDArray[np.floating]:
    try:
        array = np.asarray(action)
    except ValueError as error:
        raise ActionError(f"the action of '{role}' is no array of shape {shape}: {error}") from error
    if array.dtype.kind not in "fiu":
        raise ActionError(f"the action of '{role}' has the type {array.dtype}, expected floating point numbers.")
    if array.shape != shape:
        raise ActionError(f"the action of '{role}' has shape {array.shape}, expected {shape}.")
    return array
