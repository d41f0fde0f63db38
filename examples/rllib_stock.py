"""Stock RLlib: its own PPO, modules, samplers and learner on `PairEnv`, our environment as a `MultiAgentEnv`.

`assistmimic train` uses the same adapter with modules, sampler and learner that are faster and start warm.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from assistmimic_trainers.adapter import ROLES, PairEnv
from assistmimic_trainers.cluster import ray_session

FRAGMENT = 32
"""Control steps per world and update."""


class GentlePairEnv(PairEnv):
    """RLlib's Gaussian starts with a standard deviation of 1, which would be half a turn of every joint."""

    def step(self, action_dict: Mapping[str, np.ndarray]) -> Any:
        """A tenth of the action."""
        return super().step({agent: 0.1 * action for agent, action in action_dict.items()})


def make_config(args: argparse.Namespace) -> PPOConfig:
    """Two policies, each for the role of its name."""
    batch = FRAGMENT * args.worlds * max(args.runners, 1)
    return (
        PPOConfig()
        .environment(GentlePairEnv, env_config={"id": args.env}, normalize_actions=False, clip_actions=False)
        .env_runners(num_env_runners=args.runners, num_envs_per_env_runner=args.worlds)
        .env_runners(rollout_fragment_length=FRAGMENT)
        .multi_agent(policies=set(ROLES), policy_mapping_fn=lambda agent, *_, **__: str(agent))
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[256, 128], fcnet_activation="silu"))
        .training(
            train_batch_size_per_learner=batch,
            minibatch_size=min(256, batch),
            num_epochs=4,
            lr=5e-5,
            gamma=0.98,
            lambda_=0.95,
            grad_clip=1.0,
            vf_clip_param=float("inf"),
        )
        .debugging(seed=args.seed, log_level="ERROR")
    )


def main() -> None:
    """Train; print per iteration how long pairs last and how far the policies moved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--env", default="AssistMimic/SitToStand-v0", help="environment id; list: assistmimic info")
    parser.add_argument("--runners", type=int, default=1, help="processes that simulate; 0: this one")
    parser.add_argument("--worlds", type=int, default=16, help="per process")
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    with ray_session(num_cpus=args.runners + 1, learner_threads=1):
        algorithm = make_config(args).build_algo()
        for update in range(1, args.updates + 1):
            result = algorithm.train()
            steps = result["env_runners"]["num_env_steps_sampled_lifetime"]
            moved = [f"{role}: kl {result['learners'][role]['mean_kl_loss']:.5f}" for role in ROLES]
            length = result["env_runners"].get("episode_len_mean", float("nan"))
            print(f"update {update}, {steps} steps, episodes of {length:.1f} steps, {', '.join(moved)}", flush=True)
        algorithm.stop()


if __name__ == "__main__":
    main()
