"""``Recording``: the poses of one rollout, to be drawn later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .rendering import Ghost, Image
    from .scene import Setting
    from .simulation import PairSimulation

    Array = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The poses of one rollout, until its end.

    Attributes:
        setting: Who and what is in the scene.
        position: World positions, shape (F, 2, J, 3) [m].
        rotation: World rotations, shape (F, 2, J, 4).
        ref_position: Reference positions, shape (F, 2, J, 3) [m].
        ref_rotation: Reference rotations, shape (F, 2, J, 4).
        targets: Moved targets of the supporter's wrists and hands, shape (F, 4, 3) [m], (F, 0, 3) without retargeting.
    """

    setting: Setting
    position: Array
    rotation: Array
    ref_position: Array
    ref_rotation: Array
    targets: Array


class Film:
    """Collects the poses of the first worlds of a simulation while they last.

    Args:
        simulation: The worlds.
        count: How many of them.
    """

    def __init__(self, simulation: PairSimulation, count: int) -> None:
        self._simulation = simulation
        self._worlds = np.arange(count)
        self._poses: list[list[tuple[Array, ...]]] = [[] for _ in range(count)]

    def take(self, going: Bools) -> None:
        """Keep the present poses of the worlds that are still going, shape (N,)."""
        worlds = self._worlds[going[: len(self._worlds)]]
        if not worlds.size:
            return
        simulation, reference = self._simulation, self._simulation.reference
        motion = simulation.worlds.motion(worlds)
        row = reference.row(simulation.clip[worlds], simulation.frame[worlds])
        targets = simulation.hand_targets(worlds)
        targets = np.empty((len(worlds), 0, 3)) if targets is None else targets
        poses = (motion.position, motion.rotation, reference.position[row], reference.rotation[row], targets)
        for index, world in enumerate(worlds):
            self._poses[world].append(tuple(pose[index].copy() for pose in poses))

    def recordings(self) -> tuple[Recording, ...]:
        """What was kept, one recording per world."""
        made = []
        for world, poses in enumerate(self._poses):
            arrays = [np.stack(column) for column in zip(*poses, strict=True)]
            keys = ("position", "rotation", "ref_position", "ref_rotation", "targets")
            setting = self._simulation.scene.settings[self._simulation.clip[world]]
            made.append(Recording(setting=setting, **dict(zip(keys, arrays, strict=True))))
        return tuple(made)


def frames(
    recording: Recording,
    *,
    width: int = 854,
    height: int = 480,
    ghost: Ghost = "beside",
    samples: int = 0,
    every: int = 1,
) -> Iterator[Image]:
    """Draw a recording, one picture per control step (30 per second), or fewer.

    Args:
        recording: What to draw.
        width: Picture width [pixels].
        height: Picture height [pixels].
        ghost: Where the translucent reference goes, see `rendering.PairRenderer`.
        samples: Samples per pixel: 0 is fast, 4 is smooth.
        every: Control steps from one picture to the next.

    Yields:
        Pictures, shape (height, width, 3).

    Raises:
        MissingDependencyError: There is no off-screen OpenGL (when the first picture is asked for).
    """
    from .rendering import PairRenderer

    setting = recording.setting
    with PairRenderer(
        setting.bodies, setting.furniture, width=width, height=height, ghost=ghost, samples=samples
    ) as renderer:
        references = zip(recording.ref_position, recording.ref_rotation, strict=True)
        drawn = zip(recording.position, recording.rotation, references, recording.targets, strict=True)
        for position, rotation, reference, targets in islice(drawn, 0, None, every):
            yield renderer.frame(position, rotation, reference=reference, targets=targets)
