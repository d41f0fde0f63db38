"""Stored states: from successes only, at the right frame, and exact."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toys import by_role, make_env, make_vec, pose_action, standing_clip

from assistmimic_env.errors import ConfigError
from assistmimic_env.starts import PHYSICAL, StartConfig, StartSampler, begin
from assistmimic_env.state_bank import PhysicalState, StateBank
from assistmimic_env.vector import VectorEnv

FRAMES = 24


def play(
    vec: VectorEnv, sampler: StartSampler, steps: int, *, bad_worlds: tuple[int, ...] = ()
) -> list[SimpleNamespace]:
    """Follow the reference, some worlds throw their arms around; the episodes that ended."""
    ended, random = [], np.random.default_rng(0)
    for _ in range(steps):
        action = pose_action(vec.simulation)
        action[list(bad_worlds)] = random.choice([-1.0, 1.0], size=action[list(bad_worlds)].shape)
        _, _, terminated, _, info = vec.step(by_role(action))
        if "done" in info:
            worlds = np.flatnonzero(info["done"])
            summary = {name: values[worlds] for name, values in info["episode"].items()}
            sampler.learn(worlds, summary, terminated[worlds])
            ended += [
                SimpleNamespace(world=int(w), start=int(s), success=bool(g))
                for w, s, g in zip(worlds, summary["start_frame"], summary["success_50"], strict=True)
            ]
        sampler.record(vec.simulation)
    return ended


@pytest.fixture(scope="module")
def filled() -> tuple:
    """Four worlds, of which the last fails all the time, after some episodes of two clips."""
    clips = [standing_clip(FRAMES, name="a"), standing_clip(FRAMES + 6, name="b")]
    vec = make_vec(4, clips=clips, start_noise=0.5, termination_distance=0.2)
    sampler = StartSampler(vec.reference.length, worlds=4, config=StartConfig(focus=0.0, physical=1.0, every=3))
    sampler.seed(1)
    vec.reset(seed=0)
    return vec, sampler, play(vec, sampler, 70, bad_worlds=(3,))


def test_only_successful_episodes_leave_states(filled: tuple) -> None:
    """Of both clips, from all over them; the world that always fails leaves none (its roots are far off)."""
    vec, sampler, ended = filled
    assert any(not episode.success for episode in ended)
    assert any(episode.success and episode.start > 0 for episode in ended)
    state = sampler.bank.get_state()
    assert len(sampler.bank) == len(state["frame"]) > 20
    assert set(state["clip"].tolist()) == {0, 1}
    states = PhysicalState.unpack(state["state"])
    row = vec.reference.row(state["clip"], state["frame"])
    assert np.abs(states.qpos[..., :3] - vec.reference.qpos[row][..., :3]).max() < 0.2  # each at its own frame


def rows_of(state: dict) -> list[tuple]:
    return list(zip(state["clip"], state["frame"], state["state"], strict=True))


def test_a_failure_throws_away_what_was_kept() -> None:
    bank = StateBank(np.array([40]), 1, every=2)
    world, clip = np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp)
    for step in range(1, 9):
        bank.record(fake_simulation(step, step))
    bank.end(world, clip, np.array([False]))
    assert len(bank) == 0
    for step in range(1, 5):
        bank.record(fake_simulation(10 + step, step))
    bank.end(world, clip, np.array([True]))
    assert bank.get_state()["frame"].tolist() == [12, 14]


def fake_simulation(frame: int, steps: int) -> SimpleNamespace:
    """One world whose root height is its frame."""
    qpos = np.full((1, 2, 3 + 4 * 24), float(frame))
    state = PhysicalState(qpos=qpos, qvel=np.zeros((1, 2, 75)), action=np.zeros((1, 2, 69)))
    as_array = {"clip": np.zeros(1, dtype=np.intp), "frame": np.array([frame]), "steps": np.array([steps])}
    return SimpleNamespace(**as_array, physical_state=lambda ids: state)


def test_the_newest_states_of_each_clip_stay() -> None:
    bank = StateBank(np.array([200]), 1, every=1, capacity=1)
    for step in range(1, 190):
        bank.record(fake_simulation(step, step))
    bank.end(np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp), np.array([True]))
    frames = bank.get_state()["frame"].tolist()
    assert len(frames) == StateBank.LEAST
    assert frames == sorted(frames)
    assert frames[-1] > 180
    assert np.diff(frames).max() == 7  # 200 frames, at most 32 states of an episode


def test_states_are_drawn_evenly_over_the_clip() -> None:
    """Although ten times as many are stored of its second half."""
    bank = StateBank(np.array([100]), 1, every=1)
    for frame in [12, *[60, 64] * 5, 88]:
        bank.record(fake_simulation(frame, frame))
    bank.end(np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp), np.array([True]))
    random = np.random.default_rng(0)
    frames = np.array([bank.draw(0, random)[0] for _ in range(2000)])  # type: ignore[index]
    assert np.mean(frames == 12) == pytest.approx(0.37, abs=0.04)
    assert np.mean(frames == 88) == pytest.approx(0.23, abs=0.04)
    assert bank.draw(1, random) is None


def test_an_episode_from_a_stored_state_goes_on_bit_for_bit() -> None:
    """Positions, velocities and last actions are all there is: the same actions give the same steps."""
    vec = make_vec(3, start_noise=1.0, termination_distance=np.inf)
    vec.reset(seed=4, options={"clip": 0, "frame": 5})
    random = np.random.default_rng(0)
    actions = [pose_action(vec.simulation) + random.normal(scale=0.05, size=(3, 2, 69)) for _ in range(20)]
    for action in actions[:10]:
        vec.step(by_role(action))
    ids = np.arange(3)
    state, frame, clip = vec.simulation.physical_state(ids), vec.simulation.frame.copy(), vec.simulation.clip.copy()
    unpacked = PhysicalState.unpack(state.pack())
    for name in ("qpos", "qvel", "action"):
        np.testing.assert_array_equal(getattr(unpacked, name), getattr(state, name))
    other = make_vec(3, start_noise=1.0, termination_distance=np.inf)
    other.reset(seed=99)
    order = np.array([2, 0, 1])
    taken = PhysicalState.unpack(state.pack()[order])
    other.reset_worlds(ids, clip=clip[order], frame=frame[order], state=taken)
    np.testing.assert_array_equal(other.simulation.physical_state(ids).pack(), state.pack()[order])
    np.testing.assert_array_equal(other.simulation.frame, frame[order])
    for action in actions[10:]:
        observation, reward, *_ = vec.step(by_role(action))
        again, reward_again, *_ = other.step(by_role(action[order]))
        np.testing.assert_array_equal(again["recipient"], observation["recipient"][order])
        np.testing.assert_array_equal(reward_again["supporter"], reward["supporter"][order])


def test_sampled_states_begin_at_their_own_clip_and_frame(filled: tuple) -> None:
    """No noise is added, and the person is where the reference is at that frame, not at frame 0 (the paper's bug)."""
    vec, sampler, _ = filled
    starts = sampler.choose(4)
    assert (starts.kind == PHYSICAL).all()
    begin(vec, np.arange(4), starts)
    np.testing.assert_array_equal(vec.simulation.frame, starts.frame)
    np.testing.assert_array_equal(vec.simulation.clip, starts.clip)
    assert not vec.simulation.steps.any()
    np.testing.assert_array_equal(vec.simulation.physical_state(np.arange(4)).pack(), starts.state.pack())
    stored = {(int(c), int(f), row.tobytes()) for c, f, row in rows_of(sampler.bank.get_state())}
    packed = zip(starts.clip, starts.frame, starts.state.pack(), strict=True)
    assert all((int(c), int(f), row.tobytes()) in stored for c, f, row in packed)
    assert (starts.frame <= vec.reference.length[starts.clip] - 2).all()
    row = vec.reference.row(starts.clip, starts.frame)
    assert np.linalg.norm(vec.worlds.motion().position - vec.reference.position[row], axis=-1).mean() < 0.1


def test_mixed_starts_reach_the_right_worlds(filled: tuple) -> None:
    """Physical and other starts of one step."""
    vec, sampler, _ = filled
    mixed = StartSampler(vec.reference.length, worlds=4, config=StartConfig(focus=0.0, physical=0.5, first=1.0))
    mixed.set_state(sampler.get_state())
    mixed.seed(2)
    ids = np.array([3, 0, 2, 1])
    starts = mixed.choose(4)
    assert 0 < (starts.kind == PHYSICAL).sum() < 4
    begin(vec, ids, starts)
    np.testing.assert_array_equal(vec.simulation.frame[ids], starts.frame)
    physical = ids[starts.kind == PHYSICAL]
    np.testing.assert_array_equal(vec.simulation.physical_state(physical).pack(), starts.state.pack())


def test_a_bank_survives_saving(filled: tuple, tmp_path: Path) -> None:
    """As arrays in a file without pickles."""
    vec, sampler, _ = filled
    np.savez(tmp_path / "starts.npz", **sampler.get_state())
    other = StartSampler(vec.reference.length, worlds=4, config=sampler.config)
    with np.load(tmp_path / "starts.npz", allow_pickle=False) as arrays:
        other.set_state(dict(arrays))
    for name, values in sampler.bank.get_state().items():
        np.testing.assert_array_equal(other.bank.get_state()[name], values)


def test_a_single_world_takes_a_state_too() -> None:
    env = make_env(start_noise=1.0)
    env.reset(seed=0, options={"frame": 3})
    state = env.simulation.physical_state(np.arange(1))
    env.reset(seed=1, options={"clip": 0, "frame": 7, "state": state})
    np.testing.assert_array_equal(env.simulation.physical_state(np.arange(1)).pack(), state.pack())
    assert env.simulation.frame == 7
    with pytest.raises(ConfigError, match="state is a dict"):
        env.reset(options={"state": {}})


def test_states_of_another_shape_are_refused() -> None:
    vec = make_vec(2)
    vec.reset(seed=0)
    state = vec.simulation.physical_state(np.arange(2))
    with pytest.raises(ConfigError, match=r"state\.qpos has shape \(2, 2, 99\), expected \(1, 2, 99\)"):
        vec.reset_worlds([0], state=state)
