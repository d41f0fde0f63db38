"""The layout of observations: complete, without overlap, PHC's blocks first."""

from __future__ import annotations

import numpy as np
import pytest

from assistmimic_env import layout as module
from assistmimic_env.body import smpl24
from assistmimic_env.errors import ConfigError
from assistmimic_env.layout import GROUPS, build_layout

LAYOUT = build_layout(smpl24())


def test_blocks_tile_the_observation_in_order() -> None:
    covered = np.concatenate([np.arange(LAYOUT.size)[LAYOUT[name]] for name in LAYOUT.sizes])
    np.testing.assert_array_equal(covered, np.arange(LAYOUT.size))
    assert all(LAYOUT[name].stop - LAYOUT[name].start == size for name, size in LAYOUT.sizes.items())


def test_groups_tile_the_observation_too() -> None:
    assert [LAYOUT[name].start for name in GROUPS] == [0, *[LAYOUT[name].stop for name in GROUPS][:-1]]
    assert LAYOUT["partner"].stop == LAYOUT.size
    assert [name for names in GROUPS.values() for name in names] == list(LAYOUT.sizes)


def test_the_first_934_numbers_are_those_of_phc() -> None:
    """Self v1: 1 + 69 + 144 + 72 + 72 = 358; goal v6: 24 x (3 + 6 + 3 + 3 + 3 + 6) = 576 (spec/phc.md section 4)."""
    assert LAYOUT["self"] == slice(0, 358)
    assert LAYOUT["goal"] == slice(358, 934)
    sizes = list(LAYOUT.sizes.values())
    assert sizes[:5] == [1, 69, 144, 72, 72]
    assert sizes[5:11] == [72, 144, 72, 72, 72, 144]


def test_sizes_of_the_partner_block_follow_its_table() -> None:
    expected = {
        "partner_position": 72,
        "partner_velocity": 72,
        "partner_rotation": 144,
        "partner_goal_position": 72,
        "partner_goal_velocity": 72,
        "contact_force": 72,
        "partner_tilt": 6,
        "partner_from_wrists": 144,
        "hand_contact": 4,
        "partner_hand_contact": 4,
        "previous_action": 69,
    }
    assert {name: LAYOUT.sizes[name] for name in GROUPS["partner"]} == expected


def test_bounds_are_finite_positive_and_follow_the_unit() -> None:
    assert LAYOUT.bounds.shape == (LAYOUT.size,)
    assert LAYOUT.bounds.dtype == np.float32
    by_unit = {
        100.0: ["root_height", "body_position", "goal_position", "goal_position_error", "partner_from_wrists"],
        1000.0: ["body_velocity", "goal_angular_velocity_error", "partner_velocity", "partner_goal_velocity"],
        1.0: ["body_rotation", "goal_rotation", "contact_force", "hand_contact", "previous_action", "partner_tilt"],
    }
    for bound, names in by_unit.items():
        for name in names:
            np.testing.assert_array_equal(LAYOUT.bounds[LAYOUT[name]], bound)
    with pytest.raises(ValueError, match="read-only"):
        LAYOUT.bounds[0] = 1.0


def test_unknown_block_is_answered_with_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"no block 'goal_positon'\. Did you mean 'goal_position'"):
        LAYOUT["goal_positon"]


def test_layout_is_a_mapping_of_all_names() -> None:
    assert set(LAYOUT) == set(LAYOUT.sizes) | set(GROUPS)
    assert len(LAYOUT) == len(list(LAYOUT))
    assert "self" in LAYOUT


def test_table_of_the_module_names_every_block() -> None:
    for name in LAYOUT.sizes:
        assert f"`{name}`" in (module.__doc__ or ""), name
