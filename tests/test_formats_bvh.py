"""BVH pairs: literal poses, CMU's edition, other rigs' names, and everything that can be wrong with the text."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from motion_files import CMU_UNIT, TO_Y_UP, B, Tree, bvh_text, depth_first, turns
from test_cmu import ORIGINAL, write_takes

from assistmimic_env import rotations
from assistmimic_env.body import get_body
from assistmimic_env.clip import load_clip
from assistmimic_env.cmu_joints import JOINTS
from assistmimic_env.cmu_source import read_source
from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats import bvh, bvh_file, rig, rig_names
from assistmimic_env.formats.bvh import BVH
from assistmimic_env.formats.take import ReadOptions, Take

HALF = np.sqrt(0.5)
FRAMES = 12
FIRST = ReadOptions(supporter="first")
BODY = get_body()
Angles = Mapping[str, tuple[float, float, float]]


def cmu_tree(offsets: Mapping[str, Any] | None = None) -> dict[str, tuple[str, Any]]:
    """The 38 joints of the cgspeed edition, x left, y up, z forward; own bone lengths in CMU's unit."""
    tree: dict[str, tuple[str, Any]] = {"Hips": ("", (0.0, 0.0, 0.0))}
    for side, short, x in (("Left", "L", 1.0), ("Right", "R", -1.0)):
        tree |= {
            f"{short}HipJoint": ("Hips", (0.0, 0.0, 0.0)),
            f"{side}UpLeg": (f"{short}HipJoint", (1.6 * x, -1.8, 0.8)),
            f"{side}Leg": (f"{side}UpLeg", (2.5 * x, -7.0, 0.0)),
            f"{side}Foot": (f"{side}Leg", (2.6 * x, -7.3, 0.0)),
            f"{side}ToeBase": (f"{side}Foot", (0.1 * x, -0.4, 2.1)),
        }
    tree |= {
        "LowerBack": ("Hips", (0.0, 0.0, 0.0)),
        "Spine": ("LowerBack", (0.0, 2.1, -0.1)),
        "Spine1": ("Spine", (0.0, 2.1, -0.1)),
        "Neck": ("Spine1", (0.0, 0.0, 0.0)),
        "Neck1": ("Neck", (0.0, 1.6, 0.1)),
        "Head": ("Neck1", (0.0, 1.7, -0.1)),
    }
    for side, short, x in (("Left", "L", 1.0), ("Right", "R", -1.0)):
        tree |= {
            f"{side}Shoulder": ("Spine1", (0.0, 0.0, 0.0)),
            f"{side}Arm": (f"{side}Shoulder", (3.1 * x, 1.0, 0.1)),
            f"{side}ForeArm": (f"{side}Arm", (5.2 * x, 0.0, 0.0)),
            f"{side}Hand": (f"{side}ForeArm", (3.5 * x, 0.0, 0.0)),
            f"{side}FingerBase": (f"{side}Hand", (0.0, 0.0, 0.0)),
            f"{side}HandIndex1": (f"{side}FingerBase", (0.6 * x, 0.0, 0.0)),
            f"{short}Thumb": (f"{side}FingerBase", (0.4 * x, 0.0, 0.4)),
        }
    return {name: (parent, (offsets or {}).get(name, offset)) for name, (parent, offset) in tree.items()}


def rows(tree: Tree, root: np.ndarray, angles: Mapping[str, Any]) -> np.ndarray:
    """Channel values from root places (T, 3) and, per joint, angles (3,) or (T, 3) in the order of the channels."""
    columns = [np.broadcast_to(angles.get(name, (0.0, 0.0, 0.0)), root.shape) for name in depth_first(tree)]
    return np.concatenate([root, *columns], axis=1)


T_POSE = {"LeftUpLeg": (-20.0, 0.0, 0.0), "RightUpLeg": (20.0, 0.0, 0.0)}
"""The rest pose has its legs apart; some rotations are not 0 in the T-pose."""

