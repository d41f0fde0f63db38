"""The HTML page of a report: one file without any external resource, for a phone as well as for a desk."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .charts import COLORS
from .evaluation import json_value, versions
from .quantities import MAIN, QUANTITIES, TABLES

if TYPE_CHECKING:
    from .grid import Grid

_STYLE: Final = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:#222b33;background:#fff}
h1{font-size:1.5rem;line-height:1.25;margin:.4rem 0}
h2{font-size:1.2rem;margin:2rem 0 .5rem;border-bottom:1px solid #dde3e9;padding-bottom:.2rem}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
p{margin:.5rem 0;max-width:46rem}
.note{color:#52606d;font-size:.9rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid #e8edf1}
th{background:#f4f7f9;font-weight:600}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff;max-width:11rem;white-space:normal}
th:first-child{background:#f4f7f9}
.pairs th:nth-child(2),.pairs td:nth-child(2){text-align:left}
td.word{text-align:left;white-space:normal;min-width:9rem;overflow-wrap:anywhere}
.charts,.films{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr))}
.charts svg,.films video,.films img{width:100%;height:auto;border:1px solid #e8edf1;border-radius:6px}
figure{margin:0}
figcaption{font-size:.85rem;color:#52606d;overflow-wrap:anywhere}
.legend span{display:inline-block;margin-right:1rem;overflow-wrap:anywhere}
.legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:50%;margin-right:.35rem;vertical-align:-1px}
pre{overflow-x:auto;background:#f4f7f9;padding:.7rem;border-radius:6px;font-size:.8rem}
pre.command{white-space:pre-wrap;overflow-wrap:anywhere}
summary{cursor:pointer;padding:.3rem 0}
"""

_POLICY: Final = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True, kw_only=True)
class Footage:
    """One rollout to look at."""

    caption: str
    """What it shows."""
    path: Path | None
    """An MP4 or a PNG, or nothing."""
    problem: str = ""
    """Why there is no video."""


def page(grid: Grid, charts: Mapping[str, str], footage: Sequence[Footage], *, command: str = "") -> str:
    """Write the page.

    Args:
        grid: What was found.
        charts: Name -> SVG.
        footage: Rollouts; their files are put into the page.
        command: How it was made.
    """
    title = f"Evaluation of {grid.first.env}"
    sections = (
        _head(grid, title),
        _main_tables(grid),
        _charts(grid, charts),
        _films(footage),
        _all_tables(grid),
        _protocol(grid, command),
        _meanings(),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )


def _head(grid: Grid, title: str) -> str:
    first = grid.first
    many = len(grid.evaluations)
    text = (
        f"{_count(len(grid.pairs), 'policy', 'policies')}, {_count(many, 'condition', 'conditions')}, "
        f"{_count(first.rollouts, 'rollout', 'rollouts')} of each on the same seeds. "
        "Numbers are means with 95 % intervals."
    )
    return f"<h1>{escape(title)}</h1>\n<p>{escape(text)}</p>"


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _main_tables(grid: Grid) -> str:
    parts = []
    for name in MAIN:
        quantity = QUANTITIES[name]
        parts.append(f"<h3>{escape(quantity.heading)}</h3>")
        parts.append(f'<p class="note">{escape(quantity.meaning)}</p>')
        parts.append(_table(grid.cross_table(name)))
    return _section("Conditions and policies", *parts)


def _charts(grid: Grid, charts: Mapping[str, str]) -> str:
    colours = (COLORS[index % len(COLORS)] for index in range(len(grid.pairs)))
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(pair)}</span>'
        for colour, pair in zip(colours, grid.pairs, strict=True)
    )
    figures = "".join(f"<figure>{svg}</figure>" for svg in charts.values())
    return _section("Charts", f'<p class="legend">{legend}</p>', f'<div class="charts">{figures}</div>')


def _films(footage: Sequence[Footage]) -> str:
    if not footage:
        return ""
    note = (
        '<p class="note">The first rollout of each policy, whatever became of it; on the right, translucent, '
        "the reference. Blue helps orange.</p>"
    )
    figures = "".join(_figure(one) for one in footage)
    return _section("Videos", note, f'<div class="films">{figures}</div>')


