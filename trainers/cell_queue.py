"""`CellQueue`: cells in the order in which they are run, as many as there is time for."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from .cell import Cell
from .pace import Pace
from .progress import ProgressRecord
from .training import Watch

INTERVAL = 60.0
"""Time between two lines about the whole queue during a training [s]."""


class CellQueue:
    """Cells, most important first; what was done before is kept.

    Args:
        cells: The cells; at least one.
        folder: Where they are.
        console: Where to show progress.
        seconds: Time to work; cells that would not fit are not started [s].
    """

    def __init__(self, cells: Sequence[Cell], folder: Path, *, console: Console, seconds: float = math.inf) -> None:
        self.cells, self.folder = tuple(cells), folder
        self._console, self._seconds = console, seconds
        results = self._results()
        self._pace = Pace.measured(results) if results else Pace.guessed(self.cells[0])

    def announce(self) -> None:
        """Say how much there is to do, and how long it will take."""
        left = len(self._todo())
        limit = "" if math.isinf(self._seconds) else f"; at most {clock(self._seconds)} this time"
        self._say(
            f"{len(self.cells)} cells, {len(self.cells) - left} done. ETA {clock(self._eta())} for the other {left} "
            f"(speed {self._pace.source}){limit}."
        )

    def rows(self) -> list[list[str]]:
        """The queue as rows of text, headings first."""
        body = (
            [cell.key, cell.arm, f"{cell.settings.seed}", f"{cell.steps:,}", self._state(cell)] for cell in self.cells
        )
        return [["cell", "arm", "seed", "steps", "state"], *body]

    def work(self) -> None:
        """Run cell after cell until none is left or none fits.

        Raises:
            KeyboardInterrupt: The user stopped it; called again it goes on.
        """
        end = time.monotonic() + self._seconds
        for cell in self._todo():
            name = f"Cell {self.cells.index(cell) + 1} of {len(self.cells)}, {cell.arm}, seed {cell.settings.seed}"
            if time.monotonic() + self._rest(cell) > end:
                self._say(f"{name}: would take {clock(self._rest(cell))} and does not fit, not run.")
                continue
            self._say(f"{name}:")
            deadline = end - self._pace.evaluation(cell)
            if cell.run(self.folder, console=self._console, deadline=deadline, watch=self._watch()) is not None:
                self._pace = Pace.measured(self._results())
            self._say(f"{len(self._todo())} cells left, ETA {clock(self._eta())}.")

    def _watch(self) -> Watch:
        """Follows the speed of a training, and says now and then what it means for the queue."""
        said = time.monotonic()

        def watch(algorithm: Any, record: ProgressRecord) -> None:
            nonlocal said
            self._pace = replace(self._pace, steps=record.steps / max(record.seconds, 1e-9))
            if time.monotonic() - said >= INTERVAL:
                said = time.monotonic()
                self._say(f"Whole queue: {len(self._todo())} cells left, ETA {clock(self._eta())}.")

        return watch

    def _results(self) -> list[dict[str, Any]]:
        return [found for cell in self.cells if (found := cell.result(self.folder)) is not None]

    def _todo(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.result(self.folder) is None]

    def _eta(self) -> float:
        return sum(map(self._rest, self._todo()))

    def _rest(self, cell: Cell) -> float:
        return self._pace.rest(cell, cell.steps_done(self.folder))

    def _state(self, cell: Cell) -> str:
        if cell.result(self.folder) is not None:
            return "done"
        done = cell.steps_done(self.folder)
        return f"{f'{done:,} steps done, ' if done else ''}about {clock(self._rest(cell))}"

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """A time for people, in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
