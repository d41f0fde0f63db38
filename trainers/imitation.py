"""Imitation of a regulator by a network that sees observations only: DAgger (Ross et al. 2011).

The student acts, the regulator says what it would have done in the states the student got into, and the student is
regressed onto all of that. People too far from the reference are left out, since a regulator means nothing there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assistmimic_env.simulation import PairSimulation

from .module import ModuleConfig, PolicyModule, blank_module
from .normalizer import Moments
from .regulator import Regulator
from .solo import single_person_size

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Imitation:
    """Settings of the imitation."""

    rounds: int = 10
    """Rounds of acting and regression; the regulator acts alone in the first."""
    samples: int = 49_152
    """States of one person per round."""
    teacher_share: float = 0.25
    """Share of the worlds in which the regulator acts also in later rounds, so that its states stay in the data."""
    action_noise: float = 0.01
    """Standard deviation added to all actions while states are collected."""
    largest_error: float = 0.3
    """Mean distance from the reference beyond which a person's states are left out [m]."""
    epochs: int = 2
    """Passes over all states so far, per round; three times as many in the last."""
    batch_size: int = 1024
    """Rows per gradient step."""
    learning_rate: float = 1e-3
    """At the start; falls to a hundredth along a half cosine over all rounds."""


def imitate(
    regulator: Regulator,
    simulation: PairSimulation,
    *,
    config: ModuleConfig,
    settings: Imitation,
    seed: int,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[PolicyModule, dict[str, Any]]:
    """Train one single-person tracker to do what a regulator does.

    Args:
        regulator: The teacher, for the clips of the simulation.
        simulation: Worlds of people alone with start noise; episodes start anywhere in a clip.
        config: Networks and normaliser.
        settings: Sampling and optimisation.
        seed: Seed of everything random.
        log: Receives a line per round.

    Returns:
        The module, and what happened: samples, seconds, error of the actions.
    """
    start = time.monotonic()
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    size, actions = single_person_size(simulation), simulation.body.num_dofs
    student = blank_module(size, actions, config.to_dict())
    rows, labels = torch.empty(0, size), torch.empty(0, actions)
    optimizer = torch.optim.Adam(student.actor.parameters(), lr=settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.rounds, 0.01 * settings.learning_rate)
    simulation.seed(seed + np.arange(simulation.num_worlds))
    simulation.reset(np.arange(simulation.num_worlds))
    error = float("nan")
    for number in range(settings.rounds):
        share = 1.0 if number == 0 else settings.teacher_share
        seen, wanted = _collect(regulator, student, simulation, settings, share=share, random=random)
        rows, labels = torch.cat([rows, seen]), torch.cat([labels, wanted])
        if number == 0:
            student.normalizer.update(Moments.of(rows))
            with torch.no_grad():
                student.actor.layers[-1].bias.copy_(labels.mean(dim=0))
        epochs = settings.epochs * (3 if number == settings.rounds - 1 else 1)
        error = _regress(student, optimizer, rows, labels, epochs=epochs, batch_size=settings.batch_size)
        schedule.step()
        log(f"imitation {number + 1}/{settings.rounds}: {len(rows):,} states, action error {error:.4f}")
    student.average.load_state_dict(student.actor.state_dict())
    student.normalizer.count.fill_(float(len(rows)))
    report = {"samples": len(rows), "seconds": round(time.monotonic() - start, 1), "action_error": error}
    return student, report


def _collect(
    regulator: Regulator,
    student: PolicyModule,
    simulation: PairSimulation,
    settings: Imitation,
    *,
    share: float,
    random: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Let teacher and student act in their worlds; observations (samples, D) and the teacher's actions (samples, A)."""
    worlds, size = simulation.num_worlds, student.normalizer.mean.shape[0]
    taught = (np.arange(worlds) < share * worlds)[:, None, None]
    seen, wanted = [], []
    near = np.ones((worlds, 2), np.bool_)
    for _ in range(-(-settings.samples // (2 * worlds))):
        observation = np.ascontiguousarray(simulation.observation[..., :size])
        teaching = np.clip(regulator.act(simulation), -1.0, 1.0).astype(np.float32)
        seen.append(observation[near])
        wanted.append(teaching[near])
        with torch.no_grad():
            inputs = student.normalizer(torch.from_numpy(observation))
            action = np.where(taught, teaching, student.actor(inputs).numpy())
        transition = simulation.step(action + random.normal(scale=settings.action_noise, size=action.shape))
        near = transition.tracking.tracking_error <= settings.largest_error
        near[transition.terminated | transition.truncated] = True  # these are at the start of another episode
    return torch.from_numpy(np.concatenate(seen)), torch.from_numpy(np.concatenate(wanted))


def _regress(
    student: PolicyModule,
    optimizer: torch.optim.Optimizer,
    rows: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int,
) -> float:
    """Least squares; the root-mean-square error over the last pass."""
    inputs, batches = student.normalizer(rows), max(1, len(rows) // batch_size)
    total = 0.0
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(rows))[: batches * batch_size].split(batch_size):
            loss = torch.nn.functional.mse_loss(student.actor(inputs[chosen]), labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.item() / batches
    return total**0.5
