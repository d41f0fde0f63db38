"""Takes become clips: errors, one shift for both, equivariance, clocks, planted feet, and what is rejected."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from assistmimic_env import rotations
from assistmimic_env.clip import Furniture, PairClip, load_clip
from assistmimic_env.errors import ClipError, ConfigError
from assistmimic_env.formats.take import Take
from assistmimic_env.importing.benchmark import clip_take
from assistmimic_env.importing.conversion import ConversionSettings, convert_take
from assistmimic_env.importing.measured import low_pass, measured, resampled
from assistmimic_env.importing.stance import slide, standing

Array = NDArray[np.float64]

BARE = ConversionSettings(furniture="none", contacts="none")


@pytest.fixture(scope="module")
def clip() -> PairClip:
    return load_clip("sit_to_stand/train_00")


@pytest.fixture(scope="module")
def take(clip: PairClip) -> Take:
    return clip_take(clip)


def moved(take: Take, change: Callable[[int, Array], Array]) -> Take:
    """The take with both people's joints changed by a function of (role, joints)."""
    first, second = (
        replace(person, joints=change(role, np.array(person.joints))) for role, person in enumerate(take.people)
    )
    return replace(take, people=(first, second))


def test_positions_alone_give_the_motion_back_within_a_tenth_of_a_millimetre(clip: PairClip, take: Take) -> None:
    report = convert_take(take, BARE).report
    assert report.joint_error_mean < 1e-4
    assert report.hand_distance_change_mean < 1e-4
    assert report.hand_distance_change_p95 < 5e-4
    assert report.quality.joint_speed == pytest.approx(np.max(speeds(clip)), abs=0.05)


def speeds(clip: PairClip) -> Array:
    return np.linalg.norm(np.diff(clip.position, axis=0), axis=-1) * clip.fps


def test_known_rotations_and_bones_are_taken_over(clip: PairClip) -> None:
    """Twists that positions cannot show, as of heads and hands, come back too."""
    found = convert_take(clip_take(clip, rotations=True), BARE).clip
    np.testing.assert_allclose(found.offsets, clip.offsets, atol=1e-12)
    assert np.max(rotations.angle_between(found.rotation, clip.rotation)) < 5e-3
    np.testing.assert_allclose(found.masses, clip.masses)


def test_fitted_bodies_have_the_persons_bone_lengths(clip: PairClip, take: Take) -> None:
    found = convert_take(take, BARE).clip
    np.testing.assert_allclose(np.linalg.norm(found.offsets, axis=-1), np.linalg.norm(clip.offsets, axis=-1), atol=1e-3)


def test_bodies_of_another_size_keep_hands_at_the_partner(take: Take) -> None:
    fixed = replace(BARE, proportions="default")
    report = convert_take(take, fixed).report
    assert report.stature == pytest.approx((1.75, 1.75), abs=2e-3)
    assert report.joint_error_mean < 0.02
    assert report.hand_distance_change_mean < 0.008
    tall = convert_take(take, replace(fixed, stature=(1.85, 1.70))).report
    assert tall.stature == pytest.approx((1.85, 1.70), abs=2e-3)


def test_a_turned_and_moved_pair_gives_the_turned_clip(take: Take) -> None:
    """Nothing in the conversion depends on the heading or the place of the pair."""
    turn, way = rotations.yaw_quaternion(1.1), np.array([3.0, -2.0, 0.4])
    plain = convert_take(take, BARE).clip
    turned = convert_take(moved(take, lambda _, joints: rotations.rotate(turn, joints) + way), BARE).clip
    np.testing.assert_allclose(turned.position, rotations.rotate(turn, plain.position), atol=1e-5)
    np.testing.assert_allclose(turned.local_rotation[:, :, 1:], plain.local_rotation[:, :, 1:], atol=1e-5)


def test_the_origin_lies_between_the_feet_on_the_floor(take: Take) -> None:
    found = convert_take(moved(take, lambda _, joints: joints + np.array([5.0, 1.0, 0.7])), BARE)
    body = found.clip.bodies[0]
    ankles = found.clip.position[0][:, body.indices(("L_Ankle", "R_Ankle"))]
    np.testing.assert_allclose(ankles.reshape(-1, 3)[:, :2].mean(axis=0), 0.0, atol=1e-3)
    assert found.report.height_shift == pytest.approx(-0.7, abs=2e-3)
    assert abs(found.report.floor_depth) < 2e-3


