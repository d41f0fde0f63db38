"""``ImpairmentCurriculum``: people start strong and grow weak while they succeed.

A pair that is trained on the whole impairment from the start may never find out how to help; one that comes from
stronger people does (``docs/results/needs_help.json``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .config import check_options, require
from .errors import ConfigError

Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """When people grow weaker.

    Attributes:
        start: First level: 0: healthy, 1: impaired as configured (``PairSimulation.difficulty``).
        step: By how much the level changes.
        window: Episodes that are looked at.
        reach: Episodes count that began at most so far below the present level. When it rises all worlds are in the
            middle of an episode, and to wait for whole ones at the new level (0) makes a climb three times as long.
        threshold: The level rises when at least this share of them succeeded.
        retreat: It falls when at most this share did, but not below the first.
        whole: Only episodes that began at the first frame count. Those that begin later have less to do: on long clips
            the level climbs although nobody can do all of it.
    """

    start: float = 0.0
    step: float = 0.1
    window: int = 24
    reach: float = 0.2
    threshold: float = 0.6
    retreat: float = 0.1
    whole: bool = False

    def __post_init__(self) -> None:
        """Check ranges."""
        require(0.0 <= self.start <= 1.0, "curriculum.start", self.start, "a level in [0, 1]")
        require(0.0 < self.step <= 1.0, "curriculum.step", self.step, "a difference of levels in (0, 1]")
        require(0.0 <= self.reach <= 1.0, "curriculum.reach", self.reach, "a difference of levels in [0, 1]")
        require(self.window >= 1, "curriculum.window", self.window, "at least 1 episode")
        require(0.0 < self.threshold <= 1.0, "curriculum.threshold", self.threshold, "a share in (0, 1]")
        bound = f"a share in [0, {self.threshold}), below the threshold"
        require(0.0 <= self.retreat < self.threshold, "curriculum.retreat", self.retreat, bound)


def curriculum_config(chosen: object) -> CurriculumConfig | None:
    """What ``True``, a mapping of settings, or something falsy (no curriculum) stands for.

    Raises:
        UnknownOptionError: No such setting.
        ConfigError: Something else, or a value that cannot work.
    """
    if isinstance(chosen, Mapping):
        check_options("curriculum", chosen, {item.name: None for item in fields(CurriculumConfig)})
        return CurriculumConfig(**chosen)
    if not chosen:
        return None
    if chosen is True:
        return CurriculumConfig()
    raise ConfigError(f"curriculum is {chosen!r}, expected True, False or a mapping of its settings.")


class ImpairmentCurriculum:
    """Level of impairment of N worlds, from what became of their episodes.

    Args:
        worlds: N.
        config: When the level changes.
    """

    def __init__(self, worlds: int, config: CurriculumConfig | None = None) -> None:
        self.config = CurriculumConfig() if config is None else config
        self._rises = 0
        self._begun = np.zeros(worlds, dtype=np.intp)
        self._window: deque[bool] = deque(maxlen=self.config.window)

    @property
    def level(self) -> float:
        """The present level, in [0, 1]."""
        return min(1.0, round(self.config.start + self._rises * self.config.step, 9))

    def begin(self, worlds: Ids) -> None:
        """New episodes of some worlds begin at the present level."""
        self._begun[worlds] = self._rises

    def learn(self, worlds: Ids, success: NDArray[np.bool_], start_frame: Ids) -> None:
        """Take note of episodes that ended; the next ones of these worlds began at the level of before.

        Args:
            worlds: Where, shape (E,).
            success: Whether they reached the end of the clip, shape (E,).
            start_frame: Where on the clip they began, shape (E,).
        """
        before = self._rises
        counts = (start_frame == 0) | (not self.config.whole)
        for begun, good, counted in zip(self._begun[worlds].tolist(), success, counts, strict=True):
            if counted and (self._rises - begun) * self.config.step <= self.config.reach + 1e-9:
                self._window.append(bool(good))
                self._change(sum(self._window) / self.config.window)
        self._begun[worlds] = before

    def _change(self, share: float) -> None:
        if len(self._window) < self.config.window:
            return
        if share >= self.config.threshold and self.level < 1.0:
            self._rises += 1
            self._window.clear()
        elif share <= self.config.retreat and self._rises > 0:
            self._rises -= 1
            self._window.clear()

    def get_state(self) -> int:
        """How many steps above its first level it is."""
        return self._rises

    def set_state(self, rises: int) -> None:
        """Take over what ``get_state`` returned; episodes that end from here on began there."""
        self._rises = int(rises)
        self._begun[:] = self._rises
        self._window.clear()
