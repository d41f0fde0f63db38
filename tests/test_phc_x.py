"""PHC-X: checkpoints of PHC's SMPL-X humanoid (2026 numbers in, 153 out), whose body frames are SMPL's.

The observation that such a network was trained with is written down here a second time, body by body, with SciPy's
rotations, from ``spec/phc.md`` sections 1 and 4; the physical state is that of our simulation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import assistmimic_env
from assistmimic_env.body import get_body
from assistmimic_env.clip import PairClip
from assistmimic_env.errors import PolicyError
from assistmimic_env.policy import Policy
from assistmimic_env.policy_expansion import fitted
from assistmimic_env.reference import Goal
from assistmimic_env.simulation import PairSimulation
from assistmimic_env.vector import VectorEnv
from assistmimic_env.worlds import Motion
from assistmimic_trainers import cli

OBSERVATION, CONTROLS, HIDDEN = 2026, 153, (24, 16)
OPTIONS: dict[str, Any] = {"body": "smpl52", "frames": "smpl", "actuation": "expmap"}
BASE = Rotation.from_quat([0.5, 0.5, 0.5, 0.5])
"""PHC's base rotation: a standing root of its SMPL-X body."""

Numbers = np.ndarray[Any, np.dtype[Any]]


def swaying_clip(name: str = "smpl52", *, frames: int = 40) -> PairClip:
    """Two people who turn, lean, bend knees, arms and fingers, each bone differently."""
    body = get_body(name)
    time = np.arange(frames)[:, None, None, None] / 30.0
    phase = np.random.default_rng(5).uniform(0.0, 6.0, (1, 2, body.num_bodies, 3))
    vector = 0.3 * np.sin(2.0 * time + phase)
    vector[:, 1, 0, 2] += 2.5
    quaternion = Rotation.from_rotvec(vector.reshape(-1, 3)).as_quat(scalar_first=True)
    root = np.zeros((frames, 2, 3))
    root[..., 2], root[:, 1, 0] = body.rest_height + 0.05, 1.2
    return PairClip(
        name="swaying",
        fps=30.0,
        body=name,
        offsets=np.stack([body.offsets] * 2),
        masses=np.full(2, body.mass),
        root_position=root,
        local_rotation=quaternion.reshape(*vector.shape[:-1], 4),
    )


def make_vec(num_envs: int = 3, **options: Any) -> VectorEnv:
    chosen = {**OPTIONS, **options}
    clip = swaying_clip(chosen["body"])
    return assistmimic_env.make_vec(
        "AssistMimic/SitToStand-v0", num_envs=num_envs, threads=1, clips=clip, termination_distance=np.inf, **chosen
    )


def checkpoint(path: Path) -> Path:
    """A file with PHC-X's layout: primitives, of which the first acts, in small hidden layers."""
    generator = torch.Generator().manual_seed(7)

    def layer(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, torch.Tensor]]:
        yield f"a2c_network.{name}.weight", torch.randn(outputs, inputs, generator=generator) / inputs**0.5
        yield f"a2c_network.{name}.bias", 0.3 * torch.randn(outputs, generator=generator)

    model = {"a2c_network.sigma": torch.full((CONTROLS,), -2.9), **dict(layer("mu", HIDDEN[-1], CONTROLS))}
    for column in range(3):
        for index, (inputs, outputs) in enumerate(pairwise((OBSERVATION, *HIDDEN, CONTROLS))):
            model |= dict(layer(f"pnn.actors.{column}.{2 * index}", inputs, outputs))
    statistics = {
        "running_mean": 0.2 * torch.randn(OBSERVATION, generator=generator, dtype=torch.float64),
        "running_var": 0.2 + torch.rand(OBSERVATION, generator=generator, dtype=torch.float64),
        "count": torch.tensor(1000.0, dtype=torch.float64),
    }
    torch.save({"model": model, "running_mean_std": statistics, "epoch": 1, "frame": 2, "optimizer": {}}, path)
    return path


def original(path: Path, observation: Numbers) -> Numbers:
    """What the network in the file answers, in float64."""
    content = torch.load(path, weights_only=True)
    model, statistics = content["model"], content["running_mean_std"]
    x = (observation - statistics["running_mean"].numpy()) / np.sqrt(statistics["running_var"].numpy() + 1e-5)
    x = np.clip(x, -5.0, 5.0)
    for part in (0, 2, 4):
        weight, bias = (
            model[f"a2c_network.pnn.actors.0.{part}.{name}"].double().numpy() for name in ("weight", "bias")
        )
        x = weight @ x + bias
        x = np.maximum(x, 0.0) if part < 4 else x
    return x


def smpl_rotations(ours: Numbers) -> list[Rotation]:
    """World rotations of bodies (J, 4) with SMPL's frames: G_smpl = G_up B."""
    return [Rotation.from_quat(quaternion, scalar_first=True) * BASE for quaternion in ours]


def six(rotation: Rotation) -> Numbers:
    """First and third column."""
    matrix = rotation.as_matrix()
    return np.concatenate([matrix[:, 0], matrix[:, 2]])


