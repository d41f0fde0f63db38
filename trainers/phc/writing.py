"""Writing a single-person tracker as a checkpoint of PHC (``spec/phc.md`` section 7), for people who work with PHC.

The file has the keys of PHC's plain network. The style discriminator, which has no part in actions, is small and new,
and there is no optimiser state, so that the file stays small.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assistmimic_env.errors import PolicyError
from assistmimic_env.policy import Policy

from ..module import PolicyModule
from ..perceptron import Perceptron

PREFIX = "a2c_network."

STYLE_SIZES = (1960, 64, 32, 1)
"""Widths of the style discriminator: PHC's input for 24 bodies, then as small as is sensible."""


def write_checkpoint(
    policy: Policy, path: str | os.PathLike[str], *, module: PolicyModule | None = None, epoch: int = 0, frame: int = 0
) -> Path:
    """Write a checkpoint that PHC, or `load_policy`, reads.

    Args:
        policy: A single-person tracker.
        path: The file, e.g. Humanoid.pth; it appears whole or not at all.
        module: Gives the critic and the value normaliser; without it they are new.
        epoch: Number of updates behind the policy.
        frame: Number of samples behind the policy.

    Raises:
        PolicyError: The policy is a composer.
    """
    if policy.card.mixture is not None:
        raise PolicyError(f"{policy.source} is a composer; only plain networks are written. Give one primitive.")
    target = Path(path)
    partial = target.with_name(f".{target.name}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(_content(policy, module, epoch, frame), partial)
    return partial.replace(target)


def _content(policy: Policy, module: PolicyModule | None, epoch: int, frame: int) -> dict[str, Any]:
    card, tensors = policy.card, {name: torch.tensor(array) for name, array in policy.tensors.items()}
    statistics = _statistics(tensors["normalizer.mean"], tensors["normalizer.variance"], card.normalizer_count)
    critic, value = _critic(policy, module)
    torch.manual_seed(0)
    style = Perceptron(STYLE_SIZES, activation="relu", output_gain=1.0)
    parameters = {
        "sigma": tensors["log_std"],
        **_split("actor_mlp", "mu", _layers(tensors, "actor.")),
        **_split("critic_mlp", "value", critic),
        **_split("_disc_mlp", "_disc_logits", dict(style.state_dict())),
    }
    return {
        "model": OrderedDict((PREFIX + name, tensor.detach().clone()) for name, tensor in parameters.items()),
        "running_mean_std": statistics,
        "reward_mean_std": value,
        "amp_input_mean_std": _statistics(torch.zeros(STYLE_SIZES[0]), torch.ones(STYLE_SIZES[0]), 1.0),
        "epoch": epoch,
        "frame": frame,
        "optimizer": {},
        "last_mean_rewards": 0.0,
        "env_state": None,
    }


def _critic(policy: Policy, module: PolicyModule | None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Layers of the critic, and the value normaliser."""
    if module is None:
        torch.manual_seed(0)
        sizes = (policy.card.observation_size, *policy.card.hidden, 1)
        fresh = Perceptron(sizes, activation=policy.card.activation, output_gain=1.0)
        return dict(fresh.state_dict()), _statistics(torch.zeros(1), torch.ones(1), 1.0)
    normalizer = module.value_normalizer
    return dict(module.critic.state_dict()), _statistics(normalizer.mean, normalizer.variance, float(normalizer.count))


def _layers(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _split(body: str, head: str, layers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name layers 0, 1, ... as a sequence with an activation after each but the last, which is the head."""
    last = max(int(name.split(".")[0]) for name in layers)
    named = {}
    for name, tensor in layers.items():
        index, part = name.split(".")
        named[f"{head}.{part}" if int(index) == last else f"{body}.{2 * int(index)}.{part}"] = tensor
    return named


def _statistics(mean: Tensor, variance: Tensor, count: float) -> dict[str, Tensor]:
    """Running statistics as PHC keeps them, in double precision."""
    return {
        "running_mean": mean.detach().double().clone(),
        "running_var": variance.detach().double().clone(),
        "count": torch.tensor(float(count), dtype=torch.float64),
    }
