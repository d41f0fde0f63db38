"""`assistmimic eval`: measure pairs of policies on the same seeds."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import tyro


def evaluate(
    policies: Annotated[tuple[str, ...], tyro.conf.Positional] = ("random",),
    *,
    env: str = "AssistMimic/PullUp-v0",
    clips: tuple[str, ...] = (),
    held_out: bool = False,
    rollouts: int = 100,
    seed: int = 0,
    start_noise: float = 1.0,
    threads: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Measure pairs of policies on the same seeds: success, survival, errors and forces, with 95 % intervals.

    Example: assistmimic eval runs/quickstart/policies/trained random

    Args:
        policies: For each pair a folder of exported policies, or one of: random, hold.
        env: Environment id (list them: assistmimic info).
        clips: Other motion: names of bundled clips, clip files, or folders of them.
        held_out: Use the environment's clips that training does not see.
        rollouts: Rollouts of each pair; they take turns through the clips.
        seed: Seed of the first rollout.
        start_noise: Scale of the noise of the start state; 0 starts exactly on the reference.
        threads: Threads of the physics; 0 means all CPUs. Results do not depend on it.
        out: Write the result to this JSON file, every rollout included.
        json: Print the result as one JSON object instead of a table.
    """
    import assistmimic_env
    from assistmimic_env.evaluation import compare

    from .pairs import choose_clips, load_pairs

    worlds = max(1, min(64, rollouts))
    motion = choose_clips(env, clips, held_out=held_out)
    vec = assistmimic_env.make_vec(env, num_envs=worlds, threads=threads, clips=motion)
    pairs = load_pairs(policies, vec, seed=seed)
    result = compare(vec, pairs, rollouts=rollouts, seed=seed, start_noise=start_noise, num_worlds=worlds)
    if out is not None:
        result.save(out)
    if json:
        print(json_module.dumps(result.to_json(), indent=2))
    else:
        _print_table(result.table())


def _print_table(rows: list[list[str]]) -> None:
    """Print one column per pair of policies."""
    from rich.console import Console
    from rich.table import Table

    title, *names = (row[0] for row in rows)
    table = Table(title, *names)
    for quantity in zip(*(row[1:] for row in rows), strict=True):
        table.add_row(*quantity)
    Console(markup=False).print(table)
