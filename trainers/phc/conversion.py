"""From a PHC checkpoint to our own format: safetensors and a JSON card (`assistmimic_env.policy`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from assistmimic_env.config import CONTROL_DT
from assistmimic_env.errors import CheckpointError
from assistmimic_env.policy import save_policy
from assistmimic_env.policy_card import ANY_ROLE, Mixture, actuation_interface

from .architecture import KIND_NAMES
from .networks import Composition, Tracker, build_policy
from .observation import BODY_NAMES, Observation, identify
from .servo import servo
from .source import Source

Tensors = dict[str, np.ndarray]


def observation_of(source: Source) -> Observation:
    """Find what the policy observes.

    Raises:
        CheckpointError: Its widths are those of none of PHC's configurations.
    """
    return identify(source.checkpoint.source, source.layers.sizes[0], source.controls)


def write_policy(source: Source, stem: Path) -> Path:
    """Write the policy of a source.

    Args:
        source: A plain network, one primitive, or a composer with its primitives.
        stem: Path of the two files without their suffixes.

    Returns:
        The path of the JSON card.

    Raises:
        CheckpointError: Its widths are unknown, a composer lacks its primitives, or inputs lack statistics.
    """
    if source.controls is None:
        raise CheckpointError(
            f"{source.checkpoint.source} is a {KIND_NAMES['mcp']}: its {source.layers.sizes[-1]} outputs weigh "
            "primitives that are in another file. Give that file too: --primitives PNN.pth"
        )
    card, policy = policy_card(source), build_policy(source)
    return save_policy(stem, policy_tensors(source, policy), card)


def policy_card(source: Source) -> dict[str, Any]:
    """The card that goes with `policy_tensors`."""
    observation, checkpoint = observation_of(source), source.checkpoint
    return {
        "role": ANY_ROLE,
        "observation_layout": observation.layout,
        "observation_size": observation.size,
        "action_size": source.controls,
        "activation": source.activation_of(source.layers),
        "hidden": list(source.layers.hidden),
        "normalizer": {"epsilon": 1e-5, "clip": 5.0, "count": checkpoint.count},
        "actuation": actuation_interface("expmap"),
        "body": BODY_NAMES[observation.bodies],
        "control_dt": CONTROL_DT,
        "upright": observation.upright,
        "servo": servo(observation.bodies),
        "mixture": _mixture(source),
        "provenance": {
            "method": "PHC checkpoint",
            "kind": source.kind,
            "file": Path(checkpoint.source).name,
            "primitives": None if source.primitives is None else Path(source.primitives.source).name,
            "primitive": source.primitive if source.kind == "pnn" else None,
            "epoch": checkpoint.epoch,
            "frame": checkpoint.frame,
        },
    }


def policy_tensors(source: Source, policy: Tracker | Composition) -> Tensors:
    """The tensors of a policy by their names in our format."""
    file = source.checkpoint if source.primitives is None else source.primitives
    log_std = file.tensor("sigma", dims=1).numpy()
    if isinstance(policy, Tracker):
        return {**_tracker_tensors(source, policy, "actor", "normalizer"), "log_std": log_std}
    tensors = {**_tracker_tensors(source, policy.composer, "actor", "normalizer"), "log_std": log_std}
    for index, primitive in enumerate(policy.trackers):
        tensors |= _tracker_tensors(source, primitive, f"primitive.{index}", "primitive_normalizer")
    return tensors


def _tracker_tensors(source: Source, tracker: Tracker, name: str, normalizer: str) -> Tensors:
    known, inputs = len(tracker.normalizer.mean), source.layers.sizes[0]
    if known < inputs:
        raise CheckpointError(
            f"{source.checkpoint.source}: the normaliser has {known} entries for {inputs} inputs; the others pass it "
            "unchanged in PHC, which our format cannot express. Use assistmimic_trainers.phc.load_policy instead."
        )
    tensors = {f"{normalizer}.mean": tracker.normalizer.mean, f"{normalizer}.variance": tracker.normalizer.variance}
    tensors |= {f"{name}.{key}": tensor for key, tensor in tracker.actor.state_dict().items()}
    return {key: tensor.detach().numpy().astype(np.float32) for key, tensor in tensors.items()}


def _mixture(source: Source) -> dict[str, Any] | None:
    if not source.primitive_layers:
        return None
    first = source.primitive_layers[0]
    if different := {layers.hidden for layers in source.primitive_layers} - {first.hidden}:
        raise CheckpointError(
            f"the primitives have hidden layers {first.hidden} and {sorted(different)}; our format holds primitives of "
            "one size (lateral connections make later ones larger). Use assistmimic_trainers.phc.load_policy instead."
        )
    composer = source.activation_of(source.layers)
    return Mixture(
        primitives=len(source.primitive_layers),
        hidden=first.hidden,
        activation=source.activation_of(first),
        ending=composer if source.ending_activation else "none",
        softmax=source.softmax,
    ).to_json()
