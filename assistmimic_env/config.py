"""Everything a user can choose, as frozen dataclasses; values are checked where they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from .errors import ConfigError, UnknownOptionError, did_you_mean

CONTROL_DT = 1.0 / 30.0
"""Control period [s]; PHC's."""

ActuationLaw = Literal["so3", "expmap"]
T = TypeVar("T")


def require(ok: bool, name: str, value: object, expected: str) -> None:
    """Raise a ``ConfigError`` that names the setting unless ``ok``."""
    if not ok:
        raise ConfigError(f"{name} is {value!r}, expected {expected}.")


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        hint = did_you_mean(str(value), choices)
        raise ConfigError(f"{name} is {value!r}, expected one of {', '.join(choices)}.{hint}")


@dataclass(frozen=True, kw_only=True)
class PhysicsConfig:
    """How MuJoCo integrates a scene (``spec/physics.md`` sections 1, 5 and 6).

    Attributes:
        timestep: Physics step [s].
        substeps: Physics steps per control step; ``timestep * substeps`` must be the control period.
        integrator: ``implicitfast`` (truest with saturated servos) or ``discrete`` (smoother; needs Newton).
        solver: ``pgs`` (fastest here) or ``newton`` (the reference).
        iterations: Bound of the solver's iterations.
        tolerance: Solver tolerance.
        jacobian: ``auto`` is sparse for two people.
        self_collision: Whether the bodies of one person collide with each other.
        friction: Sliding friction coefficient of all contacts.
        contact_time: Time constant of the soft contact (``solref[0]``) [s].
    """

    timestep: float = 1.0 / 120.0
    substeps: int = 4
    integrator: Literal["implicitfast", "discrete"] = "implicitfast"
    solver: Literal["pgs", "newton"] = "pgs"
    iterations: int = 50
    tolerance: float = 1e-5
    jacobian: Literal["auto", "dense", "sparse"] = "auto"
    self_collision: bool = True
    friction: float = 1.0
    contact_time: float = 0.02

    def __post_init__(self) -> None:
        """Check ranges and combinations."""
        require(self.timestep > 0.0, "physics.timestep", self.timestep, "a positive time in seconds")
        require(self.substeps >= 1, "physics.substeps", self.substeps, "at least 1")
        period = self.timestep * self.substeps
        require(
            math.isclose(period, CONTROL_DT, rel_tol=1e-6),
            "physics.timestep * physics.substeps",
            period,
            f"the control period {CONTROL_DT:.6f} s (use 1/120 s with 4 substeps or 1/90 s with 3)",
        )
        _require_choice("physics.integrator", self.integrator, ("implicitfast", "discrete"))
        _require_choice("physics.solver", self.solver, ("pgs", "newton"))
        _require_choice("physics.jacobian", self.jacobian, ("auto", "dense", "sparse"))
        require(
            not (self.integrator == "discrete" and self.solver == "pgs"),
            "physics.solver",
            self.solver,
            "newton with the discrete integrator (PGS drops its actuator terms)",
        )
        require(self.iterations >= 1, "physics.iterations", self.iterations, "at least 1")
        require(self.tolerance >= 0.0, "physics.tolerance", self.tolerance, "a value in [0, inf)")
        require(self.friction >= 0.0, "physics.friction", self.friction, "a value in [0, inf)")
        require(self.contact_time > 0.0, "physics.contact_time", self.contact_time, "a positive time in seconds")


