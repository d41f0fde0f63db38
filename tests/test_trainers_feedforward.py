"""The warm start: labels, regression, exported policies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import assistmimic_env
from assistmimic_env import rotations
from assistmimic_env.actuation import action_to_target, limit_norm
from assistmimic_env.policy import load_pair, policy_interface
from assistmimic_env.simulation import PairSimulation

torch = pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.cast import PAIR  # noqa: E402
from assistmimic_trainers.export import export_policies  # noqa: E402
from assistmimic_trainers.feedforward import (  # noqa: E402
    WarmStart,
    collect,
    feedforward_actions,
    fit_module,
    warm_start,
)
from assistmimic_trainers.module import ModuleConfig  # noqa: E402

SMALL = WarmStart(samples=256, epochs=30, batch_size=32)
NETWORK = ModuleConfig(hidden=(64, 32), critic_hidden=(8,))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """More torch threads than free cores wait for one another."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def simulation() -> PairSimulation:
    return assistmimic_env.make_vec("AssistMimic/PullUp-v0", num_envs=16, start_noise=1.0, threads=1).simulation


def test_without_lead_the_servos_are_asked_for_the_reference_pose(simulation: PairSimulation) -> None:
    actions = feedforward_actions(simulation, lead=0.0)
    targets = action_to_target(actions, simulation.action_scale, "so3")
    np.testing.assert_allclose(targets, limit_norm(simulation.reference.target), atol=1e-9)


def test_lead_points_along_the_joint_velocity(simulation: PairSimulation) -> None:
    """The led target is the pose the joint would reach after kd / kp at its present speed."""
    targets = action_to_target(feedforward_actions(simulation, lead=1.0), simulation.action_scale, "so3")
    reference, body = simulation.reference, simulation.body
    velocity = reference.qvel[..., 6:].reshape(reference.target.shape)
    turned = rotations.multiply(
        rotations.conjugate(rotations.from_rotation_vector(reference.target)), rotations.from_rotation_vector(targets)
    )
    expected = (body.kd[1:] / body.kp[1:])[:, None] * velocity
    moving = np.linalg.norm(reference.target, axis=-1) < 2.0
    np.testing.assert_allclose(rotations.to_rotation_vector(turned)[moving], expected[moving], atol=1e-6)


def test_samples_repeat_with_the_seed_and_label_the_next_frame(simulation: PairSimulation) -> None:
    first, again, other = (collect(simulation, SMALL, seed=seed) for seed in (3, 3, 4))
    assert first.observation.shape == (256, 2, simulation.layout.size)
    assert first.action.shape == (256, 2, simulation.body.num_dofs)
    np.testing.assert_array_equal(first.observation, again.observation)
    assert not np.array_equal(first.observation, other.observation)
    table = feedforward_actions(simulation, lead=SMALL.lead).astype(np.float32)
    assert all((table == sample).all(axis=(1, 2)).any() for sample in first.action[:8])


def test_regression_fits_and_keeps_the_partner_out(simulation: PairSimulation) -> None:
    samples, partner = collect(simulation, SMALL, seed=0), simulation.layout["partner"]
    module, error = fit_module(
        samples.observation[:, 1], samples.action[:, 1], NETWORK, SMALL, single_person=partner.start, seed=0
    )
    spread = float(samples.action[:, 1].std(axis=0).mean())
    assert error < 0.5 * spread
    first = module.actor[0].get_parameter("weight")
    assert torch.count_nonzero(first[:, partner]) == 0
    assert torch.count_nonzero(first[:, : partner.start]) > 0
    assert float(module.normalizer.count[partner.start]) == 256
    rows = torch.from_numpy(samples.observation[:64, 1])
    changed = rows.clone()
    changed[:, partner] += 1.0
    outputs = [module.forward_inference({"obs": each})["action_dist_inputs"] for each in (rows, changed)]
    assert torch.equal(outputs[0], outputs[1])


def test_warm_started_pair_fits_its_environment(simulation: PairSimulation, tmp_path: Path) -> None:
    modules, report = warm_start(simulation, config=NETWORK, settings=SMALL, seed=0)
    export_policies(modules, tmp_path, cast=PAIR, interface=PAIR.interface(simulation), provenance=report)
    interface = policy_interface(layout=simulation.layout, body=simulation.body, actuation=simulation.config.actuation)
    for role, policy in load_pair(tmp_path).items():
        policy.check(interface, action_size=simulation.body.num_dofs, role=role)
        assert policy.card.provenance["action_error"][role] == report["action_error"][role]
