"""`Take`: what a file says about two people, in our conventions, before it is put on a body; and how it is read.

The contract of this folder: a `Format` finds `Recording`s below a path and reads each as a `Take`. World frame z up,
metres, seconds, quaternions wxyz, body frames upright (x forward, y left, z up in the T-pose).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..clip import Contact, Furniture

Array = NDArray[np.float64]
Up = Literal["y", "z"]
Unit = Literal["m", "cm", "mm", "inch"]
Who = Literal["first", "second"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """What was measured of one person over T frames; J bodies in the order of the take's body."""

    joints: Array
    """Origins of our bodies in the world, shape (T, J, 3) [m]; NaN where the source has no such joint."""
    rotation: Array | None = None
    """World rotations of our bodies, shape (T, J, 4); NaN where the source does not say. None: positions only."""
    offsets: Array | None = None
    """Bone offsets in the parent's frame, shape (J, 3) [m], where the source knows the person's own body."""
    mass: float | None = None
    """Body mass [kg], where the source knows it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """Two people in one world frame on one clock; nothing has been shifted, filtered or fitted yet."""

    name: str
    """Of the clip it becomes; also its file's stem."""
    fps: float
    """Frames per second of the arrays."""
    people: tuple[Person, Person]
    """Supporter, recipient."""
    body: str = "smpl24"
    """Whose bodies the rows of the arrays are, a name of `body.get_body`."""
    furniture: tuple[Furniture, ...] = ()
    """Where the source knows it."""
    contacts: tuple[Contact, ...] = ()
    """Where the source knows them."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON for the clip: description, source, license (a tag), and what the source says (action, gender, ...)."""
    conventions: Mapping[str, str] = field(default_factory=dict)
    """How up axis, unit, rate and roles were settled: "documented", "file", "given" or "detected", with the value."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One pair's files."""

    name: str
    """Unique below the path that was searched; letters, digits, ``_``, ``-`` and ``.``."""
    files: tuple[Path, ...]
    """Everything that is read; their content decides the result."""
    key: str = ""
    """Which part of the files, where they hold several recordings."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What a user says about a source where it does not say so itself; None: documented, detected, or an error."""

    up: Up | None = None
    """Vertical axis."""
    unit: Unit | None = None
    """Unit of length."""
    fps: float | None = None
    """Frames per second of the source."""
    supporter: Who | None = None
    """Who supports: the first or the second person of the source."""
    partner: Path | None = None
    """The second person's file, for formats with one person per file."""
    models: Path | None = None
    """Folder of the user's own SMPL, SMPL-H or SMPL-X model files."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """How motion of one kind is found and read."""

    name: str
    """Word of the command line."""
    title: str
    """What it reads, in a line."""
    license: str
    """Tag of the terms under which such files come; it goes into every clip."""
    obtain: str
    """Where the files come from and how they must lie, in a few lines."""
    find: Callable[[Path, ReadOptions], tuple[Recording, ...]]
    """Recordings at or below a path, sorted by name; a missing partner or an ambiguous role is a `ClipError`."""
    read: Callable[[Recording, ReadOptions], Take]
    """Read one; `ClipError` or `UntrustedFileError` about what cannot be read."""