def phc_x_observation(motion: Motion, goal: Goal, world: int, role: int) -> Numbers:
    """Self observation v1 and task observation v6 of one person, not upright."""
    place, speed, spin = motion.linear[world, role]
    ref_place, ref_speed, ref_spin = goal.motion[world, role]
    turn, ref_turn = smpl_rotations(motion.rotation[world, role]), smpl_rotations(goal.rotation[world, role])
    forward = (turn[0] * BASE.inv()).apply([1.0, 0.0, 0.0])
    heading = Rotation.from_rotvec([0.0, 0.0, np.arctan2(forward[1], forward[0])])
    back = heading.inv()
    own = [place[0, 2:], *back.apply(place[1:] - place[0]), *(six(back * q) for q in turn)]
    own += [*back.apply(speed), *back.apply(spin)]
    task = [
        *back.apply(ref_place - place),
        *(six(back * r * q.inv() * heading) for q, r in zip(turn, ref_turn, strict=True)),
    ]
    task += [*back.apply(ref_speed - speed), *back.apply(ref_spin - spin)]
    task += [*back.apply(ref_place - place[0]), *(six(back * r) for r in ref_turn)]
    return np.concatenate([*own, *task])


def present(simulation: PairSimulation) -> tuple[Motion, Goal]:
    """How people move, and where they should be one step ahead."""
    row = simulation.reference.row(simulation.clip, simulation.frame + 1)
    return simulation.worlds.motion(), simulation.reference.goal(row)


def imported(tmp_path: Path) -> tuple[Path, Policy]:
    path = checkpoint(tmp_path / "phc_x.pth")
    assert cli.main(["import-phc", str(path), "--out", str(tmp_path / "out")]) == cli.OK
    return path, Policy.load(tmp_path / "out" / "phc_x")


@pytest.mark.parametrize(("body", "size"), [("smpl24", 934), ("smpl52", OBSERVATION)])
def test_observations_are_those_of_a_humanoid_that_is_not_upright(body: str, size: int) -> None:
    """All numbers about one person, in states that the simulation reached by itself."""
    env = make_vec(body=body)
    observation, _ = env.reset(seed=3)
    random = np.random.default_rng(0)
    for _ in range(4):
        action = random.uniform(-0.2, 0.2, (2, 3, env.simulation.body.num_dofs))
        observation, *_ = env.step(dict(zip(env.agents, action, strict=True)))
    motion, goal = present(env.simulation)
    for index, role in enumerate(env.agents):
        expected = [phc_x_observation(motion, goal, world, index) for world in range(3)]
        np.testing.assert_allclose(observation[role][:, :size], expected, atol=2e-5)


def test_an_imported_policy_acts_as_the_original_network(tmp_path: Path) -> None:
    path, policy = imported(tmp_path)
    env = make_vec()
    observation, _ = env.reset(seed=4)
    acting = fitted(policy, env.simulation)
    for _ in range(3):
        motion, goal = present(env.simulation)
        actions = {role: acting.act(observation[role]) for role in env.agents}
        for index, role in enumerate(env.agents):
            expected = [original(path, phc_x_observation(motion, goal, world, index)) for world in range(3)]
            np.testing.assert_allclose(actions[role], expected, rtol=0, atol=1e-5)
        observation, *_ = env.step({role: np.clip(action, -1.0, 1.0) for role, action in actions.items()})


def test_servo_targets_are_those_of_phc_x() -> None:
    """An action asks for exp(scale * clipped action) about SMPL's axes; 5 rad for the knees' y, pi for all others."""
    simulation = make_vec(1).simulation
    action = np.random.default_rng(1).uniform(-1.4, 1.4, CONTROLS)
    scale = np.full(CONTROLS, np.pi)
    scale[[4, 16]] = 5.0
    found = simulation.targets_of(action)
    expected = BASE * Rotation.from_rotvec((scale * np.clip(action, -1.0, 1.0)).reshape(-1, 3)) * BASE.inv()
    np.testing.assert_allclose(Rotation.from_rotvec(found).as_matrix(), expected.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(found[0]), np.pi * np.linalg.norm(np.clip(action[:3], -1, 1)), rtol=1e-12)


@pytest.mark.parametrize("option", [{"frames": "upright"}, {"actuation": "so3"}])
def test_a_phc_x_policy_does_not_fit_other_frames_or_servos(tmp_path: Path, option: dict[str, Any]) -> None:
    """In our frames it would see and do something else without any error of shape."""
    _, policy = imported(tmp_path)
    with pytest.raises(PolicyError, match=r"upright is False in the policy, True|law is expmap in the policy, so3"):
        fitted(policy, make_vec(1, **option).simulation)


def test_explain_says_where_a_phc_x_policy_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint(tmp_path / "phc_x.pth")
    assert cli.main(["import-phc", str(path), "--explain"]) == cli.OK
    text = capsys.readouterr().out
    assert "2026: 52 bodies, self v1 778 + task v6 1248" in text
    assert "SMPL's body frames" in text
    assert "the first 2026 of our environments'" in text
    assert "environments with the options body=smpl52, actuation=expmap, frames=smpl" in text
    assert "kp of" not in text


def test_eval_runs_an_imported_policy_for_both_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path)
    swaying_clip().save(tmp_path / "swaying.npz")
    words = [
        "eval",
        str(tmp_path / "out" / "phc_x"),
        "--env",
        "SitToStand-v0",
        "--clips",
        str(tmp_path / "swaying.npz"),
    ]
    words += [word for name, value in OPTIONS.items() for word in ("--option", f"{name}={value}")]
    capsys.readouterr()
    assert cli.main([*words, "--rollouts", "2", "--threads", "1", "--json"]) == cli.OK
    assert json.loads(capsys.readouterr().out)
