"""Three ways for a hand to hold, compared: the clasp of ``grip``, palm adhesion, and a ``connect`` constraint.

Two scenes without gravity: ``capsules``, a hand that only slides against an upper arm that is fixed, where all forces
are known; and ``people``, two whole people whose servos keep a pose of a clip. The load pulls the hand off the arm
(``away``), along it (``along``), or hand and arm apart on the line between them as it turns (``apart``). The shipped
modes are then timed, and tried on people who need help.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from . import registry, rotations
from .body import Point, smpl24
from .clip import ROLES, load_clip
from .config import CONTROL_DT, PHYSICS_PRESETS, GripConfig, PhysicsConfig
from .evaluation import evaluate
from .grip import clip_holds
from .policy import Policy
from .policy_expansion import fitted
from .reference import build_reference
from .resources import PRIOR, asset_path
from .scene import Setting, add_clasp, draft, touching_pairs
from .simulation import PairSimulation

Array = NDArray[np.float64]
Mechanism = Literal["clasp", "adhesion", "connect"]
Direction = Literal["away", "along", "apart"]

SOLVERS: Mapping[str, PhysicsConfig] = {
    "PGS 1e-5": PHYSICS_PRESETS["standard"],
    "PGS 1e-12": replace(PHYSICS_PRESETS["standard"], iterations=1000, tolerance=1e-12),
    "Newton": PHYSICS_PRESETS["reference"],
}

PULLS: Sequence[tuple[str, Direction]] = (("capsules", "away"), ("capsules", "along"), ("people", "apart"))

_ENV_ID = "AssistMimic/SitToStand-v0"
_CLIP, _KEY = "sit_to_stand/train_00", ("supporter", "L_Hand", "R_Shoulder")
_SETTLE, _RAMP, _KEEP = 0.5, 0.5, 1.0
"""Seconds without load, with a growing load, and with the full one."""


@dataclass(frozen=True, kw_only=True)
class GripBenchmark:
    """What is measured.

    Attributes:
        strength: Configured strength of every mechanism [N].
        step: Precision of the holding force, which is found by bisection up to 1.5 times the strength [N].
        num_envs: Worlds that are timed.
        repeats: Alternations between the timed mechanisms, six times those between modes; the fastest of each counts.
        rollouts: Rollouts per mode with people who need help.
        seed: Of the first rollout.
    """

    strength: float = GripConfig().strength
    step: float = 10.0
    num_envs: int = 16
    repeats: int = 60
    rollouts: int = 64
    seed: int = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Grasp:
    """A hand that touches an arm.

    Attributes:
        spec: The scene, without a mechanism.
        hand: Name of the hand's body.
        arm: Name of the arm's body.
        point: Where the hand is held, in its frame [m].
        arm_point: Nearest point of the arm's axis, in the arm's frame [m].
        touch: ``point`` in the arm's frame at the start [m].
        rest: Distance of ``point`` and ``arm_point`` when the surfaces touch [m].
        qpos: Start.
        controls: Servo targets.
    """

    spec: mujoco.MjSpec
    hand: str
    arm: str
    point: Point
    arm_point: Point
    touch: Point
    rest: float
    qpos: Array
    controls: Array


def run_benchmark(
    config: GripBenchmark | None = None, *, log: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure everything.

    Args:
        config: What is measured.
        log: Receives a line before each part.

    Returns:
        A JSON-able report: the configuration, ``mechanisms`` (a row per scene, direction, mechanism and solver),
        ``restored`` (whether a copy of ``Batch.state`` continues bit for bit), ``cost`` (CPU time relative to no grip)
        and ``help`` (the shipped prior as both roles, the recipient ``needs-help``).
    """
    config = GripBenchmark() if config is None else config
    log("holding force of clasp, adhesion and connect")
    rows = [
        _row(config, scene, direction, mechanism, solver)
        for scene, direction in PULLS
        for mechanism in get_args(Mechanism)
        for solver in SOLVERS
    ]
    log("saving and restoring")
    restored = {mechanism: _restores(mechanism, config.strength) for mechanism in get_args(Mechanism)}
    log("cost")
    cost = {"physics": _mechanism_cost(config), "control_step": _mode_cost(config)}
    log(f"people who need help, {config.rollouts} rollouts per mode")
    modes = ("none", "reference", "automatic")
    return {
        **asdict(config),
        "env_id": _ENV_ID,
        "mechanisms": rows,
        "restored": restored,
        "cost": cost,
        "help": {mode: _help(config, mode) for mode in modes},
        "mujoco": mujoco.__version__,
    }


