"""Charts as SVG text, without any plotting library: means with intervals, and curves.

Narrow and high, with large letters, so that they can be read on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .metrics import Estimate

COLORS: Final = ("#1f6fb2", "#d9650f", "#2d8a4e", "#a3348f", "#7a5a2b", "#52606d")
"""One per series, in turn; they stay apart for colour-blind people, and in print by their order."""

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 440, 118, 18, 30, 40
_ROW, _GAP, _CURVES = 17, 12, 190
_INK, _GRID = "#333c46", "#dde3e9"


def interval_chart(
    estimates: Mapping[str, Mapping[str, Estimate]], *, title: str, unit: str, scale: float = 1.0, least: float = 0.0
) -> str:
    """Dots with their 95 % intervals: a group of rows per condition, a colour per policy.

    Args:
        estimates: Condition -> policy -> estimate; all conditions have the same policies.
        title: What is shown.
        unit: Unit of the axis.
        scale: Factor from the estimates to this unit.
        least: The axis goes at least as far, in its unit.
    """
    names = list(next(iter(estimates.values())))
    group = len(names) * _ROW + _GAP
    height = _TOP + len(estimates) * group + _BOTTOM
    every = [value for each in estimates.values() for one in each.values() for value in (one.low, one.mean, one.high)]
    low, high, ticks = _axis([scale * value for value in every if math.isfinite(value)], least)

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    parts = [_label(_WIDTH / 2, 17, title, anchor="middle", bold=True), *_vertical(ticks, x, height - _BOTTOM)]
    for index, (condition, each) in enumerate(estimates.items()):
        top = _TOP + index * group
        parts.append(_label(_LEFT - 8, top + 0.5 * (group - _GAP) + 8, condition, anchor="end"))
        for number, name in enumerate(names):
            y = top + (number + 0.5) * _ROW + 4
            parts.append(_interval(each[name], scale, x, y, COLORS[number % len(COLORS)], f"{condition}, {name}"))
    parts.append(_label(_LEFT + (_WIDTH - _LEFT - _RIGHT) / 2, height - 6, unit, anchor="middle"))
    return _svg(height, parts, title)


def curve_chart(
    curves: Mapping[str, ArrayLike], *, dt: float, title: str, unit: str, scale: float = 1.0, least: float = 0.0
) -> str:
    """Curves over time, a colour per policy; NaN leaves gaps.

    Args:
        curves: Policy -> values at 1, 2, ... times ``dt``, shape (T,).
        dt: Time between two values [s].
        title: What is shown.
        unit: Unit of the vertical axis.
        scale: Factor from the values to this unit.
        least: The vertical axis goes at least as far, in its unit.
    """
    left, height = 52, _TOP + _CURVES + _BOTTOM
    rows = {name: scale * np.asarray(values, np.float64) for name, values in curves.items()}
    finite = np.concatenate([values[np.isfinite(values)] for values in rows.values()])
    low, high, ticks = _axis(list(finite), least)
    last = dt * max(len(values) for values in rows.values())

    def x(time: float) -> float:
        return left + time / last * (_WIDTH - left - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * _CURVES

    parts = [_label(_WIDTH / 2, 17, f"{title} [{unit}]", anchor="middle", bold=True)]
    for tick in ticks:
        parts.append(f'<path d="M{left} {y(tick):.1f}H{_WIDTH - _RIGHT}" stroke="{_GRID}"/>')
        parts.append(_label(left - 7, y(tick) + 5, f"{tick:g}", anchor="end"))
    times = (time for time in _axis([last], 0.0)[2] if time <= last + 1e-9)
    parts += [_label(x(time), height - _BOTTOM + 18, f"{time:g}", anchor="middle") for time in times]
    for number, (name, values) in enumerate(rows.items()):
        points = [(x(dt * (step + 1)), y(value)) for step, value in enumerate(values)]
        colour = COLORS[number % len(COLORS)]
        parts.append(f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="2">{_tip(name)}</path>')
    parts.append(_label(left + (_WIDTH - left - _RIGHT) / 2, height - 4, "seconds", anchor="middle"))
    return _svg(height, parts, title)


def _interval(estimate: Estimate, scale: float, x: Callable[[float], float], y: float, colour: str, name: str) -> str:
    """One dot with its interval; a dash where nothing was measured."""
    if not math.isfinite(estimate.mean):
        return _label(_LEFT + 4, y + 4, "-")
    mean, low, high = (scale * value for value in (estimate.mean, estimate.low, estimate.high))
    line = f'<path d="M{x(low):.1f} {y:.1f}H{x(high):.1f}" stroke="{colour}" stroke-width="3" opacity=".55"/>'
    dot = f'<circle cx="{x(mean):.1f}" cy="{y:.1f}" r="5" fill="{colour}">{_tip(f"{name}: {mean:.3g}")}</circle>'
    return (line if math.isfinite(low) else "") + dot


def _axis(values: Sequence[float], least: float) -> tuple[float, float, list[float]]:
    """Ends and ticks of an axis: round numbers around 0, ``least`` and the values."""
    low, high = min([0.0, *values]), max([0.0, least, *values])
    span = (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 4.0))
    step *= next(factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if span / (factor * step) <= 5.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return first * step, last * step, [round(index * step, 9) for index in range(first, last + 1)]


def _vertical(ticks: Sequence[float], x: Callable[[float], float], bottom: float) -> list[str]:
    """Grid lines and numbers below them."""
    lines = [f'<path d="M{x(tick):.1f} {_TOP - 4}V{bottom:.1f}" stroke="{_GRID}"/>' for tick in ticks]
    return lines + [_label(x(tick), bottom + 16, f"{tick:g}", anchor="middle") for tick in ticks]


def _path(points: Sequence[tuple[float, float]]) -> str:
    """A path with gaps where a number is missing."""
    words, drawing = [], False
    for across, up in points:
        if math.isfinite(up):
            words.append(f"{'L' if drawing else 'M'}{across:.1f} {up:.1f}")
        drawing = math.isfinite(up)
    return "".join(words)


def _label(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13" fill="{_INK}">'
        f"{''.join(parts)}</svg>"
    )