PHYSICS_PRESETS: Mapping[str, PhysicsConfig] = {
    "standard": PhysicsConfig(),
    "fast": PhysicsConfig(timestep=1.0 / 90.0, substeps=3),
    "smooth": PhysicsConfig(
        timestep=1.0 / 90.0, substeps=3, integrator="discrete", solver="newton", tolerance=1e-8, contact_time=0.01
    ),
    "fine": PhysicsConfig(timestep=1.0 / 180.0, substeps=6),
    "reference": PhysicsConfig(solver="newton", iterations=100, tolerance=1e-8),
}
"""Named physics set-ups: 1/120 s PGS; 1/90 s PGS; 1/90 s discrete Newton; 1/180 s PGS (``expmap`` servos under
saturating actions diverge in 0.3 % of the steps at 1/120 s, never here); 1/120 s Newton."""


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Weights and sensitivities of the reward; a weight of 0 switches a term off.

    The imitation terms are PHC's (``spec/phc.md`` section 5).

    Attributes:
        position: Weight of the body positions.
        rotation: Weight of the body rotations.
        velocity: Weight of the linear velocities.
        angular_velocity: Weight of the angular velocities.
        power: Weight of the penalty on joint power [1/W]. Above about 1e-4 an early end can pay.
        position_scale: Sensitivity [1/m^2].
        rotation_scale: Sensitivity [1/rad^2].
        velocity_scale: Sensitivity [s^2/m^2].
        angular_velocity_scale: Sensitivity [s^2/rad^2].
        extra: Weights of further terms by name, negative for penalties; see ``reward_terms``.
    """

    position: float = 0.5
    rotation: float = 0.3
    velocity: float = 0.1
    angular_velocity: float = 0.1
    power: float = 1e-5
    position_scale: float = 100.0
    rotation_scale: float = 10.0
    velocity_scale: float = 0.1
    angular_velocity_scale: float = 0.1
    extra: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ranges; the names of extra terms are checked when an environment is made."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "extra":
                require(value >= 0.0, f"reward.{item.name}", value, "a value in [0, inf); 0 switches a term off")
        require(isinstance(self.extra, Mapping), "reward.extra", self.extra, "a mapping from names to weights")
        for name, weight in self.extra.items():
            finite = isinstance(weight, (int, float)) and math.isfinite(weight)
            require(finite, f"reward.extra[{name!r}]", weight, "a finite weight")


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Standard deviations of the start state around the reference, before ``start_noise`` scales them.

    Attributes:
        joint_angle: Per component of each joint's rotation vector [rad].
        root_rotation: Per component of the root's rotation vector [rad].
        root_position: Horizontal root position [m]; the height is left alone.
        joint_velocity: Per component [rad/s].
        root_velocity: Per component [m/s].
    """

    joint_angle: float = 0.05
    root_rotation: float = 0.03
    root_position: float = 0.01
    joint_velocity: float = 0.3
    root_velocity: float = 0.05

    def __post_init__(self) -> None:
        """Check that nothing is negative."""
        for item in fields(self):
            value = getattr(self, item.name)
            require(value >= 0.0, f"noise.{item.name}", value, "a value in [0, inf)")


@dataclass(frozen=True, kw_only=True)
class Impairment:
    """How much weaker than ``BodySpec`` says a person is.

    Attributes:
        mass: Factor of all masses and inertias.
        gain: Factor of kp and kd per kind of joint, e.g. ``{"Hip": 0.5}``; ``"*"`` names all others.
        torque_limit: Torque limits per kind of joint [N m]; ``"*"`` names all others.
    """

    mass: float = 1.0
    gain: Mapping[str, float] = field(default_factory=dict)
    torque_limit: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ranges; the joints' names are checked against the body when it is impaired."""
        require(0.05 <= self.mass <= 20.0, "impairment.mass", self.mass, "a factor in [0.05, 20]")
        for kind, value in self.gain.items():
            require(0.0 <= value <= 20.0, f"impairment.gain[{kind!r}]", value, "a factor in [0, 20]")
        for kind, value in self.torque_limit.items():
            require(value >= 0.0, f"impairment.torque_limit[{kind!r}]", value, "a torque in [0, inf) N m")


