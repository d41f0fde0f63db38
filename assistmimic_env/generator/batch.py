"""`Generation`: many clips of one family become files in one folder.

Every file appears complete or not at all. Clips that are there already are kept, so a generation that was interrupted
goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from ..clip import PairClip
from ..errors import AssistMimicError, ClipError, ConfigError
from ..importing.occupancy import occupied
from ..importing.workers import results
from .families import Family, file_name, find_family
from .limits import broken, measure
from .parameters import Split

__all__ = ["Generation", "Made"]

_Job = tuple[str, int, Split, Path]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of one clip; JSON."""

    file: str
    status: Literal["generated", "kept", "would generate", "would keep"]
    broken: Mapping[str, float] = field(default_factory=dict)
    """Measurements that are beyond the family's limits, see `limits`; not of previews."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Clips of one family, and where they go."""

    family: str
    """One of `families.FAMILIES`."""
    seeds: Sequence[int]
    split: Split
    out: Path
    """Folder of the clips, ``SPLIT_SEED.npz``; made if it does not exist."""

    @cached_property
    def kept(self) -> Mapping[int, bool]:
        """Seed -> whether its clip is there already.

        Raises:
            ConfigError: Unknown family or negative seed.
            ClipError: A file holds something else, which is not replaced.
        """
        family = find_family(self.family)
        return {seed: _is_there(self._path(seed), family, self.split, seed) for seed in self.seeds}

    def preview(self) -> Generator[Made, None, None]:
        """Say what would be done; write nothing. Errors: see `kept`."""
        for seed, kept in self.kept.items():
            yield Made(file=str(self._path(seed)), status="would keep" if kept else "would generate")

    def run(self, *, workers: int = 1) -> Generator[Made, None, None]:
        """Generate what is not there; kept clips come first, with several workers the others as they finish.

        Args:
            workers: Processes.

        Raises:
            ConfigError: See `kept`; the folder cannot be written to, there is less than one worker, or one was killed.
            ClipError: See `kept`.
        """
        if workers < 1:
            raise ConfigError(f"workers is {workers}, expected at least 1.")
        there = [self._path(seed) for seed, kept in self.kept.items() if kept]
        jobs: list[_Job] = [
            (self.family, seed, self.split, self._path(seed)) for seed, kept in self.kept.items() if not kept
        ]
        with occupied(self.out):
            for path in there:
                yield _made(path, PairClip.load(path), self.family, "kept")
            with closing(results(_generate, jobs, self.out, workers=workers)) as steps:
                yield from steps

    def _path(self, seed: int) -> Path:
        return self.out / f"{file_name(self.split, seed)}.npz"


def _generate(family: str, seed: int, split: Split, path: Path) -> Made:
    clip = find_family(family).generate(seed=seed, split=split)
    clip.save(path)
    return _made(path, clip, family, "generated")


def _made(path: Path, clip: PairClip, family: str, status: Literal["generated", "kept"]) -> Made:
    return Made(file=str(path), status=status, broken=broken(measure(clip), family))


def _is_there(path: Path, family: Family, split: Split, seed: int) -> bool:
    """Whether a file holds the clip of a seed; damaged files and clips of other versions are made anew."""
    drawn = asdict(family.sample_parameters(seed, split))
    if not path.exists():
        return False
    try:
        metadata = PairClip.load(path).metadata
    except AssistMimicError:
        return False
    origin = metadata.get("provenance") or {}
    module = f"assistmimic_env.generator.{family.name}"
    if (origin.get("generator"), metadata.get("split"), metadata.get("seed")) != (module, split, seed):
        raise ClipError(f"{path} is another clip, not {family.name} of seed {seed}. Choose another folder for --out.")
    return (origin.get("version"), metadata.get("parameters")) == (family.version, drawn)
