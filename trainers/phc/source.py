"""`Source`: checkpoint files together with what they do not say about themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from assistmimic_env.errors import CheckpointError, ConfigError, did_you_mean
from assistmimic_env.policy_card import ACTIVATIONS

from .architecture import ACTIVATION_OF_DEPTH, KIND_NAMES, Kind, Layers, actor_layers, count_primitives, kind_of
from .checkpoint import Checkpoint, read_checkpoint


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """What to import: one file, or a composer with the file of its primitives."""

    checkpoint: Checkpoint
    """The file."""
    primitives: Checkpoint | None = None
    """A PNN file, for a composer."""
    primitive: int = 0
    """Which primitive of a PNN file."""
    activation: str | None = None
    """Between the layers, of both files; None means PHC's for this number of layers."""
    ending_activation: bool = True
    """Whether a composer's last layer is followed by an activation."""
    softmax: bool = False
    """Whether a composer ends with a softmax."""

    def __post_init__(self) -> None:
        name = self.checkpoint.source
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise ConfigError(
                f"activation is '{self.activation}', expected one of {', '.join(ACTIVATIONS)}."
                f"{did_you_mean(self.activation, ACTIVATIONS)}"
            )
        if self.kind != "mcp" and (self.primitives is not None or self.softmax or not self.ending_activation):
            raise ConfigError(
                f"{name} is a {KIND_NAMES[self.kind]}; primitives, softmax and ending_activation are for composers "
                "(MCP). Leave them out, or give the composer's file first."
            )
        if self.primitives is not None:
            self._check_pair(self.primitives)

    def _check_pair(self, primitives: Checkpoint) -> None:
        weights, inputs = self.layers.sizes[-1], self.layers.sizes[0]
        if (kind := kind_of(primitives)) != "pnn":
            raise CheckpointError(f"{primitives.source} is a {KIND_NAMES[kind]}, expected primitives (PNN).")
        if (count := count_primitives(primitives)) != weights:
            raise CheckpointError(
                f"{self.checkpoint.source} weighs {weights} primitives, {primitives.source} has {count}. "
                "Give the file that the composer was trained with."
            )
        if (found := actor_layers(primitives).sizes[0]) != inputs:
            raise CheckpointError(
                f"{self.checkpoint.source} takes {inputs} inputs, the primitives in {primitives.source} take {found}. "
                "Give the file that the composer was trained with."
            )

    @cached_property
    def kind(self) -> Kind:
        """Kind of the first file."""
        return kind_of(self.checkpoint)

    @cached_property
    def layers(self) -> Layers:
        """Of the first file: the plain network, the chosen primitive or the composer."""
        return actor_layers(self.checkpoint, self.primitive)

    @cached_property
    def primitive_layers(self) -> tuple[Layers, ...]:
        """Of the composer's primitives."""
        if self.primitives is None:
            return ()
        return tuple(actor_layers(self.primitives, index) for index in range(count_primitives(self.primitives)))

    @property
    def controls(self) -> int | None:
        """Width of the action; None for a composer alone, whose outputs are weights."""
        if self.kind != "mcp":
            return self.layers.sizes[-1]
        return self.primitive_layers[0].sizes[-1] if self.primitive_layers else None

    def activation_of(self, layers: Layers) -> str:
        """The activation between layers.

        Raises:
            ConfigError: It was not given, and PHC has no networks of this depth.
        """
        depth = len(layers.hidden)
        activation = self.activation or ACTIVATION_OF_DEPTH.get(depth)
        if activation is None:
            raise ConfigError(
                f"{self.checkpoint.source} has {depth} hidden layers and does not store their activation; PHC's "
                f"networks have 2 (relu) or 6 (silu). Give it: --activation, one of {', '.join(ACTIVATIONS)}."
            )
        return activation


def open_source(
    path: str | os.PathLike[str],
    *,
    primitives: str | os.PathLike[str] | None = None,
    primitive: int = 0,
    activation: str | None = None,
    ending_activation: bool = True,
    softmax: bool = False,
) -> Source:
    """Read the files of a policy; arguments as those of `load_policy`."""
    return Source(
        checkpoint=read_checkpoint(path),
        primitives=None if primitives is None else read_checkpoint(primitives),
        primitive=primitive,
        activation=activation,
        ending_activation=ending_activation,
        softmax=softmax,
    )
