"""Bodies from SMPL's model files, on files that the tests write: a person of cubes, one around each joint.

A joint is the mean of its cube's corners and the cubes are apart, so that joints, volumes and what shape coefficients
do to them can be worked out by hand. All numbers are our own.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistmimic_env.body import get_body
from assistmimic_env.errors import AssistMimicError, ClipError, ConfigError, UntrustedFileError
from assistmimic_env.smpl_file import JOINTS, Kind, find_model
from assistmimic_env.smpl_model import SmplModel, body_from_model

Arrays = dict[str, np.ndarray]

HALF = 0.02
"""Half an edge of a cube [m]."""
CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
TRIANGLES = np.array(
    [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ]
)  # fmt: skip
"""Counter-clockwise from outside."""

SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
LEFT = {  # x left, y up, z forward [m]; Pelvis is not at the origin
    "Pelvis": (0.01, -0.2, 0.03), "Hip": (0.11, -0.25, 0.02), "Torso": (0.01, -0.05, 0.02), "Knee": (0.12, -0.65, 0.05),
    "Spine": (0.01, 0.1, 0.03), "Ankle": (0.13, -1.05, 0.0), "Chest": (0.01, 0.2, 0.0), "Toe": (0.14, -1.11, 0.13),
    "Neck": (0.01, 0.4, -0.02), "Thorax": (0.06, 0.35, -0.02), "Head": (0.01, 0.5, 0.01), "Shoulder": (0.18, 0.34, 0.0),
    "Elbow": (0.46, 0.33, -0.02), "Wrist": (0.71, 0.34, 0.0), "Hand": (0.8, 0.34, 0.01), "Jaw": (0.01, 0.48, 0.05),
    "Eye": (0.05, 0.56, 0.08),
}  # fmt: skip
FINGER_HEIGHT = {"Index": 0.04, "Middle": 0.01, "Pinky": -0.05, "Ring": -0.02, "Thumb": 0.06}
LONGER_ARM = 0.03
"""How much further from the midline the right forearm and hand are: sides differ [m]."""


def place(name: str) -> np.ndarray:
    """Where the mean person's joint is, shape (3,) [m]."""
    kind = name[2:] if name[:2] in ("L_", "R_") else name
    if kind[-1].isdigit():
        point = np.array([0.77 + 0.03 * int(kind[-1]), 0.34, 0.5 * FINGER_HEIGHT[kind[:-1]]])
    else:
        point = np.array(LEFT[kind])
    if name.startswith("R_"):
        point = point * [-1, 1, 1] + [0.02, 0, 0]
        point[0] -= LONGER_ARM if kind in ("Wrist", "Hand") or kind[-1].isdigit() else 0.0
    return point


def parents_of(kind: Kind) -> list[int]:
    """By hand, from the published trees."""
    parents = list(SMPL_PARENTS)
    if kind == "smpl":
        return [*parents, 20, 21]
    parents += [15, 15, 15] if kind == "smplx" else []
    for wrist in (20, 21):
        for _ in range(5):
            start = len(parents)
            parents += [wrist, start, start + 1]
    return parents


def arrays(kind: Kind = "smplx", coefficients: int = 20) -> Arrays:
    """A model: coefficient 0 lengthens both shanks by 1 cm, 1 grows all cubes by a tenth, 2 the left upper arm."""
    names = JOINTS[kind]
    points = np.array([place(name) for name in names])
    count = len(names)
    vertices = (points[:, None] + HALF * CORNERS).reshape(-1, 3)
    shapes = np.zeros((count, 8, 3, coefficients))
    for row, name in enumerate(names):
        if name[2:] in ("Ankle", "Toe"):
            shapes[row, :, 1, 0] = -0.01
        if name.startswith("L_") and (name[2:] in ("Elbow", "Wrist", "Hand") or name[-1].isdigit()):
            shapes[row, :, 0, 2] = 0.02
    shapes[..., 1] = 0.1 * HALF * CORNERS
    return {
        "J_regressor": np.kron(np.eye(count), np.full((1, 8), 0.125)),
        "v_template": vertices,
        "shapedirs": shapes.reshape(-1, 3, coefficients),
        "kintree_table": np.array([[p % 2**32 for p in parents_of(kind)], range(count)], dtype=np.uint32),
        "f": (TRIANGLES + 8 * np.arange(count)[:, None, None]).reshape(-1, 3).astype(np.uint32),
        "posedirs": np.zeros((3, 2)),
    }


def write(path: Path, kind: Kind = "smplx", *, coefficients: int = 20, **changes: Any) -> Path:
    """A model file as people have it, with pickled extras that nobody needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**arrays(kind, coefficients), **changes, "part2num": np.array({"a": 1}, dtype=object)}
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return path


def upright(point: np.ndarray) -> np.ndarray:
    """SMPL's (left, up, forward) as our (forward, left, up)."""
    return np.array([point[2], point[0], point[1]])


