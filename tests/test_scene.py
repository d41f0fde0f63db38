"""What is in a compiled scene: names, masks, contacts, sensors, presets, variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import mujoco
import numpy as np
import pytest

from assistmimic_env.body import BodySpec, smpl24
from assistmimic_env.clip import ROLES, Furniture
from assistmimic_env.config import PHYSICS_PRESETS, Impairment, PhysicsConfig
from assistmimic_env.errors import ConfigError
from assistmimic_env.scene import Scene, Setting, build_scene, touching_pairs
from assistmimic_env.strength import impaired
from assistmimic_env.worlds import Worlds

BODY = smpl24()
TALL = smpl24(stature=1.9, mass=90.0)
SMALL = smpl24(stature=1.55, mass=50.0)
STOOL = Furniture(name="stool", kind="seat", size=(0.4, 0.5, 0.42), position=(1.0, 0.2, 0.21), yaw=0.3)
BED = Furniture(name="bed", kind="bed", size=(2.0, 0.9, 0.5), position=(-1.5, 0.0, 0.25))
PAIR = Setting(bodies=(BODY, BODY))


def pose(scene: Scene, *roots: Sequence[float], variant: int = 0) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The rest pose with the two pelvises at given places, forwarded."""
    model = scene.models[variant]
    data = mujoco.MjData(model)
    for role, place in zip(ROLES, roots, strict=True):
        data.joint(f"{role}_root").qpos[:3] = place
    mujoco.mj_forward(model, data)
    return model, data


def touching(model: mujoco.MjModel, data: mujoco.MjData) -> set[frozenset[str]]:
    """Pairs of bodies in contact; the world's geoms by their own name."""

    def owner(geom: int) -> str:
        body = int(model.geom_bodyid[geom])
        return model.body(body).name if body else model.geom(geom).name

    return {frozenset(owner(int(geom)) for geom in pair) for pair in data.contact.geom.reshape(-1, 2)}


def test_names_carry_the_role_and_bodies_follow_each_other_in_order() -> None:
    model = build_scene([PAIR]).model
    expected = ["world", *(f"{role}_{name}" for role in ROLES for name in BODY.names)]
    assert [model.body(i).name for i in range(model.nbody)] == expected
    assert [model.joint(i).name for i in (0, 1, 24)] == ["supporter_root", "supporter_L_Hip", "recipient_root"]
    assert [model.actuator(i).name for i in (0, 23)] == ["supporter_L_Hip", "recipient_L_Hip"]
    assert [model.sensor(i).name for i in (0, 47)] == ["supporter_Pelvis_on_partner", "recipient_R_Hand_on_partner"]


def test_sizes_are_those_of_two_people() -> None:
    model = build_scene([PAIR]).model
    assert (model.nq, model.nv, model.nu, model.nsensordata) == (2 * (3 + 24 * 4), 150, 138, 2 * 24 * 3)
    assert build_scene([PAIR], actuation="expmap").model.nu == 138


@pytest.mark.parametrize("name", PHYSICS_PRESETS)
def test_options_are_those_of_the_preset(name: str) -> None:
    preset = PHYSICS_PRESETS[name]
    option = build_scene([PAIR], physics=preset).model.opt
    assert option.timestep == preset.timestep
    assert option.iterations == preset.iterations
    assert option.tolerance == preset.tolerance
    assert mujoco.mjtSolver(option.solver).name == f"mjSOL_{preset.solver.upper()}"
    assert mujoco.mjtIntegrator(option.integrator).name == f"mjINT_{preset.integrator.upper()}"
    assert option.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL
    assert option.impratio == 1.0


