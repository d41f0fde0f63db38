"""What "Learning to Assist" (CVPR 2026) reports of its specialists, for orientation beside our results.

The numbers are those of its Tables 2 and 3 as its project page gives them. Its motion (Inter-X and HHI-Assist), bodies,
simulator and number of samples are others than ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SOURCE = "Learning to Assist, CVPR 2026, arXiv 2603.11346"


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table of the paper."""

    title: str
    """Its number and data set."""
    columns: tuple[str, ...]
    """Headings with units."""
    rows: dict[str, tuple[float | None, ...]]
    """Method -> its figures; None where the paper has none."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        rows = {name: dict(zip(self.columns, row, strict=True)) for name, row in self.rows.items()}
        return {"title": self.title, "rows": rows}

    def text(self) -> list[list[str]]:
        """Rows of text, headings first."""
        body = [[name, *("-" if value is None else f"{value:g}" for value in row)] for name, row in self.rows.items()]
        return [["method", *self.columns], *body]


PAPER = (
    PaperTable(
        title="Table 2, Inter-X",
        columns=("SR [%]", "MPJPE [mm]", "SR, mass x 1.2 [%]", "SR, Kp/Kd x 0.5 [%]"),
        rows={
            "sequential training": (62.4, 92.3, 49.9, 50.5),
            "full method": (74.9, 113.0, 57.9, 72.8),
            "without dynamic retargeting": (83.4, 107.0, 73.1, 83.3),
            "and without contact reward": (81.6, 80.4, 66.3, 77.1),
            "and without weight initialisation": (0.0, 248.0, 0.0, 0.0),
        },
    ),
    PaperTable(
        title="Table 3, HHI-Assist",
        columns=("SR [%]", "MPJPE [mm]", "SR, mass x 1.5 [%]", "SR, hip torque x 0.5 [%]"),
        rows={
            "full method": (85.8, 127.0, 67.8, 73.2),
            "without dynamic retargeting": (85.4, 125.0, 49.1, 62.9),
            "and without contact reward": (97.7, 89.5, 56.4, 27.7),
            "and without weight initialisation": (19.1, 364.0, None, None),
        },
    ),
)
"""Rows of the paper are cumulative: each leaves out what the rows above leave out as well."""
