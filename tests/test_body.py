"""The humanoid: PHC's order, our proportions, what MuJoCo makes of it, fitting and impairment."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistmimic_env import anthropometry as human
from assistmimic_env import body, kinematics, make
from assistmimic_env.body import (
    BodySpec,
    Geom,
    Joints,
    Topology,
    body_names,
    get_body,
    joint_kind,
    mirrored_name,
    register_body,
    smpl24,
)
from assistmimic_env.clip import PairClip
from assistmimic_env.config import Impairment
from assistmimic_env.errors import ClipError, ConfigError
from assistmimic_env.scene import Setting
from assistmimic_env.strength import impaired
from assistmimic_env.worlds import Worlds

PHC_BODIES = (
    "Pelvis", "L_Hip", "L_Knee", "L_Ankle", "L_Toe", "R_Hip", "R_Knee", "R_Ankle", "R_Toe", "Torso", "Spine",
    "Chest", "Neck", "Head", "L_Thorax", "L_Shoulder", "L_Elbow", "L_Wrist", "L_Hand", "R_Thorax", "R_Shoulder",
    "R_Elbow", "R_Wrist", "R_Hand",
)  # fmt: skip
PHC_PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 11, 14, 15, 16, 17, 11, 19, 20, 21, 22)
PHC_GAINS = {"Hip": 800, "Knee": 800, "Ankle": 800, "Toe": 500, "Torso": 1000, "Spine": 1000, "Chest": 1000}
PHC_GAINS |= {"Neck": 500, "Head": 500, "Thorax": 500, "Shoulder": 500, "Elbow": 500, "Wrist": 300, "Hand": 300}
BODY = smpl24()


def in_world(spec: BodySpec, points: np.ndarray, body: int) -> np.ndarray:
    """Points of a body's frame in the rest pose, root at the origin."""
    return points + spec.rest_positions[body]


def movement(spec: BodySpec, frames: int = 40, seed: int = 0) -> np.ndarray:
    """Joint positions of a random movement, shape (frames, J, 3)."""
    rng = np.random.default_rng(seed)
    local = rng.normal(size=(frames, spec.num_bodies, 4))
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    return kinematics.forward_kinematics(spec.parents, spec.offsets, rng.normal(size=(frames, 3)), local)[0]


def test_bodies_and_parents_are_in_the_order_of_phc() -> None:
    """spec/phc.md section 2.1; 69 degrees of freedom in the same order."""
    assert BODY.names == PHC_BODIES
    assert BODY.parents == PHC_PARENTS
    assert (BODY.num_bodies, BODY.num_joints, BODY.num_dofs) == (24, 23, 69)


def test_gains_are_those_of_phc_and_the_root_has_none() -> None:
    kinds = [joint_kind(name) for name in BODY.names]
    assert [BODY.kp[i] for i in range(1, 24)] == [PHC_GAINS[kind] for kind in kinds[1:]]
    np.testing.assert_allclose(BODY.kd, BODY.kp / 10.0)
    assert BODY.kp[0] == BODY.kd[0] == BODY.torque_limits[0] == 0.0
    assert (BODY.torque_limits[1:] > 0.0).all()


def test_parents_come_before_their_children() -> None:
    assert all(parent < child for child, parent in enumerate(BODY.parents))


def test_left_and_right_mirror_each_other() -> None:
    twin = [BODY.index(mirrored_name(name)) for name in BODY.names]
    np.testing.assert_allclose(BODY.offsets[twin], BODY.offsets * [1.0, -1.0, 1.0], atol=1e-15)
    np.testing.assert_array_equal(BODY.masses[twin], BODY.masses)
    np.testing.assert_array_equal(BODY.torque_limits[twin], BODY.torque_limits)


def test_rest_pose_is_a_t_pose_that_faces_x() -> None:
    place = dict(zip(BODY.names, BODY.rest_positions, strict=True))
    assert place["L_Hand"][1] > 0.6 > -0.6 > place["R_Hand"][1]
    arm = [place[f"L_{name}"] for name in ("Shoulder", "Elbow", "Wrist", "Hand")]
    assert np.ptp([joint[2] for joint in arm]) < 1e-12
    assert place["L_Toe"][0] > place["L_Ankle"][0] + 0.05
    assert place["Head"][2] > place["Neck"][2] > place["Chest"][2] > 0.0 > place["L_Knee"][2] > place["L_Ankle"][2]


