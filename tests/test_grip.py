"""Holds: hands that grip the partner with limited strength."""

from __future__ import annotations

import numpy as np
import pytest

from assistmimic_env import make_vec
from assistmimic_env.actuation import target_to_action
from assistmimic_env.clip import load_clip
from assistmimic_env.config import EnvConfig, GripConfig, env_config
from assistmimic_env.errors import ConfigError
from assistmimic_env.grip import clip_holds
from assistmimic_env.simulation import PairSimulation

CLASP = ("supporter", "R_Hand", "R_Hand")


def make_pull_up(worlds: int = 1, **grip: object) -> PairSimulation:
    """The real clip from its first frame, on the reference, never failing."""
    config = env_config(grip={"mode": "reference", **grip}, start="first", termination_distance=np.inf)
    simulation = PairSimulation([load_clip("pull_up")], worlds, config, threads=1)
    simulation.reset(np.arange(worlds))
    return simulation


def replay(simulation: PairSimulation, steps: int) -> list[np.ndarray]:
    """Ask for the reference; returns the contact forces of every step."""
    forces = []
    for _ in range(steps):
        row = simulation.reference.row(simulation.clip, simulation.frame + 1)
        action = target_to_action(simulation.reference.target[row], simulation.action_scale)
        forces.append(simulation.step(action).contact_force)
    return forces


def tension(simulation: PairSimulation, forces: np.ndarray) -> float:
    """Force on the recipient's right hand [N]."""
    return float(np.linalg.norm(forces[0, 1, simulation.body.index("R_Hand")]))


def test_clip_contacts_of_hands_become_holds() -> None:
    """The clasp and the second hand on the forearm."""
    holds = {hold.key: hold for hold in clip_holds(load_clip("pull_up"))}
    assert set(holds) == {CLASP, ("supporter", "L_Hand", "R_Elbow")}
    assert 0.03 < holds[CLASP].rest < 0.08
    assert holds[CLASP].active(np.array([0.5, 3.5])).tolist() == [True, False]


def test_a_clasp_pulls_the_recipient_and_equally_the_supporter() -> None:
    """Measured: up to 207 N while the recipient leaves the stool; forces between the two people cancel."""
    simulation = make_pull_up()
    forces = replay(simulation, 45)
    assert max(tension(simulation, force) for force in forces) > 100.0
    for force in forces:
        np.testing.assert_allclose(force.sum(axis=(1, 2)), 0.0, atol=1e-6)


def test_a_clasp_slips_at_its_strength() -> None:
    """The tension never exceeds the strength by more than the hands' touching force."""
    weak = make_pull_up(strength=20.0)
    replay(weak, 45)
    pull = -weak.worlds._batch.bind("actuator_force")[0, weak.worlds._servos :]
    assert pull.max() <= 20.0 + 1e-9
    strong = make_pull_up(strength=300.0)
    replay(strong, 45)
    gap, wide = (np.linalg.norm(sim.worlds.hold_gap()[0, 1]) for sim in (strong, weak))
    assert gap < 0.1 < wide


def test_an_unloaded_hold_reads_zero() -> None:
    """Where the surfaces just touch, nothing pulls: the grip's own force is not counted as support."""
    simulation = make_pull_up(stiffness=0.0, damping=0.0)
    replay(simulation, 5)
    assert not simulation.worlds._batch.bind("actuator_force")[0, simulation.worlds._servos :].any()


def test_a_hand_too_far_away_does_not_hold() -> None:
    """The clasp opens beyond its release distance and does not catch the partner from afar."""
    simulation = make_pull_up(release=0.0)
    replay(simulation, 30)
    assert not simulation.worlds._ctrl[0, simulation.worlds._servos :].any()


def test_worlds_with_holds_are_restored_bit_for_bit() -> None:
    """Also into another world, in the middle of the pull."""
    simulation = make_pull_up(worlds=2)
    replay(simulation, 35)
    state = simulation.get_state(np.array([0]))
    first = replay(simulation, 10)
    simulation.set_state(state, np.array([1]))
    second = replay(simulation, 10)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a[0], b[1])


def test_without_grip_the_model_has_no_holds() -> None:
    """Off by default: parity with a world that knows no grip."""
    assert EnvConfig().grip == GripConfig(mode="none")
    vec = make_vec("AssistMimic/PullUp-v0", num_envs=1, grip="none")
    assert vec.worlds.num_holds == 0
    assert vec.worlds.scene.model.nu == 138
    assert make_vec("AssistMimic/PullUp-v0", num_envs=1).worlds.num_holds == 2


def test_variants_without_a_hold_never_use_it() -> None:
    """Clips with different contacts share one scene."""
    clips = [load_clip("pull_up"), load_clip("sit_to_stand/train_00")]
    config = env_config(grip="reference", start="first", termination_distance=np.inf)
    simulation = PairSimulation(clips, 2, config, threads=1)
    simulation.reset(np.arange(2), clip=np.array([0, 1]))
    replay(simulation, 5)
    used = simulation.worlds._ctrl[:, simulation.worlds._servos :] > 0.0
    own = [{hold.key for hold in setting.holds} for setting in simulation.scene.settings]
    for world in range(2):
        assert {key for key, on in zip(simulation.scene.holds, used[world], strict=True) if on} <= own[world]
    assert used.any(axis=1).all()


def test_grip_settings_are_checked() -> None:
    """Unknown modes and unstable stiffness are refused with the reason."""
    with pytest.raises(ConfigError, match="Did you mean 'reference'"):
        env_config(grip="referense")
    with pytest.raises(ConfigError, match=r"grip\.stiffness"):
        env_config(grip={"stiffness": 1e9})
