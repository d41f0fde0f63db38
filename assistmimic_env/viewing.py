"""Looking at a running simulation: pictures of a world, or a window that follows it."""

from __future__ import annotations

import atexit
import threading
import warnings
from typing import Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import MissingDependencyError
from .rendering import PairRenderer
from .simulation import PairSimulation

_CLOSING_TIME = 5.0
"""How long to wait for a window's thread [s]."""


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
        elif not simulation.steps[world]:
            self._renderer.restart_camera()
        row = simulation.reference.row(simulation.clip[[world]], simulation.frame[[world]])[0]
        motion = simulation.worlds.motion(np.array([world]))
        reference = (simulation.reference.position[row], simulation.reference.rotation[row])
        targets = simulation.hand_targets(np.array([world]))
        return self._renderer.frame(
            motion.position[0], motion.rotation[0], reference=reference, targets=None if targets is None else targets[0]
        )

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
        self._threads: set[threading.Thread] = set()

    def frame(self, world: int) -> None:
        """Show one world as it is now; opens the window at the first call."""
        clip = int(self._simulation.clip[world])
        model, data = self._simulation.worlds.world_data(world)
        if self._viewer is None or clip != self._clip:
            self.close()
            self._open(model, data)
            self._clip = clip
        viewer: Any = self._viewer
        with viewer.lock():
            mujoco.mj_copyData(self._data, model, data)
        viewer.sync()

    def _open(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        before = set(threading.enumerate())
        try:
            from mujoco import viewer

            _require_display()
            self._viewer = viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)
        except Exception as error:
            raise MissingDependencyError(
                f"no window can be opened here ({error}). Use render_mode='rgb_array' or `assistmimic render`."
            ) from error
        self._threads = set(threading.enumerate()) - before
        self._data = data
        atexit.register(self.close)

    def close(self) -> None:
        """Close the window and wait for its thread: an interpreter that ends before it crashes."""
        if self._viewer is not None:
            atexit.unregister(self.close)
            self._viewer.close()
            self._viewer = None
            for thread in self._threads:
                thread.join(timeout=_CLOSING_TIME)


def _require_display() -> None:
    """Refuse to start the viewer without a display: its thread would end the whole process."""
    import glfw

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if not glfw.init():
            raise RuntimeError("GLFW finds no display")