def test_segment_masses_sum_to_the_body() -> None:
    shares = [human.SEGMENT_MASS[joint_kind(name)] for name in BODY.names]
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)
    assert smpl24(mass=61.0).mass == pytest.approx(61.0)
    assert sum(geom.mass for geom in BODY.geoms) == pytest.approx(BODY.mass)


def test_every_body_has_one_geom_that_carries_its_mass() -> None:
    assert sorted(geom.body for geom in BODY.geoms) == list(range(24))
    np.testing.assert_allclose([geom.mass for geom in BODY.geoms], BODY.masses)


@given(st.floats(1.3, 2.1), st.floats(35.0, 140.0))
@settings(max_examples=20)
def test_stature_and_mass_are_what_was_asked_for(stature: float, mass: float) -> None:
    """Exact although the head grows with the mass and the bones with the stature."""
    body = smpl24(stature=stature, mass=mass)
    assert body.stature == pytest.approx(stature, abs=1e-9)
    assert body.mass == pytest.approx(mass)


def test_lengths_lie_near_the_published_fractions_of_stature() -> None:
    """Winter's figure 4.1: knee 0.285, hip 0.530, shoulder 0.818 of stature, within 0.02; span 1.02 within 0.03."""
    height = BODY.rest_positions[:, 2] + BODY.rest_height
    for name, expected in (("L_Knee", 0.285), ("L_Hip", 0.530), ("L_Shoulder", 0.818), ("L_Ankle", 0.039)):
        assert height[BODY.index(name)] / BODY.stature == pytest.approx(expected, abs=0.02), name
    hand = next(geom for geom in BODY.geoms if geom.body == BODY.index("L_Hand"))
    reach = BODY.rest_positions[BODY.index("L_Hand"), 1] + hand.end[1] + hand.radius
    assert 2.0 * reach / BODY.stature == pytest.approx(1.02, abs=0.03)


def test_scaling_keeps_proportions_and_body_mass_index() -> None:
    """The head's radius follows the mass, hence 1 % and not rounding."""
    tall = BODY.scaled(stature=1.9)
    np.testing.assert_allclose(tall.offsets, BODY.offsets * 1.9 / BODY.stature, rtol=0.01, atol=1e-12)
    assert tall.mass / tall.stature**2 == pytest.approx(BODY.mass / BODY.stature**2)
    heavy = BODY.scaled(mass=100.0)
    assert heavy.stature == pytest.approx(BODY.stature)
    assert heavy.mass == pytest.approx(100.0)


@pytest.mark.parametrize("spec", [BODY, smpl24(stature=1.5, mass=50.0), smpl24(stature=1.95, mass=110.0)])
def test_feet_touch_the_floor_at_the_rest_height(spec: BodySpec) -> None:
    """Both capsules of both feet, and nothing is lower."""
    lowest = {
        geom.body: min(in_world(spec, np.array([geom.start, geom.end]), geom.body)[:, 2]) - geom.radius
        for geom in spec.geoms
    }
    feet = [spec.index(side + name) for side in ("L_", "R_") for name in ("Ankle", "Toe")]
    np.testing.assert_allclose([lowest[foot] + spec.rest_height for foot in feet], 0.0, atol=1e-12)
    assert min(lowest.values()) + spec.rest_height == pytest.approx(0.0, abs=1e-12)


def test_limb_capsules_follow_their_bones() -> None:
    for name, child in (("L_Hip", "L_Knee"), ("L_Knee", "L_Ankle"), ("R_Shoulder", "R_Elbow"), ("R_Elbow", "R_Wrist")):
        geom = next(geom for geom in BODY.geoms if geom.body == BODY.index(name))
        bone = BODY.offsets[BODY.index(child)]
        for end in (geom.start, geom.end):
            assert np.linalg.norm(np.cross(end, bone)) < 1e-12
            assert 0.0 < np.dot(end, bone) < np.dot(bone, bone)


