"""Holds: hands that grip the partner with limited strength."""

from __future__ import annotations

import numpy as np
import pytest

from assistmimic_env import make_vec
from assistmimic_env.actuation import target_to_action
from assistmimic_env.clip import load_clip
from assistmimic_env.config import PHYSICS_PRESETS, EnvConfig, GripConfig, env_config
from assistmimic_env.errors import ConfigError
from assistmimic_env.grip import clip_holds, grippable, nearest_point
from assistmimic_env.simulation import PairSimulation

CLASP = ("supporter", "R_Hand", "R_Hand")
UPPER_ARM = ("supporter", "L_Hand", "R_Shoulder")
STRENGTH = GripConfig().strength


def make_simulation(clip: str, worlds: int = 1, physics: str = "standard", **grip: object) -> PairSimulation:
    """A clip from its first frame, on the reference, never failing."""
    options = {"grip": {"mode": "reference", **grip}, "start": "first", "termination_distance": np.inf}
    simulation = PairSimulation([load_clip(clip)], worlds, env_config(physics=physics, **options), threads=1)
    simulation.reset(np.arange(worlds))
    return simulation


def make_pull_up(worlds: int = 1, **grip: object) -> PairSimulation:
    """The real clip."""
    return make_simulation("pull_up", worlds, **grip)


class Pull:
    """One hold is loaded by pulling the hand and the arm it holds apart, without gravity, a load per world."""

    def __init__(self, loads: list[float], *, squeeze: float = 0.0, **settings: object) -> None:
        self.simulation = make_simulation("sit_to_stand/train_00", len(loads), **settings)
        self.worlds, body = self.simulation.worlds, self.simulation.body
        self.column = self.worlds.scene.holds.index(UPPER_ARM)
        self.rest = next(hold.rest for hold in self.worlds.scene.settings[0].holds if hold.key == UPPER_ARM) - squeeze
        self.hand, self.arm = body.index(UPPER_ARM[1]), body.index(UPPER_ARM[2])
        self._loads, self._rows = np.array(loads)[:, None], (1 + self.hand, 1 + body.num_bodies + self.arm)
        self.worlds._batch.expand("opt.gravity")[:] = 0.0
        self._push, self._centre = (self.worlds._batch.bind(name) for name in ("xfrc_applied", "xipos"))

    def run(self, steps: int = 45) -> None:
        """Raise the load for half a second, then keep it."""
        targets = self.simulation.reference.target[[0] * self.worlds.num_worlds]
        lengths = np.full((self.worlds.num_worlds, self.worlds.num_holds), np.inf)
        lengths[:, self.column] = self.rest
        for step in range(steps):
            gap = self.worlds.hold_gap()[:, self.column]
            force = self._loads * min(step / 15.0, 1.0) * gap / np.linalg.norm(gap, axis=-1, keepdims=True)
            for end, (row, sign) in enumerate(zip(self._rows, (-1.0, 1.0), strict=True)):
                arm = self.worlds._sites[:, self.worlds._hold_ends[self.column, end]] - self._centre[:, row]
                self._push[:, row] = np.concatenate([sign * force, np.cross(arm, sign * force)], axis=-1)
            self.worlds.step(targets, lengths)

    def stretch(self) -> np.ndarray:
        """How far the hold is beyond its length, shape (loads,) [m]."""
        return self.worlds.hold_distance()[:, self.column] - self.rest

    def support(self) -> np.ndarray:
        """Force of the supporter's hand on the recipient's arm, shape (loads,) [N]."""
        return np.linalg.norm(self.worlds.contact_force[:, 0, self.hand], axis=-1)


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
    assert weak.worlds.hold_tension.max() <= 20.0 + 1e-9
    strong = make_pull_up(strength=300.0)
    replay(strong, 45)
    gap, wide = (np.linalg.norm(sim.worlds.hold_gap()[0, 1]) for sim in (strong, weak))
    assert gap < 0.1 < wide


@pytest.mark.parametrize("physics", ["standard", "fast", "fine", "reference"])
def test_a_hold_carries_its_strength_and_no_more(physics: str) -> None:
    """With PGS at the shipped tolerance as with Newton: lost between 97 and 103 % of the configured strength."""
    assert PHYSICS_PRESETS["standard"].solver == "pgs"
    pull = Pull([0.97 * STRENGTH, 1.03 * STRENGTH], physics=physics)
    pull.run()
    stretch = pull.stretch()
    assert stretch[0] < 0.04
    assert stretch[1] > pull.simulation.config.grip.release
    assert pull.worlds.hold_tension.max() <= STRENGTH + 1e-9


def test_support_is_the_load_and_no_load_reads_zero() -> None:
    """Within 2 N: without gravity the two people still sway by 0.14 rad/s, and the hand rests on the arm."""
    pull = Pull([0.0, 50.0, 200.0])
    pull.run()
    np.testing.assert_allclose(pull.support(), [0.0, 50.0, 200.0], atol=2.0)


def test_squeezing_is_not_support() -> None:
    """A grip that presses the hand onto the arm pulls as the surfaces push: the sum is what the partner feels."""
    pull = Pull([0.0], squeeze=0.01)
    pull.run()
    assert pull.worlds.hold_tension[0, pull.column] > 80.0
    assert pull.support()[0] < 15.0


def test_an_open_hold_never_pulls() -> None:
    """Not even when its ends move apart as fast as people can."""
    simulation = make_pull_up()
    simulation.worlds._qvel[0, :3] = 10.0
    simulation.worlds.step(simulation.reference.target[[0]])
    assert np.isinf(simulation.worlds.hold_lengths).all()
    assert not simulation.worlds.hold_tension.any()


