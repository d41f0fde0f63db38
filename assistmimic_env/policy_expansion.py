"""Policies on wider observations than they were trained with: blocks they do not know get zero weights.

This is how a single-person tracker acts in a world of two, and how both roles start from one (``spec/assistmimic.md``
section 8: W = [W_prior | 0]). What the policy does is the same bit for bit up to rounding of the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import PolicyError
from .layout import VERSION
from .policy import Policy, policy_interface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .simulation import PairSimulation

    Ids = NDArray[np.intp]

Blocks = Mapping[str, tuple[int, int]]
"""Name of each block of an observation -> its start and stop."""


def known_columns(policy: Policy, blocks: Blocks) -> Ids:
    """Where each input of a policy stands in a wider observation.

    Args:
        policy: The policy, of D inputs.
        blocks: The wider observation.

    Returns:
        Column of the wider observation, shape (D,).

    Raises:
        PolicyError: A block of the policy is missing there or has another size; all of them are named.
    """
    mine = policy.card.observation_layout
    sizes = {name: stop - start for name, (start, stop) in blocks.items()}
    wrong = [
        f"{name} ({stop - start} numbers, the environment has {sizes.get(name, 'none')})"
        for name, (start, stop) in mine.items()
        if sizes.get(name) != stop - start
    ]
    if wrong:
        version = policy.card.layout_version
        raise PolicyError(
            f"{policy.source} observes what this environment does not offer: {', '.join(wrong)}. "
            f"Its layout version is {'unknown' if version is None else version}, the environment's {VERSION}. "
            "Use an environment with these blocks, or a policy made for this one."
        )
    return np.concatenate([np.arange(*blocks[name]) for name in mine])


def expand(policy: Policy, interface: Mapping[str, Any]) -> Policy:
    """The same policy on the observation of an environment.

    Args:
        policy: The policy.
        interface: What the environment needs, from `policy_card.policy_interface`.

    Returns:
        A policy that ignores all blocks that the given one does not know; the same object if it knows all.

    Raises:
        PolicyError: It moves another body, or a block of the policy is missing in the environment.
    """
    body = interface.get("body", policy.card.body)
    if policy.card.body != body:
        raise PolicyError(
            f"{policy.source} moves the body '{policy.card.body}', this environment has '{body}'. Use it "
            f"with body={policy.card.body}; for '{body}', start from feedforward or random, or from a "
            "policy of that body (assistmimic import-phc converts PHC's)."
        )
    blocks: Blocks = {name: (int(ends[0]), int(ends[1])) for name, ends in interface["observation_layout"].items()}
    if dict(policy.card.observation_layout) == dict(blocks):
        return policy
    columns, size = known_columns(policy, blocks), max(stop for _, stop in blocks.values())
    fill = {"mean": 0.0, "variance": 1.0, "weight": 0.0}

    def widen(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
        wide = np.full((*array.shape[:-1], size), fill[name.rsplit(".", 1)[1]], np.float32)
        wide[..., columns] = array
        return wide

    card = replace(policy.card, observation_layout=dict(blocks), observation_size=size)
    narrow, wanted = policy.card.tensor_shapes(), card.tensor_shapes()
    tensors = {
        name: array if narrow[name] == wanted[name] else widen(name, array) for name, array in policy.tensors.items()
    }
    return Policy(card=card, tensors=tensors, source=policy.source)


def fitted(policy: Policy, simulation: PairSimulation) -> Policy:
    """The same policy on the observation of a simulation, after checking that it fits; the role is not checked.

    Raises:
        PolicyError: Something differs; the message lists everything that does.
    """
    law = simulation.config.actuation
    interface = policy_interface(
        layout=simulation.layout, body=simulation.body, actuation=law, frames=simulation.config.frames
    )
    wide = expand(policy, interface)
    wide.check(interface, action_size=simulation.body.num_dofs)
    return wide
