"""Inter-X: poses written in its layout come back where they were, and nothing else does."""

from __future__ import annotations

import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recorded import DETECTED, Bomb, check, moving_clip, people, rows, y_up

from assistmimic_env import rotations
from assistmimic_env.body import get_body
from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats import interx, positions, smpl
from assistmimic_env.formats.interx import INTERX
from assistmimic_env.formats.take import ReadOptions, Take

Array = NDArray[np.float64]
NAME = "G012T003A035R001"
FIRST = ReadOptions(supporter="first")
ROWS = {
    1: "R_Hip", 2: "R_Knee", 3: "R_Ankle", 4: "R_Toe", 6: "L_Hip", 7: "L_Knee", 8: "L_Ankle", 9: "L_Toe",
    14: "R_Shoulder", 15: "R_Elbow", 16: "R_Wrist", 25: "R_Hand",
    38: "L_Shoulder", 39: "L_Elbow", 40: "L_Wrist", 49: "L_Hand", 61: "Neck", 62: "Head",
}  # fmt: skip
"""Rows of the 64 joints (spec/data.md section 3.1) that are joints of ours; the others are elsewhere."""


def write_skeletons(folder: Path, joints: Array | None = None) -> Path:
    where = folder / "skeletons" / NAME
    where.mkdir(parents=True)
    source = y_up(rows(people() if joints is None else joints, ROWS, 64))
    for person in (0, 1):
        np.save(where / f"P{person + 1}.npy", source[:, person])
    return where


def write_parameters(folder: Path, **changes: Array) -> Path:
    """P1 stands straight with the left forearm forward and the right hand's first finger bent; P2 two metres off."""
    where = folder / "motions" / NAME
    where.mkdir(parents=True)
    frames = 12
    for person in (0, 1):
        arrays = {
            "pose_body": np.zeros((frames, 21, 3)), "pose_lhand": np.zeros((frames, 15, 3)),
            "pose_rhand": np.zeros((frames, 15, 3)), "root_orient": np.zeros((frames, 3)),
            "trans": np.tile([0.3, 0.9, 0.2 + 2.0 * person], (frames, 1)), "betas": np.zeros((1, 10)),
            "gender": np.array(("male", "female")[person]),
        }  # fmt: skip
        arrays["trans"][:, 0] += 0.01 * np.arange(frames)
        if person == 0:
            arrays["pose_body"][:, 17, 1] = -np.pi / 2  # SMPL's joint 18, the left elbow, about its y axis
            arrays["pose_rhand"][:, 0, 2] = 0.5  # index finger, first link
        np.savez(where / f"P{person + 1}.npz", **(arrays | changes))
    return where


def write_order(folder: Path, value: Any) -> Path:
    path = folder / "annots" / "interaction_order.pkl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(value))
    return path


def read(path: Path, options: ReadOptions = FIRST) -> Take:
    (recording,) = INTERX.find(path, options)
    return INTERX.read(recording, options)


def check_skeletons(folder: Path) -> None:
    check(read(folder), set(ROWS.values()), fps=120.0)


def check_parameters(take: Take) -> None:
    """By hand: SMPL's left, up, forward are the source's x, y, z, which are our x, z, -y."""
    body, person = get_body(take.body), take.people[0]
    assert person.rotation is not None
    turns = person.rotation[-1]

    def axes(name: str) -> Array:
        return rotations.to_matrix(turns[body.index(name)])

    np.testing.assert_allclose(person.joints[-1, 0], (0.41, -0.2, 0.9), atol=1e-12)
    np.testing.assert_allclose(take.people[1].joints[-1, 0], (0.41, -2.2, 0.9), atol=1e-12)
    straight = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # columns: forward, left, up
    for name in ("Pelvis", "R_Elbow", "R_Wrist", "L_Shoulder", "R_Knee"):
        np.testing.assert_allclose(axes(name), straight, atol=1e-12)
    elbow = np.array([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])  # the bone, to the left, now points ahead
    for name in ("L_Elbow", "L_Wrist", "L_Index1"):
        np.testing.assert_allclose(axes(name), elbow, atol=1e-12)
    np.testing.assert_allclose(np.trace(straight.T @ axes("R_Index1")), 1.0 + 2.0 * np.cos(0.5), atol=1e-12)
    speed = np.diff(person.joints[:, 0, 0]) * take.fps
    np.testing.assert_allclose(speed, 1.2, atol=1e-9)


def test_skeletons_come_back_joint_by_joint(tmp_path: Path) -> None:
    write_skeletons(tmp_path)
    check_skeletons(tmp_path)


