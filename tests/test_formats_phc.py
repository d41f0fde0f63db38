"""PHC's and AssistMimic's pickles: literal poses, both kinds of body frames, and everything that can be wrong."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from motion_files import B, joblib_bytes, pose_of
from scipy.spatial.transform import Rotation
from test_formats_amass import FACING_MINUS_Y, FACING_X, FRAMES, check_pose, poses, swapped

from assistmimic_env import rotations
from assistmimic_env.body import get_body
from assistmimic_env.clip import load_clip
from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats import phc, smpl
from assistmimic_env.formats.phc import PHC
from assistmimic_env.formats.take import ReadOptions, Take

MUJOCO = (0, 1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12, 15, 13, 16, 18, 20, 22, 14, 17, 19, 21, 23)
"""PHC's ``smpl_2_mujoco``, as published: SMPL's joint of each body."""
PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 11, 14, 15, 16, 17, 11, 19, 20, 21, 22)


def world_quaternions(pose: np.ndarray, *, upright: bool) -> np.ndarray:
    """PHC's ``pose_quat_global`` (T, 24, 4), xyzw, MuJoCo's order, of SMPL's 72 numbers."""
    turns: list[Rotation] = []
    for joint, parent in zip(MUJOCO, PARENTS, strict=True):
        own = Rotation.from_rotvec(pose[:, 3 * joint : 3 * joint + 3])
        turns.append(own if parent < 0 else turns[parent] * own)
    return np.stack([(turn * B.inv() if upright else turn).as_quat() for turn in turns], axis=1)


def entry(root: np.ndarray, place: np.ndarray, *, upright: bool = True, **changes: Any) -> dict[str, Any]:
    """One person as PHC stores it; the pelvis is 5 cm beside the translation."""
    pose = poses(72, root)
    content = {
        "pose_aa": pose,
        "pose_quat_global": world_quaternions(pose, upright=upright),
        "trans_orig": place - [0.0, 0.05, 0.0],
        "root_trans_offset": torch.from_numpy(place.copy()),
        "beta": np.zeros(16),
        "gender": "neutral",
        "fps": 120,
        **changes,
    }
    return {key: value for key, value in content.items() if value is not None}


def pair(*, upright: bool = True, **changes: Any) -> dict[str, Any]:
    """The people of ``test_formats_amass``."""
    walk = np.zeros((FRAMES, 3))
    walk[:, 0], walk[:, 2] = 0.01 * np.arange(FRAMES), 0.9
    return {
        "A019-seq_caregiver": entry(FACING_X, walk, upright=upright),
        "A019-seq_recipient": entry(FACING_MINUS_Y, np.tile([0.0, 1.0, 0.9], (FRAMES, 1)), upright=upright, **changes),
    }


def read(tmp_path: Path, content: Any, options: ReadOptions | None = None) -> Take:
    path = tmp_path / "motion.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    options = options or ReadOptions()
    (recording,) = PHC.find(path, options)
    return PHC.read(recording, options)


@pytest.mark.parametrize("upright", [True, False])
def test_both_kinds_of_body_frames_give_the_pose_worked_out_by_hand(tmp_path: Path, upright: bool) -> None:
    take = read(tmp_path, pair(upright=upright))
    check_pose(take)
    frames = "upright and upright" if upright else "smpl and smpl"
    assert take.conventions["frames"] == f"detected: {frames} quaternions"
    assert take.conventions["pelvis"] == "file: root_trans_offset"
    assert take.conventions["roles"] == "file: caregiver supports recipient"
    assert (take.name, take.fps) == ("A019_seq", 120.0)


def test_joblib_files_with_tensors_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_pose(read(tmp_path, joblib_bytes(pair(), monkeypatch)))


def test_the_translation_stands_in_for_a_missing_pelvis(tmp_path: Path) -> None:
    take = read(tmp_path, pair(root_trans_offset=None))
    assert take.people[1].joints[0, 0] == pytest.approx([0.0, 0.95, 0.9])
    assert "off by a constant" in take.conventions["pelvis"]


def wrong_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phc, "XYZW_TO_WXYZ", [0, 1, 2, 3])


def wrong_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpl, "_ORDERS", {name: swapped(order) for name, order in smpl._ORDERS.items()})


def wrong_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpl, "upright", lambda turn: rotations.multiply(turn, np.array([0.5, 0.5, 0.5, 0.5])))


@pytest.mark.parametrize("mutate", [wrong_order, wrong_sides])
def test_a_wrong_convention_would_contradict_the_quaternions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutate: Any
) -> None:
    mutate(monkeypatch)
    with pytest.raises(ClipError, match="'pose_quat_global' and 'pose_aa' differ by up to"):
        read(tmp_path, pair())


