"""What all formats share: axes, units, rates and sides are settled by what was said, and checked against the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from recorded import people, y_up
from scipy.spatial.transform import Rotation

from assistmimic_env import rotations
from assistmimic_env.body import get_body
from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats import conventions, finding
from assistmimic_env.formats.arrays import check_finite, on_one_clock, read_npy
from assistmimic_env.formats.positions import Documented, settle, supporter_first
from assistmimic_env.formats.skeletons import OPTITRACK26, OPTITRACK64, SMPL22, Skeleton
from assistmimic_env.formats.take import Person, ReadOptions, Recording, Unit
from assistmimic_env.frames import to_upright

Array = NDArray[np.float64]
BODY = get_body()
ALL = Documented(up="y", unit="m", fps=120.0)
LOW, HIGH = BODY.indices(("L_Ankle", "R_Ankle")), BODY.indices(("Neck", "Head"))
RANDOM = Rotation.from_rotvec(np.random.default_rng(3).standard_normal((20, 3)))
QUATERNIONS = RANDOM.as_quat()[:, [3, 0, 1, 2]]


def test_y_up_becomes_z_up_by_a_rotation() -> None:
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(conventions.to_z_up(points, "y"), [[1.0, -3.0, 2.0], [-4.0, -6.0, 5.0]])
    np.testing.assert_array_equal(conventions.to_z_up(points, "z"), points)


def test_points_and_rotations_turn_alike() -> None:
    vector = np.array([0.3, -0.5, 0.9])
    turned = rotations.rotate(conventions.rotation_to_z_up(QUATERNIONS, "y"), vector)
    np.testing.assert_allclose(turned, conventions.to_z_up(RANDOM.apply(vector), "y"), atol=1e-12)
    np.testing.assert_array_equal(conventions.rotation_to_z_up(QUATERNIONS, "z"), QUATERNIONS)


@pytest.mark.parametrize(("smpl", "ours"), [((1, 0, 0), (0, 1, 0)), ((0, 1, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0))])
def test_smpl_axes_become_ours(smpl: tuple[int, ...], ours: tuple[int, ...]) -> None:
    """Left, up, forward: SMPL's x, y, z, our y, z, x."""
    np.testing.assert_array_equal(to_upright(np.array(smpl)), ours)
    upright = conventions.upright(QUATERNIONS)
    np.testing.assert_allclose(rotations.rotate(upright, np.array(ours)), RANDOM.apply(smpl), atol=1e-12)
    np.testing.assert_allclose(conventions.from_upright(upright), QUATERNIONS, atol=1e-12)


def test_settled_people_are_in_our_world() -> None:
    take = settle("made", y_up(people()) * 1000.0, BODY, replace(ALL, unit="mm"), ReadOptions())
    for i, person in enumerate(take.people):
        np.testing.assert_allclose(person.joints, people()[:, i], atol=1e-12)
    assert take.conventions == {"up": "documented: +y", "unit": "documented: mm", "rate": "documented: 120"}


@pytest.mark.parametrize("factor", [1.0, 100.0, 1000.0, 1.0 / 0.0254])
def test_unit_and_axis_are_detected_where_nothing_is_documented(factor: float) -> None:
    take = settle("made", y_up(people()) * factor, BODY, Documented(fps=30.0), ReadOptions())
    np.testing.assert_allclose(take.people[1].joints, people()[:, 1], atol=1e-12)
    assert take.conventions["up"] == "detected: +y"


def test_data_against_the_documentation_are_refused() -> None:
    with pytest.raises(ClipError, match=r"stand along \+z, but this format has \+y up.*--up z"):
        settle("made", people(), BODY, ALL, ReadOptions())
    with pytest.raises(ClipError, match="--unit cm"):
        settle("made", y_up(people()) * 100.0, BODY, ALL, ReadOptions())
    with pytest.raises(ClipError, match="joints move at"):
        settle("made", y_up(people() + 0.2 * np.arange(12)[:, None, None, None]), BODY, ALL, ReadOptions())


def test_the_user_has_the_last_word() -> None:
    options = ReadOptions(up="z", unit="cm", fps=24.0)
    take = settle("made", people() * 100.0, BODY, ALL, options)
    np.testing.assert_allclose(take.people[0].joints, people()[:, 0], atol=1e-12)
    assert take.fps == 24.0
    assert take.conventions == {"up": "given: +z", "unit": "given: cm", "rate": "given: 24"}


def test_one_person_in_another_unit_is_refused() -> None:
    mixed = people() * np.array([1.0, 100.0])[:, None, None]
    with pytest.raises(ClipError, match="one person seems to be in cm and the other in m"):
        settle("made", mixed, BODY, Documented(up="z", fps=30.0), ReadOptions())


@pytest.mark.parametrize("mirror", [(-1.0, 1.0, 1.0), (1.0, -1.0, 1.0)])
def test_a_mirrored_world_is_refused(mirror: tuple[float, ...]) -> None:
    with pytest.raises(ClipError, match="toes of the first person point backwards"):
        settle("made", people() * mirror, BODY, replace(ALL, up="z"), ReadOptions())


def test_people_who_kneel_on_their_feet_are_not_mirrored() -> None:
    """Toes then point away from where the person looks."""
    kneeling = people()
    for side in "LR":
        knee, ankle, toe = (kneeling[..., BODY.index(f"{side}_{part}"), :] for part in ("Knee", "Ankle", "Toe"))
        forward = np.array([[[1.0], [-1.0]]]) * [1.0, 0.0, 0.0]
        ankle[...] = knee - 0.42 * forward
        toe[...] = ankle - 0.12 * forward - [0.0, 0.0, 0.05]
    settle("made", kneeling, BODY, replace(ALL, up="z"), ReadOptions())


