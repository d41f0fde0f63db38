"""Noisy starts: nothing deeper in anything than in the reference, and otherwise as the noise is."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from toys import BODY, make_env, make_vec, reaching_clip, rising_clip, standing_clip

from assistmimic_env import make_vec as make_bundled_vec
from assistmimic_env import rotations
from assistmimic_env.clearance import TOLERANCE, Clearance
from assistmimic_env.clip import PairClip
from assistmimic_env.config import NoiseConfig
from assistmimic_env.vector import VectorEnv

KINDS = ("floor", "furniture", "partner", "self")
TASKS = ("AssistMimic/SitToStand-v0", "AssistMimic/PullUp-v0")


def depths(vec: VectorEnv) -> np.ndarray:
    """Deepest contact of each kind in the live worlds, by MuJoCo's full forward pass, shape (N, 4) [m]."""
    depth = np.zeros((vec.num_envs, len(KINDS)))
    for world in range(vec.num_envs):
        model, data = vec.worlds.world_data(world)
        for contact in data.contact:
            depth[world, kind_of(model, contact)] = max(depth[world, kind_of(model, contact)], -contact.dist)
    return depth


def kind_of(model: mujoco.MjModel, contact: mujoco.MjContact) -> int:
    owners = sorted(model.geom(geom).name.split("_")[0] for geom in contact.geom)
    if owners[0] in ("floor", "furniture"):
        return KINDS.index(owners[0])
    return KINDS.index("self" if owners[0] == owners[1] else "partner")


def excess(vec: VectorEnv, seed: int) -> np.ndarray:
    """How much deeper contacts are at noisy starts than at the same frames of the reference, shape (N, 4) [m]."""
    vec.reset(seed=seed)
    options = {"clip": vec.simulation.clip.copy(), "frame": vec.simulation.frame.copy()}
    noisy = depths(vec)
    exact = type(vec)(vec.reference.clips, vec.num_envs, threads=1)
    exact.reset(seed=0, options=options)
    return noisy - depths(exact)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_no_start_is_deeper_than_the_reference(task: str, scale: float) -> None:
    """All kinds of contacts, all over the clips; without the correction nearly all starts of sit-to-stand are."""
    vec = make_bundled_vec(task, num_envs=96, start_noise=scale, threads=1)
    deeper = np.concatenate([excess(vec, seed) for seed in (0, 1000)])
    assert deeper.max() <= TOLERANCE + 1e-9
    vec.simulation._clearance = None
    assert (excess(vec, 0).max(axis=1) > TOLERANCE).mean() > 0.6


@pytest.mark.parametrize("clip", [standing_clip(), reaching_clip(), rising_clip()])
def test_furniture_and_partners_of_toys_are_respected(clip: PairClip) -> None:
    assert excess(make_vec(64, clips=clip, start_noise=1.0), 0).max() <= TOLERANCE + 1e-9


def test_enormous_noise_ends_on_the_reference_or_near_it() -> None:
    """Where no correction helps the start is halved towards the reference until it does."""
    assert excess(make_vec(16, clips=rising_clip(), start_noise=50.0), 0).max() <= TOLERANCE + 1e-9


def test_noise_keeps_its_size() -> None:
    """Only what touches moves: the joint angles' spread stays within 5 %, and joints move by less than half of it."""
    vec = make_bundled_vec(TASKS[0], num_envs=256, start_noise=1.0, threads=1)
    vec.reset(seed=0)
    corrected = joint_noise(vec)
    vec.simulation._clearance = None
    vec.reset(seed=0)
    drawn = joint_noise(vec)
    assert corrected.std() == pytest.approx(drawn.std(), rel=0.05)
    assert np.sqrt(np.mean((corrected - drawn) ** 2)) < 0.5 * drawn.std()


@pytest.mark.parametrize("task", ["AssistMimic/SitToStand-v0", "AssistMimic/HelpUp-v0", "AssistMimic/PullUp-v0"])
def test_hands_that_hold_hold_at_noisy_starts(task: str) -> None:
    """All over the clips: at their place at the partner, nothing deeper than without, noise of nearly its size."""
    vec = make_bundled_vec(task, num_envs=128, start_noise=1.0, grip="reference", threads=1)
    assert np.nanmax(astray(vec, seed=0)) <= TOLERANCE + 1e-9
    corrected = joint_noise(vec)
    assert excess(vec, 0).max() <= TOLERANCE + 1e-9
    vec.simulation._clearance = None
    assert np.nanmedian(astray(vec, seed=0)) > 0.05
    drawn = joint_noise(vec)
    assert corrected.std() == pytest.approx(drawn.std(), rel=0.1)
    assert np.corrcoef(corrected.ravel(), drawn.ravel())[0, 1] > 0.9


