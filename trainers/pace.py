"""`Pace`: how fast cells are trained and measured on this machine, to tell how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import assistmimic_env

from .cell import Cell
from .run import evaluation_options

PREPARATION = 15.0
"""Ray, networks, exports: what a training takes on top of its updates [s]."""

TRAINING_SHARE, ROLLOUT_SHARE = 0.25, 0.5
"""Speed of training and of an evaluation over that of the bare environment, until a cell was measured; the former is
911 over 3213 steps per second in ``docs/results/bench_train.json``, rounded down."""

_WORLDS, _STEPS = 64, 12
"""Size of the measurement of the bare environment."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Speed of the two parts of a cell."""

    steps: float
    """Control steps of the pair trained per second."""
    rollouts: float
    """Rollouts per second."""
    source: str
    """Where this is known from, for people."""

    @classmethod
    def measured(cls, results: Sequence[Mapping[str, Any]]) -> Pace:
        """The pace of cells that are done.

        Args:
            results: See `Cell.run`; at least one.
        """
        steps = sum(result["steps"] for result in results)
        rollouts = sum(result["config"]["protocol"]["rollouts"] * len(result["conditions"]) for result in results)
        seconds = {part: sum(result["seconds"][part] for result in results) for part in ("training", "evaluation")}
        return cls(
            steps=steps / max(seconds["training"], 0.1),
            rollouts=rollouts / max(seconds["evaluation"], 0.1),
            source=f"measured on {len(results)} finished {'cell' if len(results) == 1 else 'cells'}",
        )

    @classmethod
    def guessed(cls, cell: Cell) -> Pace:
        """The pace that the bare environment of a cell lets expect, which is measured for a second."""
        vec = assistmimic_env.make_vec(cell.settings.env_id, num_envs=_WORLDS, **evaluation_options(cell.settings))
        vec.reset(seed=0)
        still = {role: np.zeros((_WORLDS, *vec.action_spaces[role].shape[-1:])) for role in vec.action_spaces}
        began = time.monotonic()
        for _ in range(_STEPS):
            vec.step(still)
        speed = _WORLDS * _STEPS / (time.monotonic() - began)
        return cls(
            steps=TRAINING_SHARE * speed,
            rollouts=ROLLOUT_SHARE * speed / float(vec.reference.length.mean()),
            source="guessed from the environment's speed",
        )

    def evaluation(self, cell: Cell) -> float:
        """Time that the measurement of a cell will take [s]."""
        return cell.protocol.total / self.rollouts

    def rest(self, cell: Cell, steps_done: int) -> float:
        """Time that a cell will still take, of which some steps are trained [s]."""
        return PREPARATION + max(0, cell.steps - steps_done) / self.steps + self.evaluation(cell)
