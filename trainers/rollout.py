"""`RolloutChunk`: what an env runner sampled, as arrays; stands where RLlib expects a list of episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]

Columns = Mapping[str, Array]
"""Name of a column -> rows."""

JOINT = "joint"
"""Stands among the roles for what concerns both: its column `obs` is the joint state of a centralised critic."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RolloutChunk:
    """Pieces of episodes (segments) one after another, all segments of a world together.

    A segment ends where its episode terminates or truncates, or where the fragment is cut. RLlib asks a chunk what it
    asks an episode: its length, and slices of it for several learners.

    Attributes:
        columns: Role -> column -> M rows: `obs`, `actions` (not clipped), `action_logp`, `action_dist_inputs`,
            `rewards`. With a centralised critic also `JOINT` -> `obs`.
        bootstrap: Role (or `JOINT`) -> the observation after the last row of each segment, (S, D): the true last one
            of an episode that ended, not the first of the next.
        lengths: Rows of each segment, shape (S,); their sum is M.
        terminated: Whether the segment's episode failed at its end, which makes the value after it 0, shape (S,).
        truncated: Whether the segment's episode ended without failing, shape (S,); a segment that neither terminated
            nor truncated goes on in a later chunk.
    """

    columns: Mapping[str, Columns]
    bootstrap: Mapping[str, Array]
    lengths: Ids
    terminated: Bools
    truncated: Bools

    def __len__(self) -> int:
        return int(self.lengths.sum())

    def env_steps(self) -> int:
        """Control steps of all worlds, M."""
        return len(self)

    def agent_steps(self) -> int:
        """Control steps of all agents."""
        return len(self) * len(self.roles)

    @property
    def roles(self) -> tuple[str, ...]:
        """Who acted."""
        return tuple(name for name in self.columns if name != JOINT)

    def __getitem__(self, rows: slice) -> RolloutChunk:
        return self.slice(rows)

    def slice(self, rows: slice, *, len_lookback_buffer: int | None = None) -> RolloutChunk:
        """Some consecutive rows.

        Args:
            rows: Which; its step must be 1.
            len_lookback_buffer: RLlib hands it over; chunks have no rows before their first.

        Returns:
            A chunk. A segment that the slice cuts neither terminated nor truncated in it, and its bootstrap
            observation is that of the next row.
        """
        start, stop, _ = rows.indices(len(self))
        ends = np.cumsum(self.lengths)
        starts = ends - self.lengths
        kept = (starts < stop) & (ends > start)
        cut = ends[kept] > stop
        return RolloutChunk(
            columns={role: {name: c[start:stop] for name, c in cols.items()} for role, cols in self.columns.items()},
            bootstrap={role: self._bootstrap(role, kept, cut, stop) for role in self.columns},
            lengths=np.minimum(ends[kept], stop) - np.maximum(starts[kept], start),
            terminated=self.terminated[kept] & ~cut,
            truncated=self.truncated[kept] & ~cut,
        )

    def _bootstrap(self, role: str, kept: Bools, cut: Bools, stop: int) -> Array:
        rows = self.bootstrap[role][kept]
        return np.where(cut[:, None], self.columns[role]["obs"][stop], rows) if cut.any() else rows


def concatenate(chunks: Sequence[RolloutChunk]) -> RolloutChunk:
    """One chunk of all segments; a single chunk is returned as it is."""
    if len(chunks) == 1:
        return chunks[0]
    first = chunks[0]
    return RolloutChunk(
        columns={
            role: {name: np.concatenate([chunk.columns[role][name] for chunk in chunks]) for name in columns}
            for role, columns in first.columns.items()
        },
        bootstrap={role: np.concatenate([chunk.bootstrap[role] for chunk in chunks]) for role in first.bootstrap},
        lengths=np.concatenate([chunk.lengths for chunk in chunks]),
        terminated=np.concatenate([chunk.terminated for chunk in chunks]),
        truncated=np.concatenate([chunk.truncated for chunk in chunks]),
    )
