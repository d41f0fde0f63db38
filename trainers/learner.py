"""`PairLearner`: the PPO update of both roles, plugged into RLlib by public configuration only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from .chunk_connector import ChunkToTrainBatch
from .module import STATE, PolicyModule
from .normalizer import Moments, is_distributed
from .rollout import JOINT
from .trained_roles import TrainedRoles

KL, LEARNING_RATE, SKIPPED = "mean_kl", "actor_learning_rate", "skipped_updates"
CLIP_FRACTION, BOUNDS_LOSS, EXPLAINED = "clip_fraction", "bounds_loss", "explained_variance"
POLICY_LOSS, VALUE_LOSS, GRADIENT_NORM = "policy_loss", "vf_loss", "actor_gradient_norm"

KEPT_COLUMNS = (
    Columns.OBS,
    Columns.ACTIONS,
    Columns.ACTION_LOGP,
    Columns.ACTION_DIST_INPUTS,
    Postprocessing.ADVANTAGES,
    Postprocessing.VALUE_TARGETS,
)
"""What the loss reads; the other columns would only be shuffled along."""


@dataclass(frozen=True, kw_only=True)
class LearnerOptions:
    """Settings of the update that RLlib's PPO does not have; carried in `learner_config_dict`."""

    kl_target: float = 0.06
    """Divergence of the action distribution per update, summed over all action components [nat]."""
    learning_rate_bounds: tuple[float, float] = (1e-6, 2e-3)
    """Range of the adaptive learning rate of the actor."""
    learning_rate_factor: float = 1.5
    """The actor's rate is divided by it above twice the target and multiplied by it below half the target."""
    critic_learning_rate: float = 5e-4
    """Constant learning rate of the critic."""
    bounds_coefficient: float = 10.0
    """Weight of the penalty on action means outside [-1, 1]; the environment clips them there."""
    average_decay: float = 0.95
    """Share of the averaged actor that stays at each update; the averaged one is exported after training. Its updates
    are noisy: two checkpoints of one pull-up run survived 52 % and 49 % of the clip, their mean 54 %."""
    advantage_normalization: Literal["batch", "minibatch"] = "batch"
    """Advantages get zero mean and unit deviation over each whole batch, or over each minibatch."""
    value_clip: float | None = 0.2
    """Largest change of a value per update, in normalised units; None switches the limit off."""
    gradient_precision: Literal["ieee", "bf16"] = "bf16"
    """Matrix products of the critic's regression and of the backward pass: `bf16` is faster on CPUs that have it and
    the same on others; it changes a gradient by about 0.4 % of its norm. The actor's forward pass, whose probabilities
    are compared with the old ones, and the values of the advantages are single precision (`ieee`) always."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LearnerOptions:
        """Read back what RLlib carried."""
        low, high = values["learning_rate_bounds"]
        known = {item.name for item in fields(cls)}  # a special learner has options of its own beside these
        chosen = {name: value for name, value in values.items() if name in known}
        return cls(**{**chosen, "learning_rate_bounds": (float(low), float(high))})

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


class FinishBatch(ConnectorV2):
    """Last step of the learner connector: from RLlib's padded columns to what the loss reads.

    Drops the bootstrap rows that RLlib appends to every fragment, standardises the advantages over the real rows,
    moves the value normaliser to the new targets (before the gradient phase, since it is no part of the behaviour
    policy), normalises the observations once for all epochs, adds the old values, and remembers the moments of the
    observations for the update after the gradient phase. `ChunkToTrainBatch` needs no loss mask and has done the middle
    two already.
    """

    kept_columns = KEPT_COLUMNS

    def __init__(self) -> None:
        super().__init__()
        self.moments: dict[tuple[str, str], Moments] = {}

    def __call__(self, *, rl_module: Any, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Finish the batch of every role in place."""
        for role, columns in batch.items():
            batch[role] = self._finish(role, rl_module[role].unwrapped(), columns)
        return batch

    @torch.no_grad()
    def _finish(self, role: str, module: PolicyModule, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        mask = columns.get(Columns.LOSS_MASK)
        kept = {key: columns[key] if mask is None else columns[key][mask] for key in self.kept_columns}
        kept[Postprocessing.ADVANTAGES] = standardize(kept[Postprocessing.ADVANTAGES])
        targets = kept[Postprocessing.VALUE_TARGETS].float()
        module.value_normalizer.update(Moments.of(targets[:, None]).all_reduce())
        kept[Postprocessing.VALUE_TARGETS] = module.value_normalizer(targets[:, None])[:, 0]
        rows = kept.pop(Columns.OBS)
        self.moments[role, "normalizer"] = Moments.of(rows)
        if module.centralised:
            self.moments[role, "state_normalizer"] = Moments.of(columns[JOINT])
        if Columns.EMBEDDINGS in columns:
            known = (Columns.EMBEDDINGS, Columns.VF_PREDS, *([STATE] if module.centralised else []))
            extra = {key: columns[key] for key in known}
        else:
            embeddings = module.normalizer(rows)
            extra = {Columns.EMBEDDINGS: embeddings, Columns.VF_PREDS: module.critic(embeddings)[:, 0]}
        return kept | extra


class PairLearner(PPOTorchLearner):
    """PPO with a learning rate led by the divergence, bounded action means and normalised, clipped values.

    The loss is `-surrogate + vf_loss_coeff * value + bounds_coefficient * bounds - entropy_coeff * entropy`, one per
    role; nothing is shared between the roles. Old log-probabilities stay consistent with the data because the
    observation normaliser moves only after the gradient phase.
    """

    finish_class: type[FinishBatch] = FinishBatch

    def build(self) -> None:
        """Create modules, optimisers and the connector; called by RLlib."""
        self.options = LearnerOptions.from_dict(self.config.learner_config_dict)
        self._minibatches: dict[str, int] = {}
        self._finish = self.finish_class()
        super().build()
        if self._learner_connector is not None:
            if not self.config.add_default_connectors_to_learner_pipeline:
                config: Any = self.config
                batch = ChunkToTrainBatch(gamma=config.gamma, lambda_=config.lambda_)
                self._learner_connector.append(batch)
            self._learner_connector.append(TrainedRoles(self.should_module_be_updated))
            self._learner_connector.append(self._finish)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """One fused Adam for the actor, led by the divergence, and one for the critic."""
        module = self._policy(module_id)
        actor = [*module.actor.parameters(), *([module.log_std] if module.log_std.requires_grad else [])]
        groups = {
            "actor": (actor, config.lr),
            "critic": ([*module.critic.parameters()], self.options.critic_learning_rate),
        }
        for name, (parameters, rate) in groups.items():
            optimizer = torch.optim.Adam(parameters, lr=rate, eps=1e-5, fused=True)
            self.register_optimizer(module_id=module_id, optimizer_name=name, optimizer=optimizer, params=parameters)

    def _policy(self, role: str) -> PolicyModule:
        return cast(PolicyModule, self.module[role].unwrapped())

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Start counting minibatches; called by RLlib before the epochs."""
        super().before_gradient_based_update(timesteps=timesteps)
        self._minibatches.clear()

    def compute_gradients(self, loss_per_module: dict[str, Any], **kwargs: Any) -> Any:
        """Gradients of the losses of both roles; called by RLlib."""
        with matmul_precision(self.options.gradient_precision):
            return super().compute_gradients(loss_per_module, **kwargs)

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        """Loss of one role on one minibatch, a scalar."""
        actor_loss = self.actor_loss(module_id, config, batch, fwd_out[Columns.ACTION_DIST_INPUTS])
        return actor_loss + config.vf_loss_coeff * self.value_loss(module_id, batch, fwd_out[Columns.EMBEDDINGS])

    def actor_loss(self, module_id: str, config: Any, batch: Mapping[str, Any], inputs: Tensor) -> Tensor:
        """Loss of one role's actor, a scalar.

        Args:
            module_id: The role.
            config: The algorithm's configuration for it.
            batch: Name -> (rows, ...).
            inputs: What the actor makes of these rows: means and logarithmic deviations, shape (rows, 2 actions).
        """
        module = self._policy(module_id)
        distribution = module.get_train_action_dist_cls().from_logits(inputs)
        before = module.get_train_action_dist_cls().from_logits(batch[Columns.ACTION_DIST_INPUTS])
        ratio = torch.exp(distribution.logp(batch[Columns.ACTIONS]) - batch[Columns.ACTION_LOGP])
        advantages = batch[Postprocessing.ADVANTAGES]
        if self.options.advantage_normalization == "minibatch":
            advantages = standardize(advantages)
        policy_loss = surrogate_loss(ratio, advantages, config.clip_param).mean()
        bounds_loss = excess(inputs.chunk(2, dim=-1)[0]).mean()
        entropy = distribution.entropy().mean()
        entropy_weight: Any = self.entropy_coeff_schedulers_per_module[module_id].get_current_value()
        with torch.no_grad():
            divergence = before.kl(distribution).mean()
            rate = self._adapt_rate(module_id, divergence)
            self.metrics.log_dict(
                {
                    POLICY_LOSS: policy_loss,
                    BOUNDS_LOSS: bounds_loss,
                    KL: divergence,
                    LEARNING_RATE: rate,
                    CLIP_FRACTION: ((ratio - 1).abs() > config.clip_param).float().mean(),
                },
                key=module_id,
                window=1,
            )
        return policy_loss + self.options.bounds_coefficient * bounds_loss - entropy_weight * entropy

    def value_loss(self, module_id: str, batch: dict[str, Any], embeddings: Tensor) -> Tensor:
        """Loss of one role's critic on normalised observations of shape (rows, size), a scalar."""
        targets = batch[Postprocessing.VALUE_TARGETS]
        with matmul_precision(self.options.gradient_precision):
            values = self._policy(module_id).normalized_values(batch, embeddings)
        loss = clipped_value_loss(values, batch[Columns.VF_PREDS], targets, self.options.value_clip)
        with torch.no_grad():
            explained = explained_variance(values, targets)
        self.metrics.log_dict({VALUE_LOSS: loss, EXPLAINED: explained}, key=module_id, window=1)
        return loss

    def postprocess_gradients_for_module(
        self, *, module_id: str, config: Any = None, module_gradients_dict: Any
    ) -> Any:
        """Clip actor and critic by their own norm; a norm that is not finite drops this minibatch for the role."""
        groups: list[list[Any]] = [
            list(self.filter_param_dict_for_optimizer(module_gradients_dict, optimizer))
            for _, optimizer in self.get_optimizers_for_module(module_id)
        ]
        if not any(groups):  # a role that is not trained
            return module_gradients_dict
        limit = float("inf") if config.grad_clip is None else config.grad_clip
        norms = torch.stack([torch.nn.utils.clip_grad_norm_(group, limit) for group in groups if group])
        finite = bool(torch.isfinite(norms).all())
        self.metrics.log_value((module_id, SKIPPED), 0 if finite else 1, reduce="sum")
        if finite:
            self.metrics.log_value((module_id, GRADIENT_NORM), norms[0], window=1)
            return module_gradients_dict
        for group in groups:
            for parameter in group:
                parameter.grad = None
        return {}

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Include the batch in the normalisers and the actors in their averages; called by RLlib after the epochs."""
        super().after_gradient_based_update(timesteps=timesteps)
        for (role, name), moments in self._finish.moments.items():
            getattr(self._policy(role), name).update(moments.all_reduce())
        for role in {role for role, _ in self._finish.moments}:
            self._policy(role).update_average(self.options.average_decay)
        self._finish.moments.clear()

    def _adapt_rate(self, role: str, divergence: Tensor) -> float:
        """Set the actor's learning rate for this minibatch from the divergence it starts with."""
        optimizer = self.get_optimizer(role, "actor")
        first = self._minibatches.setdefault(role, 0) == 0
        self._minibatches[role] += 1
        rate = self._get_optimizer_lr(optimizer)
        if not first:  # the first minibatch of an update starts at a divergence of 0 by construction
            rate = adapted_rate(rate, mean_over_learners(divergence), self.options)
            self._set_optimizer_lr(optimizer, rate)
        return rate


def adapted_rate(rate: float, divergence: float, options: LearnerOptions) -> float:
    """Next learning rate, as rl_games adapts it.

    Args:
        rate: Learning rate so far.
        divergence: Mean divergence of the current from the old policy [nat].
        options: Target, factor and bounds.
    """
    low, high = options.learning_rate_bounds
    if not divergence <= 2 * options.kl_target:  # also when it is not a number
        return max(rate / options.learning_rate_factor, low)
    if divergence < options.kl_target / 2:
        return min(rate * options.learning_rate_factor, high)
    return rate


def clipped_value_loss(values: Tensor, old_values: Tensor, targets: Tensor, clip: float | None) -> Tensor:
    """Mean squared error, pessimistic outside a band around the old values (PPO2); shapes (rows,), a scalar."""
    error = (values - targets).square()
    if clip is None:
        return error.mean()
    banded = old_values + (values - old_values).clamp(-clip, clip)
    return torch.maximum(error, (banded - targets).square()).mean()


def explained_variance(values: Tensor, targets: Tensor) -> Tensor:
    """Share of the targets' variance that the values explain, at most 1; shapes (rows,), a scalar."""
    return 1 - (targets - values).var() / targets.var().clamp(min=1e-8)


def excess(mean: Tensor, limit: float = 1.0) -> Tensor:
    """Squared part of action means outside [-limit, limit], summed over the components of (..., actions)."""
    return (mean.abs() - limit).clamp(min=0.0).square().sum(dim=-1)


def surrogate_loss(ratio: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """PPO's clipped loss of each row from probability ratios and advantages, all of shape (rows,)."""
    return -torch.minimum(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip))


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Let matrix products on the CPU round their single-precision factors to this precision inside the context."""
    backends: Any = torch.backends
    settings = backends.mkldnn.matmul
    before, settings.fp32_precision = settings.fp32_precision, precision
    try:
        yield
    finally:
        settings.fp32_precision = before


def standardize(values: Tensor) -> Tensor:
    """Zero mean and unit deviation over all rows, shape (rows,)."""
    return (values - values.mean()) / values.std().clamp(min=1e-4)


def mean_over_learners(value: Tensor) -> float:
    """The value averaged over all learners, so that they keep equal learning rates."""
    if is_distributed():
        value = value.clone()
        torch.distributed.all_reduce(value)
        value /= torch.distributed.get_world_size()
    return float(value)
