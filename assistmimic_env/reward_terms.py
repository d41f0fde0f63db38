"""``RewardContext`` and ``RewardTerm``: terms that users add to the reward, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .body import BodySpec
from .catalog import Catalog
from .clip import ROLES
from .config import RewardConfig
from .errors import ConfigError
from .reference import Reference
from .tracking import Tracking
from .worlds import Motion

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class RewardContext:
    """What a reward term may look at: N worlds, 2 roles (supporter, recipient), J bodies, after a control step.

    All arrays are read-only, and valid until the next step.

    Attributes:
        body: Names of the bodies: ``body.index("Head")``.
        clip: Clip of each world, shape (N,).
        frame: Its frame at the present time, shape (N,).
        motion: How the people move: ``motion.position`` and so on, shape (N, 2, J, ...), world frame.
        reference: All clips, by row.
        row: Reference row of the present time, shape (N,).
        tracking: Errors against the reference.
        contact_force: Force of the partner on each body, world frame, shape (N, 2, J, 3) [N].
        torque: Of the servos, shape (N, 2, 3 (J - 1)) [N m].
        joint_velocity: Child frames, shape (N, 2, 3 (J - 1)) [rad/s].
        action: The action of this step, clipped, shape (N, 2, 3 (J - 1)).
        previous_action: The one before; 0 in the first step of an episode.
    """

    body: BodySpec
    clip: Ids
    frame: Ids
    motion: Motion
    reference: Reference
    row: Ids
    tracking: Tracking
    contact_force: Array
    torque: Array
    joint_velocity: Array
    action: Array
    previous_action: Array

    def __post_init__(self) -> None:
        """Keep terms from writing into the simulation."""
        for item in fields(self):
            object.__setattr__(self, item.name, _locked(getattr(self, item.name)))

    @cached_property
    def target(self) -> Motion:
        """What the reference does at the present time, as ``motion``."""
        reference, row = self.reference, self.row
        return Motion(linear=reference.motion[row], rotation=reference.rotation[row], matrix=reference.matrix[row])


def _locked(value: Any) -> Any:
    """Read-only views of an array, or of the arrays of a dataclass."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    elif isinstance(value, Motion | Tracking):
        value = replace(value, **{item.name: _locked(getattr(value, item.name)) for item in fields(value)})
    return value


RewardFunction = Callable[[RewardContext], ArrayLike]
"""From the context to one number per world and role, shape (N, 2)."""


@dataclass(frozen=True, kw_only=True)
class RewardTerm:
    """A term with its weight.

    Attributes:
        name: As in ``info["reward_terms"]``.
        function: Computes it.
        weight: Factor in the sum; negative for a penalty. With 0 the term is computed and reported only.
    """

    name: str
    function: RewardFunction
    weight: float

    def evaluate(self, context: RewardContext, diverged: Bools) -> Array:
        """The term before weighting, shape (N, 2); 0 in worlds that diverged.

        Raises:
            ConfigError: The function returned another shape, or NaN or infinity.
        """
        values = np.array(self.function(context), dtype=np.float64)
        shape = (len(diverged), len(ROLES))
        if values.shape != shape:
            raise ConfigError(
                f"reward term '{self.name}' has the shape {values.shape}, expected {shape}: "
                "one number per world and role."
            )
        values[diverged] = 0.0
        if not np.isfinite(values).all():
            world, role = np.argwhere(~np.isfinite(values))[0]
            raise ConfigError(
                f"reward term '{self.name}' is {values[world, role]} for the {ROLES[role]} of world {world}, "
                "expected finite numbers."
            )
        return values


def register_reward_term(name: str, function: RewardFunction) -> None:
    """Add a reward term; it counts where ``RewardConfig.extra`` gives it a weight.

    Other processes (those of Ray, for one) know the terms of installed packages only: there, add it by an entry point
    of the group ``assistmimic.reward_terms``.

    Args:
        name: Key of ``RewardConfig.extra`` and ``info["reward_terms"]``.
        function: From a ``RewardContext`` to an array of shape (N, 2); changes nothing and keeps no state.

    Raises:
        ConfigError: The name is taken, or the function cannot be called.
    """
    _CATALOG.add(name, function)


def reward_term_names() -> tuple[str, ...]:
    """Names of all added terms."""
    return _CATALOG.names()


def reward_terms(weights: Mapping[str, float]) -> tuple[RewardTerm, ...]:
    """The terms of ``RewardConfig.extra``.

    Raises:
        ConfigError: A term is not registered; says the closest and all that are.
    """
    return tuple(RewardTerm(name=name, function=_CATALOG.find(name), weight=weight) for name, weight in weights.items())


def _read(name: str, function: Any) -> RewardFunction:
    if name in (item.name for item in fields(RewardConfig)):
        raise ConfigError(f"reward term '{name}' would hide the field '{name}' of RewardConfig. Choose another name.")
    if not callable(function):
        raise ConfigError(f"reward term '{name}' is {function!r}, expected a function of a context.")
    return cast(RewardFunction, function)


_CATALOG: Catalog[RewardFunction] = Catalog("reward term", "assistmimic.reward_terms", read=_read, items={})
