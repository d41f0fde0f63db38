"""Standing feet: when they stand, on which spot, and joint targets that keep them there and above the floor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..body import BodySpec
from .intervals import as_mask, intervals

__all__ = ["PARTS", "clear_of_floor", "foot_indices", "planted", "slide", "sole_drop", "standing", "steadied"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

PARTS = ("L_Ankle", "L_Toe", "R_Ankle", "R_Toe")
"""The joints of the feet, F of them; the last axis of masks."""

_SPEED = 0.2
"""A foot joint slower than this may stand [m/s]."""
_HEIGHT = 0.05
"""... if it is at most this far above its lowest place [m]."""
_SHORTEST, _BRIDGE = 0.1, 0.07
"""Shortest stance and longest gap in one [s]."""
_WINDOW = 0.1
"""Positions are averaged over this time before speeds are taken, so that jitter does not lift a foot [s]."""
_RAMP = 0.15
"""Time in which a foot's correction grows before and fades after a stance [s]."""
_FARTHEST = 0.04
"""A foot is moved at most this far; one that drifts farther keeps sliding, slower [m]."""
_SNAP = 0.02
"""Soles that stand this close to the floor are put on it [m]."""
_LEVEL = 0.08
"""Soles that stand this close to the floor tell how far a person is off it; others are lifted, or on a step [m]."""
_SLOW = 0.4
"""Time over which a person's shift is averaged [s]."""


def foot_indices(body: BodySpec) -> NDArray[np.intp]:
    """Rows of the feet's joints in the order of `PARTS`, shape (F,)."""
    return body.indices(PARTS)


def sole_drop(body: BodySpec) -> Array:
    """Depth of the sole of a flat foot below each of its joints, shape (F,) [m]."""
    low = np.zeros(body.num_bodies)
    for geom in body.geoms:
        low[geom.body] = min(low[geom.body], min(geom.start[2], geom.end[2]) - geom.radius)
    return -low[foot_indices(body)]


def standing(feet: Array, fps: float) -> Mask:
    """Which joints of the feet stand.

    Args:
        feet: Positions, shape (T, ..., F, 3) [m]; NaN where not measured.
        fps: Frames per second.

    Returns:
        Shape (T, ..., F).
    """
    smooth = _averaged(feet, max(1, round(_WINDOW * fps)))
    speed = np.linalg.norm(np.gradient(smooth, axis=0), axis=-1) * fps
    height = smooth[..., 2]
    low = np.quantile(height, 0.05, axis=0)
    still = (speed < _SPEED) & (height < low + _HEIGHT)
    flat = still.reshape(len(still), -1)
    shortest, bridge = max(2, round(_SHORTEST * fps)), round(_BRIDGE * fps)
    columns = [as_mask(intervals(c, shortest=shortest, bridge=bridge), len(c)) for c in flat.T]
    return np.stack(columns, axis=-1).reshape(still.shape)


def planted(feet: Array, stands: Mask, drop: Array, fps: float) -> Array:
    """Targets of the feet that do not slide while they stand.

    Args:
        feet: Positions of one person's feet, floor at height 0, shape (T, F, 3) [m].
        stands: Result of `standing`, shape (T, F).
        drop: Result of `sole_drop`, shape (F,).
        fps: Frames per second.

    Returns:
        Shape (T, F, 3) [m]: constant during each stance, moved towards it shortly before and after.
    """
    out = feet.copy()
    ramp = max(1, round(_RAMP * fps))
    for part in range(feet.shape[1]):
        runs = intervals(stands[:, part])
        out[:, part] += _corrections(feet[:, part], runs, float(drop[part]), ramp)
    return out


def _corrections(place: Array, runs: list[tuple[int, int]], drop: float, ramp: int) -> Array:
    """What to add to a joint's way (T, 3) so that it rests during the runs."""
    frames = np.arange(len(place))
    total, weight = np.zeros_like(place), np.zeros((len(place), 1))
    for begin, end in runs:
        spot = np.median(place[begin:end], axis=0)
        if abs(spot[2] - drop) < _SNAP:
            spot[2] = drop
        to_spot = spot - place[np.clip(frames, begin, end - 1)]
        length = np.linalg.norm(to_spot, axis=-1, keepdims=True)
        to_spot *= np.minimum(1.0, _FARTHEST / np.maximum(length, 1e-9))
        away = np.maximum(np.maximum(begin - frames, frames - (end - 1)), 0)
        share = np.clip(1.0 - away / ramp, 0.0, 1.0)[:, None]
        share = share**2 * (3.0 - 2.0 * share)
        total += share * to_spot
        weight += share
    return total / np.maximum(weight, 1.0)


def steadied(feet: Array, stands: Mask, drop: Array, fps: float) -> Array:
    """A person's slow shift with which standing feet rest, and on the floor.

    What standing feet do together, the person does: each step between two frames in which the same joints stand is
    undone, and heights are corrected to the floor where a sole is near it. Between stances the shift stays as it is.

    Args:
        feet: Positions of one person's feet, floor at height 0, shape (T, F, 3) [m].
        stands: Result of `standing`, shape (T, F).
        drop: Result of `sole_drop`, shape (F,).
        fps: Frames per second.

    Returns:
        What is added to all of the person's joints, shape (T, 3) [m]; zero on average along the floor.
    """
    both = stands[1:] & stands[:-1]
    step = _mean_where(np.diff(feet[..., :2], axis=0), both)
    way = np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])
    rise = drop - feet[..., 2]
    on_floor = stands & (np.abs(rise) < _LEVEL)
    height = _held(_mean_where(rise[..., None], on_floor)[:, 0], np.any(on_floor, axis=1))
    shift = np.concatenate([way.mean(axis=0) - way, height[:, None]], axis=-1)
    return _averaged(shift, max(1, round(_SLOW * fps)))


def clear_of_floor(feet: Array, drop: Array) -> Array:
    """The feet (T, F, 3), no joint lower than where its sole touches the floor."""
    out = feet.copy()
    out[..., 2] = np.maximum(out[..., 2], drop)
    return out


def slide(feet: Array, stands: Mask) -> float:
    """Longest horizontal way of a standing joint from the middle of its stance [m].

    Args:
        feet: Positions, shape (T, ..., F, 3) [m].
        stands: Result of `standing`, shape (T, ..., F).

    Returns:
        The longest way of all; 0 when nothing stands.
    """
    longest = 0.0
    columns = feet.reshape(len(feet), -1, 3)
    for column, mask in enumerate(stands.reshape(len(stands), -1).T):
        for begin, end in intervals(mask):
            place = columns[begin:end, column, :2]
            longest = max(longest, float(np.linalg.norm(place - np.median(place, axis=0), axis=-1).max()))
    return longest


def _mean_where(values: Array, mask: Mask) -> Array:
    """Mean (T, k) of values (T, F, k) over the parts of a mask (T, F); 0 where there is none."""
    weight = mask[..., None]
    return (values * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1)


def _held(values: Array, known: Mask) -> Array:
    """Values (T,) with those that are not known in between; 0 where none is."""
    if not known.any():
        return np.zeros_like(values)
    frames = np.arange(len(values))
    return np.interp(frames, frames[known], values[known])


def _averaged(values: Array, width: int) -> Array:
    """Centred moving average over an odd number of frames, the ends repeated."""
    half = width // 2
    padded = np.pad(values, [(half, half)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    return np.mean([padded[i : i + len(values)] for i in range(2 * half + 1)], axis=0)
