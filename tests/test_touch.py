"""Analytic cases of contacts between people: what the clip expects, what happens, how hard it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from assistmimic_env import touch
from assistmimic_env.body import get_body
from assistmimic_env.clip import Contact, PairClip, load_clip

BODY = get_body("smpl24")
SUPPORTER, RECIPIENT = 0, 1
LEFT, RIGHT = 0, 1


def test_a_contact_expects_the_hands_at_both_ends(standing_pair: Callable[..., PairClip]) -> None:
    """From its first to its last frame; a shoulder is no hand."""
    contacts = (
        Contact(role="supporter", body="L_Hand", partner_body="R_Wrist", start=0.1, end=0.2),
        Contact(role="recipient", body="L_Hand", partner_body="R_Shoulder", start=0.0, end=10 / 30),
    )
    flags = touch.expected_touch(replace(standing_pair(frames=11), contacts=contacts))
    assert np.flatnonzero(flags[:, SUPPORTER, LEFT]).tolist() == [3, 4, 5, 6]
    assert np.flatnonzero(flags[:, RECIPIENT, RIGHT]).tolist() == [3, 4, 5, 6]
    assert flags[:, RECIPIENT, LEFT].all()
    assert not flags[:, SUPPORTER, RIGHT].any()


def test_the_real_clip_expects_a_clasp_of_right_hands() -> None:
    """For the first 1.73 s, at 30 frames per second, both people."""
    flags = touch.expected_touch(load_clip("pull_up"))
    assert flags[:53, :, RIGHT].all()
    assert not flags[53:, :, RIGHT].any()


def test_a_hand_touches_above_one_newton() -> None:
    """By its wrist or its hand; a force on another body is no touch, and neither is a missing one."""
    force = np.zeros((4, BODY.num_bodies, 3))
    force[0, BODY.index("L_Wrist")] = [0.0, 0.8, 0.8]
    force[1, BODY.index("R_Hand")] = [0.0, 0.0, -1.0]
    force[2, BODY.index("L_Elbow")] = [100.0, 0.0, 0.0]
    force[3] = np.nan
    flags = touch.touch(force, touch.hand_bodies(BODY))
    assert flags.tolist() == [[True, False], [False, False], [False, False], [False, False]]


def test_precision_and_recall_of_a_known_table() -> None:
    """3 hits, 1 false touch, 2 missed; frames that do not count change nothing."""
    touching = np.array([[1, 1], [1, 0], [0, 1], [1, 1]], np.bool_)
    expected = np.array([[1, 1], [1, 1], [1, 0], [0, 0]], np.bool_)
    measured = np.array([1, 1, 1, 0], np.bool_)
    assert touch.precision(touching, expected, measured) == pytest.approx(3 / 4)
    assert touch.recall(touching, expected, measured) == pytest.approx(3 / 5)


def test_perfect_and_absent_contact() -> None:
    """1 for the expected touches, NaN where there is nothing to judge."""
    flags, measured = np.ones((6, 2), np.bool_), np.ones(6, np.bool_)
    assert touch.precision(flags, flags, measured) == touch.recall(flags, flags, measured) == 1.0
    assert np.isnan(touch.precision(~flags, flags, measured))
    assert touch.recall(~flags, flags, measured) == 0.0
    assert np.isnan(touch.recall(flags, ~flags, measured))


def test_rates_are_per_rollout() -> None:
    """Leading dimensions are kept."""
    touching = np.zeros((2, 3, 4), np.bool_)
    touching[1] = True
    expected, measured = np.ones_like(touching), np.ones((2, 3), np.bool_)
    np.testing.assert_array_equal(touch.recall(touching, expected, measured), [0.0, 1.0])


def test_every_body_belongs_to_one_region() -> None:
    """So that the forces on the regions add up to the force on the person."""
    force = np.random.default_rng(0).normal(size=(3, BODY.num_bodies, 3))
    total = np.linalg.norm(force, axis=-1).sum(axis=-1)
    np.testing.assert_allclose(touch.region_force(force, BODY).sum(axis=-1), total)


def test_region_force_adds_magnitudes() -> None:
    """Two hands squeezed from opposite sides hurt twice; the neck counts to the head."""
    force = np.zeros((BODY.num_bodies, 3))
    force[BODY.index("L_Hand")], force[BODY.index("R_Wrist")] = [0.0, 30.0, 40.0], [0.0, -30.0, -40.0]
    force[BODY.index("Neck")] = [0.0, 0.0, 7.0]
    found = dict(zip(touch.REGIONS, touch.region_force(force, BODY), strict=True))
    assert found["hands"] == pytest.approx(100.0)
    assert found["head"] == pytest.approx(7.0)
    assert found["trunk"] == found["arms"] == found["pelvis"] == found["legs"] == 0.0
