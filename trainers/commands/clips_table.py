"""Tables of an import: one line per clip, lengths in centimetres and millimetres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assistmimic_env.importing.batch import Outcome, Preview

MAX_ROWS = 40
_MAX_NOTES = 12
_ABSENT = "-"


def outcome_table(outcomes: Sequence[Outcome]) -> str:
    """What was imported and kept, and what was measured; failures have been told one by one.

    Args:
        outcomes: Results of an import.

    Returns:
        Lines of aligned columns, at most forty clips, and the commonest notes; empty when all failed.
    """
    reports = [(outcome.name, outcome.status, outcome.report) for outcome in outcomes if not outcome.error]
    if not reports:
        return ""
    rows = [[name, status, *(cell(report) for cell in _COLUMNS.values())] for name, status, report in reports]
    notes = Counter(note for _, _, report in reports for note in report.get("notes") or ())
    told = [f"{count} of {len(reports)}: {note}" for note, count in notes.most_common(_MAX_NOTES)]
    return "\n".join([_aligned([["clip", "", *_COLUMNS], *rows]), *told])


def preview_table(previews: Sequence[Preview]) -> str:
    """What would be imported, and how axes, unit, rate and roles would be settled.

    Args:
        previews: Results of a dry run.

    Returns:
        Lines of aligned columns, at most forty clips.
    """
    seen = [one for one in previews if not one.error]
    settled = ["; ".join(f"{key} {value}" for key, value in one.conventions.items()) for one in seen]
    rows = [
        [one.name, one.status, str(one.frames), f"{one.fps:g}", text] for one, text in zip(seen, settled, strict=True)
    ]
    return _aligned([["clip", "", "frames", "fps", "conventions"], *rows]) if rows else ""


def _aligned(rows: list[list[str]]) -> str:
    shown = rows[: MAX_ROWS + 1]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
    more = len(rows) - len(shown)
    return "\n".join(lines + ([f"... and {more} more"] if more else []))


def _number(key: str, scale: float = 1.0, spec: str = ".0f") -> Callable[[Mapping[str, Any]], str]:
    return lambda report: _text(report.get(key), scale, spec)


def _pair(key: str, scale: float, spec: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda report: "/".join(_text(value, scale, spec) for value in report.get(key) or (None, None))


def _change(key: str, scale: float = 1e3, spec: str = ".0f") -> Callable[[Mapping[str, Any]], str]:
    def cell(report: Mapping[str, Any]) -> str:
        before, after = (_text(report.get(f"{key}_{when}"), scale, spec) for when in ("before", "after"))
        return after if before == _ABSENT else f"{before} > {after}"

    return cell


def _quality(key: str, name: str) -> Callable[[Mapping[str, Any]], str]:
    """A value of the report, or of the clip's quality where the report has none."""
    change = _change(key)

    def cell(report: Mapping[str, Any]) -> str:
        text = change(report)
        return _text((report.get("quality") or {}).get(name), 1e3, ".0f") if text == _ABSENT else text

    return cell


def _text(value: Any, scale: float, spec: str) -> str:
    if not isinstance(value, int | float):
        return _ABSENT
    text = format(value * scale, spec)
    return text.removeprefix("-") if float(text) == 0.0 else text


_COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "frames": _number("frames"),
    "fps": _number("fps", spec="g"),
    "stature [m]": _pair("stature", 1.0, ".2f"),
    "shift [mm]": _number("height_shift", 1e3),
    "joint error [mm]": _number("joint_error_mean", 1e3, ".1f"),
    "hand-partner [mm]": _change("hand_distance"),
    "foot slide [mm]": _quality("foot_slide", "foot_slide"),
    "overlap [mm]": _quality("partner_depth", "partner_depth"),
    "in floor [mm]": _quality("floor_depth", "floor_depth"),
}
