"""Two people who act at random: the PettingZoo loop, episode by episode."""

from __future__ import annotations

import argparse

import assistmimic_env


def main() -> None:
    """Run for some simulated seconds and print how each episode ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="AssistMimic/PullUp-v0", help="environment id; list them: assistmimic info")
    parser.add_argument("--seconds", type=float, default=10.0, help="simulated time")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    env = assistmimic_env.make(arguments.env)
    observations, infos = env.reset(seed=arguments.seed)
    for index, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(arguments.seed + index)
        print(f"{agent}: {observations[agent].size} observations, {env.action_space(agent).shape[0]} actions")

    for _ in range(round(arguments.seconds * env.metadata["render_fps"])):
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        observations, rewards, terminations, truncations, infos = env.step(actions)
        if not env.agents:  # the episode is over, for both at once
            episode = infos["recipient"]["episode"]
            print(f"survived {episode['fraction']:.0%} of the clip, mean joint error {episode['mpjpe']:.3f} m")
            observations, infos = env.reset()
    env.close()


if __name__ == "__main__":
    main()
