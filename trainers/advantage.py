"""Generalised advantage estimation over segments of different lengths, all segments at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def generalized_advantage(
    rewards: NDArray[np.floating],
    values: NDArray[np.floating],
    following: NDArray[np.floating],
    lengths: NDArray[np.integer],
    *,
    gamma: float,
    lambda_: float,
) -> NDArray[np.float64]:
    """Advantages of rows that lie in segments one after another (Schulman et al. 2016, eq. 16).

    The loop runs over the steps of the longest segment; each pass handles all segments that are that long.

    Args:
        rewards: Shape (M,).
        values: Expected return before each row, shape (M,).
        following: Expected return after the last row of each segment, 0 where the episode failed, shape (S,).
        lengths: Rows of each segment, at least 1, shape (S,).
        gamma: Discount.
        lambda_: Trace parameter.

    Returns:
        Shape (M,).
    """
    last = np.cumsum(lengths) - 1
    following_values = np.append(values[1:], 0.0).astype(np.float64)
    following_values[last] = following
    advantages = rewards + gamma * following_values - values
    longest_first = np.argsort(-lengths, kind="stable")
    ends, descending = last[longest_first], lengths[longest_first]
    for offset in range(1, int(descending[0])):
        rows = ends[: np.searchsorted(-descending, -offset)] - offset
        advantages[rows] += gamma * lambda_ * advantages[rows + 1]
    return advantages
