"""The impairment curriculum: when the level changes, and how long a climb takes."""

from __future__ import annotations

import numpy as np
import pytest

from assistmimic_env.curriculum import CurriculumConfig, ImpairmentCurriculum, curriculum_config
from assistmimic_env.errors import ConfigError, UnknownOptionError

ONE = np.zeros(1, dtype=np.intp)
FIRST = np.zeros(1, dtype=np.intp)
"""Frame at which an episode begins."""


def make_curriculum(worlds: int = 1, **settings: float) -> ImpairmentCurriculum:
    return ImpairmentCurriculum(worlds, CurriculumConfig(**{"window": 10, **settings}))  # type: ignore[arg-type]


def play(curriculum: ImpairmentCurriculum, outcomes: list[bool]) -> float:
    """Episodes one after the other in one world, each begun at the level of its time."""
    for success in outcomes:
        curriculum.begin(ONE)
        curriculum.learn(ONE, np.array([success]), FIRST)
    return curriculum.level


def test_the_level_rises_when_enough_of_a_window_succeeded() -> None:
    curriculum = make_curriculum(threshold=0.6)
    assert play(curriculum, [True] * 9) == 0.0
    assert play(curriculum, [True]) == 0.1
    assert play(curriculum, [True, False] * 5) == 0.1
    assert play(curriculum, [True]) == 0.1  # (five of ten)
    assert play(curriculum, [True] * 2) == 0.2


def test_the_climb_ends_at_the_configured_impairment() -> None:
    curriculum = make_curriculum(step=0.3, start=0.25)
    assert play(curriculum, [True] * 10) == 0.55
    assert play(curriculum, [True] * 100) == 1.0


def test_a_level_that_is_too_hard_is_left_again_but_not_the_first() -> None:
    curriculum = make_curriculum(start=0.2)
    assert play(curriculum, [False] * 50) == 0.2
    assert play(curriculum, [True] * 10) == 0.3  # after a window that failed, a whole one that succeeded
    assert play(curriculum, [False] * 10) == 0.2


def test_episodes_of_far_levels_do_not_count() -> None:
    """World 0 began at level 0; two rises later its end says nothing about the present."""
    curriculum = make_curriculum(worlds=2, window=1, reach=0.1)
    for _ in range(2):
        curriculum.begin(np.array([1]))
        curriculum.learn(np.array([1]), np.array([True]), FIRST)
    assert curriculum.level == 0.2
    curriculum.learn(np.array([0]), np.array([True]), FIRST)
    assert curriculum.level == 0.2
    curriculum.begin(np.array([0]))
    curriculum.learn(np.array([0]), np.array([True]), FIRST)
    assert curriculum.level == pytest.approx(0.3)


def test_of_long_clips_only_whole_episodes_count_if_wanted() -> None:
    """The ends of a clip are followed by everybody, the whole clip by nobody."""
    for whole, level in ((False, 0.2), (True, 0.0)):
        curriculum = make_curriculum(whole=whole)
        for _ in range(20):
            curriculum.learn(ONE, np.array([True]), FIRST + 100)
        assert curriculum.level == level
    for _ in range(10):
        curriculum.learn(ONE, np.array([True]), FIRST)
    assert curriculum.level == 0.1


def steps_of_a_climb(worlds: int, length: int, *, success: float = 1.0, **settings: float) -> int:
    """Control steps of all worlds until level 1, with episodes of one length that began at random times."""
    config = CurriculumConfig(**settings)  # type: ignore[arg-type]
    random, curriculum = np.random.default_rng(0), ImpairmentCurriculum(worlds, config)
    left, steps = random.integers(1, length + 1, worlds), 0
    while curriculum.level < 1.0:
        left, steps = left - 1, steps + worlds
        ended = np.flatnonzero(left == 0)
        curriculum.learn(ended, random.random(ended.size) < success, np.zeros_like(ended))
        curriculum.begin(ended)
        left[ended] = length
    return steps


def test_a_pair_that_succeeds_climbs_within_a_short_run() -> None:
    """96 worlds, episodes of 100 steps; without the episodes in progress it takes three times as long."""
    assert steps_of_a_climb(96, 100) < 40_000
    assert steps_of_a_climb(96, 100, success=0.75) < 40_000
    assert steps_of_a_climb(96, 100, reach=0.0) > 2.5 * steps_of_a_climb(96, 100)


def test_a_restored_curriculum_goes_on_at_its_level() -> None:
    curriculum, restored = make_curriculum(), make_curriculum()
    play(curriculum, [True] * 30)
    restored.set_state(curriculum.get_state())
    assert restored.level == curriculum.level == pytest.approx(0.3)
    assert play(restored, [True] * 10) == pytest.approx(0.4)


def test_settings_that_cannot_work_are_refused() -> None:
    assert curriculum_config(False) is None
    assert curriculum_config(None) is None
    assert curriculum_config(True) == CurriculumConfig()
    assert curriculum_config({"step": 0.25}) == CurriculumConfig(step=0.25)
    with pytest.raises(UnknownOptionError, match="curriculum has no option 'steps'"):
        curriculum_config({"steps": 0.25})
    with pytest.raises(ConfigError, match=r"curriculum\.retreat is 0\.6"):
        CurriculumConfig(retreat=0.6)
    with pytest.raises(ConfigError, match=r"curriculum is 0\.5, expected True"):
        curriculum_config(0.5)
