"""`assistmimic bench`: speed of environments and training as ratios to limits of the same run; cost of retargeting."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


def bench(
    what: Annotated[Literal["env", "train", "grip", "retarget"], tyro.conf.Positional] = "env",
    *,
    env: str = "AssistMimic/PullUp-v0",
    clips: tuple[str, ...] = (),
    body: str = "smpl24",
    worlds: int | None = None,
    threads: int = 2,
    cmu: Path | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Measure speed on this machine.

    `env`: how much of the bare physics' speed is left after observations, rewards and resets. `train`: how fast the
    samplers and the learner are against RLlib's own, the bare environment and a bare torch loop. Ratios compare
    alternating blocks of one run, so they mean the same on any machine; stop other programs anyway. `grip`: how much
    three ways to hold the partner carry, read and cost, and what holding changes for people who need help; always on
    SitToStand-v0. `retarget`: how far imported motion is from its source on fitted and on our own bones, and what it
    costs per person and frame.

    Args:
        what: env, train, grip or retarget.
        env: Environment id (list them: assistmimic info).
        clips: Other motion for env and train: names of bundled clips or of their folders, files, or folders of files.
        body: Humanoid of `env`, e.g. smpl52; another one than smpl24 is also compared with smpl24.
        worlds: Worlds of the vector environment; by default 64, 96 for train, 16 for grip.
        threads: Its physics threads; for train, the number of processes of remote samplers.
        cmu: For retarget: folder with the key frames of the CMU pair 22_01 and 23_01, measured as well.
        out: Write the report to this JSON file.
        json: Print one JSON object instead of the main figures.
    """
    from assistmimic_env.errors import ConfigError

    if body != "smpl24" and what != "env":
        raise ConfigError(f"--body {body}: bench {what} always measures smpl24. Leave it out, or use bench env.")
    if clips and what in ("grip", "retarget"):
        raise ConfigError(f"--clips: bench {what} has motion of its own. Leave it out, or use bench env or train.")
    report, lines = {
        "env": lambda: _environment(env, clips, body, worlds, threads),
        "train": lambda: _training(env, clips, worlds, threads),
        "grip": lambda: _grip(worlds),
        "retarget": lambda: _retargeting(cmu),
    }[what]()
    text = json_module.dumps(report, indent=2)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"{text}\n", encoding="utf-8")
    print(text if json else "\n".join(lines))


def _environment(
    env: str, clips: tuple[str, ...], body: str, worlds: int | None, threads: int
) -> tuple[dict[str, Any], list[str]]:
    from assistmimic_env.benchmark import BenchmarkConfig, run_benchmark

    config = BenchmarkConfig(env_id=env, clips=clips, body=body, num_envs=worlds or 64, threads=threads)
    report = run_benchmark(config, log=_log)
    return report, _lines(report, config.num_envs)


def _training(env: str, clips: tuple[str, ...], worlds: int | None, threads: int) -> tuple[dict[str, Any], list[str]]:
    import assistmimic_env
    from assistmimic_env.registry import resolve_clips
    from assistmimic_trainers.benchmark import TrainBenchmark, run_benchmark

    resolve_clips(env, clips or None)  # what is wrong with them is said before Ray starts
    config = TrainBenchmark(env_id=assistmimic_env.spec(env).id, clips=clips, worlds=worlds or 96, cores=threads)
    report = run_benchmark(config, log=_log)
    return report, [
        f"sampling over stock RLlib    {report['sampling_over_stock']:.2f}",
        f"sampling over environment    {report['sampling_over_environment']:.2f}  with the policies, against without",
        f"learning over bare torch     {report['learning_over_torch']:.2f}",
        f"two env runners over one     {report['two_runners_over_one']:.2f}",
        f"whole updates                {report['env_steps_per_second']:.0f} control steps of the pair per second",
    ]


def _grip(worlds: int | None) -> tuple[dict[str, Any], list[str]]:
    from assistmimic_env.grip_benchmark import GripBenchmark, run_benchmark

    report = run_benchmark(GripBenchmark(num_envs=worlds or 16), log=_log)
    mechanisms = [
        f"{row['scene']:<9} {row['direction']:<6} {row['mechanism']:<9} {row['solver']:<10} holds {row['holds']:4.0f} N"
        f"   unloaded: sensor {row['unloaded_sensor']:5.1f} N, net {row['unloaded_net']:5.1f} N"
        for row in report["mechanisms"]
    ]
    changes = [
        f"grip {mode:<10} control step x {report['cost']['control_step'][mode]:.2f}"
        f"   task success {100.0 * row['task_success']['mean']:3.0f} %   support {row['support_force']['mean']:3.0f} N"
        for mode, row in report["help"].items()
    ]
    return report, mechanisms + changes


def _retargeting(cmu: Path | None) -> tuple[dict[str, Any], list[str]]:
    from assistmimic_env.importing.benchmark import retargeting_table

    rows = retargeting_table(cmu, log=_log)
    head = f"{'source':<22} {'knows':<15} {'bones':<19} {'body':<7} {'joints':>14} {'hands':>14} {'time':>8}"
    return {"rows": rows}, [
        f"{head}   (mean and 95th percentile of joint errors and of changes between hands and partner)",
        *map(_retargeting_line, rows),
    ]


def _retargeting_line(row: dict[str, Any]) -> str:
    errors, changes = (
        f"{row[f'{key}_mean_mm']:5.1f} {row[f'{key}_p95_mm']:5.1f} mm" for key in ("joint_error", "hand_change")
    )
    names = f"{row['source']:<22} {row['knows']:<15} {row['bones']:<19} {row['body']:<7}"
    return f"{names} {errors} {changes} {row['ms_per_person_frame']:5.2f} ms"


def _log(line: str) -> None:
    print(f"{line} ...", file=sys.stderr)


def _lines(report: dict[str, Any], worlds: int) -> list[str]:
    humanoid = report["humanoid_ratio"]
    return [
        f"vector ratio    {report['vector_ratio']:.2f}  full step of {worlds} worlds against the bare physics",
        f"  method on     {report['vector_ratio_method']:.2f}  with domain randomisation "
        f"{report['vector_ratio_randomised']:.2f}",
        f"parallel ratio  {report['parallel_ratio']:.2f}  the same for the PettingZoo environment, one world",
        f"humanoid ratio  {'-' if humanoid is None else format(humanoid, '.2f')}"
        "  steps per second and person against Gymnasium's Humanoid-v5",
        *(
            f"{name:<15} {one['over_smpl24']:.2f}  steps per second against smpl24 ({one['steps_per_second']:.0f})"
            for name, one in (report["bodies"] or {}).items()
        ),
        *(
            f"{one['num_envs']:>6} worlds   {one['microseconds_per_world_step']:.0f} us per world and step, "
            f"{one['megabytes_per_world']:.2f} MB per world"
            for one in report["growth"]
        ),
    ]