@pytest.mark.parametrize("role", [0, 1])
def test_a_person_who_hovers_keeps_hovering(take: Take, role: int) -> None:
    """One height shift for both: the lower one stands on the floor, the other stays 5 cm above."""
    height = np.array([0.0, 0.0, 0.05])
    plain = convert_take(take, BARE).clip
    found = convert_take(moved(take, lambda who, joints: joints + height * (who == role)), BARE).clip
    rise = found.position[..., 2] - plain.position[..., 2]
    np.testing.assert_allclose(rise[:, role].mean(), 0.05, atol=2e-3)
    np.testing.assert_allclose(rise[:, 1 - role].mean(), 0.0, atol=2e-3)


def test_resampling_meets_the_source_where_their_frames_coincide(clip: PairClip) -> None:
    source = measured(clip_take(clip, rotations=True), clip.bodies[0], max_speed=12.0)
    fast = resampled(source, 120.0)
    np.testing.assert_array_equal(fast.joints[::4], source.joints)
    np.testing.assert_allclose(fast.rotation[::4], source.rotation, atol=1e-12)
    np.testing.assert_allclose(fast.joints[2::4], 0.5 * (source.joints[1:] + source.joints[:-1]), atol=1e-12)
    np.testing.assert_array_equal(resampled(fast, 30.0).joints, source.joints)


def test_the_clip_lasts_as_long_as_the_take(clip: PairClip, take: Take) -> None:
    found = convert_take(replace(take, fps=25.0), replace(BARE, fps=60.0))
    assert found.clip.duration == pytest.approx((clip.num_frames - 1) / 25.0, abs=1.0 / 60.0)
    assert (found.report.source_fps, found.report.source_frames) == (25.0, clip.num_frames)


def test_a_low_pass_removes_jitter_without_delay(clip: PairClip, take: Take) -> None:
    noise = 0.01 * np.random.default_rng(1).standard_normal(take.people[0].joints.shape)
    source = measured(take, clip.bodies[0], max_speed=12.0)
    noisy = replace(source, joints=source.joints + noise[:, None])
    filtered = low_pass(noisy, 4.0)
    before, after = (np.std(item.joints - source.joints) for item in (noisy, filtered))
    assert after < 0.6 * before
    line = replace(source, joints=np.linspace(0.0, 1.0, len(noise))[:, None, None, None] + np.zeros((2, 24, 3)))
    np.testing.assert_allclose(low_pass(line, 4.0).joints, line.joints, atol=1e-12)


def test_a_low_pass_halves_the_power_at_its_frequency(clip: PairClip) -> None:
    source = measured(clip_take(clip), clip.bodies[0], max_speed=12.0)
    time = np.arange(301) / 30.0
    wave = np.sin(2.0 * np.pi * 4.0 * time)[:, None, None, None] + np.zeros((2, 24, 3))
    rotation = np.broadcast_to(source.rotation[:1], (301, 2, 24, 4))
    filtered = low_pass(replace(source, joints=wave, rotation=rotation), 4.0).joints
    assert np.std(filtered[50:-50]) / np.std(wave[50:-50]) == pytest.approx(np.sqrt(0.5), abs=0.01)


def test_planted_feet_do_not_slide(clip: PairClip, take: Take) -> None:
    """Feet that drift by 3 cm while they stand are held on one spot, unless that is not wanted."""
    feet = clip.bodies[0].indices(("L_Ankle", "L_Toe", "R_Ankle", "R_Toe"))
    drift = 0.015 * np.sin(np.linspace(0.0, 4.0 * np.pi, clip.num_frames))

    def slid(_: int, joints: Array) -> Array:
        joints[:, feet, 0] += drift[:, None]
        return joints

    locked = convert_take(moved(take, slid), BARE).report
    free = convert_take(moved(take, slid), replace(BARE, foot_lock=False)).report
    assert locked.foot_slide_before > 0.014
    assert locked.foot_slide_after < 0.003
    assert free.foot_slide_after > 0.012


def test_a_stepping_foot_stands_only_between_its_steps() -> None:
    frames = np.arange(90)
    foot = np.zeros((90, 1, 3))
    swing = np.clip((frames - 30) / 15.0, 0.0, 1.0)
    foot[:, 0, 0], foot[:, 0, 2] = 0.6 * swing, 0.1 * np.sin(np.pi * swing)
    stands = standing(foot, 30.0)[:, 0]
    assert stands[:28].all() and stands[48:].all() and not stands[33:43].any()
    assert slide(foot, stands[:, None]) < 0.05


def test_people_who_overlap_are_pushed_apart(take: Take) -> None:
    closer = moved(take, lambda role, joints: joints - np.array([0.15, 0.0, 0.0]) * (role == 0))
    report = convert_take(closer, replace(BARE, separate=True)).report
    assert report.partner_depth_before > 0.04
    assert report.partner_depth_after < 0.5 * report.partner_depth_before