POSE = {  # Z, Y, X in degrees
    "Hips": (10.0, 90.0, 0.0), "LeftForeArm": (0.0, -90.0, 0.0), "RightLeg": (0.0, 0.0, 90.0), "Head": (0.0, 45.0, 30.0)
}  # fmt: skip
"""Turned to the left, which is +x in the y-up world, and leaning; forearm forward, shank backward, looks left."""


def write(
    folder: Path, tree: Tree | None = None, *, names: tuple[str, str] = ("22_01", "23_01"), t_pose: bool = True,
    scale: float = 1.0, step: float = 0.0083333, pose: Angles = POSE, order: str = "ZYX",
) -> Path:  # fmt: skip
    """The first person walks along y-up x at 12 units/s, the second stands 20 units away and faces -x."""
    tree = cmu_tree() if tree is None else tree
    walk = np.tile([0.0, 17.0, 0.0], (FRAMES, 1))
    walk[:, 0] = 0.1 * np.arange(FRAMES)
    still = np.tile([20.0, 17.0, 0.0], (FRAMES, 1))
    for name, root, angles in zip(names, (walk, still), (pose, {**pose, "Hips": (0.0, -90.0, 0.0)}), strict=True):
        values = rows(tree, root * scale, angles)
        if t_pose:
            values = np.concatenate([rows(tree, root[:1] * scale, T_POSE), values])
        (folder / f"{name}.bvh").write_text(bvh_text(tree, values.tolist(), step=step, order=order))
    return folder


def read(path: Path, options: ReadOptions = FIRST) -> Take:
    (recording,) = BVH.find(path, options)
    return BVH.read(recording, options)


