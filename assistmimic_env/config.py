"""Everything a user can choose, as frozen dataclasses; values are checked where they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, cast

from .errors import ConfigError, UnknownOptionError, did_you_mean
from .frames import BodyFrames

CONTROL_DT = 1.0 / 30.0
"""Control period [s]; PHC's."""

MAX_LATENCY = 4
"""Longest delay of actions that can be simulated [control steps]."""

ROLE_NAMES = ("supporter", "recipient")

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


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _require_table(name: str, table: object, low: float, high: float, expected: str) -> None:
    """Check numbers by kind of joint; the key "" is left out of the message."""
    require(isinstance(table, Mapping), name, table, "a mapping from kinds of joints to numbers")
    for kind, value in cast(Mapping[str, Any], table).items():
        owner = f"{name}[{kind!r}]" if kind else name
        require(_is_number(value) and low <= value <= high and value < math.inf, owner, value, expected)


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
        assist: Weight of the recipient's height against its reference, for both roles
            (``spec/assistmimic.md`` defect 12: relative, so that it also fits lying and sitting).
        assist_scale: Its sensitivity [1/m^2].
        coupling: Share of the recipient's reward in the supporter's, in [0, 1]; the paper couples with 0.5.
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
    assist: float = 0.0
    assist_scale: float = 40.0
    coupling: float = 0.0
    extra: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ranges; the names of extra terms are checked when an environment is made."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "extra":
                require(value >= 0.0, f"reward.{item.name}", value, "a value in [0, inf); 0 switches a term off")
        require(self.coupling <= 1.0, "reward.coupling", self.coupling, "a share in [0, 1]")
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
        root_position: Horizontal root position [m]; heights change only where contacts give way (``clearance``).
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
        _require_table("impairment.mass", {"": self.mass}, 0.05, 20.0, "a factor in [0.05, 20]")
        _require_table("impairment.gain", self.gain, 0.0, 20.0, "a factor in [0, 20]")
        _require_table("impairment.torque_limit", self.torque_limit, 0.0, math.inf, "a torque in [0, inf) N m")


_WEAK_LEGS: Mapping[str, float] = {"Hip": 0.5, "Knee": 0.5, "Ankle": 0.5, "Toe": 0.5}
_WEAK_SPINE: Mapping[str, float] = {"Torso": 0.5, "Spine": 0.5, "Chest": 0.5}

IMPAIRMENTS: Mapping[str, Impairment] = {
    "none": Impairment(),
    "interx": Impairment(
        mass=0.7, gain=_WEAK_LEGS, torque_limit={"Hip": 80.0, "Knee": 80.0, "Ankle": 80.0, "Toe": 80.0}
    ),
    "hhi": Impairment(
        mass=0.7,
        gain={**_WEAK_LEGS, **_WEAK_SPINE},
        torque_limit={
            "Hip": 20.0, "Knee": 80.0, "Ankle": 80.0, "Toe": 80.0, "Torso": 40.0, "Spine": 40.0, "Chest": 40.0
        },
    ),
    "needs-help": Impairment(mass=0.7, gain=_WEAK_LEGS, torque_limit={"Hip": 20.0, "Knee": 40.0}),
}  # fmt: skip
"""Named impairments: the paper's two recipients (``spec/assistmimic.md`` section 7), and ``needs-help``, which cannot
stand up from a seat alone but can with help (``docs/results/needs_help.json``)."""


