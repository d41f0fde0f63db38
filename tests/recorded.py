"""Two people in asymmetric poses, written down joint by joint, for the tests of the motion formats."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assistmimic_env import rotations
from assistmimic_env.body import get_body
from assistmimic_env.clip import load_clip
from assistmimic_env.errors import ClipError
from assistmimic_env.formats.take import Take

Array = NDArray[np.float64]

STEP = 0.01
"""Both people drift along x by this per frame [m]."""

DETECTED = (AssertionError, ClipError)
"""What a wrong importer meets: the pose check, or one of its own."""

# A looks along +x, her left is +y: the left arm is stretched out, the right hand reaches forward, the right foot is
# ahead and lifted. Metres, z up.
A = {
    "Pelvis": (0.00, 0.00, 1.00), "Torso": (-0.02, 0.00, 1.10), "Spine": (-0.01, 0.01, 1.21),
    "Chest": (0.00, 0.00, 1.32), "Neck": (0.02, 0.00, 1.47), "Head": (0.05, 0.02, 1.57),
    "L_Hip": (0.00, 0.10, 0.95), "L_Knee": (0.05, 0.12, 0.52), "L_Ankle": (-0.02, 0.12, 0.10),
    "L_Toe": (0.12, 0.14, 0.03), "R_Hip": (0.00, -0.10, 0.95), "R_Knee": (0.30, -0.11, 0.64),
    "R_Ankle": (0.20, -0.12, 0.22), "R_Toe": (0.34, -0.15, 0.16),
    "L_Thorax": (0.00, 0.04, 1.41), "L_Shoulder": (0.01, 0.18, 1.42), "L_Elbow": (0.02, 0.45, 1.40),
    "L_Wrist": (0.04, 0.70, 1.37), "L_Hand": (0.05, 0.79, 1.36),
    "R_Thorax": (0.01, -0.04, 1.41), "R_Shoulder": (0.00, -0.18, 1.42), "R_Elbow": (0.24, -0.22, 1.30),
    "R_Wrist": (0.50, -0.15, 1.35), "R_Hand": (0.58, -0.13, 1.38),
}  # fmt: skip
# B stands before A, looks back at her, and crouches a little.
B = {name: (1.2 - x, 0.3 - y, 0.93 * z) for name, (x, y, z) in A.items()}


def people(frames: int = 12) -> Array:
    """Joints of A and B, shape (T, 2, 24, 3) [m], z up, in the order of ``smpl24``."""
    pose = np.array([[person[name] for name in get_body().names] for person in (A, B)])
    drift = np.zeros((frames, 1, 1, 3))
    drift[:, 0, 0, 0] = STEP * np.arange(frames)
    return pose + drift


def rows(positions: Array, layout: dict[int, str], count: int) -> Array:
    """Joints in a source's order.

    Args:
        positions: Shape (T, 2, 24, 3).
        layout: Row of the source -> our body; all other rows lie far away.
        count: Rows of the source.

    Returns:
        Shape (T, 2, count, 3).
    """
    out = np.full((len(positions), 2, count, 3), 77.0)
    for row, name in layout.items():
        out[:, :, row] = positions[:, :, get_body().index(name)]
    return out


def y_up(positions: Array) -> Array:
    """The same world with y up: x stays, y is our z, z is our -y."""
    x, y, z = np.moveaxis(positions, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def check(take: Take, names: set[str], fps: float, *, order: tuple[int, int] = (0, 1)) -> None:
    """Assert that a take shows A and B, in this order, in exactly these joints, at their speed."""
    truth, body = people(), get_body()
    for person, who in zip(take.people, order, strict=True):
        measured = {name for name in body.names if np.isfinite(person.joints[:, body.index(name)]).all()}
        assert measured == names
        error = person.joints - truth[:, who]
        assert np.nanmax(np.abs(error)) < 1e-6
        speed = np.diff(person.joints[:, body.index("R_Wrist"), 0]) * take.fps
        np.testing.assert_allclose(speed, STEP * fps, rtol=1e-4)


def moving_clip() -> tuple[Array, Array]:
    """A bundled clip's joints (T, 2, 24, 3) and rotations (T, 2, 24, 4)."""
    clip = load_clip("sit_to_stand/train_00")
    return clip.position, rotations.normalize(clip.rotation)


class Bomb:
    """What a hostile pickle holds: a call that makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)
