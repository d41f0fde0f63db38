"""`Gait`: footholds along a path, swinging feet, and the centre of mass that balances over them.

Steps are slow and flat-footed. The centre of mass is that of a linear inverted pendulum whose zero-moment point rests
on the standing foot and moves from foot to foot while both stand: c - (h / g) c'' = p, solved as a boundary-value
problem over the whole walk (Kajita et al. 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .timing import FPS, REST_FRAMES, minimum_jerk

Array = NDArray[Any]

GRAVITY = 9.81
_CLEARANCE = 0.06
"""How high the ankle of a swinging foot rises [m]."""
_LIFT, _LIFT_FIRST = 0.35, 0.1
"""Shares of a swing in which the foot rises (and sinks), and in which it only rises before it moves forward."""


@dataclass(frozen=True, kw_only=True)
class Gait:
    """One person's walk beside a path that starts at the origin towards +x and turns evenly.

    Shapes: T frames, two feet (left, right). The first step is the left foot's.
    """

    steps: int
    """Number of steps; the last one closes the feet."""
    step_time: float
    """[s]."""
    step_length: float
    """Along the path [m]."""
    turn: float
    """How far the path turns in all, to the left [rad]."""
    beside: float
    """Distance from the path, to the left [m]."""
    width: float
    """Between the ankles [m]."""
    ankle_height: float
    """Of a flat foot [m]."""
    pendulum: float
    """Height of the centre of mass over the floor [m]."""
    double_support: float = 0.36
    """Share of a step in which both feet stand."""
    shift_time: float = 0.9
    """How long the weight takes onto the first standing foot, and back between the feet at the end [s]."""

    @property
    def distance(self) -> float:
        """Length of the path [m]."""
        return (self.steps - 1) * self.step_length

    @cached_property
    def time(self) -> Array:
        """Since the first weight shift began, shape (T,) [s]; `REST_FRAMES` still frames at both ends."""
        moving = round((2.0 * self.shift_time + self.steps * self.step_time) * FPS)
        return np.clip(np.arange(-REST_FRAMES, moving + REST_FRAMES + 1), 0, moving) / FPS

    def place(self, way: Array, left: Array | float) -> tuple[Array, Array]:
        """Points at some way along the path and distance to the left of this person's line.

        Args:
            way: Shape (...) [m].
            left: Shape (...) [m].

        Returns:
            Positions (..., 2) [m] and headings (...) [rad].
        """
        curvature = self.turn / self.distance
        heading = curvature * way
        half = 0.5 * heading
        chord = way * np.sinc(half / np.pi)
        middle = np.stack([chord * np.cos(half), chord * np.sin(half)], axis=-1)
        sideways = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
        return middle + np.asarray(self.beside + left)[..., None] * sideways, heading

    @cached_property
    def footholds(self) -> tuple[Array, Array]:
        """Ways (2, K) [m] of both feet before and after each of their steps, and when they begin to swing (2, K - 1).

        The foot that does not step as often repeats its last hold.
        """
        holds: list[list[float]] = [[0.0], [0.0]]
        starts: list[list[float]] = [[], []]
        for step in range(self.steps):
            holds[step % 2].append(self.step_length * min(step + 1, self.steps - 1))
            starts[step % 2].append(self.shift_time + (step + 0.5 * self.double_support) * self.step_time)
        count = max(map(len, holds))
        way = np.array([row + row[-1:] * (count - len(row)) for row in holds])
        begins = np.array([row + [np.inf] * (count - 1 - len(row)) for row in starts])
        return way, begins

    @property
    def swing_time(self) -> float:
        """How long a foot is in the air [s]."""
        return (1.0 - self.double_support) * self.step_time

    @cached_property
    def feet(self) -> tuple[Array, Array]:
        """Ankles (T, 2, 3) [m] and headings of the feet (T, 2) [rad]."""
        way, begins = self.footholds
        share = np.clip((self.time[:, None, None] - begins) / self.swing_time, 0.0, 1.0)
        forward = minimum_jerk((share - _LIFT_FIRST) / (1.0 - 2.0 * _LIFT_FIRST))
        along = way[:, 0] + np.sum(forward * np.diff(way, axis=1), axis=-1)
        lift = _CLEARANCE * np.sum(minimum_jerk(share / _LIFT) - minimum_jerk((share - 1.0) / _LIFT + 1.0), axis=-1)
        place, heading = self.place(along, 0.5 * self.width * np.array([1.0, -1.0]))
        return np.concatenate([place, (self.ankle_height + lift)[..., None]], axis=-1), heading

    @cached_property
    def pressure(self) -> Array:
        """The zero-moment point, shape (T, 2) [m]: between the feet, on the standing foot, between them again."""
        ankles = self.feet[0][..., :2]
        step = (self.time - self.shift_time) / self.step_time
        both = self.double_support
        onto = np.array([self._load(step, int(foot), both) for foot in (0, 1)])
        return np.einsum("ft,tfc->tc", onto, ankles) + self._forward()

    def _load(self, step: Array, foot: int, both: float) -> Array:
        """Share of the weight on a foot, shape (T,)."""
        share = np.full(len(step), 0.5)
        for index in range(self.steps):
            stands = 1.0 if index % 2 != foot else 0.0
            before = 0.5 if index == 0 else 1.0 - stands
            begin = -self.shift_time / self.step_time if index == 0 else index - 0.5 * both
            end = 0.5 * both if index == 0 else index + 0.5 * both
            onto = minimum_jerk((step - begin) / (end - begin))
            share = np.where(step > begin, before + (stands - before) * onto, share)
        last = 1.0 if (self.steps - 1) % 2 != foot else 0.0
        begin, end = self.steps - 0.5 * both, self.steps + self.shift_time / self.step_time
        return np.where(step > begin, last + (0.5 - last) * minimum_jerk((step - begin) / (end - begin)), share)

    def _forward(self) -> Array:
        """From the ankles to the middle of the feet, along the mean heading, shape (T, 2) [m]."""
        heading = self.feet[1].mean(axis=1)
        return 0.35 * self.ankle_height * np.stack([np.cos(heading), np.sin(heading)], axis=-1)

    @cached_property
    def center_of_mass(self) -> Array:
        """Where the centre of mass is over the floor, shape (T, 2) [m]."""
        count = len(self.time)
        stiffness = self.pendulum / GRAVITY * FPS**2
        system = (1.0 + 2.0 * stiffness) * np.eye(count) - stiffness * (np.eye(count, k=1) + np.eye(count, k=-1))
        system[[0, -1]] = np.eye(count)[[0, -1]]
        return np.linalg.solve(system, self.pressure)

    @cached_property
    def heading(self) -> Array:
        """Where the person faces, shape (T,) [rad]: the mean of the feet."""
        return self.feet[1].mean(axis=1)