def bones(offsets: np.ndarray, body: str) -> Mapping[str, np.ndarray]:
    return dict(zip(get_body(body).names, offsets, strict=True))


# --- bones ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "joints"), [("smpl", 24), ("smplh", 52), ("smplx", 55)])
def test_the_kind_follows_from_the_number_of_joints(tmp_path: Path, kind: Kind, joints: int) -> None:
    model = SmplModel.load(write(tmp_path / "m.npz", kind))
    assert model.kind == kind
    assert len(model.names) == joints
    np.testing.assert_allclose(model.rest_joints(), [place(name) for name in model.names], atol=1e-12)


def test_rest_joints_follow_the_shape_coefficients(tmp_path: Path) -> None:
    model = SmplModel.load(write(tmp_path / "m.npz"))
    mean, shaped = model.rest_joints(), model.rest_joints([3.0, 0.0, -1.0])
    row = model.names.index
    np.testing.assert_allclose(shaped[row("R_Ankle")] - mean[row("R_Ankle")], [0, -0.03, 0], atol=1e-12)
    np.testing.assert_allclose(shaped[row("L_Thumb3")] - mean[row("L_Thumb3")], [-0.02, 0, 0], atol=1e-12)
    np.testing.assert_allclose(shaped[row("R_Thumb3")], mean[row("R_Thumb3")], atol=1e-12)


def test_rest_joints_of_many_people_are_those_of_each(tmp_path: Path) -> None:
    model = SmplModel.load(write(tmp_path / "m.npz"))
    betas = np.random.default_rng(0).normal(size=(2, 3, 10))
    np.testing.assert_allclose(model.rest_joints(betas)[1, 2], model.rest_joints(betas[1, 2]), atol=1e-12)
    assert model.offsets(betas, body="smpl52").shape == (2, 3, 52, 3)


@pytest.mark.parametrize(("kind", "body"), [("smpl", "smpl24"), ("smplh", "smpl52"), ("smplx", "smpl52")])
def test_bone_offsets_are_ours_in_axes_order_and_sides(tmp_path: Path, kind: Kind, body: str) -> None:
    """Every bone is joint minus parent, turned by hand; the left arm is not the right one."""
    found = SmplModel.load(write(tmp_path / "m.npz", kind)).offsets(body=body)
    spec = get_body(body)
    for name, parent, offset in zip(spec.names, spec.parents, found, strict=True):
        bone = place(name) - place(spec.names[parent]) if parent >= 0 else np.zeros(3)
        np.testing.assert_allclose(offset, upright(bone), atol=1e-12, err_msg=name)
    arms = bones(found, body)
    np.testing.assert_allclose(arms["L_Elbow"], [-0.02, 0.28, -0.01], atol=1e-12)
    np.testing.assert_allclose(arms["L_Wrist"], [0.02, 0.25, 0.01], atol=1e-12)
    np.testing.assert_allclose(arms["R_Wrist"], [0.02, -0.28, 0.01], atol=1e-12)
    np.testing.assert_allclose(arms["L_Toe"], [0.13, 0.01, -0.06], atol=1e-12)


def test_a_hand_in_one_piece_begins_at_the_middle_knuckle(tmp_path: Path) -> None:
    found = bones(SmplModel.load(write(tmp_path / "m.npz")).offsets(body="smpl24"), "smpl24")
    np.testing.assert_allclose(found["L_Hand"], upright(place("L_Middle1") - place("L_Wrist")), atol=1e-12)


def test_fingers_need_a_model_with_fingers(tmp_path: Path) -> None:
    model = SmplModel.load(write(tmp_path / "m.npz", "smpl"))
    with pytest.raises(ConfigError, match=r"smpl model has no joints L_Index1.*smpl52 needs.*SMPL-H or SMPL-X"):
        model.offsets(body="smpl52")


def test_the_pelvis_is_not_where_trans_is(tmp_path: Path) -> None:
    """Pelvis = trans + J_0, in the axes of trans: not turned."""
    model = SmplModel.load(write(tmp_path / "m.npz"))
    np.testing.assert_allclose(model.pelvis_offset(), LEFT["Pelvis"], atol=1e-12)
    assert model.pelvis_offset(np.zeros((4, 10))).shape == (4, 3)


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["smpl24", "smpl52"])
def test_a_body_has_the_persons_bones_and_mass(tmp_path: Path, body: str) -> None:
    path = write(tmp_path / "m.npz")
    spec = body_from_model(path, [2.0, 0.0, 1.0], body=body)
    assert spec.name == body
    at = spec.rest_positions
    knee, ankle = spec.index("L_Knee"), spec.index("L_Ankle")
    np.testing.assert_allclose(at[knee] - at[ankle], [0.05, -0.01, 0.42], atol=1e-12)
    assert spec.mass == pytest.approx(55 * (2 * HALF) ** 3 * 1000.0, rel=1e-12)
    assert body_from_model(path, body=body, mass=61.5).mass == pytest.approx(61.5)


