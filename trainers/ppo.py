"""`assistmimic_ppo`: a `PPOConfig` with the policies `supporter` and `recipient`.

Every PPO default that hurts here is set explicitly. The batched sampler replaces RLlib's env runner and learner
connectors, and nothing else; those are the oracle of its tests.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

from assistmimic_env.config import check_options
from assistmimic_env.errors import ConfigError, did_you_mean

from .adapter import ROLES, PairEnv
from .batched_runner import BatchedEnvRunner
from .callbacks import EpisodeMetrics
from .learner import LearnerOptions, PairLearner
from .module import ModuleConfig, PolicyModule
from .options import read_options
from .solo import SoloEnv

_OF_THE_RUN = (
    "env_id", "env_options", "module", "init_from", "learner", "seed", "env_class", "trained", "sampler",
    "num_env_runners", "num_envs_per_env_runner", "num_learners",
)  # fmt: skip
"""Arguments of `assistmimic_ppo` that a run has words of its own for."""


class PairEnvRunner(MultiAgentEnvRunner):
    """RLlib's env runner, without the critic that RLlib 2.60 builds for user-given module specifications."""

    def make_module(self) -> None:
        """Build the inference-only part of both policies."""
        env = None if self.env is None else self.env.unwrapped
        spec: Any = self.config.get_multi_rl_module_spec(env=env, spaces=self.get_spaces(), inference_only=True)
        for module_spec in spec.rl_module_specs.values():
            module_spec.inference_only = True
        self.module = spec.build()


