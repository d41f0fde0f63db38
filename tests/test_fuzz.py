"""Random and extreme actions for long: everything stays finite and in its space, and memory does not grow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brought import clips_of
from toys import by_role, pose_action

from assistmimic_env import list_envs, make_vec
from assistmimic_env.clip import ROLES
from assistmimic_env.vector import VectorEnv

IDS = [spec.id for spec in list_envs()]
WORLDS = 16
QUICK_STEPS = 20_000
LONG_STEPS = 100_000
MAX_GROWTH = 5 * 2**20

OPTIONS = (
    {"start_noise": 1.0},
    {"start_noise": 3.0, "termination_distance": np.inf, "recipient": {"mass": 0.3, "gain": {"*": 0.2}}},
    {"start_noise": 1.0, "termination_distance": np.inf, "actuation": "expmap", "supporter": {"mass": 3.0}},
)
"""What the worlds of a run are made with, in turn."""


def actions(vec: VectorEnv, rng: np.random.Generator, step: int) -> dict[str, np.ndarray]:
    """In turn uniform noise, saturating jumps, far outside the space, a held extreme, and the reference's pose."""
    shape, kind = (vec.num_envs, 2, vec.simulation.body.num_dofs), (step // 10) % 5
    action = {
        0: lambda: rng.uniform(-1.0, 1.0, shape),
        1: lambda: rng.choice([-1.0, 1.0], shape),
        2: lambda: rng.normal(scale=1e6, size=shape),
        3: lambda: np.ones(shape),
        4: lambda: pose_action(vec.simulation),
    }[kind]()
    return by_role(action.astype(np.float32))


def inside(vec: VectorEnv, observation: dict[str, np.ndarray]) -> bool:
    """Whether all worlds' observations are in their spaces; NaN is not."""
    bounds = vec.layout.bounds
    return all(bool((np.abs(observation[role]) <= bounds).all()) for role in ROLES)


def fuzz(vec: VectorEnv, steps: int, *, seed: int) -> int:
    """Run and check ``steps`` steps per world; returns how many episodes ended."""
    rng, ended = np.random.default_rng(seed), 0
    observation, _ = vec.reset(seed=seed)
    for step in range(steps):
        assert inside(vec, observation)
        observation, reward, terminated, truncated, info = vec.step(actions(vec, rng, step))
        for role in ROLES:
            assert np.isfinite(reward[role]).all()
            assert np.all((reward[role] <= 1.0) & (reward[role] > -100.0))
        assert not (terminated & truncated).any()
        assert all(np.isfinite(values).all() for values in info["reward_terms"].values())
        assert np.isfinite(info["contact_force"]).all()
        assert np.isfinite(vec.state()).all()
        if "done" in info:
            ended += int(info["done"].sum())
            assert inside(vec, info["final_observation"])
            assert all(np.isfinite(values[info["done"]]).all() for values in info["episode"].values())
            fraction = info["episode"]["fraction"]
            assert np.all((fraction >= 0.0) & (fraction <= 1.0))
    return ended


@pytest.mark.parametrize("options", OPTIONS, ids=["default", "weak recipient", "expmap"])
@pytest.mark.parametrize("id", IDS)
def test_random_and_extreme_actions_keep_everything_finite(id: str, options: dict) -> None:
    """A share of 2e4 steps over all environments and options: every kind of action, and ends of clips."""
    vec = make_vec(id, num_envs=WORLDS, clips=clips_of(id), **options)
    steps = -(-QUICK_STEPS // (WORLDS * len(IDS) * len(OPTIONS)))
    assert steps >= 50
    assert fuzz(vec, steps, seed=0) > 0


def resident_bytes() -> int:
    """Memory of this process that is in RAM (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grow() -> tuple[int, int]:
    """Fuzz all environments for ``LONG_STEPS`` steps; returns how much memory grew [bytes] and how many episodes ended.

    Memory is first measured after the same steps, when buffers that are filled on demand have their size: other
    contacts touch other pages of each world's arena.
    """
    vecs = [make_vec(id, num_envs=WORLDS, clips=clips_of(id), **options) for id in IDS for options in OPTIONS]
    steps = -(-LONG_STEPS // (WORLDS * len(vecs)))
    for vec in vecs:
        fuzz(vec, steps, seed=2)
    before = resident_bytes()
    ended = sum(fuzz(vec, steps, seed=2) for vec in vecs)
    return resident_bytes() - before, ended


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
def test_long_fuzz_does_not_leak() -> None:
    """1e5 steps over all environments, in a process of its own; every world started many episodes."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_fuzz; print(*test_fuzz.grow())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    growth, ended = (int(word) for word in done.stdout.split())
    assert ended > 10 * WORLDS
    assert growth < MAX_GROWTH
