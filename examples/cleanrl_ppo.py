"""PPO for two policies in one file, in the manner of CleanRL, on the native vector environment.

Read it, copy it, change it. `assistmimic train` does the same with RLlib, a warm start and checkpoints.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor, nn

import assistmimic_env

Batch = dict[str, Tensor]


class Agent(nn.Module):
    """Actor, critic and observation normaliser of one role."""

    mean: Tensor
    variance: Tensor

    def __init__(self, observations: int, actions: int) -> None:
        super().__init__()
        self.actor = mlp(observations, actions, last_gain=0.01)
        self.critic = mlp(observations, 1, last_gain=1.0)
        self.log_std = nn.Parameter(torch.full((actions,), -2.5))
        self.count = 0
        self.register_buffer("mean", torch.zeros(observations))
        self.register_buffer("variance", torch.ones(observations))

    def normalise(self, observation: Tensor) -> Tensor:
        """Bring observations to mean 0 and variance 1 of all that were seen, clipped to 5."""
        return ((observation - self.mean) / (self.variance + 1e-5).sqrt()).clamp(-5.0, 5.0)

    def learn_statistics(self, observation: Tensor) -> None:
        """Merge a batch of observations, shape (B, D), into the normaliser."""
        total = self.count + len(observation)
        share, shift = len(observation) / total, observation.mean(0) - self.mean
        spread = observation.var(0, correction=0) * share + self.variance * (1.0 - share)
        self.variance = spread + shift**2 * share * (1.0 - share)
        self.mean, self.count = self.mean + shift * share, total

    def policy(self, observation: Tensor) -> torch.distributions.Normal:
        """Distribution of actions for normalised observations."""
        return torch.distributions.Normal(self.actor(observation), self.log_std.exp())


def mlp(inputs: int, outputs: int, *, last_gain: float) -> nn.Sequential:
    """Two hidden layers, orthogonal weights."""
    net = nn.Sequential(nn.Linear(inputs, 256), nn.SiLU(), nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, outputs))
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    for layer, gain in zip(layers, (2**0.5, 2**0.5, last_gain), strict=True):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return net


def advantages(reward: Tensor, value: Tensor, next_value: Tensor, done: Tensor, gamma: float, trace: float) -> Tensor:
    """Generalised advantage estimation; all shapes (T, N). ``next_value`` is 0 where the episode failed."""
    delta, out = reward + gamma * next_value - value, torch.zeros_like(reward)
    following = torch.zeros_like(reward[0])
    for t in reversed(range(len(reward))):
        following = delta[t] + gamma * trace * (1.0 - done[t]) * following
        out[t] = following
    return out


def improve(agent: Agent, optimizer: torch.optim.Optimizer, batch: Batch, args: argparse.Namespace) -> float:
    """Some epochs of PPO on one role's batch; returns the divergence of the new policy from the old."""
    size, kl = len(batch["reward"]), 0.0
    for _ in range(args.epochs):
        if kl > args.target_kl:
            break
        for rows in torch.randperm(size).split(max(size // args.minibatches, 1)):
            observation, action, advantage = batch["observation"][rows], batch["action"][rows], batch["advantage"][rows]
            log_ratio = agent.policy(observation).log_prob(action).sum(-1) - batch["log_prob"][rows]
            ratio = log_ratio.exp()
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            surrogate = torch.min(ratio * advantage, ratio.clamp(1.0 - args.clip, 1.0 + args.clip) * advantage)
            value_error = (agent.critic(observation).squeeze(-1) - batch["target"][rows]).square()
            loss = -surrogate.mean() + 0.5 * value_error.mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 1.0)
            optimizer.step()
            kl = (ratio - 1.0 - log_ratio).mean().item()
    return kl


def main() -> None:
    """Train and print, per update, how long pairs last and how far the policies moved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--env", default="AssistMimic/SitToStand-v0", help="environment id; list: assistmimic info")
    parser.add_argument("--worlds", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="of the physics; 0: one per core")
    parser.add_argument("--steps", type=int, default=32, help="control steps per world and update")
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--minibatches", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--target-kl", type=float, default=0.05, help="no further epoch beyond this divergence")
    parser.add_argument("--gamma", type=float, default=0.98)
    parser.add_argument("--trace", type=float, default=0.95)
    parser.add_argument("--clip", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    vec = assistmimic_env.make_vec(args.env, num_envs=args.worlds, threads=args.threads)
    agents = {
        role: Agent(vec.observation_spaces[role].shape[0], vec.action_spaces[role].shape[0]) for role in vec.agents
    }
    optimizers = {role: torch.optim.Adam(agent.parameters(), lr=args.learning_rate) for role, agent in agents.items()}
    observations, _ = vec.reset(seed=args.seed)
    for role, agent in agents.items():
        agent.learn_statistics(torch.from_numpy(observations[role]))
    for update in range(1, args.updates + 1):
        start, fractions = time.perf_counter(), []
        rollout: dict[str, dict[str, list[Tensor]]] = {role: {} for role in vec.agents}
        for _ in range(args.steps):
            actions: dict[str, np.ndarray] = {}
            for role, agent in agents.items():
                observation = torch.from_numpy(observations[role])
                with torch.no_grad():
                    policy = agent.policy(agent.normalise(observation))
                    action = policy.sample()
                record(rollout[role], observation=observation, action=action, log_prob=policy.log_prob(action).sum(-1))
                actions[role] = action.numpy()
            following, rewards, terminated, truncated, info = vec.step(actions)
            final = info.get("final_observation", following)  # where an episode ended, `following` is the next one's
            done = torch.from_numpy(terminated | truncated)
            for role in vec.agents:
                last = np.where(done[:, None], final[role], following[role])
                record(rollout[role], next=torch.from_numpy(last), reward=torch.from_numpy(rewards[role]))
                record(rollout[role], done=done.float(), failed=torch.from_numpy(terminated).float())
            if "episode" in info:
                fractions += info["episode"]["fraction"][info["done"]].tolist()
            observations = following

        report = []
        for role, agent in agents.items():
            batch = {name: torch.stack(values) for name, values in rollout[role].items()}
            seen = batch["observation"]
            with torch.no_grad():
                batch["observation"], following_view = agent.normalise(seen), agent.normalise(batch["next"])
                value = agent.critic(batch["observation"]).squeeze(-1)
                next_value = agent.critic(following_view).squeeze(-1) * (1.0 - batch["failed"])
                batch["advantage"] = advantages(
                    batch["reward"], value, next_value, batch["done"], args.gamma, args.trace
                )
                batch["target"] = batch["advantage"] + value
            mean_reward = batch["reward"].mean().item()
            kl = improve(agent, optimizers[role], {name: values.flatten(0, 1) for name, values in batch.items()}, args)
            agent.learn_statistics(seen.flatten(0, 1))
            report.append(f"{role}: reward {mean_reward:.3f}, kl {kl:.5f}")
        survived = f"{np.mean(fractions):.0%} of the clip" if fractions else "no episode ended"
        rate = args.steps * args.worlds / (time.perf_counter() - start)
        print(f"update {update}, {survived}, {rate:.0f} steps/s, {', '.join(report)}", flush=True)
    vec.close()


def record(rollout: dict[str, list[Tensor]], **values: Tensor) -> None:
    """Append one step's tensors by name."""
    for name, value in values.items():
        rollout.setdefault(name, []).append(value)


if __name__ == "__main__":
    main()
