"""The real clip: read from key frames, converted reproducibly, and fit for physics.

The conversion itself is tested on the true key frames where they are at hand (``../shared`` beside the repository),
elsewhere on two people with stretched arms that the test writes itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from assistmimic_env import cmu, cmu_plan, rotations
from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.cmu_report import report
from assistmimic_env.cmu_source import natural_spline, read_source
from assistmimic_env.errors import AssistMimicError, ClipError
from assistmimic_env.quality import center_of_mass, quality
from assistmimic_env.resources import asset_path

Array = NDArray[np.float64]
ORIGINAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "cmu_pair"
FRAMES = (192, 300, 386, 420, 460, 500, 540, 556)
UNIT = 0.05
SKELETON: dict[str, tuple[str, tuple[float, float, float]]] = {
    "LowerBack": ("Hips", (0.0, 0.0, 0.0)),
    "Spine": ("LowerBack", (0.0, 0.12, 0.0)),
    "Spine1": ("Spine", (0.0, 0.12, 0.0)),
    "Neck": ("Spine1", (0.0, 0.0, 0.0)),
    "Neck1": ("Neck", (0.0, 0.10, 0.0)),
    "Head": ("Neck1", (0.0, 0.09, 0.0)),
}
for _side, _x in (("Left", 1.0), ("Right", -1.0)):
    SKELETON |= {
        f"{_side}UpLeg": ("Hips", (0.08 * _x, -0.10, 0.0)),
        f"{_side}Leg": (f"{_side}UpLeg", (0.0, -0.42, 0.0)),
        f"{_side}Foot": (f"{_side}Leg", (0.0, -0.43, 0.0)),
        f"{_side}ToeBase": (f"{_side}Foot", (0.0, -0.04, 0.12)),
        f"{_side}Arm": ("Spine1", (0.17 * _x, 0.06, 0.0)),
        f"{_side}ForeArm": (f"{_side}Arm", (0.30 * _x, 0.0, 0.0)),
        f"{_side}Hand": (f"{_side}ForeArm", (0.21 * _x, 0.0, 0.0)),
    }
CHANNELS = (
    "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "RightUpLeg", "RightLeg", "RightFoot", "RightToeBase",
    "LowerBack", "Spine", "Spine1", "Neck", "Neck1", "Head", "LeftArm", "LeftForeArm", "LeftHand", "RightArm",
    "RightForeArm", "RightHand",
)  # fmt: skip


def table(turn: float, z: float, angles: dict[str, tuple[float, ...]]) -> Array:
    """Key frames of a person at (0, 1.02, z) m who is turned about the vertical [deg] and sways 2 cm."""
    rows = []
    for number, frame in enumerate(FRAMES):
        row = [float(frame), 0.02 * np.sin(number) / UNIT, 1.02 / UNIT, z / UNIT, 0.0, turn, 0.0]
        for joint in CHANNELS:
            row += angles.get(joint, (0.0,) if joint.endswith("Hand") else (0.0, 0.0, 0.0))
        rows.append(row)
    return np.array(rows)


def write_takes(folder: Path, angles: dict[str, tuple[float, ...]] | None = None) -> Path:
    """Two people face to face, the arms stretched towards each other."""
    angles = {"RightArm": (0.0, 90.0, 0.0), "LeftArm": (0.0, -90.0, 0.0)} if angles is None else angles
    joints = ["Hips", *SKELETON]
    units = {joint: [value / UNIT for value in offset] for joint, (_, offset) in SKELETON.items()}
    skeletons = {
        "unit_m": UNIT,
        "joints": joints,
        "parents": {joint: parent for joint, (parent, _) in SKELETON.items()},
        "offsets_units": {"22": units, "23": units},
    }
    (folder / "skeletons.json").write_text(json.dumps(skeletons))
    np.savetxt(folder / "22_01_keyframes.txt", table(180.0, 1.3, angles), header="A")
    np.savetxt(folder / "23_01_keyframes.txt", table(0.0, 0.0, angles), header="B")
    return folder


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_takes(tmp_path_factory.mktemp("takes"))


@pytest.fixture(scope="module")
def folder(takes: Path) -> Path:
    return ORIGINAL if ORIGINAL.is_dir() else takes


@pytest.fixture(scope="module")
def converted(folder: Path) -> PairClip:
    return cmu.convert(folder)


@pytest.fixture(scope="module")
def bundled() -> PairClip:
    return load_clip("pull_up")


def test_natural_spline_equals_scipy() -> None:
    knots = np.array([0.0, 1.0, 3.5, 4.0, 9.0])
    values = np.random.default_rng(0).normal(size=(5, 4))
    time = np.linspace(0.0, 9.0, 50)
    expected = CubicSpline(knots, values, bc_type="natural")(time)
    np.testing.assert_allclose(natural_spline(knots, values, time), expected, atol=1e-12)


def test_the_world_is_turned_from_y_up_to_z_up_with_forward_left_up_bodies(takes: Path) -> None:
    supporter, recipient = read_source(takes).performers
    position, rotation = recipient.at(np.array([386.0]))
    foot, head = position[0, recipient.index("LeftFoot")], position[0, recipient.index("Head")]
    assert foot[2] == pytest.approx(1.02 - 0.95)
    assert head[2] == pytest.approx(1.02 + 0.43)
    np.testing.assert_allclose(
        rotations.rotate(rotation[0, 0], np.array([1.0, 0.0, 0.0])), [0.0, -1.0, 0.0], atol=1e-12
    )
    np.testing.assert_allclose(rotations.rotate(rotation[0, 0], np.array([0.0, 0.0, 1.0])), [0.0, 0.0, 1.0], atol=1e-12)
    other, _ = supporter.at(np.array([386.0]))
    np.testing.assert_allclose(other[0, 0] - position[0, 0], [0.0, -1.3, 0.0], atol=1e-12)


def test_euler_angles_are_intrinsic_z_y_x(tmp_path: Path) -> None:
    from scipy.spatial.transform import Rotation

    performer = read_source(write_takes(tmp_path, {"LeftArm": (20.0, -50.0, 70.0)})).performers[1]
    expected = Rotation.from_euler("ZYX", (20.0, -50.0, 70.0), degrees=True).as_quat(scalar_first=True)
    np.testing.assert_allclose(performer.rotation[0, performer.index("LeftArm")], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("22_01_keyframes.txt", lambda text: text[:-40], "22_01_keyframes.txt.*(table|shape)"),
        ("22_01_keyframes.txt", lambda text: text.replace("e", "x", 1), "not a table of numbers"),
        ("23_01_keyframes.txt", lambda text: "\n".join(reversed(text.splitlines())), "must increase"),
        ("23_01_keyframes.txt", lambda text: text.replace("3.860000000000000000e+02", "nan"), "finite numbers"),
        ("23_01_keyframes.txt", lambda text: "", "shape"),
        ("22_01_keyframes.txt", lambda text: text + "#" * 2**20, "too large"),
        ("skeletons.json", lambda text: text[:-1], "not valid JSON"),
        ("skeletons.json", lambda text: "[]", "expected an object"),
        ("skeletons.json", lambda text: text.replace('"23"', '"24"'), "not a skeleton of subject 23"),
        ("skeletons.json", lambda text: text.replace("LeftForeArm", "LeftElbow"), "missing joint.* LeftForeArm"),
        ("skeletons.json", lambda text: text.replace('"Hips", "LowerBack"', '"LowerBack", "Hips"'), "not a skeleton"),
        ("skeletons.json", lambda text: text.replace("0.05", "Infinity", 1), "not finite"),
    ],
)
def test_damaged_sources_are_named(tmp_path: Path, name: str, edit: Callable[[str], str], message: str) -> None:
    path = write_takes(tmp_path) / name
    path.write_text(edit(path.read_text()))
    with pytest.raises(ClipError, match=message):
        read_source(tmp_path)


def test_a_missing_source_file_is_named_with_what_the_folder_should_hold(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"22_01_keyframes.txt: no such file.*skeletons\.json"):
        read_source(tmp_path)


def test_the_clock_holds_then_starts_gently_then_plays_at_full_speed() -> None:
    frame, after = cmu_plan.clock()
    held = round(cmu_plan.HOLD * cmu_plan.FPS)
    assert (frame[: held + 1] == cmu_plan.FIRST_FRAME).all()
    step = np.diff(frame)
    assert step.min() >= 0.0
    assert step.max() == pytest.approx(120.0 / cmu_plan.FPS)
    assert np.abs(np.diff(step[: held + 12])).max() < 0.7
    played = np.count_nonzero(after == 0.0)
    assert frame[played - 1] == pytest.approx(cmu_plan.LAST_FRAME)
    assert (frame[played:] == cmu_plan.LAST_FRAME).all()
    assert after[-1] == pytest.approx(cmu_plan.SETTLE + cmu_plan.STAND)


def test_a_stance_holds_the_foot_between_landing_and_lifting_and_the_toes_longer() -> None:
    stance = cmu_plan.Stance(role=0, side="L_", lowering=10.0, down=20.0, lifting=30.0, up=40.0)
    frame = np.array([5.0, 15.0, 20.0, 30.0, 35.0, 40.0, 50.0])
    np.testing.assert_allclose(stance.weight(frame), [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0])
    assert (stance.weight(frame, toe=True)[4:6] > stance.weight(frame)[4:6]).all()
    assert (cmu_plan.Stance(role=0, side="L_").weight(frame) == 1.0).all()


def test_both_people_are_moved_by_one_rigid_motion(folder: Path) -> None:
    source = read_source(folder)
    take = cmu_plan.place(source)
    performers, body = source.performers, take.bodies[0]
    recorded = [p.at(take.frame)[0][:, p.index("RightHand")] for p in performers]
    placed = take.joints[:, :, body.index("R_Wrist")]
    np.testing.assert_allclose(
        np.linalg.norm(placed[:, 0] - placed[:, 1], axis=-1),
        np.linalg.norm(recorded[0] - recorded[1], axis=-1),
        atol=1e-9,
    )
    np.testing.assert_allclose(placed[:, 0, 2] - recorded[0][:, 2], placed[:, 1, 2] - recorded[1][:, 2], atol=1e-9)


def test_bodies_have_the_performers_bone_lengths_on_both_sides(folder: Path) -> None:
    source = read_source(folder)
    for performer, body in zip(source.performers, cmu_plan.place(source).bodies, strict=True):
        for name, joint in (("Knee", "Leg"), ("Ankle", "Foot"), ("Elbow", "ForeArm"), ("Wrist", "Hand")):
            lengths = [np.linalg.norm(performer.offsets[performer.index(s + joint)]) for s in ("Left", "Right")]
            fitted = [np.linalg.norm(body.offsets[body.index(s + name)]) for s in ("L_", "R_")]
            np.testing.assert_allclose(fitted, np.mean(lengths), atol=1e-6)


def test_the_conversion_reproduces_the_bundled_clip_byte_for_byte(converted: PairClip, tmp_path: Path) -> None:
    converted.save(tmp_path / "pull_up.npz")
    if ORIGINAL.is_dir():
        assert (tmp_path / "pull_up.npz").read_bytes() == asset_path("clips/pull_up.npz").read_bytes()
    else:
        assert load_clip(tmp_path / "pull_up.npz").num_frames == converted.num_frames


def test_the_conversion_moves_continuously_and_makes_the_hands_meet(converted: PairClip, folder: Path) -> None:
    measured = quality(converted)
    assert measured.joint_speed < 4.0
    assert measured.floor_depth < 0.01
    assert measured.contact_gap < (0.002 if folder == ORIGINAL else 0.03)


def test_the_report_meets_its_targets(converted: PairClip, folder: Path) -> None:
    measured = report(converted, folder)
    assert measured.kept_joint_error_mean < (12.0 if folder == ORIGINAL else 40.0)
    assert measured.hand_distance_change_mean < 5.0
    assert measured.planted_foot_slide < 6.0
    assert "kept_joint_error_mean" in str(measured)


def test_a_report_on_another_clip_is_refused(standing_pair: Callable[..., PairClip], folder: Path) -> None:
    with pytest.raises(ClipError, match="90 frames"):
        report(standing_pair(90), folder)


def test_the_bundled_clip_holds_its_first_pose_and_its_stand(bundled: PairClip) -> None:
    for still in (bundled.local_rotation[:13], bundled.local_rotation[-31:]):
        np.testing.assert_array_equal(still, np.broadcast_to(still[0], still.shape))
    assert 3.5 < bundled.duration < 4.5
    assert bundled.fps == 30.0


def test_the_bundled_clip_is_fit_for_physics(bundled: PairClip) -> None:
    measured = quality(bundled)
    assert measured.joint_speed < 4.0
    assert measured.joint_acceleration < 35.0
    assert measured.floor_depth < 0.01
    assert measured.partner_depth < 0.01
    assert measured.self_depth < 0.02
    assert measured.seat_depth < 0.002
    assert measured.contact_gap < 0.002
    assert measured.balance < 0.03


def test_in_the_bundled_clip_the_recipient_rises_from_the_stool(bundled: PairClip) -> None:
    seat, pelvis = bundled.furniture[0], bundled.root_position[:, 1]
    assert seat.kind == "seat"
    assert pelvis[0, 2] - seat.size[2] < 0.13
    assert np.abs(pelvis[0, :2] - np.array(seat.position[:2]))[1] < 0.05
    assert pelvis[-1, 2] - pelvis[0, 2] > 0.2
    assert pelvis[-1, 2] == pytest.approx(bundled.bodies[1].rest_height, abs=0.05)


def test_the_supporter_starts_with_the_centre_of_mass_between_the_feet(bundled: PairClip) -> None:
    body = bundled.bodies[0]
    feet = bundled.position[0, 0, body.indices(("L_Ankle", "L_Toe", "R_Ankle", "R_Toe")), :2]
    center = center_of_mass(bundled)[0, 0, :2]
    directions = np.stack([np.cos(np.linspace(0, 2 * np.pi, 90)), np.sin(np.linspace(0, 2 * np.pi, 90))])
    assert ((feet @ directions).max(axis=0) - center @ directions).min() > 0.02


def test_the_bundled_clip_says_where_it_comes_from(bundled: PairClip) -> None:
    metadata = bundled.metadata
    assert "interpolated from real key poses" in metadata["description"]
    assert "NSF EIA-0196217" in metadata["acknowledgement"]
    assert set(metadata["provenance"]["sha256"]) == {"22_01_keyframes.txt", "23_01_keyframes.txt", "skeletons.json"}
    terms = asset_path(f"clips/{metadata['license_file']}").read_text()
    assert "may not resell this data directly" in terms
    assert "mocap.cs.cmu.edu" in terms


def test_only_the_converted_clip_ships_and_it_is_small() -> None:
    path = asset_path("clips/pull_up.npz")
    assert path.stat().st_size < 2**20
    assert not list(path.parent.parent.rglob("*keyframes*"))


def test_errors_of_the_conversion_are_ours(tmp_path: Path) -> None:
    with pytest.raises(AssistMimicError):
        cmu.convert(tmp_path)
