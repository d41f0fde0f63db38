"""A folder that tells what an evaluation found: JSON, Markdown tables, charts, videos, and one HTML page with them all.

    write_report(evaluate_grid(...), "report")  # -> report/report.html

evaluation.json is written before anything is drawn, so that no picture can cost a result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from . import metrics
from .charts import curve_chart, interval_chart
from .config import CONTROL_DT
from .errors import MissingDependencyError
from .grid import Grid
from .policy import write_atomically
from .quantities import QUANTITIES
from .recording import frames
from .report_page import Footage, page
from .rollout_log import GRAVITY

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from .evaluation import Evaluation
    from .rollout_log import RolloutLog

    Array = NDArray[np.float64]

Videos = Literal["first", "all", "none"]
"""Of which conditions videos are made."""

CHARTED: Final = (
    "task_success", "success_50", "mpjpe", "weight_share", "contact_recall", "max_torque"
)  # fmt: skip
"""Quantities with a chart over all conditions."""

_PICTURE: Final = (640, 360)


def write_report(
    grid: Grid,
    folder: str | os.PathLike[str],
    *,
    content: Mapping[str, Any] | None = None,
    command: str = "",
    videos: Videos = "first",
) -> Path:
    """Write evaluation.json, table.md, plots/*.svg, videos/* and report.html, which needs none of the others.

    Args:
        grid: What was found.
        folder: Where; made if missing, files of an earlier report are overwritten.
        content: What evaluation.json holds; by default the grid.
        command: How it was made, for people.
        videos: Of which conditions the first rollout of each policy is drawn.

    Returns:
        The HTML page.
    """
    from .evaluation import save_json

    folder = Path(folder)
    save_json(folder / "evaluation.json", grid.to_json() if content is None else content)
    write_atomically(folder / "table.md", grid.markdown().encode())
    charts = dict(_charts(grid))
    (folder / "plots").mkdir(exist_ok=True)
    for name, chart in charts.items():
        write_atomically(folder / "plots" / f"{name}.svg", chart.encode())
    footage = tuple(_films(grid, folder / "videos", videos))
    write_atomically(folder / "report.html", page(grid, charts, footage, command=command).encode())
    return folder / "report.html"


def _charts(grid: Grid) -> Iterator[tuple[str, str]]:
    """Name -> SVG."""
    for name in CHARTED:
        estimates = {
            condition: {pair: result.summary[pair][name] for pair in grid.pairs}
            for condition, result in grid.evaluations.items()
        }
        quantity = QUANTITIES[name]
        if any(one.n for each in estimates.values() for one in each.values()):
            unit = quantity.shown or quantity.unit
            least = 0.0 if name == "weight_share" or unit != "%" else 100.0
            chart = interval_chart(estimates, title=quantity.title, unit=unit, scale=quantity.scale, least=least)
            yield name, chart
    condition, result = next(iter(grid.evaluations.items()))
    going = {name: _going(log, result.failure_distance) for name, log in result.logs.items()}
    title = f"rollouts not failed yet, {condition}"
    yield "survival", curve_chart(going, dt=CONTROL_DT, title=title, unit="%", scale=100.0, least=100.0)
    carried = {name: _carried(log, result.failure_distance) for name, log in result.logs.items()}
    title = f"recipient's weight carried, {condition}"
    yield "support", curve_chart(carried, dt=CONTROL_DT, title=title, unit="%", scale=100.0)


def _going(log: RolloutLog, failure_distance: float) -> Array:
    """Share of the rollouts that have not failed before each frame, shape (T,); those of shorter clips stay."""
    survived = metrics.survived_frames(log.tracking_error, log.length, threshold=failure_distance)
    frame = np.arange(log.height_error.shape[1])
    return ((survived[:, None] > frame) | (survived >= log.length)[:, None]).mean(axis=0)


def _carried(log: RolloutLog, failure_distance: float) -> Array:
    """Mean share of the recipient's weight that the supporter carries at each frame, shape (T,).

    Over the rollouts that go on; NaN where fewer than a tenth of them do.
    """
    inside = np.arange(log.height_error.shape[1]) < log.frames(failure_distance)[:, None]
    measured = inside & np.isfinite(log.support_force[..., 0])
    share = np.where(measured, log.support_force[..., 0] / (log.mass * GRAVITY)[:, None], 0.0)
    count = measured.sum(axis=0)
    enough = count >= max(1, len(log.seed) // 10)
    return np.divide(share.sum(axis=0), count, out=np.full(len(count), np.nan), where=enough)


def _films(grid: Grid, folder: Path, videos: Videos) -> Iterator[Footage]:
    """The first rollout of each policy, wherever something was recorded."""
    chosen = list(grid.evaluations)[: {"first": 1, "all": None, "none": 0}[videos]]
    for condition in chosen:
        result = grid.evaluations[condition]
        for pair in grid.pairs:
            if result.recordings.get(pair):
                path = folder / f"{_file_name(condition)}--{_file_name(pair)}.mp4"
                yield _film(result, condition, pair, path)


def _film(result: Evaluation, condition: str, pair: str, path: Path) -> Footage:
    from .rendering import write_video

    width, height = _PICTURE
    caption = f"{pair}, {condition}: {_outcome(result, pair)}"
    try:
        written = write_video(path, frames(result.recordings[pair][0], width=width, height=height))
    except MissingDependencyError as error:
        return Footage(caption=caption, path=None, problem=f"No picture was made: {error}")
    problem = f"A film strip instead of a video: {written.reason}." if written.reason else ""
    return Footage(caption=caption, path=written.path, problem=problem)


def _outcome(result: Evaluation, pair: str) -> str:
    """What became of the first rollout of a pair."""
    values = {name: array[0] for name, array in result.per_rollout[pair].items()}
    clip = result.clips[int(result.logs[pair].clip[0])]
    ending = "task success" if values["task_success"] else "followed to the end" if values["success_50"] else "failed"
    return f"seed {result.seed}, clip {clip}, {100 * values['survived']:.0f} % of the clip, {ending}"


def _file_name(text: str) -> str:
    """Safe for every file system."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._")[-80:] or "policy"