@pytest.mark.parametrize("preset", ["standard", "smooth"])
@pytest.mark.parametrize("friction", [0.4, 1.0, 1.5])
def test_friction_and_stiffness_hold_for_every_contact(preset: str, friction: float) -> None:
    """Also with the floor: MuJoCo takes the larger friction of two geoms, so every geom must have it."""
    physics = replace(PHYSICS_PRESETS[preset], friction=friction)
    scene = build_scene([replace(PAIR, furniture=(STOOL,))], physics=physics)
    _, data = pose(scene, (0.0, 0.0, BODY.rest_height - 0.01), (0.8, 0.0, BODY.rest_height - 0.01))
    assert data.ncon > 8
    np.testing.assert_allclose(data.contact.friction[:, :2], friction)
    np.testing.assert_allclose(data.contact.solref, [[physics.contact_time, 1.0]] * data.ncon)
    np.testing.assert_array_equal(data.contact.dim, 3)


def test_servos_have_the_gains_and_limits_of_the_body() -> None:
    scene = build_scene(
        [replace(PAIR, bodies=(BODY, impaired(BODY, Impairment(gain={"Hip": 0.5}, torque_limit={"Hip": 20.0}))))]
    )
    model = scene.model
    hip = model.actuator("supporter_L_Hip"), model.actuator("recipient_L_Hip")
    assert [servo.gainprm[0] for servo in hip] == [800.0, 400.0]
    assert [list(servo.biasprm[1:3]) for servo in hip] == [[-800.0, -80.0], [-400.0, -40.0]]
    assert [servo.forcerange[1] for servo in hip] == [250.0, 20.0]
    np.testing.assert_array_equal(model.dof_armature[6:75], 0.1)
    np.testing.assert_array_equal(model.dof_armature[:6], 0.0)
    np.testing.assert_array_equal(model.dof_damping, 0.0)


@pytest.mark.parametrize("self_collision", [True, False])
def test_people_collide_with_each_other_the_floor_and_furniture(self_collision: bool) -> None:
    scene = build_scene([replace(PAIR, furniture=(STOOL, BED))], physics=PhysicsConfig(self_collision=self_collision))
    height = BODY.rest_height - 0.005
    apart = touching(*pose(scene, (0.0, 3.0, height), (0.0, -3.0, height)))
    feet = {f"{role}_{side}_{part}" for role in ROLES for side in "LR" for part in ("Ankle", "Toe")}
    assert apart == {frozenset((foot, "floor")) for foot in feet}
    hugging = touching(*pose(scene, (0.0, 3.0, height), (0.1, 3.0, height)))
    assert frozenset(("supporter_Chest", "recipient_Chest")) in hugging
    seated = touching(*pose(scene, (1.0, 0.2, height), (-1.5, 0.0, height)))
    assert {frozenset(("supporter_L_Knee", "furniture_0")), frozenset(("recipient_L_Knee", "furniture_1"))} <= seated


@pytest.mark.parametrize("self_collision", [True, False])
def test_self_collision_can_be_switched(self_collision: bool) -> None:
    """The left hand is moved into the own head."""
    scene = build_scene([PAIR], physics=PhysicsConfig(self_collision=self_collision))
    model = scene.model
    data = mujoco.MjData(model)
    data.qpos[2] = data.qpos[model.joint("recipient_root").qposadr[0] + 2] = 3.0
    data.qpos[model.joint("recipient_root").qposadr[0]] = 5.0
    data.joint("supporter_L_Elbow").qpos[:] = [np.cos(1.35), np.sin(1.35), 0.0, 0.0]
    data.joint("supporter_L_Shoulder").qpos[:] = [np.cos(0.4), np.sin(0.4), 0.0, 0.0]
    mujoco.mj_forward(model, data)
    own = {pair for pair in touching(model, data) if all(name.startswith("supporter") for name in pair)}
    assert bool(own) == self_collision, own


@pytest.mark.parametrize("people", [(BODY, BODY), (TALL, SMALL), (smpl24(stature=1.6, mass=120.0), BODY)])
def test_nobody_touches_themselves_at_rest(people: tuple[BodySpec, BodySpec]) -> None:
    scene = build_scene([Setting(bodies=people)])
    model, data = pose(scene, (0.0, 0.0, 3.0), (3.0, 0.0, 3.0))
    assert touching(model, data) == set()


