"""``PairSimulation``: the task on N worlds, arrays in, arrays out. All environments are views of it.

One control step: actions -> servo targets -> physics -> errors against the reference at the new time ->
reward, failure, end of the clip -> observation with the reference one step ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rewards, rotations
from .actuation import action_scale, action_to_target
from .body import impaired
from .clip import PairClip
from .config import CONTROL_DT, EnvConfig
from .episodes import Book, Episodes
from .errors import ConfigError
from .grip import clip_holds
from .observer import Observer
from .random import Streams
from .reference import build_reference
from .reward_terms import RewardContext, reward_terms
from .scene import Setting, build_scene
from .tracking import Tracker, Tracking
from .worlds import Motion, Worlds, WorldsState

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class SimulationState:
    """Everything that decides how some worlds go on.

    Attributes:
        worlds: Physics.
        streams: Random streams, shape (n, 2).
        book: Episode bookkeeping.
    """

    worlds: WorldsState
    streams: NDArray[np.uint64]
    book: Book


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Result of one control step in N worlds.

    Attributes:
        observation: Next observation, after automatic resets that of the new episode, shape (N, 2, D).
        reward: Shape (N, 2).
        terminated: The episode failed (tracking error or divergence), shape (N,).
        truncated: The clip ended (or ``max_steps`` passed), shape (N,).
        physics_error: The world diverged; its reward is 0, shape (N,).
        terms: Reward terms before weighting, name -> (N, 2).
        tracking: Errors against the reference at the new time (of the ended episode where one ended).
        contact_force: Force of the partner on each body during the last substep, shape (N, 2, J, 3) [N].
        final_observation: True last observations of ended episodes, shape (E, 2, D).
        episodes: Their summaries.
    """

    observation: Floats
    reward: Floats
    terminated: Bools
    truncated: Bools
    physics_error: Bools
    terms: dict[str, Array]
    tracking: Tracking
    contact_force: Array
    final_observation: Floats
    episodes: Episodes


