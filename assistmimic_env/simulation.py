"""``PairSimulation``: the task on N worlds, arrays in, arrays out. All environments are views of it.

One control step: actions -> servo targets -> physics -> errors against the reference at the new time ->
reward, failure, end of the clip -> observation with the reference one step ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from . import metrics, observations, rewards, rotations
from .actuation import action_scale, action_to_target
from .body import impaired
from .clip import PairClip
from .config import CONTROL_DT, EnvConfig
from .errors import ConfigError
from .grip import clip_holds
from .layout import FORCE_SCALE, HAND_BODIES, build_layout
from .random import Streams
from .reference import build_reference
from .scene import Setting, build_scene
from .worlds import Motion, Worlds, WorldsState

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]

TOUCH_FORCE = 1.0
"""A hand touches the partner above this force [N]."""


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

    @classmethod
    def empty(cls, worlds: int, actions: int, observations: int) -> Book:
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
class Tracking:
    """How far the people are from their references, per world and role.

    Attributes:
        body_error: Distance of every body, shape (N, 2, J) [m].
        tracking_error: Mean over the 16 reset bodies, shape (N, 2) [m].
        height_error: Recipient's pelvis and head against their reference heights, shape (N,) [m].
        terms: Imitation terms, shape (N, 2, 4).
    """

    body_error: Array
    tracking_error: Array
    height_error: Array
    terms: Array


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
        )
        self._holds = self._hold_table()
        self.body = self.scene.body
        self.layout = build_layout(self.body)
        self.action_scale = action_scale(self.body)
        self.worlds = Worlds(self.scene, num_worlds, threads=threads)
        self._reset_bodies = self.body.indices(metrics.RESET_BODIES)
        self._height_bodies = self.body.indices(metrics.HEIGHT_BODIES)
        self._hands = self.body.indices(HAND_BODIES)
        self._wrists = self.body.indices(("L_Wrist", "R_Wrist"))
        self._settle_frames = metrics.settle_frames(CONTROL_DT)
        self._streams = Streams(np.arange(num_worlds))
        self._allocate()
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
        holds = clip_holds(clip) if self.config.grip.mode == "reference" else ()
        return Setting(bodies=people, furniture=clip.furniture, holds=holds)

    def _hold_table(self) -> tuple[Bools, Array]:
        """Whether the reference holds at each row, shape (F, holds), and the rest lengths per clip, (C, holds) [m]."""
        active = np.zeros((len(self.reference.rotation), len(self.scene.holds)), dtype=np.bool_)
        rest = np.zeros((len(self.reference.clips), len(self.scene.holds)))
        for clip, setting in enumerate(self.scene.settings):
            rows = self.reference.first[clip] + np.arange(self.reference.length[clip])
            for hold in setting.holds:
                column = self.scene.holds.index(hold.key)
                active[rows, column] = hold.active(np.arange(len(rows)) * CONTROL_DT)
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

    def _allocate(self) -> None:
        n, size = self.num_worlds, self.layout.size
        self._book = Book.empty(n, self.body.num_dofs, size)
        self._vectors = np.empty((n, 2, (self.layout["contact_force"].stop - 1) // 3, 3))
        self._numbers = np.empty((n, 2, size))

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
        return self.frame - self._book.start

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
        book = self._book
        book.clip[ids], book.frame[ids], book.start[ids] = chosen, frame, frame
        for values in (book.previous_action, book.returns, book.error_sum, book.worst_error):
            values[ids] = 0.0
        book.settled[ids] = True
        observation = self._observe(ids, self.worlds.motion(ids))
        book.observation[ids] = observation
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
        np.clip(action, -1.0, 1.0, out=book.previous_action)
        targets = action_to_target(book.previous_action, self.action_scale, self.config.actuation)
        diverged = self.worlds.step(targets, self._holding())
        book.frame += 1
        motion = self.worlds.motion()
        tracking = self._track(motion)
        reward, terms = self._reward(tracking, diverged)
        failed = (tracking.tracking_error > self.config.termination_distance).any(axis=-1)
        terminated = failed | diverged
        completed = ~terminated & (self.frame >= self.reference.length[self.clip] - 1)
        truncated = completed if self.max_steps is None else ~terminated & (completed | (self.steps >= self.max_steps))
        self._keep_score(reward, tracking, diverged)
        contact_force = self.worlds.contact_force.copy()
        observation = self._observe(self._everyone, motion)
        if diverged.any():
            observation[diverged] = book.observation[diverged]
        book.observation = observation
        done = np.flatnonzero(terminated | truncated)
        episodes = self._summarise(done, completed, diverged)
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

    def _track(self, motion: Motion) -> Tracking:
        row = self.reference.row(self.clip, self.frame)
        ref, ref_rotation = self.reference.motion[row], self.reference.rotation[row]
        error = motion.linear - ref
        offset = error[:, :, 0]
        distance = np.sqrt(np.einsum("nrji,nrji->nrj", offset, offset))
        angle = rotations.angle_between(motion.rotation, ref_rotation)
        square_angle = np.einsum("nrj,nrj->nr", angle, angle) / angle.shape[-1]
        return Tracking(
            body_error=distance,
            tracking_error=distance[..., self._reset_bodies].mean(axis=-1),
            height_error=np.abs(offset[:, 1, self._height_bodies, 2]).max(axis=-1),
            terms=rewards.imitation_terms(rewards.mean_square(error), square_angle, self.config.reward),
        )

    def _reward(self, tracking: Tracking, diverged: Bools) -> tuple[Array, dict[str, Array]]:
        power = rewards.joint_power(self.worlds.torque, self.worlds.qvel[..., 6:])
        reward = rewards.weigh(tracking.terms, self.config.reward) - self.config.reward.power * power
        if diverged.any():
            reward[diverged] = 0.0
        terms = {name: tracking.terms[..., i] for i, name in enumerate(rewards.IMITATION_TERMS)}
        return reward, {**terms, "power": power}

    def _keep_score(self, reward: Array, tracking: Tracking, diverged: Bools) -> None:
        book = self._book
        book.returns += reward
        book.error_sum += np.where(diverged, 0.0, tracking.body_error.mean(axis=(-2, -1)))
        worst = np.where(diverged, np.inf, tracking.tracking_error.max(axis=-1))
        np.maximum(book.worst_error, worst, out=book.worst_error)
        settling = self.frame >= self.reference.length[self.clip] - self._settle_frames
        book.settled &= ~settling | (tracking.height_error <= metrics.HEIGHT_TOLERANCE)

    def _summarise(self, done: Ids, completed: Bools, diverged: Bools) -> Episodes:
        if not done.size:
            return _NO_EPISODES
        book = self._book.rows(done)
        steps, ended = self.steps[done], completed[done]
        within = ended & (book.worst_error <= metrics.FAILURE_DISTANCE)
        survived = np.where(ended, steps, steps - 1)
        return Episodes(
            world=done,
            clip=book.clip,
            start_frame=book.start,
            length=steps,
            fraction=survived / (self.reference.length[book.clip] - 1 - book.start),
            returns=book.returns,
            mpjpe=book.error_sum / np.maximum(steps - diverged[done], 1),
            success_50=within,
            success_25=ended & (book.worst_error <= metrics.STRICT_DISTANCE),
            task_success=within & book.settled,
            physics_error=diverged[done],
        )

    # --- observation ---------------------------------------------------------------------------------------

    def _observe(self, ids: Ids, motion: Motion) -> Floats:
        """Observation of some worlds, shape (n, 2, D); see ``layout`` for the meaning of the numbers."""
        full, layout = len(ids) == self.num_worlds, self.layout
        vectors = self._vectors if full else np.empty((len(ids), *self._vectors.shape[1:]))
        numbers = self._numbers if full else np.empty((len(ids), *self._numbers.shape[1:]))
        row = self.reference.row(self.clip[ids], self.frame[ids] + 1)
        force = self.worlds.contact_force[ids]
        forward = motion.matrix[..., 0, :, 0]
        heading = observations.matrix_of_axis(forward[..., 0], forward[..., 1])
        self._write_vectors(vectors, motion, row, force, heading)
        turned = numbers[..., 1 : layout["contact_force"].stop].reshape(vectors.shape)
        np.matmul(vectors, heading, out=turned)
        numbers[..., 0] = motion.position[..., 0, 2]
        self._write_numbers(numbers, motion, force)
        numbers[..., layout["previous_action"]] = self._book.previous_action[ids]
        observation = numbers.astype(np.float32)
        return np.clip(observation, -layout.bounds, layout.bounds, out=observation)

    def _write_vectors(self, out: Array, motion: Motion, row: Ids, force: Array, heading: Array) -> None:
        """All world vectors of the observation, in the layout's order."""
        j, ref, position = self.body.num_bodies, self.reference, motion.position
        goal, matrix, columns = ref.motion[row], ref.matrix[row], observations.axes(motion.matrix)
        error = observations.rotation_error_columns(motion.matrix, matrix, heading)
        observations.self_vectors(motion.linear, columns, out=out[..., : 5 * j - 1, :])
        observations.goal_vectors(
            motion.linear, goal, error, observations.axes(matrix), out=out[..., 5 * j - 1 : 13 * j - 1, :]
        )
        partner, root = out[..., 13 * j - 1 :, :], position[..., :1, :]
        np.subtract(position[:, ::-1], root, out=partner[..., :j, :])
        partner[..., j : 2 * j, :] = motion.velocity[:, ::-1]
        partner[..., 2 * j : 4 * j, :].reshape(columns.shape)[:] = columns[:, ::-1]
        np.subtract(goal[:, ::-1, 0], root, out=partner[..., 4 * j : 5 * j, :])
        partner[..., 5 * j : 6 * j, :] = goal[:, ::-1, 1]
        partner[..., 6 * j :, :] = observations.squashed_force(force, FORCE_SCALE)

    def _write_numbers(self, out: Array, motion: Motion, force: Array) -> None:
        """The blocks of the partner group that do not live in the own heading frame."""
        layout, position = self.layout, motion.position
        own_root = out[..., layout["body_rotation"].start : layout["body_rotation"].start + 6]
        out[..., layout["partner_tilt"]] = own_root[:, ::-1]
        arm = position[:, ::-1, None] - position[:, :, self._wrists, None]
        seen = np.matmul(arm, motion.matrix[:, :, self._wrists])
        out[..., layout["partner_from_wrists"]] = seen.reshape(*out.shape[:-1], -1)
        hands = force[:, :, self._hands]
        touch = np.einsum("nrhi,nrhi->nrh", hands, hands) > TOUCH_FORCE**2
        out[..., layout["hand_contact"]] = touch
        out[..., layout["partner_hand_contact"]] = touch[:, ::-1]

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
