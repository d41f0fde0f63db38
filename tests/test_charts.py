"""Charts are well-formed, tell the truth about positions, and survive odd names and missing numbers."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from assistmimic_env.charts import curve_chart, interval_chart
from assistmimic_env.metrics import Estimate

SVG = "{http://www.w3.org/2000/svg}"
NOTHING = Estimate(mean=float("nan"), low=float("nan"), high=float("nan"), n=0)


def estimate(mean: float, half: float = 0.1) -> Estimate:
    """An estimate with a symmetric interval."""
    return Estimate(mean=mean, low=mean - half, high=mean + half, n=9)


def parse(svg: str) -> ElementTree.Element:
    """The tree of a chart; fails unless it is well-formed."""
    return ElementTree.fromstring(svg)  # noqa: S314


def ticks(tree: ElementTree.Element, anchor: str) -> dict[float, tuple[float, float]]:
    """Number of each tick -> where it stands."""
    texts = [item for item in tree.iter(f"{SVG}text") if item.get("text-anchor") == anchor]
    return {
        float(str(item.text)): (float(item.attrib["x"]), float(item.attrib["y"]))
        for item in texts
        if re.fullmatch(r"-?[\d.]+", str(item.text))
    }


def test_dots_stand_where_the_axis_says() -> None:
    """Halfway between two ticks for a mean halfway between them; the interval is around it."""
    tree = parse(interval_chart({"none": {"a": estimate(0.5)}}, title="t", unit="%", scale=100.0, least=100.0))
    where = ticks(tree, "middle")
    (dot,) = tree.iter(f"{SVG}circle")
    expected = 0.5 * (where[0.0][0] + where[100.0][0])
    assert float(dot.attrib["cx"]) == pytest.approx(expected, abs=0.2)
    bars = [path.attrib["d"] for path in tree.iter(f"{SVG}path") if path.get("stroke-width") == "3"]
    left, right = map(float, re.findall(r"M([\d.]+) .*H([\d.]+)", bars[0])[0])
    assert left < expected < right
    assert right - left == pytest.approx(0.2 * (where[100.0][0] - where[0.0][0]), abs=0.3)


def test_negative_values_have_an_axis_with_zero() -> None:
    tree = parse(interval_chart({"none": {"a": estimate(-30.0, 5.0)}}, title="t", unit="N"))
    assert min(ticks(tree, "middle")) <= -35.0
    assert 0.0 in ticks(tree, "middle")


def test_what_was_not_measured_is_a_dash() -> None:
    """Beside what was; and a chart of zeros has an axis."""
    tree = parse(interval_chart({"x": {"a": NOTHING, "b": estimate(0.0, 0.0)}}, title="t", unit="m"))
    assert [item.text for item in tree.iter(f"{SVG}text")].count("-") == 1
    assert len(list(tree.iter(f"{SVG}circle"))) == 1


def test_names_are_escaped() -> None:
    """Of conditions, policies and titles."""
    name = "<script>&\"'"
    for svg in (
        interval_chart({name: {name: estimate(1.0)}}, title=name, unit="N"),
        curve_chart({name: [1.0, 2.0]}, dt=0.1, title=name, unit="N"),
    ):
        parse(svg)
        assert "<script>" not in svg


def test_curves_have_gaps_where_nothing_was_measured() -> None:
    """A pen that is lifted; rising values rise."""
    svg = curve_chart({"a": [0.0, 1.0, np.nan, 1.0, 2.0]}, dt=1.0, title="t", unit="N")
    (line,) = [path.attrib["d"] for path in parse(svg).iter(f"{SVG}path") if path.get("fill") == "none"]
    assert re.sub(r"[\d. ]+", "", line) == "MLML"
    heights = [float(pair.split()[1]) for pair in re.findall(r"[\d.]+ [\d.]+", line)]
    assert heights[0] > heights[1] == heights[2] > heights[3]
