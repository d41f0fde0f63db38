"""``Scene``: two people, a floor and furniture as MuJoCo models, with the tables that index them.

One scene may hold several *variants* (clips with other people or other furniture). They have equal sizes
and differ in numbers only, so that a batch of worlds can hold a different variant in each world.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import mujoco
import mujoco.batch
import numpy as np
from numpy.typing import NDArray

from .body import BodySpec, Geom, Point
from .clip import ROLES, Furniture
from .config import ActuationLaw, GripConfig, PhysicsConfig
from .errors import ConfigError
from .grip import Hold, Key

_DEFAULT_GAP = 2.0
"""Distance of the two people in the default pose [m]: inside each other they would fill megabytes with contacts."""

_FLOOR_TYPE, _PERSON_TYPES = 1, (2, 4)
_COLOURS = ((0.27, 0.52, 0.84, 1.0), (0.95, 0.60, 0.26, 1.0))
_WOOD = (0.62, 0.48, 0.36, 1.0)
_INTEGRATORS = {
    "implicitfast": mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    "discrete": mujoco.mjtIntegrator.mjINT_DISCRETE,
}
_SOLVERS = {"pgs": mujoco.mjtSolver.mjSOL_PGS, "newton": mujoco.mjtSolver.mjSOL_NEWTON}
_JACOBIANS = {
    "auto": mujoco.mjtJacobian.mjJAC_AUTO,
    "dense": mujoco.mjtJacobian.mjJAC_DENSE,
    "sparse": mujoco.mjtJacobian.mjJAC_SPARSE,
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Who and what is in a scene.

    Attributes:
        bodies: The supporter's and the recipient's body.
        furniture: Boxes that do not move.
        holds: Where hands can grip the partner.
    """

    bodies: tuple[BodySpec, BodySpec]
    furniture: tuple[Furniture, ...] = ()
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Compiled variants of one scene. Bodies are 0 (world), the supporter's J, the recipient's J.

    Attributes:
        settings: What each variant shows.
        models: One model per variant, all of equal sizes.
        physics: Integration settings.
        actuation: Servo law.
        holds: Holds of all variants; each has one tendon, after the servos among the actuators.
    """

    settings: tuple[Setting, ...]
    models: tuple[mujoco.MjModel, ...]
    physics: PhysicsConfig
    actuation: ActuationLaw
    holds: tuple[Key, ...]

    @property
    def model(self) -> mujoco.MjModel:
        """The first variant."""
        return self.models[0]

    @property
    def body(self) -> BodySpec:
        """A body of this scene's topology (names, order, sizes); proportions are the first supporter's."""
        return self.settings[0].bodies[0]

    @cached_property
    def varying(self) -> Mapping[str, NDArray[np.generic]]:
        """Model fields in which the variants differ: name -> values, shape (variants, ...)."""
        fields = {}
        for name in sorted(name for name in mujoco.batch.MODEL_FIELDS if "." not in name):
            rows = [np.asarray(getattr(model, name, 0)) for model in self.models]
            if any(not np.array_equal(rows[0], row) for row in rows[1:]):
                fields[name] = np.stack(rows)
        return fields


def build_scene(
    settings: Sequence[Setting],
    *,
    physics: PhysicsConfig | None = None,
    actuation: ActuationLaw = "so3",
    grip: GripConfig | None = None,
    solo: bool = False,
) -> Scene:
    """Compile a scene.

    Args:
        settings: At least one; all bodies must share one topology.
        physics: Integration settings; by default ``PhysicsConfig()``.
        actuation: Servo law.
        grip: How hands hold; by default ``GripConfig()``. Only the settings' holds are built.
        solo: The two people pass through each other.

    Raises:
        ConfigError: No setting, or bodies of different topologies.
    """
    physics = PhysicsConfig() if physics is None else physics
    if not settings:
        raise ConfigError("a scene needs at least one setting.")
    topologies = sorted({body.name for setting in settings for body in setting.bodies})
    if len(topologies) > 1:
        raise ConfigError(f"one scene cannot mix the bodies {' and '.join(topologies)}.")
    bodies = {id(body): body for setting in settings for body in setting.bodies}
    excludes = touching_pairs(bodies.values()) if physics.self_collision else []
    boxes = max(len(setting.furniture) for setting in settings)
    holds = tuple(sorted({hold.key for setting in settings for hold in setting.holds}))
    models = []
    for setting in settings:
        spec = draft(setting, boxes, excludes, physics, actuation, solo)
        for key in holds:
            _add_hold(spec, setting, key, GripConfig() if grip is None else grip)
        models.append(spec.compile())
    return Scene(settings=tuple(settings), models=tuple(models), physics=physics, actuation=actuation, holds=holds)


def touching_pairs(bodies: Iterable[BodySpec]) -> list[tuple[str, str]]:
    """Pairs of bodies of one person that must not collide: near relatives, one hand's, and neighbours at rest."""
    pairs: set[tuple[str, str]] = set()
    for body in bodies:
        pairs |= _relatives(body) | _same_hand(body) | _touching_at_rest(body)
    return sorted(pairs)


