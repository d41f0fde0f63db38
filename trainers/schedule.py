"""`EpisodeSchedule`: where the next episodes begin and how impaired people are in them, from those that ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistmimic_env.curriculum import ImpairmentCurriculum, curriculum_config
from assistmimic_env.errors import ConfigError
from assistmimic_env.starts import Starts, StartSampler, merge, start_config

Ids = NDArray[np.intp]
State = dict[str, NDArray[Any]]

DEFAULTS: Mapping[str, Any] = {"focus": 0.0, "physical_starts": 0.0, "clip_weights": True, "curriculum": False}
"""Keys of an `env_config` that are no options of the environment.

`focus` and `physical_starts` are shares, see `assistmimic_env.starts.StartConfig`; `clip_weights: False` draws all
clips equally often; `curriculum` is `True` or a mapping of settings, see `assistmimic_env.curriculum.CurriculumConfig`.
"""

FAILURES_PER_WORLD = 16
"""How many failures of each clip are remembered, per world."""

_RISES = "curriculum_rises"


def taken_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take the keys of `DEFAULTS` out of an `env_config`."""
    return {name: options.pop(name) for name in DEFAULTS if name in options}


class EpisodeSchedule:
    """What learns from episodes that ended, for the worlds of one env runner.

    An environment without a `simulation` (somebody else's) chooses its starts itself, as does one where there is
    nothing to choose: no focus, no physical starts, one clip or equal weights.

    Args:
        env: The environment.
        options: What `taken_options` took out of an `env_config`.
        worlds: Episodes that run at the same time.

    Attributes:
        sampler: Chooses starts; `None`: the environment does.
        curriculum: Chooses the impairment; `None`: it stays as configured.

    Raises:
        ConfigError: A share or a setting that cannot work, or physical starts of single people.
    """

    def __init__(self, env: Any, options: Mapping[str, Any], *, worlds: int) -> None:
        self._simulation: Any = getattr(env, "simulation", None)
        self.sampler: StartSampler | None = None
        self.curriculum: ImpairmentCurriculum | None = None
        if self._simulation is not None:
            self._make({**DEFAULTS, **options}, worlds)

    def _make(self, chosen: Mapping[str, Any], worlds: int) -> None:
        focus, physical = float(chosen["focus"]), float(chosen["physical_starts"])
        lengths = self._simulation.reference.length
        if physical > 0.0 and worlds != self._simulation.num_worlds:
            raise ConfigError(
                f"physical_starts is {physical}, but stored states are those of pairs and single people are trained. "
                "Set it to 0."
            )
        shares = {"focus": focus, "physical": physical, "uniform": 0.2 if chosen["clip_weights"] else 1.0}
        config = start_config(
            {**shares, "memory": FAILURES_PER_WORLD * worlds}, first_only=self._simulation.config.start == "first"
        )
        if focus > 0.0 or physical > 0.0 or (len(lengths) > 1 and chosen["clip_weights"]):
            self.sampler = StartSampler(lengths, worlds=worlds, config=config)
            self._auto_reset = self._simulation.auto_reset
            self._simulation.auto_reset = False  # or it would reset every world twice
        settings = curriculum_config(chosen["curriculum"])
        if settings is not None:
            self.curriculum = ImpairmentCurriculum(worlds, settings)
            self._simulation.difficulty = self.curriculum.level

    def release(self) -> None:
        """Leave the starts to the environment from here on."""
        if self.sampler is not None:
            self.sampler, self._simulation.auto_reset = None, self._auto_reset

    @property
    def difficulty(self) -> float:
        """Level of the impairment, 1: as configured."""
        return 1.0 if self.curriculum is None else self.curriculum.level

    def seed(self, seed: int | None) -> None:
        """Start the random stream anew; without a seed it goes on."""
        if self.sampler is not None:
            self.sampler.seed(seed)

    def learn(self, worlds: Ids, summary: Mapping[str, NDArray[Any]], failed: NDArray[np.bool_]) -> None:
        """Take note of episodes that ended; see `StartSampler.learn`."""
        if self.sampler is not None:
            self.sampler.learn(worlds, summary, failed)
        if self.curriculum is not None:
            self.curriculum.learn(worlds, summary["success_50"].astype(np.bool_), summary["start_frame"])
            self._simulation.difficulty = self.curriculum.level

    def choose(self, worlds: Ids) -> Starts | None:
        """Where the caller is to begin the next episodes of some worlds; `None`: the environment has done so."""
        if self.sampler is None:
            return None
        self.begin(worlds)
        return self.sampler.choose(len(worlds))

    def begin(self, worlds: Ids) -> None:
        """Episodes of some worlds begin now, rather than within the step in which the ones before ended."""
        if self.curriculum is not None:
            self.curriculum.begin(worlds)

    def record(self) -> None:
        """Keep states of running episodes; to be called after every step."""
        if self.sampler is not None:
            self.sampler.record(self._simulation)

    def get_state(self) -> State:
        """What was learnt, as arrays."""
        state = {} if self.sampler is None else self.sampler.get_state()
        return state if self.curriculum is None else {**state, _RISES: np.array(self.curriculum.get_state())}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `get_state` returned, as far as this schedule has a use for it."""
        if self.sampler is not None and "failures" in state:
            self.sampler.set_state(state)
        if self.curriculum is not None and _RISES in state:
            self.curriculum.set_state(int(state[_RISES]))
            self._simulation.difficulty = self.curriculum.level


def merged(states: Sequence[State]) -> State:
    """One state of what the env runners learnt; of the curricula the one that is least far."""
    starts = [state for state in states if "failures" in state]
    rises = [state[_RISES] for state in states if _RISES in state]
    return {**(merge(starts) if starts else {}), **({_RISES: np.min(rises)} if rises else {})}