def assistmimic_ppo(
    env_id: str,
    *,
    num_env_runners: int = 0,
    num_envs_per_env_runner: int = 96,
    rollout_fragment_length: int = 32,
    env_options: Mapping[str, Any] | None = None,
    focus: float = 0.5,
    curriculum: bool | Mapping[str, Any] = False,
    physical_starts: float = 0.0,
    module: ModuleConfig | None = None,
    init_from: Mapping[str, str] | None = None,
    learner: LearnerOptions | None = None,
    num_learners: int = 0,
    seed: int | None = 0,
    gamma: float = 0.98,
    lambda_: float = 0.95,
    learning_rate: float = 2e-5,
    clip_param: float = 0.2,
    num_epochs: int = 5,
    minibatch_size: int = 2048,
    vf_loss_coeff: float = 1.0,
    entropy_coeff: float = 0.0,
    grad_clip: float = 1.0,
    env_class: type[PairEnv] | type[SoloEnv] = PairEnv,
    trained: Sequence[str] = (),
    sampler: Literal["batched", "stock"] = "batched",
) -> PPOConfig:
    """Configure PPO for a pair.

    Args:
        env_id: Id of an environment, e.g. `AssistMimic/PullUp-v0`.
        num_env_runners: Processes that simulate; 0 simulates in this process.
        num_envs_per_env_runner: Worlds per process.
        rollout_fragment_length: Control steps per world and update.
        env_options: Options of `assistmimic_env.make`.
        focus: Share of the episodes that start shortly before a recent failure, see `schedule`.
        curriculum: Whether the impairment grows with success; a mapping chooses how.
        physical_starts: Share of the episodes that start from a stored simulated state, see `schedule`.
        module: Networks and normalisers of both policies.
        init_from: Policy id (the role) -> exported policy to start from.
        learner: Settings of the update beyond RLlib's PPO.
        num_learners: Learner processes; 0 learns in this process.
        seed: Seed of worlds and exploration.
        gamma: Discount per control step.
        lambda_: Trace parameter of generalised advantage estimation.
        learning_rate: First learning rate of the actors; the divergence leads it from there.
        clip_param: Clip range of the probability ratio.
        num_epochs: Passes over each batch.
        minibatch_size: Rows per gradient step and policy.
        vf_loss_coeff: Weight of the value loss.
        entropy_coeff: Weight of the entropy bonus.
        grad_clip: Largest norm of an actor's or a critic's gradient.
        env_class: The environment adapter: a pair, single people (`solo.SoloEnv`), or a subclass that wraps something
            else. It names the `policies`.
        trained: Policies that are trained; the others keep what they start with. Empty: all.
        sampler: `batched` steps all worlds of a process at once; `stock` is RLlib's own env runner, world by world.

    Returns:
        The configuration: build it with `build_algo()`, or hand it to Tune as `param_space`.
    """
    worlds = max(num_env_runners, 1) * num_envs_per_env_runner
    if module is not None and module.state_size and (sampler == "stock" or env_class is SoloEnv):
        raise ConfigError(
            f"module.state_size is {module.state_size}, but only the batched sampler of pairs hands out the joint "
            "state. Set it to 0 for a critic on the observation."
        )
    for name in trained:
        if name not in env_class.policies:
            hint = did_you_mean(name, env_class.policies)
            raise ConfigError(f"trained names '{name}', the policies are {', '.join(env_class.policies)}.{hint}")
    wanted = {"curriculum": curriculum, "physical_starts": physical_starts}
    sampling = {name: value for name, value in wanted.items() if value}
    return (
        PPOConfig()
        .environment(
            env_class,
            env_config={"id": env_id, "focus": focus, **sampling, **(env_options or {})},
            disable_env_checking=True,
            normalize_actions=False,
            clip_actions=False,  # the adapter clips, so that the learner sees the raw actions
        )
        .framework("torch", torch_skip_nan_gradients=True)
        .env_runners(
            env_runner_cls=BatchedEnvRunner if sampler == "batched" else PairEnvRunner,
            num_env_runners=num_env_runners,
            num_envs_per_env_runner=num_envs_per_env_runner,
            rollout_fragment_length=rollout_fragment_length,
            batch_mode="truncate_episodes",
            sample_timeout_s=600.0,
            episode_lookback_horizon=1,
            explore=True,
        )
        .multi_agent(
            policies=list(env_class.policies),
            policy_mapping_fn=policy_of_agent,
            policies_to_train=list(trained or env_class.policies),
        )
        .rl_module(rl_module_spec=module_specs(module or ModuleConfig(), init_from or {}, env_class.policies))
        .learners(
            num_learners=num_learners,
            learner_class=PairLearner,
            add_default_connectors_to_learner_pipeline=sampler == "stock",
            learner_config_dict=(learner or LearnerOptions()).to_dict(),
        )
        .training(
            train_batch_size_per_learner=worlds * rollout_fragment_length // max(num_learners, 1),
            minibatch_size=min(minibatch_size, worlds * rollout_fragment_length // max(num_learners, 1)),
            num_epochs=num_epochs,
            shuffle_batch_per_epoch=True,
            lr=learning_rate,
            gamma=gamma,
            lambda_=lambda_,
            clip_param=clip_param,
            vf_loss_coeff=vf_loss_coeff,
            vf_clip_param=float("inf"),
            entropy_coeff=entropy_coeff,
            use_kl_loss=False,
            kl_coeff=0.0,
            grad_clip=grad_clip,
            grad_clip_by="global_norm",
        )
        .callbacks(EpisodeMetrics)
        .reporting(metrics_num_episodes_for_smoothing=100, min_time_s_per_iteration=0)
        .debugging(seed=seed, log_level="ERROR")
        .fault_tolerance(restart_failed_env_runners=True, delay_between_env_runner_restarts_s=1.0)
    )


def ppo_options(words: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of `assistmimic_ppo` from `KEY=VALUE`, such as `curriculum.start=0` or `gamma=0.97`.

    Raises:
        ConfigError: A word is no `KEY=VALUE`, or a value is a word.
        UnknownOptionError: There is no such argument; names the closest.
    """
    options = read_options(words)
    known = [name for name in inspect.signature(assistmimic_ppo).parameters if name not in _OF_THE_RUN]
    check_options("--ppo", options, dict.fromkeys(known))
    for name, value in options.items():
        if isinstance(value, str):
            raise ConfigError(f"--ppo {name} is '{value}', expected a number, true, false, or {name}.SETTING=VALUE.")
    return options


def policy_of_agent(agent: Any, *args: Any, **kwargs: Any) -> str:
    """Each role has a policy of its own."""
    return agent


def module_specs(
    config: ModuleConfig, init_from: Mapping[str, str], policies: Sequence[str] = ROLES
) -> MultiRLModuleSpec:
    """One `PolicyModule` per policy."""
    return MultiRLModuleSpec(
        rl_module_specs={
            role: RLModuleSpec(
                module_class=PolicyModule,
                model_config=replace(config, init_from=init_from.get(role, config.init_from)).to_dict(),
            )
            for role in policies
        }
    )
