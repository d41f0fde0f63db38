"""What is known of a table, as JSON and Markdown; entries of which no cell was run say so.

An entry of several seeds is their mean with the 95 % interval of Student's t, one of a single seed has the interval
over its rollouts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assistmimic_env.evaluation import json_value, save_json, versions
from assistmimic_env.grid import markdown_table
from assistmimic_env.metrics import Estimate
from assistmimic_env.policy import write_atomically
from assistmimic_env.quantities import QUANTITIES as DESCRIPTIONS

from .cell import Cell, machine
from .cell_queue import clock
from .paper import PAPER, SOURCE
from .study import QUANTITIES, compare_runs, interval
from .table import RECIPIENT, Table
from .training_range import inside_training_range

FORMAT, VERSION = "assistmimic-table", 1

RUN, PARTLY_RUN, NOT_RUN = "run", "partly run", "not run"
"""Of how many seeds an entry knows: all, some, none."""

TITLES: Mapping[str, str] = {
    "none": "seen dynamics",
    "mass-1.2": "mass x 1.2",
    "mass-1.5": "mass x 1.5",
    "gain-0.5": "Kp/Kd x 0.5, weak joints",
    "gain-0.5-both": "Kp/Kd x 0.5, both people",
    "hip-torque-0.5": "hip torque x 0.5",
    "alone": "recipient alone",
}
"""Condition -> heading of its column."""

Result = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TableReport:
    """A table and what its cells have measured so far."""

    table: Table
    """What was asked for."""
    cells: Sequence[Cell]
    """Its cells."""
    results: Mapping[str, Result]
    """Key of a cell -> what was measured, for those that are done."""
    command: str
    """What the user typed."""

    @classmethod
    def read(cls, table: Table, cells: Sequence[Cell], folder: Path, *, command: str) -> TableReport:
        """Look which cells are done.

        Args:
            table: What was asked for.
            cells: Its cells.
            folder: Where they are.
            command: What the user typed.
        """
        results = {cell.key: found for cell in cells if (found := cell.result(folder)) is not None}
        return cls(table=table, cells=cells, results=results, command=command)

    def save(self, path: Path) -> tuple[Path, Path]:
        """Write a JSON and a Markdown file beside each other; each appears whole or not at all.

        Args:
            path: Either of them.
        """
        page = path.with_suffix(".md")
        data = save_json(path.with_suffix(".json"), json_value(self.to_json()))
        write_atomically(page, self.markdown().encode())
        return data, page

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        table, protocol = self.table, self.table.protocol
        return {
            "format": FORMAT,
            "version": VERSION,
            "env": table.env_id,
            "recipient": RECIPIENT,
            "command": self.command,
            "machine": machine(),
            "versions": versions(),
            "steps": table.steps,
            "seeds": list(table.seeds),
            "rollouts": protocol.rollouts,
            "first_rollout_seed": protocol.seed,
            "table": {arm: {name: self._entry(arm, name) for name in protocol.columns} for arm in table.arms},
            "inside_training_range": self._inside(),
            "differences": {name: self._differences(name) for name in protocol.columns},
            "cells": [self._line(cell) for cell in self.cells],
            "paper": {"source": SOURCE, "tables": [one.to_json() for one in PAPER]},
        }

    def markdown(self) -> str:
        """For people."""
        table, runs = self.table, f"{len(self.results)} of {len(self.cells)} cells were run"
        told = machine()
        head = (
            f"# Results of {table.env_id}\n\n    {self.command}\n\n"
            f"{table.steps:,} control steps of the pair for every cell, training seeds "
            f"{', '.join(map(str, table.seeds))}, recipient `{RECIPIENT}`; {table.protocol.rollouts} rollouts per cell "
            f"and condition, rollout seeds from {table.protocol.seed}, the same for all. {runs}; entries without any "
            f"say '{NOT_RUN}'. Means over training seeds with 95 % intervals of Student's t; of a single seed the "
            f"interval is over its rollouts. {told['processor']}, {told['cpus']} CPUs, {told['platform']}.\n\n"
            "In the last column the recipient of the row's pair is measured without help: the two people pass through "
            "each other, and the supporter does not count.\n"
        )
        sections = [
            f"## {DESCRIPTIONS[name].heading}\n\n{markdown_table(self._figures(name))}\n" for name in QUANTITIES
        ]
        return "\n".join((head, *sections, self._range_section(), self._cells_section(), _paper_section()))

    def _finished(self, arm: str) -> list[Result]:
        return [self.results[cell.key] for cell in self.cells if cell.arm == arm and cell.key in self.results]

    def _entry(self, arm: str, condition: str) -> dict[str, Any]:
        """Of one row and column: its state, seeds, and means with intervals."""
        found = self._finished(arm)
        state = RUN if len(found) == len(self.table.seeds) else PARTLY_RUN
        if not found:
            return {"state": NOT_RUN, "seeds": [], "quantities": None}
        figures = {name: [result["conditions"][condition][name] for result in found] for name in QUANTITIES}
        return {
            "state": state,
            "seeds": [result["seed"] for result in found],
            "interval_over": "rollouts" if len(found) == 1 else "training seeds",
            "quantities": {name: _over_seeds(each) for name, each in figures.items()},
        }

    def _differences(self, condition: str) -> dict[str, Any]:
        """To the first row, paired by training seed, of the rows that have all seeds."""
        whole = {
            arm: [{"final": _means(result["conditions"][condition])} for result in found]
            for arm in self.table.arms
            if len(found := self._finished(arm)) == len(self.table.seeds)
        }
        return compare_runs(whole)["difference"] if self.table.arms[0] in whole else {}

    def _inside(self) -> dict[str, dict[str, bool]]:
        """Row -> condition -> whether training drew such dynamics."""
        return {
            cell.arm: {name: inside_training_range(name, cell.settings) for name in self.table.protocol.columns}
            for cell in self.cells
        }

    def _line(self, cell: Cell) -> dict[str, Any]:
        result, seed = self.results.get(cell.key), cell.settings.seed
        measured = {} if result is None else {name: result[name] for name in ("steps", "seconds", "machine")}
        return {
            "key": cell.key,
            "arm": cell.arm,
            "seed": seed,
            "state": NOT_RUN if result is None else RUN,
            "command": self.table.command(cell.arm, seed),
            **measured,
        }

    def _figures(self, quantity: str) -> list[list[str]]:
        conditions = self.table.protocol.columns
        body = (
            [arm, *(self._text(self._entry(arm, name), quantity) for name in conditions)] for arm in self.table.arms
        )
        return [["", *(TITLES[name] for name in conditions)], *body]

    def _text(self, entry: Mapping[str, Any], quantity: str) -> str:
        if entry["state"] == NOT_RUN:
            return NOT_RUN
        missing = f", {len(entry['seeds'])} of {len(self.table.seeds)} seeds" if entry["state"] == PARTLY_RUN else ""
        numbers = {name: math.nan if value is None else value for name, value in entry["quantities"][quantity].items()}
        return DESCRIPTIONS[quantity].text(Estimate(**numbers, n=len(entry["seeds"]))) + missing

    def _range_section(self) -> str:
        rows: dict[tuple[str, ...], list[str]] = {}
        for arm, inside in self._inside().items():
            rows.setdefault(tuple("inside" if value else "outside" for value in inside.values()), []).append(arm)
        heading = ["", *(TITLES[name] for name in self.table.protocol.columns)]
        text = markdown_table([heading, *([", ".join(arms), *row] for row, arms in rows.items())])
        return (
            "## Inside or outside of the training range?\n\nWhether training drew all numbers that a condition changes "
            f"(masses, gains, torque limits), each by itself, on top of the full impairment.\n\n{text}\n"
        )

    def _cells_section(self) -> str:
        rows = [["cell", "arm", "seed", "steps", "training", "evaluation"]]
        for cell in self.cells:
            result = self.results.get(cell.key)
            times = [NOT_RUN] * 3 if result is None else [
                f"{result['steps']:,}", *(clock(result["seconds"][part]) for part in ("training", "evaluation"))
            ]  # fmt: skip
            rows.append([f"`{cell.key}`", cell.arm, f"{cell.settings.seed}", *times])
        first = self.table.command(self.cells[0].arm, self.cells[0].settings.seed)
        return f"## Cells\n\nTimes in hours, minutes and seconds. One of them: `{first}`\n\n{markdown_table(rows)}\n"


def _over_seeds(estimates: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Mean and interval over the seeds; of a single one those of its rollouts."""
    if len(estimates) == 1:
        return {name: estimates[0][name] for name in ("mean", "low", "high")}
    measured = [one["mean"] for one in estimates if one["mean"] is not None]
    return interval(np.array(measured)) if measured else {"mean": None, "low": None, "high": None}


def _means(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {name: math.nan if measured[name]["mean"] is None else measured[name]["mean"] for name in QUANTITIES}


def _paper_section() -> str:
    tables = "\n".join(f"{one.title}:\n\n{markdown_table(one.text())}\n" for one in PAPER)
    return (
        f"## What the paper reports\n\nFor orientation only ({SOURCE}): **the data differ**. The paper's motion is "
        "Inter-X and HHI-Assist, ours is generated or from CMU; bodies, impairments, simulator and number of samples "
        "differ as well, so no number below can be compared with one above. Its success (SR) is ours of 0.5 m; its "
        f"ablations are cumulative.\n\n{tables}"
    )
