"""`TrainedRoles`: the learner connector that drops what roles that keep their start have sampled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.rllib.connectors.connector_v2 import ConnectorV2


class TrainedRoles(ConnectorV2):
    """Drops the batches of all other roles, so that not even their normalisers move.

    Args:
        is_trained: Whether a role is.
    """

    def __init__(self, is_trained: Callable[[str], bool]) -> None:
        super().__init__()
        self.is_trained = is_trained

    def __call__(self, *, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """The batches of the roles that are trained."""
        return {role: columns for role, columns in batch.items() if self.is_trained(role)}