def _relatives(body: BodySpec) -> set[tuple[str, str]]:
    """Grandparents and siblings (MuJoCo leaves out parents by itself)."""

    def near(a: int, b: int) -> bool:
        parents = body.parents
        return parents[a] == parents[b] or (parents[b] >= 0 and parents[parents[b]] == a)

    return {(body.names[a], body.names[b]) for a, b in combinations(range(body.num_bodies), 2) if near(a, b)}


def _same_hand(body: BodySpec) -> set[tuple[str, str]]:
    """Bodies of one hand: fingers bend into each other and the palm rather than push them apart."""
    pairs = (pair for hand in body.hands for pair in combinations(hand, 2))
    return {(body.names[a], body.names[b]) for a, b in pairs if body.parents[b] != a}


def _touching_at_rest(body: BodySpec) -> set[tuple[str, str]]:
    spec = mujoco.MjSpec()
    _add_person(spec, "", body, (1, 1), PhysicsConfig(), "so3")
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    owners = model.geom_bodyid[data.contact.geom.reshape(-1, 2)]
    return {tuple(sorted((body.names[a - 1], body.names[b - 1]), key=body.index)) for a, b in owners}  # type: ignore[misc]


def draft(
    setting: Setting,
    boxes: int,
    excludes: Sequence[tuple[str, str]],
    physics: PhysicsConfig,
    actuation: ActuationLaw,
    solo: bool,
) -> mujoco.MjSpec:
    """One variant, without its holds.

    Args:
        setting: What it shows.
        boxes: Furniture slots.
        excludes: Pairs of bodies of one person that must not collide, see `touching_pairs`.
        physics: Integration settings.
        actuation: Servo law.
        solo: The two people pass through each other.
    """
    spec = mujoco.MjSpec()
    spec.modelname = "assistmimic"
    _set_options(spec, physics)
    _add_surroundings(spec, physics)
    for slot in range(boxes):
        _add_box(spec, slot, setting.furniture[slot] if slot < len(setting.furniture) else None, physics)
    for role, body in enumerate(setting.bodies):
        _add_person(spec, f"{ROLES[role]}_", body, _masks(role, physics.self_collision, solo), physics, actuation, role)
        for first, second in excludes:
            spec.add_exclude(bodyname1=f"{ROLES[role]}_{first}", bodyname2=f"{ROLES[role]}_{second}")
    for role, body in enumerate(setting.bodies):
        _add_contact_sensors(spec, body, ROLES[role], ROLES[1 - role])
    return spec


def _set_options(spec: mujoco.MjSpec, physics: PhysicsConfig) -> None:
    option = spec.option
    option.timestep = physics.timestep
    option.integrator = _INTEGRATORS[physics.integrator]
    option.solver = _SOLVERS[physics.solver]
    option.jacobian = _JACOBIANS[physics.jacobian]
    option.iterations = physics.iterations
    option.tolerance = physics.tolerance
    option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL


