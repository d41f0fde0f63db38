"""Time courses of planned motion: minimum-jerk steps, paths, rests before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FPS = 30.0
"""Rate of generated clips."""

REST_FRAMES = 4
"""Still frames solved before and after the motion, so that it starts and ends softly."""

_QUANTUM = 2.0**-22


def minimum_jerk(phase: Array) -> Array:
    """Smooth step from 0 to 1 with zero velocity and acceleration at both ends (Flash and Hogan 1985).

    Args:
        phase: Progress, any shape; clipped to [0, 1].

    Returns:
        Same shape.
    """
    u = np.clip(phase, 0.0, 1.0)
    return u**3 * (10.0 - 15.0 * u + 6.0 * u**2)


def between(first: float, last: float, share: Array) -> Array:
    """From the first value (share 0) to the last (share 1)."""
    return first + (last - first) * share


def path(x: Array | float, y: Array | float, z: Array | float, frames: int) -> Array:
    """A path, shape (T, 1, 3)."""
    return np.stack([np.broadcast_to(value, (frames,)) for value in (x, y, z)], axis=-1)[:, None]


def held(values: Array, before: float, after: float) -> Array:
    """Hold the first and the last frame, and round.

    Stored numbers are multiples of a power of two: small archives, equal on all machines.

    Args:
        values: Solved frames, `REST_FRAMES` still ones at each end included, shape (T, ...).
        before: How long the first pose is held [s].
        after: How long the last pose is held [s].
    """
    first = max(round(before * FPS) - REST_FRAMES, 0)
    last = max(round(after * FPS) - REST_FRAMES, 0)
    values = np.concatenate([np.repeat(values[:1], first, axis=0), values, np.repeat(values[-1:], last, axis=0)])
    return np.round(values / _QUANTUM) * _QUANTUM
