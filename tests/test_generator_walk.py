"""Supported walking: footholds, a centre of mass that balances over them, two people in step who hold on."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from assistmimic_env import rotations
from assistmimic_env.capsules import capsules, world_ends
from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.errors import ConfigError
from assistmimic_env.generator import FAMILIES, supported_walk
from assistmimic_env.generator.gait import GRAVITY, Gait
from assistmimic_env.generator.supported_walk import SupportedWalkParameters, sample_parameters
from assistmimic_env.generator.timing import FPS
from assistmimic_env.quality import center_of_mass, quality

GAIT = Gait(
    steps=5, step_time=0.75, step_length=0.25, turn=0.6, beside=0.3, width=0.17, ankle_height=0.08, pendulum=0.95
)
TRAIN = FAMILIES["supported_walk"].bundled_names("train")


@pytest.fixture(scope="module", params=TRAIN)
def clip(request: pytest.FixtureRequest) -> PairClip:
    return load_clip(request.param)


def flying(gait: Gait) -> np.ndarray:
    """Whether each foot is in the air, shape (T, 2)."""
    return gait.feet[0][..., 2] > gait.ankle_height + 1e-6


def test_feet_take_turns_and_never_both_fly() -> None:
    air = flying(GAIT)
    assert not air.all(axis=1).any()
    begins = [(frame, foot) for foot in (0, 1) for frame in np.flatnonzero(np.diff(air[:, foot].astype(int)) == 1)]
    assert [foot for _, foot in sorted(begins)] == [0, 1, 0, 1, 0]


def test_a_standing_foot_does_not_move() -> None:
    position, heading = GAIT.feet
    for foot in (0, 1):
        still = ~(flying(GAIT)[1:, foot] | flying(GAIT)[:-1, foot])
        assert np.abs(np.diff(position[:, foot], axis=0))[still].max() < 1e-9
        assert np.abs(np.diff(heading[:, foot]))[still].max() < 1e-9


def test_the_walk_ends_with_closed_feet_where_the_path_leads() -> None:
    position, heading = GAIT.feet
    np.testing.assert_allclose(heading[-1], GAIT.turn)
    gap = position[-1, 0] - position[-1, 1]
    np.testing.assert_allclose(np.linalg.norm(gap), GAIT.width)
    expected, _ = GAIT.place(np.array(GAIT.distance), 0.0)
    np.testing.assert_allclose(position[-1].mean(axis=0)[:2], expected)


def test_walking_straight_keeps_the_line() -> None:
    position, heading = replace(GAIT, turn=0.0).feet
    np.testing.assert_allclose(position[..., 1], GAIT.beside + 0.5 * GAIT.width * np.array([[1.0, -1.0]]) + 0 * heading)
    assert position[-1, 0, 0] == pytest.approx(4 * 0.25)


@pytest.mark.parametrize(("turn", "left"), [(0.6, 0.0), (0.6, 0.3), (-0.8, 0.3), (1.2, -0.5)])
def test_a_turning_walk_goes_along_a_circle(turn: float, left: float) -> None:
    """Around one centre for everybody, whoever walks on the inside takes shorter steps."""
    gait = replace(GAIT, turn=turn, beside=0.0)
    radius = gait.distance / turn
    place, heading = gait.place(np.linspace(0.0, gait.distance, 50), left)
    np.testing.assert_allclose(np.linalg.norm(place - (0.0, radius), axis=-1), abs(radius - left))
    np.testing.assert_allclose(heading[[0, -1]], [0.0, turn])
    length = np.linalg.norm(np.diff(place, axis=0), axis=-1).sum()
    assert length == pytest.approx(abs((radius - left) * turn), rel=1e-3)


def test_pressure_stays_between_the_feet_and_on_the_only_standing_one() -> None:
    ankles, air = GAIT.feet[0][..., :2], flying(GAIT)
    middle = GAIT.pressure - 0.35 * GAIT.ankle_height * np.stack([np.cos(GAIT.heading), np.sin(GAIT.heading)], axis=-1)
    for foot in (0, 1):
        alone = air[:, 1 - foot]
        assert np.linalg.norm(middle[alone] - ankles[alone, foot], axis=-1).max() < 1e-6
    apart = np.linalg.norm(ankles[:, 0] - ankles[:, 1], axis=-1)
    ways = sum(np.linalg.norm(middle - ankles[:, foot], axis=-1) for foot in (0, 1))
    np.testing.assert_allclose(ways, apart, atol=1e-6)  # on the segment between the ankles


def test_centre_of_mass_is_that_of_an_inverted_pendulum_over_the_pressure() -> None:
    c = GAIT.center_of_mass
    acceleration = np.diff(c, n=2, axis=0) * FPS**2
    np.testing.assert_allclose(c[1:-1] - GAIT.pendulum / GRAVITY * acceleration, GAIT.pressure[1:-1], atol=1e-9)
    assert np.abs(acceleration[[0, -1]]).max() < 0.05


def test_both_walk_in_step(clip: PairClip) -> None:
    """Their left feet rise and stand at the same times, and they stay side by side."""
    names = clip.bodies[0].names
    for side in ("L_Ankle", "R_Ankle"):
        height = clip.position[:, :, names.index(side), 2]
        up = height > height.min(axis=0) + 0.01
        assert (up[:, 0] == up[:, 1]).mean() > 0.97
    apart = np.linalg.norm(np.diff(clip.root_position[..., :2], axis=1)[:, 0], axis=-1)
    gap = clip.metadata["parameters"]["gap"]
    assert np.abs(apart - gap).max() < 0.08


def test_the_arm_is_held_during_the_whole_walk(clip: PairClip) -> None:
    parameters = clip.metadata["parameters"]
    assert len(clip.contacts) == {"one": 1, "both": 2}[parameters["hands"]]
    for hold in clip.contacts:
        assert (hold.role, hold.start, hold.end) == ("supporter", 0.0, clip.duration)
        assert hold.partner_body in (
            ("L_Shoulder", "L_Elbow") if parameters["side"] == "left" else ("R_Shoulder", "R_Elbow")
        )


def test_holding_hands_touch_the_arm_and_feet_that_stand_stay(clip: PairClip) -> None:
    """A supporter ten centimetres further away does not touch it any more."""
    measured = quality(clip)
    assert measured.contact_gap < 0.002
    assert max(measured.foot_slide, measured.foot_slip) < 0.005
    away = np.diff(clip.root_position, axis=1)[:, 0] * (1.0, 1.0, 0.0)
    root = clip.root_position.copy()
    root[:, 0] -= 0.1 * away / np.linalg.norm(away, axis=-1, keepdims=True)
    assert quality(replace(clip, root_position=root)).contact_gap > 0.01


def test_both_end_turned_as_far_as_the_path(clip: PairClip) -> None:
    heading = rotations.heading(clip.rotation[[0, -1], :, 0])
    turned = np.angle(np.exp(1j * np.diff(heading, axis=0)))
    np.testing.assert_allclose(turned, clip.metadata["parameters"]["turn"], atol=0.05)


def test_centres_of_mass_stay_near_the_standing_feet(clip: PairClip) -> None:
    """Outside the polygon of the soles for less than a step: an inverted pendulum falls onto its next foot."""
    over = center_of_mass(clip)[..., :2]
    shapes = capsules(clip.bodies)
    ends = world_ends(shapes, clip.position, rotations.to_matrix(clip.rotation))
    feet = np.isin(shapes.body, clip.bodies[0].indices(("L_Ankle", "R_Ankle", "L_Toe", "R_Toe")))
    for one, frame in product((0, 1), range(0, clip.num_frames, 5)):
        soles = feet & (shapes.person == one)
        points = np.concatenate([end[frame, soles] for end in ends])
        stands = points[:, 2] - np.tile(shapes.radius[soles], 2) < 0.01
        hull = ConvexHull(points[stands, :2])
        assert (hull.equations[:, :2] @ over[frame, one] + hull.equations[:, 2]).max() < 0.08


def test_centres_of_mass_move_smoothly_and_end_over_the_feet(clip: PairClip) -> None:
    over = center_of_mass(clip)[..., :2]
    assert np.linalg.norm(np.diff(over, n=2, axis=0), axis=-1).max() * clip.fps**2 < 5.0
    feet = clip.bodies[0].indices(("L_Ankle", "R_Ankle"))
    assert np.linalg.norm(over[-1] - clip.position[-1, :, feet, :2].mean(axis=0), axis=-1).max() < 0.08


def test_seeds_take_turns_with_sides_and_hands() -> None:
    drawn = [sample_parameters(seed) for seed in range(4)]
    assert [(one.side, one.hands) for one in drawn] == [
        ("left", "one"), ("right", "one"), ("left", "both"), ("right", "both")
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_test_seeds_have_one_parameter_outside_the_train_ranges(seed: int) -> None:
    drawn = asdict(sample_parameters(seed, "test"))
    outside = [name for name, (low, high) in supported_walk.TRAIN_RANGES.items() if not low <= drawn[name] <= high]
    assert outside == [list(supported_walk.TEST_RANGES)[seed % len(supported_walk.TEST_RANGES)]]


@pytest.mark.parametrize(
    ("changes", "hint"), [({"side": "lft"}, "left, right"), ({"steps": 90}, "steps"), ({"turn": 9}, "turn")]
)
def test_what_cannot_be_walked_is_refused(changes: dict[str, object], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        SupportedWalkParameters(**changes)  # type: ignore[arg-type]


def test_successive_footholds_are_one_step_apart() -> None:
    way, _ = GAIT.footholds
    landed = sorted({round(float(value), 9) for row in way for value in row})
    assert [round(b - a, 9) for a, b in pairwise(landed)] == [0.25] * 4
