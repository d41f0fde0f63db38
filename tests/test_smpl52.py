"""The humanoid with fingers: PHC's order, hands of human size, stable physics; numbers measured with MuJoCo 4.0.0."""

from __future__ import annotations

from itertools import pairwise

import mujoco
import numpy as np
import pytest
from conftest import stand

from assistmimic_env import anthropometry as human
from assistmimic_env.actuation import action_scale, action_to_target
from assistmimic_env.body import SIDES, BodySpec, get_body, joint_kind, mirrored_name
from assistmimic_env.config import PHYSICS_PRESETS
from assistmimic_env.scene import Setting, build_scene
from assistmimic_env.worlds import Worlds

BODY, PLAIN = get_body("smpl52"), get_body("smpl24")
FINGERS = ("Index", "Middle", "Pinky", "Ring", "Thumb")
PARENTS = (
    -1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 11, 14, 15, 16, 17, 18, 19, 17, 21, 22, 17, 24, 25, 17, 27, 28, 17,
    30, 31, 11, 33, 34, 35, 36, 37, 38, 36, 40, 41, 36, 43, 44, 36, 46, 47, 36, 49, 50,
)  # fmt: skip
HUG = 0.25


def place(name: str, body: BodySpec = BODY) -> np.ndarray:
    """Joint in the rest pose, seen from the wrist of its side [m]."""
    return body.rest_positions[body.index(name)] - body.rest_positions[body.index(f"{name[0]}_Wrist")]


def tip(finger: str, body: BodySpec = BODY) -> np.ndarray:
    """Tip of a left finger, seen from the wrist [m]."""
    geom = next(geom for geom in body.geoms if geom.body == body.index(f"L_{finger}3"))
    axis = np.array(geom.end) - np.array(geom.start)
    return place(f"L_{finger}3", body) + np.array(geom.end) + geom.radius * axis / np.linalg.norm(axis)


def in_worlds(num_worlds: int, preset: str, *, gap: float) -> Worlds:
    scene = build_scene([Setting(bodies=(BODY, BODY))], physics=PHYSICS_PRESETS[preset])
    worlds = Worlds(scene, num_worlds, threads=2)
    stand(worlds, np.arange(num_worlds), gap=gap)
    return worlds


# --- the body -------------------------------------------------------------------------------------------------


def test_bodies_and_parents_are_in_the_order_of_phc_x() -> None:
    """spec/phc.md section 2.1: fingers directly after their wrist, 153 degrees of freedom."""
    assert BODY.parents == PARENTS
    assert (BODY.num_bodies, BODY.num_dofs) == (52, 153)
    landmarks = {17: "L_Wrist", 18: "L_Index1", 20: "L_Index3", 21: "L_Middle1", 24: "L_Pinky1", 27: "L_Ring1"}
    landmarks |= {30: "L_Thumb1", 32: "L_Thumb3", 33: "R_Thorax", 36: "R_Wrist", 37: "R_Index1", 51: "R_Thumb3"}
    assert {index: BODY.names[index] for index in landmarks} == landmarks


def test_everything_but_the_hands_is_that_of_the_body_without_fingers() -> None:
    shared = [name for name in BODY.names if name in PLAIN.names]
    assert len(shared) == 22
    ours, theirs = BODY.indices(shared), PLAIN.indices(shared)
    for field in ("offsets", "masses", "kp", "kd", "torque_limits", "rest_positions"):
        np.testing.assert_array_equal(getattr(BODY, field)[ours], getattr(PLAIN, field)[theirs], err_msg=field)
    palm, plain_palm = (
        next(geom for geom in body.geoms if geom.body == body.index("L_Wrist")) for body in (BODY, PLAIN)
    )
    np.testing.assert_allclose(palm.end, plain_palm.end)
    assert palm.radius == pytest.approx(plain_palm.radius)
    np.testing.assert_allclose(BODY.offsets[BODY.index("L_Middle1")], PLAIN.offsets[PLAIN.index("L_Hand")])


def test_masses_are_those_of_the_hand_and_sum_to_the_person() -> None:
    assert BODY.mass == pytest.approx(human.MASS)
    assert sum(geom.mass for geom in BODY.geoms) == pytest.approx(human.MASS)
    for hand, plain in zip(BODY.hands, PLAIN.hands, strict=True):
        assert BODY.masses[hand].sum() == pytest.approx(PLAIN.masses[plain].sum())
        assert BODY.masses[hand].min() > 0.002


