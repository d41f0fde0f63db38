"""`CheckpointStore`: resumable checkpoints of an algorithm in a folder, the last one always whole.

RLlib's checkpoints are pickles: resume only runs you trust.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assistmimic_env.errors import CheckpointError

from .schedule import State, merged

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm

POINTER = "latest"
"""File with the name of the newest whole checkpoint."""

SCHEDULE = "schedule.npz"
"""File with what the env runners learnt from episodes (`schedule.EpisodeSchedule`), of all of them together."""

_NAME = re.compile(r"iteration_\d{6}")


@dataclass(frozen=True, kw_only=True)
class CheckpointStore:
    """Checkpoints of one run.

    A checkpoint is written beside the others under a temporary name, renamed when it is complete, and only then does
    the pointer move; older ones are deleted last. Whatever interrupts this leaves the previous checkpoint in place.
    """

    folder: Path
    """Where they are, e.g. `runs/<name>/checkpoints`."""
    keep: int = 2
    """How many whole checkpoints stay."""

    def save(self, algorithm: Algorithm) -> Path:
        """Write a checkpoint of the algorithm's current state and return its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"iteration_{algorithm.iteration:06d}"
        partial = self.folder / f".{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            algorithm.save_to_path(str(partial.absolute()))
            np.savez(partial / SCHEDULE, **_learnt(algorithm))
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise CheckpointError(
                f"checkpoint {target} could not be written ({error}); the one before is intact. Free some space."
            ) from error
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
        self._point_to(target)
        self._prune(target)
        return target

    def latest(self) -> Path:
        """The newest whole checkpoint.

        Raises:
            CheckpointError: There is none.
        """
        pointer = self.folder / POINTER
        if not pointer.is_file():
            raise CheckpointError(
                f"no checkpoint in {self.folder}. Give --resume the folder of a run that has saved one, "
                "or start a new run without it."
            )
        name = pointer.read_text().strip()
        if not _NAME.fullmatch(name) or not (self.folder / name).is_dir():
            raise CheckpointError(f"{pointer} names '{name}', which is not a checkpoint there. Found: {self._found()}.")
        return self.folder / name

    def load(self) -> Algorithm:
        """Build the algorithm of the newest checkpoint: weights, optimisers, normalisers, counters, starts, curriculum.

        Raises:
            CheckpointError: There is none, or it cannot be read.
        """
        from ray.rllib.algorithms.ppo import PPO

        path = self.latest()
        try:
            algorithm = PPO.from_checkpoint(str(path.absolute()))
        except (OSError, EOFError, KeyError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{path} cannot be restored ({error}). It was written by another version or is damaged; "
                f"found: {self._found()}. Start a new run."
            ) from error
        if (path / SCHEDULE).is_file():
            with np.load(path / SCHEDULE, allow_pickle=False) as arrays:
                _remember(algorithm, dict(arrays))
        return algorithm

    def _point_to(self, target: Path) -> None:
        temporary = self.folder / f".{POINTER}.{os.getpid()}"
        temporary.write_text(target.name + "\n")
        temporary.replace(self.folder / POINTER)

    def _prune(self, newest: Path) -> None:
        old = [path for path in self._whole() if path != newest]
        for path in old[: max(0, len(old) + 1 - self.keep)]:
            shutil.rmtree(path, ignore_errors=True)

    def _whole(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _found(self) -> str:
        return ", ".join(path.name for path in self._whole()) or "nothing"


def _learnt(algorithm: Algorithm) -> dict[str, Any]:
    """What the env runners learnt from episodes."""
    group: Any = algorithm.env_runner_group
    found = group.foreach_env_runner(lambda runner: runner.schedule.get_state() if _scheduled(runner) else {})
    return {**merged(found)}


def _remember(algorithm: Algorithm, state: State) -> None:
    """Hand it to all env runners."""
    group: Any = algorithm.env_runner_group
    group.foreach_env_runner(lambda runner: runner.schedule.set_state(state) if _scheduled(runner) else None)


def _scheduled(runner: Any) -> bool:
    """RLlib's own env runner keeps the schedule in its environments, and a runner without worlds has none."""
    return hasattr(runner, "schedule")
