"""Our own clips as takes: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assistmimic_env.clip import load_clip
from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats.npz import NPZ
from assistmimic_env.formats.take import ReadOptions

OPTIONS = ReadOptions()


def test_a_clip_survives_the_round_trip(tmp_path: Path) -> None:
    clip = load_clip("sit_to_stand/train_00")
    clip.save(tmp_path / "lift.npz")
    (recording,) = NPZ.find(tmp_path, OPTIONS)
    take = NPZ.read(recording, OPTIONS)
    assert (take.name, take.fps, take.body) == ("lift", clip.fps, clip.body)
    assert take.furniture == clip.furniture
    assert take.contacts == clip.contacts
    assert len(take.furniture) > 0
    assert len(take.contacts) > 0
    assert take.metadata == dict(clip.metadata)
    for role, person in enumerate(take.people):
        assert person.rotation is not None
        assert np.array_equal(person.joints, clip.position[:, role])
        assert np.array_equal(person.rotation, clip.rotation[:, role])
        assert np.array_equal(person.offsets, clip.offsets[role])
        assert person.mass == clip.masses[role]


def test_all_clips_of_a_folder_are_found_by_name(tmp_path: Path) -> None:
    clip = load_clip("sit_to_stand/train_00")
    for name in ("b", "a"):
        clip.save(tmp_path / f"{name}.npz")
    assert [recording.name for recording in NPZ.find(tmp_path, OPTIONS)] == ["a", "b"]
    with pytest.raises(ClipError, match="no such file"):
        NPZ.find(tmp_path / "none", OPTIONS)


def test_damaged_and_foreign_files_are_typed_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    load_clip("sit_to_stand/train_00").save(path)
    data = path.read_bytes()
    (recording,) = NPZ.find(path, OPTIONS)
    for length in (0, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ClipError):
            NPZ.read(recording, OPTIONS)
    np.savez(path, poses=np.zeros((10, 72)))
    with pytest.raises(UntrustedFileError, match="unexpected array 'poses'"):
        NPZ.read(recording, OPTIONS)
