"""Each measurement reacts to the fault it is named after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from assistmimic_env import rotations
from assistmimic_env.capsules import capsules, world_ends
from assistmimic_env.clip import Contact, Furniture, PairClip
from assistmimic_env.quality import center_of_mass, quality

Factory = Callable[..., PairClip]


def moved(clip: PairClip, way: np.ndarray, role: int) -> PairClip:
    """The clip with one person's path changed by (T, 3) or (3,) [m]."""
    root = clip.root_position.copy()
    root[:, role] += way
    return replace(clip, root_position=root)


def test_sliding_feet_are_measured_in_metres(standing_pair: Factory) -> None:
    clip = standing_pair()
    way = np.linspace(0, 1, clip.num_frames)[:, None] * np.array([0.0, 0.07, 0.0])
    assert quality(clip).foot_slide < 1e-9
    assert quality(moved(clip, way, 1)).foot_slide == pytest.approx(0.07, abs=1e-6)


def test_lifted_and_sunken_soles_are_measured(standing_pair: Factory) -> None:
    clip = standing_pair()
    assert quality(moved(clip, np.array([0, 0, 0.01]), 0)).sole_height == pytest.approx(0.01, abs=1e-6)
    assert quality(moved(clip, np.array([0, 0, -0.03]), 1)).floor_depth == pytest.approx(0.03, abs=1e-6)


def test_people_and_furniture_that_overlap_are_measured(standing_pair: Factory) -> None:
    clip = standing_pair(gap=1.5)
    apart, close = quality(clip).partner_depth, quality(moved(clip, np.array([-1.45, 0, 0]), 1)).partner_depth
    assert apart < 0 < 0.1 < close
    box = Furniture(name="seat", kind="seat", size=(0.4, 0.4, 0.5), position=(1.5, 0.0, 0.25))
    seated = quality(replace(clip, furniture=(box,)))
    assert seated.seat_depth > 0.05 and seated.supporter_furniture_depth < 0


def test_a_contact_without_touch_leaves_a_gap(standing_pair: Factory) -> None:
    clip = standing_pair(gap=1.5)
    contact = Contact(role="supporter", body="L_Hand", partner_body="R_Hand", start=0.0, end=1.0)
    assert quality(replace(clip, contacts=(contact,))).contact_gap > 0.3


def test_speed_is_that_of_the_fastest_body(standing_pair: Factory) -> None:
    clip = standing_pair(swing=0.0)
    way = (np.arange(clip.num_frames) / clip.fps)[:, None] * np.array([2.0, 0.0, 0.0])
    assert quality(moved(clip, way, 0)).joint_speed == pytest.approx(2.0, abs=1e-6)


def test_centre_of_mass_of_a_standing_person_is_at_the_height_of_the_pelvis(standing_pair: Factory) -> None:
    clip = standing_pair()
    center = center_of_mass(clip)
    assert np.abs(center[0] - clip.root_position[0]).max() < 0.1


def test_soles_slip_as_far_as_they_slide_while_they_touch(standing_pair: Factory) -> None:
    clip = standing_pair()
    way = np.linspace(0, 1, clip.num_frames)[:, None] * np.array([0.0, 0.07, 0.0])
    assert quality(clip).foot_slip < 1e-9
    assert quality(moved(clip, way, 1)).foot_slip == pytest.approx(0.07, abs=1e-6)
    assert quality(moved(clip, way + np.array([0.0, 0.0, 0.01]), 1)).foot_slip < 1e-9


def test_feet_that_turn_over_their_toes_slide_but_do_not_slip(standing_pair: Factory) -> None:
    """The ankle goes forward, the point on the floor stays."""
    clip = standing_pair()
    shapes = capsules(clip.bodies)
    toe = np.flatnonzero((shapes.person == 0) & (shapes.body == clip.bodies[0].index("L_Toe")))
    ends = world_ends(shapes, clip.position, rotations.to_matrix(clip.rotation))
    pivot = max((end[0, one] for end in ends for one in toe), key=lambda point: point[0]) * (1.0, 1.0, 0.0)
    turn = rotations.from_rotation_vector(np.linspace(0.0, 0.3, clip.num_frames)[:, None] * np.array([0.0, 1.0, 0.0]))
    local, root = clip.local_rotation.copy(), clip.root_position.copy()
    local[:, 0, 0] = rotations.multiply(turn, local[:, 0, 0])
    root[:, 0] = pivot + rotations.rotate(turn, root[:, 0] - pivot)
    rolled = quality(replace(clip, local_rotation=local, root_position=root))
    assert rolled.foot_slide > 0.005
    assert rolled.foot_slip < 0.001


def test_bent_and_turning_joints_are_measured(standing_pair: Factory) -> None:
    """A knee 0.5 rad forward is 0.5 rad less five degrees too far; a head turns at 2 rad/s."""
    clip = standing_pair(swing=0.0)
    assert quality(clip).joint_excess == 0.0
    local = clip.local_rotation.copy()
    local[:, 1, clip.bodies[1].index("L_Knee")] = rotations.from_rotation_vector(np.array([0.0, -0.5, 0.0]))
    turned = 2.0 * np.arange(clip.num_frames)[:, None] / clip.fps * np.array([0.0, 0.0, 1.0])
    local[:, 0, clip.bodies[0].index("Head")] = rotations.from_rotation_vector(turned)
    measured = quality(replace(clip, local_rotation=local))
    assert measured.joint_excess == pytest.approx(0.5 - np.radians(5), abs=1e-9)
    assert measured.turn_speed == pytest.approx(2.0, abs=1e-6)
