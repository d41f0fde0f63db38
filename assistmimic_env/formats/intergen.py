"""InterHuman's processed files, samples of InterGen and models like it, and plain joint positions.

``motions_processed/person1/N.npy`` and ``person2/N.npy`` are z-up, samples y-up; positions say neither axis nor unit,
their bodies do. 30 frames per second, metres. Nothing tells who supports (spec/data.md section 3.5).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import ArraySpec, read_archive
from ..body import get_body
from ..errors import ClipError
from .arrays import check_finite, on_one_clock, read_npy
from .finding import checked, files_below, safe_name
from .intergen_rotations import body_rotations
from .intergen_samples import PROCESSED, SAMPLE, Motion, arranged, in_metres, of_processed, of_sample
from .positions import Documented, settle, supporter_first
from .skeletons import SMPL22
from .take import Format, ReadOptions, Recording, Take, Up

Array = NDArray[np.float64]

FPS = 30.0
FILES_UP: Up = "z"
SAMPLES_UP: Up = "y"

_PEOPLE = ("person1", "person2")
_STATISTICS = (("mean.npy", "std.npy"), ("global_mean.npy", "global_std.npy"))
_FRAMES = ArraySpec(shape=(None, PROCESSED))
_NUMBERS = ArraySpec(shape=(SAMPLE,))


def find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    """Find recordings at or below a path: pairs in person1 and person2, samples and positions elsewhere.

    Raises:
        ClipError: None is there, a partner is missing, or it was not said who supports.
    """
    files = files_below(path, (".npy", ".npz"))
    recordings = {recording.files[0]: recording for file in files if (recording := _recording(file))}
    if recordings and options.supporter is None:
        raise ClipError(f"{path}: nothing tells who supports. Say it: --supporter first or second.")
    return checked(path, recordings.values(), "npy or npz file of two people")


def read(recording: Recording, options: ReadOptions) -> Take:
    """Read two people.

    Raises:
        UntrustedFileError: A file asks for more than plain numbers.
        ClipError: A file is damaged or of another shape, looks normalised, or contradicts its documentation.
    """
    if options.supporter is None:
        raise ClipError(f"{recording.files[0]}: nothing tells who supports. Say it: --supporter first or second.")
    motion, documented, found = _motion(recording)
    body = get_body()
    take = settle(recording.name, SMPL22.to_bodies(motion.positions, body), body, documented, options)
    people = take.people
    if motion.six is not None:
        first, second = (
            replace(person, rotation=body_rotations(recording.name, person.joints, motion.six[:, i], body))
            for i, person in enumerate(people)
        )
        people = (first, second)
        found |= {"root": "detected: rigid fit of pelvis, hips and spine"}
    return replace(
        take,
        people=supporter_first(people, options.supporter),
        metadata={"description": f"InterGen {recording.name}", "source": "InterHuman or a model's output"},
        conventions={**take.conventions, **found, "roles": f"given: {options.supporter} supports"},
    )


def _recording(file: Path) -> Recording | None:
    """What a file belongs to; None for a model's statistics."""
    if file.parent.name in _PEOPLE:
        pair = tuple(file.parent.parent / person / file.name for person in _PEOPLE)
        missing = [other for other in pair if not other.is_file()]
        if missing:
            raise ClipError(f"{missing[0]} is missing; a pair needs both people.")
        return Recording(name=safe_name(file.stem), files=pair)
    if any(file.name in names for names in _STATISTICS):
        return None
    beside = [tuple(file.with_name(name) for name in names) for names in _STATISTICS]
    statistics = next((pair for pair in beside if all(other.is_file() for other in pair)), ())
    return Recording(name=safe_name(file.stem), files=(file, *statistics))


def _motion(recording: Recording) -> tuple[Motion, Documented, dict[str, str]]:
    """The numbers, what is documented about them, and what was found out."""
    file, *others = recording.files
    if file.parent.name in _PEOPLE:
        people = [check_finite(str(person), read_npy(person, expected=_FRAMES)) for person in recording.files]
        pair = on_one_clock(str(file), people[0], people[1])
        return of_processed(pair), Documented(up=FILES_UP, unit="m", fps=FPS), {}
    frames = arranged(str(file), _only_array(file))
    if frames.ndim == 4:
        return Motion(positions=frames), Documented(fps=FPS), {}
    statistics = None
    if others:
        mean, deviation = (check_finite(str(other), read_npy(other, expected=_NUMBERS)) for other in others)
        statistics = mean, deviation
    sample, scale = in_metres(str(file), frames, statistics)
    return of_sample(sample), Documented(up=SAMPLES_UP, unit="m", fps=FPS), {"scale": scale}


def _only_array(file: Path) -> NDArray[Any]:
    if file.suffix.lower() == ".npy":
        return read_npy(file, expected=ArraySpec())
    arrays = [array for array in read_archive(file).values() if array.ndim > 1]
    if len(arrays) != 1 or arrays[0].dtype.kind != "f":
        raise ClipError(f"{file}: {len(arrays)} arrays of frames, expected one of floating-point numbers.")
    return arrays[0]


INTERGEN = Format(
    name="intergen",
    title="InterHuman files, samples of InterGen and its like, and positions of 2 x 22 joints",
    license="InterHuman (CC BY-NC-SA, no redistribution)",
    obtain=(
        "InterHuman: ask for motions_processed as the InterGen repository says (github.com/tr3e/InterGen); give that\n"
        "folder. A model's output: save it with numpy.save as (T, 524), (2, T, 262) or positions (T, 2, 22, 3); if it\n"
        "is normalised, put the model's mean.npy and std.npy beside it. Always say --supporter first or second."
    ),
    find=find,
    read=read,
)
"""Reader of ``assistmimic clips import intergen``."""
