"""HHI-Assist: poses written as its CSV come back where they were, with the roles of the file names."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recorded import DETECTED, check, moving_clip, people, rows, y_up

from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats import hhi, positions
from assistmimic_env.formats.hhi import HHI
from assistmimic_env.formats.take import ReadOptions, Take

Array = NDArray[np.float64]
NODES = (
    "Hips", "RightUpLeg", "RightLeg", "RightFoot", "RightToeBase", "End", "LeftUpLeg", "LeftLeg", "LeftFoot",
    "LeftToeBase", "End", "Spine", "Spine1", "RightShoulder", "RightArm", "RightForeArm", "RightHand", "End",
    "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "End", "Neck", "Head", "End",
)  # fmt: skip
ROWS = {
    1: "R_Hip", 2: "R_Knee", 3: "R_Ankle", 4: "R_Toe", 6: "L_Hip", 7: "L_Knee", 8: "L_Ankle", 9: "L_Toe",
    14: "R_Shoulder", 15: "R_Elbow", 16: "R_Wrist", 19: "L_Shoulder", 20: "L_Elbow", 21: "L_Wrist",
    23: "Neck", 24: "Head",
}  # fmt: skip
"""Rows of the 26 nodes (spec/data.md section 3.6) that are joints of ours; the others are elsewhere."""

TAKE = "AA(CG)_RM(CR)_FullAssist_Take 1 [2023-07-26]"
FILES = (f"{TAKE}_AA_50_worldpos.csv", f"{TAKE}_RM_50_worldpos.csv")
HEADER = "Time," + ",".join(f"{node}.{axis}" for node in NODES for axis in "XYZ")


def write_one(path: Path, positions: Array, *, fps: float = 120.0, header: str | None = HEADER) -> None:
    table = np.column_stack([np.arange(len(positions)) / fps, positions.reshape(len(positions), -1)])
    lines = [",".join(repr(float(value)) for value in row) for row in table]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")


def write(folder: Path, joints: Array | None = None, *, names: tuple[str, str] = FILES, **options: Any) -> Path:
    """A gives care to B."""
    dyad = folder / "AA-RM"
    dyad.mkdir(exist_ok=True)
    source = y_up(rows(people() if joints is None else joints, ROWS, 26))
    for person, name in enumerate(names):
        write_one(dyad / name, source[:, person], **options)
    return dyad


def read(path: Path, options: ReadOptions | None = None) -> Take:
    (recording,) = HHI.find(path, options or ReadOptions())
    return HHI.read(recording, options or ReadOptions())


def check_pose(take: Take, *, order: tuple[int, int] = (0, 1)) -> None:
    check(take, set(ROWS.values()), fps=120.0, order=order)


def test_caregiver_and_receiver_come_back_joint_by_joint(tmp_path: Path) -> None:
    take = read(write(tmp_path))
    check_pose(take)
    assert take.name == "AA_CG_RM_CR_FullAssist_Take_1_2023_07_26"
    assert take.conventions["rate"] == "file: 120"
    assert take.conventions["up"] == "documented: +y"


@pytest.mark.parametrize(
    ("target", "name", "wrong"),
    [
        (hhi, "SKELETON", replace(hhi.SKELETON, joints=tuple(n.replace("Left", "?").replace("Right", "Left")
            .replace("?", "Right") for n in hhi.SKELETON.joints))),
        (hhi, "SKELETON", replace(hhi.SKELETON, bodies={**hhi.SKELETON.bodies, "L_Wrist": "RightHand",
            "R_Wrist": "LeftHand"})),
        (hhi, "SKELETON", replace(hhi.SKELETON, bodies={**hhi.SKELETON.bodies, "Neck": "Spine1"})),
        (hhi, "UP", "z"),
        (positions, "to_z_up", lambda points, up: points),
        (positions, "to_z_up", lambda points, up: points[..., [0, 2, 1]]),
        (hhi, "_rate", lambda where, seconds, options: 2.0),
        (hhi, "supporter_first", lambda people, supporter: people[::-1]),
        (hhi, "_supporter", lambda first, role, options: "second"),
    ],
    ids=["sides", "wrists", "neck", "up", "no turn", "mirrored", "2 fps", "people", "roles"],
)  # fmt: skip
def test_a_wrong_importer_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, name: str, wrong: Any
) -> None:
    dyad = write(tmp_path, header=None)
    monkeypatch.setattr(target, name, wrong)
    with pytest.raises(DETECTED):
        check_pose(read(dyad))


@pytest.mark.parametrize(
    "names",
    [
        ("AACG_RMCR_FullAssist_Take2_AA_500.csv", "AACG_RMCR_FullAssist_Take2_RM_500.csv"),
        ("AACG_RMCR_FullAssist_Take2_CG.csv", "AACG_RMCR_FullAssist_Take2_CR.csv"),
        ("RM(CR)_AA(CG)_Side_Take 3_AA_50_worldpos.csv", "RM(CR)_AA(CG)_Side_Take 3_RM_50_worldpos.csv"),
        ("ED(CG)_LPR(CR)_Side_Take 3_EcD_50.csv", "ED(CG)_LPR(CR)_Side_Take 3_LPR_50.csv"),
    ],
)
def test_roles_come_from_all_spellings_of_names(tmp_path: Path, names: tuple[str, str]) -> None:
    check_pose(read(write(tmp_path, names=names)))


def test_takes_without_caregiver_ask_for_the_supporter(tmp_path: Path) -> None:
    dyad = write(tmp_path, names=("AA(P1)_RM(P2)_Task3_Take 4_AA_50.csv", "AA(P1)_RM(P2)_Task3_Take 4_RM_50.csv"))
    with pytest.raises(ClipError, match="--supporter first"):
        HHI.find(dyad, ReadOptions())
    check_pose(read(dyad, ReadOptions(supporter="first")))
    check_pose(read(dyad, ReadOptions(supporter="second")), order=(1, 0))


@pytest.mark.parametrize("name", ["motion.csv", "AA(CG)_Take 1_AA_50.csv", f"{TAKE}_XY_50.csv", f"{TAKE}.csv"])
def test_names_that_tell_no_person_are_refused(tmp_path: Path, name: str) -> None:
    (write(tmp_path) / name).write_text(HEADER)
    with pytest.raises(ClipError, match="Expected names like"):
        HHI.find(tmp_path, ReadOptions())


def test_a_missing_partner_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / FILES[1]).unlink()
    with pytest.raises(ClipError, match="the file of CR is missing"):
        HHI.find(tmp_path, ReadOptions())


def test_two_files_of_one_person_are_refused(tmp_path: Path) -> None:
    dyad = write(tmp_path)
    shutil.copy(dyad / FILES[0], dyad / f"{TAKE}_AA_51.csv")
    with pytest.raises(ClipError, match="both are of CG"):
        HHI.find(tmp_path, ReadOptions())


def test_a_file_stands_for_its_pair(tmp_path: Path) -> None:
    dyad = write(tmp_path)
    assert HHI.find(dyad / FILES[1], ReadOptions()) == HHI.find(tmp_path, ReadOptions())
    (tmp_path / "else").mkdir()
    with pytest.raises(ClipError, match="no pair of CSV files"):
        HHI.find(tmp_path / "else", ReadOptions())


def test_the_time_column_tells_the_rate(tmp_path: Path) -> None:
    take = read(write(tmp_path, fps=24.0))
    assert take.fps == 24.0
    assert take.conventions["rate"] == "file: 24"


def test_a_rate_against_the_time_column_is_refused(tmp_path: Path) -> None:
    dyad = write(tmp_path)
    check_pose(read(dyad, ReadOptions(fps=120.0)))
    with pytest.raises(ClipError, match="--fps says 2"):
        read(dyad, ReadOptions(fps=2.0))


def test_numbered_frames_have_the_documented_rate(tmp_path: Path) -> None:
    dyad = write(tmp_path, fps=1.0, header=HEADER.replace("Time", "Frame"))
    take = read(dyad)
    check_pose(take)
    assert take.conventions["rate"] == "documented: 120"
    assert read(dyad, ReadOptions(fps=60.0)).conventions["rate"] == "given: 60"


def test_people_on_two_clocks_are_refused(tmp_path: Path) -> None:
    dyad = write(tmp_path)
    source = y_up(rows(people(), ROWS, 26))
    write_one(dyad / FILES[1], source[:, 1], fps=60.0)
    with pytest.raises(ClipError, match="no common clock"):
        read(dyad)
    write_one(dyad / FILES[1], source[:-1, 1])
    with pytest.raises(ClipError, match="no common clock"):
        read(dyad)


@pytest.mark.parametrize("header", [HEADER.replace("Right", "?").replace("Left", "Right").replace("?", "Left"),
                                    HEADER.replace("Y", "?").replace("Z", "Y").replace("?", "Z")])  # fmt: skip
def test_a_header_of_another_order_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(ClipError, match="out of order"):
        read(write(tmp_path, header=header))


@pytest.mark.parametrize("header", [None, HEADER.replace(",", ",AA:"), "t," + ",".join(f"c{i}" for i in range(78))])
def test_headers_that_say_nothing_else_are_taken(tmp_path: Path, header: str | None) -> None:
    check_pose(read(write(tmp_path, header=header)))


def test_a_motion_of_ours_survives_the_round_trip(tmp_path: Path) -> None:
    truth, _ = moving_clip()
    take = read(write(tmp_path, truth, fps=30.0))
    for person, who in zip(take.people, (0, 1), strict=True):
        assert np.nanmax(np.abs(person.joints - truth[:, who])) < 1e-6
    assert take.fps == 30.0


def edited(change: Any) -> Any:
    return lambda path: path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    "damage",
    [
        edited(lambda text: text[:-200]),
        edited(lambda text: ""),
        edited(lambda text: HEADER),
        edited(lambda text: text.replace("1.35", "nan")),
        edited(lambda text: text.replace("1.35", "__import__('os')")),
        edited(lambda text: "\n".join(line.rsplit(",", 3)[0] for line in text.splitlines())),
        edited(lambda text: "\n".join(text.splitlines()[:6])),
        edited(lambda text: "\n".join(line for i, line in enumerate(text.splitlines()) if i != 6)),
        lambda path: path.write_bytes(b"\xff\xfe\x00\x01" * 100),
    ],
    ids=["truncated", "empty", "header", "NaN", "code", "columns", "short", "gap", "binary"],
)
def test_a_damaged_file_is_refused_quickly(tmp_path: Path, damage: Any) -> None:
    dyad = write(tmp_path)
    damage(dyad / FILES[0])
    start = time.process_time()
    with pytest.raises(ClipError, match="AA_50"):
        read(dyad)
    assert time.process_time() - start < 1.0


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    dyad = write(tmp_path)
    with (dyad / FILES[0]).open("r+b") as stream:
        stream.truncate(hhi.MAX_BYTES + 1)
    with pytest.raises(UntrustedFileError, match="at most"):
        read(dyad)
