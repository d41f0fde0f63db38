"""Stable-Baselines3: one policy for both roles, on worlds that SuperSuit turns into a vector environment.

SuperSuit makes each agent of each world one sub-environment of the vector, and tells Stable-Baselines3 the end of a
clip as if it were a failure. For a policy per role and exact ends, see cleanrl_ppo.py.
"""

from __future__ import annotations

import argparse

import supersuit
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed

import assistmimic_env


def main() -> None:
    """Learn, then print what each role is paid in one episode of the deterministic policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--env", default="AssistMimic/SitToStand-v0", help="environment id; list: assistmimic info")
    parser.add_argument("--worlds", type=int, default=8)
    parser.add_argument("--processes", type=int, default=0, help="that step the worlds; 0: this one")
    parser.add_argument("--steps", type=int, default=100_000, help="steps of either agent in any world, in total")
    parser.add_argument("--rollout", type=int, default=128, help="control steps per world and update")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    set_random_seed(args.seed)
    env = supersuit.agent_indicator_v0(assistmimic_env.make(args.env))  # the shared policy is told its role
    vec = supersuit.concat_vec_envs_v1(
        supersuit.pettingzoo_env_to_vec_env_v1(env), args.worlds, args.processes, base_class="stable_baselines3"
    )
    vec.venv.reset(seed=args.seed)  # world i: seed + i; the wrapper around it cannot pass a seed on
    model = PPO(
        "MlpPolicy",
        vec,
        n_steps=args.rollout,
        batch_size=min(1024, args.rollout * vec.num_envs),
        learning_rate=5e-5,
        gamma=0.98,
        target_kl=0.05,
        policy_kwargs={"log_std_init": -2.5, "net_arch": [256, 128]},
        device="cpu",
    )
    model.learn(args.steps)
    divergence = model.logger.name_to_value["train/approx_kl"]
    print(f"{model.num_timesteps} agent steps, {model._n_updates} passes, kl {divergence:.5f}")

    observations, _ = env.reset(seed=args.seed)
    total = dict.fromkeys(env.possible_agents, 0.0)
    while env.agents:
        actions = {agent: model.predict(observations[agent], deterministic=True)[0] for agent in env.agents}
        observations, rewards, *_ = env.step(actions)
        for agent, reward in rewards.items():
            total[agent] += reward
    print(", ".join(f"{agent}: return {value:.2f}" for agent, value in total.items()))
    vec.close()


if __name__ == "__main__":
    main()