@pytest.mark.parametrize("spec", [(1.75, 75.0), (1.6, 90.0)])
def test_compiled_model_has_the_masses_and_inertias_of_the_capsules(
    make_worlds: Callable[..., Worlds], spec: tuple[float, float]
) -> None:
    """MuJoCo's own integration over each shape at the density that its mass implies."""
    body = smpl24(stature=spec[0], mass=spec[1])
    model = make_worlds(variants=[Setting(bodies=(body, body))]).scene.model
    np.testing.assert_allclose(model.body_mass[1:25], body.masses)
    np.testing.assert_allclose(model.body_mass[25:], body.masses)
    for geom in body.geoms:
        shape = mujoco.MjSpec()
        volume = geom_volume(geom.radius, float(np.linalg.norm(np.subtract(geom.end, geom.start))))
        part = shape.worldbody.add_body()
        part.add_freejoint()
        part.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE if geom.kind == "capsule" else mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[geom.radius, 0.5 * float(np.linalg.norm(np.subtract(geom.end, geom.start))), 0.0],
            density=geom.mass / volume,
        )
        expected = np.sort(shape.compile().body_inertia[1])
        np.testing.assert_allclose(np.sort(model.body_inertia[1 + geom.body]), expected, rtol=1e-9)


def geom_volume(radius: float, length: float) -> float:
    """Volume of a capsule [m^3]."""
    return np.pi * radius**2 * (4.0 / 3.0 * radius + length)


def test_tissue_density_sets_the_radii_but_for_the_feet() -> None:
    feet = {BODY.index(side + name) for side in ("L_", "R_") for name in ("Ankle", "Toe")}
    for geom in BODY.geoms:
        if geom.body not in feet:
            length = float(np.linalg.norm(np.subtract(geom.end, geom.start)))
            assert geom.mass / geom_volume(geom.radius, length) == pytest.approx(human.TISSUE_DENSITY)


def test_fit_recovers_known_bones() -> None:
    truth = smpl24(stature=1.62, mass=58.0)
    fitted = BODY.fit(movement(truth), mass=58.0)
    np.testing.assert_allclose(fitted.offsets, truth.offsets, atol=1e-12)
    assert fitted.mass == pytest.approx(58.0)


def test_fit_survives_outliers_in_a_minority_of_frames() -> None:
    joints = movement(BODY)
    joints[:10] += np.random.default_rng(1).normal(size=joints[:10].shape)
    np.testing.assert_allclose(BODY.fit(joints).offsets, BODY.offsets, atol=1e-12)


def test_fit_averages_left_and_right() -> None:
    longer = BODY.offsets.copy()
    longer[BODY.index("L_Knee")] *= 1.2
    fitted = BODY.fit(movement(BODY.with_offsets(longer)))
    for knee in ("L_Knee", "R_Knee"):
        bone = BODY.index(knee)
        np.testing.assert_allclose(fitted.offsets[bone], 1.1 * BODY.offsets[bone])


def test_fit_scales_unmeasured_bodies_with_their_chain_or_the_whole() -> None:
    """An unmeasured elbow shares the arm's scale; hands and toes take the performer's median scale."""
    stretched = BODY.offsets * 1.1
    for name in ("Elbow", "Wrist"):
        for side in ("L_", "R_"):
            stretched[BODY.index(side + name)] *= 1.2 / 1.1
    local = np.tile([1.0, 0.0, 0.0, 0.0], (5, 24, 1))
    joints = kinematics.forward_kinematics(BODY.parents, stretched, np.zeros((5, 3)), local)[0]
    for name in ("L_Elbow", "R_Elbow", "L_Hand", "R_Hand", "L_Toe", "R_Toe"):
        joints[:, BODY.index(name)] = np.nan
    np.testing.assert_allclose(BODY.fit(joints).offsets, stretched, atol=1e-12)


def test_fit_takes_one_side_for_both_when_the_other_was_not_measured() -> None:
    joints = movement(smpl24(stature=1.6))
    joints[:, [i for i, name in enumerate(BODY.names) if name.startswith("R_")]] = np.nan
    np.testing.assert_allclose(BODY.fit(joints).offsets, smpl24(stature=1.6).offsets, atol=1e-12)


def test_fit_keeps_the_body_mass_index_unless_told() -> None:
    fitted = BODY.fit(movement(BODY.with_offsets(BODY.offsets * 0.9)))
    assert fitted.mass == pytest.approx(BODY.mass * 0.81)


