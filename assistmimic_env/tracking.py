"""``Tracking``: how far two people are from their references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import metrics, rewards, rotations
from .body import BodySpec
from .config import RewardConfig
from .reference import Goal, Reference
from .worlds import Motion

Array = NDArray[np.float64]
Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """How far the people are from their references, per world and role.

    Attributes:
        body_error: Distance of every body, shape (N, 2, J) [m].
        tracking_error: Mean over the 16 reset bodies, shape (N, 2) [m].
        height_error: Recipient's pelvis and head against their reference heights, shape (N,) [m].
        terms: Imitation terms, shape (N, 2, 4); against moved hand targets where there are any.
    """

    body_error: Array
    tracking_error: Array
    height_error: Array
    terms: Array


class Tracker:
    """Compares people with their references.

    Args:
        reference: Where they should be.
        body: Names of their bodies.
        config: Sensitivities of the imitation terms.
    """

    def __init__(self, reference: Reference, body: BodySpec, config: RewardConfig) -> None:
        self._reference = reference
        self._config = config
        self._reset_bodies = body.indices(metrics.RESET_BODIES)
        self._height_bodies = body.indices(metrics.HEIGHT_BODIES)

    def track(self, motion: Motion, row: Ids, *, target: Goal | None = None, weight: Array | None = None) -> Tracking:
        """Compare N worlds with the reference.

        Args:
            motion: How the people move now.
            row: Reference rows of the present time, shape (N,); what all errors are measured against.
            target: What the imitation terms are measured against instead.
            weight: How much each body counts in the imitation terms, shape (N, 2, J); by default all the same.
        """
        ref, ref_rotation = self._reference.motion[row], self._reference.rotation[row]
        error = motion.linear - ref
        offset = error[:, :, 0]
        distance = np.sqrt(np.einsum("nrji,nrji->nrj", offset, offset))
        height_error = np.abs(offset[:, 1, self._height_bodies, 2]).max(axis=-1)
        if target is not None:
            error, ref_rotation = motion.linear - target.motion, target.rotation
        angle = rotations.angle_between(motion.rotation, ref_rotation)
        if weight is None:
            square_error = rewards.mean_square(error)
            square_angle = np.einsum("nrj,nrj->nr", angle, angle) / angle.shape[-1]
        else:
            square_error = rewards.weighted_mean_square(error, weight)
            square_angle = np.einsum("nrj,nrj,nrj->nr", angle, angle, weight) / weight.sum(axis=-1)
        return Tracking(
            body_error=distance,
            tracking_error=distance[..., self._reset_bodies].mean(axis=-1),
            height_error=height_error,
            terms=rewards.imitation_terms(square_error, square_angle, self._config),
        )
