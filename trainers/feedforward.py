"""Warm start by reference feed-forward: regress an actor onto "ask the servos for the next reference pose".

The servos are PD: asked for the pose of the next frame they lag by kd / kp times the joint velocity, so the target
leads the reference by that much. Following the reference open loop from uniform starts, leads of 0 / 0.5 / 1 / 1.3 lags
gave mean errors of 65 / 57 / 51 / 49 mm on generated sit-to-stand and 97 / 95 / 95 / 94 mm on the pull-up (failure at
0.5 m, no noise). Partner-aware inputs keep zero weights: at first both policies act as single-person trackers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assistmimic_env.actuation import leading_target
from assistmimic_env.simulation import PairSimulation

from .cast import PAIR, Cast
from .module import ModuleConfig, Perceptron, PolicyModule, blank_module
from .normalizer import Moments
from .solo import single_person_size

Array = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """Settings of the warm start."""

    samples: int = 16384
    """Perturbed reference states per role."""
    start_noise: float = 1.0
    """Scale of the start-state noise."""
    action_noise: float = 0.03
    """Standard deviation added to the actions that make the states."""
    lead: float = 1.0
    """How far the targets lead the reference, in units of kd / kp."""
    epochs: int = 10
    """Passes over the samples."""
    batch_size: int = 512
    """Rows per gradient step."""
    learning_rate: float = 1e-3
    """Of the first epoch; falls to zero along a half cosine."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """States near the reference and what to do in them.

    Attributes:
        observation: Shape (samples, 2, D).
        action: Shape (samples, 2, A).
    """

    observation: Floats
    action: Floats


def feedforward_targets(simulation: PairSimulation, *, lead: float = 1.0) -> Array:
    """Servo targets that ask for each row of the reference, shape (F, 2, J - 1, 3) [rad].

    Args:
        simulation: Gives reference and body.
        lead: How far the targets lead the reference, in units of each joint's kd / kp.
    """
    reference, body = simulation.reference, simulation.body
    velocity = reference.qvel[..., 6:].reshape(*reference.target.shape)
    return leading_target(reference.target, velocity, lead * (body.kd[1:] / body.kp[1:]))


def feedforward_actions(simulation: PairSimulation, *, lead: float) -> Array:
    """Actions that ask for each row of the reference, shape (F, 2, A); arguments as for `feedforward_targets`."""
    return simulation.actions_for(feedforward_targets(simulation, lead=lead))


def collect(simulation: PairSimulation, settings: WarmStart, *, seed: int) -> Samples:
    """Follow the feed-forward law with noise and label every state on the way.

    Args:
        simulation: N worlds with start noise; episodes start anywhere in the clip.
        settings: How many samples, how much noise.
        seed: Seed of worlds and action noise.
    """
    worlds, table = simulation.num_worlds, feedforward_actions(simulation, lead=settings.lead)
    random = np.random.default_rng(seed)
    simulation.seed(seed + np.arange(worlds))
    observation = simulation.reset(np.arange(worlds))
    observations, actions = [], []
    for _ in range(-(-settings.samples // worlds)):
        action = table[simulation.reference.row(simulation.clip, simulation.frame + 1)]
        observations.append(observation)
        actions.append(action.astype(np.float32))
        observation = simulation.step(
            action + random.normal(scale=settings.action_noise, size=action.shape)
        ).observation
    return Samples(observation=np.concatenate(observations), action=np.concatenate(actions))


def fit_module(
    observation: Floats, action: Floats, config: ModuleConfig, settings: WarmStart, *, single_person: int, seed: int
) -> tuple[PolicyModule, float]:
    """Regress one role's actor.

    Args:
        observation: Shape (samples, D).
        action: Shape (samples, A).
        config: Networks and normaliser.
        settings: Optimisation.
        single_person: Number of leading inputs that are not about the partner; the others keep zero weights.
        seed: Seed of the first weights and of the order of the samples.

    Returns:
        The module, and the root-mean-square error of its actions on the samples.
    """
    torch.manual_seed(seed)
    module = blank_module(observation.shape[1], action.shape[1], replace(config, init_from=None).to_dict())
    rows, targets = torch.from_numpy(observation), torch.from_numpy(action)
    module.normalizer.update(Moments.of(rows))
    inputs = module.normalizer(rows)[:, :single_person].contiguous()
    actor = Perceptron((single_person, *config.hidden, action.shape[1]), activation=config.activation, output_gain=0.1)
    with torch.no_grad():
        actor.layers[-1].bias.copy_(targets.mean(dim=0))
    error = _regress(actor, inputs, targets, settings)
    _adopt(module, actor, single_person)
    return module, error


def warm_start(
    simulation: PairSimulation, *, config: ModuleConfig, settings: WarmStart, seed: int, cast: Cast = PAIR
) -> tuple[dict[str, PolicyModule], dict[str, Any]]:
    """Make warm-started policies.

    Args:
        simulation: See `collect`.
        config: Networks and normalisers.
        settings: Sampling and optimisation.
        seed: Seed of everything random.
        cast: Who is trained.

    Returns:
        Policy -> module, and what happened: samples, seconds, action error per policy.
    """
    start = time.monotonic()
    samples = collect(simulation, settings, seed=seed)
    observations = cast.split(samples.observation, width=cast.observation_size(simulation))
    actions = cast.split(samples.action, width=samples.action.shape[-1])
    fitted = {
        name: fit_module(
            observations[name], actions[name], config, settings,
            single_person=single_person_size(simulation), seed=seed + index,
        )
        for index, name in enumerate(cast.roles)
    }  # fmt: skip
    report = {
        "samples": len(samples.action),
        "seconds": round(time.monotonic() - start, 1),
        "action_error": {name: error for name, (_, error) in fitted.items()},
    }
    return {name: module for name, (module, _) in fitted.items()}, report


def _regress(actor: Perceptron, inputs: torch.Tensor, targets: torch.Tensor, settings: WarmStart) -> float:
    """Least squares by Adam; the root-mean-square error of the last epoch."""
    optimizer = torch.optim.Adam(actor.parameters(), lr=settings.learning_rate, fused=True)
    batches = len(inputs) // settings.batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * batches)
    total = 0.0
    for _ in range(settings.epochs):
        order, total = torch.randperm(len(inputs)), 0.0
        for chosen in order[: batches * settings.batch_size].split(settings.batch_size):
            loss = torch.nn.functional.mse_loss(actor(inputs[chosen]), targets[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() / batches
    return total**0.5


@torch.no_grad()
def _adopt(module: PolicyModule, actor: Perceptron, single_person: int) -> None:
    """Copy a single-person actor into a module; weights of the partner-aware inputs become zero."""
    for index, (mine, theirs) in enumerate(zip(module.actor.layers, actor.layers, strict=True)):
        mine.bias.copy_(theirs.bias)
        mine.weight.zero_() if index == 0 else None
        mine.weight[:, : theirs.weight.shape[1]] = theirs.weight