@pytest.mark.parametrize("joints", [np.full((4, 24, 3), np.nan), np.zeros((4, 23, 3)), np.zeros((24, 3))])
def test_fit_refuses_what_it_cannot_measure(joints: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=r"bone|shape"):
        BODY.fit(joints)


def test_with_offsets_keeps_an_impairment() -> None:
    weak = impaired(BODY, Impairment(mass=0.7, gain={"Knee": 0.5}, torque_limit={"Hip": 40.0}))
    refit = weak.with_offsets(1.05 * BODY.offsets)
    np.testing.assert_array_equal(refit.kp, weak.kp)
    np.testing.assert_array_equal(refit.torque_limits, weak.torque_limits)
    assert refit.mass == pytest.approx(0.7 * BODY.mass)


def test_impaired_changes_the_named_joints_and_the_masses_only() -> None:
    weak = impaired(BODY, Impairment(mass=0.7, gain={"Hip": 0.5, "Knee": 0.4}, torque_limit={"Hip": 40.0, "*": 30.0}))
    hips, knees = BODY.indices(["L_Hip", "R_Hip"]), BODY.indices(["L_Knee", "R_Knee"])
    others = np.setdiff1d(np.arange(1, 24), [*hips, *knees])
    np.testing.assert_allclose(weak.kp[hips], 400.0)
    np.testing.assert_allclose(weak.kd[knees], 32.0)
    np.testing.assert_array_equal(weak.kp[others], BODY.kp[others])
    np.testing.assert_array_equal(weak.torque_limits[hips], 40.0)
    np.testing.assert_array_equal(weak.torque_limits[[*knees, *others]], 30.0)
    assert weak.torque_limits[0] == 0.0
    np.testing.assert_allclose(weak.masses, 0.7 * BODY.masses)
    np.testing.assert_allclose([g.mass for g in weak.geoms], [0.7 * g.mass for g in BODY.geoms])
    assert weak.rest_height == BODY.rest_height