# --- scenes ----------------------------------------------------------------------------------------------


def capsules(physics: PhysicsConfig) -> Grasp:
    """A hand as heavy as its forearm that only slides, across the middle of a fixed upper arm."""
    body = smpl24()
    hand, arm = (next(geom for geom in body.geoms if geom.body == body.index(name)) for name in _KEY[1:])
    spec = draft(Setting(bodies=(body, body)), 0, [], physics, "so3", True)
    for root in spec.worldbody.bodies:
        spec.delete(root)
    rest = hand.radius + arm.radius
    mass = float(body.masses[body.indices(["L_Elbow", "L_Wrist", "L_Hand"])].sum())
    surface = {"condim": 3, "friction": [physics.friction, 0.005, 0.0001], "solref": [physics.contact_time, 1.0]}
    for name, geom, axis, place in (("arm", arm, (1, 0, 0), (0, 0, 5)), ("hand", hand, (0, 1, 0), (0, 0, 5 + rest))):
        half = 0.5 * np.linalg.norm(np.subtract(geom.end, geom.start)) * np.array(axis)
        part = spec.worldbody.add_body(name=name, pos=list(place))
        part.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[*-half, *half],
            size=[geom.radius, 0, 0],
            mass=mass,
            **surface,
        )
    for direction in np.eye(3):
        spec.body("hand").add_joint(type=mujoco.mjtJoint.mjJNT_SLIDE, axis=list(direction))
    _add_sensor(spec, "hand", "arm")
    spec.option.gravity = [0.0, 0.0, 0.0]
    origin = (0.0, 0.0, 0.0)
    return Grasp(
        spec=spec, hand="hand", arm="arm", point=origin, arm_point=origin, touch=(0.0, 0.0, rest), rest=rest,
        qpos=np.zeros(3), controls=np.zeros(0),
    )  # fmt: skip


def people(physics: PhysicsConfig) -> Grasp:
    """The supporter's left hand on the recipient's right upper arm, as a clip begins."""
    clip = load_clip(_CLIP)
    reference = build_reference([clip])
    hold = next(hold for hold in clip_holds(clip) if hold.key == _KEY)
    spec = draft(
        Setting(bodies=clip.bodies, furniture=clip.furniture), len(clip.furniture), touching_pairs(clip.bodies),
        physics, "so3", False,
    )  # fmt: skip
    hand, arm = f"{_KEY[0]}_{_KEY[1]}", f"recipient_{_KEY[2]}"
    _add_sensor(spec, hand, arm)
    spec.option.gravity = [0.0, 0.0, 0.0]
    bodies = (clip.bodies[0].index(_KEY[1]), clip.bodies[1].index(_KEY[2]))
    world = reference.position[0, 0, bodies[0]] + rotations.rotate(
        reference.rotation[0, 0, bodies[0]], np.array(hold.point)
    )
    touch = rotations.inverse_rotate(reference.rotation[0, 1, bodies[1]], world - reference.position[0, 1, bodies[1]])
    return Grasp(
        spec=spec, hand=hand, arm=arm, point=hold.point, arm_point=hold.partner_point, touch=tuple(touch.tolist()),
        rest=hold.rest, qpos=reference.qpos[0].ravel(), controls=reference.target[0].ravel(),
    )  # fmt: skip


SCENES: Mapping[str, Callable[[PhysicsConfig], Grasp]] = {"capsules": capsules, "people": people}


