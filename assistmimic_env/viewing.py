"""Looking at a running simulation: pictures of a world, or a window that follows it."""

from __future__ import annotations

from typing import Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import MissingDependencyError
from .rendering import PairRenderer
from .simulation import PairSimulation


class View(Protocol):
    """Something that shows a world."""

    def frame(self, world: int) -> NDArray[np.uint8] | None:
        """Show one world as it is now."""

    def close(self) -> None:
        """Free what was opened."""


class WorldCamera:
    """Pictures of the worlds of a simulation, beside the translucent reference.

    Args:
        simulation: What to look at.
        **options: Options of ``PairRenderer``, e.g. ``width`` and ``height``.
    """

    def __init__(self, simulation: PairSimulation, **options: Any) -> None:
        self._simulation = simulation
        self._clip = int(simulation.clip[0])
        self._renderer = PairRenderer(*self._cast(), **options)

    def _cast(self) -> tuple[Any, Any]:
        setting = self._simulation.scene.settings[self._clip]
        return setting.bodies, setting.furniture

    def frame(self, world: int) -> NDArray[np.uint8]:
        """Picture of one world, shape (H, W, 3)."""
        simulation = self._simulation
        clip = int(simulation.clip[world])
        if clip != self._clip:
            self._clip = clip
            self._renderer.set_scene(*self._cast())
        row = simulation.reference.row(simulation.clip[[world]], simulation.frame[[world]])[0]
        motion = simulation.worlds.motion(np.array([world]))
        reference = (simulation.reference.position[row], simulation.reference.rotation[row])
        return self._renderer.frame(motion.position[0], motion.rotation[0], reference=reference)

    def close(self) -> None:
        """Free the OpenGL context."""
        self._renderer.close()


class WorldWindow:
    """MuJoCo's native viewer, following a world.

    Args:
        simulation: What to look at.

    Raises:
        MissingDependencyError: No window can be opened here.
    """

    def __init__(self, simulation: PairSimulation) -> None:
        self._simulation = simulation
        self._clip = -1
        self._viewer: Any = None

    def frame(self, world: int) -> None:
        """Show one world as it is now; opens the window at the first call."""
        clip = int(self._simulation.clip[world])
        model, data = self._simulation.worlds.world_data(world)
        if self._viewer is None or clip != self._clip:
            self.close()
            self._open(model, data)
            self._clip = clip
        with self._viewer.lock():
            mujoco.mj_copyData(self._data, model, data)
        self._viewer.sync()

    def _open(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        try:
            from mujoco import viewer

            self._viewer = viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)
        except Exception as error:
            raise MissingDependencyError(
                f"no window can be opened here ({error}). Use render_mode='rgb_array' or `assistmimic render`."
            ) from error
        self._data = data

    def close(self) -> None:
        """Close the window."""
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None
