"""Each measurement reacts to the fault it is named after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

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
