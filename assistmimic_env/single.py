"""``SingleAgentEnv``: one role as a Gymnasium environment; the partner is a part of the world."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .actuation import leading_target
from .clip import ROLES
from .errors import ConfigError, did_you_mean
from .layout import Layout
from .parallel import RENDER_MODES, Observation, PairEnv
from .policy import Actor, Policy, policy_interface
from .simulation import PairSimulation

Action = NDArray[np.floating]
Partner = str | os.PathLike[str] | Actor
"""``"hold"``, ``"replay"``, the path of an exported policy, or anything with ``act(observation) -> action``."""

PARTNERS = ("hold", "replay")


class SingleAgentEnv(gymnasium.Env[Observation, Action]):
    """A supporter or a recipient to be controlled, beside a partner who acts by itself.

    Observation, action, reward and the end of an episode are those of the controlled role in ``PairEnv``: the
    episode also fails when the partner does. So is the info, but for the name of ``episode``: it is ``outcome`` here,
    since Gymnasium's ``RecordEpisodeStatistics`` insists on ``episode`` for itself.

    Args:
        pair: The world; this view takes it over.
        role: Who is controlled, ``"supporter"`` or ``"recipient"``.
        partner: What the other person does.
            ``"hold"``: its servos keep asking for the pose of the reference at which the episode began.
            ``"replay"``: they are asked for the reference's next pose, ahead by the servos' lag (feed-forward; nothing
            balances the body, so that it drifts away in long clips).
            A policy, that is anything with ``act(observation) -> action``, sees the partner's observation. If it has a
            ``reset()``, that is called whenever the environment is reset with a seed.
            A path: an exported policy, or the folder of an exported pair.

    Raises:
        ConfigError: No such role or partner.
        PolicyError: The partner's policy cannot be read, or does not fit this environment.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares an instance attribute
        "render_modes": list(RENDER_MODES),
        "render_fps": PairEnv.metadata["render_fps"],
    }

    def __init__(self, pair: PairEnv, *, role: str = "recipient", partner: Partner = "replay") -> None:
        if role not in ROLES:
            raise ConfigError(f"role is {role!r}.{did_you_mean(str(role), ROLES)} Roles: {', '.join(ROLES)}.")
        self.pair = pair
        self.role = role
        self.partner_role = ROLES[1 - ROLES.index(role)]
        self.render_mode = pair.render_mode
        self.observation_space = pair.observation_space(role)
        self.action_space = pair.action_space(role)
        self.partner = _resolve(partner, pair, self.partner_role)
        self._bind_partner()

    def _bind_partner(self) -> None:
        """Functions that give the partner's next action, and that start its random stream again."""
        simulation, role, partner = self.pair.simulation, ROLES.index(self.partner_role), self.partner
        self._partner_action: Callable[[], Action]
        self._restart_partner: Callable[[], object] = getattr(partner, "reset", _nothing)
        if isinstance(partner, str):
            self._partner_action = _scripted(simulation, role, ahead=partner == "replay")
        else:
            self._partner_action = lambda: partner.act(simulation.observation[0, role].copy())

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles go on where this environment is; the functions are bound to the new world."""
        bound = ("_partner_action", "_restart_partner")
        return {name: value for name, value in self.__dict__.items() if name not in bound}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See ``__getstate__``."""
        self.__dict__.update(state)
        self._bind_partner()

    @property
    def layout(self) -> Layout:
        """Name -> slice of the observation."""
        return self.pair.layout

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see ``PairEnv.reset`` for ``seed`` and ``options``."""
        super().reset(seed=seed)
        if seed is not None:
            self._restart_partner()
        observations, infos = self.pair.reset(seed=seed, options=options)
        return observations[self.role], infos[self.role]

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance by one control step.

        Args:
            action: Shape (A,), clipped to [-1, 1].

        Returns:
            Observation, reward, terminated, truncated, info of the controlled role.

        Raises:
            ActionError: An action, the partner's included, has a wrong shape, type or value.
            ConfigError: The episode has ended.
        """
        actions = {self.role: action, self.partner_role: self._partner_action()}
        observations, rewards, terminated, truncated, infos = self.pair.step(actions)
        role, info = self.role, infos[self.role]
        if "episode" in info:
            info["outcome"] = info.pop("episode")
        return observations[role], rewards[role], terminated[role], truncated[role], info

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """See ``PairEnv.render``."""
        return self.pair.render()

    def close(self) -> None:
        """Free the renderer or close the window."""
        self.pair.close()


_EXPECTED = "'hold', 'replay', an object with act(observation), or the path of an exported policy"


def _nothing() -> None:
    """What has no random stream needs no restart."""


def _resolve(partner: Partner, pair: PairEnv, role: str) -> str | Actor:
    """The name of a script or a policy; paths are loaded and checked."""
    if isinstance(partner, str) and partner in PARTNERS:
        return partner
    if isinstance(partner, str | os.PathLike):
        return _load(partner, pair, role)
    if not callable(getattr(partner, "act", None)):
        raise ConfigError(f"partner is {partner!r}, expected {_EXPECTED}.")
    return partner


def _scripted(simulation: PairSimulation, role: int, *, ahead: bool) -> Callable[[], Action]:
    table = _replay_actions(simulation, role) if ahead else _pose_actions(simulation, role)

    def action() -> Action:
        frame = simulation.frame + 1 if ahead else simulation.frame - simulation.steps
        return table[simulation.reference.row(simulation.clip, frame)[0]]

    return action


def _pose_actions(simulation: PairSimulation, role: int) -> Action:
    """Actions that ask for the pose of every reference row, shape (F, A)."""
    return simulation.actions_for(simulation.reference.target[:, role])


def _replay_actions(simulation: PairSimulation, role: int) -> Action:
    """The same, ahead by the servos' lag."""
    reference, body = simulation.reference, simulation.body
    target = reference.target[:, role]
    velocity = reference.qvel[:, role, 6:].reshape(target.shape)
    ahead = leading_target(target, velocity, body.kd[1:] / body.kp[1:])
    return simulation.actions_for(ahead)


def _load(path: str | os.PathLike[str], pair: PairEnv, role: str) -> Policy:
    if isinstance(path, str) and Path(path).name == path and not _exported(path):
        raise ConfigError(f"partner is {path!r}.{did_you_mean(path, PARTNERS)} Expected {_EXPECTED}.")
    policy = Policy.load(Path(path) / role if Path(path).is_dir() else path)
    body, config = pair.simulation.body, pair.config
    interface = policy_interface(layout=pair.layout, body=body, actuation=config.actuation, frames=config.frames)
    policy.check(interface, action_size=body.num_dofs, role=role)
    return policy


def _exported(name: str) -> bool:
    """Whether a bare name is a policy (or a folder) in the working directory."""
    return Path(name).exists() or Path(f"{name}.json").exists()