@dataclass(frozen=True, kw_only=True)
class Factors:
    """Factors on a person's present, already impaired strength and mass.

    Attributes:
        mass: Of all masses and inertias.
        gain: Of kp and kd per kind of joint; ``"*"`` names all others, ``"impaired"`` those whose gains the
            impairment changes.
        torque_limit: Of the torque limits per kind of joint; ``"*"`` names all others.
    """

    mass: float = 1.0
    gain: Mapping[str, float] = field(default_factory=dict)
    torque_limit: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ranges."""
        _require_table("factors.mass", {"": self.mass}, 0.05, 20.0, "a factor in [0.05, 20]")
        for name in ("gain", "torque_limit"):
            _require_table(f"factors.{name}", getattr(self, name), 0.0, 20.0, "a factor in [0, 20]")


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """A change of the people's bodies on top of their impairments, the same in every world and episode.

    Attributes:
        supporter: Factors of the supporter.
        recipient: Factors of the recipient.
    """

    supporter: Factors = Factors()
    recipient: Factors = Factors()


PERTURBATIONS: Mapping[str, Perturbation] = {
    "none": Perturbation(),
    "mass-1.2": Perturbation(recipient=Factors(mass=1.2)),
    "mass-1.5": Perturbation(recipient=Factors(mass=1.5)),
    "gain-0.5": Perturbation(recipient=Factors(gain={"impaired": 0.5})),
    "gain-0.5-both": Perturbation(supporter=Factors(gain={"*": 0.5}), recipient=Factors(gain={"*": 0.5})),
    "hip-torque-0.5": Perturbation(recipient=Factors(torque_limit={"Hip": 0.5})),
}
"""The paper's evaluation grid (``spec/assistmimic.md`` section 7). "Kp/Kd x 0.5" has two readings in the official code:
the recipient's weakened joints only, and every joint of both people."""


Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class RandomisationConfig:
    """Domain randomisation; a range whose ends are equal switches a part off. Ranges are sampled uniformly.

    Attributes:
        mass: Factor of the recipient's masses and inertias; drawn once per world, so that N worlds are a pool of N
            masses (a change costs 2 ms).
        gain: Factor of the recipient's gains; drawn per episode.
        torque_limit: Factor of the recipient's torque limits; drawn per episode.
        supporter_gain: Factor of the supporter's gains; drawn per episode.
        friction: Factor of all sliding friction; drawn once per world.
        push_interval: Mean time between two pushes on each person [s]; 0: no pushes.
        push_speed: Largest change of the root's horizontal velocity by a push [m/s].
        latency: Largest delay of the actions, drawn per episode [control steps].
        observation_noise: Standard deviation of noise added to every number of an observation that is not a contact
            flag, in its own unit (m, m/s, rad/s, or 1 for axes).
    """

    mass: Range = (1.0, 1.0)
    gain: Range = (1.0, 1.0)
    torque_limit: Range = (1.0, 1.0)
    supporter_gain: Range = (1.0, 1.0)
    friction: Range = (1.0, 1.0)
    push_interval: float = 0.0
    push_speed: float = 0.5
    latency: int = 0
    observation_noise: float = 0.0

    def __post_init__(self) -> None:
        """Check ranges; lists, as JSON has them, become tuples."""
        for name in ("mass", "gain", "torque_limit", "supporter_gain", "friction"):
            value = getattr(self, name)
            pair = isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))
            sound = pair and 0.05 <= value[0] <= value[1] <= 20.0
            require(sound, f"randomisation.{name}", value, "two factors (low, high) in [0.05, 20]")
            object.__setattr__(self, name, (float(value[0]), float(value[1])))
        for name in ("push_interval", "push_speed", "observation_noise"):
            value = getattr(self, name)
            require(0.0 <= value < math.inf, f"randomisation.{name}", value, "a value in [0, inf)")
        require(0 <= self.latency <= MAX_LATENCY, "randomisation.latency", self.latency, f"0 to {MAX_LATENCY} steps")


@dataclass(frozen=True, kw_only=True)
class RetargetingConfig:
    """Dynamic reference retargeting: the supporter's hand targets follow the recipient's real body (``retargeting``).

    Attributes:
        mode: ``none``, or ``dynamic``.
        gate: Which distance opens the gate: ``pelvis``: of the two real pelvises; ``hand``: of the reference hand to
            the reference partner; ``auto``: per clip the first if the pelvises stay near in the reference while a
            hand is at the partner, else the second.
        pelvis_near: The pelvis gate is fully open below this [m].
        pelvis_far: And closed above this [m].
        hand_near: The hand gate is fully open below this distance between surfaces [m].
        hand_far: And closed above this [m].
        margin: An anchor is given up when another body is nearer by this [m].
        blend: Anchors change over this time [s].
        max_shift: A target moves at most this far [m].
        arm: Whether elbow and arm rotations of the goal follow by inverse kinematics.
    """

    mode: Literal["none", "dynamic"] = "none"
    gate: Literal["auto", "pelvis", "hand"] = "auto"
    pelvis_near: float = 1.2
    pelvis_far: float = 1.5
    hand_near: float = 0.1
    hand_far: float = 0.3
    margin: float = 0.03
    blend: float = 0.3
    max_shift: float = 0.3
    arm: bool = False

    def __post_init__(self) -> None:
        """Check ranges."""
        _require_choice("retargeting.mode", self.mode, ("none", "dynamic"))
        _require_choice("retargeting.gate", self.gate, ("auto", "pelvis", "hand"))
        for kind in ("pelvis", "hand"):
            near, far = getattr(self, f"{kind}_near"), getattr(self, f"{kind}_far")
            require(
                0.0 <= near < far, f"retargeting.{kind}_near", near, f"a distance in [0, {far}) m, below {kind}_far"
            )
        for name in ("margin", "blend", "max_shift"):
            value = getattr(self, name)
            require(0.0 <= value <= 10.0, f"retargeting.{name}", value, "a value in [0, 10]")


