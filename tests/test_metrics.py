"""Analytic cases of every metric."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistmimic_env import metrics

DT = 1 / 30
RNG = np.random.default_rng(3)


def test_shift_by_d_gives_error_d() -> None:
    """A rigid shift by d is an error of exactly d for each body, and for their mean."""
    reference = RNG.normal(size=(4, 2, 24, 3))
    shifted = reference + 0.3 * np.array([2.0, -1.0, 2.0]) / 3.0
    np.testing.assert_allclose(metrics.body_error(shifted, reference), 0.3, atol=1e-12)
    np.testing.assert_allclose(metrics.tracking_error(shifted, reference, [0, 5, 23]), 0.3, atol=1e-12)


def test_tracking_error_ignores_other_bodies() -> None:
    """Only the chosen bodies count."""
    reference = np.zeros((24, 3))
    position = reference.copy()
    position[5] = [0.0, 0.0, 9.0]
    assert metrics.tracking_error(position, reference, [0, 1, 2]) == 0.0
    assert metrics.tracking_error(position, reference, [4, 5, 6]) == pytest.approx(3.0)


def test_there_are_sixteen_reset_bodies_without_arms_and_toes() -> None:
    """The list is the one of the specification."""
    assert len(set(metrics.RESET_BODIES)) == 16
    assert not [name for name in metrics.RESET_BODIES if name[2:] in {"Elbow", "Wrist", "Hand", "Toe"}]


def test_height_error_is_the_worst_vertical_difference() -> None:
    """Horizontal errors do not count, the largest vertical one does, whatever its sign."""
    reference = np.zeros((24, 3))
    position = reference + np.array([5.0, 5.0, 0.0])
    position[0, 2], position[13, 2] = 0.1, -0.2
    assert metrics.height_error(position, reference, [0, 13]) == pytest.approx(0.2)


def test_error_equal_to_the_threshold_still_succeeds() -> None:
    """The limit itself is good, the next number above is not."""
    error = np.full((10, 2), 0.5)
    assert metrics.success(error, 10)
    error[4, 1] = np.nextafter(0.5, 1.0)
    assert not metrics.success(error, 10)
    assert metrics.survived_frames(error, 10) == 4


def test_one_agent_failing_fails_the_pair() -> None:
    """Success belongs to the pair, and each threshold to its own rate."""
    error = np.zeros((2, 6, 2))
    error[0, 3, 0] = 0.3
    error[1, 2, 1] = 0.6
    np.testing.assert_array_equal(metrics.success(error, [6, 6]), [True, False])
    np.testing.assert_array_equal(metrics.success(error, [6, 6], threshold=metrics.STRICT_DISTANCE), [False, False])
    np.testing.assert_array_equal(metrics.survived_frames(error, [6, 6], threshold=0.25), [3, 2])


def test_recovery_after_failure_does_not_count() -> None:
    """Frames after the first failure are not survived, even if the error falls again."""
    error = np.zeros((9, 2))
    error[3] = 0.7
    assert metrics.survived_frames(error, 9) == 3


def test_frames_after_a_shorter_clip_do_not_matter() -> None:
    """NaN padding behind the end of a clip is no failure, NaN inside the clip is."""
    error = np.zeros((8, 2))
    error[5:] = np.nan
    assert metrics.success(error, 5)
    assert not metrics.success(error, 6)


def test_mean_over_frames_stops_at_the_given_frame() -> None:
    """Later frames have no effect, per role."""
    values = np.array([[0.1, 0.2], [0.3, 0.4], [9.0, 9.0]])
    np.testing.assert_allclose(metrics.mean_over_frames(values, 2), [0.2, 0.3])
    assert np.isnan(metrics.mean_over_frames(np.full((3, 2), np.nan), 3)).all()


def test_max_over_frames_stops_at_the_given_frame() -> None:
    """Later frames have no effect, missing ones are skipped, per channel."""
    values = np.array([[1.0, -5.0], [np.nan, -4.0], [9.0, 9.0]])
    np.testing.assert_array_equal(metrics.max_over_frames(values, 2), [1.0, -4.0])
    np.testing.assert_array_equal(metrics.max_over_frames(np.stack([values, values]), [3, 1]), [[9, 9], [1, -5]])
    assert np.isnan(metrics.max_over_frames(np.full((3, 2), np.nan), 3)).all()


def test_spread_of_a_point_that_jumps_between_two_places() -> None:
    """Half of the distance between them; a point that stays or is never seen spreads by 0 or not at all."""
    values = np.zeros((10, 3))
    values[::2] = [0.2, 0.4, 0.4]
    assert metrics.spread_over_frames(values, 10) == pytest.approx(0.3)
    assert metrics.spread_over_frames(values, 1) == 0.0
    assert np.isnan(metrics.spread_over_frames(np.full((4, 3), np.nan), 4))


def test_spread_of_a_circle_is_its_radius() -> None:
    """Per-axis deviations r / sqrt(2), whose norm is r; where the circle is does not matter."""
    angle = np.linspace(0.0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack([3.0 + 0.1 * np.cos(angle), 0.1 * np.sin(angle)], axis=-1)
    assert metrics.spread_over_frames(circle, 200) == pytest.approx(0.1)


def test_evaluated_frames_include_the_failing_one() -> None:
    """A policy that fails at once is judged on one frame; one that survives on the whole clip."""
    np.testing.assert_array_equal(metrics.evaluated_frames([0, 4, 10], [10, 10, 10]), [1, 5, 10])


def test_dying_early_does_not_look_good_on_the_common_horizon() -> None:
    """The early death wins up to the failure, and loses over the frames that both reached."""
    steady = np.linspace(0.0, 0.2, 100)[:, None].repeat(2, axis=1)
    dying = np.full((100, 2), np.nan)
    dying[:5] = np.array([0.0, 0.01, 0.02, 0.03, 0.51])[:, None]
    length = 100
    frames = [metrics.evaluated_frames(metrics.survived_frames(log, length), length) for log in (steady, dying)]
    np.testing.assert_array_equal(frames, [100, 5])
    horizon = metrics.common_horizon(frames)
    assert horizon == 5
    assert metrics.mean_over_frames(dying, frames[1]).mean() > metrics.mean_over_frames(dying[:4], 4).mean()
    assert metrics.mean_over_frames(steady, horizon).mean() < metrics.mean_over_frames(dying, horizon).mean()


def test_recipient_who_stays_seated_passes_the_paper_and_fails_the_task() -> None:
    """The distance alone does not see that nobody stood up."""
    frames = 90
    error = np.full((frames, 2), 0.45)
    height = np.concatenate([np.zeros(30), np.linspace(0.0, 0.45, 30), np.full(30, 0.45)])
    assert metrics.success(error, frames)
    assert not metrics.task_success(error, height, frames, control_dt=DT)


def test_task_success_needs_the_whole_settle_time() -> None:
    """One frame too low inside the last half second is enough to fail; one before it is not."""
    frames, error = 60, np.zeros((60, 2))
    window = metrics.settle_frames(DT)
    assert window == 16
    for too_low, expected in ((frames - 1, False), (frames - window, False), (frames - window - 1, True)):
        height = np.full(frames, metrics.HEIGHT_TOLERANCE)
        height[too_low] += 1e-9
        assert metrics.task_success(error, height, frames, control_dt=DT) == expected


def test_task_success_needs_every_frame_below_the_failure_distance() -> None:
    """Standing at the end does not help if an agent failed before."""
    error = np.zeros((40, 2))
    error[3, 0] = 0.51
    assert not metrics.task_success(error, np.zeros(40), 40, control_dt=DT)


def test_task_success_uses_each_clips_own_end() -> None:
    """In a batch of clips of different length the last half second is that of each clip; missing data is a failure."""
    height = np.zeros((3, 60))
    height[0, 39] = height[1, 39] = 1.0
    height[2, 50:] = np.nan
    flags = metrics.task_success(np.zeros((3, 60, 2)), height, [40, 60, 60], control_dt=DT)
    np.testing.assert_array_equal(flags, [False, True, False])


@given(st.integers(0, 40), st.integers(1, 40))
def test_wilson_interval_holds_the_rate_inside_zero_to_one(successes: int, n: int) -> None:
    """The interval surrounds the rate and never leaves [0, 1]."""
    successes = min(successes, n)
    low, high = metrics.wilson_interval(successes, n)
    assert 0.0 <= low <= successes / n <= high <= 1.0
    assert low < high


def test_wilson_interval_agrees_with_a_published_value() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 and 0 of 20."""
    np.testing.assert_allclose(metrics.wilson_interval(81, 263), [0.2553, 0.3662], atol=5e-5)
    np.testing.assert_allclose(metrics.wilson_interval(0, 20), [0.0, 0.1611], atol=5e-5)


