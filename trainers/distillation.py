"""`Distillation`: how several specialists become one pair of policies, as plain settings.

The students act, the specialist of the clip says what it would have done there, and the students learn that (DAgger,
Ross et al. 2011); then PPO goes on from where they are (`spec/assistmimic.md` section 10). Four stages, counted in
updates:

1. imitation only; the teachers act in a share of the steps that falls from 1 to 0,
2. the critics start to learn,
3. PPO waits until the critics explain the returns (`Gate`),
4. PPO's weight grows, and that of the imitation falls to a floor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from assistmimic_env.config import require

DISTILLATION = "distillation"
"""Where RLlib's `learner_config_dict` has the settings, which learners and env runners read."""

PAPER_UPDATES = 3300
"""Updates of the paper's schedule until its last ramp ends, if the critics are good in time."""

IMITATION_SHARE = 0.6
"""Without PPO: share of the updates after which the teachers do not act any more."""


@dataclass(frozen=True, kw_only=True)
class Specialist:
    """A pair of policies and the clips it is good at."""

    paths: Mapping[str, str]
    """Role -> stem of the exported policy; must be readable on every node."""
    clips: tuple[str, ...]
    """Names of its clips."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What counts in one update; all in [0, 1]."""

    imitation: float
    """Factor of the imitation loss."""
    critic: float
    """Factor of the critics' learning rate: Adam cancels a factor of their loss, which is the only one they have."""
    ppo: float
    """Factor of PPO's actor loss."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Opens PPO once the critics have explained the returns for some updates in a row."""

    average: float | None = None
    """Running average of the explained variance of the worse critic; None before the first."""
    good: int = 0
    """For how many updates in a row the average has been good enough."""
    opened: int | None = None
    """First update with PPO; None as long as it is closed."""

    def after(self, update: int, explained: float, schedule: Schedule) -> Gate:
        """The gate after an update.

        Args:
            update: Number of the update, from 0.
            explained: Explained variance of the worse critic, measured before it learned from this update's data.
            schedule: When and what to monitor.
        """
        if self.opened is not None or schedule.ppo_start is None or update < schedule.monitor_start:
            return self
        found = max(explained, -1.0) if math.isfinite(explained) else -1.0  # one bad update must not close it for long
        decay = schedule.explained_decay
        average = found if self.average is None else decay * self.average + (1.0 - decay) * found
        good = self.good + 1 if average >= schedule.explained_variance else 0
        ready = good >= schedule.explained_updates and update + 1 >= schedule.ppo_start
        return Gate(average=average, good=good, opened=update + 1 if ready else None)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When what happens, in updates; the defaults are the paper's (`im_helpup_distill`)."""

    teacher_alone: int = 200
    """Until here the teachers act in every step."""
    student_alone: int = 1000
    """From here on the students act in every step; in between the share of the teachers falls linearly."""
    critic_start: int = 1000
    """Until here the critics do not learn."""
    critic_full: int = 1200
    """From here on they learn at their full rate."""
    monitor_start: int = 1200
    """From here on the explained variance counts."""
    explained_variance: float = 0.6
    """Least average that opens PPO."""
    explained_updates: int = 3
    """For how many updates in a row."""
    explained_decay: float = 0.99
    """Share of the average that stays at each update."""
    ppo_start: int | None = 1300
    """First update in which PPO may begin; None: never, imitation only."""
    ppo_ramp: int = 2000
    """Updates over which PPO's weight grows from 0 to 1."""
    imitation_ramp: int = 2000
    """Updates after the start of PPO over which the imitation's weight falls."""
    imitation_floor: float = 0.3
    """What stays of it."""

    def __post_init__(self) -> None:
        pairs = (("teacher_alone", "student_alone"), ("critic_start", "critic_full"))
        for first, last in pairs:
            low, high = getattr(self, first), getattr(self, last)
            require(0 <= low <= high, f"schedule.{first}", low, f"0 to schedule.{last}, which is {high}")
        for name in ("monitor_start", "ppo_ramp", "imitation_ramp"):
            require(getattr(self, name) >= 0, f"schedule.{name}", getattr(self, name), "at least 0")
        require(self.explained_updates >= 1, "schedule.explained_updates", self.explained_updates, "at least 1")
        start = self.ppo_start
        require(start is None or start >= 0, "schedule.ppo_start", start, "None, or 0 or more")
        for name in ("imitation_floor", "explained_decay"):
            require(0.0 <= getattr(self, name) <= 1.0, f"schedule.{name}", getattr(self, name), "in [0, 1]")

    @classmethod
    def over(cls, updates: int, *, ppo: bool) -> Schedule:
        """The paper's proportions in another number of updates.

        Args:
            updates: How many there are in all.
            ppo: Whether PPO follows the imitation; without it the imitation takes all updates.
        """
        paper = cls()
        scale = updates / PAPER_UPDATES if ppo else IMITATION_SHARE * updates / paper.student_alone
        counted = (
            "teacher_alone", "student_alone", "critic_start", "critic_full", "monitor_start", "ppo_start",
            "ppo_ramp", "imitation_ramp",
        )  # fmt: skip
        counts: dict[str, Any] = {name: round(scale * getattr(paper, name)) for name in counted}
        counts |= {} if ppo else {"ppo_start": None}
        return replace(paper, **counts, explained_decay=paper.explained_decay ** (1.0 / scale))

    def teacher_share(self, update: int) -> float:
        """Probability with which the teachers act in a step of this update, in [0, 1]."""
        return 1.0 - ramp(update, self.teacher_alone, self.student_alone)

    def weights(self, update: int, gate: Gate) -> Weights:
        """What counts in this update."""
        critic = ramp(update, self.critic_start, self.critic_full)
        if gate.opened is None:
            return Weights(imitation=1.0, critic=critic, ppo=0.0)
        faded = ramp(update + 1, gate.opened, gate.opened + self.imitation_ramp)
        return Weights(
            imitation=1.0 - (1.0 - self.imitation_floor) * faded,
            critic=critic,
            ppo=ramp(update + 1, gate.opened, gate.opened + self.ppo_ramp),
        )


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Settings of a distillation; carried in a run's `run.json` and in RLlib's `learner_config_dict`."""

    specialists: tuple[Specialist, ...]
    """The teachers; each clip has one."""
    schedule: Schedule = field(default_factory=Schedule)
    """The stages."""
    coefficient: float = 2.0
    """Factor of the imitation loss, the mean over rows of the summed squared difference of the mean actions."""
    learning_rate: float = 3e-4
    """Of the actors as long as they only imitate; with PPO the divergence leads it."""
    average_decay: float = 0.8
    """Share of the averaged actor that stays at each update. Lower than in PPO: imitation is a regression whose updates
    are hardly noisy, and an average over many would lag behind."""

    @property
    def policies(self) -> tuple[str, ...]:
        """Stems of all policies to learn from."""
        return tuple(path for specialist in self.specialists for path in specialist.paths.values())

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Distillation:
        """Read back `to_dict`, also after JSON."""
        specialists = tuple(
            Specialist(paths=dict(each["paths"]), clips=tuple(each["clips"])) for each in values["specialists"]
        )
        return cls(**{**values, "specialists": specialists, "schedule": Schedule(**values["schedule"])})


def ramp(update: int, start: int, stop: int) -> float:
    """0 until `start`, 1 from `stop` on, linear in between; a step where they are equal."""
    if start < update < stop:
        return (update - start) / (stop - start)
    return 1.0 if update >= stop else 0.0