def matrix(axis: str, degrees: float) -> np.ndarray:
    """Turn about an axis, written out."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array({"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
                     "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}[axis])  # fmt: skip


def check_pose(take: Take) -> None:
    """The pose worked out by hand: (x, y, z) y-up is (x, -z, y) z-up, one unit is 0.0564444 m."""
    first, second = take.people
    assert take.fps == 120.0
    assert len(first.joints) == FRAMES

    hips = matrix("z", 10.0) @ matrix("y", 90.0)
    shoulder = np.array([0.0 + 3.1, 4.2 + 1.0, -0.2 + 0.1])
    places = {
        "L_Hip": [1.6, -1.8, 0.8],
        "R_Ankle": np.array([-1.6 - 2.5, -1.8 - 7.0, 0.8]) + matrix("x", 90.0) @ [-2.6, -7.3, 0.0],
        "L_Elbow": shoulder + np.array([5.2, 0.0, 0.0]),
        "L_Wrist": shoulder + np.array([5.2, 0.0, 3.5]),
        "Head": [0.0, 4.2 + 3.3, -0.2],
    }
    for frame in (0, FRAMES - 1):
        for name, place in places.items():
            x, y, z = (hips @ place + [0.1 * frame, 17.0, 0.0]) * CMU_UNIT
            assert first.joints[frame, BODY.index(name)] == pytest.approx([x, -z, y], abs=1e-9), name
    assert np.isnan(first.joints[:, 0]).all(), "CMU's hips are not where our pelvis is"

    assert second.rotation is not None
    assert first.rotation is not None

    def is_turned(turn: np.ndarray, expected: np.ndarray, name: str) -> None:
        assert rotations.to_matrix(turn) == pytest.approx(np.broadcast_to(expected, (len(turn), 3, 3)), abs=1e-6), name

    to_z_up, axes = TO_Y_UP.inv().as_matrix(), B.inv().as_matrix()
    is_turned(second.rotation[:, 0], matrix("z", 180.0), "Pelvis")  # faces -x
    is_turned(second.rotation[:, BODY.index("L_Elbow")], matrix("z", 90.0), "L_Elbow")
    is_turned(second.rotation[:, BODY.index("L_Hand")], matrix("z", 90.0), "L_Hand")
    head = hips @ matrix("y", 45.0) @ matrix("x", 30.0)
    is_turned(first.rotation[:, BODY.index("Head")], to_z_up @ head @ axes, "Head")
    thigh = np.array([0.0, 0.0, -1.0]) @ rotations.to_matrix(second.rotation[0, BODY.index("R_Hip")]).T
    bone = np.array([2.5, -7.0, 0.0]) @ matrix("y", -90.0).T * [-1.0, 1.0, -1.0]
    assert bone[1] < 0.0
    along = second.joints[0, BODY.index("R_Knee")] - second.joints[0, BODY.index("R_Hip")]
    assert thigh == pytest.approx(along / np.linalg.norm(along), abs=1e-9), "a bone points to the next joint"


def test_cmu_takes_give_the_pose_worked_out_by_hand(tmp_path: Path) -> None:
    take = read(write(tmp_path))
    check_pose(take)
    assert take.conventions["edition"] == "detected: cgspeed's; its T-pose dropped"
    assert take.conventions["unit"] == "documented: 0.0564444 m"
    assert take.conventions["up"] == "documented: +y"
    assert take.conventions["rate"] == "file: 120"


def test_a_first_frame_that_is_no_t_pose_is_kept(tmp_path: Path) -> None:
    take = read(write(tmp_path, t_pose=False))
    check_pose(take)
    assert take.conventions["edition"] == "detected: cgspeed's; nothing dropped"


def reversed_product() -> SimpleNamespace:
    names = ("from_axis_angle", "normalize")
    functions = {name: getattr(rotations, name) for name in names}
    return SimpleNamespace(**functions, multiply=lambda a, b: rotations.multiply(b, a))


def mirrored(names: dict[str, Any]) -> dict[str, Any]:
    return {**names, "L_": names["R_"], "R_": names["L_"]}


MUTATIONS: dict[str, tuple[object, str, object]] = {
    "X-Y-Z instead of Z-Y-X": (bvh_file, "rotations", reversed_product()),
    "exchanged axes of channels": (bvh_file, "_AXES", {"X": 2, "Y": 1, "Z": 0}),
    "unit": (bvh, "CMU_UNIT", 0.05),
    "T-pose kept": (bvh, "_starts_in_t_pose", lambda motion, names: False),
    "up axis of rotations": (rig, "rotation_to_z_up", lambda turn, up: turn),
    "2 frames per second": (bvh, "read_bvh", lambda path: replace(bvh_file.read_bvh(path), fps=2.0)),
}  # fmt: skip
"""What would be wrong, in words, and where."""


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_wrong_convention_would_fail_the_pose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(*MUTATIONS[what])
    take = read(write(tmp_path))
    with pytest.raises(AssertionError):
        check_pose(take)


def test_swapped_sides_would_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Toes of a person whose left and right are exchanged point backwards; checked before anybody sees the pose."""
    monkeypatch.setattr(rig_names, "_WORDS", mirrored(rig_names._WORDS))
    with pytest.raises(ClipError, match=r"toes .* point backwards. Left and right are swapped"):
        read(write(tmp_path))


def test_key_frames_of_the_cmu_pair_agree_with_our_own_reader(tmp_path: Path) -> None:
    """The same channels as BVH and as key frames give the same joints, here and on the true takes where at hand."""
    folder = ORIGINAL if ORIGINAL.is_dir() else write_takes(tmp_path)
    source = read_source(folder)
    count = min(len(performer.frames) for performer in source.performers)
    for subject, performer in zip(("22", "23"), source.performers, strict=True):
        offsets = dict(zip(performer.joints, performer.offsets / CMU_UNIT, strict=True))
        tree = cmu_tree(offsets)
        local = performer.rotation[:count]
        angles = {
            name: turns(local[:, index]).as_euler("ZYX", degrees=True) for index, name in enumerate(performer.joints)
        }
        values = rows(tree, performer.root[:count] / CMU_UNIT, angles)
        (tmp_path / f"{subject}_01.bvh").write_text(bvh_text(tree, values.tolist(), step=0.1))
    take = read(tmp_path)
    for person, performer in zip(take.people, source.performers, strict=True):
        position, rotation = performer.at(performer.frames[:count])
        for name, joint in JOINTS.items():
            assert person.joints[:, BODY.index(name)] == pytest.approx(position[:, performer.index(joint)], abs=1e-6)
        assert person.rotation is not None
        hips = rotation[:, performer.index("Hips")]
        assert rotations.angle_between(person.rotation[:, 0], rotations.normalize(hips)).max() < 1e-6


