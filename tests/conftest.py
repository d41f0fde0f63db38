"""Shared by the tests: worlds of two standing people; toy clips and environments are in `toys`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import settings

from assistmimic_env import rotations
from assistmimic_env.body import smpl24
from assistmimic_env.config import ActuationLaw, PhysicsConfig
from assistmimic_env.scene import Setting, build_scene
from assistmimic_env.worlds import Worlds

settings.register_profile("assistmimic", deadline=None, max_examples=100, derandomize=True)
settings.load_profile("assistmimic")


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
