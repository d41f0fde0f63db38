"""``StartSampler``: where the next episodes begin, learnt from those that ended; for any trainer.

First the clip is drawn: those that fail more often come more often (``spec/assistmimic.md`` defect 13). Then the kind
of start: shortly before a recent failure, in a state that a successful episode went through (``StateBank``), at the
first frame, or anywhere on the reference (defects 5 and 16).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .config import check_options, require
from .errors import ConfigError
from .state_bank import PhysicalState, Recordable, State, StateBank

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]
FOCUS, PHYSICAL, FIRST, ANYWHERE = range(4)
"""Kinds of starts: before a failure, in a stored state, at the first frame, anywhere on the reference."""

LEAST_AHEAD, MOST_AHEAD = 8, 30
"""Control steps between a start before a failure and the failure."""


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """How starts are drawn.

    Attributes:
        focus: Share of the episodes that start shortly before a recent failure of their clip.
        physical: Share that starts in a stored state of a successful episode, see ``StateBank``.
        first: Share of the other episodes that starts at the first frame; the rest starts anywhere. A pair that comes
            from the first frame meets the hard frames in other states than the reference's (measured on the pull-up:
            without them a pair got from frame 25 to 105, but from frame 0 only to 70).
        uniform: Share of the clips that is drawn uniformly, the others in proportion to how often they fail lately.
        rate: Weight of an ended episode in its clip's failure rate (an exponential average).
        memory: Failures that are remembered of each clip.
        every: Control steps between two states that are kept of a running episode, at least.
        capacity: Stored states of all clips together, at least 16 of each.
    """

    focus: float = 0.5
    physical: float = 0.0
    first: float = 0.5
    uniform: float = 0.2
    rate: float = 0.05
    memory: int = 16
    every: int = 8
    capacity: int = 4096

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("focus", "physical", "first", "uniform"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"starts.{name}", value, "a share in [0, 1]")
        both = self.focus + self.physical
        require(both <= 1.0 + 1e-9, "starts.focus + starts.physical", both, "a sum of shares in [0, 1]")
        require(0.0 < self.rate <= 1.0, "starts.rate", self.rate, "a weight in (0, 1]")
        for name in ("memory", "every", "capacity"):
            require(getattr(self, name) >= 1, f"starts.{name}", getattr(self, name), "at least 1")


def start_config(options: Mapping[str, Any], *, first_only: bool = False, **defaults: Any) -> StartConfig:
    """A ``StartConfig`` from options; nobody who asks for neither kind of special start gets more first frames.

    Args:
        options: Fields of ``StartConfig``.
        first_only: Whether the environment's own starts are all at the first frame.
        **defaults: What holds where the options say nothing.

    Raises:
        UnknownOptionError: No such field.
        ConfigError: A value that cannot work.
    """
    check_options("starts", options, {item.name: None for item in fields(StartConfig)})
    values = {**defaults, **options}
    special = values.get("focus", 0.0) or values.get("physical", 0.0)
    first = 1.0 if first_only else StartConfig.first if special else 0.0
    return StartConfig(**{"first": first, **values})


@dataclass(frozen=True, kw_only=True)
class Starts:
    """Where n episodes begin.

    Attributes:
        clip: Shape (n,).
        frame: Shape (n,).
        kind: ``FOCUS``, ``PHYSICAL``, ``FIRST`` or ``ANYWHERE``, shape (n,).
        state: States of the physical ones, in their order; ``None`` if there is none.
    """

    clip: Ids
    frame: Ids
    kind: Ids
    state: PhysicalState | None = None


class Resettable(Protocol):
    """What ``begin`` needs: a ``VectorEnv``, or what has its ``reset_worlds``."""

    def reset_worlds(
        self, ids: Ids, *, clip: Ids | None = None, frame: Ids | None = None, state: PhysicalState | None = None
    ) -> Any:
        """Start some worlds again and return all observations."""
        ...


def begin(env: Resettable, ids: Ids, starts: Starts) -> Any:
    """Start some worlds where the sampler says.

    Args:
        env: The environment.
        ids: Worlds, shape (n,), n >= 1.
        starts: Their starts.

    Returns:
        What ``reset_worlds`` returned last: the current observations of all worlds.
    """
    observations, physical = None, starts.kind == PHYSICAL
    for chosen, state in ((~physical, None), (physical, starts.state)):
        if chosen.any():
            clip, frame = starts.clip[chosen], starts.frame[chosen]
            observations = env.reset_worlds(ids[chosen], clip=clip, frame=frame, state=state)
    return observations


class StartSampler:
    """Chooses clips and starts of the next episodes.

    Call ``learn`` with the episodes that ended in a step, ``begin`` their worlds again where ``choose`` says, then
    ``record``.

    Args:
        lengths: Frames of each clip, shape (C,).
        worlds: Number of worlds whose states are recorded.
        config: The shares.

    Attributes:
        failure_rate: How often each clip fails lately, shape (C,); 1 before anything is known.
        bank: Stored states.
    """

    def __init__(self, lengths: Ids, *, worlds: int = 1, config: StartConfig | None = None) -> None:
        self.config = StartConfig() if config is None else config
        self.failure_rate = np.ones(len(lengths))
        self.bank = StateBank(lengths, worlds, every=self.config.every, capacity=self.config.capacity)
        self._last_start = lengths - 2
        self._failures: defaultdict[int, deque[int]] = defaultdict(lambda: deque(maxlen=self.config.memory))
        self._random = np.random.default_rng()
        special, rest = self.config.focus + self.config.physical, 1.0 - self.config.focus - self.config.physical
        self._edges = np.array([self.config.focus, special, special + self.config.first * rest])

    def seed(self, seed: int | None) -> None:
        """Start the random stream anew; without a seed it goes on."""
        if seed is not None:
            self._random = np.random.default_rng(seed)

    # --- learning from episodes -----------------------------------------------------------------------------

    def learn(self, worlds: Ids, summary: Mapping[str, NDArray[Any]], failed: Bools) -> None:
        """Take note of episodes that ended.

        Args:
            worlds: Where, shape (E,).
            summary: ``clip``, ``start_frame``, ``length`` and ``success_50`` of these episodes, shape (E,) each.
            failed: Whether they failed (and were not cut or completed), shape (E,).
        """
        end = summary["start_frame"] + summary["length"]
        for clip, frame, bad in zip(summary["clip"].tolist(), end.tolist(), failed.tolist(), strict=True):
            self.failure_rate[clip] += self.config.rate * (bad - self.failure_rate[clip])
            if bad:
                self._failures[clip].append(int(frame))
        if self.config.physical > 0.0:
            self.bank.end(worlds, summary["clip"], summary["success_50"].astype(np.bool_))

    def record(self, simulation: Recordable) -> None:
        """Keep states of running episodes, if any start is to be physical; to be called after every step."""
        if self.config.physical > 0.0:
            self.bank.record(simulation)

    @property
    def failures(self) -> dict[int, list[int]]:
        """Frames of the remembered failures of each clip, the oldest first."""
        return {clip: list(frames) for clip, frames in self._failures.items()}

    # --- choosing -------------------------------------------------------------------------------------------

    def clip_weights(self) -> Array:
        """Probability of each clip, shape (C,)."""
        total, count = self.failure_rate.sum(), len(self.failure_rate)
        share = self.failure_rate / total if total > 0.0 else np.full(count, 1.0 / count)
        return (1.0 - self.config.uniform) * share + self.config.uniform / count

    def choose(self, count: int) -> Starts:
        """Starts of the next ``count`` episodes; where a kind has nothing to offer yet they are anywhere."""
        clip = self._random.choice(len(self.failure_rate), size=count, p=self.clip_weights()).astype(np.intp)
        kind = np.searchsorted(self._edges, self._random.random(count), side="right").astype(np.intp)
        frame = self._random.integers(self._last_start[clip] + 1).astype(np.intp)
        frame[kind == FIRST] = 0
        rows = []
        for index in np.flatnonzero(kind <= PHYSICAL):
            if kind[index] == FOCUS and self._failures.get(int(clip[index])):
                frame[index] = self._ahead_of_failure(int(clip[index]))
            elif kind[index] == PHYSICAL and (stored := self.bank.draw(int(clip[index]), self._random)):
                frame[index] = stored[0]
                rows.append(stored[1])
            else:
                kind[index] = ANYWHERE
        return Starts(clip=clip, frame=frame, kind=kind, state=PhysicalState.unpack(np.stack(rows)) if rows else None)

    def _ahead_of_failure(self, clip: int) -> int:
        frames = self._failures[clip]
        frame = frames[self._random.integers(len(frames))]
        return max(0, frame - int(self._random.integers(LEAST_AHEAD, MOST_AHEAD + 1)))

    # --- saving ---------------------------------------------------------------------------------------------

    def get_state(self) -> State:
        """What was learnt, as arrays; the random stream and running episodes are not part of it."""
        pairs = [(clip, frame) for clip, frames in self._failures.items() for frame in frames]
        return {
            "failure_rate": self.failure_rate.copy(),
            "failures": np.array(pairs, dtype=np.int64).reshape(-1, 2),
            **{f"bank_{name}": values for name, values in self.bank.get_state().items()},
        }

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``get_state`` returned; of more than fits, the newest stay.

        Raises:
            ConfigError: It is about another number of clips.
        """
        learnt, here = len(state["failure_rate"]), len(self.failure_rate)
        if learnt != here:
            raise ConfigError(f"starts were learnt on {learnt} clips, there are {here}. Give the clips of that run.")
        self.failure_rate = state["failure_rate"].copy()
        self._failures.clear()
        for clip, frame in state["failures"].tolist():
            self._failures[clip].append(frame)
        self.bank.set_state({name: state[f"bank_{name}"] for name in ("clip", "frame", "state")})


def merge(states: Sequence[State]) -> State:
    """One state of what several samplers learnt: mean failure rates; memories in turns, so that the newest are last.

    Args:
        states: At least one, all of the same clips.
    """
    bank = ("bank_clip", "bank_frame", "bank_state")
    return {
        "failure_rate": np.mean([state["failure_rate"] for state in states], axis=0),
        **_in_turns(states, ("failures",)),
        **_in_turns([state for state in states if len(state["bank_clip"])] or states[:1], bank),
    }


def _in_turns(states: Iterable[State], names: Sequence[str]) -> State:
    """Rows of all states, sorted by how many newer ones their own state has."""
    states = list(states)
    newer = np.concatenate([np.arange(len(state[names[0]]))[::-1] for state in states])
    order = np.argsort(-newer, kind="stable")
    return {name: np.concatenate([state[name] for state in states])[order] for name in names}
