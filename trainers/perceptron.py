"""`Perceptron`: fully connected layers, the network inside every policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "silu": nn.functional.silu,
    "relu": torch.relu,
    "elu": nn.functional.elu,
    "tanh": torch.tanh,
}
"""Activation functions an exported policy may name."""


class Perceptron(nn.ModuleList):
    """Fully connected layers with an activation between them; its state keys are `<layer>.weight` and `<layer>.bias`.

    Args:
        sizes: Widths, the input first and the output last.
        activation: Key of `ACTIVATIONS`.
        output_gain: Factor on the initial weights of the last layer.
    """

    def __init__(self, sizes: Sequence[int], *, activation: str, output_gain: float) -> None:
        layers = [nn.Linear(before, after) for before, after in pairwise(sizes)]
        super().__init__(layers)
        self.activation = ACTIVATIONS[activation]
        with torch.no_grad():
            for layer in layers:
                nn.init.zeros_(layer.bias)
            layers[-1].weight.mul_(output_gain)

    @property
    def layers(self) -> list[nn.Linear]:
        """The linear layers, in order."""
        return [cast(nn.Linear, layer) for layer in self]

    def forward(self, rows: Tensor) -> Tensor:
        """Map (..., input) to (..., output)."""
        *hidden, last = self.layers
        for layer in hidden:
            rows = self.activation(layer(rows))
        return last(rows)
