"""`assistmimic bench`: the speed of the environments, as ratios to the bare physics of the same run."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Any


def bench(
    *,
    env: str = "AssistMimic/PullUp-v0",
    worlds: int = 64,
    threads: int = 2,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Measure how much of the bare physics' speed is left after observations, rewards and resets.

    Ratios compare alternating blocks of one run, so they mean the same on any machine; stop other programs anyway.

    Args:
        env: Environment id (list them: assistmimic info).
        worlds: Worlds of the vector environment.
        threads: Its physics threads.
        out: Write the report to this JSON file.
        json: Print one JSON object instead of the main figures.
    """
    from assistmimic_env.benchmark import BenchmarkConfig, run_benchmark

    config = BenchmarkConfig(env_id=env, num_envs=worlds, threads=threads)
    report = run_benchmark(config, log=lambda line: print(f"{line} ...", file=sys.stderr))
    text = json_module.dumps(report, indent=2)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"{text}\n", encoding="utf-8")
    print(text if json else "\n".join(_lines(report, worlds)))


def _lines(report: dict[str, Any], worlds: int) -> list[str]:
    humanoid = report["humanoid_ratio"]
    return [
        f"vector ratio    {report['vector_ratio']:.2f}  full step of {worlds} worlds against the bare physics",
        f"parallel ratio  {report['parallel_ratio']:.2f}  the same for the PettingZoo environment, one world",
        f"humanoid ratio  {'-' if humanoid is None else format(humanoid, '.2f')}"
        "  steps per second and person against Gymnasium's Humanoid-v5",
        *(
            f"{one['num_envs']:>6} worlds   {one['microseconds_per_world_step']:.0f} us per world and step, "
            f"{one['megabytes_per_world']:.2f} MB per world"
            for one in report["growth"]
        ),
    ]
