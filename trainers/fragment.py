"""`Fragment`: T steps of N worlds while they are sampled, which become a `RolloutChunk`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns

from .rollout import JOINT, RolloutChunk

Array = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sizes:
    """Sizes of one role's vectors."""

    observation: int
    action: int
    distribution: int
    """Number of inputs of the action distribution."""
    further: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Columns that a special runner adds -> shape of one row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ending:
    """Segments that end with the same step; n of them.

    Attributes:
        step: Which of the fragment's steps.
        world: Shape (n,).
        terminated: Shape (n,).
        truncated: Shape (n,).
        bootstrap: Role -> observation after that step, (n, D).
    """

    step: int
    world: Ids
    terminated: Bools
    truncated: Bools
    bootstrap: Mapping[str, Array]


@dataclass(kw_only=True, eq=False)
class Fragment:
    """Room for T steps of N worlds.

    Attributes:
        columns: Role -> column -> (N, T, ...), the columns of a chunk.
        endings: Ends of episodes, in the order of their steps.
        steps: How many steps are filled.
    """

    columns: Mapping[str, Mapping[str, Array]]
    endings: list[Ending] = field(default_factory=list)
    steps: int = 0

    @classmethod
    def empty(cls, worlds: int, steps: int, sizes: Mapping[str, Sizes], *, state_size: int = 0) -> Fragment:
        """Allocate; a state size above 0 makes room for the joint state."""

        def room(*shape: int) -> Array:
            return np.empty((worlds, steps, *shape), dtype=np.float32)

        joint = {JOINT: {Columns.OBS: room(state_size)}} if state_size else {}
        return cls(
            columns={
                role: {
                    Columns.OBS: room(size.observation),
                    Columns.ACTIONS: room(size.action),
                    Columns.ACTION_DIST_INPUTS: room(size.distribution),
                    Columns.ACTION_LOGP: room(),
                    Columns.REWARDS: room(),
                    **{name: room(*shape) for name, shape in size.further.items()},
                }
                for role, size in sizes.items()
            }
            | joint
        )

    def add(self, rows: Mapping[str, Mapping[str, Array]]) -> None:
        """Fill the next step.

        Args:
            rows: Role -> column -> (N, ...).
        """
        for role, columns in rows.items():
            for name, values in columns.items():
                self.columns[role][name][:, self.steps] = values
        self.steps += 1

    def end_episodes(self, terminated: Bools, truncated: Bools, final: Mapping[str, Array]) -> None:
        """Note which episodes ended with the step that was added last.

        Args:
            terminated: Shape (N,).
            truncated: Shape (N,).
            final: Role -> true last observations, (N, D), valid where an episode ended.
        """
        self._end(np.flatnonzero(terminated | truncated), terminated, truncated, final)

    def chunk(self, following: Mapping[str, Array]) -> RolloutChunk:
        """The steps so far, cut into segments.

        Args:
            following: Role -> observation after the last step, (N, D); it continues the worlds that go on.
        """
        self._cut(following)
        world = np.concatenate([ending.world for ending in self.endings])
        step = np.repeat([ending.step for ending in self.endings], [len(ending.world) for ending in self.endings])
        order = np.lexsort((step, world))
        return RolloutChunk(
            columns={
                role: {name: _flat(column[:, : self.steps]) for name, column in columns.items()}
                for role, columns in self.columns.items()
            },
            bootstrap={
                role: np.concatenate([ending.bootstrap[role] for ending in self.endings])[order]
                for role in self.columns
            },
            lengths=np.diff((world * self.steps + step)[order], prepend=-1),
            terminated=np.concatenate([ending.terminated for ending in self.endings])[order],
            truncated=np.concatenate([ending.truncated for ending in self.endings])[order],
        )

    def _cut(self, following: Mapping[str, Array]) -> None:
        """End the segments of the worlds whose episode did not end with the last step."""
        nowhere = np.zeros(len(next(iter(following.values()))), dtype=np.bool_)
        running = ~nowhere
        for ending in self.endings:
            if ending.step == self.steps - 1:
                running[ending.world] = False
        self._end(np.flatnonzero(running), nowhere, nowhere, following)

    def _end(self, world: Ids, terminated: Bools, truncated: Bools, observations: Mapping[str, Array]) -> None:
        self.endings.append(
            Ending(
                step=self.steps - 1,
                world=world,
                terminated=terminated[world],
                truncated=truncated[world],
                bootstrap={role: values[world] for role, values in observations.items()},
            )
        )


def _flat(column: Array) -> Array:
    """(N, T, ...) -> (N T, ...)."""
    return column.reshape(-1, *column.shape[2:])
