"""Who belongs together, and who supports, in formats that hold one person per file.

Pairs come from ``--partner``, from a ``pairs.csv`` (columns ``name,supporter,recipient``; files relative to it), or
from the subjects that CMU recorded together (spec/data.md section 2.3). Who supports comes from ``pairs.csv`` or
``--supporter``, never from the order of the files.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import ClipError
from .finding import files_below
from .take import ReadOptions, Recording

PAIRS = "pairs.csv"
COLUMNS = ("name", "supporter", "recipient")
CMU_PARTNERS = {"18": "19", "20": "21", "22": "23", "33": "34"}
"""CMU subjects recorded together: first -> second."""

_MAX_BYTES = 2**20
_TAKE = re.compile(r"0*(\d+)_0*(\d+)((?:\D.*)?)", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,120}", re.ASCII)
_HINT = f"Give the partner's file (--partner), or list pairs in a {PAIRS} with the columns {', '.join(COLUMNS)}."


def find_pairs(path: Path, options: ReadOptions, suffix: str) -> tuple[Recording, ...]:
    """Recordings of two files each, supporter first.

    Args:
        path: A file, or a folder that is searched with its subfolders.
        options: ``partner`` and ``supporter`` are used.
        suffix: Of the format's files, with the dot.

    Raises:
        ClipError: Nothing there, nobody's partner is known, or it is not said who supports.
    """
    if not path.exists():
        raise ClipError(f"{path}: no such file or folder.")
    folder = path if path.is_dir() else path.parent
    if options.partner is not None:
        return (_given_pair(path, options.partner, options, suffix),)
    if (folder / PAIRS).is_file():
        return _listed(folder / PAIRS, path, options, suffix)
    pairs = _known_pairs(path, suffix)
    if not pairs:
        raise ClipError(f"{path}: nothing tells which {suffix} files belong together. {_HINT}")
    return tuple(sorted((_recording(*pair, options) for pair in pairs), key=lambda recording: recording.name))


def describe_roles(options: ReadOptions) -> str:
    """How it was settled who supports, for `Take.conventions`."""
    return f"file: {PAIRS}" if options.supporter is None else f"given: {options.supporter} supports"


def common_length(where: str, lengths: Sequence[int]) -> tuple[int, str]:
    """Frames that both people have, from the common start; and that in words for `Take.conventions`.

    Raises:
        ClipError: One file is more than a tenth longer than the other: they are hardly one recording.
    """
    short, long = min(lengths), max(lengths)
    if long > 1.1 * short:
        raise ClipError(
            f"{where}: the two people have {lengths[0]} and {lengths[1]} frames. Files of one pair start together and "
            "are about equally long; give the right partner: --partner."
        )
    return short, f"file: {short}" if short == long else f"file: {short}; the longer one's last {long - short} are cut"


def _given_pair(path: Path, partner: Path, options: ReadOptions, suffix: str) -> Recording:
    for file in (path, partner):
        if not file.is_file() or file.suffix.lower() != suffix:
            raise ClipError(f"{file}: not a {suffix} file. --partner goes with one file of the first person.")
    return _recording(path, partner, options)


def _recording(first: Path, second: Path, options: ReadOptions) -> Recording:
    if options.supporter is None:
        raise ClipError(
            f"{first}: who supports? The files do not say. Give --supporter first ({first.name}) or "
            f"--supporter second ({second.name}), or a {PAIRS} with the columns {', '.join(COLUMNS)}."
        )
    name = re.sub(r"[^A-Za-z0-9_.\-]+", "_", f"{first.stem}-{second.stem}", flags=re.ASCII)
    return Recording(name=name, files=(first, second) if options.supporter == "first" else (second, first))


def _listed(table: Path, path: Path, options: ReadOptions, suffix: str) -> tuple[Recording, ...]:
    """The rows of a table; for a single file, the rows that name it."""
    if options.supporter is not None:
        raise ClipError(f"{table}: says who supports, and so does --supporter. Leave one of them out.")
    recordings: dict[str, Recording] = {}
    for number, row in enumerate(_rows(table), start=2):
        name, *files = (row[column].strip() for column in COLUMNS)
        where = f"{table}, line {number}"
        if not _NAME.fullmatch(name) or name in recordings:
            raise ClipError(
                f"{where}: name {name[:40]!r} is not unique, or has other characters than letters, digits, _.-"
            )
        first, second = (_listed_file(where, table.parent, file, suffix) for file in files)
        recordings[name] = Recording(name=name, files=(first, second))
    chosen = recordings.values() if path.is_dir() else [r for r in recordings.values() if path in r.files]
    if not chosen:
        raise ClipError(f"{table}: lists no pair{'' if path.is_dir() else f' with {path.name}'}.")
    return tuple(sorted(chosen, key=lambda recording: recording.name))


def _rows(table: Path) -> list[dict[str, str]]:
    if table.stat().st_size > _MAX_BYTES:
        raise ClipError(f"{table}: larger than {_MAX_BYTES} bytes, too large for a list of pairs.")
    try:
        rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines(), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ClipError(f"{table}: not a table of comma-separated text ({error}).") from error
    for number, row in enumerate(rows, start=2):
        if any(not isinstance(row.get(column), str) for column in COLUMNS):
            raise ClipError(
                f"{table}, line {number}: needs the columns {', '.join(COLUMNS)}; has {', '.join(map(str, row))}."
            )
    return rows


def _listed_file(where: str, folder: Path, text: str, suffix: str) -> Path:
    file = folder / text
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ClipError(f"{where}: {text[:80]!r} lies outside of {folder}.")
    if not file.is_file() or file.suffix.lower() != suffix:
        raise ClipError(f"{where}: {text[:80]!r} is no {suffix} file in {folder}.")
    return file


def _known_pairs(path: Path, suffix: str) -> list[tuple[Path, Path]]:
    """Pairs of CMU takes by their names; of a single file, its own."""
    near = [*path.parent.glob("*"), *path.parent.parent.glob("*/*")] if path.is_file() else files_below(path, (suffix,))
    found = _by_take(file for file in near if file.suffix.lower() == suffix)
    pairs = []
    for subject, take, rest in found:
        first, second = (
            (subject, CMU_PARTNERS[subject]) if subject in CMU_PARTNERS else (_FIRST.get(subject, ""), subject)
        )
        files = [found.get((who, take, rest), set()) for who in (first, second)]
        if not first or (path.is_file() and path not in files[0] | files[1]):
            continue
        if any(len(choice) != 1 for choice in files):
            raise ClipError(_unpaired(path, subject, take, first, second, files))
        pairs.append((min(files[0]), min(files[1])))
    return sorted(set(pairs))


_FIRST = {second: first for first, second in CMU_PARTNERS.items()}


def _by_take(files: Iterable[Path]) -> dict[tuple[str, str, str], set[Path]]:
    """CMU's files by subject, take and what follows in the name (``_poses``)."""
    found: dict[tuple[str, str, str], set[Path]] = defaultdict(set)
    for file in files:
        match = _TAKE.fullmatch(file.stem)
        if match:
            found[match[1], match[2], match[3].lower()].add(file)
    return dict(found)


def _unpaired(path: Path, subject: str, take: str, first: str, second: str, files: Sequence[set[Path]]) -> str:
    counts = " and ".join(f"{len(choice)} of subject {who}" for who, choice in zip((first, second), files, strict=True))
    return f"{path}: take {take} of subject {subject} needs one file of each person, found {counts}. {_HINT}"
