"""AMASS's three layouts, on an asymmetric pose worked out by hand; and who belongs together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motion_files import B, pose_of

from assistmimic_env import kinematics, rotations
from assistmimic_env.body import get_body
from assistmimic_env.clip import load_clip
from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats import amass, smpl
from assistmimic_env.formats.amass import AMASS
from assistmimic_env.formats.take import ReadOptions, Take

HALF = np.sqrt(0.5)
FRAMES = 12
FIRST = ReadOptions(supporter="first")
QUARTER = np.pi / 2


def poses(width: int, root: np.ndarray) -> np.ndarray:
    """In SMPL's axes (x left, y up, z forward) the left forearm points forward, the right shank backward.

    The head is turned left; the right index finger, if there is one, is bent.
    """
    pose = np.zeros((FRAMES, width))
    pose[:, 0:3] = root
    pose[:, 3 * 18 + 1] = -QUARTER  # L_Elbow, the 19th joint, about y
    pose[:, 3 * 5] = QUARTER  # R_Knee about x
    pose[:, 3 * 15 + 1] = QUARTER  # Head about y
    if width > 72:
        fingers = {156: 66, 165: 75}[width]
        pose[:, fingers + 45 + 2] = 1.0  # first joint of the right hand: R_Index1 about z
    return pose


FACING_X = (2 * np.pi / 3) / np.sqrt(3.0) * np.ones(3)
"""Stands in a z-up world and faces +x: x left -> y, y up -> z, z forward -> x."""
FACING_MINUS_Y = np.array([QUARTER, 0.0, 0.0])


def write(folder: Path, width: int = 156, *, names: tuple[str, str] = ("22_01", "23_01"), **changes: Any) -> Path:
    """Two files; the first person faces +x and walks along it at 1.2 m/s, the second faces -y and stands at y = 1."""
    walk = np.zeros((FRAMES, 3))
    walk[:, 0], walk[:, 2] = 0.01 * np.arange(FRAMES), 0.9
    rate = "mocap_frame_rate" if width == 165 else "mocap_framerate"
    for name, root, place in zip(names, (FACING_X, FACING_MINUS_Y), (walk, [0.0, 1.0, 0.9]), strict=True):
        content: dict[str, Any] = {
            "poses": poses(width, root),
            "trans": np.broadcast_to(place, (FRAMES, 3)),
            "betas": np.zeros(16),
            "gender": np.array(b"male"),
            rate: np.array(120.0),
            "dmpls": np.zeros((FRAMES, 8)),
            "labels": np.array([{}], dtype=object),
            **changes,
        }
        np.savez(folder / f"{name}.npz", **{key: value for key, value in content.items() if value is not None})
    return folder


def read(path: Path, options: ReadOptions = FIRST) -> Take:
    (recording,) = AMASS.find(path, options)
    return AMASS.read(recording, options)


def check_pose(take: Take) -> None:
    """The pose worked out by hand: quaternions w, x, y, z in a z-up world of bodies with x forward, y left, z up."""
    body = get_body(take.body)
    first, second = take.people

    def is_turned(person: Any, name: str, expected: tuple[float, ...]) -> None:
        turn = person.rotation[:, body.index(name)]
        angle = rotations.angle_between(turn, np.array(expected)).max()
        assert angle < 1e-6, f"{name} is {np.degrees(angle):.0f} degrees off"

    for name in ("Pelvis", "R_Elbow", "L_Knee", "Neck"):
        is_turned(first, name, (1, 0, 0, 0))
    for name in ("L_Elbow", "L_Wrist"):
        is_turned(first, name, (HALF, 0, 0, -HALF))  # +y, along the arm, becomes +x
    for name in ("R_Knee", "R_Ankle", "R_Toe"):
        is_turned(first, name, (HALF, 0, HALF, 0))  # -z, along the shank, becomes -x
    is_turned(first, "Head", (HALF, 0, 0, HALF))
    is_turned(second, "Pelvis", (HALF, 0, 0, -HALF))
    is_turned(second, "L_Elbow", (0, 0, 0, 1))
    if take.body == "smpl52":
        is_turned(first, "R_Index1", (np.cos(0.5), np.sin(0.5), 0, 0))  # SMPL's z is our x
        is_turned(first, "R_Index3", (np.cos(0.5), np.sin(0.5), 0, 0))
        is_turned(first, "L_Index1", (HALF, 0, 0, -HALF))
    speed = np.diff(first.joints[:, 0], axis=0) * take.fps
    assert speed == pytest.approx(np.tile([1.2, 0.0, 0.0], (FRAMES - 1, 1)), abs=1e-9)
    assert second.joints[:, 0] == pytest.approx(np.tile([0.0, 1.0, 0.9], (FRAMES, 1)))


@pytest.mark.parametrize(("width", "body"), [(72, "smpl24"), (156, "smpl52"), (165, "smpl52")])
def test_every_layout_gives_the_pose_worked_out_by_hand(tmp_path: Path, width: int, body: str) -> None:
    take = read(write(tmp_path, width))
    check_pose(take)
    assert (take.body, take.fps, take.name) == (body, 120.0, "22_01-23_01")
    assert take.conventions["up"] == "documented: +z"
    assert take.conventions["rate"] == "file: 120"
    assert take.conventions["roles"] == "given: first supports"
    assert take.metadata["genders"] == ["male", "male"]
    assert np.isnan(take.people[0].joints[:, 1:]).all(), "without the user's model files no other joint is known"


def swapped(order: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({"L_": "R_", "R_": "L_"}.get(name[:2], name[:2]) + name[2:] for name in order)


MUTATIONS: dict[str, tuple[object, str, object]] = {
    "left and right": (smpl, "_ORDERS", {name: swapped(order) for name, order in smpl._ORDERS.items()}),
    "body axes": (smpl, "upright", lambda turn: turn),
    "inverse body axes": (smpl, "upright", lambda turn: rotations.multiply(turn, np.array([0.5, 0.5, 0.5, 0.5]))),
    "up axis of rotations": (
        smpl, "rotation_to_z_up", lambda turn, up: rotations.multiply(np.array([HALF, HALF, 0, 0]), turn)
    ),
    "up axis of positions": (smpl, "to_z_up", lambda points, up: points[..., [0, 2, 1]] * [1.0, -1.0, 1.0]),
    "2 frames per second": (amass, "_rate", lambda *given: 2.0),
    "face not left out": (smpl, "_FACE", slice(52, 55)),
    "fingers of the other hand": (
        smpl, "_ORDERS", smpl._ORDERS | {"smpl52": smpl.SMPLH_ORDER[:22] + swapped(smpl.SMPLH_ORDER[22:])}
    ),
}  # fmt: skip
"""What would be wrong, in words, and where."""


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_wrong_convention_would_fail_the_pose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(*MUTATIONS[what])
    take = read(write(tmp_path, 165))
    with pytest.raises(AssertionError):
        check_pose(take)


@pytest.mark.parametrize("width", [72, 156, 165])
def test_a_clip_survives_the_round_trip(tmp_path: Path, width: int) -> None:
    clip = load_clip("sit_to_stand/train_00")
    for role, name in enumerate(("supporter", "recipient")):
        pose = np.zeros((clip.num_frames, width))
        pose[:, : 72 if width == 72 else 66] = pose_of(clip, role)[:, : 72 if width == 72 else 66]
        rate = "mocap_frame_rate" if width == 165 else "mocap_framerate"
        np.savez(tmp_path / f"{name}.npz", poses=pose, trans=clip.root_position[:, role], **{rate: np.array(30.0)})
    take = read(tmp_path / "supporter.npz", ReadOptions(partner=tmp_path / "recipient.npz", supporter="first"))
    source, own = get_body(take.body), clip.bodies
    shared = [name for name in own[0].names if name in source.names]
    for role, person in enumerate(take.people):
        assert person.rotation is not None
        assert person.joints[:, 0] == pytest.approx(clip.root_position[:, role], abs=1e-12)
        rows, columns = source.indices(shared), own[role].indices(shared)
        exact = rotations.normalize(clip.rotation[:, role])
        angle = rotations.angle_between(person.rotation[:, rows], exact[:, columns])
        assert angle.max() < 1e-6
        turned = np.array(exact)
        turned[:, columns] = person.rotation[:, rows]
        local = kinematics.local_from_global(own[role].parents, turned)
        joints = kinematics.forward_kinematics(own[role].parents, own[role].offsets, person.joints[:, 0], local)[0]
        assert (
            np.linalg.norm(joints - clip.position[:, role], axis=-1).max() < 1e-5
        )  # the clip's quaternions are float32


def test_a_file_turned_to_y_up_is_noticed_and_can_be_said(tmp_path: Path) -> None:
    """The whole world is turned by -90 degrees about x: (x, y, z) -> (x, z, -y)."""
    for name, root, place in (("22_01", FACING_X, [0.3, 0.9, 0.2]), ("23_01", FACING_MINUS_Y, [0.0, 0.9, -1.0])):
        turned = (B.from_rotvec([-QUARTER, 0, 0]) * B.from_rotvec(root)).as_rotvec()
        arrays = {"poses": poses(72, turned), "trans": np.tile(place, (FRAMES, 1))}
        np.savez(tmp_path / f"{name}.npz", **arrays, mocap_framerate=60.0)
    with pytest.raises(ClipError, match=r"stand along \+y.*--up y"):
        read(tmp_path)
    take = read(tmp_path, ReadOptions(supporter="first", up="y"))
    assert take.conventions["up"] == "given: +y"
    assert take.people[0].joints[0, 0] == pytest.approx([0.3, -0.2, 0.9])
    assert take.people[0].rotation is not None
    assert rotations.angle_between(take.people[0].rotation[0, 0], np.array([1.0, 0, 0, 0])) < 1e-6


def test_impossible_rates_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    walk = np.load(tmp_path / "22_01.npz")["trans"] * [20.0, 1.0, 1.0]
    np.savez(tmp_path / "22_01.npz", poses=poses(156, FACING_X), trans=walk, mocap_framerate=120.0)
    with pytest.raises(ClipError, match=r"nobody is faster.*--fps"):
        read(tmp_path)
    assert read(tmp_path, ReadOptions(supporter="first", fps=12.0)).conventions["rate"] == "given: 12"


DAMAGES: dict[str, tuple[Any, str]] = {
    "width": ({"poses": np.zeros((FRAMES, 100))}, r"poses have shape \(12, 100\).*72.*156.*165"),
    "NaN": ({"poses": np.full((FRAMES, 156), np.nan)}, "not finite"),
    "translation": ({"trans": np.zeros((5, 3))}, "translation"),
    "no poses": ({"poses": None}, "missing array.*poses"),
    "no rate": ({"mocap_framerate": None}, "mocap_framerate nor mocap_frame_rate.*--fps"),
    "too short": ({"poses": np.zeros((3, 156)), "trans": np.zeros((3, 3))}, "at least 10"),
    "objects": ({"poses": np.array([{}], dtype=object)}, "never objects"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damaged_files_are_typed_errors(tmp_path: Path, what: str) -> None:
    changes, message = DAMAGES[what]
    with pytest.raises((ClipError, UntrustedFileError), match=message):
        read(write(tmp_path, **changes))


def test_a_truncated_file_is_a_typed_error(tmp_path: Path) -> None:
    file = write(tmp_path) / "23_01.npz"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ClipError, match=r"23_01\.npz"):
        read(tmp_path)


def test_known_takes_pair_up_across_folders_but_not_without_roles(tmp_path: Path) -> None:
    for folder in ("22_23_justin", "22_23_Rory", "35"):
        (tmp_path / folder).mkdir()
    write(tmp_path, names=("22_01_poses", "23_01_poses"))
    (tmp_path / "22_01_poses.npz").rename(tmp_path / "22_23_justin" / "22_01_poses.npz")
    (tmp_path / "23_01_poses.npz").rename(tmp_path / "22_23_Rory" / "23_01_poses.npz")
    (tmp_path / "35" / "35_01_poses.npz").write_bytes(b"a single person's")
    with pytest.raises(ClipError, match=r"who supports\?.*--supporter first \(22_01_poses\.npz\)"):
        AMASS.find(tmp_path, ReadOptions())
    for path in (tmp_path, tmp_path / "22_23_Rory" / "23_01_poses.npz"):
        (recording,) = AMASS.find(path, ReadOptions(supporter="second"))
        assert [file.name for file in recording.files] == ["23_01_poses.npz", "22_01_poses.npz"]
        assert recording.name == "22_01_poses-23_01_poses"


def test_a_missing_partner_is_an_error(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "23_01.npz").unlink()
    with pytest.raises(ClipError, match=r"take 1 of subject 22.*1 of subject 22 and 0 of subject 23"):
        AMASS.find(tmp_path, FIRST)
    (tmp_path / "22_01.npz").rename(tmp_path / "anna.npz")
    with pytest.raises(ClipError, match=r"nothing tells which \.npz files belong together.*pairs\.csv"):
        AMASS.find(tmp_path, FIRST)
    with pytest.raises(ClipError, match=r"gone\.npz: not a \.npz file"):
        AMASS.find(tmp_path / "anna.npz", ReadOptions(partner=tmp_path / "gone.npz", supporter="first"))


def test_a_table_names_pairs_and_roles(tmp_path: Path) -> None:
    write(tmp_path, names=("anna", "ben"))
    table = tmp_path / "pairs.csv"
    table.write_text("name,supporter,recipient\nlift,ben.npz,anna.npz\n")
    (recording,) = AMASS.find(tmp_path, ReadOptions())
    assert recording.name == "lift"
    assert [file.name for file in recording.files] == ["ben.npz", "anna.npz"]
    assert AMASS.read(recording, ReadOptions()).conventions["roles"] == "file: pairs.csv"
    with pytest.raises(ClipError, match="Leave one of them out"):
        AMASS.find(tmp_path, FIRST)
    for rows, message in (
        ("lift,ben.npz,carl.npz", r"pairs\.csv, line 2: 'carl\.npz' is no \.npz file"),
        ("lift,ben.npz,../x.npz", "outside"),
        ("lift,ben.npz", "needs the columns"),
        ("a b,ben.npz,anna.npz", "name 'a b'"),
        ("x,ben.npz,anna.npz\nx,anna.npz,ben.npz", "line 3: name 'x' is not unique"),
    ):
        table.write_text(f"name,supporter,recipient\n{rows}\n")
        with pytest.raises(ClipError, match=message):
            AMASS.find(tmp_path, ReadOptions())


def shorter(path: Path, frames: int) -> None:
    with np.load(path) as content:
        np.savez(path, poses=content["poses"][:frames], trans=content["trans"][:frames], mocap_framerate=120.0)


@pytest.mark.parametrize(("frames", "outcome"), [(11, "file: 11; the longer one's last 1 are cut"), (10, None)])
def test_lengths_that_differ_are_cut_and_said_or_refused(tmp_path: Path, frames: int, outcome: str | None) -> None:
    shorter(write(tmp_path) / "23_01.npz", frames)
    if outcome is None:
        with pytest.raises(ClipError, match="12 and 10 frames"):
            read(tmp_path)
    else:
        assert read(tmp_path).conventions["frames"] == outcome


def test_people_on_two_clocks_or_editions_are_refused(tmp_path: Path) -> None:
    def change(width: int, rate: float) -> None:
        pose, still = poses(width, FACING_X), np.zeros((FRAMES, 3))
        np.savez(tmp_path / "23_01.npz", poses=pose, trans=still, mocap_framerate=rate)

    write(tmp_path)
    change(156, 60.0)
    with pytest.raises(ClipError, match="120 and 60 frames per second"):
        read(tmp_path)
    change(72, 120.0)
    with pytest.raises(ClipError, match="same edition"):
        read(tmp_path)