@dataclass(frozen=True, kw_only=True)
class ContactConfig:
    """The contact-promoting reward of the supporter (``contact``); with weight 0 nothing changes, not even a bit.

    Attributes:
        weight: Weight of closeness times supporting force, mean over the two hands.
        excess: Weight of the penalty on force beyond ``limit``, mean over the two hands.
        near: A hand nearer to the recipient than this, in the reference and in the simulation, is to support [m].
        far: A hand further than this is to track [m]; between the two the rules are mixed smoothly.
        closeness: Sensitivity of the closeness exp(-closeness x distance) [1/m].
        force: Force per hand at which the reward saturates [N].
        limit: Force per hand from which on it hurts [N].
    """

    weight: float = 0.0
    excess: float = 0.0
    near: float = 0.1
    far: float = 0.25
    closeness: float = 2.5
    force: float = 100.0
    limit: float = 250.0

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("weight", "excess", "closeness"):
            value = getattr(self, name)
            require(0.0 <= value < math.inf, f"contact.{name}", value, "a value in [0, inf)")
        require(0.0 <= self.near < self.far, "contact.near", self.near, f"a distance in [0, {self.far}) m, below far")
        require(0.0 < self.force <= self.limit, "contact.force", self.force, f"a force in (0, {self.limit}] N")

    @property
    def active(self) -> bool:
        """Whether the reward differs from plain tracking."""
        return self.weight > 0.0 or self.excess > 0.0