def _masks(role: int, self_collision: bool, solo: bool) -> tuple[int, int]:
    """``(contype, conaffinity)`` of a person's geoms (``spec/physics.md`` section 6)."""
    own, partner = _PERSON_TYPES[role], 0 if solo else _PERSON_TYPES[1 - role]
    if self_collision:
        return own | partner, _FLOOR_TYPE | own | partner
    return own, _FLOOR_TYPE | partner


def _add_surroundings(spec: mujoco.MjSpec, physics: PhysicsConfig) -> None:
    texture = spec.add_texture(
        name="floor",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        width=256,
        height=256,
        rgb1=[0.86, 0.88, 0.90],
        rgb2=[0.80, 0.82, 0.85],
    )
    material = spec.add_material(name="floor", texuniform=True, texrepeat=[1.0, 1.0], reflectance=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture.name
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        width=128,
        height=768,
        rgb1=[0.95, 0.97, 1.0],
        rgb2=[0.78, 0.84, 0.92],
    )
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[20.0, 20.0, 0.1],
        contype=_FLOOR_TYPE,
        conaffinity=0,
        material="floor",
        **_surface(physics),
    )
    spec.worldbody.add_light(
        name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=[0.0, 0.0, 5.0], dir=[-0.4, 0.3, -1.0],
        diffuse=[0.7, 0.7, 0.7], ambient=[0.25, 0.25, 0.25],
    )  # fmt: skip
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 1024
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1920, 1080


def _add_box(spec: mujoco.MjSpec, slot: int, furniture: Furniture | None, physics: PhysicsConfig) -> None:
    """One furniture slot; a variant with fewer boxes buries the others."""
    hidden = Furniture(name="none", kind="box", size=(0.02, 0.02, 0.02), position=(0.0, 0.0, -50.0), yaw=0.0)
    box = hidden if furniture is None else furniture
    spec.worldbody.add_geom(
        name=f"furniture_{slot}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.5 * extent for extent in box.size],
        pos=list(box.position),
        quat=[np.cos(0.5 * box.yaw), 0.0, 0.0, np.sin(0.5 * box.yaw)],
        contype=_FLOOR_TYPE,
        conaffinity=0,
        rgba=list(_WOOD),
        **_surface(physics),
    )


def _surface(physics: PhysicsConfig) -> dict[str, Any]:
    """Contact properties, the same for every geom: MuJoCo takes the larger friction and mixes ``solref``."""
    return {"condim": 3, "friction": [physics.friction, 0.005, 0.0001], "solref": [physics.contact_time, 1.0]}


def _add_person(
    spec: mujoco.MjSpec,
    prefix: str,
    body: BodySpec,
    masks: tuple[int, int],
    physics: PhysicsConfig,
    actuation: ActuationLaw,
    role: int = 0,
) -> None:
    parts: list[mujoco.MjsBody] = []
    for index, name in enumerate(body.names):
        parent = spec.worldbody if index == 0 else parts[body.parents[index]]
        part = parent.add_body(name=prefix + name, pos=list(body.offsets[index]))
        if index == 0:
            part.pos = [_DEFAULT_GAP * role, 0.0, body.rest_height]
            part.add_freejoint(name=f"{prefix}root")
        else:
            part.add_joint(name=prefix + name, type=mujoco.mjtJoint.mjJNT_BALL, armature=body.armature)
        parts.append(part)
    for number, geom in enumerate(body.geoms):
        _add_geom(parts[geom.body], f"{prefix}{body.names[geom.body]}_{number}", geom, masks, physics, role)
    for index in range(1, body.num_bodies):
        _add_servo(spec, prefix, body, index, actuation)


def _add_geom(
    part: mujoco.MjsBody, name: str, geom: Geom, masks: tuple[int, int], physics: PhysicsConfig, role: int
) -> None:
    shape = {
        "name": name,
        "mass": geom.mass,
        "contype": masks[0],
        "conaffinity": masks[1],
        "rgba": list(_COLOURS[role]),
        "size": [geom.radius, 0.0, 0.0],
        **_surface(physics),
    }
    if geom.kind == "sphere":
        part.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, pos=list(geom.start), **shape)
    else:
        part.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[*geom.start, *geom.end], **shape)


