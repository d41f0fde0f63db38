"""The contact-promoting reward: near the recipient, supporting contact replaces strict tracking of the hand.

``spec/assistmimic.md`` section 2.4 with the repairs of section 12 (defects 1, 2 and 14). A hand is *near* to the degree
``nearness``: both in the reference (the motion wants contact here) and in the simulation (the hand has arrived). To
that degree its wrist and hand leave the tracking reward, and closeness times supporting force enters. A hand that
hovers earns nothing, however close; more than ``force`` earns no more; beyond ``limit`` a penalty grows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .config import ContactConfig
from .hands import smoothstep

Array = NDArray[np.float64]


def nearness(gap: Array, ref_gap: Array, config: ContactConfig) -> Array:
    """How much a hand is to support instead of to track, in [0, 1].

    Args:
        gap: Distance of the hand's surface to the recipient's, shape (...) [m].
        ref_gap: The same in the reference.
        config: Distances.

    Returns:
        1 where both are below ``near``, 0 where either is above ``far``, shape (...).
    """
    apart = np.maximum(smoothstep(gap, config.near, config.far), smoothstep(ref_gap, config.near, config.far))
    return 1.0 - apart


def supporting_force(force: Array) -> Array:
    """Size of the force that a hand exerts on the recipient, without what presses down.

    Args:
        force: Force of the hand on the recipient, world frame, shape (..., 3) [N].

    Returns:
        Shape (...) [N].
    """
    upward = np.maximum(force[..., 2], 0.0)
    return np.sqrt(force[..., 0] ** 2 + force[..., 1] ** 2 + upward**2)


def contact_terms(gap: Array, near: Array, force: Array, config: ContactConfig) -> tuple[Array, Array]:
    """The two terms before weighting.

    Args:
        gap: Distance of the hands' surfaces to the recipient's, shape (..., hands) [m].
        near: ``nearness``, shape (..., hands).
        force: Force of each hand on the recipient, world frame, shape (..., hands, 3) [N].
        config: Sensitivities.

    Returns:
        ``contact``: mean over hands of near x exp(-closeness x gap) x min(supporting force / ``force``, 1), in [0, 1];
        ``excess``: mean over hands of the force beyond ``limit`` over ``limit``, at most 1; shape (...) each.
    """
    close = np.exp(-config.closeness * np.maximum(gap, 0.0))
    share = np.minimum(supporting_force(force) / config.force, 1.0)
    size = np.sqrt(np.einsum("...i,...i->...", force, force))
    excess = np.clip(size / config.limit - 1.0, 0.0, 1.0)
    return (near * close * share).mean(axis=-1), excess.mean(axis=-1)
