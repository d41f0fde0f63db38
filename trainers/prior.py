"""The single-person tracker that both roles start from: trained on every person of the clips, each alone.

PHC's weights cannot be redistributed, so the package ships a tracker of its own, made on a CPU by
`assistmimic prior train`: imitation of a regulator, then PPO, one policy for both roles of all clips (`solo`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assistmimic_env.solo_evaluation import ENV_ID, training_clips

from .module import ModuleConfig
from .run import TRAINING_OPTIONS, RunSettings
from .start import REGULATOR

PEOPLE = 192
"""People simulated at once, two per world."""

NETWORK = ModuleConfig(activation="relu", log_std=-4.0)
"""ReLU, as PHC's trackers with two hidden layers: its checkpoint format does not store the activation, and readers
assume this one. Little noise, since the start tracks already: with exp(-4), 600,000 steps of one person took the mean
task success on the generated clips from 0.76 to 0.88; with PHC's exp(-2.9), and from the feed-forward start, 300,000
steps took it from 0.48 to 0.03."""


def prior_settings(
    *,
    clips: Sequence[str] = (),
    seed: int = 0,
    init_from: str = REGULATOR,
    ppo: Mapping[str, Any] | None = None,
    **settings: Any,
) -> RunSettings:
    """The run that makes a prior.

    Args:
        clips: Names and files as `assistmimic_env.make` takes them; by default `solo_evaluation.training_clips`.
        seed: Seed of everything random.
        init_from: What PPO starts from, see `start.Start`.
        ppo: Further keyword arguments of `assistmimic_ppo`, as plain values.
        **settings: Other fields of `RunSettings`.
    """
    return RunSettings(
        env_id=ENV_ID,
        seed=seed,
        solo=True,
        env_options={**TRAINING_OPTIONS, "clips": list(clips or training_clips())},
        ppo={"num_envs_per_env_runner": PEOPLE, **(ppo or {})},
        init_from=init_from,
        **{"module": NETWORK, **settings},
    )