@dataclass(frozen=True, kw_only=True)
class GripConfig:
    """Whether and how hands hold the partner (see ``grip``).

    Attributes:
        mode: ``none``: hands only touch; ``reference``: a hand holds while the clip says so and it is near enough;
            ``automatic``: a hand of either person closes on the partner's arm or hand where it touches, until it slips.
        stiffness: Of the clasp beyond the length at which it closed [N/m].
        damping: Of the clasp [N s/m].
        strength: Tension at which it slips [N].
        release: Distance beyond touching, or in the mode ``automatic`` beyond closing, at which it opens [m].
        reach: Distance of the surfaces at which a hand closes by itself, only in the mode ``automatic`` [m].
    """

    mode: Literal["none", "reference", "automatic"] = "none"
    stiffness: float = 10_000.0
    damping: float = 100.0
    strength: float = 300.0
    release: float = 0.1
    reach: float = 0.02

    def __post_init__(self) -> None:
        """Check ranges."""
        _require_choice("grip.mode", self.mode, ("none", "reference", "automatic"))
        stable = "a value in [100, 20000] N/m (softer does not hold, stiffer is unstable)"
        require(100.0 <= self.stiffness <= 20_000.0, "grip.stiffness", self.stiffness, stable)
        for name, high in (("damping", 300.0), ("strength", 5_000.0), ("release", 10.0), ("reach", 1.0)):
            value = getattr(self, name)
            require(0.0 <= value <= high, f"grip.{name}", value, f"a value in [0, {high:g}]")


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """One environment's settings.

    Attributes:
        body: Humanoid, one of ``assistmimic_env.body.body_names()``; clips of others are converted
            (``body_change``).
        fingers: ``free``, or ``frozen``: their servos hold the reference pose, and what an action says about bodies
            beyond the wrists is ignored and remembered as 0. Sizes of actions and observations stay.
        actuation: Servo law: ``so3`` (orientation servo, torque-norm limit) or ``expmap`` (PHC's, per component).
        frames: Body frames in whose axes people see rotations and act: ``upright`` (ours) or ``smpl`` (those of
            policies that were trained on PHC's SMPL-X humanoid); see ``frames``. The physics is the same.
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
        retargeting: Whether the supporter's hand targets follow the recipient's real body; ``"dynamic"`` is short for
            ``RetargetingConfig(mode="dynamic")``.
        contact: The contact-promoting reward.
        perturbation: A change of the bodies on top of the impairments, for evaluations; also one of
            ``PERTURBATIONS`` by name.
        randomisation: Domain randomisation.
        partner_observations: Without them, everything that an observation says about the partner is 0.
        kinematic_recipient: The recipient is moved along the reference instead of simulated (a baseline).
        judged: Whose tracking error counts for failure and success; that of anybody else is taken to be 0.
    """

    body: str = "smpl24"
    fingers: Literal["free", "frozen"] = "free"
    actuation: ActuationLaw = "so3"
    frames: BodyFrames = "upright"
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
    retargeting: RetargetingConfig = RetargetingConfig()
    contact: ContactConfig = ContactConfig()
    perturbation: Perturbation = Perturbation()
    randomisation: RandomisationConfig = RandomisationConfig()
    partner_observations: bool = True
    kinematic_recipient: bool = False
    judged: Literal["both", "supporter", "recipient"] = "both"

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("solo", "partner_observations", "kinematic_recipient"):
            require(isinstance(getattr(self, name), bool), name, getattr(self, name), "True or False")
        _require_choice("fingers", self.fingers, ("free", "frozen"))
        _require_choice("actuation", self.actuation, ("so3", "expmap"))
        _require_choice("frames", self.frames, ("upright", "smpl"))
        _require_choice("start", self.start, ("uniform", "first"))
        _require_choice("judged", self.judged, ("both", *ROLE_NAMES))
        require(self.termination_distance > 0.0, "termination_distance", self.termination_distance, "a positive length")
        require(0.0 <= self.start_noise <= 100.0, "start_noise", self.start_noise, "a scale in [0, 100]")


_NESTED: Mapping[str, type] = {
    "physics": PhysicsConfig,
    "reward": RewardConfig,
    "noise": NoiseConfig,
    "supporter": Impairment,
    "recipient": Impairment,
    "grip": GripConfig,
    "retargeting": RetargetingConfig,
    "contact": ContactConfig,
    "perturbation": Perturbation,
    "randomisation": RandomisationConfig,
}

_NAMED: Mapping[str, Mapping[str, Any]] = {
    "physics": PHYSICS_PRESETS,
    "supporter": IMPAIRMENTS,
    "recipient": IMPAIRMENTS,
    "perturbation": PERTURBATIONS,
}
"""Options that may be given by the name of a preset."""


def env_config(base: EnvConfig | None = None, **options: Any) -> EnvConfig:
    """An ``EnvConfig`` from keyword options.

    Args:
        base: Defaults; without it ``EnvConfig()``.
        **options: Fields of ``EnvConfig``. A nested config may be given as a mapping of its fields,
            ``physics``, ``supporter``, ``recipient`` and ``perturbation`` also as the name of a preset, ``grip`` and
            ``retargeting`` as their mode.

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
    if name in _NAMED and isinstance(value, str):
        _require_choice(name, value, tuple(_NAMED[name]))
        return _NAMED[name][value]
    if name in ("grip", "retargeting") and isinstance(value, str):
        value = {"mode": value}
    if name == "perturbation" and isinstance(value, Mapping):
        check_options(name, value, dict.fromkeys(ROLE_NAMES))
        return Perturbation(
            **{role: item if isinstance(item, Factors) else Factors(**item) for role, item in value.items()}
        )
    if isinstance(value, Mapping):
        known = {item.name: getattr(default, item.name) for item in fields(kind)}
        check_options(name, value, known)
        return kind(**{**known, **value})
    raise ConfigError(f"{name} is {value!r}, expected a {kind.__name__} or a mapping of its fields.")


def _factors(value: Any) -> Factors:
    return value if isinstance(value, Factors) else Factors(**value)


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
