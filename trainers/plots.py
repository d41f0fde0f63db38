"""Learning curves as PNG files, without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PANELS = (
    ("fraction", "share of the clip survived", 1.0),
    ("mpjpe", "MPJPE [mm]", 1000.0),
    ("episode_return", "return of both roles", 1.0),
    ("task_success", "task success", 1.0),
)
"""Key of a record, label of the axis, factor from the record's unit."""


def plot_learning_curve(
    records: Sequence[Mapping[str, Any]], path: Path, *, title: str, levels: Mapping[str, float] | None = None
) -> Path:
    """Draw the records of a run.

    Args:
        records: Lines of `progress.jsonl`.
        path: PNG file to write.
        title: Heading.
        levels: Name -> share of the clip survived in the final evaluation, drawn as horizontal lines.

    Returns:
        The path.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6), sharex=True, constrained_layout=True)
    for axis, (key, label, factor) in zip(axes.flat, PANELS, strict=True):
        points = [(record["steps"], record[key] * factor) for record in records if record.get(key) is not None]
        axis.plot(*zip(*points, strict=True), color="tab:blue", marker=".") if points else None
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        axis.set_xlim(left=0)
    for index, (name, level) in enumerate((levels or {}).items()):
        axes.flat[0].axhline(level, color=f"C{index + 1}", linestyle="--", linewidth=1, label=f"{name} (evaluation)")
    axes.flat[0].legend(fontsize="small") if levels else None
    for axis in axes[1]:
        axis.set_xlabel("control steps of the pair")
        axis.xaxis.set_major_locator(ticker.MaxNLocator(nbins=6))
        axis.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


STUDY_PANELS = (("survived", "share of the clip survived", 1.0), ("task_success", "task success", 1.0))


def plot_study(runs: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, *, title: str) -> Path:
    """Draw the evaluations of several runs against steps and against minutes, one colour per arm.

    Args:
        runs: Arm -> its runs, each with `points`: evaluations with `steps`, `seconds` and the measured quantities.
        path: PNG file to write.
        title: Heading.

    Returns:
        The path.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 6.5), sharey="row", constrained_layout=True)
    for row, (key, label, factor) in zip(axes, STUDY_PANELS, strict=True):
        for axis, (across, unit) in zip(row, (("steps", 1.0), ("seconds", 60.0)), strict=True):
            for index, (arm, each) in enumerate(runs.items()):
                for number, run in enumerate(each):
                    points = [(point[across] / unit, point[key] * factor) for point in run["points"]]
                    name = arm if number == 0 else None
                    axis.plot(*zip(*points, strict=True), color=f"C{index}", marker=".", linewidth=1, label=name)
            axis.grid(alpha=0.3)
            axis.set_xlim(left=0)
            axis.set_ylim(0.0, 1.02)
        row[0].set_ylabel(label)
    axes[0][0].legend(fontsize="small", title="arm", loc="center right")
    axes[1][0].set_xlabel("control steps of the pair")
    for axis in (axes[0][0], axes[1][0]):
        axis.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    axes[1][1].set_xlabel("minutes of training")
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
