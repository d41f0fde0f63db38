"""From the names of a checkpoint to layers: plain networks (MLP), primitives (PNN) and composers (MCP)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from assistmimic_env.errors import CheckpointError, ConfigError

from .checkpoint import Checkpoint

Kind = Literal["mlp", "pnn", "mcp"]

KIND_NAMES: Mapping[Kind, str] = {"mlp": "plain network", "pnn": "primitives (PNN)", "mcp": "composer (MCP)"}
"""What people call the kinds."""

ACTIVATION_OF_DEPTH: Mapping[int, str] = {2: "relu", 6: "silu"}
"""Number of hidden layers -> activation of PHC's configurations of that depth."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layers:
    """Linear layers in order."""

    weights: tuple[Tensor, ...]
    """Each of shape (outputs, inputs)."""
    biases: tuple[Tensor, ...]
    """Each of shape (outputs,)."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths, the input first and the output last."""
        return (int(self.weights[0].shape[1]), *(len(bias) for bias in self.biases))

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths between input and output."""
        return self.sizes[1:-1]


def kind_of(checkpoint: Checkpoint) -> Kind:
    """Tell which kind of policy a file holds.

    Raises:
        CheckpointError: None that is known.
    """
    stems = {name.split(".")[0] for name in checkpoint.model}
    kinds: Mapping[str, Kind] = {"composer": "mcp", "pnn": "pnn", "actor_mlp": "mlp"}
    for stem, kind in kinds.items():
        if stem in stems:
            return kind
    raise CheckpointError(
        f"{checkpoint.source}: has neither actor_mlp, pnn nor composer. Present: {', '.join(sorted(stems)) or 'none'}. "
        "This is not a policy of PHC."
    )


def count_primitives(checkpoint: Checkpoint) -> int:
    """Number of primitives in a PNN file, 0 in others."""
    return len({name.split(".")[2] for name in checkpoint.model if name.startswith("pnn.actors.")})


def has_laterals(checkpoint: Checkpoint) -> bool:
    """Whether primitives of a PNN file read hidden layers of earlier primitives."""
    return any(name.startswith("pnn.u.") for name in checkpoint.model)


def actor_layers(checkpoint: Checkpoint, primitive: int = 0) -> Layers:
    """Layers of the policy: of the plain network, of one primitive, or of the composer.

    Args:
        checkpoint: The file.
        primitive: Which primitive of a PNN file.

    Raises:
        CheckpointError: A parameter is missing, unknown or of the wrong shape.
        ConfigError: There is no such primitive.
    """
    kind, count = kind_of(checkpoint), count_primitives(checkpoint)
    if not 0 <= primitive < max(count, 1):
        exist = f"has the primitives 0 to {count - 1}" if count else f"is a {KIND_NAMES[kind]} without any"
        raise ConfigError(
            f"primitive is {primitive}, but {checkpoint.source} {exist}. Choose another with --primitive."
        )
    if kind == "mcp":
        return _sequence(checkpoint, "composer")
    if kind == "pnn":
        read = _primitive_with_laterals if has_laterals(checkpoint) else _primitive
        return read(checkpoint, primitive)
    return _chain(checkpoint, [*_pairs(checkpoint, "actor_mlp"), _pair(checkpoint, "mu")])


def _primitive(checkpoint: Checkpoint, primitive: int) -> Layers:
    return _sequence(checkpoint, f"pnn.actors.{primitive}")


def _primitive_with_laterals(checkpoint: Checkpoint, primitive: int) -> Layers:
    """Stack the first hidden layers of this and all earlier primitives, so that no lateral connection is left.

    PHC: h2_i = act(W2_i h1_i + b2_i + sum over j < i of U_(i-1),j,0 h1_j), for two hidden layers.
    """
    columns = [_primitive(checkpoint, index) for index in range(primitive + 1)]
    last = columns[-1]
    if len(last.hidden) != 2:
        raise CheckpointError(
            f"{checkpoint.source}: has lateral connections (pnn.u) and {len(last.hidden)} hidden layers; PHC defines "
            "them for 2. Use a file that was trained with has_lateral=False."
        )
    lateral = [checkpoint.tensor(f"pnn.u.{primitive - 1}.{index}.0.weight", dims=2) for index in range(primitive)]
    shapes = {tuple(matrix.shape) for matrix in lateral} - {tuple(last.weights[1].shape)}
    if shapes:
        raise CheckpointError(
            f"{checkpoint.source}: pnn.u.{primitive - 1} has shapes {sorted(shapes)}, "
            f"expected {tuple(last.weights[1].shape)}. Save the file again."
        )
    first, bias = (torch.cat([getattr(column, part)[0] for column in columns]) for part in ("weights", "biases"))
    second = torch.cat([*lateral, last.weights[1]], dim=1)
    return Layers(weights=(first, second, last.weights[2]), biases=(bias, *last.biases[1:]))


def _sequence(checkpoint: Checkpoint, stem: str) -> Layers:
    return _chain(checkpoint, _pairs(checkpoint, stem))


def _pairs(checkpoint: Checkpoint, stem: str) -> list[tuple[str, Tensor, Tensor]]:
    """Layers of a `torch.nn.Sequential` in which linear layers and activations take turns."""
    pattern = re.compile(rf"{re.escape(stem)}\.(\d+)\.")
    found = sorted({int(match[1]) for name in checkpoint.model if (match := pattern.match(name))})
    if not found or found != list(range(0, 2 * len(found), 2)):
        raise CheckpointError(
            f"{checkpoint.source}: '{stem}' has parameters in its parts {found}, expected 0, 2, 4, ...: linear layers "
            "with an activation between them. Normalisation or other layers are not supported."
        )
    return [_pair(checkpoint, f"{stem}.{index}") for index in found]


def _pair(checkpoint: Checkpoint, name: str) -> tuple[str, Tensor, Tensor]:
    return name, checkpoint.tensor(f"{name}.weight", dims=2), checkpoint.tensor(f"{name}.bias", dims=1)


def _chain(checkpoint: Checkpoint, pairs: list[tuple[str, Tensor, Tensor]]) -> Layers:
    """Check that each layer takes what the one before it gives."""
    width = pairs[0][1].shape[1]
    for name, weight, bias in pairs:
        if tuple(weight.shape) != (len(bias), width):
            raise CheckpointError(
                f"{checkpoint.source}: '{name}.weight' has shape {tuple(weight.shape)}, expected "
                f"{(len(bias), width)} from its bias and the layer before it. The file mixes two networks."
            )
        width = len(bias)
    return Layers(weights=tuple(weight for _, weight, _ in pairs), biases=tuple(bias for *_, bias in pairs))
