"""``StateBank``: simulated states that successful episodes went through, as starts of others.

Unlike the official code's (``spec/assistmimic.md`` defect 5) they keep the clip's frame and the whole generalised state
of both people, come from every world, and from successes only.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]
State = dict[str, NDArray[Any]]
"""What is remembered, as plain arrays: ``np.savez`` keeps it."""


@dataclass(frozen=True, kw_only=True)
class PhysicalState:
    """Simulated states of both people, from which episodes can start.

    Attributes:
        qpos: Generalised positions, shape (n, 2, 3 + 4 J).
        qvel: Generalised velocities, shape (n, 2, 3 + 3 J).
        action: Last actions, which are also the servos' targets, shape (n, 2, 3 (J - 1)).
    """

    qpos: Array
    qvel: Array
    action: Array

    def check(self, worlds: int, bodies: int) -> None:
        """Refuse states of another number of worlds or of another body.

        Raises:
            ConfigError: Naming the array, its shape and the one expected.
        """
        for name, size in (("qpos", 3 + 4 * bodies), ("qvel", 3 + 3 * bodies), ("action", 3 * (bodies - 1))):
            shape = getattr(self, name).shape
            if shape != (worlds, 2, size):
                raise ConfigError(
                    f"state.{name} has shape {shape}, expected {(worlds, 2, size)}: {worlds} worlds are reset and a "
                    f"person has {bodies} bodies. Take states from `physical_state` of the same environment."
                )

    def pack(self) -> Array:
        """One row per world, shape (n, S)."""
        return np.concatenate([values.reshape(len(values), -1) for values in (self.qpos, self.qvel, self.action)], 1)

    @classmethod
    def unpack(cls, rows: Array) -> PhysicalState:
        """What ``pack`` packed; the row's size, 2 (6 J - 3 + 4 J + 3), says how many bodies there are."""
        bodies = (rows.shape[1] - 6) // 20
        qpos, qvel, action = np.split(rows, np.cumsum([6 + 8 * bodies, 6 + 6 * bodies]), axis=1)
        return cls(**{n: v.reshape(len(rows), 2, -1) for n, v in (("qpos", qpos), ("qvel", qvel), ("action", action))})


class Recordable(Protocol):
    """What ``StateBank`` reads: a ``PairSimulation``."""

    @property
    def clip(self) -> Ids:
        """Clip of each world, shape (N,)."""
        ...

    @property
    def frame(self) -> Ids:
        """Frame of each world, shape (N,)."""
        ...

    @property
    def steps(self) -> Ids:
        """Control steps since the start of each episode, shape (N,)."""
        ...

    def physical_state(self, ids: Ids) -> PhysicalState:
        """States of some worlds."""
        ...


class StateBank:
    """States that successful episodes went through, the newest of each clip.

    A running episode leaves a state every few control steps, at another phase in each world. They are stored when it
    ends as a success and thrown away when it does not.

    Args:
        lengths: Frames of each clip, shape (C,).
        worlds: N.
        every: Control steps between two states; more in long clips, so that at most ``MOST`` are kept.
        capacity: Stored states of all clips together, at least ``LEAST`` of each.
    """

    LEAST, MOST = 16, 32
    """States that are stored of a clip at least, and that are kept of one episode at most."""

    def __init__(self, lengths: Ids, worlds: int, *, every: int = 8, capacity: int = 4096) -> None:
        self._last_start = lengths - 2
        self._stride = np.maximum(every, -(-lengths // self.MOST))
        self._phase = np.arange(worlds)
        room = max(self.LEAST, capacity // len(lengths))
        self._stored: defaultdict[int, deque[tuple[int, Array]]] = defaultdict(lambda: deque(maxlen=room))
        self._count = np.zeros(worlds, dtype=np.intp)
        self._frames = np.zeros((worlds, self.MOST), dtype=np.intp)
        self._rows = np.zeros((worlds, self.MOST, 0))

    def __len__(self) -> int:
        """Number of stored states."""
        return sum(map(len, self._stored.values()))

    def record(self, simulation: Recordable) -> None:
        """Keep the present state of the worlds whose turn it is; to be called after every step."""
        steps, frame, clip = simulation.steps, simulation.frame, simulation.clip
        due = ((steps + self._phase) % self._stride[clip] == 0) & (steps > 0) & (frame <= self._last_start[clip])
        ids = np.flatnonzero(due & (self._count < self.MOST))
        if not ids.size:
            return
        rows = simulation.physical_state(ids).pack()
        if not self._rows.size:
            self._rows = np.zeros((*self._frames.shape, rows.shape[1]))
        self._frames[ids, self._count[ids]], self._rows[ids, self._count[ids]] = frame[ids], rows
        self._count[ids] += 1

    def end(self, worlds: Ids, clip: Ids, success: Bools) -> None:
        """Store or throw away what is kept of episodes that ended.

        Args:
            worlds: Shape (E,).
            clip: What was played, shape (E,).
            success: Whether the clip's end was reached, shape (E,).
        """
        for world, index in zip(worlds[success], clip[success], strict=True):
            kept = self._count[world]
            frames, rows = self._frames[world, :kept].tolist(), self._rows[world, :kept].copy()
            self._stored[int(index)].extend(zip(frames, rows, strict=True))
        self._count[worlds] = 0

    def draw(self, clip: int, random: np.random.Generator) -> tuple[int, Array] | None:
        """Frame and packed state, one of those nearest to a frame drawn uniformly; ``None`` if the clip has none.

        Late frames are reached from all starts and stored most; drawn as they come, they would take most starts.
        """
        stored = self._stored.get(clip)
        if not stored:
            return None
        distance = np.abs(np.array([frame for frame, _ in stored]) - random.integers(self._last_start[clip] + 1))
        nearest = np.flatnonzero(distance == distance.min())
        return stored[nearest[random.integers(nearest.size)]]

    def get_state(self) -> State:
        """What is stored, the oldest first: ``clip`` (S,), ``frame`` (S,) and packed ``state`` (S, size)."""
        entries = [(clip, frame, row) for clip, stored in self._stored.items() for frame, row in stored]
        size = self._rows.shape[2] if not entries else len(entries[0][2])
        return {
            "clip": np.array([clip for clip, _, _ in entries], dtype=np.int64),
            "frame": np.array([frame for _, frame, _ in entries], dtype=np.int64),
            "state": np.array([row for _, _, row in entries], dtype=np.float64).reshape(len(entries), size),
        }

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``get_state`` returned; of more than fits, the newest stay."""
        self._stored.clear()
        for clip, frame, row in zip(state["clip"].tolist(), state["frame"].tolist(), state["state"], strict=True):
            self._stored[clip].append((frame, row.copy()))
