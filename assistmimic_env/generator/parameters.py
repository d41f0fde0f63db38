"""What the parameters of all families share: people, splits, ranges, and how a seed draws from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

import numpy as np

from ..body import BodySpec, get_body
from ..clip import ROLES
from ..errors import ConfigError

Split = Literal["train", "test"]
Range = tuple[float, float]

PEOPLE: Mapping[str, Range] = MappingProxyType(
    {
        "recipient_stature": (1.45, 2.0),
        "recipient_mass": (35.0, 150.0),
        "supporter_stature": (1.5, 2.0),
        "supporter_mass": (40.0, 150.0),
    }
)
"""Ranges of statures [m] and masses [kg] that every family accepts."""

_BODY_MASS_INDEX: Range = (21.0, 27.0)


class People(Protocol):
    """Parameters that say how large both people are: statures [m] and masses [kg]."""

    @property
    def supporter_stature(self) -> float:
        """[m]."""
        ...

    @property
    def supporter_mass(self) -> float:
        """[kg]."""
        ...

    @property
    def recipient_stature(self) -> float:
        """[m]."""
        ...

    @property
    def recipient_mass(self) -> float:
        """[kg]."""
        ...


def pair_bodies(people: People) -> tuple[BodySpec, BodySpec]:
    """Bodies of the supporter and the recipient."""
    return (
        get_body("smpl24", stature=people.supporter_stature, mass=people.supporter_mass),
        get_body("smpl24", stature=people.recipient_stature, mass=people.recipient_mass),
    )


def check_ranges(name: str, parameters: Any, ranges: Mapping[str, Range]) -> None:
    """Refuse fields of a dataclass that are out of their ranges.

    Args:
        name: Of the family, for errors.
        parameters: The dataclass; fields without a range are not looked at.
        ranges: Field -> smallest and largest value.

    Raises:
        ConfigError: Naming the field and its range.
    """
    for field in fields(parameters):
        if field.name in ranges:
            value, (low, high) = getattr(parameters, field.name), ranges[field.name]
            if not low <= value <= high:
                raise ConfigError(f"{name}: {field.name} is {value}, expected a value in [{low}, {high}].")


def check_word(name: str, field: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a word that is not one of the choices.

    Raises:
        ConfigError: Naming the field and the choices.
    """
    if value not in choices:
        raise ConfigError(f"{name}: {field} is {value!r}, expected one of {', '.join(choices)}.")


def check_sample(name: str, seed: int, split: str) -> None:
    """Refuse what nothing can be drawn with.

    Args:
        name: Of the family, for errors.
        seed: At least 0.
        split: ``"train"`` or ``"test"``.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    check_word(name, "split", split, get_args(Split))
    if seed < 0:
        raise ConfigError(f"{name}: seed is {seed}, expected a number of at least 0.")


def generator_of(name: str, seed: int, split: Split, *salt: int) -> np.random.Generator:
    """Random numbers of one clip.

    Args:
        name: Of the family, for errors.
        seed: Of the clip.
        split: Clips of the splits differ.
        salt: Further numbers that make families differ.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    check_sample(name, seed, split)
    return np.random.default_rng([get_args(Split).index(split), seed, *salt])


def draw(
    rng: np.random.Generator,
    seed: int,
    split: Split,
    *,
    train: Mapping[str, Range],
    test: Mapping[str, tuple[Range, Range]],
) -> dict[str, Any]:
    """Draw numbers, and masses that fit the statures.

    Args:
        rng: From `generator_of`.
        seed: Of the clip: test seeds take turns in what they hold out.
        split: ``"train"`` draws all numbers from ``train``; ``"test"`` moves one of them to ``test``.
        train: Ranges; statures of both people are among them.
        test: Bands below and above some of them.

    Returns:
        Name -> number, rounded to a millimetre, 0.1 kg, 0.01 s.
    """
    drawn = {key: rng.uniform(*span) for key, span in train.items()}
    if split == "test":
        held_out = list(test)[seed % len(test)]
        drawn[held_out] = rng.uniform(*test[held_out][int(rng.integers(2))])
    drawn = {key: round(float(value), 3) for key, value in drawn.items()}
    for role in ROLES:
        index = rng.uniform(*_BODY_MASS_INDEX)
        drawn[f"{role}_mass"] = round(float(index * drawn[f"{role}_stature"] ** 2), 1)
    return drawn
