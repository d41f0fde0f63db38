"""What a rollout is worth: tracking errors, success, and intervals around their means.

Pure functions on arrays with any leading batch dimensions. Logs are ``(..., frames, roles)`` with NaN where nothing was
measured (after a failure, or past the end of a shorter clip). Dying early must never look good, therefore every error
is reported over the frames up to the failure *and* over the horizon that all compared policies share.

Sources: spec/assistmimic.md sections 4 (reset bodies, distances) and 11 (protocol); task success is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

FAILURE_DISTANCE: Final = 0.5
"""Mean error of the reset bodies above which an agent has failed in an evaluation [m]."""

STRICT_DISTANCE: Final = 0.25
"""The same limit for the strict success rate, SR@0.25 [m]."""

HEIGHT_TOLERANCE: Final = 0.15
"""How far the recipient's pelvis and head may be from their reference height at the end of a successful task [m]."""

SETTLE_TIME: Final = 0.5
"""How long the recipient has to be at the reference height at the end of the clip [s]."""

RESET_BODIES: Final = (
    "Pelvis",
    "L_Hip",
    "L_Knee",
    "L_Ankle",
    "R_Hip",
    "R_Knee",
    "R_Ankle",
    "Torso",
    "Spine",
    "Chest",
    "Neck",
    "Head",
    "L_Thorax",
    "L_Shoulder",
    "R_Thorax",
    "R_Shoulder",
)
"""The 16 bodies whose mean error ends an episode; elbows, wrists, hands and toes are exempt."""

HEIGHT_BODIES: Final = ("Pelvis", "Head")
"""The recipient's bodies whose height decides task success."""


def body_error(position: ArrayLike, ref_position: ArrayLike) -> Array:
    """Distance of each body from its reference.

    Args:
        position: Simulated body positions, shape (..., bodies, 3), world frame [m].
        ref_position: Reference body positions, same shape [m].

    Returns:
        Distances, shape (..., bodies) [m].
    """
    difference = np.asarray(position, np.float64) - np.asarray(ref_position, np.float64)
    return np.sqrt(np.einsum("...i,...i->...", difference, difference))


def tracking_error(position: ArrayLike, ref_position: ArrayLike, indices: ArrayLike) -> Array:
    """Mean distance of a set of bodies from their reference; with the reset bodies, what ends an episode.

    Args:
        position: Simulated body positions, shape (..., bodies, 3), world frame [m].
        ref_position: Reference body positions, same shape [m].
        indices: Bodies to average over, e.g. ``body.indices(RESET_BODIES)``, shape (k,).

    Returns:
        Mean distance, shape (...) [m].
    """
    chosen = np.asarray(indices, np.intp)
    position, ref_position = np.asarray(position, np.float64), np.asarray(ref_position, np.float64)
    return body_error(position[..., chosen, :], ref_position[..., chosen, :]).mean(axis=-1)


def height_error(position: ArrayLike, ref_position: ArrayLike, indices: ArrayLike) -> Array:
    """Largest absolute difference in height among a set of bodies.

    Args:
        position: Simulated body positions, shape (..., bodies, 3), world frame [m].
        ref_position: Reference body positions, same shape [m].
        indices: Bodies to compare, e.g. ``body.indices(HEIGHT_BODIES)``, shape (k,).

    Returns:
        Largest height difference, shape (...) [m].
    """
    chosen = np.asarray(indices, np.intp)
    height = np.asarray(position, np.float64)[..., chosen, 2]
    return np.abs(height - np.asarray(ref_position, np.float64)[..., chosen, 2]).max(axis=-1)


def survived_frames(error: ArrayLike, length: ArrayLike, *, threshold: float = FAILURE_DISTANCE) -> Ints:
    """Count the frames before the first at which any agent is too far from its reference.

    A frame without a measurement (NaN) inside the clip counts as a failure, so a diverged world is never a success.

    Args:
        error: Mean error of the reset bodies, shape (..., frames, roles) [m].
        length: Number of frames of each rollout's clip, shape (...), at most ``frames``.
        threshold: Failure distance; an error equal to it is still good [m].

    Returns:
        Frames survived, in 0..length, shape (...).
    """
    good = np.all(np.asarray(error) <= threshold, axis=-1)
    return np.minimum(np.cumprod(good, axis=-1).sum(axis=-1), length).astype(np.int64)