@pytest.mark.parametrize("order", [[2, 1, 0], [0, 1, 2]])
def test_no_axis_is_told_by_people_who_lie_or_lean(order: list[int]) -> None:
    lying = people()[..., order]
    lying[..., 0] += lying[..., 2] if order[0] == 0 else 0.0
    assert conventions.detect_up(lying, LOW, HIGH) is None
    with pytest.raises(ClipError, match="--up y or --up z"):
        conventions.settle_up("made", lying, LOW, HIGH, documented=None, given=None)
    assert conventions.settle_up("made", lying, LOW, HIGH, documented="z", given=None) == "z"


@pytest.mark.parametrize(("length", "unit"), [(1.6, "m"), (160.0, "cm"), (1600.0, "mm"), (63.0, "inch")])
def test_lengths_tell_units(length: float, unit: Unit) -> None:
    assert conventions.settle_unit("made", length, documented=None, given=None) == unit


@pytest.mark.parametrize("length", [0.2, 9.0, 1e5])
def test_lengths_of_nobody_tell_none(length: float) -> None:
    with pytest.raises(ClipError, match="--unit m, cm, mm or inch"):
        conventions.settle_unit("made", length, documented=None, given=None)
    with pytest.raises(ClipError, match=r"expected 1 to 2\.4 m"):
        conventions.settle_unit("made", length, documented="m", given=None)


def test_a_rate_that_nothing_tells_is_asked_for() -> None:
    with pytest.raises(ClipError, match="Give it: --fps"):
        conventions.settle_fps("made", people(), documented=None, given=None)


@pytest.mark.parametrize("fps", [0.0, -30.0, 1001.0, float("nan")])
def test_rates_that_no_camera_has_are_refused(fps: float) -> None:
    with pytest.raises(ClipError, match="expected 1 to 1000"):
        conventions.check_fps("made", fps, people())


@pytest.mark.parametrize(
    ("skeleton", "count"), [(SMPL22, 22), (OPTITRACK64, 64), (OPTITRACK26, 26)], ids=lambda value: str(value)[:12]
)
def test_skeletons_map_both_sides_alike(skeleton: Skeleton, count: int) -> None:
    assert len(set(skeleton.joints)) == count
    assert set(skeleton.bodies.values()) <= set(skeleton.joints)
    for body, joint in skeleton.bodies.items():
        if body.startswith("L_"):
            twin = joint.replace("Left", "Right") if "Left" in joint else "R_" + joint[2:]
            assert skeleton.bodies["R_" + body[2:]] == twin


def test_bodies_without_joint_are_not_made_up() -> None:
    filled = OPTITRACK26.to_bodies(np.ones((3, 26, 3)), BODY)
    missing = {name for i, name in enumerate(BODY.names) if np.isnan(filled[:, i]).all()}
    assert missing == {
        "Pelvis", "Torso", "Spine", "Chest", "L_Thorax", "R_Thorax", "L_Hand", "R_Hand",
    }  # fmt: skip


def test_the_supporter_comes_first() -> None:
    first, second = (Person(joints=np.full((1, 1, 3), value)) for value in (1.0, 2.0))
    assert supporter_first((first, second), "first") == (first, second)
    assert supporter_first((first, second), "second") == (second, first)


def test_values_that_are_not_finite_are_located() -> None:
    values = np.zeros((12, 2, 3), dtype=np.float32)
    assert check_finite("made", values).dtype == np.float64
    values[4, 1, 2] = np.inf
    with pytest.raises(ClipError, match=r"made: value \[4, 1, 2\] is not finite"):
        check_finite("made", values)
    with pytest.raises(ClipError, match="9 frames; at least 10"):
        check_finite("made", np.zeros((9, 3)))


def test_one_clock_stacks_people() -> None:
    both = on_one_clock("made", np.zeros((4, 5)), np.ones((4, 5)))
    np.testing.assert_array_equal(both[2], [np.zeros(5), np.ones(5)])
    with pytest.raises(ClipError, match="4 frames of the first person, 3 of the second"):
        on_one_clock("made", np.zeros((4, 5)), np.ones((3, 5)))


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3).T, np.arange(4, dtype=">f4"), np.array(3.5)])
def test_arrays_of_numpy_are_read(tmp_path: Path, array: Array) -> None:
    np.save(tmp_path / "x.npy", array)
    found = read_npy(tmp_path / "x.npy")
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative
    assert found.flags.writeable


def test_a_file_larger_than_allowed_is_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(100))
    with pytest.raises(UntrustedFileError, match="928 bytes, at most 500"):
        read_npy(tmp_path / "x.npy", max_bytes=500)
    with pytest.raises(ClipError, match="no such file"):
        read_npy(tmp_path / "y.npy")


def test_files_are_found_in_order_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b/2.NPY", "b/.3.npy", "a/1.npy", "a/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = finding.files_below(tmp_path, (".npy",))
    assert [file.relative_to(tmp_path).as_posix() for file in found] == ["a/1.npy", "b/2.NPY"]
    assert finding.files_below(tmp_path / "a" / "x.txt", (".npy",)) == []


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(ClipError, match="more than 2 files"):
        finding.files_below(tmp_path, (".npy",))


def test_names_are_made_safe() -> None:
    assert finding.safe_name("AA(CG)_RM(CR) Take 1 [x]") == "AA_CG_RM_CR_Take_1_x"
    assert finding.safe_name("../../etc") == "etc"
    with pytest.raises(ClipError, match="Rename the file"):
        finding.safe_name("()")


def test_recordings_come_sorted(tmp_path: Path) -> None:
    made = [Recording(name=name, files=(tmp_path,)) for name in ("b", "a")]
    assert [recording.name for recording in finding.checked(tmp_path, made, "x")] == ["a", "b"]