def astray(vec: VectorEnv, seed: int) -> np.ndarray:
    """How far hands are from where they hold in the reference, in the partner's frame, shape (N, holds) [m]; or NaN."""
    vec.reset(seed=seed)
    simulation = vec.simulation
    grip, row = simulation._grip, vec.reference.row(simulation.clip, simulation.frame)
    assert grip is not None
    noisy = simulation.worlds.hands_in_partner()
    exact = make_bundled_vec(vec.name, num_envs=vec.num_envs, grip="reference", threads=1)
    exact.reset(seed=0, options={"clip": simulation.clip.copy(), "frame": simulation.frame.copy()})
    away = np.linalg.norm(noisy - exact.simulation.worlds.hands_in_partner(), axis=-1)
    return np.where(grip.active[row], away, np.nan)


def joint_noise(vec: VectorEnv) -> np.ndarray:
    """Rotation vectors from the reference, shape (N, 2, J, 3) [rad]."""
    state = vec.simulation.physical_state(np.arange(vec.num_envs)).qpos
    reference = vec.reference.qpos[vec.reference.row(vec.simulation.clip, vec.simulation.frame)]
    own, aim = (values[..., 3:].reshape(vec.num_envs, 2, -1, 4) for values in (state, reference))
    return rotations.to_rotation_vector(rotations.multiply(rotations.conjugate(aim), own))


def test_one_world_starts_as_the_same_world_of_many() -> None:
    """Bit for bit, in any batch, order and number of threads."""
    clip = reaching_clip()
    many = make_vec(12, clips=clip, start_noise=1.0, threads=2)
    many.reset(seed=0)
    states = many.simulation.physical_state(np.arange(12)).pack()
    for world in range(12):
        env = make_env(clips=clip, start_noise=1.0)
        env.reset(seed=world)
        np.testing.assert_array_equal(env.simulation.physical_state(np.arange(1)).pack()[0], states[world])


def test_starts_without_noise_are_the_reference_bit_for_bit() -> None:
    """Nothing is corrected there, even where the clip itself is deep in something."""
    vec = make_bundled_vec(TASKS[0], num_envs=16, threads=1)
    vec.reset(seed=0)
    row = vec.reference.row(vec.simulation.clip, vec.simulation.frame)
    state = vec.simulation.physical_state(np.arange(16))
    np.testing.assert_array_equal(state.qpos, vec.reference.qpos[row])
    np.testing.assert_array_equal(state.qvel, vec.reference.qvel[row])
    assert vec.simulation._clearance is None


def test_what_is_clear_comes_back_as_it_is() -> None:
    vec = make_vec(4, start_noise=1.0)
    qpos, row = vec.reference.qpos[[3, 9]], np.array([3, 9])
    clearance = Clearance(vec.simulation.scene, vec.reference.qpos, NoiseConfig())
    np.testing.assert_array_equal(clearance.resolve(qpos, np.zeros(2, dtype=np.intp), row), qpos)


@pytest.mark.parametrize("depth", [0.02, 0.06])
def test_a_person_in_the_floor_is_lifted_or_bends(depth: float) -> None:
    """Both feet of one person; the other one is left alone, bit for bit."""
    vec = make_vec(1, clips=standing_clip(gap=3.0))
    clearance = Clearance(vec.simulation.scene, vec.reference.qpos, NoiseConfig())
    sunk = vec.reference.qpos[[0]].copy()
    sunk[0, 0, 2] -= depth
    zero = np.zeros(1, dtype=np.intp)
    cleared = clearance.resolve(sunk, zero, zero)
    np.testing.assert_array_equal(cleared[0, 1], sunk[0, 1])
    vec.reset(seed=0)
    vec.worlds.reset(zero, cleared, np.zeros((1, 2, 3 + 3 * BODY.num_bodies)), np.zeros((1, 2, BODY.num_dofs)))
    assert depths(vec)[0, 0] <= TOLERANCE + depths_of_reference(vec) + 1e-9
    np.testing.assert_allclose(np.linalg.norm(cleared[..., 3:].reshape(-1, 4), axis=-1), 1.0, atol=1e-12)


def depths_of_reference(vec: VectorEnv) -> float:
    vec.reset(options={"frame": 0})
    return float(depths(vec)[0, 0])
