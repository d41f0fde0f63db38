"""`PairClip`: saved and loaded exactly, checked thoroughly, sampled at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistmimic_env import kinematics, rotations
from assistmimic_env.archive import decode_metadata, read_archive, write_archive
from assistmimic_env.clip import Contact, Furniture, PairClip, bundled_clips, load_clip, resample
from assistmimic_env.errors import AssistMimicError, ClipError, ConfigError, UntrustedFileError

MakeClip = Callable[..., PairClip]
STOOL = Furniture(name="stool", kind="seat", size=(0.4, 0.4, 0.5), position=(0.0, 0.0, 0.25), yaw=0.3)
GRIP = Contact(role="supporter", body="R_Hand", partner_body="R_Hand", start=0.0, end=1.0)


@pytest.fixture
def clip(standing_pair: MakeClip) -> PairClip:
    return replace(standing_pair(30), furniture=(STOOL,), contacts=(GRIP,), metadata={"source": "test", "seed": 3})


def changed(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Path:
    """Rewrite a clip file after ``change(arrays, header)``."""
    arrays = read_archive(path)
    header = decode_metadata(arrays.pop("metadata"))
    change(arrays, header)
    write_archive(path, arrays, header)
    return path


def test_a_saved_clip_loads_exactly(clip: PairClip, tmp_path: Path) -> None:
    clip.save(tmp_path / "x.npz")
    loaded = PairClip.load(tmp_path / "x.npz")
    for key in ("offsets", "masses", "root_position", "local_rotation"):
        np.testing.assert_array_equal(getattr(loaded, key), getattr(clip, key))
    for key in ("name", "fps", "body", "furniture", "contacts"):
        assert getattr(loaded, key) == getattr(clip, key)
    assert dict(loaded.metadata) == dict(clip.metadata)
    loaded.save(tmp_path / "y.npz")
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


def test_arrays_are_read_only_copies(clip: PairClip) -> None:
    root = np.array(clip.root_position)
    other = replace(clip, root_position=root)
    root += 1.0
    np.testing.assert_array_equal(other.root_position, clip.root_position)
    with pytest.raises(ValueError, match="read-only"):
        clip.local_rotation[0] = 0.0


def test_positions_follow_each_persons_own_bones(standing_pair: MakeClip) -> None:
    clip = standing_pair(12)
    tall = replace(clip, offsets=clip.offsets * np.array([1.0, 1.1])[:, None, None])
    np.testing.assert_array_equal(tall.position[:, 0], clip.position[:, 0])
    expected, _ = kinematics.forward_kinematics(
        clip.bodies[0].parents, 1.1 * clip.offsets[1], clip.root_position[:, 1], clip.local_rotation[:, 1]
    )
    np.testing.assert_allclose(tall.position[:, 1], expected, atol=1e-15)
    assert tall.bodies[1].stature == pytest.approx(1.1 * clip.bodies[0].stature, rel=0.02)
    assert tall.bodies[1].mass == pytest.approx(clip.masses[1])


def test_velocities_are_those_of_kinematics(clip: PairClip) -> None:
    np.testing.assert_array_equal(clip.velocity, kinematics.linear_velocity(clip.position, clip.fps))
    np.testing.assert_array_equal(clip.angular_velocity, kinematics.angular_velocity(clip.rotation, clip.fps))
    np.testing.assert_array_equal(clip.joint_velocity, kinematics.joint_velocity(clip.local_rotation, clip.fps))


def test_sampling_at_frame_times_returns_the_frames(clip: PairClip) -> None:
    state = clip.sample(np.arange(clip.num_frames) / clip.fps)
    for name in ("position", "velocity", "angular_velocity", "joint_velocity", "root_position"):
        np.testing.assert_allclose(getattr(state, name), getattr(clip, name), atol=1e-12)
    np.testing.assert_allclose(state.rotation, clip.rotation, atol=1e-12)
    np.testing.assert_allclose(state.local_rotation, clip.local_rotation, atol=1e-12)


def test_sampling_between_frames_is_linear_and_on_the_shortest_arc(clip: PairClip) -> None:
    flipped = replace(
        clip, local_rotation=clip.local_rotation * np.where(np.arange(30) % 2, -1.0, 1.0)[:, None, None, None]
    )
    for one in (clip, flipped):
        state = one.sample((4 + 0.25) / clip.fps)
        np.testing.assert_allclose(state.position, 0.75 * clip.position[4] + 0.25 * clip.position[5], atol=1e-12)
        turn = rotations.angle_between(clip.local_rotation[4], state.local_rotation)
        whole = rotations.angle_between(clip.local_rotation[4], clip.local_rotation[5])
        np.testing.assert_allclose(turn, 0.25 * whole, atol=1e-7)


def test_sampling_beyond_the_ends_returns_the_end_frames(clip: PairClip) -> None:
    state = clip.sample(np.array([-1.0, 0.0, clip.duration, 1e6]))
    np.testing.assert_array_equal(state.position[0], state.position[1])
    np.testing.assert_array_equal(state.position[2], state.position[3])
    np.testing.assert_allclose(state.velocity[3], clip.velocity[-1], atol=1e-12)


def test_sampling_keeps_the_shape_of_the_times(clip: PairClip) -> None:
    bodies = clip.bodies[0].num_bodies
    assert clip.sample(0.1).position.shape == (2, bodies, 3)
    state = clip.sample(np.zeros((4, 5)))
    assert state.rotation.shape == (4, 5, 2, bodies, 4)
    assert state.root_position.shape == (4, 5, 2, 3)


def test_resampling_keeps_the_motion_and_the_duration(clip: PairClip) -> None:
    fast = resample(clip, 90.0)
    assert fast.num_frames == 3 * (clip.num_frames - 1) + 1
    assert fast.duration == pytest.approx(clip.duration)
    np.testing.assert_allclose(fast.position[::3], clip.position, atol=1e-12)
    back = resample(fast, 30.0)
    np.testing.assert_allclose(back.local_rotation, clip.local_rotation, atol=1e-12)
    assert resample(clip, 30.0) is clip
    assert fast.contacts == clip.contacts


def test_resampling_to_fewer_than_ten_frames_is_refused(clip: PairClip) -> None:
    with pytest.raises(ClipError, match="at least 10"):
        resample(clip, 5.0)


def test_nearly_unit_quaternions_are_kept_and_others_normalised_or_refused(clip: PairClip) -> None:
    rounded = replace(clip, local_rotation=clip.local_rotation * (1.0 + 1e-8))
    np.testing.assert_array_equal(rounded.local_rotation, clip.local_rotation * (1.0 + 1e-8))
    loose = replace(clip, local_rotation=clip.local_rotation * (1.0 + 5e-4))
    np.testing.assert_allclose(np.linalg.norm(loose.local_rotation, axis=-1), 1.0, atol=1e-14)
    with pytest.raises(ClipError, match="unit quaternions"):
        replace(clip, local_rotation=clip.local_rotation * 1.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 0.0}, "fps is 0 to 0, expected 1 to 1000"),
        ({"fps": float("nan")}, "fps"),
        ({"masses": [70.0]}, r"masses has shape \(1,\), expected \(2,\)"),
        ({"masses": [70.0, -1.0]}, "masses is -1 to 70"),
        ({"root_position": np.full((30, 2, 3), np.nan)}, r"root_position\[0, 0, 0\] is not finite"),
        ({"root_position": np.full((30, 2, 3), 1e9)}, "root_position is 1e.09"),
        ({"root_position": np.zeros((29, 2, 3))}, r"local_rotation has shape \(30, .* expected \(29, "),
        ({"offsets": np.zeros((2, 24, 3))}, "bone lengths"),
        ({"offsets": np.ones((2, 23, 3))}, "has 24 bodies"),
        ({"contacts": [replace(GRIP, body="R_Hnd")]}, "Did you mean 'R_Hand'"),
        ({"contacts": [replace(GRIP, role="helper")]}, "Roles: supporter, recipient"),
        ({"contacts": [replace(GRIP, start=2.0)]}, "interval 2.0 to 1.0 s"),
        ({"furniture": [replace(STOOL, kind="sofa")]}, "Kinds: seat, bed, stool, rail, box"),
        ({"furniture": [replace(STOOL, size=(0.4, 0.0, 0.5))]}, "do not make a box"),
        ({"furniture": [replace(STOOL, yaw=float("inf"))]}, "do not make a box"),
    ],
)
def test_a_clip_that_cannot_be_simulated_says_what_is_wrong(
    clip: PairClip, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClipError, match=f"clip 'standing_pair'.*{message}"):
        replace(clip, **change)


def test_too_short_a_clip_is_refused(standing_pair: MakeClip) -> None:
    with pytest.raises(ClipError, match="9 frames"):
        standing_pair(9)


def test_an_unknown_body_is_named(clip: PairClip) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'smpl24'"):
        replace(clip, body="smlp24")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, header: arrays.pop("masses"), "missing array"),
        (lambda arrays, header: arrays.update(masses=np.zeros(3)), "'masses' has shape"),
        (lambda arrays, header: arrays.update(root_position=arrays["root_position"][:5]), "5 frames"),
        (lambda arrays, header: header.update(format="other"), "is 'other' version 1"),
        (lambda arrays, header: header.update(version=2), "version 2, expected"),
        (lambda arrays, header: header.update(body="smlp24"), "Did you mean 'smpl24'"),
        (lambda arrays, header: header.update(fps="30"), "'fps'"),
        (lambda arrays, header: header.update(fps=True), "'fps'"),
        (lambda arrays, header: header.update(name=None), "'name'"),
        (lambda arrays, header: header.update(metadata=[]), "'metadata'"),
        (lambda arrays, header: header.update(furniture=[3]), "'furniture'"),
        (lambda arrays, header: header.update(contacts=[{}] * 300), "at most 256"),
        (lambda arrays, header: header["furniture"][0].update(size=[1, 2]), "'size'"),
        (lambda arrays, header: header["furniture"][0].update(size=[1, 2, "3"]), "'size'"),
        (lambda arrays, header: header["contacts"][0].pop("end"), "'end'"),
    ],
)
def test_a_changed_file_is_refused_by_name(
    clip: PairClip, tmp_path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object], message: str
) -> None:
    path = tmp_path / "x.npz"
    clip.save(path)
    with pytest.raises(ClipError, match=f"x.npz.*{message}"):
        PairClip.load(changed(path, change))


def test_a_file_with_other_arrays_is_not_trusted(clip: PairClip, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    clip.save(path)
    with pytest.raises(UntrustedFileError, match="unexpected array 'extra'"):
        PairClip.load(changed(path, lambda arrays, header: arrays.update(extra=np.zeros(1))))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0.0, 1.0), value=st.integers(0, 255), keep=st.floats(0.5, 1.0))
def test_damaged_files_never_raise_anything_but_our_errors(
    clip: PairClip, tmp_path: Path, place: float, value: int, keep: float
) -> None:
    path = tmp_path / "x.npz"
    clip.save(path)
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] = value
    path.write_bytes(data if keep > 0.9 else data[: int(keep * len(data))])
    try:
        PairClip.load(path)
    except AssistMimicError as error:
        assert "x.npz" in str(error)


def test_every_bundled_clip_loads_by_name() -> None:
    names = bundled_clips()
    assert "pull_up" in names
    for name in names:
        assert load_clip(name).num_frames >= 10


def test_an_unknown_clip_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ClipError, match="Did you mean 'pull_up'"):
        load_clip("pul_up")


def test_a_clip_loads_by_path(clip: PairClip, tmp_path: Path) -> None:
    clip.save(tmp_path / "mine.npz")
    assert load_clip(tmp_path / "mine.npz").name == clip.name
    assert load_clip(str(tmp_path / "mine.npz")).num_frames == 30
