"""Rewards as pure array functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .config import RewardConfig

Array = NDArray[np.float64]

IMITATION_TERMS = ("position", "rotation", "velocity", "angular_velocity")
"""Order of the imitation terms."""


def imitation_reward(
    position: Array,
    rotation: Array,
    velocity: Array,
    angular_velocity: Array,
    ref_position: Array,
    ref_rotation: Array,
    ref_velocity: Array,
    ref_angular_velocity: Array,
    *,
    config: RewardConfig | None = None,
) -> tuple[Array, Array]:
    """PHC's tracking reward (``spec/phc.md`` section 5), without power.

    Args:
        position: Body positions, world frame, shape (..., J, 3) [m].
        rotation: Body rotations, shape (..., J, 4).
        velocity: Shape (..., J, 3) [m/s].
        angular_velocity: Shape (..., J, 3) [rad/s].
        ref_position: The same of the reference at the same time.
        ref_rotation: See ``rotation``.
        ref_velocity: See ``velocity``.
        ref_angular_velocity: See ``angular_velocity``.
        config: Weights and sensitivities; by default PHC's.

    Returns:
        The weighted sum, shape (...), and the terms before weighting, each in (0, 1], shape (..., 4), in the
        order of ``IMITATION_TERMS``.
    """
    config = RewardConfig() if config is None else config
    error = np.stack(
        [position - ref_position, velocity - ref_velocity, angular_velocity - ref_angular_velocity], axis=-3
    )
    angle = rotations.angle_between(rotation, ref_rotation)
    terms = imitation_terms(mean_square(error), np.mean(angle * angle, axis=-1), config)
    return weigh(terms, config), terms


def mean_square(error: Array) -> Array:
    """Mean over bodies *and* components of squared errors: (..., K, J, 3) -> (..., K)."""
    flat = error.reshape(-1, error.shape[-2] * error.shape[-1])
    return (np.einsum("ij,ij->i", flat, flat) / flat.shape[-1]).reshape(error.shape[:-2])


def weighted_mean_square(error: Array, weight: Array) -> Array:
    """``mean_square`` in which bodies count by weight: (..., K, J, 3) and (..., J), not all 0, -> (..., K).

    An error of weight 0 has exactly no effect.
    """
    square = np.einsum("...kji,...kji->...kj", error, error)
    return np.einsum("...kj,...j->...k", square, weight) / (error.shape[-1] * weight.sum(axis=-1)[..., None])


def imitation_terms(square_errors: Array, square_angle: Array, config: RewardConfig) -> Array:
    """The four kernels exp(-scale * mean squared error).

    Args:
        square_errors: Mean squares of position [m^2], velocity [m^2/s^2] and angular velocity
            [rad^2/s^2] errors, shape (..., 3).
        square_angle: Mean squared rotation angle, shape (...) [rad^2].
        config: Sensitivities.

    Returns:
        Shape (..., 4), each in [0, 1].
    """
    exponent = np.empty((*square_angle.shape, 4))
    exponent[..., 0] = square_errors[..., 0]
    exponent[..., 1] = square_angle
    exponent[..., 2:] = square_errors[..., 1:]
    exponent *= [-getattr(config, f"{name}_scale") for name in IMITATION_TERMS]
    return np.exp(exponent, out=exponent)


def weigh(terms: Array, config: RewardConfig) -> Array:
    """Weighted sum of the imitation terms, (..., 4) -> (...)."""
    return (terms * [getattr(config, name) for name in IMITATION_TERMS]).sum(axis=-1)


def joint_power(torque: Array, velocity: Array) -> Array:
    """Sum over degrees of freedom of |torque x velocity|: (..., D) [N m], (..., D) [rad/s] -> (...) [W]."""
    return np.abs(torque * velocity).sum(axis=-1)
