"""``PairSimulation``: the task on N worlds, arrays in, arrays out. All environments are views of it.

One control step: actions -> servo targets -> physics -> errors against the reference at the new time ->
reward, failure, end of the clip -> observation with the reference one step ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .actuation import action_scale, action_to_target, target_to_action
from .body_change import on_body
from .clearance import Clearance
from .clip import PairClip
from .config import EnvConfig
from .disturbances import Disturbances
from .episodes import Book, Episodes
from .grip import make_grip, setting_holds
from .hands import Hands
from .observer import Observer
from .random import Streams
from .reference import Goal, build_reference
from .retargeting import Retargeting, Shift
from .rewarder import Rewarder
from .scene import Setting, build_scene
from .state_bank import PhysicalState
from .strength import Strength, impaired, perturbed
from .tracking import Tracking
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
        clips: Motion; every world plays one of them per episode. Clips of other bodies are put on ``config.body``.
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
        self.reference = build_reference([on_body(clip, config.body) for clip in clips])
        self.scene = build_scene(
            [self._setting(clip) for clip in self.reference.clips],
            physics=config.physics,
            actuation=config.actuation,
            grip=config.grip,
            solo=config.solo,
        )
        self.body = self.scene.body
        self.action_scale = action_scale(self.body)
        self._frozen = self._frozen_joints()
        self.worlds = Worlds(self.scene, num_worlds, threads=threads)
        self._grip = make_grip(self.worlds, self.reference, config.grip)
        hands = Hands([setting.bodies for setting in self.scene.settings])
        self._rewarder = Rewarder(self.reference, self.body, config, hands)
        follows = config.retargeting.mode != "none"
        self._retargeting = Retargeting(self.reference, hands, config.retargeting) if follows else None
        self._observer = Observer(self.body, num_worlds, partner=config.partner_observations, frames=config.frames)
        self.layout = self._observer.layout
        self._disturbances = Disturbances(config.randomisation, self.layout)
        healthy = [clip.bodies for clip in self.reference.clips]
        weak = [setting.bodies for setting in self.scene.settings]
        self._strength = Strength.of(healthy, weak, (config.supporter, config.recipient))
        self._clearance: Clearance | None = None
        if config.start_noise > 0.0:
            held = None if self._grip is None else self._grip.active
            self._clearance = Clearance(self.scene, self.reference.qpos, config.noise, held)
        self._streams = Streams(np.arange(num_worlds))
        latency = config.randomisation.latency
        self._book = Book.empty(num_worlds, self.body.num_dofs, self.layout.size, latency)
        self._everyone = np.arange(num_worlds)

    def _frozen_joints(self) -> Ids:
        """Joints whose servos hold the reference, shape (K,)."""
        beyond = np.concatenate([hand[1:] for hand in self.body.hands]) - 1
        return beyond if self.config.fingers == "frozen" else beyond[:0]

    def _setting(self, clip: PairClip) -> Setting:
        config, (supporter, recipient) = self.config, clip.bodies
        people = (
            perturbed(impaired(supporter, config.supporter), config.perturbation.supporter, config.supporter),
            perturbed(impaired(recipient, config.recipient), config.perturbation.recipient, config.recipient),
        )
        holds = () if config.solo else setting_holds(clip, people, config.grip)
        return Setting(bodies=people, furniture=clip.furniture, holds=holds)

    def hold_lengths(self, clip: Ids, row: Ids) -> Array | None:
        """What hands hold during the step to reference rows (N,), see ``Grip.lengths``; ``None``: nobody can hold."""
        return None if self._grip is None else self._grip.lengths(clip, row)

    def targets_of(self, action: Array) -> Array:
        """Servo targets (..., J - 1, 3) [rad], in our body frames, of actions (..., 3 (J - 1))."""
        return action_to_target(action, self.action_scale, self.config.actuation, self.config.frames)

    def actions_for(self, target: Array) -> Array:
        """Actions (..., 3 (J - 1)), not clipped, that ask for servo targets (..., J - 1, 3) [rad]."""
        return target_to_action(target, self.action_scale, self.config.frames)

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

    @property
    def difficulty(self) -> Array:
        """How impaired the people of each world are from its next reset on, shape (N,); may be written.

        1: as configured; 0: not at all; between, gains and torque limits are interpolated geometrically. Masses stay.
        """
        return self._book.difficulty

    @difficulty.setter
    def difficulty(self, level: Array | float) -> None:
        self._book.difficulty[:] = level

    @property
    def shift(self) -> Shift | None:
        """How far the supporter's hand targets have moved now; ``None`` without retargeting."""
        return self._shift(self._everyone, self.worlds.motion())

    def hand_targets(self, ids: Ids) -> Array | None:
        """Where the supporter's wrists and knuckles should be now, after retargeting, shape (n, 4, 3) [m].

        ``None`` without retargeting.
        """
        shift = self._shift(ids, self.worlds.motion(ids))
        if self._retargeting is None or shift is None:
            return None
        goal = self._goal(self.reference.row(self.clip[ids], self.frame[ids]), shift)
        return self._retargeting.hand_positions(goal)

    # --- reset ---------------------------------------------------------------------------------------------

    def seed(self, seeds: NDArray[np.integer]) -> None:
        """Start the random streams of all worlds anew, and draw the bodies that belong to them; shape (N,)."""
        self._streams = Streams(seeds)
        if self._disturbances.varies_bodies:
            mass, friction = self._disturbances.bodies(self._streams, self._everyone)
            self.worlds.set_mass_scale(self._everyone, np.stack([np.ones_like(mass), mass], axis=-1))
            self.worlds.set_friction_scale(self._everyone, friction)

    def reset(
        self, ids: Ids, *, clip: Ids | None = None, frame: Ids | None = None, state: PhysicalState | None = None
    ) -> Floats:
        """Start new episodes on the reference with the configured start noise, or in given states.

        Args:
            ids: Worlds, shape (n,).
            clip: Clip per world, shape (n,); by default drawn.
            frame: First frame per world, shape (n,), clamped so that one step remains; by default as
                ``config.start`` says.
            state: Simulated states of both people to start in (at the given clip and frame), without noise.

        Returns:
            Their first observations, shape (n, 2, D).

        Raises:
            ConfigError: A state that does not fit.
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
        qpos, qvel, targets = self._noisy(ids, chosen, row) if state is None else self._given(state, chosen, frame)
        self._set_strength(ids, chosen)  # before the forces of the first observation
        self.worlds.reset(ids, qpos, qvel, targets, chosen)
        self._book.begin(ids, chosen, frame)
        if state is not None:
            self._book.previous_action[ids] = np.clip(state.action, -1.0, 1.0)
            self._still_frozen()
        if self.config.randomisation.latency:
            self._book.delay[ids] = self._disturbances.latency(self._streams, ids)
            self._book.pending[ids] = targets[:, None]
        observation = self._observe(ids, self.worlds.motion(ids))
        self._book.observation[ids] = observation
        return observation

    def _set_strength(self, ids: Ids, clip: Ids) -> None:
        """Gains and torque limits of new episodes, where they are not always the scene's own."""
        varies = self._disturbances.varies_strength or self.worlds.varies_strength
        if not varies and (self.difficulty[ids] == 1.0).all():
            return
        gain, limit = self._strength.at(self.difficulty[ids], clip)
        gain_factor, limit_factor = self._disturbances.strength(self._streams, ids)
        gain *= gain_factor[:, :, None]
        limit[:, 1] *= limit_factor[:, None]
        self.worlds.set_strength(ids, gain=gain, torque_limit=limit)

    def _commanded(self, action: Array, clip: Ids, frame: Ids) -> Array:
        """Servo targets (n, 2, J - 1, 3) [rad] of actions; frozen joints hold the reference at these frames, (n,)."""
        targets = self.targets_of(action)
        if self._frozen.size:
            held = self.reference.target[self.reference.row(clip, frame)]
            targets[:, :, self._frozen] = held[:, :, self._frozen]
        return targets

    def _still_frozen(self) -> None:
        """Frozen joints remember no action."""
        if self._frozen.size:
            self._book.previous_action.reshape(self.num_worlds, 2, -1, 3)[:, :, self._frozen] = 0.0

    def _given(self, state: PhysicalState, clip: Ids, frame: Ids) -> tuple[Array, Array, Array]:
        """Generalised positions and velocities and servo targets of given states."""
        count = len(clip)
        state.check(count, self.body.num_bodies)
        targets = self._commanded(state.action, clip, frame)
        return state.qpos, state.qvel, targets.reshape(count, 2, -1)

    def _noisy(self, ids: Ids, clip: Ids, row: Ids) -> tuple[Array, Array, Array]:
        """The same of the reference with start noise, out of contacts that the reference does not have."""
        qpos, qvel = self.reference.qpos[row], self.reference.qvel[row]
        if self.config.start_noise > 0.0:
            qpos, qvel = self._perturbed(ids, qpos, qvel)
        if self._clearance is not None:
            qpos = self._clearance.resolve(qpos, clip, row)
        return qpos, qvel, self.reference.target[row].reshape(len(ids), 2, -1)

    def _perturbed(self, ids: Ids, qpos: Array, qvel: Array) -> tuple[Array, Array]:
        """States with the start noise."""
        scale, noise, j = self.config.start_noise, self.config.noise, self.body.num_bodies
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
        previous_action = book.previous_action
        if self._rewarder.wants_previous_action:
            previous_action = previous_action.copy()
        np.clip(action, -1.0, 1.0, out=book.previous_action)
        self._still_frozen()
        targets = self._commanded(book.previous_action, book.clip, book.frame + 1)
        if self.config.randomisation.latency:
            targets = book.delayed(targets.reshape(self.num_worlds, 2, -1))
        push = self._disturbances.pushes(self._streams, self._everyone)
        if push is not None:
            self.worlds.push(push)
        hold_lengths = self.hold_lengths(book.clip, self.reference.row(book.clip, book.frame + 1))
        diverged = self.worlds.step(targets, hold_lengths, self._led())
        book.frame += 1
        motion, row = self.worlds.motion(), self.reference.row(book.clip, book.frame)
        length = self.reference.length[book.clip]
        shift = self._shift(self._everyone, motion)
        reward, terms, tracking = self._rewarder.reward(
            motion,
            book.clip,
            row,
            target=None if shift is None else self._goal(row, shift),
            contact_force=self.worlds.contact_force,
            torque=self.worlds.torque,
            joint_velocity=self.worlds.qvel[..., 6:],
            diverged=diverged,
            frame=book.frame,
            action=book.previous_action,
            previous_action=previous_action,
        )
        failed = (tracking.tracking_error > self.config.termination_distance).any(axis=-1)
        terminated = failed | diverged
        completed = ~terminated & (book.frame >= length - 1)
        truncated = completed if self.max_steps is None else ~terminated & (completed | (self.steps >= self.max_steps))
        book.keep_score(reward, tracking, diverged, length)
        contact_force = self.worlds.contact_force.copy()
        observation = self._observe(self._everyone, motion, shift)
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

    def _led(self) -> tuple[Array, Array] | None:
        """States of a recipient that is moved along the reference, per substep; see ``Worlds.step``."""
        if not self.config.kinematic_recipient:
            return None
        row, following = (self.reference.row(self.clip, self.frame + step) for step in (0, 1))
        share = np.linspace(0.0, 1.0, self.config.physics.substeps + 1)[:, None, None]
        qpos, qvel = (
            (1.0 - share) * table[row, 1] + share * table[following, 1]
            for table in (self.reference.qpos, self.reference.qvel)
        )
        return qpos, qvel

    def _shift(self, ids: Ids, motion: Motion) -> Shift | None:
        """How far the hand targets of some worlds have moved."""
        if self._retargeting is None:
            return None
        clip = self.clip[ids]
        return self._retargeting.shift(motion, clip, self.reference.row(clip, self.frame[ids]))

    def _goal(self, row: Ids, shift: Shift | None) -> Goal:
        goal = self.reference.goal(row)
        if self._retargeting is not None and shift is not None:
            self._retargeting.move(goal, shift)
        return goal

    def _observe(self, ids: Ids, motion: Motion, shift: Shift | None = None) -> Floats:
        """Observation of some worlds, with the reference one step ahead, shape (n, 2, D)."""
        shift = self._shift(ids, motion) if shift is None else shift
        goal = self._goal(self.reference.row(self.clip[ids], self.frame[ids] + 1), shift)
        force, action = self.worlds.contact_force[ids], self._book.previous_action[ids]
        return self._disturbances.sense(self._streams, ids, self._observer.observe(motion, goal, force, action))

    # --- state ---------------------------------------------------------------------------------------------

    def physical_state(self, ids: Ids) -> PhysicalState:
        """Copies of both people's states in some worlds, as ``reset`` takes them."""
        qpos, qvel = self.worlds.generalised_state(ids)
        return PhysicalState(qpos=qpos, qvel=qvel, action=self._book.previous_action[ids])

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
