"""`DistillationLearner`: imitation of teachers, then PPO, for both roles."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from .distillation import DISTILLATION, Distillation, Gate
from .distillation_runner import STUDENT, TEACHER, DistillationRunner
from .learner import KEPT_COLUMNS, FinishBatch, PairLearner, explained_variance, mean_over_learners, standardize
from .module import PolicyModule

GATE = "gate"
"""Key of the gate in the learner's state."""

IMITATION_LOSS, IMITATION_WEIGHT, PPO_WEIGHT, CRITIC_WEIGHT = (
    "imitation_loss",
    "imitation_weight",
    "ppo_weight",
    "critic_weight",
)
TEACHER_SHARE, EXPLAINED_AVERAGE = "teacher_share", "explained_variance_average"


class FinishDistillation(FinishBatch):
    """Keeps the teachers' columns, standardises advantages over the students' rows, and judges the old values."""

    kept_columns = (*KEPT_COLUMNS, TEACHER, STUDENT)

    def __init__(self) -> None:
        super().__init__()
        self.explained: dict[str, Tensor] = {}

    @torch.no_grad()
    def _finish(self, role: str, module: PolicyModule, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = module.value_normalizer.denormalize(columns[Columns.VF_PREDS][:, None])[:, 0]
        self.explained[role] = explained_variance(values, columns[Postprocessing.VALUE_TARGETS])
        finished = super()._finish(role, module, columns)
        advantages = columns[Postprocessing.ADVANTAGES]
        finished[Postprocessing.ADVANTAGES] = standardize_where(columns[STUDENT] > 0.0, advantages)
        return finished


class DistillationLearner(PairLearner):
    """Adds to the loss of each role the distance of its mean actions from the teacher's, in the stages of a schedule.

    The loss of an actor is `coefficient * imitation weight * imitation + ppo weight * surrogate`, where the last is
    PPO's actor loss of the rows in which the students acted.
    """

    finish_class = FinishDistillation
    _finish: FinishDistillation

    def build(self) -> None:
        """Create modules, optimisers and the connector; called by RLlib."""
        self.distillation = Distillation.from_dict(self.config.learner_config_dict[DISTILLATION])
        self.gate = Gate()
        super().build()

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Enter the stage of this update; called by RLlib before the epochs."""
        super().before_gradient_based_update(timesteps=timesteps)
        self._update_number = self._weights_seq_no
        self._weights = self.distillation.schedule.weights(self._update_number, self.gate)
        for role in self.module.keys():  # noqa: SIM118 - RLlib's modules are no mappings
            critic_rate = self._weights.critic * self.options.critic_learning_rate
            self._set_optimizer_lr(self.get_optimizer(role, "critic"), critic_rate)
            if self._weights.ppo == 0.0:
                self._set_optimizer_lr(self.get_optimizer(role, "actor"), self.distillation.learning_rate)
            elif self._update_number == self.gate.opened:
                config: Any = self.config
                self._set_optimizer_lr(self.get_optimizer(role, "actor"), config.lr)

    def actor_loss(self, module_id: str, config: Any, batch: Mapping[str, Any], inputs: Tensor) -> Tensor:
        """Loss of one role's actor, a scalar."""
        imitation = imitation_loss(inputs.chunk(2, dim=-1)[0], batch[TEACHER])
        self.metrics.log_value((module_id, IMITATION_LOSS), imitation.detach(), window=1)
        loss = self.distillation.coefficient * self._weights.imitation * imitation
        acted = batch[STUDENT] > 0.0
        if self._weights.ppo == 0.0 or not acted.any():
            return loss
        students = {name: column[acted] for name, column in batch.items()}
        return loss + self._weights.ppo * super().actor_loss(module_id, config, students, inputs[acted])

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Let the gate see how well the critics did; called by RLlib after the epochs."""
        super().after_gradient_based_update(timesteps=timesteps)
        schedule, number = self.distillation.schedule, self._update_number
        explained = min(mean_over_learners(value) for value in self._finish.explained.values())
        self.gate = self.gate.after(number, explained, schedule)
        average = float("nan") if self.gate.average is None else self.gate.average
        for role in self._finish.explained:
            self.metrics.log_dict(
                {
                    TEACHER_SHARE: schedule.teacher_share(number),
                    IMITATION_WEIGHT: self._weights.imitation,
                    CRITIC_WEIGHT: self._weights.critic,
                    PPO_WEIGHT: self._weights.ppo,
                    EXPLAINED_AVERAGE: average,
                },
                key=role,
                window=1,
            )

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The base's state, and the gate."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        return {**state, GATE: asdict(self.gate)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_state` returned."""
        super().set_state(state)
        if GATE in state:
            self.gate = Gate(**state[GATE])


def distilled(config: PPOConfig, distillation: Distillation) -> PPOConfig:
    """The same configuration with teachers; it must have the batched sampler."""
    options = {**config.learner_config_dict, "average_decay": distillation.average_decay}
    return config.env_runners(env_runner_cls=DistillationRunner).learners(
        learner_class=DistillationLearner,
        learner_config_dict={**options, DISTILLATION: distillation.to_dict()},
    )


def imitation_loss(mean: Tensor, taught: Tensor) -> Tensor:
    """Squared difference of the mean actions, summed over components, averaged over rows; (rows, actions), a scalar."""
    return (mean - taught).square().sum(dim=-1).mean()


def standardize_where(chosen: Tensor, values: Tensor) -> Tensor:
    """Zero mean and unit deviation over the chosen rows, 0 in all others; shapes (rows,)."""
    result = torch.zeros_like(values)
    if chosen.sum() > 1:
        result[chosen] = standardize(values[chosen])
    return result