@pytest.mark.parametrize("mutate", [wrong_sides, wrong_axes])
def test_a_wrong_convention_would_fail_the_pose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutate: Any) -> None:
    """Without the quaternions, which contradict it first."""
    content = pair(pose_quat_global=None)
    del content["A019-seq_caregiver"]["pose_quat_global"]
    check_pose(read(tmp_path, content))
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check_pose(read(tmp_path, content))


def test_a_wrong_rate_or_role_would_fail_the_pose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        check_pose(read(tmp_path, pair(), ReadOptions(fps=2.0)))
    monkeypatch.setattr(phc, "ROLES", ("recipient", "caregiver"))
    with pytest.raises(AssertionError):
        check_pose(read(tmp_path, pair()))


def test_a_file_in_wxyz_is_refused(tmp_path: Path) -> None:
    content = pair()
    for person in content.values():
        person["pose_quat_global"] = person["pose_quat_global"][..., [3, 0, 1, 2]]
    with pytest.raises(ClipError, match="Expected quaternions x, y, z, w in MuJoCo's order"):
        read(tmp_path, content)


@pytest.mark.parametrize("upright", [True, False])
def test_a_clip_survives_the_round_trip(tmp_path: Path, upright: bool) -> None:
    clip = load_clip("sit_to_stand/train_00")
    content = {}
    for role, name in enumerate(("caregiver", "recipient")):
        pose = pose_of(clip, role)
        quaternions = world_quaternions(pose, upright=upright)
        root = clip.root_position[:, role]
        content[f"x_{name}"] = {"pose_aa": pose, "pose_quat_global": quaternions, "root_trans_offset": root, "fps": 30}
    take = read(tmp_path, content)
    for role, person in enumerate(take.people):
        assert person.rotation is not None
        assert person.joints[:, 0] == pytest.approx(clip.root_position[:, role], abs=1e-12)
        assert rotations.angle_between(person.rotation, rotations.normalize(clip.rotation[:, role])).max() < 1e-6


def test_fingers_come_with_the_wide_pose(tmp_path: Path) -> None:
    content = pair(pose_quat_global=None, pose_aa=poses(156, FACING_MINUS_Y))
    content["A019-seq_caregiver"] |= {"pose_aa": poses(156, FACING_X), "pose_quat_global": None}
    take = read(tmp_path, content)
    check_pose(take)
    assert take.body == "smpl52"
    assert get_body("smpl52").num_bodies == take.people[0].joints.shape[1]


def only(content: Mapping[str, Any], role: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key.endswith(role)}


DAMAGES: dict[str, tuple[Any, str]] = {
    "partner": (only(pair(), "caregiver"), "'A019-seq' has no entry 'A019-seq_recipient'"),
    "no roles": ({"0-ACCAD_walk": entry(FACING_X, np.zeros((FRAMES, 3)))}, "no entry ends in _caregiver or _recipient"),
    "list": ([1, 2], "holds a list"),
    "NaN": (pair(pose_aa=np.full((FRAMES, 72), np.nan), pose_quat_global=None), "not finite"),
    "NaN pelvis": (pair(root_trans_offset=np.full((FRAMES, 3), np.nan)), "root_trans_offset"),
    "pelvis": (pair(root_trans_offset=np.zeros((4, 3))), "root_trans_offset has 4 frames, pose_aa has 12"),
    "width": (pair(pose_aa=np.zeros((FRAMES, 70))), r"poses have shape \(12, 70\)"),
    "no pose": (pair(pose_aa=None), "'pose_aa' is missing"),
    "text": (pair(pose_aa="abc"), "'pose_aa' is missing or no array"),
    "no place": (pair(trans_orig=None, root_trans_offset=None), "neither trans nor root_trans_offset"),
    "no rate": (pair(fps=None), "'fps' is missing"),
    "rates": (pair(fps=30), "one clock"),
    "quaternions": (pair(pose_quat_global=np.zeros((FRAMES, 5, 4))), "'pose_quat_global' has shape"),
    "entry": ({**pair(), "A019-seq_recipient": 3}, "is no dictionary"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damaged_files_are_typed_errors_within_a_second(tmp_path: Path, what: str) -> None:
    content, message = DAMAGES[what]
    started = time.process_time()
    with pytest.raises(ClipError, match=message):
        read(tmp_path, content)
    assert time.process_time() - started < 1.0


class Evil:
    """Touches a file when a pickle is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("key", ["fps", "pose_aa", "gender", "extra"])
def test_hostile_entries_are_refused_and_nothing_runs(tmp_path: Path, key: str) -> None:
    with pytest.raises(UntrustedFileError, match="was not loaded"):
        read(tmp_path, pair(**{key: Evil(tmp_path / "touched")}))
    with pytest.raises((UntrustedFileError, ClipError)):
        read(tmp_path, pair(**{key: np.array([Evil(tmp_path / "touched")], dtype=object)}))
    assert not (tmp_path / "touched").exists()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    read(tmp_path, pair())
    with pytest.raises(ClipError, match="no entry"):
        read(tmp_path, only(pair(), "recipient"))