def test_left_and_right_are_mirror_images() -> None:
    twin = BODY.indices(mirrored_name(name) for name in BODY.names)
    np.testing.assert_array_equal(BODY.offsets[twin], BODY.offsets * [1.0, -1.0, 1.0])
    for field in ("masses", "kp", "kd", "torque_limits"):
        np.testing.assert_array_equal(getattr(BODY, field)[twin], getattr(BODY, field))
    left, right = BODY.grasps
    assert right.point == pytest.approx((left.point[0], -left.point[1], left.point[2]))


def test_gains_of_fingers_are_those_of_phc_x_and_limits_fall_towards_the_tip() -> None:
    for side in SIDES:
        for finger in FINGERS:
            joints = BODY.indices(f"{side}_{finger}{bone}" for bone in (1, 2, 3))
            np.testing.assert_array_equal(BODY.kp[joints], 100.0)
            np.testing.assert_array_equal(BODY.kd[joints], 10.0)
            assert all(inner > outer > 1.0 for inner, outer in pairwise(BODY.torque_limits[joints]))


MEASURED = {
    "Thumb": (49.5, 72.5), "Index": (63.9, 104.2), "Middle": (70.7, 115.0), "Ring": (65.5, 109.1), "Pinky": (53.3, 88.5)
}  # fmt: skip
"""Lengths of fingers [mm]: from the palm's crease to the tip (51 young adults, Chatzioglou 2024), and along the back of
the bent finger (267 men with hands of 184.9 mm, Binvignat 2012)."""


@pytest.mark.parametrize("finger", MEASURED)
def test_fingers_are_as_long_as_those_of_measured_hands(finger: str) -> None:
    """Between the two measures, since joints lie between crease and back; the thumb without its metacarpal."""
    crease, back = MEASURED[finger]
    first = place(f"L_{finger}{2 if finger == 'Thumb' else 1}")
    length = 1000.0 * float(np.linalg.norm(tip(finger) - first))
    hand = 1000.0 * 0.1899 * BODY.stature / 1.741
    assert crease < length < back * hand / 184.9


def test_a_hand_has_the_length_and_order_of_a_human_hand() -> None:
    """De Leva's hand: 0.190 m at 1.741 m; knuckles 55 to 75 mm across; palm down, thumb in front and below."""
    assert float(tip("Middle")[1]) == pytest.approx(0.1899 * BODY.stature / 1.741, rel=0.03)
    across = float(np.linalg.norm(place("L_Index1") - place("L_Pinky1")))
    assert 0.050 < across < 0.075
    forward = [float(place(f"L_{finger}1")[0]) for finger in ("Index", "Middle", "Ring", "Pinky")]
    assert forward == sorted(forward, reverse=True)
    assert tip("Thumb")[0] > tip("Index")[0]
    assert tip("Thumb")[2] < min(tip(finger)[2] for finger in FINGERS if finger != "Thumb") - 0.03
    reach = [float(tip(finger)[1]) for finger in ("Middle", "Ring", "Index", "Pinky", "Thumb")]
    assert reach == sorted(reach, reverse=True)


def test_fingers_are_thinner_than_the_palm_and_thinner_towards_the_tip() -> None:
    radius = {geom.body: geom.radius for geom in BODY.geoms}
    for finger in FINGERS:
        bones = [radius[BODY.index(f"L_{finger}{bone}")] for bone in (1, 2, 3)]
        assert bones == sorted(bones, reverse=True)
        assert 0.006 < min(bones) < max(bones) < 0.014


@pytest.mark.parametrize(("stature", "mass"), [(1.5, 45.0), (1.95, 110.0)])
def test_hands_grow_with_the_person(stature: float, mass: float) -> None:
    person = get_body("smpl52", stature=stature, mass=mass)
    assert person.stature == pytest.approx(stature)
    assert person.mass == pytest.approx(mass)
    assert tip("Middle", person)[1] / tip("Middle")[1] == pytest.approx(stature / BODY.stature, rel=0.05)
    assert np.linalg.norm(person.offsets[1:], axis=-1).min() > 0.015