def test_a_hand_too_far_away_does_not_hold() -> None:
    """The clasp opens beyond its release distance and does not catch the partner from afar."""
    simulation = make_pull_up(release=0.0)
    replay(simulation, 30)
    assert np.isinf(simulation.worlds.hold_lengths).all()


@pytest.mark.parametrize("mode", ["reference", "automatic"])
def test_worlds_with_holds_are_restored_bit_for_bit(mode: str) -> None:
    """Also into another world that grips elsewhere, in the middle of the pull."""
    simulation = make_pull_up(worlds=2, mode=mode)
    replay(simulation, 35)
    state = simulation.get_state(np.array([0]))
    assert np.isfinite(simulation.worlds.hold_lengths[0]).any()
    first = replay(simulation, 10)
    simulation.reset(np.array([1]), frame=np.array([60]))
    replay(simulation, 5)
    simulation.set_state(state, np.array([1]))
    second = replay(simulation, 10)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a[0], b[1])


def test_automatic_hands_close_where_they_touch_and_pull_nothing_by_closing() -> None:
    """Four hands on four upper arms at the start of the clip, each attached at the nearest point of the axis."""
    simulation = make_simulation("sit_to_stand/train_00", mode="automatic")
    worlds = simulation.worlds
    replay(simulation, 1)
    held = {worlds.scene.holds[column] for column in np.flatnonzero(np.isfinite(worlds.hold_lengths[0]))}
    assert held == {hold.key for hold in clip_holds(load_clip("sit_to_stand/train_00"))}
    columns = np.isfinite(worlds.hold_lengths[0])
    slack = (worlds.hold_distance() - worlds.hold_lengths)[0, columns]
    assert np.abs(slack).max() < 0.003
    assert worlds.hold_tension.max() < 50.0


def test_automatic_hands_hold_one_body_each_until_they_slip() -> None:
    """Random motion from the start pose: hands close and slip, and never hold two bodies."""
    simulation = make_simulation("sit_to_stand/train_00", 8, mode="automatic")
    rng = np.random.default_rng(0)
    held = []
    for _ in range(60):
        transition = simulation.step(rng.uniform(-1.0, 1.0, (8, 2, 69)))
        assert not transition.physics_error.any()
        held.append(np.isfinite(simulation.worlds.hold_lengths))
        assert (held[-1].reshape(8, 4, len(grippable(simulation.body))).sum(axis=-1) <= 1).all()
        assert (simulation.worlds.hold_tension[~held[-1]] == 0.0).all()
    assert (held[0].sum(axis=1) == 4).all()
    assert held[-1].sum() < held[0].sum()


def test_open_holds_are_not_drawn() -> None:
    """Of the 24 tendons of the automatic mode only those of hands that hold are visible."""
    simulation = make_simulation("sit_to_stand/train_00", mode="automatic")
    replay(simulation, 1)
    model, _ = simulation.worlds.world_data(0)
    np.testing.assert_array_equal(model.tendon_rgba[:, 3] > 0.0, np.isfinite(simulation.worlds.hold_lengths[0]))


def test_automatic_hands_do_not_know_of_other_worlds() -> None:
    """World 2 of three is bit for bit a world alone."""
    simulations = [make_simulation("sit_to_stand/train_00", worlds, mode="automatic") for worlds in (3, 1)]
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (20, 3, 2, 69))
    for action in actions:
        many, alone = (sim.step(a).observation for sim, a in zip(simulations, (action, action[2:]), strict=True))
        np.testing.assert_array_equal(many[2], alone[0])


def test_automatic_hands_do_not_reach() -> None:
    """A hand above the surface by more than the reach stays open; with a longer reach it closes."""
    near, far = (make_simulation("pull_up", mode="automatic", reach=reach) for reach in (0.0, 0.5))
    for simulation in (near, far):
        simulation.reset(np.array([0]), frame=np.array([100]))
        replay(simulation, 1)
    assert np.isinf(near.worlds.hold_lengths).all()
    assert np.isfinite(far.worlds.hold_lengths).any()


def test_nearest_points_of_segments() -> None:
    """Inside, beyond both ends, and on a segment without length."""
    point = np.array([[0.5, 1.0, 0.0], [-2.0, 1.0, 0.0], [3.0, 0.0, 1.0], [3.0, 0.0, 0.0]])
    first, last = np.zeros((4, 3)), np.array([[1.0, 0.0, 0.0]] * 3 + [[0.0, 0.0, 0.0]])
    expected = [[0.5, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(nearest_point(point, first, last), expected, atol=1e-12)


def test_without_grip_the_model_has_no_holds() -> None:
    """Off by default: parity with a world that knows no grip."""
    assert EnvConfig().grip == GripConfig(mode="none")
    vec = make_vec("AssistMimic/PullUp-v0", num_envs=1, grip="none")
    assert vec.worlds.num_holds == 0
    assert vec.worlds.scene.model.nu == 138
    assert make_vec("AssistMimic/PullUp-v0", num_envs=1).worlds.num_holds == 2
    assert make_vec("AssistMimic/PullUp-v0", num_envs=1, grip="automatic").worlds.num_holds == 24


def test_variants_without_a_hold_never_use_it() -> None:
    """Clips with different contacts share one scene."""
    clips = [load_clip("pull_up"), load_clip("sit_to_stand/train_00")]
    config = env_config(grip="reference", start="first", termination_distance=np.inf)
    simulation = PairSimulation(clips, 2, config, threads=1)
    simulation.reset(np.arange(2), clip=np.array([0, 1]))
    replay(simulation, 5)
    used = np.isfinite(simulation.worlds.hold_lengths)
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
    with pytest.raises(ConfigError, match=r"grip\.reach"):
        env_config(grip={"mode": "automatic", "reach": -0.01})