def _add_servo(spec: mujoco.MjSpec, prefix: str, body: BodySpec, index: int, actuation: ActuationLaw) -> None:
    """``so3``: one orientation servo; ``expmap``: one affine servo per component (``spec/physics.md`` section 4)."""
    joint, limit = prefix + body.names[index], float(body.torque_limits[index])
    if actuation == "so3":
        servo = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_SO3, mujoco.mjtBias.mjBIAS_SO3
        _set_gains(servo, body, index, [0.0, limit])
        return
    for axis, letter in enumerate("xyz"):
        servo = spec.add_actuator(name=f"{joint}_{letter}", target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        gear = np.zeros(6)
        gear[axis] = 1.0
        servo.gear = gear
        _set_gains(servo, body, index, [-limit, limit])


def _set_gains(servo: mujoco.MjsActuator, body: BodySpec, index: int, force_range: list[float]) -> None:
    gain, bias = np.zeros(len(servo.gainprm)), np.zeros(len(servo.biasprm))
    gain[0], bias[1], bias[2] = body.kp[index], -body.kp[index], -body.kd[index]
    servo.gainprm, servo.biasprm = gain, bias
    servo.forcelimited, servo.forcerange = True, force_range


def _add_hold(spec: mujoco.MjSpec, setting: Setting, key: Key, grip: GripConfig) -> None:
    """The clasp of one hold; a variant without it gets one too, for equal sizes, and leaves it open."""
    hold = next((hold for hold in setting.holds if hold.key == key), None)
    role, body, partner_body = key
    partner = ROLES[1 - ROLES.index(role)]
    nowhere = (0.0, 0.0, 0.0)
    ends = {
        f"{role}_{body}": hold.point if hold else nowhere,
        f"{partner}_{partner_body}": hold.partner_point if hold else nowhere,
    }
    add_clasp(spec, f"hold_{role}_{body}_{partner_body}", ends, grip)


def add_clasp(spec: mujoco.MjSpec, name: str, ends: Mapping[str, Point], grip: GripConfig) -> None:
    """A tendon that pulls with stiffness (length - control) + damping speed, within 0 and the strength [N].

    Args:
        spec: Where.
        name: Of tendon and actuator.
        ends: The two bodies -> where it pulls in their frames [m].
        grip: Stiffness, damping and strength.
    """
    tendon = spec.add_tendon(name=name, rgba=[0.2, 0.7, 0.3, 0.5], width=0.005)
    for end, point in ends.items():
        spec.body(end).add_site(name=f"{name}_{end}", pos=list(point), size=[0.01, 0.01, 0.01])
        tendon.wrap_site(f"{name}_{end}")
    servo = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_TENDON)
    servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    gain, bias = np.zeros(len(servo.gainprm)), np.zeros(len(servo.biasprm))
    gain[0], bias[1], bias[2] = grip.stiffness, -grip.stiffness, -grip.damping
    servo.gainprm, servo.biasprm = gain, bias
    servo.forcelimited, servo.forcerange = True, [-grip.strength, 0.0]


def hold_ends(model: mujoco.MjModel, holds: int) -> NDArray[np.intp]:
    """Sites at the hand's and the partner's end of each hold of a scene, shape (holds, 2)."""
    starts = model.tendon_adr[:holds]
    return np.array([model.wrap_objid[start : start + 2] for start in starts], dtype=np.intp).reshape(-1, 2)


def _add_contact_sensors(spec: mujoco.MjSpec, body: BodySpec, role: str, partner: str) -> None:
    """Net force between each body and the whole partner (sign: on the partner; see ``Worlds``)."""
    for name in body.names:
        sensor = spec.add_sensor(name=f"{role}_{name}_on_partner", type=mujoco.mjtSensor.mjSENS_CONTACT)
        sensor.objtype, sensor.objname = mujoco.mjtObj.mjOBJ_BODY, f"{role}_{name}"
        sensor.reftype, sensor.refname = mujoco.mjtObj.mjOBJ_XBODY, f"{partner}_{body.names[0]}"
        sensor.intprm = [1 << 1, 3, 1]
