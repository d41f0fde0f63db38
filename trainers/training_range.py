"""Whether a condition of an evaluation lies inside the range of dynamics that a training went through."""

from __future__ import annotations

from collections.abc import Iterable

from assistmimic_env.config import PERTURBATIONS, EnvConfig, Factors, Range, env_config
from assistmimic_env.registry import spec

from .run import RunSettings, with_start_options

ALONE_CONDITION = "alone"
"""The condition in which the recipient of a pair has no help: the two pass through each other."""


def training_environment(settings: RunSettings) -> EnvConfig:
    """All settings of the environment of a training, defaults included."""
    options = {key: value for key, value in with_start_options(settings).env_options.items() if key != "clips"}
    return env_config(env_config(**spec(settings.env_id).options), **options)


def inside_training_range(condition: str, settings: RunSettings) -> bool:
    """Tell whether training drew the dynamics of a condition, number by number.

    A factor on masses, gains or torque limits is inside if the domain randomisation of the training draws it, or if it
    is 1. What training never varies, the supporter's mass for one, is outside as soon as it is changed; nothing is
    inside if training moved the recipient along the reference.

    Args:
        condition: Name of one of ``config.PERTURBATIONS``, or `ALONE_CONDITION`.
        settings: The training.
    """
    config = training_environment(settings)
    if condition == ALONE_CONDITION:
        return config.solo
    change = PERTURBATIONS[condition]
    drawn = config.randomisation
    return (
        not config.kinematic_recipient
        and _drawn(change.recipient, mass=drawn.mass, gain=drawn.gain, torque_limit=drawn.torque_limit)
        and _drawn(change.supporter, gain=drawn.supporter_gain)
    )


def _drawn(factors: Factors, *, mass: Range = (1.0, 1.0), gain: Range, torque_limit: Range = (1.0, 1.0)) -> bool:
    return (
        _all_in((factors.mass,), mass)
        and _all_in(factors.gain.values(), gain)
        and _all_in(factors.torque_limit.values(), torque_limit)
    )


def _all_in(factors: Iterable[float], drawn: Range) -> bool:
    low, high = drawn
    return all(low <= factor <= high for factor in factors)