class PairSimulation:
    """N worlds in which a supporter and a recipient track their halves of a clip.

    Args:
        clips: Motion; every world plays one of them per episode.
        num_worlds: N.
        config: The task.
        threads: C threads of the physics; 0 means all CPUs.
        auto_reset: Whether an ended episode is followed by the next one within the same step.

    Attributes:
        max_steps: Truncate episodes after this many control steps; ``None``: only at the end of the clip.
    """

    def __init__(
        self,
        clips: Sequence[PairClip],
        num_worlds: int,
        config: EnvConfig,
        *,
        threads: int = 0,
        auto_reset: bool = True,
    ) -> None:
        self.config = config
        self.num_worlds = num_worlds
        self.auto_reset = auto_reset
        self.max_steps: int | None = None
        self.reference = build_reference(clips)
        self._check_body()
        self.scene = build_scene(
            [self._setting(clip) for clip in self.reference.clips],
            physics=config.physics,
            actuation=config.actuation,
            grip=config.grip,
            solo=config.solo,
        )
        self._holds = self._hold_table()
        self.body = self.scene.body
        self.action_scale = action_scale(self.body)
        self.worlds = Worlds(self.scene, num_worlds, threads=threads)
        self._tracker = Tracker(self.reference, self.body, config.reward)
        self._observer = Observer(self.reference, self.body, num_worlds)
        self.layout = self._observer.layout
        self._extra_terms = reward_terms(config.reward.extra)
        self._streams = Streams(np.arange(num_worlds))
        self._book = Book.empty(num_worlds, self.body.num_dofs, self.layout.size)
        self._everyone = np.arange(num_worlds)

    def _check_body(self) -> None:
        found = self.reference.clips[0].body
        if found != self.config.body:
            raise ConfigError(
                f"the clip '{self.reference.clips[0].name}' was made for the body '{found}', the environment uses "
                f"'{self.config.body}'. Pass body='{found}', or clips made for '{self.config.body}'."
            )

    def _setting(self, clip: PairClip) -> Setting:
        supporter, recipient = clip.bodies
        people = (impaired(supporter, self.config.supporter), impaired(recipient, self.config.recipient))
        holding = self.config.grip.mode == "reference" and not self.config.solo
        holds = clip_holds(clip) if holding else ()
        return Setting(bodies=people, furniture=clip.furniture, holds=holds)

    def _hold_table(self) -> tuple[Bools, Array]:
        """Whether the reference holds at each row, shape (F, holds), and the rest lengths per clip, (C, holds) [m]."""
        active = np.zeros((len(self.reference.rotation), len(self.scene.holds)), dtype=np.bool_)
        rest = np.zeros((len(self.reference.clips), len(self.scene.holds)))
        for clip, setting in enumerate(self.scene.settings):
            rows = self.reference.first[clip] + np.arange(self.reference.length[clip])
            for hold in setting.holds:
                column = self.scene.holds.index(hold.key)
                active[rows, column] = hold.active(np.arange(len(rows), dtype=np.float64) * CONTROL_DT)
                rest[clip, column] = hold.rest
        return active, rest

    def _holding(self) -> Bools | None:
        """Hands that hold during the next step: those of the reference that are near enough, shape (N, holds)."""
        if not self.worlds.num_holds:
            return None
        active, rest = self._holds
        gap = np.linalg.norm(self.worlds.hold_gap(), axis=-1)
        near = gap - rest[self.clip] <= self.config.grip.release
        return active[self.reference.row(self.clip, self.frame + 1)] & near

    # --- bookkeeping views --------------------------------------------------------------------------------

    @property
    def clip(self) -> Ids:
        """Clip of each world, shape (N,)."""
        return self._book.clip

    @property
    def frame(self) -> Ids:
        """Reference frame of the present time in each world, shape (N,)."""
        return self._book.frame

    @property
    def steps(self) -> Ids:
        """Control steps since the start of each episode, shape (N,)."""
        return self._book.steps

    @property
    def observation(self) -> Floats:
        """Current observation, shape (N, 2, D)."""
        return self._book.observation

    # --- reset ---------------------------------------------------------------------------------------------

    def seed(self, seeds: NDArray[np.integer]) -> None:
        """Start the random streams of all worlds anew; shape (N,)."""
        self._streams = Streams(seeds)

    def reset(self, ids: Ids, *, clip: Ids | None = None, frame: Ids | None = None) -> Floats:
        """Start new episodes on the reference, with the configured start noise.

        Args:
            ids: Worlds, shape (n,).
            clip: Clip per world, shape (n,); by default drawn.
            frame: First frame per world, shape (n,), clamped so that one step remains; by default as
                ``config.start`` says.

        Returns:
            Their first observations, shape (n, 2, D).
        """
        draws = self._streams.uniform(ids, 2)
        count = len(self.reference.clips)
        chosen = np.minimum((draws[:, 0] * count).astype(np.intp), count - 1) if clip is None else clip
        last_start = self.reference.length[chosen] - 2
        if frame is None:
            uniform = np.minimum((draws[:, 1] * (last_start + 1)).astype(np.intp), last_start)
            frame = uniform if self.config.start == "uniform" else np.zeros_like(last_start)
        frame = np.clip(frame, 0, last_start)
        row = self.reference.row(chosen, frame)
        qpos, qvel = self._noisy(ids, self.reference.qpos[row], self.reference.qvel[row])
        targets = self.reference.target[row].reshape(len(ids), 2, -1)
        self.worlds.reset(ids, qpos, qvel, targets, chosen)
        self._book.begin(ids, chosen, frame)
        observation = self._observe(ids, self.worlds.motion(ids))
        self._book.observation[ids] = observation
        return observation

    def _noisy(self, ids: Ids, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        """Perturb reference states by the start noise (nothing is drawn when its scale is 0)."""
        scale, noise, j = self.config.start_noise, self.config.noise, self.body.num_bodies
        if scale == 0.0:
            return qpos, qvel
        angle = np.full((j, 3), noise.joint_angle)
        angle[0] = noise.root_rotation
        shift = np.array([noise.root_position, noise.root_position, 0.0])
        speed = np.concatenate(
            [np.full(3, noise.root_velocity), np.zeros(3), np.full(3 * (j - 1), noise.joint_velocity)]
        )
        draws = scale * self._streams.normal(ids, 2 * (3 * j + 3 + speed.size)).reshape(len(ids), 2, -1)
        turn, move, push = np.split(draws, [3 * j, 3 * j + 3], axis=-1)
        quaternions = rotations.multiply(
            qpos[..., 3:].reshape(len(ids), 2, j, 4),
            rotations.from_rotation_vector(turn.reshape(len(ids), 2, j, 3) * angle),
        )
        position = qpos[..., :3] + move * shift
        return np.concatenate([position, quaternions.reshape(len(ids), 2, -1)], axis=-1), qvel + push * speed

    # --- step ----------------------------------------------------------------------------------------------

    def step(self, action: NDArray[np.floating]) -> Transition:
        """Advance all worlds by one control step.

        Args:
            action: Shape (N, 2, 3 (J - 1)); clipped to [-1, 1].
        """
        book = self._book
        previous_action = book.previous_action.copy() if self._extra_terms else book.previous_action
        np.clip(action, -1.0, 1.0, out=book.previous_action)
        targets = action_to_target(book.previous_action, self.action_scale, self.config.actuation)
        diverged = self.worlds.step(targets, self._holding())
        book.frame += 1
        motion, row = self.worlds.motion(), self.reference.row(book.clip, book.frame)
        length = self.reference.length[book.clip]
        tracking = self._tracker.track(motion, row)
        reward, terms = self._reward(tracking)
        if self._extra_terms:
            self._add_extra_terms(reward, terms, self._context(motion, row, tracking, previous_action), diverged)
        if diverged.any():
            reward[diverged] = 0.0
        failed = (tracking.tracking_error > self.config.termination_distance).any(axis=-1)
        terminated = failed | diverged
        completed = ~terminated & (book.frame >= length - 1)
        truncated = completed if self.max_steps is None else ~terminated & (completed | (self.steps >= self.max_steps))
        book.keep_score(reward, tracking, diverged, length)
        contact_force = self.worlds.contact_force.copy()
        observation = self._observe(self._everyone, motion)
        if diverged.any():
            observation[diverged] = book.observation[diverged]
        book.observation = observation
        done = np.flatnonzero(terminated | truncated)
        episodes = book.summarise(done, completed, diverged, length)
        final_observation = observation[done]
        if done.size and self.auto_reset:
            book.observation = observation = observation.copy()
            observation[done] = self.reset(done)
        return Transition(
            observation=observation,
            reward=reward.astype(np.float32),
            terminated=terminated,
            truncated=truncated,
            physics_error=diverged,
            terms=terms,
            tracking=tracking,
            contact_force=contact_force,
            final_observation=final_observation,
            episodes=episodes,
        )

    def _reward(self, tracking: Tracking) -> tuple[Array, dict[str, Array]]:
        power = rewards.joint_power(self.worlds.torque, self.worlds.qvel[..., 6:])
        reward = rewards.weigh(tracking.terms, self.config.reward) - self.config.reward.power * power
        terms = {name: tracking.terms[..., i] for i, name in enumerate(rewards.IMITATION_TERMS)}
        return reward, {**terms, "power": power}

    def _add_extra_terms(self, reward: Array, terms: dict[str, Array], context: RewardContext, diverged: Bools) -> None:
        for term in self._extra_terms:
            terms[term.name] = term.evaluate(context, diverged)
            if term.weight != 0.0:
                reward += term.weight * terms[term.name]

    def _context(self, motion: Motion, row: Ids, tracking: Tracking, previous_action: Array) -> RewardContext:
        return RewardContext(
            body=self.body,
            clip=self.clip,
            frame=self.frame,
            motion=motion,
            reference=self.reference,
            row=row,
            tracking=tracking,
            contact_force=self.worlds.contact_force,
            torque=self.worlds.torque,
            joint_velocity=self.worlds.qvel[..., 6:],
            action=self._book.previous_action,
            previous_action=previous_action,
        )

    def _observe(self, ids: Ids, motion: Motion) -> Floats:
        """Observation of some worlds, with the reference one step ahead, shape (n, 2, D)."""
        row = self.reference.row(self.clip[ids], self.frame[ids] + 1)
        return self._observer.observe(motion, row, self.worlds.contact_force[ids], self._book.previous_action[ids])

    # --- state ---------------------------------------------------------------------------------------------

    def get_state(self, ids: Ids) -> SimulationState:
        """Copy everything that decides how some worlds go on."""
        return SimulationState(
            worlds=self.worlds.get_state(ids),
            streams=self._streams.get_state(ids),
            book=self._book.rows(ids),
        )

    def set_state(self, state: SimulationState, ids: Ids) -> None:
        """Continue some worlds bit for bit from a saved state, also one of another world."""
        self.worlds.set_state(state.worlds, ids)
        self._streams.set_state(state.streams, ids)
        self._book.write(ids, state.book)
