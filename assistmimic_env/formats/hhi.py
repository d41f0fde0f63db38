"""HHI-Assist: joint positions of a caregiver and a care receiver, one CSV each (spec/data.md section 3.6).

A column of seconds and 26 nodes x 3, 120 frames per second, y up, metres, as ``bvh-converter`` writes them from the
published BVH. Names are ``TAKE_WHO_NUMBER_worldpos.csv``: TAKE says who is who (``AA(CG)_RM(CR)_FullAssist_Take 1``,
``AACG_RMCR_FullAssist_Take2``; CG gives care, CR receives it; P1 and P2 where nobody does), WHO are the person's
initials or role, and the last two parts may be absent.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..body import get_body
from ..errors import ClipError, UntrustedFileError
from .arrays import check_finite, on_one_clock
from .conventions import settled_by
from .finding import checked, files_below, safe_name
from .positions import Documented, settle, supporter_first
from .skeletons import OPTITRACK26
from .take import Format, ReadOptions, Recording, Take, Up, Who

Array = NDArray[np.float64]

FPS = 120.0
UP: Up = "y"
SKELETON = OPTITRACK26

MAX_BYTES = 64 * 2**20
"""Largest file: ten minutes have about 45 MB."""

_COLUMNS = 1 + 3 * len(SKELETON.joints)
_UNEVEN = 0.1
"""How far one time step may be from their mean, as a fraction."""
_SAME_RATE = 0.005
"""How far the rate of the time column may be from another that is meant, as a fraction."""

_MARK = re.compile(r"(?P<who>[A-Za-z]{2,4}?)\s*(?:\((?P<a>CG|CR|P1|P2)\)|(?P<b>CG|CR))(?=[_ ]|$)", re.ASCII)
_STEM = re.compile(r"(?P<take>.+)_(?P<who>[A-Za-z]{2,4}|P1|P2)(?:_\d+)?(?:_worldpos)?", re.ASCII)
_ROLES = ({"CG", "CR"}, {"P1", "P2"})
_NAMES = "Expected names like 'AA(CG)_RM(CR)_FullAssist_Take 1_AA_50_worldpos.csv'."


@dataclass(frozen=True)
class _Name:
    """What a file's name says."""

    take: str
    role: str
    """CG, CR, P1 or P2."""


def find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    """Find pairs at or below a path; of one person's file, the pair that it belongs to.

    Raises:
        ClipError: None is there, a name does not tell the take and the person, a partner is missing, or nothing tells
            who supports.
    """
    takes: dict[Path, dict[str, Path]] = defaultdict(dict)
    for file in files_below(path.parent if path.is_file() else path, (".csv",)):
        name = _name(file)
        other = takes[file.parent / name.take].setdefault(name.role, file)
        if other != file:
            raise ClipError(f"{file} and {other.name}: both are of {name.role} in '{name.take}'. Keep one of them.")
    return checked(
        path,
        (
            Recording(name=safe_name(take.name), files=_files(take, pair, options))
            for take, pair in takes.items()
            if path.is_dir() or path in pair.values()
        ),
        "pair of CSV files",
    )


def read(recording: Recording, options: ReadOptions) -> Take:
    """Read a pair.

    Raises:
        UntrustedFileError: A file is larger than it may be.
        ClipError: A file is damaged or has another layout, the rates differ from each other or from what the user says,
            or the data contradict the documented axis or unit.
    """
    tables = [_table(file) for file in recording.files]
    where = recording.files[0].with_suffix("")
    positions = on_one_clock(str(where), *(table[:, 1:].reshape(len(table), -1, 3) for table in tables))
    rates = [_rate(str(file), table[:, 0], options) for file, table in zip(recording.files, tables, strict=True)]
    if abs(rates[0] - rates[1]) > _SAME_RATE * rates[0]:
        raise ClipError(f"{where}: {rates[0]:g} and {rates[1]:g} frames per second: no common clock.")
    body = get_body()
    documented = Documented(up=UP, unit="m", fps=rates[0])
    take = settle(recording.name, SKELETON.to_bodies(positions, body), body, documented, replace(options, fps=None))
    name = _name(recording.files[0])
    supporter = _supporter(recording.files[0], name.role, options)
    how = "given" if options.supporter else "file names: CG gives care"
    return replace(
        take,
        people=supporter_first(take.people, supporter),
        metadata={"description": f"HHI-Assist {name.take}", "source": "HHI-Assist", "take": name.take},
        conventions={
            **take.conventions,
            "rate": f"{'file' if _tells_seconds(tables[0][:, 0]) else settled_by(FPS, options.fps)}: {rates[0]:g}",
            "roles": f"{how}; the {supporter} person supports",
        },
    )


