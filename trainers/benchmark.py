"""How fast training is, as ratios against limits measured in the same run.

| ratio | what is timed | limit |
|-|-|-|
| `sampling_over_stock` | the batched env runner | RLlib's own env runner, in its best configuration here |
| `sampling_over_environment` | the same | the bare vector environment, given the very actions |
| `learning_over_torch` | RLlib's learner with our loss | a bare torch loop over the same data, with the same loss |
| `two_runners_over_one` | two remote env runners | one |

Everything gets the same cores. Times of a ratio are taken in turns, so that a busy machine hurts both.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample

from .adapter import ROLES
from .cluster import ray_session
from .learner import LearnerOptions, clipped_value_loss, excess, matmul_precision, surrogate_loss
from .module import PolicyModule
from .ppo import assistmimic_ppo
from .rollout import RolloutChunk


@dataclass(frozen=True, kw_only=True)
class TrainBenchmark:
    """What is measured."""

    env_id: str = "AssistMimic/PullUp-v0"
    """Environment."""
    clips: tuple[str, ...] = ()
    """Other motion than its own, as for `make`."""
    worlds: int = 96
    """Worlds of the batched sampler, all processes together."""
    fragment: int = 32
    """Control steps per world and sample."""
    blocks: int = 6
    """How often the two sides of a ratio take turns."""
    cores: int = 2
    """Processes of the stock sampler, and remote env runners of the comparison."""
    stock_worlds: tuple[int, ...] = (16, 32)
    """Worlds per process in which the stock sampler is tried; the best counts."""


def run_benchmark(config: TrainBenchmark, *, log: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure everything.

    Args:
        config: What.
        log: Receives a line before each part.

    Returns:
        A JSON-able report: the ratios of the table above, `env_steps_per_second` of whole updates, and the raw numbers.
    """
    with ray_session(num_cpus=config.cores, learner_threads=config.cores):
        log("batched sampler and bare environment")
        local = _algorithm(config, sampler="batched", runners=0, worlds=config.worlds)
        environment = _sampling_over_environment(local, config)
        log("learner and bare torch loop")
        learning = _learning_over_torch(local, config)
        log("whole updates")
        whole = _whole_updates(local, config)
        log("stock sampler in several configurations")
        stock = _stock(local, config)
        local.stop()
        log("one and two remote env runners")
        runners = {count: _remote(config, count) for count in (1, 2)}
    return {
        "env_id": config.env_id,
        "sampling_over_stock": stock["ratio"],
        "sampling_over_environment": environment["ratio"],
        "learning_over_torch": learning["ratio"],
        "two_runners_over_one": runners[2] / runners[1],
        "env_steps_per_second": whole,
        "stock": stock,
        "environment": environment,
        "learning": learning,
        "remote_env_steps_per_second": {str(count): rate for count, rate in runners.items()},
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "torch": torch.__version__},
    }


def _algorithm(config: TrainBenchmark, *, sampler: Any, runners: int, worlds: int) -> Any:
    return assistmimic_ppo(
        config.env_id,
        num_env_runners=runners,
        num_envs_per_env_runner=worlds,
        rollout_fragment_length=config.fragment,
        env_options={"clips": config.clips or None, "termination_distance": 0.5, "start_noise": 1.0},
        sampler=sampler,
    ).build_algo()


def _sampling_over_environment(algorithm: Any, config: TrainBenchmark) -> dict[str, float]:
    """Sample, then play the recorded actions from the same state in the bare environment."""
    runner, full, bare, steps = algorithm.env_runner, [], [], config.worlds * config.fragment
    runner.schedule.release()  # the bare environment chooses its starts, too
    runner.sample()
    for _ in range(config.blocks):
        state = runner.env.get_state()
        start = time.perf_counter()
        chunk = runner.sample()[0]
        full.append(time.perf_counter() - start)
        after, actions = runner.env.get_state(), _actions(chunk, config.worlds)
        runner.env.set_state(state)
        start = time.perf_counter()
        for action in actions:
            runner.env.step(action)
        bare.append(time.perf_counter() - start)
        runner.env.set_state(after)
    return {
        "ratio": float(np.sum(bare) / np.sum(full)),
        "sampled_steps_per_second": float(steps / np.mean(full)),
        "environment_steps_per_second": float(steps / np.mean(bare)),
    }


def _actions(chunk: RolloutChunk, worlds: int) -> Iterator[dict[str, np.ndarray]]:
    """The actions of each step, role -> (worlds, A)."""
    flat = {role: chunk.columns[role][Columns.ACTIONS] for role in ROLES}
    columns = {role: actions.reshape(worlds, -1, actions.shape[-1]) for role, actions in flat.items()}
    for step in range(columns[ROLES[0]].shape[1]):
        yield {role: np.ascontiguousarray(column[:, step]) for role, column in columns.items()}


def _learning_over_torch(algorithm: Any, config: TrainBenchmark) -> dict[str, float]:
    """RLlib's learner group and a bare loop, in turns, on the same chunk."""
    chunk = algorithm.env_runner.sample()[0]
    learner = algorithm.learner_group._learner
    settings = algorithm.config
    loop = _BareLoop(learner, settings)
    ours, bare = [], []
    for block in range(config.blocks + 1):
        start = time.perf_counter()
        algorithm.learner_group.update(
            episodes=[chunk],
            timesteps={"num_env_steps_sampled_lifetime": 0},
            num_epochs=settings.num_epochs,
            minibatch_size=settings.minibatch_size,
            shuffle_batch_per_epoch=True,
        )
        middle = time.perf_counter()
        loop.update(chunk)
        if block:  # the first update allocates
            ours.append(middle - start)
            bare.append(time.perf_counter() - middle)
    rows = settings.num_epochs * len(chunk)
    return {
        "ratio": float(np.sum(bare) / np.sum(ours)),
        "rows_per_second": float(rows / np.mean(ours)),
        "torch_rows_per_second": float(rows / np.mean(bare)),
    }


