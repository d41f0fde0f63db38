"""Where episodes begin: shares of the kinds of starts, weights of the clips, and what is remembered."""

from __future__ import annotations

import numpy as np
import pytest

from assistmimic_env.errors import ConfigError, UnknownOptionError
from assistmimic_env.starts import (
    ANYWHERE,
    FIRST,
    FOCUS,
    LEAST_AHEAD,
    MOST_AHEAD,
    PHYSICAL,
    StartConfig,
    StartSampler,
    merge,
    start_config,
)

ONE = np.zeros(1, dtype=np.intp)


def make_sampler(lengths: tuple[int, ...] = (100,), **shares: float) -> StartSampler:
    sampler = StartSampler(np.array(lengths), config=StartConfig(**shares))  # type: ignore[arg-type]
    sampler.seed(0)
    return sampler


def tell(sampler: StartSampler, clip: int, *, end: int, failed: bool, times: int = 1) -> None:
    """Episodes of world 0 that began at frame 0."""
    for _ in range(times):
        summary = {"clip": clip, "start_frame": 0, "length": end, "success_50": not failed}
        sampler.learn(ONE, {name: np.array([value]) for name, value in summary.items()}, np.array([failed]))


def test_half_before_failures_a_quarter_first_a_quarter_anywhere() -> None:
    sampler = make_sampler(focus=0.5)
    tell(sampler, 0, end=60, failed=True)
    starts = sampler.choose(8000)
    shares = np.bincount(starts.kind, minlength=4) / 8000
    np.testing.assert_allclose(shares, [0.5, 0.0, 0.25, 0.25], atol=0.02)
    before = starts.frame[starts.kind == FOCUS]
    assert set(before) == set(range(60 - MOST_AHEAD, 60 - LEAST_AHEAD + 1))
    assert not starts.frame[starts.kind == FIRST].any()
    anywhere = starts.frame[starts.kind == ANYWHERE]
    assert set(anywhere) == set(range(99))
    np.testing.assert_allclose(np.histogram(anywhere, bins=4, range=(0, 99))[0] / anywhere.size, 0.25, atol=0.04)
    assert starts.state is None


def test_a_start_before_an_early_failure_is_the_first_frame() -> None:
    sampler = make_sampler(focus=1.0)
    tell(sampler, 0, end=3, failed=True)
    assert not sampler.choose(50).frame.any()


def test_without_failures_and_states_starts_are_anywhere() -> None:
    """Shares of what is not there yet go to the whole clip."""
    starts = make_sampler(focus=0.5, physical=0.5).choose(500)
    assert (starts.kind == ANYWHERE).all()
    assert starts.frame.max() > 90


def test_successes_are_no_failures_to_start_before() -> None:
    sampler = make_sampler(focus=1.0)
    tell(sampler, 0, end=99, failed=False)
    assert sampler.failures == {}


def test_clips_that_fail_come_more_often_and_none_is_forgotten() -> None:
    """The paper's code gives a clip that never failed probability 0; here a fifth of the draws are uniform."""
    sampler = make_sampler((50, 50, 50, 50))
    np.testing.assert_allclose(sampler.clip_weights(), 0.25)
    tell(sampler, 0, end=20, failed=True, times=200)
    for clip in (1, 2, 3):
        tell(sampler, clip, end=49, failed=False, times=200)
    np.testing.assert_allclose(sampler.clip_weights(), [0.85, 0.05, 0.05, 0.05], atol=1e-3)
    drawn = np.bincount(sampler.choose(8000).clip, minlength=4) / 8000
    np.testing.assert_allclose(drawn, sampler.clip_weights(), atol=0.02)


def test_clips_without_any_failure_are_drawn_equally_often() -> None:
    sampler = make_sampler((50, 50))
    sampler.failure_rate[:] = 0.0
    np.testing.assert_array_equal(sampler.clip_weights(), [0.5, 0.5])


def test_failure_rate_is_an_exponential_average() -> None:
    sampler = make_sampler(rate=0.25)
    for failed, expected in ((False, 0.75), (False, 0.5625), (True, 0.671875)):
        tell(sampler, 0, end=10, failed=failed)
        assert sampler.failure_rate[0] == expected


def test_only_recent_failures_count() -> None:
    sampler = make_sampler(memory=3)  # type: ignore[arg-type]
    for end in (10, 20, 30, 40):
        tell(sampler, 0, end=end, failed=True)
    assert sampler.failures == {0: [20, 30, 40]}


def test_what_was_learnt_survives_saving() -> None:
    """Another sampler with the same random stream chooses the same starts."""
    first, second = (make_sampler((60, 80)) for _ in range(2))
    for clip, end, failed in ((0, 30, True), (1, 70, True), (1, 79, False)):
        tell(first, clip, end=end, failed=failed)
    second.set_state(first.get_state())
    assert second.failures == first.failures
    for name in ("clip", "frame", "kind"):
        np.testing.assert_array_equal(getattr(first.choose(100), name), getattr(second.choose(100), name))
    with pytest.raises(ConfigError, match="learnt on 2 clips, there are 1"):
        make_sampler().set_state(first.get_state())


def test_merged_memories_end_with_the_newest_of_each() -> None:
    """Failure rates are averaged; of too many failures those stay that were the last of their sampler."""
    samplers = [make_sampler() for _ in range(2)]
    for end in (1, 2, 3):
        tell(samplers[0], 0, end=end, failed=True)
    tell(samplers[1], 0, end=9, failed=False)
    tell(samplers[1], 0, end=8, failed=True)
    merged = merge([sampler.get_state() for sampler in samplers])
    assert merged["failures"].tolist() == [[0, 1], [0, 2], [0, 3], [0, 8]]
    assert merged["failure_rate"][0] == np.mean([sampler.failure_rate[0] for sampler in samplers])
    small = make_sampler(memory=2)  # type: ignore[arg-type]
    small.set_state(merged)
    assert small.failures == {0: [3, 8]}


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"focus \+ starts\.physical is 1\.1"):
        StartConfig(focus=0.6, physical=0.5)
    with pytest.raises(ConfigError, match=r"starts\.uniform is -0\.1"):
        StartConfig(uniform=-0.1)
    with pytest.raises(UnknownOptionError, match="Did you mean 'physical'"):
        start_config({"phisical": 0.1})


def test_first_frames_follow_what_is_asked_for() -> None:
    """Half of the rest beside special starts, none without, all where the environment starts there anyway."""
    assert start_config({"focus": 0.5}).first == 0.5
    assert start_config({"focus": 0.0}).first == 0.0
    assert start_config({"focus": 0.0, "physical": 0.2}).first == 0.5
    only_first = StartSampler(np.array([40]), config=start_config({"focus": 0.0}, first_only=True))
    assert not only_first.choose(100).frame.any()


def test_kinds_are_numbered_as_the_shares_are_stacked() -> None:
    assert [FOCUS, PHYSICAL, FIRST, ANYWHERE] == [0, 1, 2, 3]
