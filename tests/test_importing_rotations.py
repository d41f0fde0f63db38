"""People of whom files tell rotations, but no bones: our bones in exactly their pose, the pair as it stood."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import test_formats_amass as amass
import test_formats_interx as interx
import test_formats_phc as phc
from motion_files import pose_of
from numpy.typing import NDArray
from toys import reaching_clip

from assistmimic_env import rotations
from assistmimic_env.body import get_body
from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.formats.take import Person, Take
from assistmimic_env.importing.conversion import Conversion, convert_take
from assistmimic_env.importing.measures import hand_change, joint_errors
from assistmimic_env.importing.settings import ConversionSettings
from assistmimic_env.importing.stance import foot_indices, sole_drop
from assistmimic_trainers import cli

Array = NDArray[np.float64]

BARE = ConversionSettings(furniture="none", contacts="none")
EXACT = replace(BARE, fps=120.0, foot_lock=False)


def rotations_of(clip: PairClip) -> Take:
    """A clip as a source that knows rotations and the pelvis's place alone."""
    joints = np.full_like(clip.position, np.nan)
    joints[:, :, 0] = clip.position[:, :, 0]
    first, second = (Person(joints=joints[:, role], rotation=clip.rotation[:, role]) for role in range(2))
    return Take(name="posed", fps=clip.fps, people=(first, second), body=clip.body)


def shift(made: Conversion) -> Array:
    """What was added to all positions of both people."""
    return np.array(made.clip.metadata["provenance"]["shift"])


def check_exact(take: Take) -> None:
    """The clip has a take's rotations and the way of both pelvises, but for the rounding of clips and one shift."""
    made = convert_take(take, EXACT)
    for role, person in enumerate(take.people):
        assert person.rotation is not None
        turn, expected = made.clip.rotation[:, role], person.rotation
        sign = np.sign(np.sum(turn * expected, axis=-1, keepdims=True))
        np.testing.assert_allclose(sign * turn, expected, atol=2e-6)
        np.testing.assert_allclose(made.clip.root_position[:, role] - shift(made), person.joints[:, 0], atol=1e-6)


@pytest.mark.parametrize("width", [72, 156, 165])
def test_an_amass_pair_without_model_files_becomes_a_clip_in_exactly_its_pose(tmp_path: Path, width: int) -> None:
    """The asymmetric pose worked out by hand, of which the reader is sure (``check_pose``)."""
    take = amass.read(amass.write(tmp_path, width))
    amass.check_pose(take)
    check_exact(take)


def test_a_phc_pickle_without_model_files_becomes_a_clip_in_exactly_its_pose(tmp_path: Path) -> None:
    take = phc.read(tmp_path, phc.pair())
    amass.check_pose(take)
    check_exact(take)


def test_inter_x_parameters_without_model_files_become_a_clip_in_exactly_their_pose(tmp_path: Path) -> None:
    take = interx.read(interx.write_parameters(tmp_path))
    interx.check_parameters(take)
    check_exact(take)


def test_one_shift_for_both_puts_the_lower_soles_on_the_floor(tmp_path: Path) -> None:
    """A shift of each would lose that the recipient's pelvis is 7 cm lower in the file."""
    amass.write(tmp_path, 72)
    with np.load(tmp_path / "23_01.npz", allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files if name != "labels"}
    np.savez(tmp_path / "23_01.npz", **(arrays | {"trans": arrays["trans"] - [0.0, 0.0, 0.07]}))
    clip = convert_take(amass.read(tmp_path), EXACT).clip
    between = clip.root_position[:, 1] - clip.root_position[:, 0]
    np.testing.assert_allclose(between[0], (0.0, 1.0, -0.07), atol=1e-6)
    body = clip.bodies[1]
    soles = clip.position[:, 1, foot_indices(body), 2] - sole_drop(body)
    np.testing.assert_allclose(soles.min(axis=1), 0.0, atol=2e-3)


def test_the_way_about_standing_feet_tells_how_tall_people_are() -> None:
    """People of 1.60 and 1.93 m who squat by 25 cm; who only stands is taken for as tall as our body."""
    body = get_body()
    offsets = np.stack([body.scaled(stature=height).offsets for height in (1.60, 1.93)])
    clip = squat(replace(reaching_clip(60, gap=0.9), offsets=offsets), depth=0.25)
    report = convert_take(rotations_of(clip), BARE).report
    np.testing.assert_allclose(report.stature, [own.stature for own in clip.bodies], atol=0.01)
    assert report.foot_slide_after < 0.005
    still = squat(clip, depth=0.0)
    np.testing.assert_allclose(convert_take(rotations_of(still), BARE).report.stature, body.stature, atol=0.01)


def squat(clip: PairClip, *, depth: float) -> PairClip:
    """Both people bend their knees and rise again over their feet."""
    root, local = clip.root_position.copy(), np.repeat(clip.local_rotation[:1], clip.num_frames, axis=0)
    phase = np.sin(np.linspace(0.0, np.pi, clip.num_frames)) ** 2
    for role, body in enumerate(clip.bodies):
        leg = -(body.offsets[body.indices(("L_Knee", "L_Ankle")), 2])
        angle = np.arccos(1.0 - depth * phase / leg.sum())
        for side in ("L_", "R_"):
            for name, turn in (("Hip", -angle), ("Knee", 2.0 * angle), ("Ankle", -angle)):
                bent = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), turn)
                index = body.index(side + name)
                local[:, role, index] = rotations.multiply(local[:, role, index], bent)
    flat = replace(clip, root_position=root, local_rotation=local)
    ankles = flat.position[:, :, flat.bodies[0].index("L_Ankle")]
    return replace(flat, root_position=root - (ankles - ankles[:1]))