def _figure(one: Footage) -> str:
    caption = escape(f"{one.caption}. {one.problem}" if one.problem else one.caption)
    picture = ""
    if one.path is not None:
        video = one.path.suffix == ".mp4"
        data = base64.b64encode(one.path.read_bytes()).decode("ascii")
        source = f'src="data:{"video/mp4" if video else "image/png"};base64,{data}"'
        picture = f"<video controls muted loop playsinline {source}></video>" if video else f'<img alt="" {source}>'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _all_tables(grid: Grid) -> str:
    parts = []
    for title, columns in TABLES.items():
        parts.append(f"<h3>{escape(title)}</h3>")
        parts.append(_table(grid.table(columns)))
    if len(grid.pairs) > 1:
        parts.append(f"<h3>Difference to {escape(grid.pairs[0])}</h3>")
        parts.append('<p class="note">Paired: mean over seeds of the difference on the same seed.</p>')
        parts.append(_table(_difference_rows(grid)))
    return _section("All tables", *parts)


def _difference_rows(grid: Grid) -> list[list[str]]:
    rows = [["condition", "policy", *(QUANTITIES[name].heading for name in MAIN)]]
    for condition, result in grid.evaluations.items():
        for pair, estimates in result.differences.items():
            rows.append([condition, pair, *(QUANTITIES[name].text(estimates[name]) for name in MAIN)])
    return rows


def _protocol(grid: Grid, command: str) -> str:
    first = grid.first
    facts = [
        ["environment", first.env],
        ["clips", ", ".join(first.clips)],
        [
            "seeds",
            f"{first.seed} to {first.seed + first.rollouts - 1}; rollout i plays clip i modulo {len(first.clips)}",
        ],
        ["start noise", f"{first.start_noise:g}"],
        ["recipient", _impairment(first.config["recipient"])],
        ["a rollout fails", f"when anybody's mean error of 16 bodies passes {first.failure_distance:g} m"],
        ["versions", ", ".join(f"{name} {version}" for name, version in versions().items())],
    ]
    for condition, result in grid.evaluations.items():
        facts.append([f"condition {condition}", _perturbation(result.config["perturbation"])])
    for pair, roles in first.actors.items():
        facts.append([f"policy {pair}", "; ".join(dict.fromkeys(roles.values()))])
        own = {name: value for name, value in first.own_options.get(pair, {}).items() if name != "perturbation"}
        if own:
            facts.append([f"options of {pair}", json.dumps(json_value(own))])
    rows = "".join(f'<tr><td>{escape(name)}</td><td class="word">{escape(text)}</td></tr>' for name, text in facts)
    made = f'<h3>Command</h3><pre class="command">{escape(command)}</pre>' if command else ""
    config = escape(json.dumps(json_value(first.config), indent=1, default=str))
    return _section(
        "How it was measured",
        f'<div class="wide"><table>{rows}</table></div>',
        made,
        f"<details><summary>All settings of the environment</summary><pre>{config}</pre></details>",
    )


def _impairment(recipient: Mapping[str, Any]) -> str:
    """An impairment in words."""
    words = [f"mass x {recipient['mass']:g}"] if recipient["mass"] != 1.0 else []
    words += [f"kp and kd of {kind} x {factor:g}" for kind, factor in recipient["gain"].items()]
    words += [f"at most {limit:g} N m at each {kind}" for kind, limit in recipient["torque_limit"].items()]
    return "; ".join(words) or "not impaired"


def _perturbation(change: Mapping[str, Any]) -> str:
    """A perturbation in words."""
    words = []
    for role, factors in change.items():
        words += [f"{role}'s mass x {factors['mass']:g}"] if factors["mass"] != 1.0 else []
        for key, name in (("gain", "kp and kd"), ("torque_limit", "torque limit")):
            for kind, factor in factors[key].items():
                where = {"*": "all joints", "impaired": "impaired joints"}.get(kind, kind)
                words.append(f"{role}'s {name} of {where} x {factor:g}")
    return "; ".join(words) or "nothing is changed"


def _meanings() -> str:
    shown = dict.fromkeys(name for names in (MAIN, *TABLES.values()) for name in names)
    rows = "".join(
        f'<tr><td>{escape(QUANTITIES[name].title)}</td><td class="word">{escape(QUANTITIES[name].meaning)}</td></tr>'
        for name in shown
    )
    note = (
        '<p class="note">Errors and forces are taken over the frames up to and including the failing one, and against '
        "the reference as it is in the clip. Intervals: Wilson's for rates, percentile bootstrap over rollouts for "
        "means. A dash: nothing was measured.</p>"
    )
    return _section("What the numbers mean", note, f'<div class="wide"><table>{rows}</table></div>')


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{''.join(parts)}</section>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    heading, *body = rows
    kind = ' class="pairs"' if heading[1] == "policy" else ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body)
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
