"""Our own clips as takes, to put them on other bodies or another clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..clip import PairClip
from .finding import checked, files_below, safe_name
from .take import Format, Person, ReadOptions, Recording, Take


def _find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    recordings = [Recording(name=safe_name(file.stem), files=(file,)) for file in files_below(path, (".npz",))]
    return checked(path, recordings, "clip (.npz)")


def _read(recording: Recording, options: ReadOptions) -> Take:
    clip = PairClip.load(recording.files[0])
    first, second = (
        Person(
            joints=np.array(clip.position[:, role]),
            rotation=np.array(clip.rotation[:, role]),
            offsets=np.array(clip.offsets[role]),
            mass=float(clip.masses[role]),
        )
        for role in (0, 1)
    )
    return Take(
        name=recording.name,
        fps=clip.fps,
        people=(first, second),
        body=clip.body,
        furniture=clip.furniture,
        contacts=clip.contacts,
        metadata=dict(clip.metadata),
        conventions={"up": "documented: +z", "unit": "documented: m", "rate": f"file: {clip.fps:g}", "roles": "file"},
    )


NPZ = Format(
    name="npz",
    title="clips of this project",
    license="the clip's own",
    obtain="Files that `PairClip.save`, the generator or an earlier import wrote, or a folder of them.",
    find=_find,
    read=_read,
)
"""Reader of ``assistmimic clips import npz``."""
