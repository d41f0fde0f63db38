"""The single-person tracker that both roles start from: trained on every person of the clips, each alone.

PHC's weights cannot be redistributed, so the package ships a tracker of its own, made on a CPU by
`assistmimic prior train`: feed-forward stage, then PPO, one policy for both roles of all clips (`solo`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assistmimic_env.solo_evaluation import ENV_ID, training_clips

from .module import ModuleConfig
from .run import TRAINING_OPTIONS, RunSettings

PEOPLE = 192
"""People simulated at once, two per world."""

NETWORK = ModuleConfig(activation="relu")
"""ReLU, as PHC's trackers with two hidden layers: its checkpoint format does not store the activation, and readers
assume this one."""


def prior_settings(*, seed: int = 0, ppo: Mapping[str, Any] | None = None, **settings: Any) -> RunSettings:
    """The run that makes a prior.

    Args:
        seed: Seed of everything random.
        ppo: Further keyword arguments of `assistmimic_ppo`, as plain values.
        **settings: Other fields of `RunSettings`.
    """
    return RunSettings(
        env_id=ENV_ID,
        seed=seed,
        solo=True,
        env_options={**TRAINING_OPTIONS, "clips": training_clips()},
        ppo={"num_envs_per_env_runner": PEOPLE, **(ppo or {})},
        **{"module": NETWORK, **settings},
    )
