"""`Family`: the catalog of generated motion: what each family shows, how it is drawn, and which clips ship.

Every family is a module of this folder. The same seed, split and version give the same clip; seeds are unlimited, and
clips of the split ``test`` have a parameter outside the ranges that ``train`` draws from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..clip import PairClip
from ..errors import ConfigError, did_you_mean
from . import assisted_rise, help_up, lay_to_sit, sit_down, sit_to_stand, supported_walk
from .parameters import Split

__all__ = ["FAMILIES", "Family", "bundle", "find_family"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of motion.

    Attributes:
        name: Word of the command line, and the bundled clips' folder.
        description: What it shows, in a sentence.
        version: Raised whenever the same seed gives another motion.
        generate: ``generate(seed=..., split=...)`` or ``generate(parameters=...)`` gives a clip.
        sample_parameters: ``sample_parameters(seed, split)`` gives what a seed draws.
        bundled: How many clips of each split ship with the package; their seeds count from 0.
    """

    name: str
    description: str
    version: int
    generate: Callable[..., PairClip]
    sample_parameters: Callable[[int, Split], Any]
    bundled: Mapping[Split, int]

    def bundled_names(self, split: Split) -> tuple[str, ...]:
        """Names of the clips that ship, as `clip.load_clip` takes them."""
        return tuple(f"{self.name}/{file_name(split, seed)}" for seed in range(self.bundled[split]))


def file_name(split: Split, seed: int) -> str:
    """Name of a generated clip's file, without its ending."""
    return f"{split}_{seed:02d}"


def find_family(name: str) -> Family:
    """The family of a name.

    Raises:
        ConfigError: Unknown name; says the closest and all that exist.
    """
    if name not in FAMILIES:
        raise ConfigError(
            f"there is no family of generated motion '{name}'.{did_you_mean(name, FAMILIES)} "
            f"Families: {', '.join(FAMILIES)}."
        )
    return FAMILIES[name]


def bundle(folder: str | os.PathLike[str], families: Iterable[str] = ()) -> Iterable[Path]:
    """Write the clips that ship with the package, one after the other.

    Args:
        folder: Receives ``<family>/train_00.npz`` ... and ``<family>/test_00.npz`` ...; made when missing.
        families: Only these; by default all.

    Yields:
        The written files.

    Raises:
        ConfigError: Unknown family.
    """
    for family in [find_family(name) for name in families] or FAMILIES.values():
        place = Path(folder) / family.name
        place.mkdir(parents=True, exist_ok=True)
        for split, count in family.bundled.items():
            for seed in range(count):
                path = place / f"{file_name(split, seed)}.npz"
                family.generate(seed=seed, split=split).save(path)
                yield path


def _counts(train: int, test: int) -> Mapping[Split, int]:
    return MappingProxyType({"train": train, "test": test})


_ALL = (
    Family(
        name="sit_to_stand",
        description="From a seat to standing; the supporter stands in front and holds both upper arms.",
        version=sit_to_stand.VERSION,
        generate=sit_to_stand.sit_to_stand,
        sample_parameters=sit_to_stand.sample_parameters,
        bundled=_counts(8, 4),
    ),
    Family(
        name="assisted_rise",
        description="From a seat to standing in ten ways of holding: from the front, the side or behind, with one hand "
        "or both, at the forearm, the upper arm, the shoulder or under the arms.",
        version=assisted_rise.VERSION,
        generate=assisted_rise.assisted_rise,
        sample_parameters=assisted_rise.sample_parameters,
        bundled=_counts(10, 4),
    ),
    Family(
        name="sit_down",
        description="From standing to a seat, held in the same ten ways.",
        version=sit_down.VERSION,
        generate=sit_down.sit_down,
        sample_parameters=sit_down.sample_parameters,
        bundled=_counts(10, 2),
    ),
    Family(
        name="help_up",
        description="From the floor to standing: from one knee, both knees or sitting, helped from the front or the "
        "side.",
        version=help_up.VERSION,
        generate=help_up.help_up,
        sample_parameters=help_up.sample_parameters,
        bundled=_counts(6, 2),
    ),
    Family(
        name="lay_to_sit",
        description="From lying on the side to sitting on the edge of a bed.",
        version=lay_to_sit.VERSION,
        generate=lay_to_sit.lay_to_sit,
        sample_parameters=lay_to_sit.sample_parameters,
        bundled=_counts(6, 2),
    ),
    Family(
        name="supported_walk",
        description="Walking side by side, straight or along an arc, the recipient's near arm held with one hand or "
        "both.",
        version=supported_walk.VERSION,
        generate=supported_walk.supported_walk,
        sample_parameters=supported_walk.sample_parameters,
        bundled=_counts(6, 2),
    ),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ALL})
"""Name -> family."""
