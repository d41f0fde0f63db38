"""A format of the tests: clips written by us, read as if they had been measured; a plug-in for other processes, too."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from plugged import install
from toys import reaching_clip

from assistmimic_env.clip import PairClip
from assistmimic_env.formats.take import Format, Person, ReadOptions, Recording, Take


def write_recording(path: Path, *, frames: int = 20, gap: float = 0.6) -> None:
    """Write a file of this format, two people ``gap`` metres apart who reach for each other."""
    replace(reaching_clip(frames, gap=gap), name="x").save(path)


def install_plugin(folder: Path) -> str:
    """Write a distribution that brings this format; returns the PYTHONPATH of processes that see it."""
    install(folder, "foreign_plugin", "", "[assistmimic.converters]\nforeign = foreign:FOREIGN\n")
    return os.pathsep.join([str(folder), str(Path(__file__).parent)])


def _find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    files = [path] if path.is_file() else sorted(path.glob("*.foreign.npz"))
    return tuple(Recording(name=file.name.split(".")[0], files=(file,)) for file in files)


def _read(recording: Recording, options: ReadOptions) -> Take:
    if recording.name == "crash":
        raise ZeroDivisionError("division by zero")
    clip = PairClip.load(recording.files[0])
    first, second = (
        Person(joints=clip.position[:, one], rotation=clip.rotation[:, one], offsets=clip.offsets[one], mass=70.0)
        for one in (0, 1)
    )
    people = (second, first) if options.supporter == "second" else (first, second)
    conventions = {"up": options.up or "z", "supporter": options.supporter or "first"}
    return Take(name=recording.name, fps=clip.fps, people=people, conventions=conventions)


FOREIGN = Format(
    name="foreign",
    title="files of the tests",
    license="test-only",
    obtain="Write *.foreign.npz files.",
    find=_find,
    read=_read,
)