def test_a_stature_can_be_asked_for() -> None:
    settings = replace(BARE, proportions="default", stature=(1.62, 1.88))
    made = convert_take(rotations_of(load_clip("sit_to_stand/train_00")), settings)
    np.testing.assert_allclose(made.report.stature, (1.62, 1.88), atol=1e-6)


def test_the_report_says_whose_bones_these_are_and_claims_no_error(tmp_path: Path) -> None:
    """No joint was told, so none can be missed; distances of hands are those of the clip."""
    amass.write(tmp_path, 72)
    report = convert_take(amass.read(tmp_path), EXACT).report
    for who in ("supporter", "recipient"):
        assert f"{who}: the source has rotations, but no bones, so they are our body's, 1.75" in "\n".join(report.notes)
    assert "--models" in report.notes[0]
    plain = report.to_json()
    assert [plain[key] for key in ("joint_error_mean", "hand_distance_change_mean", "hand_distance_before")] == [
        None
    ] * 3
    reach = convert_take(rotations_of(reaching_clip(20, gap=0.5)), BARE).report
    assert reach.hand_distance_before is None and reach.hand_distance_after is not None


@pytest.mark.parametrize(
    ("name", "joints", "hands"), [("sit_to_stand/train_00", 0.006, 0.006), ("pull_up", 0.08, 0.07)]
)
def test_our_bones_cost_what_the_documentation_says(name: str, joints: float, hands: float) -> None:
    """Millimetres for people of about our proportions, centimetres for the long-legged ones of the CMU pair."""
    clip = load_clip(name)
    made = convert_take(rotations_of(clip), BARE)
    position = made.clip.position - shift(made)
    assert joint_errors(position, clip.position).mean() < joints
    assert hand_change(clip.bodies[0], position, clip.position).change.mean() < hands


def test_people_with_the_sources_own_bones_are_posed_on_them() -> None:
    """Then joints are exact although the source does not list them."""
    clip = load_clip("pull_up")
    take = rotations_of(clip)
    known = [replace(person, offsets=clip.offsets[role]) for role, person in enumerate(take.people)]
    made = convert_take(replace(take, people=(known[0], known[1])), replace(BARE, foot_lock=False))
    np.testing.assert_allclose(made.clip.position - shift(made), clip.position, atol=1e-5)
    assert "the source's rotations and bones" in made.report.notes[0]


def test_a_hand_in_one_piece_turns_with_the_middle_finger_and_fingers_with_the_hand() -> None:
    """As clips do that are put on the other humanoid."""
    clip = reaching_clip(12, gap=0.9)
    take = rotations_of(clip)
    bent = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), 0.7)
    turned = []
    for person in take.people:
        rotation = np.array(person.rotation)
        rotation[:, get_body().index("R_Hand")] = rotations.multiply(rotation[:, get_body().index("R_Hand")], bent)
        turned.append(replace(person, rotation=rotation))
    source = replace(take, people=(turned[0], turned[1]))
    fingers = convert_take(source, replace(BARE, body="smpl52", foot_lock=False)).clip
    wide = fingers.bodies[0]
    relative = fingers.local_rotation[:, 0]
    for name, angle in (
        ("R_Index1", 0.7),
        ("R_Middle1", 0.7),
        ("R_Middle2", 0.0),
        ("R_Thumb1", 0.0),
        ("L_Index1", 0.0),
    ):
        turn = rotations.angle_between(relative[:, wide.index(name)], np.array([1.0, 0.0, 0.0, 0.0]))
        np.testing.assert_allclose(turn, angle, atol=1e-3, err_msg=name)
    back = convert_take(rotations_of(fingers), replace(BARE, body="smpl24", foot_lock=False)).clip
    hand = back.local_rotation[:, 0, get_body().index("R_Hand")]
    np.testing.assert_allclose(rotations.angle_between(hand, bent), 0.0, atol=1e-3)


def test_the_command_imports_an_amass_pair_without_model_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says in a line what that means."""
    clip, source = load_clip("sit_to_stand/train_00"), tmp_path / "source"
    source.mkdir()
    for role, name in enumerate(("22_01", "23_01")):
        arrays = {"poses": pose_of(clip, role), "trans": clip.root_position[:, role]}
        np.savez(source / f"{name}.npz", **arrays, mocap_framerate=np.array(30.0))
    words = ["clips", "import", "amass", str(source), "--out", str(tmp_path / "out"), "--supporter", "first"]
    assert cli.main(words) == cli.OK
    assert "no bones, so they are our body's" in capsys.readouterr().out
    made = PairClip.load(tmp_path / "out" / "22_01-23_01.npz")
    angle = rotations.angle_between(made.rotation[:, :, 1:12], clip.rotation[:, :, 1:12])
    assert np.degrees(angle).max() < 2.0
    shorter = ["--proportions", "default", "--stature", "1.6", "1.8", "--out", str(tmp_path / "asked")]
    assert cli.main([*words[:4], *words[6:], *shorter]) == cli.OK
    asked = PairClip.load(tmp_path / "asked" / "22_01-23_01.npz")
    np.testing.assert_allclose([body.stature for body in asked.bodies], (1.6, 1.8), atol=1e-6)
