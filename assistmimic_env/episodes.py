"""``Book`` and ``Episodes``: what is kept of running episodes, and what is told of those that ended."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .config import CONTROL_DT
from .tracking import Tracking

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]

SETTLE_FRAMES = metrics.settle_frames(CONTROL_DT)
"""Frames at the end of a clip in which the recipient must be at the reference height."""


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """Summaries of the episodes that ended in a step; E of them.

    Attributes:
        world: Which worlds, shape (E,).
        clip: Index of the clip, shape (E,).
        start_frame: Frame at which the episode began, shape (E,).
        length: Control steps, shape (E,).
        fraction: Share of the rest of the clip that was survived (without the failing step), in [0, 1],
            shape (E,).
        returns: Undiscounted returns per role, shape (E, 2).
        mpjpe: Mean body error over frames, bodies and roles, up to the end, shape (E,) [m].
        success_50: Survived to the end of the clip below 0.5 m (the paper's success), shape (E,).
        success_25: The same below 0.25 m, shape (E,).
        task_success: ``success_50`` and the recipient settled at the reference height, shape (E,).
        physics_error: The world diverged, shape (E,).
    """

    world: Ids
    clip: Ids
    start_frame: Ids
    length: Ids
    fraction: Array
    returns: Array
    mpjpe: Array
    success_50: Bools
    success_25: Bools
    task_success: Bools
    physics_error: Bools


@dataclass(kw_only=True)
class Book:
    """Episode bookkeeping of n worlds.

    Attributes:
        clip: Clip that is played, shape (n,).
        frame: Its frame at the present time, shape (n,).
        start: Frame at which the episode began, shape (n,).
        previous_action: Last action, clipped, shape (n, 2, 3 (J - 1)).
        returns: Undiscounted returns, shape (n, 2).
        error_sum: Mean body error summed over the episode's steps, shape (n,) [m].
        worst_error: Largest tracking error of either person, shape (n,) [m].
        settled: Whether the recipient kept the reference height within the settling time, shape (n,).
        observation: Current observation, shape (n, 2, D).
        difficulty: How impaired people are from the next episode on, in [0, 1], shape (n,).
        delay: Delay of the actions in this episode, shape (n,) [control steps].
        pending: Servo targets of the last steps, the newest first, shape (n, L, 2, 3 (J - 1)) [rad]; L is the longest
            delay.
    """

    clip: Ids
    frame: Ids
    start: Ids
    previous_action: Array
    returns: Array
    error_sum: Array
    worst_error: Array
    settled: Bools
    observation: Floats
    difficulty: Array
    delay: Ids
    pending: Array

    @classmethod
    def empty(cls, worlds: int, actions: int, observations: int, latency: int = 0) -> Book:
        """The book of worlds that were never reset."""
        return cls(
            clip=np.zeros(worlds, dtype=np.intp),
            frame=np.zeros(worlds, dtype=np.intp),
            start=np.zeros(worlds, dtype=np.intp),
            previous_action=np.zeros((worlds, 2, actions)),
            returns=np.zeros((worlds, 2)),
            error_sum=np.zeros(worlds),
            worst_error=np.zeros(worlds),
            settled=np.ones(worlds, dtype=np.bool_),
            observation=np.zeros((worlds, 2, observations), dtype=np.float32),
            difficulty=np.ones(worlds),
            delay=np.zeros(worlds, dtype=np.intp),
            pending=np.zeros((worlds, latency, 2, actions)),
        )

    @property
    def steps(self) -> Ids:
        """Control steps since the start of each episode, shape (n,)."""
        return self.frame - self.start

    def begin(self, ids: Ids, clip: Ids, frame: Ids) -> None:
        """Open new episodes at a frame of a clip; their first observation is still to be written."""
        self.clip[ids], self.frame[ids], self.start[ids] = clip, frame, frame
        for values in (self.previous_action, self.returns, self.error_sum, self.worst_error):
            values[ids] = 0.0
        self.settled[ids] = True

    def delayed(self, targets: Array) -> Array:
        """Queue the servo targets of all n worlds, shape (n, 2, 3 (J - 1)) [rad]; returns those that are due."""
        queue = np.concatenate([targets[:, None], self.pending], axis=1)
        self.pending = queue[:, :-1]
        return queue[np.arange(len(queue)), self.delay]

    def keep_score(self, reward: Array, tracking: Tracking, diverged: Bools, length: Ids) -> None:
        """Add one step of all n worlds.

        Args:
            reward: Shape (n, 2).
            tracking: Errors at the new time.
            diverged: Worlds whose numbers mean nothing, shape (n,).
            length: Frames of the clips that are played, shape (n,).
        """
        self.returns += reward
        self.error_sum += np.where(diverged, 0.0, tracking.body_error.mean(axis=(-2, -1)))
        worst = np.where(diverged, np.inf, tracking.tracking_error.max(axis=-1))
        np.maximum(self.worst_error, worst, out=self.worst_error)
        settling = self.frame >= length - SETTLE_FRAMES
        self.settled &= ~settling | (tracking.height_error <= metrics.HEIGHT_TOLERANCE)

    def summarise(self, done: Ids, completed: Bools, diverged: Bools, length: Ids) -> Episodes:
        """Tell what became of the episodes that end now.

        Args:
            done: Worlds in which an episode ends, shape (E,).
            completed: Whether the clip's end was reached, shape (n,).
            diverged: See ``keep_score``.
            length: See ``keep_score``.
        """
        if not done.size:
            return _NO_EPISODES
        book, steps, ended = self.rows(done), self.steps[done], completed[done]
        within = ended & (book.worst_error <= metrics.FAILURE_DISTANCE)
        survived = np.where(ended, steps, steps - 1)
        return Episodes(
            world=done,
            clip=book.clip,
            start_frame=book.start,
            length=steps,
            fraction=survived / (length[done] - 1 - book.start),
            returns=book.returns,
            mpjpe=book.error_sum / np.maximum(steps - diverged[done], 1),
            success_50=within,
            success_25=ended & (book.worst_error <= metrics.STRICT_DISTANCE),
            task_success=within & book.settled,
            physics_error=diverged[done],
        )

    def rows(self, ids: Ids) -> Book:
        """Copies of some worlds' rows."""
        return Book(**{item.name: getattr(self, item.name)[ids] for item in fields(self)})

    def write(self, ids: Ids, rows: Book) -> None:
        """Overwrite some worlds' rows; arrays handed out before keep their values."""
        for item in fields(self):
            values = getattr(self, item.name).copy()
            values[ids] = getattr(rows, item.name)
            setattr(self, item.name, values)


_NO_EPISODES = Episodes(
    world=np.zeros(0, dtype=np.intp),
    clip=np.zeros(0, dtype=np.intp),
    start_frame=np.zeros(0, dtype=np.intp),
    length=np.zeros(0, dtype=np.intp),
    fraction=np.zeros(0),
    returns=np.zeros((0, 2)),
    mpjpe=np.zeros(0),
    success_50=np.zeros(0, dtype=np.bool_),
    success_25=np.zeros(0, dtype=np.bool_),
    task_success=np.zeros(0, dtype=np.bool_),
    physics_error=np.zeros(0, dtype=np.bool_),
)