def test_a_point_of_the_y_up_world_by_hand(tmp_path: Path) -> None:
    where = write_skeletons(tmp_path)
    np.testing.assert_allclose(np.load(where / "P1.npy")[0, 16], (0.50, 1.35, 0.15))
    wrist = read(where).people[0].joints[0, get_body().index("R_Wrist")]
    np.testing.assert_allclose(wrist, (0.50, -0.15, 1.35))


SIDES = {"Left": "Right", "Right": "Left"}


def swapped(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The rig's joints with left and right exchanged where a name ends in one of the parts."""
    return tuple(
        SIDES[side] + name.removeprefix(side) if (side := next((s for s in SIDES if name.startswith(s)), ""))
        and name.endswith(parts) else name
        for name in interx.SKELETON.joints
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "name", "wrong"),
    [
        (interx, "SKELETON", replace(interx.SKELETON, joints=swapped(("",)))),
        (interx, "SKELETON", replace(interx.SKELETON, joints=swapped(("Arm", "ForeArm", "Hand")))),
        (interx, "SKELETON", replace(interx.SKELETON, joints=swapped(("Foot", "ToeBase")))),
        (interx, "SKELETON", replace(interx.SKELETON, joints=swapped(("Middle1",)))),
        (interx, "UP", "z"),
        (positions, "to_z_up", lambda points, up: points),
        (positions, "to_z_up", lambda points, up: points[..., [0, 2, 1]]),
        (positions, "to_z_up", lambda points, up: points[..., [2, 0, 1]]),
        (interx, "FPS", 2.0),
        (interx, "FPS", 60.0),
        (interx, "supporter_first", lambda people, supporter: people[::-1]),
    ],
    ids=["sides", "arms", "feet", "hands", "up", "no turn", "mirrored", "turned", "2 fps", "60 fps", "roles"],
)
def test_a_wrong_importer_of_skeletons_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, name: str, wrong: Any
) -> None:
    write_skeletons(tmp_path)
    monkeypatch.setattr(target, name, wrong)
    with pytest.raises(DETECTED):
        check_skeletons(tmp_path)


def test_parameters_come_back_as_rotations_of_our_bodies(tmp_path: Path) -> None:
    write_parameters(tmp_path)
    take = read(tmp_path)
    check_parameters(take)
    assert take.metadata["genders"] == ["male", "female"]
    assert take.metadata["action"] == "help up"
    assert take.conventions["rate"] == "documented: 120"


def mirrored_order() -> dict[str, tuple[str, ...]]:
    other = {"L_": "R_", "R_": "L_"}
    return {
        body: tuple(other[name[:2]] + name[2:] if name[:2] in other else name for name in order)
        for body, order in smpl._ORDERS.items()
    }


@pytest.mark.parametrize(
    ("target", "name", "wrong"),
    [
        (smpl, "_ORDERS", mirrored_order()),
        (interx, "pose_of_parts", lambda w, r, b, left, right: smpl.pose_of_parts(w, r, b, right, left)),
        (interx, "UP", "z"),
        (smpl, "rotation_to_z_up", lambda rotation, up: rotation),
        (smpl, "to_z_up", lambda points, up: points[..., [0, 2, 1]]),
        (smpl, "upright", lambda rotation: rotation),
        (interx, "FPS", 2.0),
    ],
    ids=["sides", "hands", "up", "no turn", "mirrored", "body axes", "2 fps"],
)
def test_a_wrong_importer_of_parameters_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, name: str, wrong: Any
) -> None:
    write_parameters(tmp_path)
    monkeypatch.setattr(target, name, wrong)
    with pytest.raises(DETECTED):
        check_parameters(read(tmp_path))


@pytest.mark.parametrize(("acts", "order"), [(0, (0, 1)), (1, (1, 0))])
def test_who_acts_supports(tmp_path: Path, acts: int, order: tuple[int, int]) -> None:
    write_skeletons(tmp_path)
    write_order(tmp_path, {NAME: acts})
    take = read(tmp_path / "skeletons", ReadOptions())
    check(take, set(ROWS.values()), fps=120.0, order=order)
    assert take.conventions["roles"].startswith("file")


def test_the_user_overrules_who_acts(tmp_path: Path) -> None:
    write_skeletons(tmp_path)
    write_order(tmp_path, {NAME: 0})
    take = read(tmp_path, ReadOptions(supporter="second"))
    check(take, set(ROWS.values()), fps=120.0, order=(1, 0))


@pytest.mark.parametrize("order", [None, {}, {"G001T001A001R001": 0}])
def test_unknown_roles_are_asked_for(tmp_path: Path, order: Any) -> None:
    write_skeletons(tmp_path)
    if order is not None:
        write_order(tmp_path, order)
    with pytest.raises(ClipError, match="--supporter first"):
        INTERX.find(tmp_path, ReadOptions())


