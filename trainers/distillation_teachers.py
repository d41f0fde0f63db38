"""`Teachers`: what the specialist of each world's clip would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistmimic_env.errors import ConfigError
from assistmimic_env.policy import Policy, policy_interface
from assistmimic_env.policy_expansion import expand
from assistmimic_env.simulation import PairSimulation

from .distillation import Specialist

Floats = NDArray[np.float32]
Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Teachers:
    """Several pairs of policies, each for some clips."""

    pairs: Sequence[Mapping[str, Policy]]
    """Role -> policy of each specialist."""
    of_clip: Ids
    """Which specialist teaches each clip of the simulation, shape (clips,)."""

    @classmethod
    def load(cls, specialists: Sequence[Specialist], simulation: PairSimulation) -> Teachers:
        """Read the specialists' policies for a simulation.

        Raises:
            ConfigError: A clip has no specialist, or several.
            PolicyError: A policy cannot be read or does not fit; the message lists everything that differs.
        """
        return cls(
            pairs=[_fitted_pair(specialist, simulation) for specialist in specialists],
            of_clip=assign(specialists, [clip.name for clip in simulation.reference.clips]),
        )

    def act(self, observations: Mapping[str, Floats], clip: Ids) -> dict[str, Floats]:
        """Mean actions, not clipped, of all worlds; one pass per specialist and role.

        Args:
            observations: Role -> shape (N, observation size).
            clip: Index of the clip of each world, shape (N,).

        Returns:
            Role -> shape (N, action size).
        """
        chosen = self.of_clip[clip]
        actions = {
            role: np.empty((len(clip), policy.card.action_size), np.float32) for role, policy in self.pairs[0].items()
        }
        for index in np.unique(chosen):
            rows = chosen == index
            for role, policy in self.pairs[index].items():
                actions[role][rows] = policy.act(observations[role][rows])
        return actions


def assign(specialists: Sequence[Specialist], clips: Sequence[str]) -> Ids:
    """Which specialist teaches each clip, shape (clips,).

    Raises:
        ConfigError: A clip has no specialist, or several.
    """
    taught = [name for specialist in specialists for name in specialist.clips]
    if untaught := [name for name in clips if name not in taught]:
        raise ConfigError(
            f"nobody teaches {_shortened(untaught)}. Specialists teach {_shortened(taught) or 'nothing'}. "
            "Leave these clips out, or give a specialist for them: --specialist FOLDER=CLIP,CLIP"
        )
    if twice := sorted({name for name in taught if taught.count(name) > 1}):
        raise ConfigError(
            f"{_shortened(twice)}: several specialists teach this. "
            "Give each clip to one of them: --specialist FOLDER=CLIP,CLIP"
        )
    owner = {name: index for index, specialist in enumerate(specialists) for name in specialist.clips}
    return np.array([owner[name] for name in clips], dtype=np.intp)


def _fitted_pair(specialist: Specialist, simulation: PairSimulation) -> dict[str, Policy]:
    law = simulation.config.actuation
    interface = policy_interface(
        layout=simulation.layout, body=simulation.body, actuation=law, frames=simulation.config.frames
    )
    pair = {role: expand(Policy.load(path), interface) for role, path in specialist.paths.items()}
    for role, policy in pair.items():
        policy.check(interface, action_size=simulation.body.num_dofs, role=role)
    return pair


def _shortened(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
