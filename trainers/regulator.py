"""`Regulator`: a linear-quadratic regulator along the motion of every person who is alone, or of a pair.

Asking the servos for the reference (`feedforward`) tracks the joints and loses the balance. Around each reference frame
one control step of a person is nearly linear in the deviation x from the frame and in the change u of the servo
targets, x' = A x + B u + c, with matrices measured by finite differences, all perturbations of a frame at once as
worlds of one batch. The Riccati recursion of that time-varying system gives the targets that keep a person near the
reference at the least change (Bertsekas, Dynamic Programming and Optimal Control, vol. 1, section 3.1; the constant c
adds a linear term to the value). Along a path that the physics can do, which `sampling` finds with such a regulator, a
second one holds much longer. It is a teacher: it knows the state and the clip, and holds near the path only.

A person's deviation has 6 J + 6 components: root position [m], rotation vectors of the root and the joints in their
own frames [rad], velocities as MuJoCo's `qvel` [m/s, rad/s].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistmimic_env import metrics, rotations
from assistmimic_env.simulation import PairSimulation

from .feedforward import feedforward_targets
from .sampling import SamplingConfig, sampled_path

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Ids = NDArray[np.intp]

_UNTIL_THE_END: Mapping[str, Any] = {"termination_distance": float("inf")}
"""Option of worlds that go on after a failure."""


@dataclass(frozen=True, kw_only=True)
class RegulatorConfig:
    """What a regulator is designed for."""

    position_weight: float = 10.0
    """Cost of the root's position [1/m^2]."""
    root_weight: float = 3.0
    """Cost of the root's rotation [1/rad^2]."""
    joint_weight: float = 1.0
    """Cost of each joint component [1/rad^2]."""
    velocity_weight: float = 0.02
    """Cost of each velocity component [s^2/m^2, s^2/rad^2]."""
    control_weight: float = 3.0
    """Cost of leaving the feed-forward target [1/rad^2]."""
    final_factor: float = 5.0
    """How much more the last frame counts."""
    position_step: float = 0.02
    """Finite difference of positions [m, rad]; wide, so that contacts are averaged."""
    velocity_step: float = 0.2
    """Finite difference of velocities [m/s, rad/s]."""
    control_step: float = 0.03
    """Finite difference of servo targets [rad]."""
    largest_change: float = 0.5
    """Bound of the change of each component of a servo target [rad]."""
    stride: int = 1
    """Frames of a sampled path that share one measurement of the dynamics, and half of those of the reference;
    designing takes most of its time to measure. With 2, recipients who rise from one knee survived 0.68 instead of 0.80
    of the clip."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How a path that the physics can do is searched."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RegulatorConfig:
        """Read back `dataclasses.asdict`; older runs have no search, and theirs is not repeated."""
        sampling = dict(values.get("sampling", {}))
        if "offset_factors" in sampling:
            sampling["offset_factors"] = tuple(sampling["offset_factors"])
        return cls(**{**values, "sampling": SamplingConfig(**sampling)})


@dataclass(frozen=True, kw_only=True, eq=False)
class Regulator:
    """Feedback along a path, for each of the F rows of a reference and both people.

    Attributes:
        qpos: The path, shape (F, 2, 3 + 4 J).
        qvel: Its velocities, shape (F, 2, 3 + 3 J).
        target: Servo targets that hold during the step after each row, shape (F, 2, A) [rad].
        gain: Change of the targets per deviation, with a minus sign, shape (F, G, 2 A / G, 2 X / G).
        offset: The constant part of that, shape (F, 2, A) [rad].
        largest_change: See `RegulatorConfig`.
    """

    qpos: Array
    qvel: Array
    target: Array
    gain: Floats
    offset: Array
    largest_change: float

    def targets(self, simulation: PairSimulation) -> Array:
        """Servo targets for the present state of all worlds, shape (N, 2, A) [rad]."""
        row = simulation.reference.row(simulation.clip, simulation.frame)
        return self.targets_at(row, *simulation.worlds.generalised_state())

    def targets_at(self, row: Ids | int, qpos: Array, qvel: Array) -> Array:
        """Servo targets (n, 2, A) [rad] for states (n, 2, ...) at rows of the reference, shape (n,), or at one row."""
        x = deviation(qpos, qvel, self.qpos[row], self.qvel[row])
        gain = self.gain[row]
        change = _apply(gain, x.reshape(len(x), gain.shape[-3], -1)).reshape(len(x), 2, -1) + self.offset[row]
        return self.target[row] - np.clip(change, -self.largest_change, self.largest_change)

    def act(self, simulation: PairSimulation) -> Array:
        """Actions for the present state of all worlds, shape (N, 2, A)."""
        targets = self.targets(simulation)
        return simulation.actions_for(targets.reshape(*targets.shape[:-1], -1, 3))


@dataclass(frozen=True, kw_only=True, eq=False)
class Dynamics:
    """x' = A x + B u + c at each row of a clip but the last, for G groups with X components of state and U of control.

    Attributes:
        state: A, shape (T - 1, G, X, X).
        control: B, shape (T - 1, G, X, U).
        drift: c, shape (T - 1, G, X).
    """

    state: Array
    control: Array
    drift: Array


def deviation(qpos: Array, qvel: Array, path_qpos: Array, path_qvel: Array) -> Array:
    """How far states (..., 3 + 4 J), (..., 3 + 3 J) are from others, (..., 6 J + 6); leading dimensions broadcast."""
    now, then = (values[..., 3:].reshape(*values.shape[:-1], -1, 4) for values in (qpos, path_qpos))
    turn = rotations.to_rotation_vector(rotations.multiply(rotations.conjugate(then), now))
    turn = turn.reshape(*turn.shape[:-2], -1)
    return np.concatenate([qpos[..., :3] - path_qpos[..., :3], turn, qvel - path_qvel], axis=-1)


def moved(qpos: Array, qvel: Array, x: Array) -> tuple[Array, Array]:
    """States that deviate by x from others; the inverse of `deviation`."""
    half = x.shape[-1] // 2
    turn = rotations.from_rotation_vector(x[..., 3:half].reshape(*x.shape[:-1], -1, 3))
    turned = rotations.multiply(qpos[..., 3:].reshape(*qpos.shape[:-1], -1, 4), turn)
    turned = turned.reshape(*turned.shape[:-2], -1)
    return np.concatenate([qpos[..., :3] + x[..., :3], turned], axis=-1), qvel + x[..., half:]


def num_groups(simulation: PairSimulation) -> int:
    """Two people who are alone are two groups, which do not feel each other; a pair is one."""
    return 2 if simulation.config.solo else 1


def feedforward_path(simulation: PairSimulation) -> Regulator:
    """The reference with leading targets and without feedback."""
    reference, target = simulation.reference, _plain_targets(simulation)
    rows, x, groups = len(target), 2 * reference.qvel.shape[-1], num_groups(simulation)
    return Regulator(
        qpos=reference.qpos,
        qvel=reference.qvel,
        target=target,
        gain=np.zeros((rows, groups, 2 * target.shape[-1] // groups, 2 * x // groups), np.float32),
        offset=np.zeros_like(target),
        largest_change=0.0,
    )


def _plain_targets(simulation: PairSimulation) -> Array:
    """Leading targets during the step after each row, which are those of its end, shape (F, 2, A) [rad]."""
    leading = feedforward_targets(simulation)
    return np.roll(leading.reshape(len(leading), 2, -1), -1, axis=0)


def linearise(simulation: PairSimulation, path: Regulator, clip: int, config: RegulatorConfig) -> Dynamics:
    """Measure the dynamics along the path of a clip by central differences.

    Args:
        simulation: `differences(...)` worlds; their states are overwritten.
        path: Where.
        clip: Which clip.
        config: Widths of the differences.
    """
    groups, u, x = path.gain.shape[1:]
    half, people = path.qvel.shape[-1], 2 // groups
    one = np.concatenate([np.full(half, config.position_step), np.full(half, config.velocity_step)])
    steps = np.concatenate([np.tile(one, people), np.full(u, config.control_step)])
    nudge = np.zeros((2 * (x + u) + 1, groups, x + u))
    each = np.arange(x + u)
    nudge[2 * each, :, each], nudge[2 * each + 1, :, each] = steps[:, None], -steps[:, None]
    moves, changes = (part.reshape(len(nudge), 2, -1) for part in np.split(nudge, [x], axis=-1))
    first, last = simulation.reference.first[clip], simulation.reference.length[clip] - 1
    slopes = np.zeros((last, groups, x, x)), np.zeros((last, groups, x, u))
    dynamics = Dynamics(state=slopes[0], control=slopes[1], drift=np.zeros((last, groups, x)))
    worlds, everyone, clips = simulation.worlds, np.arange(len(nudge)), np.full(len(nudge), clip)
    for frame in range(0, last, config.stride):
        shared, row = slice(frame, min(frame + config.stride, last)), first + frame
        targets = path.target[row] + changes
        start = moved(path.qpos[None, row], path.qvel[None, row], moves)
        worlds.reset(everyone, *start, targets, clips)
        worlds.step(targets, simulation.hold_lengths(clips, np.full(len(nudge), row + 1)))
        there = deviation(*worlds.generalised_state(), path.qpos[None, row + 1], path.qvel[None, row + 1])
        there = there.reshape(len(nudge), groups, x)
        slope = (there[: 2 * (x + u) : 2] - there[1 : 2 * (x + u) : 2]) / (2.0 * steps[:, None, None])
        dynamics.state[shared] = slope[:x].transpose(1, 2, 0)
        dynamics.control[shared] = slope[x:].transpose(1, 2, 0)
        dynamics.drift[shared] = there[-1]
    return dynamics


def differences(simulation: PairSimulation) -> int:
    """Worlds that `linearise` needs: two per component of state and control, and one that is not perturbed."""
    people = 2 // num_groups(simulation)
    return 2 * people * (2 * simulation.reference.qvel.shape[-1] + simulation.body.num_dofs) + 1


def solve(
    simulation: PairSimulation, path: Regulator, clip: int, dynamics: Dynamics, config: RegulatorConfig
) -> tuple[Floats, Array]:
    """Riccati recursion from a clip's last frame to its first, for all groups at once.

    Args:
        simulation: Gives reference and feed-forward targets.
        path: Where the dynamics were measured.
        clip: Which clip.
        dynamics: From `linearise`.
        config: Costs.

    Returns:
        Gains, shape (T, G, U, X), and the constant part of the feedback, shape (T, 2, A) [rad], for all its rows.
    """
    reference = simulation.reference
    first, last = reference.first[clip], reference.length[clip] - 1
    rows = first + np.arange(last + 1)
    groups, u, x = path.gain.shape[1:]
    weight = np.tile(_weights(path.qvel.shape[-1], config), 2 // groups)
    error = deviation(path.qpos[rows], path.qvel[rows], reference.qpos[rows], reference.qvel[rows])
    error = error.reshape(len(rows), groups, x)
    detour = (path.target[rows] - _plain_targets(simulation)[rows]).reshape(len(rows), groups, u)
    gain, offset = np.zeros((len(rows), groups, u, x), np.float32), np.zeros_like(detour)
    control_cost = config.control_weight * np.eye(u)
    value = np.stack([np.diag(config.final_factor * weight)] * groups)
    slope = config.final_factor * weight * error[last]
    for frame in range(last - 1, -1, -1):
        a, b, c = dynamics.state[frame], dynamics.control[frame], dynamics.drift[frame]
        back = b.transpose(0, 2, 1) @ value
        curvature = control_cost + back @ b
        ahead = _apply(value, c) + slope
        pull = _apply(b.transpose(0, 2, 1), ahead) + config.control_weight * detour[frame]
        k = np.linalg.solve(curvature, back @ a)
        k0 = np.linalg.solve(curvature, pull[..., None])[..., 0]
        gain[frame], offset[frame] = k, k0
        closed, drift = a - b @ k, c - _apply(b, k0)
        kept, across = config.control_weight * k.transpose(0, 2, 1), closed.transpose(0, 2, 1)
        slope = weight * error[frame] + _apply(across, _apply(value, drift) + slope) + _apply(kept, k0 - detour[frame])
        value = np.diag(weight) + across @ value @ closed + kept @ k
        value = 0.5 * (value + value.transpose(0, 2, 1))
    return gain, offset.reshape(len(rows), 2, -1)


def regulate(simulation: PairSimulation, path: Regulator, config: RegulatorConfig) -> Regulator:
    """The regulator along a path, for all clips; arguments as for `linearise`."""
    gain, offset = np.zeros(path.gain.shape, np.float32), np.zeros_like(path.offset)
    reference = simulation.reference
    for clip, (first, length) in enumerate(zip(reference.first, reference.length, strict=True)):
        rows = slice(first, first + length)
        dynamics = linearise(simulation, path, clip, config)
        gain[rows], offset[rows] = solve(simulation, path, clip, dynamics, config)
    return replace(path, gain=gain, offset=offset, largest_change=config.largest_change)


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """How well every person of every clip was tracked, shape (clips, 2) each."""

    survived: Array
    """Mean share of the clip before a failure at 0.5 m."""
    error: Array
    """Mean distance of all bodies from the reference until then [m]."""


def score(regulator: Regulator, make: Callable[..., PairSimulation], *, rollouts: int) -> Score:
    """Follow all clips from their first frames with start noise, so many times each."""
    clips = len(make(1).reference.clips)
    simulation = make(rollouts * clips, **_UNTIL_THE_END)
    clip = np.arange(simulation.num_worlds) % clips
    error, body = _play(regulator, simulation, clip)
    length = simulation.reference.length[clip] - 1
    survived = np.stack([metrics.survived_frames(error[..., [role]], length) for role in (0, 1)], axis=1)
    frames = metrics.evaluated_frames(survived, length[:, None])
    mpjpe = [metrics.mean_over_frames(body[..., [role]], frames[:, role])[:, 0] for role in (0, 1)]
    share = survived / length[:, None]
    chosen = [clip == index for index in range(clips)]
    return Score(
        survived=np.array([share[rows].mean(axis=0) for rows in chosen]),
        error=np.array([np.stack(mpjpe, axis=1)[rows].mean(axis=0) for rows in chosen]),
    )


def design(
    make: Callable[..., PairSimulation],
    config: RegulatorConfig,
    *,
    rollouts: int = 16,
    log: Callable[[str], None] = lambda _: None,
) -> Regulator:
    """Design regulators and keep, for every person (or pair) of every clip, the one that survives longest.

    Candidates: the feed-forward targets alone, a regulator along the reference, and one along the path that sampling on
    top of that finds. The last has no constant part: its path is as near to the reference as the physics lets it.

    Args:
        make: `make(num_worlds, **options)` gives worlds.
        config: Costs, differences and search.
        rollouts: Noisy rollouts per clip that decide.
        log: Receives a line per candidate.
    """
    bench = make(differences(make(1)))
    plain = feedforward_path(bench)
    along = regulate(bench, plain, replace(config, stride=2 * config.stride))
    path = sampled_path(make(config.sampling.samples), along, config.sampling)
    sampled = regulate(bench, path, config)
    best, best_score = plain, score(plain, make, rollouts=rollouts)
    log(f"feed-forward: survived {best_score.survived.mean():.2f}")
    for name, candidate in {
        "regulator along the reference": along,
        "regulator along a sampled path": replace(sampled, offset=np.zeros_like(sampled.offset)),
    }.items():
        found = score(candidate, make, rollouts=rollouts)
        log(f"{name}: survived {found.survived.mean():.2f}")
        gained = (found.survived - found.error) - (best_score.survived - best_score.error)
        better = gained.reshape(len(gained), num_groups(bench), -1).sum(axis=-1) > 0.0
        best = _chosen(bench, best, candidate, better)
        best_score = Score(
            survived=np.where(better, found.survived, best_score.survived),
            error=np.where(better, found.error, best_score.error),
        )
    log(f"best of them for each: survived {best_score.survived.mean():.2f}")
    return replace(best, largest_change=config.largest_change)


def _chosen(simulation: PairSimulation, first: Regulator, second: Regulator, better: NDArray[np.bool_]) -> Regulator:
    """The second regulator where it is better, shape (clips, groups)."""
    rows = np.repeat(better, simulation.reference.length, axis=0)
    merged = {}
    for item in fields(Regulator):
        one, two = getattr(first, item.name), getattr(second, item.name)
        if isinstance(one, np.ndarray):
            merged[item.name] = np.where(rows.reshape(*rows.shape, *[1] * (one.ndim - 2)), two, one)
    return replace(second, **merged)


def _play(regulator: Regulator, simulation: PairSimulation, clip: Ids) -> tuple[Array, Array]:
    """Follow clips from their first frames to their ends.

    Returns:
        Tracking and body errors, shape (N, T, 2) [m], NaN past an end.
    """
    everyone = np.arange(simulation.num_worlds)
    simulation.auto_reset = False
    simulation.seed(everyone)
    simulation.reset(everyone, clip=clip, frame=np.zeros_like(everyone))
    length = simulation.reference.length[clip] - 1
    error, body = np.full((2, len(clip), int(length.max()), 2), np.nan)
    for frame in range(int(length.max())):
        transition = simulation.step(regulator.act(simulation))
        going = frame < length
        error[going, frame] = transition.tracking.tracking_error[going]
        body[going, frame] = transition.tracking.body_error[going].mean(axis=-1)
    return error, body


def _weights(velocities: int, config: RegulatorConfig) -> Array:
    """Diagonal of the state cost, shape (X,)."""
    return np.concatenate(
        [
            np.full(3, config.position_weight),
            np.full(3, config.root_weight),
            np.full(velocities - 6, config.joint_weight),
            np.full(velocities, config.velocity_weight),
        ]
    )


def _apply(matrix: Array, vector: Array) -> Array:
    """(2, m, n) times (2, n) -> (2, m)."""
    return (matrix @ vector[..., None])[..., 0]
