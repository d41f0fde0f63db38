"""CMU's ASF and AMC: kinematics worked out by hand, round trips, and damaged text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motion_files import CMU_UNIT, TO_Y_UP, B, turns
from scipy.spatial.transform import Rotation
from test_formats_bvh import matrix

from assistmimic_env import rotations
from assistmimic_env.body import BodySpec, get_body
from assistmimic_env.clip import load_clip
from assistmimic_env.errors import ClipError
from assistmimic_env.formats import amc, asf_file, rig, rig_names
from assistmimic_env.formats.amc import AMC
from assistmimic_env.formats.take import ReadOptions, Take

FRAMES = 12
FIRST = ReadOptions(supporter="first")
BODY = get_body()
Bones = dict[str, tuple[str, Any, tuple[float, float, float], str]]
"""Bone -> parent, vector from begin to end in metres (x left, y up, z forward), axis in degrees, dofs."""

ALL = "rx ry rz"


def skeleton(body: BodySpec) -> Bones:
    """One of our bodies as an ASF skeleton: a bone for each bone, rigid ones in between; skewed axes of the limbs."""

    def bone(name: str) -> np.ndarray:
        return B.inv().apply(np.array(body.offsets[body.index(name)]))

    still = (0.0, 0.0, 0.0)
    bones: Bones = {
        "backlink": ("root", bone("Torso"), still, ""),
        "lowerback": ("backlink", bone("Spine"), still, ALL),
        "upperback": ("lowerback", bone("Chest"), still, ALL),
        "thorax": ("upperback", np.zeros(3), still, ALL),
        "lowerneck": ("thorax", bone("Neck"), still, ""),
        "upperneck": ("lowerneck", bone("Head"), still, "rz ry rx"),
        "head": ("upperneck", np.array([0.0, 0.1, 0.0]), (0.0, 30.0, 0.0), ALL),
    }
    for side, ours, turn in (("l", "L_", 1.0), ("r", "R_", -1.0)):
        bones |= {
            f"{side}hipjoint": ("root", bone(f"{ours}Hip"), still, ""),
            f"{side}femur": (f"{side}hipjoint", bone(f"{ours}Knee"), (0.0, 10.0, 20.0 * turn), ALL),
            f"{side}tibia": (f"{side}femur", bone(f"{ours}Ankle"), (5.0, 0.0, 20.0 * turn), "rx rz ry"),
            f"{side}foot": (f"{side}tibia", bone(f"{ours}Toe"), (-90.0, 0.0, 20.0 * turn), ALL),
            f"{side}toes": (f"{side}foot", np.array([0.0, 0.0, 0.05]), still, ALL),
            f"{side}collarlink": ("thorax", bone(f"{ours}Thorax"), still, ""),
            f"{side}clavicle": (f"{side}collarlink", bone(f"{ours}Shoulder"), (0.0, 0.0, 15.0), ALL),
            f"{side}humerus": (f"{side}clavicle", bone(f"{ours}Elbow"), (180.0, 30.0 * turn, -90.0), ALL),
            f"{side}radius": (f"{side}humerus", bone(f"{ours}Wrist"), (0.0, 0.0, 45.0), ALL),
            f"{side}wrist": (f"{side}radius", bone(f"{ours}Hand"), still, ALL),
        }
    return bones


def asf_text(bones: Bones) -> str:
    lines = ["# AST/ASF file", ":version 1.10", ":name test", ":units", "  mass 1.0", "  length 0.45", "  angle deg"]
    lines += [":documentation", "  made by the tests", ":root", "  order TX TY TZ RX RY RZ", "  axis XYZ"]
    lines += ["  position 0 0 0", "  orientation 0 0 0", ":bonedata"]
    for number, (name, (_, vector, axis, dofs)) in enumerate(bones.items(), start=1):
        length = float(np.linalg.norm(vector))
        direction = vector / length if length else np.array([0.0, 1.0, 0.0])
        lines += ["  begin", f"    id {number}", f"    name {name}"]
        lines += [f"    direction {' '.join(map(repr, direction.tolist()))}", f"    length {length / CMU_UNIT!r}"]
        lines += [f"    axis {' '.join(map(str, axis))} XYZ", *([f"    dof {dofs}"] if dofs else [])]
        lines += [f"    {'limits' if i == 0 else ''} (-180.0 180.0)" for i in range(len(dofs.split()))] + ["  end"]
    lines += [":hierarchy", "  begin"]
    for parent in ("root", *bones):
        children = [name for name, entry in bones.items() if entry[0] == parent]
        lines += [f"    {parent} {' '.join(children)}"] if children else []
    return "\n".join([*lines, "  end", ""])


def amc_text(bones: Bones, root: np.ndarray, angles: dict[str, np.ndarray]) -> str:
    """Root places (T, 3) in metres; angles (T, 3) in degrees about x, y and z of "root" and of bones."""
    lines = ["#!OML:ASF test.ASF", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(len(root)):
        place = [*(root[frame] / CMU_UNIT).tolist(), *angles["root"][frame].tolist()]
        lines += [str(frame + 1), "root " + " ".join(map(repr, place))]
        for name, (_, _, _, dofs) in bones.items():
            turn = dict(zip(("rx", "ry", "rz"), angles.get(name, np.zeros_like(root))[frame].tolist(), strict=True))
            lines += [f"{name} {' '.join(repr(turn[dof]) for dof in dofs.split())}"] if dofs else []
    return "\n".join([*lines, ""])


def write(folder: Path, *, subjects: tuple[str, str] = ("22", "23")) -> Path:
    """Faces +x of the y-up world and walks along it at 1.2 m/s; the second person stands 1 m away and faces -z."""
    bones = skeleton(BODY)
    walk = np.tile([0.0, 0.9, 0.0], (FRAMES, 1))
    walk[:, 0] = 0.01 * np.arange(FRAMES)
    still = np.tile([1.0, 0.9, 0.5], (FRAMES, 1))

    def steady(*angles: float) -> np.ndarray:
        return np.tile(angles, (FRAMES, 1))

    pose = {"lhumerus": steady(0.0, 0.0, 40.0), "rtibia": steady(90.0, 0.0, 0.0), "upperneck": steady(20.0, 30.0, 40.0)}
    people = ((walk, steady(10.0, 90.0, 0.0)), (still, steady(0.0, 180.0, 0.0)))
    for subject, (place, turn) in zip(subjects, people, strict=True):
        (folder / f"{subject}.asf").write_text(asf_text(bones))
        (folder / f"{subject}_01.amc").write_text(amc_text(bones, place, {"root": turn, **pose}))
    return folder


def read(path: Path, options: ReadOptions = FIRST) -> Take:
    (recording,) = AMC.find(path, options)
    return AMC.read(recording, options)


def check_pose(take: Take) -> None:
    """G_bone = G_parent C M C^-1, all turns about fixed axes, x first; one unit is 0.0564444 m."""
    first, second = take.people
    assert take.fps == 120.0
    bones = skeleton(BODY)

    def fixed(x: float, y: float, z: float) -> np.ndarray:
        return matrix("z", z) @ matrix("y", y) @ matrix("x", x)

    root = fixed(10.0, 90.0, 0.0)
    skew = fixed(180.0, 30.0, -90.0)
    arm = root @ skew @ matrix("z", 40.0) @ skew.T
    knee_skew = fixed(5.0, 0.0, -20.0)
    shank = root @ knee_skew @ matrix("x", 90.0) @ knee_skew.T
    collar = bones["backlink"][1] + bones["lowerback"][1] + bones["upperback"][1] + bones["lcollarlink"][1]
    shoulder = root @ (collar + bones["lclavicle"][1])
    knee = root @ (bones["rhipjoint"][1] + bones["rfemur"][1])
    places = {
        "L_Shoulder": shoulder,
        "L_Elbow": shoulder + arm @ bones["lhumerus"][1],
        "R_Knee": knee,
        "R_Ankle": knee + shank @ bones["rtibia"][1],
    }
    for frame in (0, FRAMES - 1):
        for name, place in places.items():
            x, y, z = place + np.array([0.01 * frame, 0.9, 0.0])
            assert first.joints[frame, BODY.index(name)] == pytest.approx([x, -z, y], abs=1e-9), name
    assert first.rotation is not None
    assert second.rotation is not None
    to_z_up, axes = TO_Y_UP.inv().as_matrix(), B.inv().as_matrix()
    for name, turn in (("Pelvis", root), ("Neck", root @ fixed(20.0, 30.0, 40.0)), ("L_Elbow", arm), ("R_Toe", shank)):
        found = rotations.to_matrix(first.rotation[0, BODY.index(name)])
        assert found == pytest.approx(to_z_up @ turn @ axes, abs=1e-6), name
    assert rotations.to_matrix(second.rotation[0, 0]) == pytest.approx(matrix("z", 90.0), abs=1e-6)  # faces -z: our +y


def test_a_take_gives_the_pose_worked_out_by_hand(tmp_path: Path) -> None:
    take = read(write(tmp_path))
    check_pose(take)
    assert take.name == "22_01-23_01"
    assert take.conventions["rate"] == "documented: 120"
    assert take.conventions["unit"] == "file: inches over the length in :units of the skeleton"
    assert take.conventions["roles"] == "given: first supports"


def moving_axes(degrees: np.ndarray) -> np.ndarray:
    """About the turned axes instead of the fixed ones."""
    x, y, z = (rotations.from_axis_angle(np.eye(3)[i], np.radians(degrees[..., i])) for i in range(3))
    return rotations.multiply(x, rotations.multiply(y, z))


MUTATIONS: dict[str, tuple[object, str, object]] = {
    "moving axes": (asf_file, "fixed_axes", moving_axes),
    "exchanged dofs": (asf_file, "_AXES", {"rx": 2, "ry": 1, "rz": 0}),
    "unit": (asf_file, "INCH", 0.0225),
    "up axis of rotations": (rig, "rotation_to_z_up", lambda turn, up: turn),
    "2 frames per second": (amc, "FPS", 2.0),
}
"""What would be wrong, in words, and where."""


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_wrong_convention_would_fail_the_pose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(*MUTATIONS[what])
    take = read(write(tmp_path))
    with pytest.raises(AssertionError):
        check_pose(take)


def test_swapped_sides_would_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"l": "r", "r": "l"}
    for table in ("ASF_ORIGINS", "ASF_TURNS"):
        names = getattr(rig_names, table)
        sided = {body: other[bone[0]] + bone[1:] for body, bone in names.items() if body[1] == "_"}
        monkeypatch.setattr(rig_names, table, {**names, **sided})
    with pytest.raises(ClipError, match="Left and right are swapped"):
        read(write(tmp_path))


def test_a_clip_survives_the_round_trip(tmp_path: Path) -> None:
    """Every mapped joint within ten micrometres, through skewed axes and mixed orders of dofs."""
    clip = load_clip("sit_to_stand/train_00")
    for role, subject in enumerate(("22", "23")):
        body = clip.bodies[role]
        bones = skeleton(body)
        bodies = {bone: name for name, bone in rig_names.ASF_TURNS.items() if name not in ("L_Hand", "R_Hand")}
        angles: dict[str, np.ndarray] = {}
        for bone, name in bodies.items():
            own = turns(clip.local_rotation[:, role, body.index(name)])
            skew = Rotation.from_euler("xyz", bones[bone][2] if bone != "root" else (0, 0, 0), degrees=True)
            turn = TO_Y_UP * own * B if bone == "root" else skew.inv() * (B.inv() * own * B) * skew
            angles[bone] = turn.as_euler("xyz", degrees=True)
        (tmp_path / f"{subject}.asf").write_text(asf_text(bones))
        place = TO_Y_UP.apply(np.array(clip.root_position[:, role]))
        (tmp_path / f"{subject}_01.amc").write_text(amc_text(bones, place, angles))
    take = read(tmp_path, ReadOptions(supporter="first", fps=30.0))
    assert take.conventions["rate"] == "given: 30"
    for role, person in enumerate(take.people):
        known = np.isfinite(person.joints).all(axis=(0, 2))
        assert known.sum() == len(rig_names.ASF_ORIGINS)
        assert np.linalg.norm(person.joints - clip.position[:, role], axis=-1)[:, known].max() < 1e-5
        assert person.rotation is not None
        columns = BODY.indices(list(rig_names.ASF_ORIGINS))
        exact = rotations.normalize(clip.rotation[:, role])
        assert rotations.angle_between(person.rotation[:, columns], exact[:, columns]).max() < 1e-3


def test_the_rate_of_other_subjects_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, subjects=("79", "80"))
    options = {"partner": tmp_path / "80_01.amc", "supporter": "first"}
    with pytest.raises(ClipError, match=r"frame rate is not in the file\. Give it: --fps"):
        read(tmp_path / "79_01.amc", ReadOptions(**options))
    assert read(tmp_path / "79_01.amc", ReadOptions(**options, fps=60.0)).fps == 60.0


def test_a_missing_skeleton_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "23.asf").rename(tmp_path / "x.asf")
    with pytest.raises(ClipError, match=r"23_01\.amc: its skeleton 23\.asf is not beside it \(2 \.asf files are\)"):
        AMC.find(tmp_path, FIRST)


DAMAGES: dict[str, tuple[str, str, str, str]] = {
    "no bones": ("asf", ":bonedata", ":other", "no section :bonedata"),
    "radians": ("asf", "angle deg", "angle rad", ":units must give"),
    "unit": ("asf", "length 0.45", "length 0", "makes no sense"),
    "root order": ("asf", "TX TY TZ RX RY RZ", "RX RY RZ TX TY TZ", "line 11: the root is not CMU's"),
    "root turn": ("asf", "orientation 0 0 0", "orientation 0 9 0", "the root is not CMU's"),
    "axis order": ("asf", "0.0 0.0 0.0 XYZ", "0.0 0.0 0.0 ZYX", r"line \d+: axis order 'ZYX'"),
    "dof": ("asf", "dof rx ry rz", "dof rx tx rz", r"line \d+: dof 'rx tx rz'"),
    "bone": ("asf", "name lfemur", "name thigh", r"'lfemur' under 'lhipjoint': unknown"),
    "names": ("asf", "rtoes", "rtip", r"no bone called rtoes"),
    "number": ("amc", "root ", "root x", "line 5: .*are not numbers"),
    "count": ("amc", "\nlfemur ", "\nlfemur 1.0 ", r"line \d+: 4 values, expected 3"),
    "twice": ("amc", "\nlowerback", "\nroot", r"line 6: 'root' is no moving bone .*occurs twice"),
    "lacks": ("amc", "\nhead 0.0 0.0 0.0", "", "the frame before lacks head"),
    "frame": ("amc", "\n2\n", "\n7\n", "frame number 7, expected 2"),
    "NaN": ("amc", "root 0.0", "root nan", "frame 0 is not finite"),
    "unknown": ("amc", "\nlowerback", "\ntail", "'tail' is no moving bone"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damaged_files_are_typed_errors_within_a_second(tmp_path: Path, what: str) -> None:
    kind, old, new, message = DAMAGES[what]
    path = write(tmp_path) / {"asf": "22.asf", "amc": "22_01.amc"}[kind]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if what == "names" else text.replace(old, new, 1))
    started = time.process_time()
    with pytest.raises(ClipError, match=message):
        read(tmp_path)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("name", ["22.asf", "22_01.amc"])
def test_truncated_files_are_typed_errors(tmp_path: Path, name: str) -> None:
    path = write(tmp_path) / name
    data = path.read_bytes()
    for length in range(0, len(data) - 200, max(len(data) // 40, 1)):
        path.write_bytes(data[:length])
        with pytest.raises(ClipError, match=name if length else "is empty"):
            read(tmp_path)
