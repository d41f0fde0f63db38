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
