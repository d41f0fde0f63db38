"""How strong and heavy people are: impairments, perturbations, and what lies between healthy and impaired.

``impaired`` and ``perturbed`` change a body before its scene is built. ``Strength`` changes the worlds of a running
simulation, for the curriculum (``difficulty``) and for domain randomisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .body import BodySpec, joint_kind
from .config import Factors, Impairment
from .errors import ConfigError, did_you_mean

Array = NDArray[np.float64]
Ids = NDArray[np.intp]

IMPAIRED = "impaired"
"""In ``Factors.gain``: the joints whose gains the impairment changes."""

_LEAST_GAIN = 1e-3


def impaired(body: BodySpec, impairment: Impairment) -> BodySpec:
    """A weaker (or heavier) person: masses with inertias, gains and torque limits changed.

    Raises:
        ConfigError: The impairment names a joint that the body does not have.
    """
    gain = per_joint(body, impairment.gain, np.ones(body.num_bodies), "impairment")
    limits = per_joint(body, impairment.torque_limit, body.torque_limits, "impairment")
    return _changed(body, impairment.mass, gain, limits)


def perturbed(body: BodySpec, factors: Factors, impairment: Impairment) -> BodySpec:
    """A person whose present strength and mass are multiplied, after ``impaired``.

    Args:
        body: The impaired body.
        factors: What to multiply.
        impairment: Its impairment, for the word ``"impaired"`` in ``factors.gain``.

    Raises:
        ConfigError: A factor names a joint that the body does not have.
    """
    table = dict(factors.gain)
    if IMPAIRED in table:
        value = table.pop(IMPAIRED)
        table = {**dict.fromkeys(impairment.gain, value), **table}
    ones = np.ones(body.num_bodies)
    gain = per_joint(body, table, ones, "perturbation")
    limits = body.torque_limits * per_joint(body, factors.torque_limit, ones, "perturbation")
    return _changed(body, factors.mass, gain, limits)


def per_joint(body: BodySpec, table: Mapping[str, float], default: Array, owner: str) -> Array:
    """A number per body from a table by kind of joint, shape (J,).

    Args:
        body: Names of the joints.
        table: Kind of joint -> number; ``"*"`` names all others.
        default: For joints that the table does not name, shape (J,).
        owner: For the message.

    Raises:
        ConfigError: The table names a joint that the body does not have.
    """
    kinds = [joint_kind(name) for name in body.names]
    for kind in table:
        if kind != "*" and kind not in kinds[1:]:
            known = sorted(set(kinds[1:]))
            raise ConfigError(
                f"{owner} names the joint '{kind}', {body.name} has none.{did_you_mean(kind, known)} "
                f"It has: {', '.join(known)}, and '*' for all others."
            )
    return np.array(
        [table.get(kind, table.get("*", value)) for kind, value in zip(kinds, default, strict=True)], dtype=np.float64
    )


def _changed(body: BodySpec, mass: float, gain: Array, limits: Array) -> BodySpec:
    limits = limits.copy()
    limits[0] = 0.0
    fields = {
        "masses": body.masses * mass,
        "kp": body.kp * gain,
        "kd": body.kd * gain,
        "torque_limits": limits,
    }
    for values in fields.values():
        values.setflags(write=False)
    geoms = tuple(replace(geom, mass=geom.mass * mass) for geom in body.geoms)
    return replace(body, geoms=geoms, **fields)


@dataclass(frozen=True, kw_only=True, eq=False)
class Strength:
    """Gains and torque limits between healthy and impaired, by variant of the scene.

    Attributes:
        gain: Factors that the impairment puts on the gains, shape (2, J).
        healthy: Torque limits without the impairment, shape (V, 2, J) [N m].
        limit: Torque limits with it (and the perturbation), shape (V, 2, J) [N m].
    """

    gain: Array
    healthy: Array
    limit: Array

    @classmethod
    def of(
        cls,
        healthy: Sequence[tuple[BodySpec, BodySpec]],
        weak: Sequence[tuple[BodySpec, BodySpec]],
        impairments: tuple[Impairment, Impairment],
    ) -> Strength:
        """From the people of each variant, before and after their impairments (supporter's first)."""
        pair = healthy[0]
        gain = [
            per_joint(body, impairment.gain, np.ones(body.num_bodies), "impairment")
            for body, impairment in zip(pair, impairments, strict=True)
        ]
        return cls(gain=np.maximum(np.stack(gain), _LEAST_GAIN), healthy=_limits(healthy), limit=_limits(weak))

    def at(self, difficulty: Array, variant: Ids) -> tuple[Array, Array]:
        """Geometric interpolation from healthy (0) to impaired (1).

        Args:
            difficulty: Shape (n,).
            variant: Shape (n,).

        Returns:
            Factors of kp and kd relative to the impaired person, shape (n, 2, J), and torque limits, shape
            (n, 2, J) [N m].
        """
        level = difficulty[:, None, None]
        gain = self.gain ** (level - 1.0)
        return gain, self.healthy[variant] ** (1.0 - level) * self.limit[variant] ** level


def _limits(people: Sequence[tuple[BodySpec, BodySpec]]) -> Array:
    return np.array([[body.torque_limits for body in pair] for pair in people], dtype=np.float64)