def test_bootstrap_interval_covers_the_true_mean() -> None:
    """Of 200 simulated experiments about 95 % contain the truth (bounds: sampling and small-sample bias)."""
    rng = np.random.default_rng(0)
    intervals = [metrics.bootstrap_interval(rng.normal(2.0, 1.0, 40), seed=i, resamples=400) for i in range(200)]
    covered = np.mean([low <= 2.0 <= high for low, high in intervals])
    assert 0.88 <= covered <= 0.99


def test_bootstrap_interval_is_reproducible() -> None:
    """Same seed, same interval; another seed differs."""
    values = RNG.normal(size=30)
    assert metrics.bootstrap_interval(values, seed=1) == metrics.bootstrap_interval(values, seed=1)
    assert metrics.bootstrap_interval(values, seed=1) != metrics.bootstrap_interval(values, seed=2)


def test_one_rollout_has_no_interval() -> None:
    """A single sample or none says nothing about the spread, and stays valid JSON."""
    estimate = metrics.estimate_mean([0.2, np.nan])
    assert estimate.mean == 0.2
    assert math.isnan(estimate.low)
    assert estimate.n == 1
    expected = {"mean": 0.2, "low": None, "high": None, "n": 1}
    assert json.loads(json.dumps(estimate.to_json(), allow_nan=False)) == expected
    assert metrics.estimate_rate([]).to_json() == {"mean": None, "low": None, "high": None, "n": 0}


def test_functions_do_not_change_their_arguments() -> None:
    """Pure functions leave read-only arrays alone."""
    error, height = np.zeros((3, 20, 2)), np.zeros((3, 20))
    length = np.full(3, 20)
    for array in (error, height, length):
        array.flags.writeable = False
    metrics.task_success(error, height, length, control_dt=DT)
    metrics.mean_over_frames(error, metrics.survived_frames(error, length))
