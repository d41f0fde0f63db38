"""The networks of PHC checkpoints as torch modules: observations in, action means out."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from assistmimic_env.errors import CheckpointError, PolicyError

from ..normalizer import Normalizer
from ..perceptron import ACTIVATIONS, Perceptron
from .architecture import Layers
from .checkpoint import Checkpoint
from .source import Source, open_source


class Tracker(nn.Module):
    """A normaliser and a perceptron: a plain policy, one primitive, or a composer.

    Inputs beyond the normaliser's statistics pass it unchanged, as in PHC.

    Args:
        checkpoint: Gives the statistics.
        layers: Weights and biases.
        activation: Between the layers.
        ending: Whether the activation also follows the last layer.
        softmax: Whether a softmax ends it.
    """

    def __init__(
        self, checkpoint: Checkpoint, layers: Layers, *, activation: str, ending: bool = False, softmax: bool = False
    ) -> None:
        super().__init__()
        self.inputs = layers.sizes[0]
        self.normalizer = _normalizer(checkpoint, layers.sizes[0])
        self.actor = _perceptron(layers, activation)
        self.ending = ACTIVATIONS[activation] if ending else nn.Identity()
        self.softmax = nn.Softmax(dim=-1) if softmax else nn.Identity()

    def forward(self, observation: Tensor) -> Tensor:
        """Map observations (..., D) to action means, or to a composer's weights, (..., A)."""
        expected, known = self.inputs, len(self.normalizer.mean)
        if observation.ndim == 0 or observation.shape[-1] != expected:
            raise PolicyError(f"observation has shape {tuple(observation.shape)}, expected (..., {expected}).")
        rows = self.normalizer(observation[..., :known].float())
        if known < expected:
            rows = torch.cat([rows, observation[..., known:].float()], dim=-1)
        return self.softmax(self.ending(self.actor(rows)))


class Composition(nn.Module):
    """A composer and its primitives: the sum of their actions, weighted by its outputs bounded to [-1, 1].

    Args:
        composer: Gives the weights.
        primitives: Give the actions.
    """

    def __init__(self, composer: Tracker, primitives: list[Tracker]) -> None:
        super().__init__()
        self.composer = composer
        self.primitives = nn.ModuleList(primitives)
        self.trackers = tuple(primitives)

    def forward(self, observation: Tensor) -> Tensor:
        """Map observations (..., D) to actions (..., A), which are not bounded."""
        weights = self.composer(observation).clamp(-1.0, 1.0)
        actions = torch.stack([primitive(observation) for primitive in self.trackers], dim=-2)
        return (weights[..., None] * actions).sum(dim=-2)


def build_policy(source: Source) -> Tracker | Composition:
    """Make the module of a source.

    Raises:
        ConfigError: The activation is neither given nor known.
        CheckpointError: The normaliser is wider than the network.
    """
    activation = source.activation_of(source.layers)
    composer = source.kind == "mcp"
    tracker = Tracker(
        source.checkpoint,
        source.layers,
        activation=activation,
        ending=composer and source.ending_activation,
        softmax=source.softmax,
    )
    if source.primitives is None:
        return tracker.eval()
    primitives = [
        Tracker(source.primitives, layers, activation=source.activation_of(layers))
        for layers in source.primitive_layers
    ]
    return Composition(tracker, primitives).eval()


def load_policy(
    path: str | os.PathLike[str],
    *,
    primitives: str | os.PathLike[str] | None = None,
    primitive: int = 0,
    activation: str | None = None,
    ending_activation: bool = True,
    softmax: bool = False,
) -> nn.Module:
    """Load the policy of a PHC checkpoint; nothing in the file is run.

    Args:
        path: The file: a plain network (MLP), primitives (PNN) or a composer (MCP).
        primitives: The PNN file that a composer's outputs weigh; without it the module returns these outputs.
        primitive: Which primitive of a PNN file.
        activation: Between the layers: silu, relu, elu or tanh. Files do not store it; by default it is that of PHC's
            networks of the same depth, relu for 2 hidden layers and silu for 6.
        ending_activation: Whether an activation follows a composer's last layer.
        softmax: Whether a composer ends with a softmax.

    Returns:
        A module from observations (..., D) to action means (..., A), with the normalisation inside. The actions of
        composed primitives are sums weighted by the composer's outputs bounded to [-1, 1], not bounded again.

    Raises:
        UntrustedFileError: A file would import something that tensors do not need.
        CheckpointError: A file is missing, damaged, or not what was expected.
        ConfigError: An option does not fit the file.
    """
    return build_policy(
        open_source(
            path,
            primitives=primitives,
            primitive=primitive,
            activation=activation,
            ending_activation=ending_activation,
            softmax=softmax,
        )
    )


def _normalizer(checkpoint: Checkpoint, inputs: int) -> Normalizer:
    size = len(checkpoint.mean)
    if size > inputs:
        raise CheckpointError(
            f"{checkpoint.source}: the normaliser has {size} entries, the first layer expects {inputs} inputs. "
            "The file mixes two policies."
        )
    normalizer = Normalizer(size)
    normalizer.mean.copy_(checkpoint.mean)
    normalizer.variance.copy_(checkpoint.variance)
    normalizer.count.fill_(checkpoint.count)
    return normalizer


def _perceptron(layers: Layers, activation: str) -> Perceptron:
    """Layers without the cost and the random numbers of a first initialisation."""
    with torch.device("meta"):
        perceptron = Perceptron(layers.sizes, activation=activation, output_gain=1.0)
    state = {f"{i}.weight": weight.clone() for i, weight in enumerate(layers.weights)}
    state |= {f"{i}.bias": bias.clone() for i, bias in enumerate(layers.biases)}
    perceptron.load_state_dict(state, assign=True)
    return perceptron