def test_no_impairment_changes_nothing() -> None:
    same = impaired(BODY, Impairment())
    for name in ("masses", "kp", "kd", "torque_limits", "offsets"):
        np.testing.assert_array_equal(getattr(same, name), getattr(BODY, name))
    assert same.geoms == BODY.geoms


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: BODY.index("L_Kne"), "body 'L_Kne' is not part of smpl24. Did you mean 'L_Knee'?"),
        (lambda: get_body("smlp24"), "body 'smlp24' is not known. Did you mean 'smpl24'? Available: smpl24, smpl52."),
        (lambda: impaired(BODY, Impairment(gain={"Knees": 0.5})), "'Knees', smpl24 has none. Did you mean 'Knee'?"),
        (lambda: impaired(BODY, Impairment(torque_limit={"Pelvis": 5.0})), "joint 'Pelvis', smpl24 has none."),
        (lambda: smpl24(stature=3.0), "stature is 3.0 m, expected a value in [0.5, 2.5]."),
        (lambda: smpl24(mass=float("nan")), "mass is nan kg, expected a value in [10, 300]."),
        (lambda: BODY.with_offsets(np.zeros((23, 3))), "shape (24, 3); got shape (23, 3)"),
        (lambda: BODY.with_offsets(np.full((24, 3), np.inf)), "must be finite"),
    ],
)  # fmt: skip
def test_wrong_names_and_sizes_are_answered_with_what_exists(attempt: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        attempt()


def capped() -> Topology:
    """The built-in humanoid with a cap on its head: 25 bodies."""

    def geoms(names: tuple[str, ...], offsets: np.ndarray, masses: np.ndarray) -> tuple[Geom, ...]:
        cap = Geom(body=24, kind="sphere", start=(0, 0, 0.02), end=(0, 0, 0.02), radius=0.05, mass=float(masses[24]))
        return (*BODY.with_offsets(offsets[:24], mass=float(masses[:24].sum())).geoms, cap)

    parents = {
        name: BODY.names[parent] if parent >= 0 else "" for name, parent in zip(BODY.names, BODY.parents, strict=True)
    }
    return Topology(
        parents={**parents, "Cap": "Head"},
        offsets=lambda: np.concatenate([BODY.offsets, [[0.0, 0.0, 0.2]]]) / BODY.stature,
        geoms=geoms,
        segment_mass={kind: 0.99 * share for kind, share in human.SEGMENT_MASS.items()} | {"Cap": 0.01},
        joints={**body.JOINTS, "Cap": Joints(kp=50.0, torque_limit=5.0)},
    )


@pytest.fixture
def own_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies registered by a test are gone after it."""
    monkeypatch.setattr(body._CATALOG, "_items", dict(body._CATALOG._items))


@pytest.mark.usefixtures("own_catalog")
def test_a_registered_body_can_be_sized_and_simulated() -> None:
    """All views take more bodies: sizes follow, a clip of that body plays, and other clips are refused."""
    register_body("capped", capped())
    person = get_body("capped", stature=1.6, mass=60.0)
    assert (person.num_bodies, person.num_dofs) == (25, 72)
    assert person.stature == pytest.approx(1.6)
    assert person.mass == pytest.approx(60.0)
    assert person.torque_limits[-1] == 5.0
    still = np.zeros((20, 2, 25, 4))
    still[..., 0] = 1.0
    root = np.zeros((20, 2, 3))
    root[:, 1, 0], root[:, :, 2] = 1.5, person.rest_height
    people = {"offsets": np.stack([person.offsets] * 2), "masses": np.full(2, person.mass)}
    clip = PairClip(name="capped", body="capped", fps=30.0, root_position=root, local_rotation=still, **people)
    env = make("AssistMimic/SitToStand-v0", body="capped", clips=clip)
    observations, _ = env.reset(seed=0)
    rewards = env.step({agent: np.zeros(72) for agent in env.agents})[1]
    assert observations["recipient"].shape == (env.layout.size,)
    assert rewards["recipient"] > 0.5
    with pytest.raises(ClipError, match=r"made for the body 'smpl24'.* than the hands: Cap\."):
        make("AssistMimic/SitToStand-v0", body="capped")


@pytest.mark.usefixtures("own_catalog")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parents": {"Pelvis": "", "Head": "Neck", "Neck": "Pelvis"}}, "the root has the parent '': Head."),
        ({"parents": {"Pelvis": "Head", "Head": "Pelvis"}}, "the root has the parent '': Pelvis."),
        ({"parents": {"Pelvis": "", "L_Hip": "Pelvis"}}, "no twin on the other side: L_Hip."),
        ({"segment_mass": human.SEGMENT_MASS}, "segment_mass lacks a kind: Cap."),
        ({"segment_mass": {**human.SEGMENT_MASS, "Cap": 0.1}}, "sum to 1.1000 over all bodies, expected 1."),
        ({"joints": body.JOINTS}, "joints lacks a kind: Cap."),
    ],
)  # fmt: skip
def test_a_topology_that_does_not_hold_together_says_where(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        register_body("odd", replace(capped(), **change))
    assert "odd" not in body_names()


def test_arrays_of_a_body_cannot_be_changed() -> None:
    """Bodies are shared between clips and worlds."""
    for name in ("offsets", "masses", "kp", "kd", "torque_limits", "rest_positions"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(BODY, name)[0] = 1.0


def test_indices_find_bodies_by_name() -> None:
    np.testing.assert_array_equal(BODY.indices(["Pelvis", "R_Hand", "L_Toe"]), [0, 23, 4])
    assert body_names() == ("smpl24", "smpl52")


def test_every_anthropometric_number_names_its_source() -> None:
    """A paper, a CC0 asset or ourselves, on the line of the number; nothing comes from SMPL."""
    source = Path(human.__file__).read_text()
    lines = [line for line in source.splitlines() if re.match(r'[A-Z_]+: Final|    "[A-Z]\w+": [(\d]', line)]
    lines = [line for line in lines if not line.endswith("= {")]
    derived = {"STATURE", "MASS", "TISSUE_DENSITY", "SEGMENT_MASS"}
    numbers = [line for line in lines if line.split(":")[0] not in derived]
    assert len(numbers) > 15
    assert [line for line in numbers if not re.search(r"# \[[LWSABO]\]", line)] == []
    for key in "LWSABO":
        assert f"    [{key}] " in source
    assert "Nothing here derives from SMPL" in source