def _name(file: Path) -> _Name:
    """Take apart a file's name.

    Raises:
        ClipError: It does not tell two people's roles, or whose file it is.
    """
    match = _STEM.fullmatch(file.stem)
    roles = {_initials(mark["who"]): mark["a"] or mark["b"] for mark in _MARK.finditer(file.stem)}
    if match is None or set(roles.values()) not in _ROLES:
        raise ClipError(f"{file}: the name does not tell who gives and who receives care. {_NAMES}")
    who = match["who"]
    role = who if who in roles.values() else roles.get(_initials(who))
    if role is None:
        raise ClipError(f"{file}: '{who}' is nobody of {', '.join(roles)}. {_NAMES}")
    return _Name(match["take"], role)


def _initials(text: str) -> str:
    """Capitals only: the release writes ``EcD`` and ``ED`` for one person."""
    return "".join(letter for letter in text if letter.isupper())


def _files(take: Path, pair: dict[str, Path], options: ReadOptions) -> tuple[Path, Path]:
    """The first and the second person's file: CG, CR or P1, P2."""
    roles = ("CG", "CR") if {"CG", "CR"} & set(pair) else ("P1", "P2")
    missing = [role for role in roles if role not in pair]
    if missing:
        raise ClipError(f"{take}: the file of {missing[0]} is missing; a pair needs both people.")
    first, second = (pair[role] for role in roles)
    _supporter(first, roles[0], options)
    return first, second


def _supporter(first: Path, role: str, options: ReadOptions) -> Who:
    if options.supporter is None and role != "CG":
        raise ClipError(
            f"{first}: nobody is the caregiver by name. Say who supports: --supporter first (P1) or second (P2)."
        )
    return options.supporter or "first"


def _table(path: Path) -> Array:
    """Time and positions, shape (T, 79), the header checked where there is one."""
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_BYTES:
        raise UntrustedFileError(f"{path}: {size} bytes, at most {MAX_BYTES} are accepted.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"{path}: not a readable text file ({error}).") from error
    start = _header_lines(path, lines)
    if not lines[start:]:
        raise ClipError(f"{path}: no frames. It looks empty or truncated.")
    try:
        table = np.loadtxt(lines[start:], delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise ClipError(f"{path}: {str(error)[:200]} (after {start} header lines). It looks damaged.") from error
    if table.shape[1] != _COLUMNS:
        raise ClipError(
            f"{path}: {table.shape[1]} columns, expected {_COLUMNS}: time and {len(SKELETON.joints)} nodes x 3."
        )
    return check_finite(str(path), table)


def _header_lines(path: Path, lines: list[str]) -> int:
    """How many lines stand before the numbers: one or none. Joints and axes that it names must stand in our order."""
    cells = [cell.strip().strip('"') for cell in lines[0].split(",")] if lines else []
    if not cells or _is_number(cells[0]):
        return 0
    expected = [(joint, axis) for joint in SKELETON.joints for axis in "XYZ"]
    for column, (cell, (joint, axis)) in enumerate(zip(cells[1:], expected, strict=False), start=1):
        name, _, found = cell.rpartition(".")
        name = re.split("[:_]", name)[-1]
        if (name in SKELETON.joints and name != joint) or (found.upper() in ("X", "Y", "Z") and found.upper() != axis):
            raise ClipError(
                f"{path}: column {column} is '{cell[:60]}', expected {joint}.{axis}. Nodes are out of order."
            )
    return 1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _tells_seconds(time: Array) -> bool:
    """Whether the first column are seconds, or numbers of frames."""
    return not np.allclose(np.diff(time), 1.0)


def _rate(where: str, time: Array, options: ReadOptions) -> float:
    """Frames per second of the time column (T,); of numbered frames, what the user says or the documentation."""
    steps = np.diff(time)
    step = float(steps.mean())
    if step <= 0.0 or np.abs(steps - step).max() > _UNEVEN * step:
        frame = int(np.abs(steps - step).argmax())
        raise ClipError(
            f"{where}: the time column is uneven after frame {frame}: {time[frame]:g}, {time[frame + 1]:g} s."
        )
    if not _tells_seconds(time):
        return FPS if options.fps is None else options.fps
    rate = FPS if abs(FPS * step - 1.0) < _SAME_RATE else round(1.0 / step, 3)
    if options.fps is not None and abs(rate - options.fps) > _SAME_RATE * rate:
        raise ClipError(
            f"{where}: the time column has {rate:g} frames per second, --fps says {options.fps:g}. Leave --fps out."
        )
    return rate


HHI = Format(
    name="hhi",
    title="HHI-Assist: joint positions of caregiver and care receiver, one CSV each",
    license="HHI-Assist (no licence found: no redistribution)",
    obtain=(
        "Get the BVH files from the data set's page (sites.google.com/view/hhi-assist) and turn them into CSV with\n"
        "bvh-converter, keeping their names: AA(CG)_RM(CR)_FullAssist_Take 1_AA_50_worldpos.csv. Give the folder of a\n"
        "dyad, or one person's file. CG is the supporter; for takes of P1 and P2 say it: --supporter first or second."
    ),
    find=find,
    read=read,
)
"""Reader of ``assistmimic clips import hhi``."""
