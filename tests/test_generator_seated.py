"""Generated ways from and to a seat: many holds, both sides, sensible in measure."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistmimic_env.body import get_body
from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.errors import ConfigError
from assistmimic_env.generator import assisted_rise as rising
from assistmimic_env.generator import sit_down as lowering
from assistmimic_env.generator.grips import contacts, mirrored_pair
from assistmimic_env.generator.holds import HOLDS, Key
from assistmimic_env.generator.mirror import mirrored
from assistmimic_env.generator.seated import Course, fitted_seat, seated_pelvis
from assistmimic_env.generator.seated_motion import seated_clip
from assistmimic_env.generator.seated_parameters import SeatedParameters
from assistmimic_env.quality import center_of_mass, quality

SHORT = {"time": 1.8, "hold_start": 0.1, "hold_end": 0.5}
SHOULDER: Key = ("side", "both_hands", "shoulder")
RIBS: Key = ("behind", "both_hands", "under_arms")
FOREARM: Key = ("front", "one_hand", "forearm")


def _parameters(key: Key, *, mirror: bool = False) -> SeatedParameters:
    side, hands, grip = key
    return SeatedParameters(side=side, hands=hands, grip=grip, mirror=mirror, **SHORT)


@pytest.fixture(scope="module")
def clips() -> dict[Key, PairClip]:
    """A rise held from the side and one held from behind, and a lowering held from the front."""
    return {
        SHOULDER: rising.assisted_rise(parameters=_parameters(SHOULDER)),
        RIBS: rising.assisted_rise(parameters=_parameters(RIBS)),
        FOREARM: lowering.sit_down(parameters=_parameters(FOREARM)),
    }


@pytest.mark.parametrize("key", [SHOULDER, RIBS, FOREARM])
def test_clips_keep_the_sanity_limits(clips: dict[Key, PairClip], key: Key) -> None:
    """Feet stay, soles are on the floor, nobody is inside anybody or anything, hands touch, nothing is fast."""
    measured = quality(clips[key])
    assert measured.foot_slide < 1e-3
    assert measured.sole_height < 1e-3
    assert measured.floor_depth < 1e-3
    assert measured.partner_depth < 0.015
    assert measured.self_depth < 3e-3
    assert 0.0 < measured.seat_depth < 0.022
    assert measured.supporter_furniture_depth < 0.0
    assert measured.contact_gap < 2e-3
    assert measured.joint_speed < 1.5


@pytest.mark.parametrize(("key", "role", "least", "most"), [(SHOULDER, 0, 0.3, 0.8), (RIBS, 0, -0.05, 0.05)])
def test_supporter_stands_at_the_left_or_in_line(
    clips: dict[Key, PairClip], key: Key, role: int, least: float, most: float
) -> None:
    lateral = clips[key].root_position[:, role, 1]
    assert least < lateral.min()
    assert lateral.max() < most


def test_supporter_stays_behind_the_recipient_and_on_both_sides_of_the_stool(clips: dict[Key, PairClip]) -> None:
    clip = clips[RIBS]
    assert (clip.root_position[:, 1, 0] - clip.root_position[:, 0, 0]).min() > 0.25
    ankles = clip.position[:, 0, clip.bodies[0].indices(("L_Ankle", "R_Ankle")), 1]
    half = 0.5 * clip.furniture[0].size[1]
    assert ankles[:, 0].min() > half
    assert ankles[:, 1].max() < -half


def test_recipient_rises_or_is_lowered_over_the_feet(clips: dict[Key, PairClip]) -> None:
    """While the pelvis is well above the seat, the centre of mass is over the soles."""
    for key, clip in clips.items():
        height = clip.root_position[:, 1, 2]
        assert (height[-1] > height[0] + 0.3) == (key != FOREARM)
        off = np.abs(height - (height[-1] if key == FOREARM else height[0])) > 0.03
        forward = center_of_mass(clip)[off, 1, 0]
        assert forward.min() > -0.07
        assert forward.max() < 0.15


def test_seat_is_under_the_seated_frame_whichever_comes_first(clips: dict[Key, PairClip]) -> None:
    for key, frame in ((RIBS, 0), (FOREARM, -1)):
        clip = clips[key]
        (seat,) = clip.furniture
        assert seat.size[2] == pytest.approx(0.46, abs=0.015)
        assert abs(clip.root_position[frame, 1, 0] - seat.position[0]) < 0.5 * seat.size[0]


def test_contacts_are_the_grips_of_the_hold_for_the_whole_clip(clips: dict[Key, PairClip]) -> None:
    for key, clip in clips.items():
        assert clip.contacts == contacts(HOLDS[key].grips, clip.duration)
    assert {(c.body, c.partner_body) for c in clips[SHOULDER].contacts} == {
        ("R_Hand", "R_Shoulder"),
        ("L_Hand", "L_Shoulder"),
    }


def test_metadata_tells_family_and_parameters(clips: dict[Key, PairClip]) -> None:
    assert clips[SHOULDER].metadata["family"] == "sit_to_stand/side/both_hands/shoulder"
    assert clips[FOREARM].metadata["family"] == "sit_down/front/one_hand/forearm"
    assert clips[FOREARM].metadata["parameters"] == asdict(_parameters(FOREARM))
    assert clips[FOREARM].metadata["provenance"]["generator"].endswith("sit_down")


def test_mirrored_parameters_give_the_mirror_image_bit_for_bit(clips: dict[Key, PairClip]) -> None:
    chosen = _parameters(FOREARM, mirror=True)
    clip = seated_clip(chosen, lowering=True, family="sit_down", version=1, seed=3, split="test")
    expected = mirrored(clips[FOREARM])
    np.testing.assert_array_equal(clip.local_rotation, expected.local_rotation)
    np.testing.assert_array_equal(clip.root_position, expected.root_position)
    assert {(c.role, c.body, c.partner_body) for c in clip.contacts} == {
        ("supporter", "L_Hand", "R_Elbow"),
        ("recipient", "R_Hand", "L_Elbow"),
    }
    assert clip.name == "sit_down_front_one_hand_forearm_test_03"
    assert (clip.metadata["seed"], clip.metadata["split"]) == (3, "test")


def test_mirrored_clip_has_reflected_positions_and_exchanged_sides() -> None:
    clip = load_clip("sit_to_stand/train_00")
    reflected = mirrored(clip)
    body = clip.bodies[0]
    for name, other in (("L_Hand", "R_Hand"), ("R_Toe", "L_Toe"), ("Head", "Head")):
        expected = clip.position[:, :, body.index(name)] * (1.0, -1.0, 1.0)
        np.testing.assert_allclose(reflected.position[:, :, body.index(other)], expected, atol=1e-9)
    assert quality(reflected).partner_depth == pytest.approx(quality(clip).partner_depth, abs=1e-9)
    twice = mirrored(reflected)
    np.testing.assert_array_equal(twice.local_rotation, clip.local_rotation)
    assert twice.contacts == clip.contacts
    assert twice.furniture == clip.furniture


def test_lowering_is_the_rise_backwards() -> None:
    up = Course(time=2.0, peak=0.7)
    down = replace(up, lowering=True)
    for name in ("phase", "rise", "advance", "lean"):
        np.testing.assert_array_equal(getattr(down, name), getattr(up, name)[::-1])
    assert up.rise[0] == 0.0
    assert up.rise[-1] == pytest.approx(1.0)
    assert up.lean.max() == pytest.approx(0.7, abs=0.02)


def test_higher_seats_raise_the_pelvis_and_bring_it_no_nearer_to_the_floor() -> None:
    body = get_body("smpl24", stature=1.7, mass=70.0)
    heights = [seated_pelvis(body, seat)[1] for seat in (0.40, 0.46, 0.52)]
    assert np.all(np.diff(heights) > 0.04)
    assert all(0.08 < z - seat < 0.16 for z, seat in zip(heights, (0.40, 0.46, 0.52), strict=True))


def test_fitted_seat_takes_depth_and_width() -> None:
    clip = load_clip("sit_to_stand/train_00")
    assert fitted_seat(clip) == clip.furniture[0]
    assert fitted_seat(clip, back=0.14, width=0.32).size[:2] == pytest.approx((0.21, 0.32))


def test_mirrored_grips_hold_the_other_side() -> None:
    arm = mirrored_pair(person=0, hand="R_Hand", body="L_Elbow", fraction=0.3, direction=(0.6, 0.0, 0.8))
    assert [(grip.hand, grip.body, grip.fraction) for grip in arm] == [
        ("R_Hand", "L_Elbow", 0.3),
        ("L_Hand", "R_Elbow", 0.3),
    ]
    ribs = mirrored_pair(person=0, hand="R_Hand", body="Chest", fraction=0.9, direction=(0.6, 0.8, 0.0))
    assert (ribs[1].body, ribs[1].direction) == ("Chest", (0.6, -0.8, 0.0))
    assert ribs[1].fraction == pytest.approx(0.1)


@pytest.mark.parametrize("key", HOLDS)
def test_directions_of_grips_are_unit_vectors(key: Key) -> None:
    for grip in HOLDS[key].grips:
        assert np.linalg.norm(grip.direction) == pytest.approx(1.0, abs=1e-3)


@given(seed=st.integers(0, 10**6), family=st.sampled_from([rising, lowering]))
def test_train_and_test_parameters_are_disjoint(seed: int, family: ModuleType) -> None:
    train, test = (asdict(family.sample_parameters(seed, split)) for split in ("train", "test"))
    bands, spans = family.TEST_RANGES, family.TRAIN_RANGES
    held_out = [name for name, pair in bands.items() if any(low <= test[name] <= high for low, high in pair)]
    assert len(held_out) == 1
    for name, (low, high) in spans.items():
        assert low <= train[name] <= high
        assert (low <= test[name] <= high) == (name not in held_out)


def test_seeds_draw_all_holds_and_both_sides_unless_one_is_asked_for() -> None:
    drawn = [rising.sample_parameters(seed) for seed in range(200)]
    assert {one.key for one in drawn} == set(HOLDS)
    assert {one.mirror for one in drawn} == {False, True}
    assert {rising.sample_parameters(seed, side="behind").key for seed in range(20)} == {RIBS}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tset"}, "assisted_rise: split is 'tset'"),
        ({"seed": -1}, "assisted_rise: seed is -1"),
        ({"side": "behind", "grip": "forearm"}, r"no hold behind/\*/forearm.*Holds: front/both_hands/forearm"),
    ],
)
def test_wrong_samples_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rising.assisted_rise(**arguments)


def test_impossible_parameters_are_named() -> None:
    with pytest.raises(ConfigError, match=r"seat_height is 0\.9, expected a value in \[0\.36, 0\.65\]"):
        SeatedParameters(seat_height=0.9)
    with pytest.raises(ConfigError, match="no hold behind/both_hands/forearm"):
        SeatedParameters(side="behind")