def _add_sensor(spec: mujoco.MjSpec, hand: str, arm: str) -> None:
    """Net contact force of the hand on the arm, named ``touch``."""
    sensor = spec.add_sensor(name="touch", type=mujoco.mjtSensor.mjSENS_CONTACT)
    sensor.objtype, sensor.objname = mujoco.mjtObj.mjOBJ_BODY, hand
    sensor.reftype, sensor.refname = mujoco.mjtObj.mjOBJ_BODY, arm
    sensor.intprm = [1 << 1, 3, 1]


def add_mechanism(grasp: Grasp, mechanism: Mechanism, strength: float) -> None:
    """Let the hand hold the arm, by ``strength`` [N] where the mechanism knows one."""
    spec = grasp.spec
    if mechanism == "clasp":
        add_clasp(spec, "grip", {grasp.hand: grasp.point, grasp.arm: grasp.arm_point}, GripConfig(strength=strength))
    elif mechanism == "adhesion":
        palm = spec.add_actuator(name="grip", target=grasp.hand, trntype=mujoco.mjtTrn.mjTRN_BODY)
        gain = np.zeros(len(palm.gainprm))
        gain[0] = strength
        palm.gaintype, palm.gainprm = mujoco.mjtGain.mjGAIN_FIXED, gain
        palm.ctrllimited, palm.ctrlrange = True, [0.0, 1.0]
    else:
        for body, point in ((grasp.hand, grasp.point), (grasp.arm, grasp.touch)):
            spec.body(body).add_site(name=f"joined_{body}", pos=list(point))
        names = {"name1": f"joined_{grasp.hand}", "name2": f"joined_{grasp.arm}"}
        spec.add_equality(name="grip", type=mujoco.mjtEq.mjEQ_CONNECT, objtype=mujoco.mjtObj.mjOBJ_SITE, **names)


# --- pulling ---------------------------------------------------------------------------------------------


class Trial:
    """One hand that holds while it is pulled.

    Args:
        grasp: The scene.
        mechanism: How it holds.
        strength: How strongly; ``connect`` is switched off when its force at the end of a control step exceeds it [N].
    """

    def __init__(self, grasp: Grasp, mechanism: Mechanism, strength: float) -> None:
        add_mechanism(grasp, mechanism, strength)
        self.model = grasp.spec.compile()
        self.data = mujoco.MjData(self.model)
        self._mechanism, self._strength = mechanism, strength
        self._hand, self._arm = (self.model.body(name).id for name in (grasp.hand, grasp.arm))
        self._point, self._arm_point = np.array(grasp.point), np.array(grasp.arm_point)
        self.data.qpos[:] = grasp.qpos
        self.data.ctrl[: len(grasp.controls)] = grasp.controls
        if mechanism != "connect":
            self.data.ctrl[len(grasp.controls) :] = grasp.rest if mechanism == "clasp" else 1.0
        mujoco.mj_forward(self.model, self.data)
        self._substeps = round(CONTROL_DT / self.model.opt.timestep)

    def run(self, seconds: float, load: float = 0.0, direction: Direction = "away") -> None:
        """Pull with a load that grows for half a second [N]."""
        line = self._line(direction)
        for step in range(round(seconds / CONTROL_DT)):
            line = self._line(direction) if direction == "apart" else line
            self._push(min((step + 1) * CONTROL_DT / _RAMP, 1.0) * load * line)
            mujoco.mj_step(self.model, self.data, self._substeps)
            if self._mechanism == "connect" and np.linalg.norm(self._joint_force()) > self._strength:
                self.data.eq_active[0] = 0

    def gap(self) -> Array:
        """Vector from the arm's to the hand's point [m]."""
        hand, arm = self._ends()
        return hand - arm

    def raw(self) -> float:
        """What the contact sensor reads [N]."""
        return float(np.linalg.norm(self.data.sensor("touch").data))

    def own(self) -> Array:
        """Force by which the mechanism itself draws the arm to the hand [N]."""
        if self._mechanism == "clasp":
            gap = self.gap()
            return -self.data.actuator("grip").force[0] * gap / np.linalg.norm(gap)
        if self._mechanism == "connect":
            return -self._joint_force()
        frames = [contact.frame[:3] * (1 if self._is_hand(contact.geom[1]) else -1) for contact in self._contacts()]
        return self._strength * np.mean(frames, axis=0) if frames else np.zeros(3)

    def net(self) -> float:
        """Contact force and the mechanism's own together: what the arm feels [N]."""
        return float(np.linalg.norm(self.data.sensor("touch").data + self.own()))

    def speed(self) -> float:
        """Fastest component of the velocity [m/s, rad/s]."""
        return float(np.abs(self.data.qvel).max())

    def _ends(self) -> tuple[Array, Array]:
        data, ends = self.data, ((self._hand, self._point), (self._arm, self._arm_point))
        hand, arm = (data.xpos[body] + data.xmat[body].reshape(3, 3) @ point for body, point in ends)
        return hand, arm

    def _line(self, direction: Direction) -> Array:
        """Unit vector of the load."""
        gap = self.gap()
        return self.data.xmat[self._arm].reshape(3, 3)[:, 0] if direction == "along" else gap / np.linalg.norm(gap)

    def _push(self, force: Array) -> None:
        """A force [N] on the hand, and its opposite on the arm."""
        for body, point, sign in zip((self._hand, self._arm), self._ends(), (1.0, -1.0), strict=True):
            arm = point - self.data.xipos[body]
            self.data.xfrc_applied[body] = np.concatenate([sign * force, np.cross(arm, sign * force)])

    def _joint_force(self) -> Array:
        """Force of the ``connect`` constraint on the hand, world frame [N]."""
        return self.data.efc_force[:3] if self.data.eq_active[0] else np.zeros(3)

    def _contacts(self) -> list[Any]:
        pair = {self._hand, self._arm}
        return [one for one in self.data.contact if {*self.model.geom_bodyid[one.geom].tolist()} == pair]

    def _is_hand(self, geom: int) -> bool:
        return bool(self.model.geom_bodyid[geom] == self._hand)


