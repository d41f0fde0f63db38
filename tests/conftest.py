"""Shared by the tests: two standing people, as a toy clip and as simulated worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import settings

from assistmimic_env import rotations
from assistmimic_env.body import BodySpec, smpl24
from assistmimic_env.clip import Furniture, PairClip
from assistmimic_env.config import ActuationLaw, PhysicsConfig
from assistmimic_env.scene import Setting, build_scene
from assistmimic_env.worlds import Worlds

settings.register_profile("assistmimic", deadline=None, max_examples=100, derandomize=True)
settings.load_profile("assistmimic")


@pytest.fixture(scope="session")
def standing_pair() -> Callable[..., PairClip]:
    """Factory of clips in which two people stand face to face with their arms hanging and swinging."""

    def make(
        frames: int = 90,
        *,
        fps: float = 30.0,
        gap: float = 0.7,
        swing: float = 0.1,
        bodies: tuple[BodySpec, BodySpec] | None = None,
        furniture: tuple[Furniture, ...] = (),
        name: str = "standing_pair",
    ) -> PairClip:
        people = (smpl24(), smpl24()) if bodies is None else bodies
        body, time = people[0], np.arange(frames) / fps
        root = np.zeros((frames, 2, 3))
        root[:, :, 2] = [person.rest_height for person in people]
        root[:, 1, 0] = gap
        local = np.zeros((frames, 2, body.num_bodies, 4))
        local[..., 0] = 1.0
        local[:, 1, 0] = rotations.yaw_quaternion(np.pi)
        arm = np.zeros((frames, 3))
        arm[:, 0] = swing * np.sin(3.0 * time) - 1.3
        local[:, :, body.index("L_Shoulder")] = rotations.from_rotation_vector(arm)[:, None]
        local[:, :, body.index("R_Shoulder")] = rotations.from_rotation_vector(-arm)[:, None]
        return PairClip(
            name=name,
            fps=fps,
            offsets=np.stack([person.offsets for person in people]),
            masses=np.array([person.mass for person in people]),
            root_position=root,
            local_rotation=local,
            furniture=furniture,
        )

    return make


@pytest.fixture(scope="session")
def make_worlds() -> Callable[..., Worlds]:
    """Factory of worlds in which two people stand in the rest pose (T-pose) face to face."""

    def make(
        num_worlds: int = 1,
        *,
        threads: int = 1,
        gap: float = 2.0,
        physics: PhysicsConfig | None = None,
        actuation: ActuationLaw = "so3",
        variants: Sequence[Setting] | None = None,
    ) -> Worlds:
        default = [Setting(bodies=(smpl24(), smpl24()))]
        scene = build_scene(default if variants is None else variants, physics=physics, actuation=actuation)
        worlds = Worlds(scene, num_worlds, threads=threads)
        stand(worlds, np.arange(num_worlds), gap=gap)
        return worlds

    return make


def stand(worlds: Worlds, ids: np.ndarray, *, gap: float) -> None:
    """Reset worlds to the rest pose, the recipient ``gap`` in front of the supporter, facing it."""
    bodies, joints = worlds.scene.settings[0].bodies, worlds.scene.body.num_bodies
    qpos = np.zeros((len(ids), 2, 3 + 4 * joints))
    qpos[:, :, 2] = [body.rest_height for body in bodies]
    qpos[:, 1, 0] = gap
    qpos[:, :, 3::4] = 1.0
    qpos[:, 1, 3:7] = rotations.yaw_quaternion(np.pi)
    qvel = np.zeros((len(ids), 2, 3 + 3 * joints))
    worlds.reset(ids, qpos, qvel, np.zeros((len(ids), 2, 3 * (joints - 1))))
