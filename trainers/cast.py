"""`Cast`: who is trained in a run: a supporter and a recipient, or one tracker that plays every person alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistmimic_env.policy import ANY_ROLE, policy_interface
from assistmimic_env.simulation import PairSimulation

from .adapter import ROLES, PairEnv
from .solo import TRACKER, SoloEnv, single_person_size, tracker_interface

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Cast:
    """The policies of a run and what they see of the simulation."""

    roles: Mapping[str, str]
    """Policy -> the role on its card."""
    env_class: type[PairEnv] | type[SoloEnv]
    """What `assistmimic_ppo` trains them in."""

    @property
    def alone(self) -> bool:
        """Whether each person is alone in the world, and seen without the partner."""
        return self.env_class is SoloEnv

    @property
    def people(self) -> dict[str, list[int]]:
        """Policy -> which of the two people of a world it plays."""
        return {name: [0, 1] if self.alone else [index] for index, name in enumerate(self.roles)}

    def interface(self, simulation: PairSimulation) -> dict[str, Any]:
        """What the cards of these policies say about their environment."""
        if self.alone:
            return tracker_interface(simulation)
        config = simulation.config
        return policy_interface(
            layout=simulation.layout, body=simulation.body, actuation=config.actuation, frames=config.frames
        )

    def observation_size(self, simulation: PairSimulation) -> int:
        """Width of an observation."""
        return single_person_size(simulation) if self.alone else simulation.layout.size

    def split(self, values: Floats, *, width: int) -> dict[str, Floats]:
        """Hand out rows of both people.

        Args:
            values: Shape (samples, 2, size).
            width: How many leading numbers to keep.

        Returns:
            Policy -> rows, (samples, width), or (2 samples, width) for one that plays both people.
        """
        kept = values[..., :width]
        return {name: kept[:, people].reshape(-1, width) for name, people in self.people.items()}


PAIR = Cast(roles=MappingProxyType({role: role for role in ROLES}), env_class=PairEnv)
"""A supporter and a recipient who touch."""

SOLO = Cast(roles=MappingProxyType({TRACKER: ANY_ROLE}), env_class=SoloEnv)
"""One single-person tracker."""