def _row(config: GripBenchmark, scene: str, direction: Direction, mechanism: Mechanism, solver: str) -> dict[str, Any]:
    """How one mechanism behaves without load, pulled by a third of its strength, pushed by it, and until it is lost."""

    def settled() -> Trial:
        trial = Trial(SCENES[scene](SOLVERS[solver]), mechanism, config.strength)
        trial.run(_SETTLE)
        return trial

    def loaded(load: float) -> Trial:
        trial = settled()
        trial.run(_RAMP + _KEEP, load, direction)
        return trial

    third = config.strength / 3.0
    idle, pulled, pushed = loaded(0.0), loaded(third), loaded(-third if direction != "along" else 0.0)
    start = np.linalg.norm(settled().gap())
    held, lost = 0, round(1.5 * config.strength / config.step)
    while lost - held > 1:
        middle = (held + lost) // 2
        kept = np.linalg.norm(loaded(middle * config.step).gap()) - start <= GripConfig().release
        held, lost = (middle, lost) if kept else (held, middle)
    return {
        "scene": scene,
        "direction": direction,
        "mechanism": mechanism,
        "solver": solver,
        "holds": held * config.step,
        "unloaded_sensor": idle.raw(),
        "unloaded_net": idle.net(),
        "load": third,
        "loaded_sensor": pulled.raw(),
        "loaded_net": pulled.net(),
        "stretch": float(np.linalg.norm(pulled.gap()) - start),
        "speed": pulled.speed(),
        "own_force_when_pushed": float(np.linalg.norm(pushed.own())),
    }


# --- saving and cost -------------------------------------------------------------------------------------


def _batch(mechanism: Mechanism | None, strength: float, worlds: int) -> tuple[Batch, Grasp]:
    """Worlds of two people with gravity, one hand of which holds."""
    grasp = people(PHYSICS_PRESETS["standard"])
    grasp.spec.option.gravity = [0.0, 0.0, -9.81]
    if mechanism is not None:
        add_mechanism(grasp, mechanism, strength)
    batch = Batch(grasp.spec.compile(), worlds, nthread=1, persistent=True)
    controls = batch.bind("ctrl")
    batch.bind("qpos")[:] = grasp.qpos
    controls[:, : len(grasp.controls)] = grasp.controls
    if mechanism in ("clasp", "adhesion"):
        controls[:, -1] = grasp.rest if mechanism == "clasp" else 1.0
    batch.forward()
    return batch, grasp