MIXAMO = {
    "Pelvis": "Hips", "Torso": "Spine", "Spine": "Spine1", "Chest": "Spine2", "Neck": "Neck", "Head": "Head",
    **{
        f"{side[0]}_{ours}": side + theirs
        for side in ("Left", "Right")
        for ours, theirs in (
            ("Hip", "UpLeg"), ("Knee", "Leg"), ("Ankle", "Foot"), ("Toe", "ToeBase"), ("Thorax", "Shoulder"),
            ("Shoulder", "Arm"), ("Elbow", "ForeArm"), ("Wrist", "Hand"),
        )
    },
}  # fmt: skip
STYLES = {
    "mixamo": lambda name: f"mixamorig:{name}",
    "blender": lambda name: f"{name[4:].lower()}.L" if name.startswith("Left") else (
        f"{name[5:].lower()}.R" if name.startswith("Right") else name.lower()
    ),
    "snake": lambda name: name.replace("Left", "l_").replace("Right", "r_"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("style", "unit", "order"), [("mixamo", 0.01, "XYZ"), ("blender", 1.0, "YXZ"), ("snake", 0.001, "ZXY")]
)
def test_a_clip_survives_the_round_trip(tmp_path: Path, style: str, unit: float, order: str) -> None:
    """Other names, units and orders of rotations, in a y-up world: joints within ten micrometres."""
    clip, called = load_clip("sit_to_stand/train_00"), STYLES[style]
    for role, file in enumerate(("a", "b")):
        body = clip.bodies[role]
        tree: dict[str, tuple[str, Any]] = {}
        angles: dict[str, np.ndarray] = {}
        for name, joint in MIXAMO.items():
            row = body.index(name)
            parent = body.names[body.parents[row]] if row else ""
            tree[called(joint)] = (
                called(MIXAMO[parent]) if parent else "",
                B.inv().apply(np.array(body.offsets[row])) / unit,
            )
            own = turns(clip.local_rotation[:, role, row])
            turn = B.inv() * own * B if parent else TO_Y_UP * own * B
            angles[called(joint)] = turn.as_euler(order, degrees=True)
        root = TO_Y_UP.apply(np.array(clip.root_position[:, role])) / unit
        values = rows(tree, root, angles)
        (tmp_path / f"{file}.bvh").write_text(bvh_text(tree, values.tolist(), step=1 / 30, order=order))
    take = read(tmp_path / "a.bvh", ReadOptions(partner=tmp_path / "b.bvh", supporter="first"))
    assert take.conventions["up"] == "detected: +y"
    assert take.conventions["unit"] == f"detected: { {0.01: 'cm', 1.0: 'm', 0.001: 'mm'}[unit] }"
    assert take.fps == 30.0
    rows_known = BODY.indices([name for name in MIXAMO if name not in ("Pelvis", "Torso", "Spine", "Chest")])
    for role, person in enumerate(take.people):
        known = np.isfinite(person.joints).all(axis=(0, 2))
        assert set(np.flatnonzero(known)) <= set(rows_known)
        error = np.linalg.norm(person.joints - clip.position[:, role], axis=-1)[:, known]
        assert error.max() < 1e-5
        assert person.rotation is not None
        exact = rotations.normalize(clip.rotation[:, role])
        columns = BODY.indices([name for name in MIXAMO if name not in ("Pelvis", "Torso", "Spine", "Chest")])
        assert rotations.angle_between(person.rotation[:, columns], exact[:, columns]).max() < 1e-3


def test_a_rest_pose_that_is_no_t_pose_gives_positions_only(tmp_path: Path) -> None:
    """Arms that hang in the rest pose: the rest pose tells nothing about how our frames lie."""
    tree = cmu_tree({"LeftForeArm": (0.0, -5.2, 0.0), "RightForeArm": (0.0, -5.2, 0.0)})
    take = read(write(tmp_path, tree, t_pose=False))
    assert take.people[0].rotation is None
    assert take.conventions["rotations"] == "none: a rest pose is no T-pose along the axes"


def test_missing_joints_are_listed_with_what_there_is(tmp_path: Path) -> None:
    tree = {name: entry for name, entry in cmu_tree().items() if "ToeBase" not in name}
    with pytest.raises(ClipError, match=r"no joint for L_Toe \(lefttoebase or .*R_Toe.*It has: Hips, LHipJoint"):
        read(write(tmp_path, tree))


def test_units_that_fit_nobody_are_asked_for(tmp_path: Path) -> None:
    tree = {name.replace("LThumb", "LeftThumb"): entry for name, entry in cmu_tree().items()}
    write(tmp_path, tree, t_pose=False)
    with pytest.raises(ClipError, match=r"tells no unit\. Give it: --unit"):
        read(tmp_path)
    take = read(tmp_path, ReadOptions(supporter="first", unit="cm"))
    assert take.conventions["unit"] == "given: cm"


GOOD = bvh_text(cmu_tree(), rows(cmu_tree(), np.zeros((12, 3)), {}).tolist(), step=0.0083333)
LINES = GOOD.splitlines()
MOTION = LINES.index("MOTION")
DAMAGES: dict[str, tuple[str, str]] = {
    "empty": ("", "is empty"),
    "other": ("<html></html>", "not a BVH file: no MOTION"),
    "truncated hierarchy": ("\n".join(LINES[:40]), "no MOTION. Is it truncated"),
    "truncated motion": ("\n".join(LINES[:-3]), "9 lines of motion, 12 were announced"),
    "truncated line": (GOOD[:-40], r"line \d+: \d+ channel values, the hierarchy declares 96"),
    "number": (GOOD.replace("OFFSET 1.6", "OFFSET abc", 1), r"line 12: 'abc .*are not numbers"),
    "count": (GOOD.replace("CHANNELS 3", "CHANNELS 4", 1), r"line 9: expected CHANNELS"),
    "axis": (GOOD.replace("Zrotation", "Wrotation", 1), r"line 5: expected CHANNELS"),
    "brace": (GOOD.replace("}", "", 1), r"line \d+: the hierarchy before it is not complete"),
    "roots": (GOOD.replace("JOINT LHipJoint", "ROOT LHipJoint", 1), "a second ROOT"),
    "twice": (GOOD.replace("JOINT RHipJoint", "JOINT LHipJoint", 1), "the name of another"),
    "time": (GOOD.replace("0.0083333", "0.0"), "are not a motion"),
    "frames": (GOOD.replace("Frames: 12", "Frames: 99999999999"), "99999999999 were announced"),
    "NaN": (GOOD.replace("\n0.0 ", "\nnan ", 1), "frame 0 is not finite"),
    "word": (GOOD.replace("\tOFFSET", "\tOFFSETS", 1), "not expected in the hierarchy"),
    "deep": ("HIERARCHY\nROOT a\n{\n" + "".join(f"JOINT b{i}\n{{\n" for i in range(9999)) + "MOTION", "more than 512"),
    "binary": ("\x00\xff", "is not text|not a BVH"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_damaged_files_are_typed_errors_within_a_second(tmp_path: Path, what: str) -> None:
    text, message = DAMAGES[what]
    write(tmp_path)
    (tmp_path / "23_01.bvh").write_bytes(text.encode("latin-1"))
    started = time.process_time()
    with pytest.raises((ClipError, UntrustedFileError), match=message):
        read(tmp_path)
    assert time.process_time() - started < 1.0


def test_rates_that_differ_and_missing_partners_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / "23_01.bvh").read_text()
    (tmp_path / "23_01.bvh").write_text(text.replace("0.0083333", "0.0333333"))
    with pytest.raises(ClipError, match="120 and 30 frames per second"):
        read(tmp_path)
    (tmp_path / "23_01.bvh").unlink()
    with pytest.raises(ClipError, match="0 of subject 23"):
        read(tmp_path)