@pytest.mark.parametrize("value", [[0], {NAME: 2}, {NAME: "first"}, {NAME: [0]}])
def test_a_list_of_roles_of_another_kind_is_refused(tmp_path: Path, value: Any) -> None:
    write_skeletons(tmp_path)
    write_order(tmp_path, value)
    with pytest.raises(ClipError, match="interaction_order"):
        INTERX.find(tmp_path, ReadOptions())


def test_a_hostile_list_of_roles_is_not_executed(tmp_path: Path) -> None:
    write_skeletons(tmp_path)
    write_order(tmp_path, {NAME: Bomb(tmp_path / "executed")})
    with pytest.raises(UntrustedFileError):
        INTERX.find(tmp_path, ReadOptions())
    assert not (tmp_path / "executed").exists()


def test_a_motion_of_ours_survives_the_round_trip(tmp_path: Path) -> None:
    truth, _ = moving_clip()
    write_skeletons(tmp_path, truth)
    take = read(tmp_path, replace(FIRST, fps=30.0))
    for person, who in zip(take.people, (0, 1), strict=True):
        assert np.nanmax(np.abs(person.joints - truth[:, who])) < 1e-6
    assert take.conventions["rate"] == "given: 30"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def spoil(path: Path) -> None:
    array = np.load(path)
    array[5, 7, 1] = np.nan
    np.save(path, array)


def hide_objects(path: Path) -> None:
    np.save(path, np.array([Bomb(path.parent / "executed")], dtype=object), allow_pickle=True)


def claim_too_much(path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999, 64, 3), }"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def bloat_the_header(path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"1," * 500_000 + b"), }"
    path.write_bytes(b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (truncate, UntrustedFileError),
        (spoil, ClipError),
        (hide_objects, UntrustedFileError),
        (claim_too_much, UntrustedFileError),
        (bloat_the_header, ClipError),
        (lambda path: path.write_bytes(b""), ClipError),
        (lambda path: np.save(path, np.load(path)[:, :22]), ClipError),
        (lambda path: np.save(path, np.load(path)[:-1]), ClipError),
        (lambda path: np.save(path, np.load(path)[:5]), ClipError),
        (Path.unlink, ClipError),
    ],
    ids=["truncated", "NaN", "pickle", "huge", "header", "empty", "joints", "clock", "short", "missing"],
)  # fmt: skip
def test_a_damaged_skeleton_is_refused_quickly(tmp_path: Path, damage: Any, error: type[Exception]) -> None:
    where = write_skeletons(tmp_path)
    damage(where / "P2.npy")
    start = time.process_time()
    with pytest.raises(error, match=r"P2|the second"):
        read(tmp_path)
    assert time.process_time() - start < 1.0
    assert not (where / "executed").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"trans": np.full((12, 3), np.nan)},
        {"trans": np.zeros((11, 3))},
        {"pose_body": np.zeros((12, 20, 3))},
        {"pose_lhand": np.zeros((12, 45))},
    ],
    ids=["NaN", "frames", "joints", "flat"],
)
def test_damaged_parameters_are_refused(tmp_path: Path, changes: dict[str, Array]) -> None:
    write_parameters(tmp_path, **changes)
    with pytest.raises(ClipError, match=NAME):
        read(tmp_path)


def test_people_on_two_clocks_are_refused(tmp_path: Path) -> None:
    where = write_parameters(tmp_path)
    short = {name: a[:11] if a.ndim and len(a) == 12 else a for name, a in np.load(where / "P2.npz").items()}
    np.savez(where / "P2.npz", **short)
    with pytest.raises(ClipError, match="no common clock"):
        read(tmp_path)


def test_parameters_and_skeletons_together_are_not_mixed(tmp_path: Path) -> None:
    write_parameters(tmp_path)
    write_skeletons(tmp_path)
    with pytest.raises(ClipError, match="Give one of these folders"):
        INTERX.find(tmp_path, FIRST)
    assert read(tmp_path / "motions").body == "smpl52"


def test_a_file_stands_for_its_pair_and_a_wrong_place_is_named(tmp_path: Path) -> None:
    where = write_skeletons(tmp_path)
    assert INTERX.find(where / "P1.npy", FIRST) == INTERX.find(tmp_path, FIRST)
    (tmp_path / "else").mkdir()
    with pytest.raises(ClipError, match="no folder GgggTtttAaaaRrrr"):
        INTERX.find(tmp_path / "else", FIRST)
    with pytest.raises(ClipError, match="no such file or folder"):
        INTERX.find(tmp_path / "nowhere", FIRST)