def evaluated_frames(survived: ArrayLike, length: ArrayLike) -> Ints:
    """Count the frames over which a rollout is judged: those it survived and the one at which it failed.

    Args:
        survived: Frames survived, shape (...).
        length: Number of frames of each rollout's clip, shape (...).

    Returns:
        Frames to average over, in 1..length, shape (...).
    """
    return np.minimum(np.asarray(survived) + 1, length).astype(np.int64)


def common_horizon(frames: Sequence[ArrayLike]) -> Ints:
    """Find the frames that all compared policies reached in the same rollout.

    Args:
        frames: For each policy the evaluated frames per rollout, each of shape (...), same seeds.

    Returns:
        The minimum over the policies, shape (...).
    """
    return np.min(np.stack([np.asarray(count) for count in frames]), axis=0).astype(np.int64)


def mean_over_frames(values: ArrayLike, frames: ArrayLike) -> Array:
    """Average a log over the first frames of each rollout; of body errors this is the MPJPE.

    Args:
        values: Log, shape (..., time, roles), NaN where nothing was measured.
        frames: Number of frames to average over, shape (...).

    Returns:
        Means, shape (..., roles); NaN where no frame was measured.
    """
    values = np.asarray(values, np.float64)
    inside = np.arange(values.shape[-2]) < np.asarray(frames)[..., None]
    measured = inside[..., None] & np.isfinite(values)
    count = measured.sum(axis=-2)
    total = np.where(measured, values, 0.0).sum(axis=-2)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def max_over_frames(values: ArrayLike, frames: ArrayLike) -> Array:
    """Find the largest value of a log over the first frames of each rollout.

    Args:
        values: Log, shape (..., time, channels), NaN where nothing was measured.
        frames: Number of frames to look at, shape (...).

    Returns:
        Maxima, shape (..., channels); NaN where no frame was measured.
    """
    values = np.asarray(values, np.float64)
    inside = np.arange(values.shape[-2]) < np.asarray(frames)[..., None]
    largest = np.where(inside[..., None] & np.isfinite(values), values, -np.inf).max(axis=-2)
    return np.where(np.isfinite(largest), largest, np.nan)


def spread_over_frames(values: ArrayLike, frames: ArrayLike) -> Array:
    """Norm of the standard deviations of each axis over the first frames; of a centre of mass, its (in)stability.

    Args:
        values: Log, shape (..., time, axes), NaN where nothing was measured.
        frames: Number of frames to look at, shape (...).

    Returns:
        Spread in the unit of the values, shape (...); NaN where no frame was measured.
    """
    values = np.asarray(values, np.float64)
    deviation = values - mean_over_frames(values, frames)[..., None, :]
    return np.sqrt(mean_over_frames(deviation**2, frames).sum(axis=-1))


def success(error: ArrayLike, length: ArrayLike, *, threshold: float = FAILURE_DISTANCE) -> Bools:
    """Whether no agent's mean error passed the threshold before the clip ended (the paper's success).

    Args:
        error: Mean error of the reset bodies, shape (..., frames, roles) [m].
        length: Number of frames of each rollout's clip, shape (...).
        threshold: Failure distance [m].

    Returns:
        Flags, shape (...).
    """
    return survived_frames(error, length, threshold=threshold) >= np.asarray(length)


def settle_frames(control_dt: float) -> int:
    """Count the frames of the last ``SETTLE_TIME`` of a clip, both ends included.

    Args:
        control_dt: Time between two frames [s].

    Returns:
        Number of frames; the frame with ``k`` frames after it is among them if ``k < settle_frames(control_dt)``.
    """
    return round(SETTLE_TIME / control_dt) + 1


