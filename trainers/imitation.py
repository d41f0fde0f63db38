"""Imitation of a regulator by networks that see observations only: DAgger (Ross et al. 2011).

The students act, the regulator says what it would have done in the states they got into, and the students are
regressed onto all of that. People too far from the reference are left out, since a regulator means nothing there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assistmimic_env.simulation import PairSimulation

from .cast import SOLO, Cast
from .module import ModuleConfig, PolicyModule, blank_module
from .normalizer import Moments
from .regulator import Regulator

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


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

    def steps(self, worlds: int) -> int:
        """Control steps of a round in so many worlds, two people each."""
        return -(-self.samples // (2 * worlds))


def imitate(
    regulator: Regulator,
    simulation: PairSimulation,
    *,
    config: ModuleConfig,
    settings: Imitation,
    seed: int,
    cast: Cast = SOLO,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, PolicyModule], dict[str, Any]]:
    """Train policies to do what a regulator does.

    Args:
        regulator: The teacher, for the clips of the simulation.
        simulation: Worlds with start noise, of people alone or of pairs as the cast has it; episodes start anywhere.
        config: Networks and normalisers.
        settings: Sampling and optimisation.
        seed: Seed of everything random.
        cast: Who is taught: one tracker that plays everybody, or a supporter and a recipient.
        log: Receives a line per round.

    Returns:
        Policy -> module, and what happened: samples of people, seconds, error of the actions.
    """
    start = time.monotonic()
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    size, actions = cast.observation_size(simulation), simulation.body.num_dofs
    students = {
        name: _Student(
            blank_module(size, actions, config.to_dict()), people, settings=settings, worlds=simulation.num_worlds
        )
        for name, people in cast.people.items()
    }
    simulation.seed(seed + np.arange(simulation.num_worlds))
    simulation.reset(np.arange(simulation.num_worlds))
    error = float("nan")
    for number in range(settings.rounds):
        share = 1.0 if number == 0 else settings.teacher_share
        _collect(regulator, students, simulation, settings, share=share, random=random)
        epochs = settings.epochs * (3 if number == settings.rounds - 1 else 1)
        error = float(np.mean([each.regress(epochs) for each in students.values()]))
        samples = sum(each.samples for each in students.values())
        log(f"imitation {number + 1}/{settings.rounds}: {samples:,} states, action error {error:.4f}")
    report = {
        "samples": sum(each.samples for each in students.values()),
        "seconds": round(time.monotonic() - start, 1),
        "action_error": error,
    }
    return {name: each.finish() for name, each in students.items()}, report


class _Student:
    """A policy that is taught, what it has seen so far, and its optimiser.

    Args:
        module: The policy.
        people: Which of the two people it plays, `[0, 1]`, `[0]` or `[1]`.
        settings: Sampling and optimisation.
        worlds: Worlds of the simulation.
    """

    def __init__(self, module: PolicyModule, people: list[int], *, settings: Imitation, worlds: int) -> None:
        self.module, self.people, self.samples = module, people, 0
        self._settings = settings
        self._optimizer = torch.optim.Adam(module.actor.parameters(), lr=settings.learning_rate, fused=True)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self._optimizer, settings.rounds, 0.01 * settings.learning_rate
        )
        most = settings.rounds * settings.steps(worlds) * worlds * len(people)
        self._inputs = torch.empty(most, len(module.normalizer.mean))
        self._labels = torch.empty(most, len(module.log_std))

    @torch.no_grad()
    def act(self, observation: Floats) -> Floats:
        """Actions of its people, (N, 2, D) -> (N, its people, A)."""
        rows = torch.from_numpy(np.ascontiguousarray(self._seen(observation)))
        return self.module.actor(self.module.normalizer(rows)).numpy()

    def learn(self, observations: list[Floats], actions: list[Floats], near: list[Flags]) -> None:
        """Keep what was seen near the reference and what the teacher did there; the first call sets the statistics.

        Args:
            observations: Of every step, shape (N, 2, D).
            actions: The teacher's, shape (N, 2, A).
            near: Which people count, shape (N, 2).
        """
        kept = [flags[:, self.people] for flags in near]
        rows = np.concatenate([self._seen(each)[flags] for each, flags in zip(observations, kept, strict=True)])
        labels = np.concatenate([each[:, self.people][flags] for each, flags in zip(actions, kept, strict=True)])
        if self.samples == 0:
            self.module.normalizer.update(Moments.of(torch.from_numpy(rows)))
            with torch.no_grad():
                self.module.actor.layers[-1].bias.copy_(torch.from_numpy(labels).mean(dim=0))
        added = slice(self.samples, self.samples + len(rows))
        self._inputs[added] = self.module.normalizer(torch.from_numpy(rows))
        self._labels[added] = torch.from_numpy(labels)
        self.samples = added.stop

    def regress(self, epochs: int) -> float:
        """Least squares over everything so far; the root-mean-square error over the last pass."""
        size = self._settings.batch_size
        batches, total = max(1, self.samples // size), 0.0
        for _ in range(epochs):
            total = 0.0
            for chosen in torch.randperm(self.samples)[: batches * size].split(size):
                loss = torch.nn.functional.mse_loss(self.module.actor(self._inputs[chosen]), self._labels[chosen])
                self._optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self._optimizer.step()
                total += loss.item() / batches
        self._schedule.step()
        return total**0.5

    def finish(self) -> PolicyModule:
        """The policy, with the count of its statistics."""
        self.module.average.load_state_dict(self.module.actor.state_dict())
        self.module.normalizer.count.fill_(float(self.samples))
        return self.module

    def _seen(self, observation: Floats) -> Floats:
        """(N, 2, D) -> what it sees of its people, (N, its people, size)."""
        return observation[:, self.people, : len(self.module.normalizer.mean)]


def _collect(
    regulator: Regulator,
    students: Mapping[str, _Student],
    simulation: PairSimulation,
    settings: Imitation,
    *,
    share: float,
    random: np.random.Generator,
) -> None:
    """Let teacher and students act in their worlds, and give the students what they and the teacher did there."""
    worlds = simulation.num_worlds
    taught = (np.arange(worlds) < share * worlds)[:, None, None]
    observations, actions, flags = [], [], []
    near = np.ones((worlds, 2), np.bool_)
    for _ in range(settings.steps(worlds)):
        observation = simulation.observation.copy()
        teaching = np.clip(regulator.act(simulation), -1.0, 1.0).astype(np.float32)
        observations.append(observation)
        actions.append(teaching)
        flags.append(near)
        tried = np.empty_like(teaching)
        for student in students.values():
            tried[:, student.people] = student.act(observation)
        action = np.where(taught, teaching, tried)
        transition = simulation.step(action + random.normal(scale=settings.action_noise, size=action.shape))
        near = transition.tracking.tracking_error <= settings.largest_error
        if not simulation.config.solo:  # what one of a pair should do depends on the other
            near = np.repeat(near.all(axis=1, keepdims=True), 2, axis=1)
        near[transition.terminated | transition.truncated] = True  # these are at the start of another episode
    for student in students.values():
        student.learn(observations, actions, flags)
