"""`ChunkToTrainBatch`: the learner connector of the fast path, from rollout chunks to what `FinishBatch` expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from .advantage import generalized_advantage
from .module import STATE, PolicyModule
from .rollout import JOINT, RolloutChunk, concatenate


class ChunkToTrainBatch(ConnectorV2):
    """Values, advantages and value targets of all rows; takes the place of RLlib's default learner connectors.

    Unlike those it adds no bootstrap rows, so that there is no loss mask, and hands on the normalised observations and
    values that it needed anyway.

    Args:
        gamma: Discount.
        lambda_: Trace parameter of generalised advantage estimation.
    """

    def __init__(self, *, gamma: float, lambda_: float) -> None:
        super().__init__()
        self.gamma, self.lambda_ = gamma, lambda_

    def __call__(self, *, rl_module: Any, episodes: Sequence[RolloutChunk], **kwargs: Any) -> dict[str, Any]:
        """Train batch of each role: role -> column -> (M, ...); advantages are not standardised yet."""
        chunk = concatenate(episodes)
        return {role: self._columns(role, rl_module[role].unwrapped(), chunk) for role in chunk.roles}

    @torch.no_grad()
    def _columns(self, role: str, module: PolicyModule, chunk: RolloutChunk) -> dict[str, Tensor]:
        device = module.log_std.device
        sampled = chunk.columns[role]
        columns = {name: _tensor(column, device) for name, column in sampled.items() if name != Columns.REWARDS}
        embeddings = module.normalizer(columns[Columns.OBS])
        after = {Columns.OBS: _tensor(chunk.bootstrap[role], device)}
        if module.centralised:
            columns[JOINT] = _tensor(chunk.columns[JOINT][Columns.OBS], device)
            columns[STATE] = module.state_normalizer(columns[JOINT])
            after[STATE] = module.state_normalizer(_tensor(chunk.bootstrap[JOINT], device))
        normalized = module.normalized_values(columns, embeddings)
        values = _array(module.value_normalizer.denormalize(normalized))
        following = _array(module.compute_values(after))
        advantages = generalized_advantage(
            sampled[Columns.REWARDS],
            values,
            np.where(chunk.terminated, 0.0, following),
            chunk.lengths,
            gamma=self.gamma,
            lambda_=self.lambda_,
        )
        return {
            **columns,
            Columns.EMBEDDINGS: embeddings,
            Columns.VF_PREDS: normalized,
            Postprocessing.ADVANTAGES: _tensor(advantages, device),
            Postprocessing.VALUE_TARGETS: _tensor(advantages + values, device),
        }


def _tensor(array: NDArray[np.floating], device: torch.device) -> Tensor:
    """As float32; without a copy where that is possible (arrays that Ray received cannot be written to)."""
    return torch.from_numpy(np.require(array, np.float32, ["C", "W"])).to(device)


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy()
