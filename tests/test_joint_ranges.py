"""Joint ranges: angles by hand, from the rest pose, alike on both sides; what people cannot do is an excess."""

from __future__ import annotations

import numpy as np
import pytest

from assistmimic_env import rotations
from assistmimic_env.body import BodySpec, get_body
from assistmimic_env.clip import load_clip
from assistmimic_env.clip_check import check
from assistmimic_env.joint_ranges import RANGES, angles, excess
from assistmimic_env.kinematics import forward_kinematics

BODY = get_body("smpl24")
TURNED = rotations.normalize(np.array([0.4, -0.3, 0.8, 0.2]))
MIRROR = np.array([-1.0, 1.0, -1.0])


def posed(turns: dict[str, np.ndarray], body: BodySpec = BODY) -> tuple[np.ndarray, np.ndarray]:
    """Positions (J, 3) and rotations (J, 4) of a body that lies askew in the world with some joints turned."""
    local = np.zeros((body.num_bodies, 4))
    local[:, 0] = 1.0
    local[0] = TURNED
    for name, vector in turns.items():
        local[body.index(name)] = rotations.from_rotation_vector(np.asarray(vector, dtype=float))
    return forward_kinematics(body.parents, body.offsets, np.array([0.3, -0.2, 1.1]), local)


MOVES = [
    ("L_Hip", (0.0, -0.5, 0.0), (0.5, 0.0)),  # thigh forward
    ("L_Hip", (0.4, 0.0, 0.0), (0.0, 0.4)),  # thigh outwards
    ("L_Knee", (0.0, 0.9, 0.0), (0.9, 0.0)),  # heel to the seat
    ("L_Ankle", (0.0, -0.3, 0.0), (0.3, 0.0)),  # toes up
    ("L_Elbow", (0.0, 0.0, -1.2), (1.2, 0.0)),  # forearm forward in a T-pose
    ("L_Elbow", (0.3, 0.0, 0.0), (0.0, 0.3)),  # forearm upwards: no hinge does
    ("L_Wrist", (-0.6, 0.0, 0.0), (0.6, 0.0)),  # hand down
    ("L_Wrist", (0.0, 0.0, -0.2), (0.0, 0.2)),  # towards the thumb
    ("Torso", (0.0, 0.7, 0.0), (0.7, 0.0)),  # trunk forward
]


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize(("joint", "turn", "expected"), MOVES)
def test_angles_are_those_of_the_joint(
    joint: str, turn: tuple[float, ...], expected: tuple[float, ...], right: bool
) -> None:
    """And those of the mirrored joint, however the person lies in the world."""
    one = next(entry for entry in RANGES if entry.joint == joint)
    turned = {"R_" + joint[2:]: MIRROR * turn} if right and joint != "Torso" else {joint: np.array(turn)}
    position, rotation = posed(turned)
    found = angles(one, BODY, position, rotation, right=right and joint != "Torso")
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_at_rest_and_after_turns_about_a_bone_nothing_is_in_excess() -> None:
    assert max(excess(BODY, *posed({})).values()) == 0.0
    assert max(excess(BODY, *posed({"L_Hip": (0, 0, 1.0), "R_Elbow": (0, 1.5, 0)})).values()) < 1e-9


@pytest.mark.parametrize(
    ("joint", "turn", "expected"),
    [
        ("L_Knee", (0.0, -0.5, 0.0), 0.5 - np.radians(5)),  # forward
        ("R_Knee", (0.0, 2.9, 0.0), 2.9 - np.radians(150)),  # through the thigh
        ("R_Elbow", (0.0, 0.0, -0.5), 0.5 - np.radians(10)),  # a right forearm backward
        ("L_Hip", (0.0, -3.5, 0.0), 3.5 - np.radians(130)),  # beyond half a turn: not taken for an extension
        ("Torso", (0.8, 0.0, 0.0), 0.8 - np.radians(35)),
    ],
)
def test_what_people_cannot_do_is_measured(joint: str, turn: tuple[float, ...], expected: float) -> None:
    """In that joint only."""
    found = excess(BODY, *posed({joint: np.array(turn)}))
    assert found.pop(joint) == pytest.approx(expected, abs=1e-9)
    assert max(found.values()) == 0.0


def test_people_and_frames_are_judged_at_once() -> None:
    position, rotation = posed({"L_Knee": np.array([0.0, -0.5, 0.0])})
    found = excess(BODY, np.broadcast_to(position, (5, 3, *position.shape)), np.broadcast_to(rotation, (5, 3, 24, 4)))
    assert found["L_Knee"].shape == (5, 3)
    assert len(found) == 11


def test_bodies_with_fingers_have_no_range_of_the_palm() -> None:
    fingers = get_body("smpl52")
    found = excess(fingers, *posed({}, fingers))
    assert "L_Wrist" not in found
    assert "L_Elbow" in found


def test_a_check_reports_the_worst_joint() -> None:
    """As a measurement; no limit, as recorded people are mapped to other joints than theirs."""
    checked = check(load_clip("pull_up")).to_json()
    assert checked["quality"]["joint_excess"] == pytest.approx(0.45, abs=0.05)
    assert "joint_excess" not in {remark["name"] for remark in checked["remarks"]}
