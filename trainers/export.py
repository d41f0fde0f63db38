"""From a `PolicyModule` to an exported policy: safetensors and a JSON card, run in NumPy without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assistmimic_env.policy import Mixture, TrainedIn, save_policy

from .cast import Cast
from .module import ModuleConfig, PolicyModule
from .perceptron import Perceptron


def policy_tensors(module: PolicyModule, *, averaged: bool = False) -> dict[str, np.ndarray]:
    """The tensors that an exported policy carries, float32.

    Args:
        module: The module.
        averaged: Take the actor averaged over recent updates instead of the present one.
    """
    actor = module.average if averaged else module.actor
    tensors = {**_normalizer("normalizer", module), "log_std": module.log_std}
    if module.base is None:
        tensors |= _network("actor", actor)
    else:
        inputs = module.actor.layers[0].weight.shape[1]
        tensors |= {"actor.0.weight": torch.zeros(2, inputs), "actor.0.bias": torch.ones(2)}
        tensors |= _normalizer("primitive_normalizer", module)
        tensors |= _network("primitive.0", module.base) | _network("primitive.1", actor)
    return {name: tensor.detach().cpu().numpy().astype(np.float32) for name, tensor in tensors.items()}


def _normalizer(name: str, module: PolicyModule) -> dict[str, torch.Tensor]:
    return {f"{name}.mean": module.normalizer.mean, f"{name}.variance": module.normalizer.variance}


def _network(name: str, network: Perceptron) -> dict[str, torch.Tensor]:
    return {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}


def policy_card(
    module: PolicyModule, *, role: str, interface: Mapping[str, Any], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """The JSON card of a module; one with a base is a composer whose two primitives count 1 each."""
    config = ModuleConfig.from_dict(module.model_config)
    layers = module.actor.layers
    summed = Mixture(primitives=2, hidden=config.hidden, activation=config.activation, ending="none", softmax=False)
    return {
        **interface,
        "role": role,
        "observation_size": layers[0].weight.shape[1],
        "action_size": layers[-1].weight.shape[0],
        "activation": config.activation,
        "hidden": list(config.hidden) if module.base is None else [],
        "mixture": None if module.base is None else summed.to_json(),
        "normalizer": {
            "epsilon": config.epsilon,
            "clip": config.clip,
            "count": float(module.normalizer.count.min()),  # columns that started later know less
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
    environment: TrainedIn | None = None,
    averaged: bool = False,
) -> Path:
    """Write one policy.

    Args:
        module: A module of a learner, an env runner or a checkpoint.
        path: Stem of the two files.
        role: supporter, recipient or, for a single person, any.
        interface: What the environment decides, from `assistmimic_env.policy.policy_interface`.
        provenance: Where it comes from; free, for people.
        environment: What it was trained in.
        averaged: See `policy_tensors`.

    Returns:
        The path of the JSON card.
    """
    card = policy_card(module, role=role, interface=interface, provenance=provenance)
    card["environment"] = None if environment is None else environment.to_json()
    return save_policy(path, policy_tensors(module, averaged=averaged), card)


def export_policies(
    modules: Mapping[str, PolicyModule],
    folder: Path,
    *,
    cast: Cast,
    interface: Mapping[str, Any],
    provenance: Mapping[str, Any],
    environment: TrainedIn | None = None,
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
            environment=environment,
            averaged=averaged,
        )
    return folder
