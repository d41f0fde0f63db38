"""`as_sampled`: a clip as a motion-diffusion model would have made it, to try its import without a model.

What is wrong with such motion is documented: "floating, foot sliding, and ground penetration" (PhysDiff, arXiv
2212.02500), for two people also interpenetration (PhysiInter, arXiv 2506.07456), and joints that jitter, so that
InterGen smooths its own output with a Gaussian of one frame before it is shown (tools/infer.py). As each joint is
predicted by itself, bones have no fixed length. How much of each there is in `Flaws` is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..body import BodySpec
from ..clip import PairClip, resample
from ..errors import ConfigError
from ..formats.intergen import FPS
from ..formats.skeletons import SMPL22

__all__ = ["Flaws", "as_sampled"]

Array = NDArray[np.float64]

_JOINT_BAND, _PERSON_BAND = 2.0, 0.25
"""Joints and bones wander below the first frequency, people as a whole below the second [Hz]."""
_WAVES = 16
"""Waves that a slow error consists of."""


@dataclass(frozen=True, kw_only=True)
class Flaws:
    """How much is wrong with sampled motion.

    Raises:
        ConfigError: A value is out of its range.
    """

    jitter: float = 0.005
    """Error of a joint that is new in each frame, standard deviation along each axis [m]; 0.005 is an acceleration of
    11 m/s^2 at 30 frames per second."""
    wander: float = 0.008
    """Error of a joint that comes and goes below 2 Hz, standard deviation along each axis [m]."""
    strain: float = 0.03
    """Change of a bone's length below 2 Hz, standard deviation, as a share of its length."""
    drift: float = 0.03
    """Error of a person's place below 0.25 Hz, standard deviation along each horizontal axis [m]: feet skate."""
    depth: float = 0.03
    """Mean depth of both people in the floor [m]."""
    bob: float = 0.008
    """Change of that depth below 0.25 Hz, person by person, standard deviation [m]."""
    miss: float = 0.04
    """How far the recipient stands from where the supporter's hands go, in a direction that the seed draws [m]."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value <= 0.2:
                raise ConfigError(f"flaws: {field.name} is {value}, expected a value in [0, 0.2].")


def as_sampled(clip: PairClip, *, seed: int, flaws: Flaws | None = None) -> Array:
    """Joint positions in the layout of InterGen's samples, with the errors of such samples.

    Args:
        clip: Any two-person clip on a floor at height 0; it is left as it is.
        seed: Draws the errors; the same seed gives the same ones.
        flaws: How large they are.

    Returns:
        SMPL's first 22 joints, shape (T, 2, 22, 3) [m], y up, 30 frames per second; the supporter comes first.
    """
    flaws = flaws or Flaws()
    random = np.random.default_rng(seed)
    clip = resample(clip, FPS)
    joints = _strained(clip.position, clip.bodies[0], flaws.strain, random)
    joints += flaws.jitter * random.standard_normal(joints.shape)
    joints += flaws.wander * _slow(random, joints.shape, _JOINT_BAND)
    joints += _displacement(clip.num_frames, flaws, random)[:, :, None]
    x, y, z = np.moveaxis(joints[:, :, clip.bodies[0].indices(SMPL22.joints)], -1, 0)
    return np.stack([x, z, -y], axis=-1)


def _strained(position: Array, body: BodySpec, strain: float, random: np.random.Generator) -> Array:
    """Positions (T, 2, J, 3) on bones whose lengths change, the pelvis where it was."""
    parents = np.array(body.parents[1:])
    bone = position[:, :, 1:] - position[:, :, parents]
    bone = bone * (1.0 + strain * _slow(random, (*bone.shape[:-1], 1), _JOINT_BAND))
    out = position.copy()
    for index, parent in enumerate(parents):
        out[:, :, index + 1] = out[:, :, parent] + bone[:, :, index]
    return out


def _displacement(frames: int, flaws: Flaws, random: np.random.Generator) -> Array:
    """What is added to a person's joints, shape (T, 2, 3) [m]."""
    spread = np.array([flaws.drift, flaws.drift, flaws.bob])
    shift = spread * _slow(random, (frames, 2, 3), _PERSON_BAND) - (0.0, 0.0, flaws.depth)
    angle = random.uniform(0.0, 2.0 * np.pi)
    shift[:, 1] += flaws.miss * np.array([np.cos(angle), np.sin(angle), 0.0])
    return shift


def _slow(random: np.random.Generator, shape: tuple[int, ...], band: float) -> Array:
    """Noise of unit variance over time, the first axis of the shape, without frequencies above a band [Hz]."""
    waves = (_WAVES, *shape[1:])
    frequency, phase = random.uniform(0.0, band, waves), random.uniform(0.0, 1.0, waves)
    time = np.arange(shape[0]).reshape(-1, *[1] * len(waves)) / FPS
    return np.sqrt(2.0 / _WAVES) * np.cos(2.0 * np.pi * (time * frequency + phase)).sum(axis=1)