class _BareLoop:
    """The update as one would write it without RLlib: same networks, loss, epochs, minibatches and optimisers."""

    def __init__(self, learner: Any, settings: Any) -> None:
        self.connector = learner._learner_connector
        self.learner, self.settings = learner, settings
        self.options: LearnerOptions = learner.options
        self.modules: Mapping[str, PolicyModule] = {role: learner.module[role].unwrapped() for role in ROLES}
        self.optimizers = {
            role: torch.optim.Adam([*module.actor.parameters(), *module.critic.parameters()], lr=1e-6, fused=True)
            for role, module in self.modules.items()
        }

    def update(self, chunk: RolloutChunk) -> None:
        """All epochs over one chunk."""
        batches = self.connector(
            rl_module=self.learner.module, batch={}, episodes=[chunk], shared_data={}, metrics=self.learner.metrics
        )
        rows, size, epochs = len(chunk), self.settings.minibatch_size, self.settings.num_epochs
        minibatches = -(-epochs * rows // size)  # as RLlib counts them: the last one is filled up from the beginning
        order = torch.cat([torch.randperm(rows) for _ in range(epochs + 1)])
        for chosen in order[: minibatches * size].split(size):
            for role, module in self.modules.items():
                minibatch = {name: column[chosen] for name, column in batches[role].items()}
                self._step(module, self.optimizers[role], minibatch)

    def _step(self, module: PolicyModule, optimizer: torch.optim.Optimizer, batch: Mapping[str, Any]) -> None:
        inputs = module.forward_train({Columns.EMBEDDINGS: batch[Columns.EMBEDDINGS]})[Columns.ACTION_DIST_INPUTS]
        mean, log_std = inputs.chunk(2, dim=-1)
        distribution = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
        ratio = torch.exp(distribution.log_prob(batch[Columns.ACTIONS]) - batch[Columns.ACTION_LOGP])
        policy_loss = surrogate_loss(ratio, batch[Postprocessing.ADVANTAGES], self.settings.clip_param).mean()
        precision = self.options.gradient_precision
        with matmul_precision(precision):
            values = module.normalized_values({}, batch[Columns.EMBEDDINGS])
        targets, before = batch[Postprocessing.VALUE_TARGETS], batch[Columns.VF_PREDS]
        value_loss = clipped_value_loss(values, before, targets, self.options.value_clip)
        loss = policy_loss + value_loss + self.options.bounds_coefficient * excess(mean).mean()
        optimizer.zero_grad(set_to_none=True)
        with matmul_precision(precision):
            loss.backward()
        torch.nn.utils.clip_grad_norm_([*module.actor.parameters(), *module.critic.parameters()], 1.0)
        optimizer.step()


def _whole_updates(algorithm: Any, config: TrainBenchmark) -> float:
    """Control steps per second of sampling and learning."""
    algorithm.train()
    start = time.perf_counter()
    for _ in range(config.blocks):
        algorithm.train()
    return float(config.blocks * config.worlds * config.fragment / (time.perf_counter() - start))


def _stock(batched: Any, config: TrainBenchmark) -> dict[str, Any]:
    """The batched sampler against the stock one, in turns; the stock configuration that samples fastest counts."""
    rates, ours = {}, []
    for runners in (0, config.cores):
        for worlds in config.stock_worlds:
            with _running(_algorithm(config, sampler="stock", runners=runners, worlds=worlds)) as stock:
                steps, elapsed = max(runners, 1) * worlds * config.fragment, []
                for block in range(config.blocks // 2 + 1):
                    start = time.perf_counter()
                    _sample(stock, steps)
                    if block:
                        elapsed.append(time.perf_counter() - start)
                        start = time.perf_counter()
                        batched.env_runner.sample()
                        ours.append(time.perf_counter() - start)
            rates[f"{runners} runners, {worlds} worlds each"] = float(steps / np.mean(elapsed))
    rate = float(config.worlds * config.fragment / np.mean(ours))
    return {"ratio": rate / max(rates.values()), "batched_steps_per_second": rate, "stock_steps_per_second": rates}


def _remote(config: TrainBenchmark, runners: int) -> float:
    """Control steps per second of so many remote env runners of one core each."""
    worlds = config.worlds // 2
    with _running(_algorithm(config, sampler="batched", runners=runners, worlds=worlds)) as algorithm:
        steps = runners * worlds * config.fragment
        _sample(algorithm, steps)
        start = time.perf_counter()
        for _ in range(config.blocks):
            _sample(algorithm, steps)
        return float(config.blocks * steps / (time.perf_counter() - start))


def _sample(algorithm: Any, steps: int) -> None:
    synchronous_parallel_sample(
        worker_set=algorithm.env_runner_group,
        max_env_steps=steps,
        sample_timeout_s=600.0,
        _uses_new_env_runners=True,
        _return_metrics=True,
    )


@contextmanager
def _running(algorithm: Any) -> Iterator[Any]:
    try:
        yield algorithm
    finally:
        algorithm.stop()
