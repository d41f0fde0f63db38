"""CMU's original takes: an ASF skeleton per subject and an AMC motion per take; y up, 120 frames per second."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ..errors import ClipError
from .asf_file import read_amc, read_asf
from .pairing import CMU_PARTNERS, find_pairs
from .positions import Documented
from .rig import RigMotion, RigNames, rig_take
from .rig_names import asf_names
from .take import Format, ReadOptions, Recording, Take

FPS = 120.0
"""Of the subjects that were recorded in pairs; some others have 60, so nothing is assumed of them."""

_SUBJECT = re.compile(r"0*(\d+)_\d+.*", re.ASCII)
_PAIRED = frozenset({*CMU_PARTNERS, *CMU_PARTNERS.values()})


def _find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    pairs = find_pairs(path, options, ".amc")
    return tuple(replace(pair, files=(*pair.files, *(_skeleton(file) for file in pair.files))) for pair in pairs)


def _skeleton(motion: Path) -> Path:
    """The ASF file of a take: ``22.asf`` for ``22_01.amc``, or the only one beside it."""
    named = motion.with_name(f"{motion.stem.split('_')[0]}.asf")
    beside = [file for file in sorted(motion.parent.glob("*")) if file.suffix.lower() == ".asf"]
    if named in beside:
        return named
    if len(beside) != 1:
        raise ClipError(f"{motion}: its skeleton {named.name} is not beside it ({len(beside)} .asf files are).")
    return beside[0]


def _read(recording: Recording, options: ReadOptions) -> Take:
    first, second, *skeletons = recording.files
    people = (_person(first, skeletons[0], options), _person(second, skeletons[1], options))
    subjects = [match[1] for file in (first, second) if (match := _SUBJECT.fullmatch(file.stem))]
    paired = len(subjects) == len(people) and _PAIRED.issuperset(subjects)
    documented = Documented(up="y", unit="m", fps=FPS if paired else None)
    conventions = {} if options.unit else {"unit": "file: inches over the length in :units of the skeleton"}
    return rig_take(recording, people, documented, options, conventions)


def _person(motion: Path, skeleton: Path, options: ReadOptions) -> tuple[RigMotion, RigNames]:
    """One person in metres, unless the user says otherwise."""
    asf = read_asf(skeleton)
    names = asf_names(str(skeleton), asf.bones)
    return read_amc(motion, asf).scaled(1.0 if options.unit else asf.unit), names


AMC = Format(
    name="amc",
    title="CMU's ASF skeletons and AMC motion; two-person takes find their partner by themselves",
    license="CMU (free for all uses; no resale of the data by itself)",
    obtain=(
        "From mocap.cs.cmu.edu: 22.asf, 22_01.amc, 23.asf, 23_01.amc in one folder, or in one folder per subject, and\n"
        "--supporter first or second. Takes 18/19, 20/21, 22/23 and 33/34 pair up by their names; for others give\n"
        "--partner, or a pairs.csv (columns name, supporter, recipient)."
    ),
    find=_find,
    read=_read,
)
"""Reader of ``assistmimic clips import amc``."""
