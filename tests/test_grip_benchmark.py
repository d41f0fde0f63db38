"""The comparison of grips: what it claims about each mechanism, in the scene where all forces are known."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from assistmimic_env.config import GripConfig
from assistmimic_env.grip_benchmark import SOLVERS, Mechanism, Trial, capsules

MECHANISMS = get_args(Mechanism)
STRENGTH = GripConfig().strength


def pulled(mechanism: Mechanism, load: float, *, solver: str = "PGS 1e-5") -> Trial:
    """A trial after two thirds of a second with a load [N]."""
    trial = Trial(capsules(SOLVERS[solver]), mechanism, STRENGTH)
    trial.run(0.2)
    trial.run(0.7, load)
    return trial


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_the_arm_feels_is_the_load(mechanism: Mechanism) -> None:
    """Contact force and the mechanism's own together, without load and with one."""
    for load in (0.0, 100.0):
        assert pulled(mechanism, load).net() == pytest.approx(load, abs=0.2)


def test_only_adhesion_shows_up_in_the_contact_sensor() -> None:
    """An unloaded palm that adheres reads its whole strength; the others read nothing."""
    readings = {mechanism: pulled(mechanism, 0.0).raw() for mechanism in MECHANISMS}
    assert readings == pytest.approx({"clasp": 0.0, "adhesion": STRENGTH, "connect": 0.0}, abs=0.1)


def test_only_the_clasp_just_pulls() -> None:
    """Pushed onto the arm, a clasp does nothing; a joint takes a part of the push, adhesion stays on."""
    own = {mechanism: np.linalg.norm(pulled(mechanism, -100.0).own()) for mechanism in MECHANISMS}
    assert own["clasp"] == 0.0
    assert own["connect"] > 10.0
    assert own["adhesion"] == pytest.approx(STRENGTH)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism_is_lost_at_its_strength(mechanism: Mechanism, solver: str) -> None:
    """Straight off the arm, whatever the solver and its tolerance."""
    kept, lost = (pulled(mechanism, share * STRENGTH, solver=solver).gap()[2] for share in (0.95, 1.1))
    assert kept < 0.12 < lost


def test_squeezing_is_not_support() -> None:
    """A clasp that closed 1 cm too short presses the hand onto the arm, which feels nothing of it as a whole."""
    trial = Trial(capsules(SOLVERS["PGS 1e-5"]), "clasp", STRENGTH)
    trial.data.ctrl[0] -= 0.01
    trial.run(0.7)
    assert trial.raw() > 50.0
    assert trial.net() == pytest.approx(0.0, abs=0.01)
