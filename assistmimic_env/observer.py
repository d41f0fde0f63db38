"""``Observer``: writes what both people of N worlds see into flat arrays; ``layout`` says what the numbers mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import observations
from .body import BodySpec
from .frames import BodyFrames, from_upright
from .layout import FORCE_SCALE, HAND_PARTS, build_layout
from .reference import Goal
from .worlds import Motion

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

TOUCH_FORCE = 1.0
"""A hand touches the partner above this force [N]."""


class Observer:
    """Builds observations.

    Args:
        body: Names of the people's bodies.
        num_worlds: N; memory for observing all worlds at once is kept.
        partner: Whether people see their partner; without it the blocks ``partner_*`` are 0.
        frames: Body frames whose axes are seen, see ``frames``.

    Attributes:
        layout: Name -> slice of the observation, of D numbers.
    """

    def __init__(
        self, body: BodySpec, num_worlds: int, *, partner: bool = True, frames: BodyFrames = "upright"
    ) -> None:
        self.layout = build_layout(body)
        self._frames: BodyFrames = frames
        self._lower = -self.layout.bounds
        hidden = () if partner else [self.layout[name] for name in self.layout.sizes if name.startswith("partner_")]
        self._hidden = tuple(hidden)
        self._num_bodies = body.num_bodies
        self._hands = np.stack(body.hands)
        self._wrists = body.indices(("L_Wrist", "R_Wrist"))
        self._vectors = np.empty((num_worlds, 2, (self.layout["contact_force"].stop - 1) // 3, 3))
        self._numbers = np.empty((num_worlds, 2, self.layout.size))

    def observe(self, motion: Motion, goal: Goal, force: Array, previous_action: Array) -> Floats:
        """Observations of n worlds.

        Args:
            motion: How the people move now.
            goal: Where they should be one step ahead.
            force: Force of the partner on each body, shape (n, 2, J, 3) [N].
            previous_action: Shape (n, 2, 3 (J - 1)).

        Returns:
            Shape (n, 2, D).
        """
        count = len(force)
        full, layout = count == len(self._numbers), self.layout
        vectors = self._vectors if full else np.empty((count, *self._vectors.shape[1:]))
        numbers = self._numbers if full else np.empty((count, *self._numbers.shape[1:]))
        forward = motion.matrix[..., 0, :, 0]
        heading = observations.matrix_of_axis(forward[..., 0], forward[..., 1])
        self._write_vectors(vectors, motion, goal, force, heading)
        turned = numbers[..., 1 : layout["contact_force"].stop].reshape(vectors.shape)
        np.matmul(vectors, heading, out=turned)
        numbers[..., 0] = motion.position[..., 0, 2]
        self._write_numbers(numbers, motion, force)
        numbers[..., layout["previous_action"]] = previous_action
        for block in self._hidden:
            numbers[..., block] = 0.0
        observation = numbers.astype(np.float32)
        np.minimum(observation, layout.bounds, out=observation)
        return np.maximum(observation, self._lower, out=observation)

    def _write_vectors(self, out: Array, motion: Motion, goal: Goal, force: Array, heading: Array) -> None:
        """All world vectors of the observation, in the layout's order."""
        j, position, columns = self._num_bodies, motion.position, self._axes(motion.matrix)
        goal_columns = goal.columns if self._frames == "upright" else self._axes(goal.matrix)
        error = observations.rotation_error_columns(motion.matrix, goal.matrix, heading)
        observations.self_vectors(motion.linear, columns, out=out[..., : 5 * j - 1, :])
        observations.goal_vectors(
            motion.linear, goal.motion, error, goal_columns, out=out[..., 5 * j - 1 : 13 * j - 1, :]
        )
        partner, root = out[..., 13 * j - 1 :, :], position[..., :1, :]
        np.subtract(position[:, ::-1], root, out=partner[..., :j, :])
        partner[..., j : 2 * j, :] = motion.velocity[:, ::-1]
        partner[..., 2 * j : 4 * j, :] = out[:, ::-1, j - 1 : 3 * j - 1]
        np.subtract(goal.motion[:, ::-1, 0], root, out=partner[..., 4 * j : 5 * j, :])
        partner[..., 5 * j : 6 * j, :] = goal.motion[:, ::-1, 1]
        partner[..., 6 * j :, :] = observations.squashed_force(force, FORCE_SCALE)

    def _axes(self, matrix: Array) -> Array:
        """X and z axes of bodies, shape (..., 2, 3)."""
        return observations.axes(from_upright(matrix, self._frames))

    def _write_numbers(self, out: Array, motion: Motion, force: Array) -> None:
        """The blocks of the partner group that do not live in the own heading frame."""
        layout, position = self.layout, motion.position
        own_root = out[..., layout["body_rotation"].start : layout["body_rotation"].start + 6]
        out[..., layout["partner_tilt"]] = own_root[:, ::-1]
        arm = position[:, ::-1, None] - position[:, :, self._wrists, None]
        seen = from_upright(np.matmul(arm, motion.matrix[:, :, self._wrists]), self._frames)
        out[..., layout["partner_from_wrists"]] = seen.reshape(*out.shape[:-1], -1)
        hands = force[:, :, self._hands]
        touching = np.einsum("nrhbi,nrhbi->nrhb", hands, hands) > TOUCH_FORCE**2
        parts = np.stack([touching[..., 0], touching[..., 1:].any(axis=-1)], axis=-1)
        touch = parts.reshape(*out.shape[:-1], HAND_PARTS)
        out[..., layout["hand_contact"]] = touch
        out[..., layout["partner_hand_contact"]] = touch[:, ::-1]