def test_a_hand_holds_at_the_middle_of_its_fingers() -> None:
    """Where it held without fingers, to 20 mm; the palm's axis reaches there, and the palm holds for all fingers."""
    for grasp, plain in zip(BODY.grasps, PLAIN.grasps, strict=True):
        assert joint_kind(BODY.names[grasp.body]) == "Wrist"
        without = np.array(plain.point) + PLAIN.offsets[plain.body]
        assert np.linalg.norm(np.array(grasp.point) - without) < 0.02
        assert grasp.radius == pytest.approx(plain.radius, abs=0.008)
        start, end, _ = BODY.axis(grasp.body)
        np.testing.assert_array_equal(end, grasp.point)
        assert 0.0 < abs(start[1]) < 0.03
    assert {BODY.carrier(name) for name in ("L_Wrist", "L_Thumb3", "L_Index1")} == {"L_Wrist"}
    assert BODY.carrier("R_Elbow") == "R_Elbow"


# --- physics --------------------------------------------------------------------------------------------------


def touching(worlds: Worlds, data: mujoco.MjData) -> set[frozenset[str]]:
    model = worlds.scene.model
    return {frozenset(model.body(model.geom_bodyid[geom]).name for geom in contact.geom) for contact in data.contact}


def test_a_fist_does_not_collide_with_itself_but_with_the_other_hand() -> None:
    """In front of the chest, fingers of the left hand curled, the right hand's middle finger in the left palm."""
    worlds = in_worlds(1, "standard", gap=2.0)
    model = worlds.scene.model
    data = mujoco.MjData(model)
    data.qpos[2] = data.qpos[model.joint("recipient_root").qposadr[0] + 2] = 3.0
    data.qpos[model.joint("recipient_root").qposadr[0]] = 5.0
    for finger in FINGERS[:-1]:
        for bone in (1, 2, 3):
            data.joint(f"supporter_L_{finger}{bone}").qpos[:] = [np.cos(0.7), -np.sin(0.7), 0.0, 0.0]
    mujoco.mj_forward(model, data)
    assert touching(worlds, data) == set()
    for side, sign in (("L", -1.0), ("R", 1.0)):
        data.joint(f"supporter_{side}_Shoulder").qpos[:] = [np.cos(0.7), 0.0, 0.0, sign * np.sin(0.7)]
        data.joint(f"supporter_{side}_Elbow").qpos[:] = [np.cos(0.35), 0.0, 0.0, sign * np.sin(0.35)]
    mujoco.mj_forward(model, data)
    sides = [{name.split("_")[1] for name in pair} for pair in touching(worlds, data)]
    assert {"L", "R"} in sides
    assert {"L"} not in sides


@pytest.mark.parametrize("preset", PHYSICS_PRESETS)
def test_held_rest_pose_stands_for_five_seconds(preset: str) -> None:
    """Measured: pelvis 0.4 to 2.0 mm lower, 3 to 22 mm aside, finger tips 6 mm from the wrist's path, 0.004 rad/s."""
    worlds = in_worlds(1, preset, gap=2.0)
    start = worlds.motion().position[0].copy()
    for _ in range(150):
        assert not worlds.step(np.zeros((1, 2, 51, 3))).any()
    moved = worlds.motion().position[0] - start
    assert np.abs(moved[:, 0, 2]).max() < 0.004
    assert np.linalg.norm(moved[:, 0, :2], axis=-1).max() < 0.04
    assert np.linalg.norm(moved[:, -1] - moved[:, BODY.index("R_Wrist")], axis=-1).max() < 0.01
    assert np.abs(worlds.qvel).max() < 0.02


@pytest.mark.parametrize("preset", PHYSICS_PRESETS)
def test_saturating_random_targets_never_diverge(preset: str) -> None:
    """A new target anywhere in the action space at every step for 3 s, starting in a hug.

    Measured: at most 44 rad/s and 25 m/s (a finger tip).
    """
    worlds, rng, scale = in_worlds(8, preset, gap=HUG), np.random.default_rng(0), action_scale(BODY)
    fastest, thrown = 0.0, 0.0
    for _ in range(90):
        assert not worlds.step(action_to_target(rng.uniform(-1.0, 1.0, (8, 2, 153)), scale, "so3")).any()
        fastest = max(fastest, float(np.abs(worlds.qvel).max()))
        thrown = max(thrown, float(np.linalg.norm(worlds.motion().velocity, axis=-1).max()))
    assert fastest < 80.0
    assert thrown < 35.0
