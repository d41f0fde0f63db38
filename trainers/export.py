"""From a `PolicyModule` to an exported policy: safetensors and a JSON card, run in NumPy without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assistmimic_env.policy import save_policy

from .cast import Cast
from .module import ModuleConfig, PolicyModule


def policy_tensors(module: PolicyModule, *, averaged: bool = False) -> dict[str, np.ndarray]:
    """The tensors that an exported policy carries, float32.

    Args:
        module: The module.
        averaged: Take the actor averaged over recent updates instead of the present one.
    """
    actor = module.average if averaged else module.actor
    tensors = {
        "normalizer.mean": module.normalizer.mean,
        "normalizer.variance": module.normalizer.variance,
        "log_std": module.log_std,
        **{f"actor.{name}": tensor for name, tensor in actor.state_dict().items()},
    }
    return {name: tensor.detach().cpu().numpy().astype(np.float32) for name, tensor in tensors.items()}


def policy_card(
    module: PolicyModule, *, role: str, interface: Mapping[str, Any], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """The JSON card of a module."""
    config = ModuleConfig.from_dict(module.model_config)
    layers = module.actor.layers
    return {
        **interface,
        "role": role,
        "observation_size": layers[0].weight.shape[1],
        "action_size": layers[-1].weight.shape[0],
        "activation": config.activation,
        "hidden": list(config.hidden),
        "normalizer": {
            "epsilon": config.epsilon,
            "clip": config.clip,
            "count": float(module.normalizer.count.min()),  # columns that started later know less; one number for all
        },
        "provenance": dict(provenance),
    }


def export_module(
    module: PolicyModule,
    path: Path,
    *,
    role: str,
    interface: Mapping[str, Any],
    provenance: Mapping[str, Any],
    averaged: bool = False,
) -> Path:
    """Write one policy.

    Args:
        module: A module of a learner, an env runner or a checkpoint.
        path: Stem of the two files.
        role: supporter, recipient or, for a single person, any.
        interface: What the environment decides, from `assistmimic_env.policy.policy_interface`.
        provenance: Where it comes from; free, for people.
        averaged: See `policy_tensors`.

    Returns:
        The path of the JSON card.
    """
    card = policy_card(module, role=role, interface=interface, provenance=provenance)
    return save_policy(path, policy_tensors(module, averaged=averaged), card)


def export_policies(
    modules: Mapping[str, PolicyModule],
    folder: Path,
    *,
    cast: Cast,
    interface: Mapping[str, Any],
    provenance: Mapping[str, Any],
    averaged: bool = False,
) -> Path:
    """Write the policies of a cast into a folder and return the folder; arguments as for `export_module`."""
    for name, role in cast.roles.items():
        export_module(
            modules[name],
            folder / name,
            role=role,
            interface=interface,
            provenance=provenance,
            averaged=averaged,
        )
    return folder
