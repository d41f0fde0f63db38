"""TorchRL: a policy per role on `PettingZooWrapper`, collected and improved by TorchRL's own collector and PPO loss."""

from __future__ import annotations

import argparse

import torch
from tensordict import TensorDictBase
from tensordict.nn import NormalParamExtractor, TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import PettingZooWrapper, check_env_specs
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss

import assistmimic_env


def make_actor(env: PettingZooWrapper, role: str) -> ProbabilisticActor:
    """A squashed Gaussian around small actions, of one role."""
    spec = env.full_action_spec[role, "action"]
    observations = env.observation_spec[role, "observation"].shape[-1]
    body = MLP(observations, 2 * spec.shape[-1], num_cells=[256, 128], activation_class=nn.SiLU)
    nn.init.normal_(body[-1].weight, std=1e-3)
    return ProbabilisticActor(
        TensorDictModule(
            nn.Sequential(body, NormalParamExtractor(scale_mapping="biased_softplus_0.1")),
            in_keys=[(role, "observation")],
            out_keys=[(role, "loc"), (role, "scale")],
        ),
        spec=spec,
        in_keys=[(role, "loc"), (role, "scale")],
        out_keys=[(role, "action")],
        distribution_class=TanhNormal,
        return_log_prob=True,
        log_prob_key=(role, "log_prob"),
    )


def make_loss(env: PettingZooWrapper, actor: ProbabilisticActor, role: str) -> ClipPPOLoss:
    """PPO for one role, with a critic on what the role sees."""
    observations = env.observation_spec[role, "observation"].shape[-1]
    critic = ValueOperator(
        MLP(observations, 1, num_cells=[256, 128], activation_class=nn.SiLU),
        in_keys=[(role, "observation")],
        out_keys=[(role, "state_value")],
    )
    loss = ClipPPOLoss(actor, critic, entropy_bonus=False, normalize_advantage=True)
    names = ("action", "reward", "done", "terminated", "advantage", "value_target")
    keys = {name: (role, name) for name in names}
    loss.set_keys(**keys, value=(role, "state_value"), sample_log_prob=(role, "log_prob"))
    loss.make_value_estimator(gamma=0.98, lmbda=0.95)
    return loss


def improve(loss: ClipPPOLoss, optimizer: torch.optim.Optimizer, batch: TensorDictBase, epochs: int) -> float:
    """Some gradient steps on a whole batch; returns the divergence of the new policy from the old."""
    with torch.no_grad():
        loss.value_estimator(batch, params=loss.critic_network_params, target_params=loss.target_critic_network_params)
    kl = 0.0
    for _ in range(epochs):
        values = loss(batch)
        optimizer.zero_grad()
        (values["loss_objective"] + values["loss_critic"]).backward()
        nn.utils.clip_grad_norm_(loss.parameters(), 1.0)
        optimizer.step()
        kl = values["kl_approx"].item()
    return kl


def main() -> None:
    """Collect and learn; print per batch what both roles were paid and how far their policies moved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--env", default="AssistMimic/SitToStand-v0", help="environment id; list: assistmimic info")
    parser.add_argument("--frames", type=int, default=512, help="control steps per batch")
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    env = PettingZooWrapper(assistmimic_env.make(args.env), seed=args.seed)
    check_env_specs(env)
    roles = list(env.group_map)  # one group per role, since their names carry no number
    actors = {role: make_actor(env, role) for role in roles}
    losses = {role: make_loss(env, actor, role) for role, actor in actors.items()}
    optimizers = {role: torch.optim.Adam(loss.parameters(), lr=5e-5) for role, loss in losses.items()}
    collector = Collector(
        env,
        TensorDictSequential(*actors.values()),
        frames_per_batch=args.frames,
        total_frames=args.frames * args.updates,
        auto_register_policy_transforms=False,  # neither policy has a memory
    )
    for update, batch in enumerate(collector, start=1):
        report = []
        for role, loss in losses.items():
            kl = improve(loss, optimizers[role], batch, args.epochs)
            reward = batch["next", role, "reward"].mean().item()
            report.append(f"{role}: reward {reward:.3f}, kl {kl:.5f}")
        print(f"update {update}, {', '.join(report)}", flush=True)
    collector.shutdown()


if __name__ == "__main__":
    main()
