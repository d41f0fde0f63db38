"""What is inferred from a motion: seats, beds, contacts."""

from dataclasses import replace

import numpy as np
import pytest

from assistmimic_env import rotations
from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.importing.contacts import infer_contacts
from assistmimic_env.importing.furniture import infer_furniture
from assistmimic_env.importing.intervals import intervals
from assistmimic_env.quality import quality


@pytest.fixture(scope="module")
def clip() -> PairClip:
    return load_clip("sit_to_stand/train_00")


def bare(clip: PairClip) -> PairClip:
    return replace(clip, furniture=(), contacts=())


@pytest.mark.parametrize("name", ["sit_to_stand/train_00", "sit_to_stand/test_00"])
def test_a_seat_is_found_at_the_height_of_the_one_that_was_sat_on(name: str) -> None:
    clip = load_clip(name)
    (seat,) = infer_furniture(bare(clip))
    assert seat.name.startswith("recipient")
    assert seat.size[2] == pytest.approx(clip.furniture[0].size[2], abs=0.05)
    pelvis = clip.root_position[0, 1] - np.array(seat.position)
    assert (
        np.abs(rotations.rotate(rotations.yaw_quaternion(-seat.yaw), pelvis)[:2]) < 0.5 * np.array(seat.size[:2])
    ).all()


def test_nobody_presses_deep_into_what_was_inferred(clip: PairClip) -> None:
    found = quality(replace(bare(clip), furniture=infer_furniture(bare(clip))))
    assert max(found.seat_depth, found.supporter_furniture_depth) < 0.011


def test_a_turned_clip_gets_the_turned_seat(clip: PairClip) -> None:
    turn = rotations.yaw_quaternion(2.0)
    local = np.array(clip.local_rotation)
    local[:, :, 0] = rotations.multiply(turn, local[:, :, 0])
    turned = replace(bare(clip), root_position=rotations.rotate(turn, clip.root_position), local_rotation=local)
    (plain,), (other,) = infer_furniture(bare(clip)), infer_furniture(turned)
    np.testing.assert_allclose(other.position, rotations.rotate(turn, np.array(plain.position)), atol=1e-6)
    np.testing.assert_allclose(other.size, plain.size, atol=1e-6)
    np.testing.assert_allclose(rotations.yaw_quaternion(other.yaw - plain.yaw - 2.0)[3], 0.0, atol=1e-6)


def test_people_who_stand_get_no_furniture(clip: PairClip) -> None:
    standing = replace(
        bare(clip),
        root_position=np.repeat(clip.root_position[-1:], 40, axis=0),
        local_rotation=np.repeat(clip.local_rotation[-1:], 40, axis=0),
    )
    assert infer_furniture(standing) == ()


def test_a_lying_person_gets_a_bed_as_long_as_the_trunk(clip: PairClip) -> None:
    body = clip.bodies[1]
    root, local = np.repeat(clip.root_position[-1:], 40, axis=0), np.repeat(clip.local_rotation[-1:], 40, axis=0)
    local[:, 1] = (1.0, 0.0, 0.0, 0.0)
    local[:, 1, 0] = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), -0.5 * np.pi)
    root[:, 1] = (-2.0, 0.0, 0.6)
    lying = replace(bare(clip), root_position=root, local_rotation=local)
    (bed,) = infer_furniture(lying)
    trunk = np.linalg.norm(lying.position[0, 1, 0] - lying.position[0, 1, body.index("Head")])
    assert bed.kind == "bed"
    assert bed.size[0] > trunk + 0.2
    assert 0.4 < bed.size[2] < 0.6


def test_contacts_are_found_where_hands_hold(clip: PairClip) -> None:
    """Every hand of the supporter that holds in the generated clip is found, for most of that time."""
    found = infer_contacts(bare(clip))
    assert all(contact.end - contact.start >= 0.19 - 1.0 / clip.fps for contact in found)
    for contact in clip.contacts:
        same = [c for c in found if (c.role, c.body) == (contact.role, contact.body)]
        overlap = sum(max(0.0, min(c.end, contact.end) - max(c.start, contact.start)) for c in same)
        assert overlap > 0.8 * (contact.end - contact.start)


def test_people_apart_have_no_contacts(clip: PairClip) -> None:
    apart = np.array(clip.root_position)
    apart[:, 0, 0] += 2.0
    assert infer_contacts(replace(bare(clip), root_position=apart)) == ()


def test_intervals_bridge_gaps_and_drop_short_runs() -> None:
    mask = np.array([1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1], dtype=bool)
    assert intervals(mask) == [(0, 2), (3, 5), (8, 9), (10, 11)]
    assert intervals(mask, bridge=1, shortest=4) == [(0, 5)]
    assert intervals(np.zeros(4, dtype=bool)) == []