def test_excluded_pairs_are_near_relatives_and_mirror_symmetric() -> None:
    pairs = {frozenset(pair) for pair in touching_pairs([BODY])}
    mirror = str.maketrans("LR", "RL")
    flipped = {
        frozenset(name[:2].translate(mirror) + name[2:] if name[1] == "_" else name for name in pair) for pair in pairs
    }
    assert flipped == pairs
    assert frozenset(("Pelvis", "Spine")) in pairs
    for far in (("L_Hand", "Head"), ("L_Knee", "R_Knee"), ("L_Hand", "R_Hand"), ("L_Elbow", "Chest")):
        assert frozenset(far) not in pairs


def test_contact_sensors_report_the_force_on_the_partner() -> None:
    """MuJoCo's sign, negated by ``Worlds``: side by side, overlapping chests push each other apart."""
    scene = build_scene([PAIR])
    _, data = pose(scene, (0.0, 0.0, 2.0), (0.15, 0.0, 2.0))
    assert data.sensor("supporter_Chest_on_partner").data[0] > 10.0
    assert data.sensor("recipient_Chest_on_partner").data[0] < -10.0
    _, floor_only = pose(scene, (0.0, 0.0, BODY.rest_height - 0.01), (3.0, 0.0, BODY.rest_height - 0.01))
    assert floor_only.ncon > 0
    np.testing.assert_array_equal(floor_only.sensordata, 0.0)


def test_forces_of_worlds_push_the_own_body_away_from_the_partner(make_worlds: Callable[..., Worlds]) -> None:
    worlds = make_worlds(gap=0.15)
    chest = BODY.index("Chest")
    assert worlds.contact_force[0, 0, chest, 0] < -10.0
    assert worlds.contact_force[0, 1, chest, 0] > 10.0


def test_variants_vary_in_numbers_only() -> None:
    settings = [
        PAIR,
        Setting(bodies=(TALL, SMALL), furniture=(STOOL,)),
        Setting(bodies=(BODY, SMALL), furniture=(BED, STOOL)),
    ]
    scene = build_scene(settings)
    sizes = {
        tuple(getattr(model, name) for name in ("nq", "nbody", "ngeom", "nbvh", "nexclude")) for model in scene.models
    }
    assert len(sizes) == 1
    for name in (
        "body_mass",
        "body_inertia",
        "body_pos",
        "geom_size",
        "geom_pos",
        "geom_rbound",
        "qpos0",
        "body_subtreemass",
    ):
        assert name in scene.varying, name
        for variant, model in enumerate(scene.models):
            np.testing.assert_array_equal(scene.varying[name][variant], getattr(model, name))
    for name in ("actuator_gainprm", "geom_type", "exclude_signature", "opt.timestep", "geom_contype"):
        assert name not in scene.varying, name
    assert build_scene([PAIR, PAIR]).varying == {}


def test_furniture_has_the_size_place_and_turn_of_the_clip() -> None:
    scene = build_scene([replace(PAIR, furniture=(STOOL, BED)), replace(PAIR, furniture=(BED,))])
    box = scene.models[0].geom("furniture_0")
    np.testing.assert_allclose(box.size, [0.2, 0.25, 0.21])
    np.testing.assert_allclose(box.pos, STOOL.position)
    np.testing.assert_allclose(box.quat, [np.cos(0.15), 0.0, 0.0, np.sin(0.15)])
    np.testing.assert_allclose(scene.models[1].geom("furniture_0").size, [1.0, 0.45, 0.25])
    assert scene.models[1].geom("furniture_1").pos[2] < -10.0


def test_scene_remembers_its_settings() -> None:
    scene = build_scene([PAIR, Setting(bodies=(TALL, SMALL))])
    assert scene.body is BODY
    assert scene.model is scene.models[0]
    assert scene.physics == PhysicsConfig()


def test_a_scene_needs_people_of_one_topology() -> None:
    with pytest.raises(ConfigError, match="at least one setting"):
        build_scene([])
    with pytest.raises(ConfigError, match="cannot mix the bodies other and smpl24"):
        build_scene([Setting(bodies=(BODY, replace(BODY, name="other")))])