def task_success(error: ArrayLike, height: ArrayLike, length: ArrayLike, *, control_dt: float) -> Bools:
    """Whether the recipient really arrived: no failure at 0.5 m, and at the reference height at the end.

    The paper's success rate also counts a recipient that never stood up, because its mean error can stay below 0.5 m;
    this does not.

    Args:
        error: Mean error of the reset bodies, shape (..., frames, roles) [m].
        height: Recipient's height error (see ``height_error``), shape (..., frames) [m].
        length: Number of frames of each rollout's clip, shape (...).
        control_dt: Time between two frames [s].

    Returns:
        Flags, shape (...).
    """
    height = np.asarray(height)
    length = np.asarray(length)[..., None]
    frame = np.arange(height.shape[-1])
    settling = (frame < length) & (frame >= length - settle_frames(control_dt))
    settled = np.all((height <= HEIGHT_TOLERANCE) | ~settling, axis=-1)
    return success(error, length[..., 0]) & settled


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its confidence interval."""

    mean: float
    """Mean over the rollouts in which the quantity was measured; NaN if there is none."""
    low: float
    """Lower end of the interval; NaN if there are too few rollouts to have one."""
    high: float
    """Upper end of the interval; NaN if there are too few rollouts to have one."""
    n: int
    """Number of rollouts in which the quantity was measured."""

    def to_json(self) -> dict[str, float | int | None]:
        """Return the estimate as a JSON object, with None for NaN."""
        numbers = {"mean": self.mean, "low": self.low, "high": self.high}
        return {**{name: value if np.isfinite(value) else None for name, value in numbers.items()}, "n": self.n}


def estimate_mean(values: ArrayLike, *, seed: int = 0, confidence: float = 0.95) -> Estimate:
    """Estimate the mean of a quantity over rollouts, with a bootstrap interval.

    Args:
        values: One number per rollout, shape (n,); NaN where it was not measured.
        seed: Seed of the bootstrap.
        confidence: Coverage of the interval.

    Returns:
        The estimate.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    low, high = bootstrap_interval(values, seed=seed, confidence=confidence)
    mean = float(values.mean()) if values.size else float("nan")
    return Estimate(mean=mean, low=low, high=high, n=values.size)


def estimate_rate(flags: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Estimate the rate of an event over rollouts, with Wilson's interval.

    Args:
        flags: One flag per rollout, shape (n,).
        confidence: Coverage of the interval.

    Returns:
        The estimate.
    """
    flags = np.asarray(flags, np.bool_)
    low, high = wilson_interval(int(flags.sum()), flags.size, confidence=confidence)
    mean = float(flags.mean()) if flags.size else float("nan")
    return Estimate(mean=mean, low=low, high=high, n=flags.size)


def bootstrap_interval(
    values: ArrayLike, *, seed: int = 0, confidence: float = 0.95, resamples: int = 2000
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean.

    Args:
        values: Finite samples, shape (n,).
        seed: Seed of the resampling; the same seed gives the same interval.
        confidence: Coverage.
        resamples: Number of bootstrap samples.

    Returns:
        Lower and upper end; (NaN, NaN) for fewer than two samples.
    """
    values = np.asarray(values, np.float64)
    if values.size < 2:
        return float("nan"), float("nan")
    chosen = np.random.default_rng(seed).integers(values.size, size=(resamples, values.size))
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(values[chosen].mean(axis=1), [tail, 100.0 - tail])
    return float(low), float(high)


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a rate, which stays sensible at 0 and 1 (E. B. Wilson, JASA 22, 1927).

    Args:
        successes: Number of successes.
        n: Number of trials.
        confidence: Coverage.

    Returns:
        Lower and upper end in [0, 1]; (NaN, NaN) without trials.
    """
    if n == 0:
        return float("nan"), float("nan")
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    rate, scale = successes / n, 1.0 + z**2 / n
    centre = (rate + z**2 / (2 * n)) / scale
    half = z / scale * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == n else float(centre + half)
    return low, high