def test_unmeasured_joints_are_guessed_and_named(clip: PairClip, take: Take) -> None:
    """22 joints without hands, as motion-diffusion models give, are enough."""
    hands = clip.bodies[0].indices(("L_Hand", "R_Hand"))

    def without(_: int, joints: Array) -> Array:
        joints[:, hands] = np.nan
        return joints

    found = convert_take(moved(take, without), BARE)
    assert found.report.joint_error_mean < 1e-4
    assert any("L_Hand" in note for note in found.report.notes)


@pytest.mark.parametrize("name", ["sit_to_stand/train_00", "pull_up"])
def test_a_rig_without_our_trunk_joints_is_fitted_nearly_as_well(name: str) -> None:
    """CMU's and OptiTrack's rigs have pelvis, spine and collars elsewhere; trunks of default size would be 2 cm off."""
    clip = load_clip(name)
    body = clip.bodies[0]
    elsewhere = body.indices(("Pelvis", "Torso", "Spine", "Chest", "L_Thorax", "R_Thorax", "L_Hand", "R_Hand"))

    def without(_: int, joints: Array) -> Array:
        joints[:, elsewhere] = np.nan
        return joints

    made = convert_take(moved(clip_take(clip), without), BARE)
    assert made.report.joint_error_mean < 0.004
    assert made.report.hand_distance_change_mean < 0.002
    np.testing.assert_allclose(made.report.stature, [body.stature for body in clip.bodies], atol=0.01)
    (note, _) = made.report.notes
    assert "guessed: Pelvis, Torso" in note


def test_a_joint_that_jumps_is_named(take: Take) -> None:
    def spiked(role: int, joints: Array) -> Array:
        joints[40, 17, 0] += 1.0 * (role == 1)
        return joints

    with pytest.raises(ClipError, match=r"recipient: L_Wrist moves at .* from frame 39 to 40"):
        convert_take(moved(take, spiked), BARE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gap_in_a_joint_is_named(take: Take, value: float) -> None:
    def broken(role: int, joints: Array) -> Array:
        joints[12, 4, 1] = value if role == 0 else joints[12, 4, 1]
        return joints

    with pytest.raises(ClipError, match="supporter: joints of L_Toe in frame 12 is not finite"):
        convert_take(moved(take, broken), BARE)


def test_missing_limbs_short_takes_and_unequal_people_are_errors(clip: PairClip, take: Take) -> None:
    def armless(_: int, joints: Array) -> Array:
        joints[:, clip.bodies[0].index("L_Elbow")] = np.nan
        return joints

    with pytest.raises(ClipError, match="supporter: no L_Elbow"):
        convert_take(moved(take, armless), BARE)
    with pytest.raises(ClipError, match="at least 10 are needed"):
        convert_take(moved(take, lambda _, joints: joints[:8]), BARE)
    with pytest.raises(ClipError, match="recipient: joints has shape"):
        convert_take(moved(take, lambda role, joints: joints[: 50 + role]), BARE)


def test_settings_out_of_range_are_errors() -> None:
    with pytest.raises(ConfigError, match="fps is 0"):
        ConversionSettings(fps=0.0)
    with pytest.raises(ConfigError, match="choose 'default'"):
        ConversionSettings(stature=(1.6, 1.7))


def test_furniture_of_the_take_moves_with_the_people(take: Take) -> None:
    box = Furniture(name="chair", kind="seat", size=(0.3, 0.4, 0.4), position=(1.0, 2.0, 0.9))
    lifted = moved(replace(take, furniture=(box,)), lambda _, joints: joints + np.array([1.5, 2.0, 0.7]))
    plain = convert_take(take, BARE).clip.position - load_clip("sit_to_stand/train_00").position
    (found,) = convert_take(lifted).clip.furniture
    expected = np.array(box.position) - (1.5, 2.0, 0.7) + plain.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(found.position, expected, atol=2e-3)


def test_the_report_is_json(take: Take) -> None:
    values = convert_take(take, BARE).report.to_json()
    again = json.loads(json.dumps(values, allow_nan=False))
    assert again["quality"]["seat_depth"] is None
    assert again["frames"] == 104


def test_joints_of_24_bodies_move_a_body_with_fingers(clip: PairClip, take: Take) -> None:
    """Bodies are matched by name; fingers, which nobody measured, are carried by the hands."""
    found = convert_take(take, replace(BARE, body="smpl52", contacts="infer"))
    assert found.clip.body == "smpl52"
    assert found.report.joint_error_mean < 1e-3
    held = {contact.body for contact in found.clip.contacts if contact.role == "supporter"}
    assert held == {contact.body.replace("Hand", "Wrist") for contact in clip.contacts if contact.role == "supporter"}
