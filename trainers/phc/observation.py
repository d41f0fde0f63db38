"""PHC's observations by their width (``spec/phc.md`` section 4), and how they compare with ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from assistmimic_env.errors import CheckpointError

BODY_NAMES: Mapping[int, str] = {24: "smpl24", 52: "smpl52"}
"""Number of bodies -> name of the body; 24 is SMPL, 52 is SMPL-X without jaw and eyes."""

SHAPE_SIZE = 11
"""Gender and ten shape coefficients."""

_GOAL = {
    6: {
        "goal_position_error": 3,
        "goal_rotation_error": 6,
        "goal_velocity_error": 3,
        "goal_angular_velocity_error": 3,
        "goal_position": 3,
        "goal_rotation": 6,
    },
    7: {"goal_position_error": 3, "goal_velocity_error": 3, "goal_position": 3},
}
"""Task observation version -> numbers per body of each block, named as in `assistmimic_env.layout`."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One of PHC's observations."""

    bodies: int
    """Number of bodies, 24 or 52."""
    version: int
    """Of the task observation: 6 (full) or 7 (key points)."""
    tracked: int
    """Number of bodies with a reference: all, or 3 (head and hands)."""
    steps: int
    """Number of future reference samples: 1 or 3."""
    shape: bool
    """Whether the body's shape is observed."""

    @property
    def size(self) -> int:
        """Width."""
        return sum(self.blocks.values())

    @property
    def controls(self) -> int:
        """Width of the action that goes with it."""
        return 3 * (self.bodies - 1)

    @property
    def upright(self) -> bool:
        """Whether rotations and actions are in our body frames, or in SMPL's (the option ``frames``)."""
        return self.bodies == 24

    @property
    def blocks(self) -> dict[str, int]:
        """Name -> width of each block in order; blocks of later reference samples end in ``_2`` and ``_3``."""
        j = self.bodies
        blocks = {
            "root_height": 1,
            "body_position": 3 * (j - 1),
            "body_rotation": 6 * j,
            "body_velocity": 3 * j,
            "body_angular_velocity": 3 * j,
        }
        if self.shape:
            blocks["shape"] = SHAPE_SIZE
        for step, (name, width) in itertools.product(range(1, self.steps + 1), _GOAL[self.version].items()):
            blocks[name if step == 1 else f"{name}_{step}"] = width * self.tracked
        return blocks

    @property
    def layout(self) -> dict[str, tuple[int, int]]:
        """Name -> start and stop of each block."""
        stops = list(itertools.accumulate(self.blocks.values()))
        return dict(zip(self.blocks, itertools.pairwise([0, *stops]), strict=True))

    def __str__(self) -> str:
        goal = sum(width for name, width in self.blocks.items() if name.startswith("goal"))
        extras = [f"{SHAPE_SIZE} of them body shape"] if self.shape else []
        extras += [f"{self.tracked} tracked bodies"] if self.tracked != self.bodies else []
        extras += [f"{self.steps} future samples"] if self.steps != 1 else []
        return f"{self.bodies} bodies, self v1 {self.size - goal} + task v{self.version} {goal}" + "".join(
            f", {extra}" for extra in extras
        )


def known_observations() -> Iterator[Observation]:
    """All observations of PHC's configurations; no two have the same width."""
    for bodies, version in itertools.product(BODY_NAMES, _GOAL):
        for tracked, steps in ((bodies, 1), (bodies, 3), (3, 1)):
            for shape in (False, True) if bodies == 24 else (False,):
                yield Observation(bodies=bodies, version=version, tracked=tracked, steps=steps, shape=shape)


def identify(source: str, size: int, controls: int | None) -> Observation:
    """Find the observation that a network takes.

    Args:
        source: The file, for messages.
        size: Inputs of its first layer.
        controls: Outputs of its last layer; None if these are not controls.

    Raises:
        CheckpointError: No observation has this width, or not with these controls.
    """
    known = {observation.size: observation for observation in known_observations()}
    if size not in known:
        near = known[min(known, key=lambda width: abs(width - size))]
        widths = ", ".join(str(width) for width in sorted(known))
        raise CheckpointError(
            f"{source}: first layer expects {size} inputs, known observations have {widths}. "
            f"The nearest has {near.size} ({near}), {size - near.size:+d}. Only PHC's configurations can be imported."
        )
    found = known[size]
    if controls not in (None, found.controls):
        raise CheckpointError(
            f"{source}: last layer gives {controls} controls, expected {found.controls}, because its {size} inputs are "
            f"those of {found.bodies} bodies. Known bodies have 69 (24 bodies) and 153 (52 bodies) controls."
        )
    return found


def differing_blocks(blocks: Mapping[str, int], ours: Mapping[str, int]) -> list[str]:
    """List the blocks that a policy has and an environment lacks (+) or the other way round (-).

    Args:
        blocks: Name -> width of the policy's blocks.
        ours: Name -> width of the environment's blocks.
    """
    names = dict.fromkeys([*blocks, *ours])
    changes = {name: blocks.get(name, 0) - ours.get(name, 0) for name in names}
    return [f"{name} ({change:+d})" for name, change in changes.items() if change]
