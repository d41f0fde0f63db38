"""Help up from the floor and sitting up on a bed: what is planned, drawn and refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistmimic_env import rotations
from assistmimic_env.body import get_body
from assistmimic_env.errors import ConfigError
from assistmimic_env.generator import floor, help_up, lay_to_sit
from assistmimic_env.generator.floor_starts import from_kneeling, from_sitting, knee_height
from assistmimic_env.quality import quality

BODY = get_body("smpl24", stature=1.72, mass=70.0)
STAGE = np.linspace(0.0, 1.0, 101)
FAMILIES = [help_up, lay_to_sit]


def test_course_reaches_its_values_and_rests_at_both_ends() -> None:
    time = np.linspace(-1.0, 4.0, 501)
    values = floor.course(time, 2.0, (0.0, 1.0, 5.0), (0.5, 3.0, 1.0))
    assert (values[0], values[-1]) == (2.0, pytest.approx(1.0))
    assert np.abs(np.diff(values))[[0, -1]].max() == 0.0
    assert np.abs(np.diff(values, n=2)).max() < 1e-2


def test_turned_rolls_first_and_yaws_last() -> None:
    """Somebody rolled onto the right side has the left arm up and the head to the right, wherever they face."""
    lying = floor.turned(roll=0.5 * np.pi)
    np.testing.assert_allclose(rotations.rotate(lying, np.array([0.0, 1.0, 0.0])), [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(rotations.rotate(lying, np.array([0.0, 0.0, 1.0])), [0.0, -1.0, 0.0], atol=1e-12)
    turned = floor.turned(yaw=0.5 * np.pi, roll=0.5 * np.pi)
    np.testing.assert_allclose(rotations.rotate(turned, np.array([0.0, 0.0, 1.0])), [1.0, 0.0, 0.0], atol=1e-12)


@given(pitch=st.floats(0.0, 1.5), yaw=st.floats(-1.0, 1.0))
def test_foot_on_toes_keeps_the_toes_where_they_are(pitch: float, yaw: float) -> None:
    toe = np.array([[0.3, 0.1, 0.02]])
    foot = floor.foot_on_toes(BODY, toe=toe, pitch=np.array([pitch]), yaw=yaw)
    np.testing.assert_allclose(foot.ankle + rotations.rotate(foot.rotation, floor.toe_center(BODY)), toe, atol=1e-12)


def test_raised_heel_lifts_the_ankle() -> None:
    flat, raised = (
        floor.foot_on_toes(BODY, toe=np.zeros((1, 3)), pitch=np.array([pitch])).ankle[0, 2] for pitch in (0.0, 1.2)
    )
    assert raised > flat + 0.08


@pytest.mark.parametrize("lead", [1, -1])
def test_front_foot_stands_still_and_the_rear_foot_ends_beside_it(lead: int) -> None:
    figure = from_kneeling(BODY, STAGE, lead=lead, spacing=0.24)
    front, rear = figure.feet if lead > 0 else figure.feet[::-1]
    np.testing.assert_allclose(front.ankle, front.ankle[:1] + np.zeros((101, 3)), atol=1e-12)
    assert front.ankle[0, 1] == pytest.approx(lead * 0.12)
    np.testing.assert_allclose(rear.ankle[-1], front.ankle[-1] * (1.0, -1.0, 1.0), atol=1e-9)
    assert rear.ankle[0, 0] < -0.6
    assert figure.supports[0].body == ("R_Knee" if lead > 0 else "L_Knee")


def test_centre_of_mass_is_over_the_front_foot_while_the_rear_foot_steps() -> None:
    figure = from_kneeling(BODY, STAGE, lead=1, spacing=0.24)
    toe = figure.feet[1].ankle + rotations.rotate(figure.feet[1].rotation, floor.toe_center(BODY))
    swings = toe[:, 2] > toe[0, 2] + 0.01
    assert 20 < swings.sum() < 60
    heel, ball = -0.05, 0.12
    assert ((figure.balance[swings, 0] > heel) & (figure.balance[swings, 0] < ball)).all()
    assert (figure.balance[swings, 1] > 0.1).mean() > 0.75


def test_both_knees_are_down_at_first_when_somebody_kneels() -> None:
    figure = from_kneeling(BODY, np.linspace(-1.0, 1.0, 201), lead=1, spacing=0.24)
    assert {support.body for support in figure.supports} == {"L_Knee", "R_Knee"}
    for support in figure.supports:
        weight = np.broadcast_to(support.weight, (201,))
        assert support.position[0, 2] == pytest.approx(knee_height(BODY))
        assert (weight[0], weight[-1]) == (20.0, pytest.approx(0.0))


def test_centre_of_mass_is_over_the_feet_before_somebody_seated_rises() -> None:
    figure = from_sitting(BODY, STAGE, spacing=0.36)
    risen = figure.pelvis[:, 2] > figure.pelvis[0, 2] + 0.05
    assert (figure.balance[risen, 0] > -0.06).all()
    assert figure.pelvis[0, 2] < 0.1 < 0.9 < figure.pelvis[-1, 2]


def test_pelvis_rolls_on_the_lower_thigh_without_sinking() -> None:
    roll = np.linspace(0.5 * np.pi, 0.0, 50)
    path = lay_to_sit._pelvis(BODY, 0.45, roll)
    hip = path + rotations.rotate(floor.turned(roll=roll), np.broadcast_to(BODY.offsets[BODY.index("R_Hip")], (50, 3)))
    thigh = next(geom.radius for geom in BODY.geoms if geom.body == BODY.index("R_Hip"))
    np.testing.assert_allclose(hip[:, 2] - thigh, 0.446, atol=1e-9)
    np.testing.assert_allclose(np.diff(hip[:, 1]), -(thigh - 0.004) * np.diff(roll), atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(12))
def test_train_and_test_parameters_are_disjoint(family: ModuleType, seed: int) -> None:
    train, test = (asdict(family.sample_parameters(seed, split)) for split in ("train", "test"))
    held_out = [
        name for name, bands in family.TEST_RANGES.items() if any(low <= test[name] <= high for low, high in bands)
    ]
    assert len(held_out) == 1
    for name, (low, high) in family.TRAIN_RANGES.items():
        assert low <= train[name] <= high
        assert (low <= test[name] <= high) == (name not in held_out)
    assert family.sample_parameters(seed) == family.sample_parameters(seed)


def test_start_and_place_can_be_chosen() -> None:
    drawn = help_up.sample_parameters(3, start="sitting", place="side")
    assert (drawn.start, drawn.place) == ("sitting", "side")


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_samples_are_named(family: ModuleType) -> None:
    with pytest.raises(ConfigError, match="split is 'tset'"):
        family.sample_parameters(0, "tset")
    with pytest.raises(ConfigError, match="seed is -1"):
        family.sample_parameters(-1)


def test_parameters_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="help_up: start is 'flying', expected one of half_kneeling"):
        help_up.HelpUpParameters(start="flying")
    with pytest.raises(ConfigError, match=r"help_up: rise_time is 1\.0, expected a value in \[2\.0, 8\.0\]"):
        help_up.HelpUpParameters(rise_time=1.0)
    with pytest.raises(ConfigError, match=r"lay_to_sit: bed_height is 0\.9"):
        replace(lay_to_sit.LayToSitParameters(), bed_height=0.9)


@pytest.mark.slow
def test_help_up_keeps_the_sanity_limits() -> None:
    """Feet stay, nobody is deep in the floor or in anybody, hands touch, nothing is fast."""
    clip = help_up.help_up(parameters=help_up.HelpUpParameters(start="sitting", foot_spacing=0.36))
    measured = quality(clip)
    assert measured.foot_slide < 1e-3
    assert measured.floor_depth < 5e-3
    assert measured.partner_depth < 0.02
    assert measured.contact_gap < 2e-3
    assert measured.joint_speed < 1.5
    assert clip.metadata["family"] == "help_up/sitting/front/both_hands/forearms"
