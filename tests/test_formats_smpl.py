"""SMPL's parameters on our bodies: with the user's model files (here a toy one) joints are where the model has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_smpl_model import place, write

from assistmimic_env.body import get_body
from assistmimic_env.errors import ClipError
from assistmimic_env.formats.smpl import SMPL_ORDER, SMPLH_ORDER, SmplMotion, SmplPeople, pose_of_parts, smpl_people
from assistmimic_env.formats.take import ReadOptions, Up

FRAMES = 10


def motion(joints: int = 52, **changes: Any) -> SmplMotion:
    """Still in the rest pose in a y-up world, 2 m along x and 1 m along z."""
    values: dict[str, Any] = {
        "pose": np.zeros((FRAMES, joints, 3)),
        "trans": np.tile([2.0, 0.0, 1.0], (FRAMES, 1)),
        "model": "smplx",
    }
    return SmplMotion(**(values | changes))


def people(first: SmplMotion, options: ReadOptions, up: Up | None = "y") -> SmplPeople:
    return smpl_people("test", (first, first), documented_up=up, fps=30.0, options=options)


def test_orders_hold_every_body_of_ours_once() -> None:
    assert sorted(SMPL_ORDER) == sorted(get_body("smpl24").names)
    assert sorted(SMPLH_ORDER) == sorted(get_body("smpl52").names)
    assert (SMPL_ORDER.index("R_Ankle"), SMPL_ORDER.index("L_Thorax"), SMPL_ORDER.index("R_Wrist")) == (8, 13, 21)
    assert (SMPLH_ORDER.index("L_Pinky1"), SMPLH_ORDER.index("R_Thumb3")) == (28, 51)


def test_model_files_place_every_joint(tmp_path: Path) -> None:
    """In the rest pose joints are at ``trans`` + the model's rest joints; (x, y, z) y-up is (x, -z, y) z-up."""
    write(tmp_path / "SMPLX_NEUTRAL.npz", "smplx")
    found = people(motion(), ReadOptions(models=tmp_path))
    for name in ("Pelvis", "L_Elbow", "R_Wrist", "R_Toe", "L_Thumb3"):
        x, y, z = np.add(place(name), [2.0, 0.0, 1.0])
        joint = found.people[0].joints[:, get_body("smpl52").index(name)]
        assert joint == pytest.approx(np.tile([x, -z, y], (FRAMES, 1)), abs=1e-9), name
    assert found.conventions["pelvis"] == "given: trans and the model's pelvis"


def test_a_turned_person_turns_about_the_pelvis(tmp_path: Path) -> None:
    """A quarter turn to the left about the vertical: the left side, at x + d, comes to z - d, which is y + d for us."""
    write(tmp_path / "SMPL_MALE.npz", "smpl", coefficients=10)
    pose = np.zeros((FRAMES, 24, 3))
    pose[:, 0, 1] = np.pi / 2
    found = people(motion(pose=pose, model="smpl", gender="male"), ReadOptions(models=tmp_path))
    x, y, z = np.add(place("Pelvis"), [2.0, 0.0, 1.0])
    across, up, ahead = place("L_Elbow") - place("Pelvis")
    body, person = get_body("smpl24"), found.people[0]
    assert person.joints[0, 0] == pytest.approx([x, -z, y])
    assert person.joints[0, body.index("L_Elbow")] == pytest.approx([x + ahead, -z + across, y + up])
    assert person.mass is not None
    assert person.mass > 0.0


def test_betas_make_bones_longer(tmp_path: Path) -> None:
    write(tmp_path / "SMPLX_NEUTRAL.npz", "smplx")
    row = get_body("smpl52").index("L_Ankle")
    betas = np.zeros(10)
    plain = people(motion(betas=betas), ReadOptions(models=tmp_path)).people[0].offsets
    betas[0] = 3.0
    long = people(motion(betas=betas), ReadOptions(models=tmp_path)).people[0].offsets
    assert plain is not None
    assert long is not None
    assert long[row] - plain[row] == pytest.approx([0.0, 0.0, -0.03])


def test_without_models_the_missing_joints_are_nan_and_said() -> None:
    found = people(motion(), ReadOptions())
    assert np.isnan(found.people[0].joints[:, 1:]).all()
    assert found.people[0].offsets is None
    assert "only SMPL's model files tell" in found.conventions["pelvis"]


def test_an_axis_that_the_pose_contradicts_is_refused() -> None:
    with pytest.raises(ClipError, match=r"stand along \+y, but this format has \+z up"):
        people(motion(), ReadOptions(), up="z")
    assert people(motion(), ReadOptions(), up=None).conventions["up"] == "detected: +y"
    lying = motion(pose=np.tile([0.0, 0.0, np.pi / 2], (FRAMES, 52, 1)) * (np.arange(52) == 0)[:, None])
    with pytest.raises(ClipError, match="cannot be told from the data"):
        people(lying, ReadOptions(), up=None)


def test_other_units_scale_the_translation() -> None:
    found = people(motion(trans=np.tile([200.0, 0.0, 100.0], (FRAMES, 1))), ReadOptions(unit="cm"))
    assert found.people[0].joints[0, 0] == pytest.approx([2.0, -1.0, 0.0])
    assert found.conventions["unit"] == "given: cm"


@pytest.mark.parametrize("part", range(4))
def test_misshapen_parts_are_named(part: int) -> None:
    shapes = [(FRAMES, 3), (FRAMES, 21, 3), (FRAMES, 15, 3), (FRAMES, 15, 3)]
    parts: list[np.ndarray] = [np.zeros(shape) for shape in shapes]
    assert pose_of_parts("x", *parts).shape == (FRAMES, 52, 3)
    parts[part] = np.zeros((FRAMES, 4) if part == 0 else (FRAMES, 7, 3))
    with pytest.raises(ClipError, match=r"^x: the pose of the (root|body|left hand|right hand) has shape"):
        pose_of_parts("x", *parts)
