"""`Table`: which cells our results table has: arms in rows, all with the same steps, seeds and measurement."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import assistmimic_env

from .cell import Cell, Protocol
from .method import BASELINES, COMPONENTS, FULL, TRACKING, Method
from .study import StudyConfig

RECIPIENT = "needs-help"
"""Impairment of the recipient in every cell."""

MAIN_TASK = "AssistMimic/SitToStand-v0"
"""The task of which every arm is trained; of others only the full method, with one seed."""

CUMULATIVE = "no-retargeting+no-contact-reward"
"""The paper's third row, which leaves out both."""

ARMS = tuple(
    dict.fromkeys(
        (
            FULL, "recipient-alone", "no-retargeting", "no-contact-reward", CUMULATIVE, "no-weight-init",
            "feedforward-start", "no-grip", "sequential", "frozen-partner", "kinematic-recipient",
            *(f"no-{name}" for name in COMPONENTS), TRACKING, *BASELINES,
        )
    )
)  # fmt: skip
"""The full method, its ablations and baselines, most important first."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much a table may cost."""

    steps: int
    """Control steps of the pair, for every cell."""
    rollouts: int
    """Rollouts of every cell under each condition."""
    seeds: tuple[int, ...]
    """Seeds of training; of tasks other than `MAIN_TASK` only the first."""
    seconds: float = math.inf
    """Time to work each time the command is called [s]."""


EFFORTS: Mapping[str, Effort] = {
    "quick": Effort(steps=60_000, rollouts=16, seeds=(0,), seconds=27 * 60.0),
    "full": Effort(steps=1_000_000, rollouts=100, seeds=(0, 1, 2)),
}
"""By name; `quick` takes less than half an hour, loading the libraries included."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is trained and measured."""

    env_id: str
    """Environment."""
    arms: tuple[str, ...]
    """Rows, each as `method.Method.parse` reads it, most important first."""
    seeds: tuple[int, ...]
    """Seeds of training."""
    steps: int
    """Control steps of the pair, for every cell."""
    protocol: Protocol
    """The measurement."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the environment, for every arm."""
    ppo: Mapping[str, Any] = field(default_factory=dict)
    """Further keyword arguments of `assistmimic_ppo`; by default the method's are not changed."""

    @classmethod
    def of(
        cls,
        task: str,
        effort: Effort,
        *,
        arms: Sequence[str] = (),
        seeds: Sequence[int] = (),
        steps: int | None = None,
        rollouts: int | None = None,
    ) -> Table:
        """The table of a task.

        Args:
            task: Environment.
            effort: How much it may cost.
            arms: Other rows; by default all of them for `MAIN_TASK`, else the full method.
            seeds: Other seeds of training.
            steps: Another number of steps.
            rollouts: Another number of rollouts.

        Raises:
            UnknownEnvironmentError: There is no such task.
        """
        env_id = assistmimic_env.spec(task).id
        main = env_id == MAIN_TASK
        return cls(
            env_id=env_id,
            arms=tuple(arms) or (ARMS if main else (FULL,)),
            seeds=tuple(seeds) or (effort.seeds if main else effort.seeds[:1]),
            steps=effort.steps if steps is None else steps,
            protocol=Protocol(rollouts=effort.rollouts if rollouts is None else rollouts),
        )

    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order in which they are run: the first seed of every arm, the second one, and so on.

        Raises:
            ConfigError: An arm is unknown or named twice.
            ClipError: The task has no motion.
        """
        asked: dict[str, Any] = {"recipient": RECIPIENT, "options": self.options, "ppo": self.ppo}
        start = Method().settings(self.env_id, **asked).init_from
        study = StudyConfig(env_id=self.env_id, arms=self.arms, starts=(start,), seeds=self.seeds, **asked)
        settings = dict(zip(self.arms, study.settings().values(), strict=True))
        return tuple(
            Cell(arm=arm, settings=replace(settings[arm], seed=seed), steps=self.steps, protocol=self.protocol)
            for seed in self.seeds
            for arm in self.arms
        )

    def command(self, arm: str, seed: int) -> str:
        """What runs one cell."""
        cell = ["--task", self.env_id.rpartition("/")[2], "--budget", "full", "--arms", arm, "--seeds", f"{seed}"]
        size = ["--steps", f"{self.steps}", "--rollouts", f"{self.protocol.rollouts}"]
        return shlex.join(["assistmimic", "reproduce", "table", *cell, *size])