@dataclass(frozen=True, kw_only=True)
class GripConfig:
    """Whether and how hands hold the partner (see ``grip``).

    Attributes:
        mode: ``none``: hands only touch; ``reference``: a hand holds while the clip says so and it is near enough.
        stiffness: Of the clasp beyond touching [N/m].
        damping: Of the clasp [N s/m].
        strength: Tension at which it slips [N].
        release: Distance beyond touching at which it opens [m].
    """

    mode: Literal["none", "reference"] = "none"
    stiffness: float = 10_000.0
    damping: float = 100.0
    strength: float = 300.0
    release: float = 0.1

    def __post_init__(self) -> None:
        """Check ranges."""
        _require_choice("grip.mode", self.mode, ("none", "reference"))
        for name, high in (("stiffness", 20_000.0), ("damping", 300.0), ("strength", 5_000.0), ("release", 10.0)):
            value = getattr(self, name)
            require(0.0 <= value <= high, f"grip.{name}", value, f"a value in [0, {high:g}] (stiffer is unstable)")


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """One environment's settings.

    Attributes:
        body: Humanoid, one of ``assistmimic_env.body.body_names()``.
        actuation: Servo law: ``so3`` (orientation servo, torque-norm limit) or ``expmap`` (PHC's, per component).
        physics: Integration settings.
        reward: Reward weights.
        termination_distance: An episode fails when either person's mean error over the 16 reset bodies
            exceeds this [m]; ``inf`` switches failing off.
        start: ``uniform``: episodes start anywhere in the clip; ``first``: at its first frame.
        start_noise: Scale of the start-state noise; 0 starts on the reference.
        noise: Standard deviations of the start-state noise.
        supporter: Impairment of the supporter.
        recipient: Impairment of the recipient.
        grip: Whether hands hold; ``"reference"`` is short for ``GripConfig(mode="reference")``.
        solo: Each person is alone: the two pass through each other and nobody holds. This is what a single-person
            tracker is trained and measured in.
    """

    body: str = "smpl24"
    actuation: ActuationLaw = "so3"
    physics: PhysicsConfig = PhysicsConfig()
    reward: RewardConfig = RewardConfig()
    termination_distance: float = 0.25
    start: Literal["uniform", "first"] = "uniform"
    start_noise: float = 0.0
    noise: NoiseConfig = NoiseConfig()
    supporter: Impairment = field(default_factory=Impairment)
    recipient: Impairment = field(default_factory=Impairment)
    grip: GripConfig = GripConfig()
    solo: bool = False

    def __post_init__(self) -> None:
        """Check ranges."""
        require(isinstance(self.solo, bool), "solo", self.solo, "True or False")
        _require_choice("actuation", self.actuation, ("so3", "expmap"))
        _require_choice("start", self.start, ("uniform", "first"))
        require(self.termination_distance > 0.0, "termination_distance", self.termination_distance, "a positive length")
        require(0.0 <= self.start_noise <= 100.0, "start_noise", self.start_noise, "a scale in [0, 100]")


_NESTED: Mapping[str, type] = {
    "physics": PhysicsConfig,
    "reward": RewardConfig,
    "noise": NoiseConfig,
    "supporter": Impairment,
    "recipient": Impairment,
    "grip": GripConfig,
}


def env_config(base: EnvConfig | None = None, **options: Any) -> EnvConfig:
    """An ``EnvConfig`` from keyword options.

    Args:
        base: Defaults; without it ``EnvConfig()``.
        **options: Fields of ``EnvConfig``. A nested config may be given as a mapping of its fields,
            ``physics`` also as the name of a preset, ``grip`` as its mode.

    Raises:
        UnknownOptionError: No such option.
        ConfigError: A value that cannot work.
    """
    base = EnvConfig() if base is None else base
    values = {item.name: getattr(base, item.name) for item in fields(EnvConfig)}
    check_options("environment", options, values)
    for name, value in options.items():
        values[name] = _nested(name, value, values[name])
    return EnvConfig(**values)


def _nested(name: str, value: Any, default: Any) -> Any:
    kind = _NESTED.get(name)
    if kind is None or isinstance(value, kind):
        return value
    if name == "physics" and isinstance(value, str):
        _require_choice("physics", value, tuple(PHYSICS_PRESETS))
        return PHYSICS_PRESETS[value]
    if name == "grip" and isinstance(value, str):
        value = {"mode": value}
    if isinstance(value, Mapping):
        known = {item.name: getattr(default, item.name) for item in fields(kind)}
        check_options(name, value, known)
        return kind(**{**known, **value})
    raise ConfigError(f"{name} is {value!r}, expected a {kind.__name__} or a mapping of its fields.")


def check_options(owner: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuse options that do not exist.

    Raises:
        UnknownOptionError: Naming the option, the closest one and all that exist.
    """
    for name in given:
        if name not in known:
            raise UnknownOptionError(
                f"{owner} has no option '{name}'.{did_you_mean(name, known)} Options: {', '.join(sorted(known))}."
            )