def test_mass_is_the_volume_inside_the_shaped_surface(tmp_path: Path) -> None:
    model = SmplModel.load(write(tmp_path / "m.npz"))
    assert model.mass() == pytest.approx(3.52, rel=1e-12)
    assert model.mass([0.0, 2.0]) == pytest.approx(3.52 * 1.2**3, rel=1e-12)
    assert model.mass([5.0]) == pytest.approx(3.52, rel=1e-12)


def test_the_hole_of_an_open_surface_is_closed(tmp_path: Path) -> None:
    """A lid is missing far from the origin: without a new one the volume would depend on where the person stands."""
    faces = arrays()["f"]
    head = 12 * JOINTS["smplx"].index("L_Thumb3")
    path = write(tmp_path / "m.npz", f=np.delete(faces, [head, head + 1, head + 24], axis=0))
    assert SmplModel.load(path).mass() == pytest.approx(3.52, rel=1e-9)


def test_the_feet_of_a_body_touch_the_floor_below_its_ankles(tmp_path: Path) -> None:
    """Both soles are at one height, below ankles and toes."""
    spec = body_from_model(write(tmp_path / "m.npz"))
    lowest = {
        name: min(geom.start[2], geom.end[2]) - geom.radius + spec.rest_positions[geom.body, 2]
        for geom in spec.geoms
        for name in [spec.names[geom.body]]
        if name.endswith(("Ankle", "Toe"))
    }
    np.testing.assert_allclose(list(lowest.values()), -spec.rest_height, atol=1e-9)
    assert -spec.rest_height < spec.rest_positions[spec.index("L_Toe"), 2]


# --- shape coefficients -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("coefficients", "shapes"), [(10, 10), (16, 10), (20, 10), (400, 300)])
def test_facial_expressions_of_smplx_are_not_shape(tmp_path: Path, coefficients: int, shapes: int) -> None:
    path = write(tmp_path / "m.npz", coefficients=coefficients)
    assert SmplModel.load(path).num_betas == shapes


def test_all_coefficients_of_the_other_models_are_shape(tmp_path: Path) -> None:
    assert SmplModel.load(write(tmp_path / "m.npz", "smplh", coefficients=16)).num_betas == 16


def test_coefficients_that_the_model_lacks_must_be_zero(tmp_path: Path) -> None:
    """AMASS has 16; dropping one silently would give another person."""
    model = SmplModel.load(write(tmp_path / "m.npz"))
    np.testing.assert_array_equal(model.rest_joints(np.zeros(16)), model.rest_joints())
    with pytest.raises(ClipError, match=r"10 shape coefficients, the motion has 16"):
        model.rest_joints(np.ones(16))
    with pytest.raises(ClipError, match="finite"):
        model.rest_joints([np.nan])
    with pytest.raises(ClipError, match=r"shape \(\)"):
        model.rest_joints(1.0)


# --- finding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "place", "gender"),
    [
        ("smplx", "SMPLX_NEUTRAL.npz", "neutral"),
        ("smplx", "models/smplx/SMPLX_FEMALE.npz", "female"),
        ("smplx", "smplx/SMPLX_MALE_2020.npz", "male"),
        ("smplh", "smplh/male/model.npz", "male"),
        ("smplh", "male/model.npz", "male"),
        ("smpl", "smpl/smpl_neutral.npz", "neutral"),
    ],
)
def test_models_are_found_under_their_published_names(tmp_path: Path, kind: Any, place: str, gender: Any) -> None:
    for other in ("smplx/other.npz", "dmpls/male/model.npz", "SMPLX_MALE_old.txt"):
        write(tmp_path / other)
    path = write(tmp_path / place, kind)
    assert find_model(tmp_path, kind, gender) == path
    assert SmplModel.find(tmp_path, kind, gender).kind == kind