def _restores(mechanism: Mechanism, strength: float) -> bool:
    """Whether a saved state continues bit for bit in another world that has let go."""
    batch, _ = _batch(mechanism, strength, 2)
    qpos = batch.bind("qpos")
    batch.step(nstep=20)
    state = batch.state[0].copy()
    batch.step(nstep=20)
    expected = qpos[0].copy()
    if mechanism == "connect":
        batch.bind("eq_active")[1] = 0
    else:
        batch.bind("ctrl")[1, -1] = 0.0
    batch.step(nstep=20)
    batch.state[1] = state
    batch.step(ids=np.array([1]), nstep=20)
    return bool(np.array_equal(qpos[1], expected))


def _mechanism_cost(config: GripBenchmark) -> dict[str, dict[str, float]]:
    """Two control steps of physics from one state, one hand holding: CPU time relative to none, constraint rows."""
    kinds: Sequence[Mechanism | None] = (None, *get_args(Mechanism))
    batches = {kind or "none": _batch(kind, config.strength, config.num_envs)[0] for kind in kinds}
    starts = {name: batch.state.copy() for name, batch in batches.items()}
    fastest = dict.fromkeys(batches, np.inf)
    for _ in range(config.repeats):
        for name, batch in batches.items():
            batch.state[:] = starts[name]
            batch.forward()
            begin = time.process_time()
            batch.step(nstep=8)
            fastest[name] = min(fastest[name], time.process_time() - begin)
    rows = {name: float(batch.bind("nefc").mean()) for name, batch in batches.items()}
    return {name: {"time": seconds / fastest["none"], "rows": rows[name]} for name, seconds in fastest.items()}


def _mode_cost(config: GripBenchmark) -> dict[str, float]:
    """CPU time of whole control steps of ``SitToStand-v0``, relative to no grip; the reference is asked for."""
    modes = ("none", "reference", "automatic")
    simulations = {mode: _make(mode, config.num_envs, start_noise=0.0).simulation for mode in modes}
    everyone = np.arange(config.num_envs)
    fastest = {mode: np.full(20, np.inf) for mode in modes}
    for _ in range(max(config.repeats // 10, 2)):
        for simulation in simulations.values():
            simulation.seed(everyone)
            simulation.reset(everyone, clip=np.zeros_like(everyone), frame=everyone)
        for step in range(20):
            for mode, simulation in simulations.items():
                fastest[mode][step] = min(fastest[mode][step], _timed_step(simulation))
    return {mode: float(seconds.sum() / fastest["none"].sum()) for mode, seconds in fastest.items()}


def _timed_step(simulation: PairSimulation) -> float:
    row = simulation.reference.row(simulation.clip, simulation.frame + 1)
    action = simulation.actions_for(simulation.reference.target[row])
    begin = time.process_time()
    simulation.step(action)
    return time.process_time() - begin


# --- what it changes -------------------------------------------------------------------------------------


def _make(mode: str, worlds: int, **options: Any) -> Any:
    return registry.make_vec(_ENV_ID, num_envs=worlds, threads=1, grip=mode, **options)


def _help(config: GripBenchmark, mode: str) -> dict[str, Any]:
    """The shipped prior as both roles; the recipient needs help."""
    env = _make(mode, min(config.rollouts, 64), recipient="needs-help")
    prior = fitted(Policy.load(asset_path(PRIOR)), env.simulation)
    result = evaluate(env, dict.fromkeys(ROLES, prior), rollouts=config.rollouts, seed=config.seed)
    names = ("task_success", "success_50", "survived", "mpjpe", "support_force")
    return {name: result.summary["policy"][name].to_json() for name in names}
