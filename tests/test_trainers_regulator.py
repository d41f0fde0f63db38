"""The regulator that teaches, and its imitation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import make_vec, standing_clip

import assistmimic_env
from assistmimic_env.actuation import target_to_action
from assistmimic_env.simulation import PairSimulation

torch = pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.cast import PAIR  # noqa: E402
from assistmimic_trainers.imitation import Imitation, imitate  # noqa: E402
from assistmimic_trainers.module import ModuleConfig  # noqa: E402
from assistmimic_trainers.regulator import (  # noqa: E402
    Dynamics,
    Regulator,
    RegulatorConfig,
    design,
    deviation,
    differences,
    feedforward_path,
    linearise,
    moved,
    regulate,
    score,
    solve,
)
from assistmimic_trainers.sampling import SamplingConfig, sampled_path  # noqa: E402
from assistmimic_trainers.solo import TRACKER, single_person_size  # noqa: E402

STATE, CONTROL = 150, 69


def make_simulation(num_worlds: int = 1, *, frames: int = 12, **options: Any) -> PairSimulation:
    """People alone who stand and move their arms."""
    return make_vec(num_worlds, clips=standing_clip(frames), solo=True, **options).simulation


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_moving_by_a_deviation_gives_that_deviation(seed: int) -> None:
    random, simulation = np.random.default_rng(seed), _STANDING
    reference = simulation.reference
    x = random.normal(size=(3, 2, STATE)) * 0.5
    there = moved(reference.qpos[None, 4], reference.qvel[None, 4], x)
    np.testing.assert_allclose(deviation(*there, reference.qpos[None, 4], reference.qvel[None, 4]), x, atol=1e-9)


_STANDING = make_simulation()


def test_the_feedforward_path_asks_for_the_next_pose() -> None:
    path, simulation = feedforward_path(_STANDING), _STANDING
    simulation.reset(np.array([0]), frame=np.array([3]))
    scale = simulation.action_scale
    expected = target_to_action(path.target[3].reshape(2, -1, 3), scale)
    np.testing.assert_allclose(path.act(simulation)[0], expected, atol=1e-12)
    assert np.abs(path.target[3].reshape(2, -1, 3) - simulation.reference.target[4]).max() < 0.05


def test_the_recursion_finds_the_best_controls_of_a_linear_system() -> None:
    """Against least squares over all controls of a short horizon at once, with a drift and an unequal last cost."""
    simulation = make_simulation(frames=10)
    config, random, path = RegulatorConfig(final_factor=3.0), np.random.default_rng(0), feedforward_path(simulation)
    horizon = 9
    dynamics = Dynamics(
        state=np.eye(STATE) + 0.02 * random.normal(size=(horizon, 2, STATE, STATE)),
        control=0.1 * random.normal(size=(horizon, 2, STATE, CONTROL)),
        drift=0.1 * random.normal(size=(horizon, 2, STATE)),
    )
    gain, offset = solve(simulation, path, 0, dynamics, config)
    assert gain.shape == (horizon + 1, 2, CONTROL, STATE)
    weight = np.concatenate(
        [
            np.full(3, config.position_weight),
            np.full(3, config.root_weight),
            np.full(CONTROL, config.joint_weight),
            np.full(STATE // 2, config.velocity_weight),
        ]
    )
    start = random.normal(size=STATE)
    for role in (0, 1):
        free, forced = start, np.zeros((STATE, horizon * CONTROL))
        rows, right = [], []
        for t in range(horizon):
            a, b, c = dynamics.state[t, role], dynamics.control[t, role], dynamics.drift[t, role]
            free, forced = a @ free + c, a @ forced
            forced[:, t * CONTROL : (t + 1) * CONTROL] += b
            root = np.sqrt(weight * (config.final_factor if t == horizon - 1 else 1.0))
            rows.append(root[:, None] * forced)
            right.append(-root * free)
        rows.append(np.sqrt(config.control_weight) * np.eye(horizon * CONTROL))
        right.append(np.zeros(horizon * CONTROL))
        best = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0][:CONTROL]
        found = -(gain[0, role] @ start + offset[0, role])
        np.testing.assert_allclose(found, best, atol=1e-4)


def test_measured_dynamics_predict_the_next_state() -> None:
    """Better than a state that stays where it is, for small deviations of a standing person."""
    one = make_simulation()
    simulation = make_simulation(differences(one))
    path = feedforward_path(simulation)
    dynamics = linearise(
        simulation, path, 0, RegulatorConfig(position_step=1e-3, velocity_step=1e-2, control_step=1e-3)
    )
    random, row = np.random.default_rng(0), 5
    x = random.normal(size=(1, 2, STATE)) * np.where(np.arange(STATE) < STATE // 2, 5e-4, 5e-3)
    u = random.normal(size=(1, 2, CONTROL)) * 1e-3
    one.worlds.reset(np.array([0]), *moved(path.qpos[None, row], path.qvel[None, row], x), path.target[None, row] + u)
    one.worlds.step(path.target[None, row] + u)
    after = deviation(*one.worlds.generalised_state(), path.qpos[None, row + 1], path.qvel[None, row + 1])[0]
    for role in (0, 1):
        predicted = dynamics.state[row, role] @ x[0, role] + dynamics.control[row, role] @ u[0, role]
        predicted = predicted + dynamics.drift[row, role]
        assert np.linalg.norm(after[role] - predicted) < 0.35 * np.linalg.norm(after[role] - x[0, role])


def test_a_sampled_path_is_what_its_targets_do() -> None:
    """From every state of the path one step with its targets leads to the next, in both clips."""
    config = SamplingConfig(samples=16, survivors=4)
    clips = (standing_clip(12), standing_clip(10))
    simulation = make_vec(16, clips=clips, solo=True).simulation
    base = feedforward_path(simulation)
    base.target[...] += 0.05
    path = sampled_path(simulation, base, config)
    reference = simulation.reference
    assert np.abs(path.target - base.target).max() > 0.05, "nothing was tried"
    assert not path.gain.any()
    assert not path.offset.any()
    for clip, (first, length) in enumerate(zip(reference.first, reference.length, strict=True)):
        np.testing.assert_array_equal(path.qpos[first], reference.qpos[first])
        rows, ids = first + np.arange(length - 1), np.arange(length - 1)
        worlds = make_vec(length - 1, clips=clips, solo=True).simulation.worlds
        worlds.reset(ids, path.qpos[rows], path.qvel[rows], path.target[rows], np.full(length - 1, clip))
        worlds.step(path.target[rows])
        there = deviation(*worlds.generalised_state(), path.qpos[rows + 1], path.qvel[rows + 1])
        assert np.abs(there[..., : STATE // 2]).max() < 2e-3
        assert np.abs(there[..., STATE // 2 :]).max() < 0.1


@pytest.fixture(scope="module")
def leaning() -> tuple[PairSimulation, Regulator]:
    """Standing people whose ankles are asked to lean."""
    simulation = make_simulation(128, frames=24)
    base = feedforward_path(simulation)
    for name in ("L_Ankle", "R_Ankle"):
        base.target[:, :, 3 * (simulation.body.names.index(name) - 1) + 1] += 0.2
    return simulation, base


def test_sampling_stays_near_the_reference(leaning: tuple[PairSimulation, Regulator]) -> None:
    simulation, base = leaning
    error = {}
    for offset in (0.0, 0.12):
        path = sampled_path(simulation, base, SamplingConfig(samples=128, survivors=16, offset=offset))
        error[offset] = np.linalg.norm(path.qpos[-1, :, :3] - simulation.reference.qpos[-1, :, :3], axis=-1)
    assert (error[0.12] < 0.6 * error[0.0]).all(), error


def test_sampling_is_seeded(leaning: tuple[PairSimulation, Regulator]) -> None:
    simulation, base = leaning
    config = SamplingConfig(samples=128, survivors=16)
    one, same, other = (sampled_path(simulation, base, config, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.target, same.target)
    assert np.abs(one.target - other.target).max() > 0.01


def test_each_clip_gets_the_regulator_it_would_get_alone() -> None:
    config = RegulatorConfig(stride=4)
    both = make_vec(differences(make_simulation()), clips=(standing_clip(10), standing_clip(11)), solo=True).simulation
    alone = make_simulation(both.num_worlds, frames=11)
    together = regulate(both, feedforward_path(both), config)
    single = regulate(alone, feedforward_path(alone), config)
    np.testing.assert_allclose(together.gain[10:], single.gain, atol=1e-4)
    np.testing.assert_allclose(together.offset[10:], single.offset, atol=1e-5)


def test_a_pair_that_does_not_touch_is_regulated_like_two_people_alone() -> None:
    config = RegulatorConfig(stride=5)
    alone = make_simulation(differences(make_simulation()), frames=10)
    pair = make_vec(differences(make_vec(1, clips=standing_clip(10)).simulation), clips=standing_clip(10)).simulation
    assert pair.num_worlds == 2 * alone.num_worlds - 1
    single = regulate(alone, feedforward_path(alone), config)
    together = regulate(pair, feedforward_path(pair), config)
    assert together.gain.shape == (10, 1, 2 * CONTROL, 2 * STATE)
    blocks = together.gain.reshape(10, 2, CONTROL, 2, STATE)
    for role in (0, 1):
        np.testing.assert_allclose(blocks[:, role, :, role], single.gain[:, role], atol=1e-3)
        assert np.abs(blocks[:, role, :, 1 - role]).max() < 1e-3
    np.testing.assert_allclose(together.offset, single.offset, atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_regulator_keeps_a_leaning_supporter_up_where_feedforward_lets_it_fall() -> None:
    make = partial(_sit_to_stand)
    chosen = design(make, RegulatorConfig(), rollouts=8)
    plain = score(feedforward_path(make(1)), make, rollouts=8)
    taught = score(chosen, make, rollouts=8)
    assert plain.survived[0, 0] < 0.55
    assert taught.survived[0, 0] > plain.survived[0, 0] + 0.2
    assert (taught.survived >= plain.survived - 0.1).all()


def _sit_to_stand(num_worlds: int, **options: Any) -> PairSimulation:
    chosen = {"clips": "sit_to_stand/train_00", "solo": True, "start_noise": 1.0, **options}
    return assistmimic_env.make_vec("AssistMimic/SitToStand-v0", num_envs=num_worlds, **chosen).simulation


def test_a_student_learns_what_the_teacher_does() -> None:
    torch.set_num_threads(1)
    simulation = make_simulation(8, frames=40, start_noise=1.0, termination_distance=0.5)
    teacher = feedforward_path(simulation)
    short = Imitation(rounds=3, samples=640, epochs=4, batch_size=64)
    network = ModuleConfig(hidden=(64, 32), critic_hidden=(8,))
    lines: list[str] = []
    students, report = imitate(teacher, simulation, config=network, settings=short, seed=0, log=lines.append)
    assert list(students) == [TRACKER]
    student = students[TRACKER]
    assert len(lines) == 3
    assert report["samples"] > 1500
    size = single_person_size(simulation)
    with torch.no_grad():
        rows = torch.from_numpy(np.ascontiguousarray(simulation.observation[..., :size]))
        actions = student.forward_inference({"obs": rows})["action_dist_inputs"][..., :CONTROL].numpy()
    wanted = teacher.act(simulation)
    assert np.sqrt(np.mean((actions - wanted) ** 2)) < 0.5 * np.sqrt(np.mean(wanted**2))
    assert float(student.normalizer.count[0]) == report["samples"]
    assert torch.equal(student.average.layers[0].weight, student.actor.layers[0].weight)


def test_a_pair_is_taught_as_two_students_who_see_each_other() -> None:
    """A teacher that wants something else of each; nobody is taught for the other, and all inputs get weights."""
    torch.set_num_threads(1)
    vec = make_vec(8, clips=standing_clip(40), start_noise=1.0, termination_distance=0.5)
    simulation = vec.simulation
    plain = feedforward_path(simulation)
    target = plain.target + np.array([0.1, -0.1])[:, None]
    teacher = replace(plain, target=target)
    short = Imitation(rounds=3, samples=640, epochs=4, batch_size=64)
    network = ModuleConfig(hidden=(64, 32), critic_hidden=(8,))
    students, report = imitate(teacher, simulation, config=network, settings=short, seed=0, cast=PAIR)
    assert list(students) == ["supporter", "recipient"]
    wanted = teacher.act(simulation)
    for index, student in enumerate(students.values()):
        rows = torch.from_numpy(np.ascontiguousarray(simulation.observation[:, index]))
        with torch.no_grad():
            actions = student.forward_inference({"obs": rows})["action_dist_inputs"][..., :CONTROL].numpy()
        own, other = (np.sqrt(np.mean((actions - wanted[:, role]) ** 2)) for role in (index, 1 - index))
        assert own < 0.3 * other
        assert float(student.normalizer.count[0]) == pytest.approx(report["samples"] / 2)
        assert student.actor.layers[0].weight[:, simulation.layout["partner"]].abs().max() > 0.0


def test_states_far_from_the_reference_are_not_taught() -> None:
    torch.set_num_threads(1)
    simulation = make_simulation(4, frames=40, start_noise=1.0, termination_distance=float("inf"))
    network = ModuleConfig(hidden=(16,), critic_hidden=(8,))
    strict = Imitation(rounds=1, samples=320, epochs=1, batch_size=32, largest_error=0.0)
    _, report = imitate(feedforward_path(simulation), simulation, config=network, settings=strict, seed=0)
    assert report["samples"] < 40  # only the first states of episodes