def test_another_gender_or_kind_is_not_taken_instead(tmp_path: Path) -> None:
    for name in ("SMPLX_MALE.npz", "SMPLH_FEMALE.npz", "smplx/female/model.npz"):
        write(tmp_path / name)
    for kind, gender in (("smplx", "neutral"), ("smplh", "male"), ("smpl", "female")):
        with pytest.raises(ClipError, match=rf"no {kind.upper()}_{gender.upper()}.npz in it .*non-commercial"):
            find_model(tmp_path, kind, gender)  # type: ignore[arg-type]
    with pytest.raises(ClipError, match=r"SMPLH_FEMALE\.npz: a smplx model by its joints, not smplh"):
        SmplModel.find(tmp_path, "smplh", "female")
    with pytest.raises(ClipError, match="no model files"):
        find_model(tmp_path / "nowhere", "smpl")


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "m.npz")
    assert SmplModel.load(path) is SmplModel.load(path)
    write(path, v_template=arrays()["v_template"] + 0.5)
    os.utime(path, ns=(1, 1))
    np.testing.assert_allclose(SmplModel.load(path).pelvis_offset(), np.add(LEFT["Pelvis"], 0.5), atol=1e-12)


# --- files that are not what they should be ---------------------------------------------------------------------------


class Bomb:
    """Creates a folder when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def test_pickles_are_not_read_and_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SMPL_NEUTRAL.pkl", "SMPL_MALE.npz"):
        Path(name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UntrustedFileError, match=r"pickles run code.*numpy\.savez"):
        SmplModel.load("SMPL_NEUTRAL.pkl")
    with pytest.raises(ClipError, match=r"SMPL_NEUTRAL\.pkl: a pickle.*numpy\.savez"):
        find_model(tmp_path, "smpl")
    with pytest.raises(ClipError):
        SmplModel.find(tmp_path, "smpl", "male")
    assert not Path("executed").exists()


def test_sparse_matrices_and_other_objects_are_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "m.npz", J_regressor=np.array(Bomb(), dtype=object))
    with pytest.raises(UntrustedFileError, match=r"'J_regressor' has type object.*J_regressor \(dense\)"):
        SmplModel.load(path)
    assert not Path("executed").exists()


def swapped(axes: tuple[int, int, int], signs: tuple[float, float, float] = (1, 1, 1)) -> Arrays:
    """The model with other axes."""
    model = arrays()
    turned = {name: model[name][:, axes] for name in ("v_template", "shapedirs")}
    return {**turned, "v_template": turned["v_template"] * signs}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (swapped((0, 2, 1)), r"head is not above the ankles along \+y"),
        (swapped((0, 1, 2), (-1, 1, 1)), r"left hip is not on the side \+x"),
        (swapped((0, 1, 2), (-1, 1, -1)), r"left hip is not on the side \+x"),
        (swapped((0, 1, 2), (1, 1, -1)), r"toes are not before the ankles along \+z"),
        (swapped((0, 1, 2), (100, 100, 100)), r"1\d\d m tall; expected metres"),
        ({"f": arrays()["f"][:, ::-1]}, "counter-clockwise"),
        ({"f": arrays()["f"] + 8}, r"outside 0 to 439"),
        ({"f": np.empty((0, 3), dtype=int)}, "outside"),
        ({"v_template": None}, r"missing array\(s\) v_template"),
        ({"v_template": np.full((440, 3), np.nan)}, "'v_template' holds values that are not finite"),
        ({"shapedirs": np.zeros((439, 3, 10))}, "'shapedirs' is for 439"),
        ({"shapedirs": np.zeros((440, 10))}, "'shapedirs' has shape"),
        ({"J_regressor": np.zeros((30, 440))}, "has 30 joints; expected 24"),
        ({"kintree_table": np.zeros((2, 54), dtype=int)}, "'kintree_table' is for 54"),
        ({"kintree_table": np.zeros((2, 55), dtype=int)}, "joint L_Knee hangs on Pelvis, expected L_Hip"),
        ({"kintree_table": np.full((2, 55), 99)}, "joint L_Hip hangs on 99"),
    ],
)
def test_models_that_are_not_smpls_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    start = time.process_time()
    with pytest.raises(ClipError, match=message):
        SmplModel.load(write(tmp_path / "m.npz", **changes))
    assert time.process_time() - start < 1.0


def test_sides_that_are_swapped_in_the_tree_are_noticed(tmp_path: Path) -> None:
    """SMPL lists left before right; a file that does not would exchange every arm and leg."""
    model = arrays()
    order = [JOINTS["smplx"].index({"L_": "R_", "R_": "L_"}.get(n[:2], n[:2]) + n[2:]) for n in JOINTS["smplx"]]
    with pytest.raises(ClipError, match=r"left hip is not on the side \+x"):
        SmplModel.load(write(tmp_path / "m.npz", J_regressor=model["J_regressor"][order]))


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5, 0.999])
def test_truncated_files_are_damage(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "m.npz")
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(AssistMimicError, match=r"m\.npz"):
        SmplModel.load(path)
    with pytest.raises(ClipError, match="no such file"):
        SmplModel.load(tmp_path / "none.npz")
