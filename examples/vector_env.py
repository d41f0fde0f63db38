"""Many worlds in one call: the native vector environment, with arrays per role."""

from __future__ import annotations

import argparse
import time

import numpy as np

import assistmimic_env


def main() -> None:
    """Step all worlds with small random actions; print the speed and how long the pairs lasted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="AssistMimic/SitToStand-v0", help="environment id; list: assistmimic info")
    parser.add_argument("--worlds", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    arguments = parser.parse_args()

    vec = assistmimic_env.make_vec(arguments.env, num_envs=arguments.worlds, threads=arguments.threads)
    observations, info = vec.reset(seed=0)
    for role in vec.agents:
        print(f"{role}: observations {observations[role].shape}, actions {vec.action_spaces[role].shape}")

    rng = np.random.default_rng(0)
    fractions: list[float] = []
    start = time.perf_counter()
    for _ in range(arguments.steps):
        actions = {role: 0.1 * rng.standard_normal((vec.num_envs, 69), dtype=np.float32) for role in vec.agents}
        observations, rewards, terminated, truncated, info = vec.step(actions)
        if "episode" in info:  # some worlds have ended, and have already begun their next episode
            fractions += info["episode"]["fraction"][info["done"]].tolist()
    seconds = time.perf_counter() - start

    print(f"{arguments.steps * vec.num_envs / seconds:.0f} pair steps/s")
    print(f"{len(fractions)} episodes, {np.mean(fractions) if fractions else 0:.0%} of the clip on average")
    vec.close()


if __name__ == "__main__":
    main()
