"""``Disturbances``: domain randomisation of N worlds, drawn from each world's own random stream.

Masses and friction belong to a world and are drawn when it is seeded, because changing a mass costs 2 ms: N worlds are
a pool of N masses. Strength and latency are drawn per episode, pushes and sensor noise per step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .config import CONTROL_DT, RandomisationConfig, Range
from .layout import Layout
from .random import Streams

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Ids = NDArray[np.intp]

_FLAGS = ("hand_contact", "partner_hand_contact")


class Disturbances:
    """Draws what happens to some worlds.

    Args:
        config: Ranges.
        layout: Where the contact flags of an observation are: they stay 0 or 1.
    """

    def __init__(self, config: RandomisationConfig, layout: Layout) -> None:
        self.config = config
        self._noise = np.full(layout.size, config.observation_noise, dtype=np.float32)
        for name in _FLAGS:
            self._noise[layout[name]] = 0.0
        self._bounds = layout.bounds

    @property
    def varies_bodies(self) -> bool:
        """Whether masses or friction differ between the worlds."""
        return _spread(self.config.mass) or _spread(self.config.friction)

    @property
    def varies_strength(self) -> bool:
        """Whether gains or torque limits differ between the episodes."""
        return any(map(_spread, (self.config.gain, self.config.torque_limit, self.config.supporter_gain)))

    def bodies(self, streams: Streams, ids: Ids) -> tuple[Array, Array]:
        """Factors of the recipient's mass and of friction, shape (n,) each."""
        draws = streams.uniform(ids, 2)
        return _within(self.config.mass, draws[:, 0]), _within(self.config.friction, draws[:, 1])

    def strength(self, streams: Streams, ids: Ids) -> tuple[Array, Array]:
        """Factors of gains, shape (n, 2), and of the recipient's torque limits, shape (n,); 1 where nothing varies."""
        gain, limit = np.ones((len(ids), 2)), np.ones(len(ids))
        if self.varies_strength:
            draws = streams.uniform(ids, 2)
            gain[:, 1], limit = _within(self.config.gain, draws[:, 0]), _within(self.config.torque_limit, draws[:, 1])
        if _spread(self.config.supporter_gain):
            gain[:, 0] = _within(self.config.supporter_gain, streams.uniform(ids, 1)[:, 0])
        return gain, limit

    def latency(self, streams: Streams, ids: Ids) -> Ids:
        """Delay of the actions, shape (n,) [control steps]."""
        if self.config.latency == 0:
            return np.zeros(len(ids), dtype=np.intp)
        return (streams.uniform(ids, 1)[:, 0] * (self.config.latency + 1)).astype(np.intp)

    def pushes(self, streams: Streams, ids: Ids) -> Array | None:
        """Changes of the roots' horizontal velocities in this step, shape (n, 2, 2) [m/s]; None without pushes."""
        if self.config.push_interval == 0.0:
            return None
        draws = streams.uniform(ids, 6).reshape(len(ids), 2, 3)
        pushed = draws[..., 0] < CONTROL_DT / self.config.push_interval
        angle = 2.0 * np.pi * draws[..., 1]
        speed = self.config.push_speed * draws[..., 2] * pushed
        return speed[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    def sense(self, streams: Streams, ids: Ids, observation: Floats) -> Floats:
        """Observations (n, 2, D) with sensor noise, inside their bounds."""
        if self.config.observation_noise == 0.0:
            return observation
        noisy = streams.bulk_normal(ids, observation[0].size).reshape(observation.shape)
        noisy *= self._noise
        noisy += observation
        np.minimum(noisy, self._bounds, out=noisy)
        return np.maximum(noisy, -self._bounds, out=noisy)


def _spread(interval: Range) -> bool:
    return interval != (1.0, 1.0)


def _within(interval: Range, share: Array) -> Array:
    low, high = interval
    return low + (high - low) * share
