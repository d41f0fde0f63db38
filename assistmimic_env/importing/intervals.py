"""Intervals of frames in which something holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_mask", "intervals"]

Mask = NDArray[np.bool_]


def intervals(mask: Mask, *, shortest: int = 1, bridge: int = 0) -> list[tuple[int, int]]:
    """Runs of True.

    Args:
        mask: Per frame, shape (T,).
        shortest: Runs with fewer frames are dropped, after bridging.
        bridge: Gaps of at most this many frames between runs are closed.

    Returns:
        First frame and frame after the last of each run, in order.
    """
    edges = np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if len(begins) == 0:
        return []
    apart = begins[1:] - ends[:-1] > bridge
    begins, ends = begins[np.concatenate([[True], apart])], ends[np.concatenate([apart, [True]])]
    return [(int(a), int(b)) for a, b in zip(begins, ends, strict=True) if b - a >= shortest]


def as_mask(runs: list[tuple[int, int]], frames: int) -> Mask:
    """The mask (T,) that is True in these runs."""
    mask = np.zeros(frames, dtype=bool)
    for begin, end in runs:
        mask[begin:end] = True
    return mask
